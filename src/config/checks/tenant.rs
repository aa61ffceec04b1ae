//! One tenant's settings, checked.

use std::{path::Path, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method};
use mte_codec::KemId;
use mte_protocol::{client_id::ClientIdSecret, routes::RouteSet};
use zeroize::Zeroizing;

use super::super::{
    Carried, Problems, Timeouts, carried, parse_kem,
    secret::Secret,
    settings::{TenantSettings, TlsSettings, UpstreamTlsSettings},
    upstream::{HealthSettings, PeerSettings, UpstreamSettings},
};
use crate::{
    domains::{Cors, Secrets, Tenant},
    tls::TenantTls,
    upstream::{PeerState, PeerTimeouts, Upstream, UpstreamOptions, UpstreamUrl},
};

/// Header fields that are hardly meant for everybody.
const CREDENTIALS: [&str; 5] =
    ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token"];
/// A secret shorter than this earns a warning.
const GOOD_SECRET_LEN: usize = 32;

/// Weights beyond this are a mistake: a turn of all peers is laid out in memory.
const MOST_WEIGHT: u32 = 1_000;

/// One tenant under check.
pub(super) struct At<'a> {
    /// Its key in the domain map.
    pub(super) host: &'a str,
    pub(super) base: &'a Path,
    pub(super) carried: &'a Carried,
    pub(super) problems: &'a mut Problems,
}

