//! Settings, checked: what is written becomes what is used, or a problem that says where and what to do.

mod tenant;

use std::{
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use ipnet::IpNet;

use self::tenant::At;
use super::{
    Admin, Carried, Config, Limits, Listener, Log, Pairs, Problems, Timeouts, parse_kem,
    secret::Secret,
    settings::{AdminSettings, LogSettings, Settings},
};
use crate::{
    domains::{Domains, HostPattern},
    rate,
};

/// Methods that a browser may call by default (docs/protocol.md, section 6).
pub(super) const DEFAULT_METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The `http` crate panics above 24,576 names, and a name over HTTP/2 takes 33 bytes of a head at least: neither limit may
/// let as many through.
const MAX_HEADER_NAMES: usize = 10_000;
const MAX_HEADER_BYTES: u64 = 512 << 10;

pub(super) fn check(
    settings: Settings,
    base: &Path,
    carried: &Arc<Carried>,
    problems: &mut Problems,
) -> Config {
    let log = log(&settings.log, problems);
    if !(1..=1_000).contains(&settings.pool_size) {
        problems.add("pool_size", format!("{} is not from 1 to 1000", settings.pool_size));
    }
    for (name, value) in [
        ("pairs.max_per_client", settings.pairs.max_per_client),
        ("pairs.max_per_request", settings.pairs.max_per_request),
        ("pairs.max_per_network", settings.pairs.max_per_network),
        ("pairs.max_total", settings.pairs.max_total),
    ] {
        if value == 0 {
            problems.add(name, "must be at least 1");
        }
    }
    if !(1..=MAX_HEADER_NAMES).contains(&settings.limits.header_names) {
        problems.add(
            "limits.header_names",
            format!("{} is not from 1 to {MAX_HEADER_NAMES}", settings.limits.header_names),
        );
    }
    if settings.limits.max_header_bytes.0 > MAX_HEADER_BYTES {
        problems.add("limits.max_header_bytes", "is more than 512KiB, which no head can be read with");
    }
    let (per_request, rate) = (settings.pairs.max_per_request, u64::from(settings.limits.pairs_per_second));
    if rate > 0 && per_request as u64 > rate * u64::from(rate::BURST) {
        problems.warn(format!(
            "pairs.max_per_request ({per_request}) is more than limits.pairs_per_second ever lets through at once ({rate} \
             times {}): such requests are always refused",
            rate::BURST
        ));
    }
    if per_request > settings.pairs.max_per_client {
        problems.warn(format!(
            "pairs.max_per_request ({per_request}) is more than pairs.max_per_client ({}): one request can exceed that",
            settings.pairs.max_per_client
        ));
    }
    let share = settings.pairs.tenant_share;
    if !(share > 0.0 && share <= 1.0) {
        problems
            .add("pairs.tenant_share", format!("{share} is not above 0 and at most 1: write 0.5 for a half"));
    }
    if settings.timeouts.body.0.is_zero() {
        problems.add("timeouts.body", "must be longer than 0: no body would ever arrive in time");
    }
    let (gathered, mte) = (settings.limits.gathered.0, settings.limits.max_mte_body.0);
    if gathered > 0 && gathered / 2 < mte {
        problems.warn(format!(
            "limits.gathered ({}) is less than twice limits.max_mte_body ({}): one large body can keep out all others",
            settings.limits.gathered, settings.limits.max_mte_body
        ));
    }
    let timeouts = Timeouts {
        connect: settings.timeouts.connect.0,
        read: settings.timeouts.read.0,
        write: settings.timeouts.write.0,
        idle: settings.timeouts.idle.0,
        headers: settings.timeouts.headers.0,
        body: settings.timeouts.body.0,
        drain: settings.timeouts.drain.0,
    };
    let listeners = listeners(&settings, problems);
    let admin = admin(&settings.admin, base, problems);
    let trusted_proxies = networks(&settings.trusted_proxies, problems);
    if trusted_proxies.is_empty() && listeners.iter().any(|listener| listener.proxy_protocol) {
        problems.warn(
            "a listener has proxy_protocol and trusted_proxies is empty: PROXY headers of anybody who can connect are believed",
        );
    }
    let domains = domains(&settings, base, carried, &timeouts, problems);
    let upgrade_socket = settings.upgrade_socket.as_ref().map(|path| base.join(path));
    if let Some(folder) = upgrade_socket.as_deref().and_then(Path::parent).filter(|folder| is_open(folder)) {
        problems.warn(format!(
            "upgrade_socket: others can enter its folder {}, and hand listeners to a successor: use one with mode 0700",
            folder.display()
        ));
    }
    Config {
        listeners,
        admin,
        upgrade_socket,
        threads: match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        },
        log,
        pool_size: settings.pool_size,
        pairs: Pairs {
            idle_timeout: settings.pairs.idle_timeout.0,
            unused_timeout: settings.pairs.unused_timeout.0,
            max_age: settings.pairs.max_age.0,
            max_per_client: settings.pairs.max_per_client,
            max_per_request: settings.pairs.max_per_request,
            max_per_network: settings.pairs.max_per_network,
            max_total: settings.pairs.max_total,
            tenant_share: settings.pairs.tenant_share,
        },
        limits: Limits {
            max_header_bytes: usize::try_from(settings.limits.max_header_bytes.0).unwrap_or(usize::MAX),
            header_names: settings.limits.header_names,
            max_body: Some(settings.limits.max_body.0).filter(|bytes| *bytes > 0),
            max_mte_body: usize::try_from(settings.limits.max_mte_body.0).unwrap_or(usize::MAX),
            gathered: limit(usize::try_from(settings.limits.gathered.0).unwrap_or(usize::MAX)),
            connections: limit(settings.limits.connections),
            connections_per_network: limit(settings.limits.connections_per_network),
            pairs_per_second: Some(settings.limits.pairs_per_second).filter(|rate| *rate > 0),
            requests_per_second: Some(settings.limits.requests_per_second).filter(|rate| *rate > 0),
        },
        timeouts,
        watch: settings.reload.watch,
        trusted_proxies,
        domains,
        warnings: Vec::new(),
        files: super::Files::default(),
        carried: carried.clone(),
        settings,
    }
}

