//! Checks settings: turns them into a usable configuration, or into problems that say where they are and how to fix them.

mod certificates;
mod listeners;
mod numbers;
mod outbound;
mod redis;
mod secrets;
mod tenant;

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use self::tenant::At;
use super::{
    Config, Limits, Pairs, Redis, ReloadState, Timeouts, parse_kem,
    problems::Findings,
    settings::{LogSettings, Settings},
};
use crate::{
    domains::{Domains, HostPattern},
    rate,
    telemetry::Log,
};

/// Methods that a browser may call by default (docs/protocol.md, section 6).
pub(super) const DEFAULT_METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

pub(super) fn check(
    settings: Settings,
    base: &Path,
    reload_state: &Arc<ReloadState>,
    problems: &mut Findings,
) -> Config {
    let log = log(&settings.log, problems);
    numbers::check(&settings, problems);
    let (per_request, rate) = (settings.pairs.max_per_request, u64::from(settings.limits.pairs_per_second));
    if rate > 0 && per_request as u64 > rate * u64::from(rate::BURST) {
        problems.warn(
            "pairs.max_per_request",
            format!(
                "{per_request} is more than limits.pairs_per_second ever allows at once ({rate} \
             times {}): such requests are always refused",
                rate::BURST
            ),
        );
    }
    if per_request > settings.pairs.max_per_client {
        problems.warn(
            "pairs.max_per_request",
            format!(
                "{per_request} is more than pairs.max_per_client ({}): one request can exceed that",
                settings.pairs.max_per_client
            ),
        );
    }
    let share = settings.pairs.tenant_share;
    if !(share > 0.0 && share <= 1.0) {
        problems.add(
            "pairs.tenant_share",
            format!("{share} must be above 0 and at most 1: write 0.5 for one half"),
        );
    }
    let (gathered, mte) = (settings.limits.gathered.0, settings.limits.max_mte_body.0);
    if gathered > 0 && gathered / 2 < mte {
        problems.warn(
            "limits.gathered",
            format!(
                "{} is less than twice limits.max_mte_body ({}): one large body can block all others",
                settings.limits.gathered, settings.limits.max_mte_body
            ),
        );
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
    let listeners = listeners::listeners(&settings, problems);
    let admin = listeners::admin(&settings.admin, &listeners, base, problems);
    let trusted_proxies = listeners::trusted_proxies(&settings, problems);
    let own: Vec<_> = listeners.iter().map(|listener| listener.address).chain(admin.address).collect();
    let redis = redis::check(&settings, base, problems);
    let domains = domains(&settings, base, reload_state, (&timeouts, &own), redis.as_ref(), problems);
    let upgrade_socket = settings.upgrade_socket.as_ref().map(|path| base.join(path));
    listeners::check_socket("upgrade_socket", upgrade_socket.as_deref(), problems);
    if let Some(folder) = upgrade_socket.as_deref().and_then(Path::parent).filter(|folder| is_open(folder)) {
        problems.warn(
            "upgrade_socket",
            format!(
                "other users can access its folder {} and hand listeners to a successor: use one with mode 0700",
                folder.display()
            ),
        );
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
        redis,
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
        reload_state: reload_state.clone(),
        settings,
    }
}

/// A limit; 0 means unlimited.
fn limit(written: usize) -> usize {
    if written == 0 { usize::MAX } else { written }
}

fn log(written: &LogSettings, problems: &mut Findings) -> Log {
    let level = super::parse_level(&written.level).unwrap_or_else(|error| {
        problems.add("log.level", error.to_string());
        log::LevelFilter::Info
    });
    let json = match written.format.as_str() {
        "json" => Some(true),
        "pretty" => Some(false),
        "auto" => None,
        other => {
            problems.add("log.format", format!("{other:?} is not one of auto, json, pretty"));
            None
        }
    };
    Log { level, json, buffer: usize::try_from(written.buffer.0).unwrap_or(usize::MAX) }
}

/// Whether users other than its owner can access a folder.
fn is_open(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|folder| folder.permissions().mode() & 0o011 != 0)
}

fn domains(
    settings: &Settings,
    base: &Path,
    reload_state: &ReloadState,
    (timeouts, own): (&Timeouts, &[SocketAddr]),
    redis: Option<&Redis>,
    problems: &mut Findings,
) -> Domains {
    if settings.domain_map.is_empty() {
        problems.add(
            "domain_map",
            "no tenant is configured: give a domain_map in the file, or UPSTREAM or DOMAIN_MAP in the environment",
        );
    }
    let least = parse_kem(&settings.pairs.min_kem, "pairs.min_kem", problems);
    let mut domains = Domains::default();
    // Duplicate hosts are found before any tenant is checked, even where a tenant has other problems.
    let mut taken: HashMap<HostPattern, &str> = HashMap::new();
    for (host, written) in &settings.domain_map {
        let mut at = At { host, base, reload_state, redis, problems };
        let pattern = match host.parse::<HostPattern>() {
            Err(error) => {
                at.key_problem(format!("{host:?} {error}"));
                None
            }
            Ok(pattern) => match taken.entry(pattern.clone()) {
                Entry::Occupied(other) => {
                    let other = other.get();
                    at.key_problem(format!(
                        "this host is listed twice, also as {other:?}: keep one of the two"
                    ));
                    None
                }
                Entry::Vacant(free) => {
                    free.insert(host);
                    Some(pattern)
                }
            },
        };
        let tenant = at.tenant(written, least, settings.dns_refresh.0, timeouts, own);
        if let (Some(pattern), Some(tenant)) = (pattern, tenant) {
            domains.insert(pattern, Arc::new(tenant));
        }
    }
    domains
}