impl At<'_> {
    pub(super) fn problem(&mut self, key: &str, what: impl Into<String>) {
        let place = self.place(key);
        self.problems.add(place, what);
    }

    fn place(&self, key: &str) -> String {
        let dot = if key.is_empty() { "" } else { "." };
        format!("domain_map.{}{dot}{key}", self.host)
    }

    /// The tenant; `None` if a problem leaves nothing to go on with.
    pub(super) fn tenant(
        &mut self,
        written: &TenantSettings,
        least: KemId,
        dns_refresh: Duration,
        timeouts: &Timeouts,
    ) -> Option<Tenant> {
        let min_kem = written.min_kem.as_deref().map_or(least, |name| {
            let place = self.place("min_kem");
            let own = parse_kem(name, &place, self.problems);
            if own.satisfies(least) {
                return own;
            }
            if !least.satisfies(own) {
                self.problem(
                    "min_kem",
                    format!("{own} excludes pairs.min_kem ({least}): no key satisfies both"),
                );
                return least;
            }
            self.problems
                .warn(format!("{place} ({name}) is below pairs.min_kem, which holds for every tenant"));
            least
        });
        // Everything is looked at before anything is given up, so that all problems are told at once.
        let upstream = self.upstream(written, dns_refresh, timeouts);
        let tls = match &written.tls {
            None => Some(None),
            Some(files) => self.tls(files).map(Some),
        };
        let secrets = self.secrets(written);
        let cors = self.cors(written);
        let pass_through = self.routes("pass_through_routes", &written.pass_through_routes);
        let mte_routes = self.routes("mte_routes", &written.mte_routes);
        let headers = self.headers(written);
        if written.outbound_token.is_some() {
            let place = self.place("outbound_token");
            self.problems.warn(format!("{place}: relay to relay is not in this version, it is ignored"));
        }
        Some(Tenant {
            id: self.carried.ids.id(self.host),
            name: self.host.into(),
            metrics: self.carried.metrics.tenant(self.host),
            upstream: Arc::new(upstream?),
            tls: tls?,
            secrets: secrets?,
            cors,
            pass_through: pass_through.unwrap_or_default(),
            mte_routes: mte_routes.filter(|_| !written.mte_routes.is_empty()),
            headers,
            preserve_host: written.preserve_host,
            allow_plain_requests: written.allow_plain_requests,
            require_binding: written.require_binding,
            require_sealed_headers: written.require_sealed_headers.into(),
            min_kem,
            retries: written.retries,
        })
    }

    fn upstream(
        &mut self,
        written: &TenantSettings,
        dns_refresh: Duration,
        timeouts: &Timeouts,
    ) -> Option<Upstream> {
        let UpstreamTlsSettings { verify, ca_file, sni, http2 } = &written.upstream_tls;
        let ca = match ca_file {
            None => Some(None),
            Some(file) => self.read("upstream_tls.ca_file", file).map(Some),
        };
        if !verify {
            let place = self.place("");
            self.problems
                .warn(format!("{place}: the upstream's certificate is not verified (upstream_tls.verify)"));
        }
        let Some(UpstreamSettings { peers, balance, health, ejection, ready }) = &written.upstream else {
            self.problem("upstream", "is missing: give the origin to proxy to, as in https://backend:8443");
            return None;
        };
        let peers = self.peers(peers)?;
        if let Some(health) = health {
            self.health(health);
        }
        if *ready && health.is_none() {
            self.problem("upstream.ready", "needs health checks: add `health: {path: /health}`");
        }
        let options = UpstreamOptions {
            tenant: self.host.to_owned(),
            verify: *verify,
            ca_pem: ca?.map(|pem| pem.to_vec()),
            sni: sni.clone(),
            http2: *http2,
            dns_refresh,
            timeouts: PeerTimeouts {
                connect: timeouts.connect,
                read: timeouts.read,
                write: timeouts.write,
                idle: timeouts.idle,
            },
            balance: *balance,
            health: health.as_ref().map(Into::into),
            ejection: ejection.into(),
            ready: *ready,
        };
        match Upstream::new(peers, options) {
            Ok(upstream) => Some(upstream),
            Err(error) => {
                self.problem("upstream_tls", error);
                None
            }
        }
    }

    fn peers(&mut self, written: &[PeerSettings]) -> Option<Vec<(UpstreamUrl, u32, Arc<PeerState>)>> {
        if written.is_empty() {
            self.problem("upstream", "has no peers: give at least one origin");
            return None;
        }
        let mut peers: Vec<(UpstreamUrl, u32, Arc<PeerState>)> = Vec::new();
        let mut well = true;
        for (index, PeerSettings { url, weight }) in written.iter().enumerate() {
            let key = if written.len() > 1 { format!("upstream[{index}]") } else { "upstream".to_owned() };
            let problem = match url.parse::<UpstreamUrl>() {
                Err(error) => Some(error),
                Ok(url) if peers.iter().any(|(known, ..)| *known == url) => {
                    Some(format!("{url} is there twice: use weights for a larger share"))
                }
                Ok(_) if !(1..=MOST_WEIGHT).contains(weight) => {
                    Some(format!("weight {weight} is not from 1 to {MOST_WEIGHT}"))
                }
                Ok(url) => {
                    let state = self.carried.peer(self.host, &url);
                    peers.push((url, *weight, state));
                    None
                }
            };
            if let Some(problem) = problem {
                self.problem(&key, problem);
                well = false;
            }
        }
        well.then_some(peers)
    }

    fn health(&mut self, written: &HealthSettings) {
        if written
            .path
            .as_ref()
            .is_some_and(|path| !path.starts_with('/') || path.contains(char::is_whitespace))
        {
            self.problem("upstream.health.path", "must begin with / and have no blanks");
        }
        if written.interval.0 < Duration::from_millis(100) {
            self.problem("upstream.health.interval", "must be at least 100ms");
        }
        if written.timeout.0.is_zero() || written.healthy_after == 0 || written.unhealthy_after == 0 {
            self.problem("upstream.health", "timeout, healthy_after and unhealthy_after must not be 0");
        }
    }

    fn tls(&mut self, files: &TlsSettings) -> Option<TenantTls> {
        if matches!(self.host.parse(), Ok(crate::domains::HostPattern::Exact(host)) if host.contains(':')) {
            let place = self.place("tls");
            self.problems.warn(format!("{place} is of no use: TLS clients name a host without its port"));
        }
        let chain = self.read("tls.certificate_file", &files.certificate_file);
        let key = self.read("tls.key_file", &files.key_file);
        let client_ca = match &files.client_ca_file {
            None => None,
            Some(file) => Some(self.read("tls.client_ca_file", file)?),
        };
        let (chain, key) = (chain?, key?);
        let client_ca = client_ca.as_ref().map(|pem| pem.as_slice());
        // Whether there are authorities counts, not only which: an empty file asks for certificates of nobody.
        let asks = [u8::from(client_ca.is_some())];
        let files = carried::digest(&[&chain, &key, &asks, client_ca.unwrap_or_default()]);
        match self.carried.tls(self.host, files, || TenantTls::new(&chain, &key, client_ca)) {
            Ok(tls) => Some(tls),
            Err(error) => {
                self.problem("tls", error);
                None
            }
        }
    }

    fn read(&mut self, key: &str, file: &Path) -> Option<Zeroizing<Vec<u8>>> {
        let path = self.base.join(file);
        match self.problems.files.read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.problem(key, format!("{}: cannot be read: {error}", path.display()));
                None
            }
        }
    }

    fn secret(
        &mut self,
        key: &str,
        text: Option<&Secret>,
        file: Option<&Path>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let secret = match (text, file) {
            (Some(_), Some(_)) => {
                self.problem(key, format!("give either {key} or {key}_file, not both"));
                return None;
            }
            (Some(text), None) => Zeroizing::new(text.reveal().as_bytes().to_vec()),
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
            let place = self.place(key);
            self.problems
                .warn(format!("{place} is shorter than {GOOD_SECRET_LEN} characters: use a longer one"));
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
            let place = self.place("");
            self.problems.warn(format!(
                "{place} has no client_id_secret: a random one is used, and clients pair again after a restart"
            ));
            self.carried.random_secret(self.host)
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
            match (name.parse::<HeaderName>(), value.reveal().parse::<HeaderValue>()) {
                (Ok(name), Ok(_)) if mte_protocol::hop::never_forwarded(name.as_str()) => {
                    self.problem("headers", format!("{name} is set by the relay itself"));
                }
                (Ok(name), Ok(value)) => {
                    if CREDENTIALS.contains(&name.as_str()) {
                        let place = self.place("headers");
                        self.problems.warn(format!(
                            "{place}: {name} goes to every client as well, not to the upstream alone"
                        ));
                    }
                    headers.push((name, value));
                }
                _ => self.problem("headers", format!("{name:?} is not a header field with a valid value")),
            }
        }
        headers
    }
}