/// A limit; 0 is none.
fn limit(written: usize) -> usize {
    if written == 0 { usize::MAX } else { written }
}

fn log(written: &LogSettings, problems: &mut Problems) -> Log {
    let level = super::parse_level(&written.level).unwrap_or_else(|error| {
        problems.add("log.level", error);
        log::LevelFilter::Info
    });
    let json = match written.format.as_str() {
        "json" => Some(true),
        "pretty" => Some(false),
        "auto" => None,
        other => {
            problems.add("log.format", format!("{other:?} is none of auto, json, pretty"));
            None
        }
    };
    if !LOG_BUFFER.contains(&written.buffer.0) {
        problems.add("log.buffer", format!("{} is not from 64KiB to 1GiB", written.buffer));
    }
    Log { level, json, buffer: usize::try_from(written.buffer.0).unwrap_or(usize::MAX) }
}

/// Bytes that `log.buffer` may have.
const LOG_BUFFER: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

fn admin(written: &AdminSettings, base: &Path, problems: &mut Problems) -> Admin {
    let address = match written.address.as_deref() {
        None => Some(super::DEFAULT_ADMIN),
        Some("none") => None,
        Some(text) => match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                problems.add(
                    "admin.address",
                    format!("{text:?} is not an address and port, as in 127.0.0.1:9090, nor none"),
                );
                None
            }
        },
    };
    let token = match (&written.token, &written.token_file) {
        (Some(_), Some(_)) => {
            problems.add("admin.token", "give either token or token_file, not both");
            None
        }
        (Some(token), None) => Some(token.clone()),
        (None, Some(file)) => read_secret(problems, "admin.token_file", &base.join(file)),
        (None, None) => None,
    };
    if let Some(length) = token.as_ref().map(|token| token.reveal().chars().count())
        && length < MIN_TOKEN
    {
        problems.add(
            "admin.token",
            format!("has {length} characters and needs at least {MIN_TOKEN}: `mte-relay keygen` makes one (admin.token)"),
        );
    }
    let hosts = admin_hosts(&written.hosts, problems);
    let socket = written.socket.as_ref().map(|path| base.join(path));
    Admin { address, required: written.address.is_some(), hosts, socket, token }
}

