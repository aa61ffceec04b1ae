//! Settings, checked: what is written becomes what is used, or a problem that says where and what to do.

use std::{path::Path, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method};
use mte_protocol::{client_id::ClientIdSecret, routes::RouteSet};
use zeroize::Zeroizing;

use super::{
    Config, Limits, Listener, Log, Pairs, Problems, Timeouts, parse_kem,
    settings::{Settings, TenantSettings, TlsSettings, UpstreamTlsSettings},
};
use crate::{
    domains::{Cors, Domains, HostPattern, Secrets, Tenant, TenantIds},
    tls::TenantTls,
    upstream::{Upstream, UpstreamOptions, UpstreamUrl},
};

/// Methods that a browser may call by default (docs/protocol.md, section 6).
pub(super) const DEFAULT_METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A secret shorter than this earns a warning.
const GOOD_SECRET_LEN: usize = 32;

pub(super) fn check(
    settings: Settings,
    base: &Path,
    ids: &TenantIds,
    problems: &mut Problems,
) -> Option<Config> {
    let level = match settings.log.level.to_ascii_lowercase().as_str() {
        "trace" => log::LevelFilter::Trace,
        "debug" => log::LevelFilter::Debug,
        "info" => log::LevelFilter::Info,
        "warn" | "warning" => log::LevelFilter::Warn,
        "error" | "panic" => log::LevelFilter::Error,
        "off" => log::LevelFilter::Off,
        other => {
            problems.add(
                "log.level",
                format!("{other:?} is none of trace, debug, info, warning, error, panic, off"),
            );
            log::LevelFilter::Info
        }
    };
    let json = match settings.log.format.as_str() {
        "json" => Some(true),
        "pretty" => Some(false),
        "auto" => None,
        other => {
            problems.add("log.format", format!("{other:?} is none of auto, json, pretty"));
            None
        }
    };
    if !(1..=1_000).contains(&settings.pool_size) {
        problems.add("pool_size", format!("{} is not from 1 to 1000", settings.pool_size));
    }
    for (name, value) in [
        ("pairs.max_per_client", settings.pairs.max_per_client),
        ("pairs.max_per_request", settings.pairs.max_per_request),
        ("pairs.max_total", settings.pairs.max_total),
    ] {
        if value == 0 {
            problems.add(name, "must be at least 1");
        }
    }
    let timeouts = Timeouts {
        connect: settings.timeouts.connect.0,
        read: settings.timeouts.read.0,
        write: settings.timeouts.write.0,
        idle: settings.timeouts.idle.0,
        headers: settings.timeouts.headers.0,
        drain: settings.timeouts.drain.0,
    };
    let listeners = listeners(&settings, problems);
    let domains = domains(&settings, base, ids, &timeouts, problems);
    Some(Config {
        listeners,
        threads: match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        },
        log: Log { level, json },
        pool_size: settings.pool_size,
        pairs: Pairs {
            idle_timeout: settings.pairs.idle_timeout.0,
            unused_timeout: settings.pairs.unused_timeout.0,
            max_age: settings.pairs.max_age.0,
            max_per_client: settings.pairs.max_per_client,
            max_per_request: settings.pairs.max_per_request,
            max_total: settings.pairs.max_total,
        },
        limits: Limits {
            max_header_bytes: usize::try_from(settings.limits.max_header_bytes.0).unwrap_or(usize::MAX),
            max_body: Some(settings.limits.max_body.0).filter(|bytes| *bytes > 0),
            max_mte_body: usize::try_from(settings.limits.max_mte_body.0).unwrap_or(usize::MAX),
            pairs_per_second: Some(settings.limits.pairs_per_second).filter(|rate| *rate > 0),
        },
        timeouts,
        domains,
        warnings: Vec::new(),
    })
}

