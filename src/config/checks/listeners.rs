//! The listeners, for clients and for operators: addresses that can be listened on together, and the proxies that the
//! listeners trust.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use ipnet::IpNet;

use super::{
    super::{
        Admin, DEFAULT_ADMIN, Listener,
        problems::Findings,
        settings::{AdminSettings, ListenerSettings, Settings},
    },
    secrets,
};
use crate::trusted::TrustedProxies;

/// The number of listeners that can be handed over to a successor in one message.
const MAX_LISTENERS: usize = 32;
/// The longest possible path of a Unix socket, in bytes.
const MAX_SOCKET_PATH: usize = 107;

pub(super) fn listeners(settings: &Settings, problems: &mut Findings) -> Vec<Listener> {
    if settings.listeners.is_empty() {
        let address = SocketAddr::from(([0, 0, 0, 0], 8080));
        return vec![Listener { address, tls: false, proxy_protocol: false }];
    }
    if settings.listeners.len() > MAX_LISTENERS {
        let what =
            format!("has {} listeners: at most {MAX_LISTENERS} are possible", settings.listeners.len());
        problems.add("listeners", what);
    }
    let mut listeners: Vec<(usize, Listener)> = Vec::new();
    for (index, written) in settings.listeners.iter().enumerate() {
        let place = format!("listeners[{index}].address");
        let Some(address) = address(&place, &written.address, "0.0.0.0:8080", problems) else { continue };
        let overlapping = listeners.iter().find(|(_, other)| overlap(address, other.address));
        match overlapping {
            Some((other, Listener { address: same, .. })) if *same == address => {
                problems.add(place, format!("{address} is listed twice: listeners[{other}] already has it"));
            }
            Some((other, Listener { address: wider, .. })) => problems.add(
                place,
                format!("{address} and {wider} (listeners[{other}]) overlap, so only one of them can be used: remove one, or use another port"),
            ),
            None => {
                let &ListenerSettings { tls, proxy_protocol, .. } = written;
                listeners.push((index, Listener { address, tls, proxy_protocol }));
            }
        }
    }
    let all: Vec<_> = listeners.iter().map(|(_, listener)| *listener).collect();
    for (index, listener) in &listeners {
        about_ipv6(*index, listener.address, &all, problems);
    }
    about_tls(settings, problems);
    all
}

/// An address that can be listened on.
fn address(place: &str, text: &str, example: &str, problems: &mut Findings) -> Option<SocketAddr> {
    let Ok(address) = text.parse::<SocketAddr>() else {
        let what = format!("{text:?} is not an IP address and port from 1 to 65535, as in {example}");
        problems.add(place, what);
        return None;
    };
    if address.port() == 0 {
        problems.add(
            place,
            format!("{text:?} has port 0, which clients cannot connect to: write a port from 1 to 65535"),
        );
        return None;
    }
    if let IpAddr::V6(ip) = address.ip()
        && let Some(ipv4) = ip.to_ipv4_mapped()
    {
        let what = format!("{text:?} is an IPv4 address: write {ipv4}:{}", address.port());
        problems.add(place, what);
        return None;
    }
    Some(address)
}

/// Whether only one of two addresses can be listened on. IPv6 listeners take no IPv4 connections.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port()
        && a.is_ipv4() == b.is_ipv4()
        && (a == b || a.ip().is_unspecified() || b.ip().is_unspecified())
}

fn about_ipv6(index: usize, address: SocketAddr, all: &[Listener], problems: &mut Findings) {
    let any_ipv6 = address.is_ipv6() && address.ip().is_unspecified();
    if any_ipv6 && !all.iter().any(|other| other.address.is_ipv4() && other.address.port() == address.port())
    {
        problems.warn(
            format!("listeners[{index}].address"),
            format!(
                "{address} takes IPv6 connections only: add a listener 0.0.0.0:{} for IPv4",
                address.port()
            ),
        );
    }
}

fn about_tls(settings: &Settings, problems: &mut Findings) {
    let certified = settings.domain_map.values().any(|tenant| tenant.tls.is_some());
    let mut has_tls = false;
    for (index, _) in settings.listeners.iter().enumerate().filter(|(_, listener)| listener.tls) {
        has_tls = true;
        if !certified && !settings.domain_map.is_empty() {
            problems.add(
                format!("listeners[{index}].tls"),
                "no tenant has a certificate, so no client could connect: give a tenant `tls: {certificate_file: ..., key_file: ...}`, or set tls: false",
            );
        }
    }
    for (host, _) in
        settings.domain_map.iter().filter(|(_, tenant)| has_tls && certified && tenant.tls.is_none())
    {
        problems.warn(format!("domain_map.{host}"), "has no `tls`: it cannot be reached over TLS listeners");
    }
}