/// Characters of an admin token: fewer could be guessed.
const MIN_TOKEN: usize = 16;

fn admin_hosts(written: &[String], problems: &mut Problems) -> Vec<String> {
    let mut hosts = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match host_name(text) {
            Some(name) => hosts.push(name),
            None => problems.add(
                format!("admin.hosts[{index}]"),
                format!("{text:?} is not a host name, as in relay.example.com, nor an address; a port is not part of it"),
            ),
        }
    }
    hosts
}

/// A host name or an address in its one spelling: lower case, without a final dot or brackets.
pub(crate) fn host_name(written: &str) -> Option<String> {
    let bare = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(written).parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    let name = written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.split('.').all(label).then_some(name)
}

fn read_secret(problems: &mut Problems, place: &str, path: &Path) -> Option<Secret> {
    match problems.files.read(path) {
        Err(error) => problems.add(place, format!("{}: cannot be read: {error}", path.display())),
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => return Some(text.trim_end().to_owned().into()),
            Err(_) => problems.add(place, format!("{}: is not text", path.display())),
        },
    }
    None
}

fn networks(written: &[String], problems: &mut Problems) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network.trunc()),
            Err(_) => problems.add(
                format!("trusted_proxies[{index}]"),
                format!("{text:?} is not a network, as in 10.0.0.0/8 or fd00::/8, nor an address"),
            ),
        }
    }
    networks
}

/// Whether others than its owner can reach what is in a folder.
fn is_open(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|folder| folder.permissions().mode() & 0o011 != 0)
}

fn listeners(settings: &Settings, problems: &mut Problems) -> Vec<Listener> {
    if settings.listeners.is_empty() {
        let address = SocketAddr::from(([0, 0, 0, 0], 8080));
        return vec![Listener { address, tls: false, proxy_protocol: false }];
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for (index, written) in settings.listeners.iter().enumerate() {
        let place = format!("listeners[{index}].address");
        match written.address.parse() {
            Ok(address) if listeners.iter().any(|listener| listener.address == address) => {
                problems.add(place, format!("{address} is there twice"));
            }
            Ok(address) => {
                let &super::settings::ListenerSettings { tls, proxy_protocol, .. } = written;
                listeners.push(Listener { address, tls, proxy_protocol });
            }
            Err(_) => problems
                .add(place, format!("{:?} is not an address and port, as in 0.0.0.0:8080", written.address)),
        }
    }
    if listeners.iter().any(|listener| listener.tls) {
        for (host, tenant) in &settings.domain_map {
            if tenant.tls.is_none() {
                problems
                    .warn(format!("domain_map.{host} has no `tls`: it cannot be reached over TLS listeners"));
            }
        }
    }
    listeners
}

fn domains(
    settings: &Settings,
    base: &Path,
    carried: &Carried,
    timeouts: &Timeouts,
    problems: &mut Problems,
) -> Domains {
    if settings.domain_map.is_empty() {
        problems.add(
            "domain_map",
            "there is no tenant: give a domain_map in the file, or UPSTREAM or DOMAIN_MAP in the environment",
        );
    }
    let least = parse_kem(&settings.pairs.min_kem, "pairs.min_kem", problems);
    let mut domains = Domains::default();
    for (host, written) in &settings.domain_map {
        let mut at = At { host, base, carried, problems };
        match host.parse::<HostPattern>() {
            Err(error) => at.problem("", error),
            Ok(pattern) => {
                let Some(tenant) = at.tenant(written, least, settings.dns_refresh.0, timeouts) else {
                    continue;
                };
                if !domains.insert(pattern, Arc::new(tenant)) {
                    at.problem("", "this host is there twice (hosts are compared without regard to case)");
                }
            }
        }
    }
    domains
}