fn listeners(settings: &Settings, problems: &mut Problems) -> Vec<Listener> {
    if settings.listeners.is_empty() {
        return vec![Listener { address: std::net::SocketAddr::from(([0, 0, 0, 0], 8080)), tls: false }];
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for (index, written) in settings.listeners.iter().enumerate() {
        let place = format!("listeners[{index}].address");
        match written.address.parse() {
            Ok(address) if listeners.iter().any(|listener| listener.address == address) => {
                problems.add(place, format!("{address} is there twice"));
            }
            Ok(address) => listeners.push(Listener { address, tls: written.tls }),
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
    ids: &TenantIds,
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
        let mut at = At { place: format!("domain_map.{host}"), base, problems };
        let pattern = match host.parse::<HostPattern>() {
            Ok(pattern) => pattern,
            Err(error) => {
                at.problem("", error);
                continue;
            }
        };
        let min_kem = written.min_kem.as_deref().map_or(least, |name| {
            let own = parse_kem(name, &format!("{}.min_kem", at.place), at.problems);
            if own.rank() >= least.rank() { own } else { least }
        });
        let Some(upstream) = at.upstream(written, settings.dns_refresh.0, timeouts) else { continue };
        let tls = match &written.tls {
            None => None,
            Some(files) => match at.tls(files) {
                Some(tls) => Some(tls),
                None => continue,
            },
        };
        let Some(secrets) = at.secrets(written) else { continue };
        let cors = at.cors(written);
        let pass_through = at.routes("pass_through_routes", &written.pass_through_routes);
        let mte_routes = at.routes("mte_routes", &written.mte_routes);
        let headers = at.headers(written);
        if written.outbound_token.is_some() {
            let place = &at.place;
            at.problems.warn(format!(
                "{place}.outbound_token: relay to relay is not in this version, it is ignored"
            ));
        }
        let tenant = Tenant {
            id: ids.id(host),
            name: host.as_str().into(),
            upstream,
            tls,
            secrets,
            cors,
            pass_through: pass_through.unwrap_or_default(),
            mte_routes: mte_routes.filter(|_| !written.mte_routes.is_empty()),
            headers,
            preserve_host: written.preserve_host,
            allow_plain_requests: written.allow_plain_requests,
            require_binding: written.require_binding,
            min_kem,
            retries: written.retries,
        };
        if !domains.insert(pattern, Arc::new(tenant)) {
            at.problem("", "this host is there twice (hosts are compared without regard to case)");
        }
    }
    domains
}

/// One tenant under check.
struct At<'a> {
    place: String,
    base: &'a Path,
    problems: &'a mut Problems,
}

impl At<'_> {
    fn problem(&mut self, key: &str, what: impl Into<String>) {
        let dot = if key.is_empty() { "" } else { "." };
        self.problems.add(format!("{}{dot}{key}", self.place), what);
    }

    fn upstream(
        &mut self,
        written: &TenantSettings,
        dns_refresh: Duration,
        timeouts: &Timeouts,
    ) -> Option<Upstream> {
        let Some(text) = &written.upstream else {
            self.problem("upstream", "is missing: give the origin to proxy to, as in https://backend:8443");
            return None;
        };
        let url: UpstreamUrl = match text.parse() {
            Ok(url) => url,
            Err(error) => {
                self.problem("upstream", error);
                return None;
            }
        };
        let UpstreamTlsSettings { verify, ca_file, sni } = &written.upstream_tls;
        let ca = match ca_file {
            None => None,
            Some(file) => Some(self.read("upstream_tls.ca_file", file)?),
        };
        if !verify {
            let place = &self.place;
            self.problems
                .warn(format!("{place}: the upstream's certificate is not verified (upstream_tls.verify)"));
        }
        let options = UpstreamOptions {
            tenant: self.place.clone(),
            verify: *verify,
            ca_pem: ca.map(|pem| pem.to_vec()),
            sni: sni.clone(),
            dns_refresh,
            timeouts: *timeouts,
        };
        match Upstream::new(url, options) {
            Ok(upstream) => Some(upstream),
            Err(error) => {
                self.problem("upstream_tls", error);
                None
            }
        }
    }

    fn tls(&mut self, files: &TlsSettings) -> Option<TenantTls> {
        let chain = self.read("tls.certificate_file", &files.certificate_file);
        let key = self.read("tls.key_file", &files.key_file);
        let client_ca = match &files.client_ca_file {
            None => None,
            Some(file) => Some(self.read("tls.client_ca_file", file)?),
        };
        match TenantTls::new(&chain?, &key?, client_ca.as_ref().map(|pem| pem.as_slice())) {
            Ok(tls) => Some(tls),
            Err(error) => {
                self.problem("tls", error);
                None
            }
        }
    }

    fn read(&mut self, key: &str, file: &Path) -> Option<Zeroizing<Vec<u8>>> {
        let path = self.base.join(file);
        match std::fs::read(&path) {
            Ok(bytes) => Some(Zeroizing::new(bytes)),
            Err(error) => {
                self.problem(key, format!("{}: cannot be read: {error}", path.display()));
                None
            }
        }
    }

    fn secret(
        &mut self,
        key: &str,
        text: Option<&String>,
        file: Option<&Path>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let secret = match (text, file) {
            (Some(_), Some(_)) => {
                self.problem(key, format!("give either {key} or {key}_file, not both"));
                return None;
            }
            (Some(text), None) => Zeroizing::new(text.clone().into_bytes()),
            (None, Some(file)) => {
                let bytes = self.read(&format!("{key}_file"), file)?;
                Zeroizing::new(bytes.trim_ascii_end().to_vec())
            }
            (None, None) => return None,
        };
        if secret.is_empty() {
            self.problem(key, "is empty");
            return None;
        }
        if secret.len() < GOOD_SECRET_LEN {
            let place = &self.place;
            self.problems.warn(format!(
                "{place}.{key} is shorter than {GOOD_SECRET_LEN} characters: use a longer one"
            ));
        }
        Some(secret)
    }

    fn secrets(&mut self, written: &TenantSettings) -> Option<Secrets> {
        let current = self.secret(
            "client_id_secret",
            written.client_id_secret.as_ref(),
            written.client_id_secret_file.as_deref(),
        );
        let previous = self.secret(
            "client_id_secret_previous",
            written.client_id_secret_previous.as_ref(),
            written.client_id_secret_previous_file.as_deref(),
        );
        let current = current.unwrap_or_else(|| {
            let place = &self.place;
            self.problems.warn(format!(
                "{place} has no client_id_secret: a random one is used, and clients pair again after a restart"
            ));
            Zeroizing::new(rand::random::<[u8; 32]>().to_vec())
        });
        // Neither is empty: `secret` saw to that.
        let key = |secret: &Zeroizing<Vec<u8>>| ClientIdSecret::new(secret).ok();
        Secrets { current: key(&current)?, previous: previous.as_ref().and_then(key) }.into()
    }

    fn cors(&mut self, written: &TenantSettings) -> Cors {
        let mut methods = Vec::new();
        for method in &written.cors_methods {
            match Method::from_bytes(method.to_ascii_uppercase().as_bytes()) {
                Ok(method) => methods.push(method),
                Err(_) => self.problem("cors_methods", format!("{method:?} is not an HTTP method")),
            }
        }
        Cors::new(&written.cors_origins, methods, written.cors_credentials).unwrap_or_else(|error| {
            self.problem("cors_origins", error);
            Cors::default()
        })
    }

    fn routes(&mut self, key: &str, patterns: &[String]) -> Option<RouteSet> {
        match RouteSet::parse(patterns) {
            Ok(routes) => Some(routes),
            Err(error) => {
                self.problem(key, error.to_string());
                None
            }
        }
    }

    fn headers(&mut self, written: &TenantSettings) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for (name, value) in &written.headers {
            match (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                (Ok(name), Ok(_)) if mte_protocol::hop::never_forwarded(name.as_str()) => {
                    self.problem("headers", format!("{name} is set by the relay itself"));
                }
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => self.problem("headers", format!("{name:?} is not a header field with a valid value")),
            }
        }
        headers
    }
}