pub(super) fn admin(
    written: &AdminSettings,
    listeners: &[Listener],
    base: &Path,
    problems: &mut Findings,
) -> Admin {
    const PLACE: &str = "admin.address";
    let required = written.address.is_some();
    let mut address = match written.address.as_deref() {
        None => Some(DEFAULT_ADMIN),
        Some("none") => None,
        Some(text) => address(PLACE, text, "127.0.0.1:9090, nor none", problems),
    };
    // Even if the system allows it, the admin routes must not be on a client listener.
    let shared = |address: SocketAddr| {
        listeners.iter().find(|other| {
            let (a, b) = (address.ip(), other.address.ip());
            address.port() == other.address.port() && (a == b || a.is_unspecified() || b.is_unspecified())
        })
    };
    if let Some((own, Listener { address: theirs, .. })) = address.and_then(|own| Some((own, shared(own)?))) {
        if required {
            let what = format!(
                "{own} has the same port as the listener {theirs}, which is for clients: use another port"
            );
            problems.add(PLACE, what);
        } else {
            let what = format!(
                "the admin listener is off: its default address {own} has the same port as the listener {theirs}; choose another address"
            );
            problems.warn(PLACE, what);
        }
        address = None;
    }
    let token = secrets::admin_token(written, base, problems);
    let socket = written.socket.as_ref().map(|path| base.join(path));
    check_socket("admin.socket", socket.as_deref(), problems);
    let hosts = admin_hosts(&written.hosts, problems);
    Admin { address, required, hosts, socket, token }
}

fn admin_hosts(written: &[String], problems: &mut Findings) -> Vec<String> {
    let mut hosts = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match crate::host::bare(text) {
            Some(name) => hosts.push(name),
            None => problems.add(
                format!("admin.hosts[{index}]"),
                format!("{text:?} is neither a host name, as in relay.example.com, nor an IP address; leave out the port"),
            ),
        }
    }
    hosts
}

/// Checks that a Unix socket can be created at this path.
pub(super) fn check_socket(place: &str, path: Option<&Path>, problems: &mut Findings) {
    let Some(path) = path else { return };
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        let what = format!("the path has {length} bytes; a Unix socket's has at most {MAX_SOCKET_PATH}");
        return problems.add(place, what);
    }
    if path.is_dir() {
        return problems
            .add(place, format!("{} is a folder: give the path of a socket in it", path.display()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        problems.warn(
            place,
            format!("its folder {} does not exist: create it before the relay starts", folder.display()),
        );
    }
}

/// The proxies that are trusted to name clients.
pub(super) fn trusted_proxies(settings: &Settings, problems: &mut Findings) -> TrustedProxies {
    let mut networks = Vec::new();
    for (index, text) in settings.trusted_proxies.iter().enumerate() {
        let place = format!("trusted_proxies[{index}]");
        match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            Err(_) => problems.add(
                place,
                format!("{text:?} is neither a network, as in 10.0.0.0/8 or fd00::/8, nor an IP address"),
            ),
            Ok(IpNet::V6(network)) if network.addr().to_ipv4_mapped().is_some() => {
                problems.add(place, format!("{text:?} is an IPv4 network written as IPv6: write it as IPv4"));
            }
            Ok(network) => {
                if network.prefix_len() == 0 {
                    problems.warn(
                        place,
                        format!("{text} trusts every address: any client can claim any address as its own"),
                    );
                }
                networks.push(network);
            }
        }
    }
    if networks.is_empty() {
        for (index, _) in settings.listeners.iter().enumerate().filter(|(_, one)| one.proxy_protocol) {
            problems.warn(
                format!("listeners[{index}].proxy_protocol"),
                "trusted_proxies is empty, so no PROXY header is trusted and every connection here is refused: list the balancer's networks there",
            );
        }
    }
    networks.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_within_a_family_only() {
        for (a, b, expected) in [
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("0.0.0.0:80", "[::]:80", false),
            ("127.0.0.1:80", "[::]:80", false),
            ("0.0.0.0:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
        ] {
            let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!((overlap(a, b), overlap(b, a)), (expected, expected), "{a} {b}");
        }
    }
}
