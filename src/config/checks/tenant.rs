//! One tenant's settings, checked.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method};
use mte_codec::KemId;
use mte_protocol::routes::RouteSet;
use zeroize::Zeroizing;

use super::{
    super::{
        Redis, ReloadState, Timeouts, parse_kem,
        problems::Findings,
        settings::{TenantSettings, UpstreamTlsSettings},
        upstream::{HealthSettings, PeerSettings, UpstreamSettings},
    },
    numbers,
    secrets::ClientIdSecrets,
};
use crate::{
    domains::{Cors, Tenant, TenantId},
    host,
    upstream::{PeerState, PeerTimeouts, Upstream, UpstreamOptions, UpstreamUrl, UrlError},
};

/// Header fields that are usually meant for the upstream only.
const CREDENTIALS: [&str; 5] =
    ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token"];
/// The largest weight: a full round of all peers is kept in memory.
const MAX_WEIGHT: u32 = 1_000;

/// One tenant that is being checked.
pub(super) struct At<'a> {
    /// Its key in the domain map.
    pub(super) host: &'a str,
    pub(super) base: &'a Path,
    pub(super) reload_state: &'a ReloadState,
    /// Where pairs are stored, if not in this process.
    pub(super) redis: Option<&'a Redis>,
    pub(super) problems: &'a mut Findings,
}

impl At<'_> {
    pub(super) fn problem(&mut self, key: &str, what: impl Into<String>) {
        let place = self.place(key);
        self.problems.add(place, what);
    }

    /// The host itself cannot be used.
    pub(super) fn key_problem(&mut self, what: String) {
        let place = self.key();
        self.problems.add_key(&place, what);
    }

    pub(super) fn warn(&mut self, key: &str, what: impl Into<String>) {
        let place = self.place(key);
        self.problems.warn(place, what);
    }

    /// The tenant's full name.
    fn key(&self) -> String {
        format!("domain_map.{}", self.host)
    }

    pub(super) fn place(&self, key: &str) -> String {
        format!("{}.{key}", self.key())
    }

    /// The tenant; `None` if a problem makes it unusable. `own` are the relay's listeners.
    pub(super) fn tenant(
        &mut self,
        written: &TenantSettings,
        least: KemId,
        dns_refresh: Duration,
        timeouts: &Timeouts,
        own: &[SocketAddr],
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
                .warn(place, format!("{name} is below pairs.min_kem, which applies to every tenant"));
            least
        });
        // Everything is checked before giving up, so that all problems are reported together.
        let upstream = self.upstream(written, dns_refresh, timeouts);
        let retries = self.place("retries");
        numbers::count(self.problems, &retries, written.retries as u64, 0..=100);
        let tls = match &written.tls {
            None => Some(None),
            Some(files) => self.tls(files).map(Some),
        };
        let client_id_secrets = self.client_id_secrets(written);
        let secrets = client_id_secrets.as_ref().and_then(ClientIdSecrets::signing);
        let state_keys = client_id_secrets.as_ref().and_then(|secrets| self.state_keys(secrets));
        let cors = self.cors(written);
        let pass_through = self.routes("pass_through_routes", &written.pass_through_routes);
        let mte_routes = self.routes("mte_routes", &written.mte_routes);
        let headers = self.headers(written);
        let outbound = self.outbound(written, secrets.as_ref(), timeouts, own);
        Some(Tenant {
            id: TenantId::of(self.host),
            name: self.host.into(),
            metrics: self.reload_state.metrics.tenant(self.host),
            upstream: Arc::new(upstream?),
            tls: tls?,
            secrets: secrets?,
            state_keys,
            outbound: outbound?,
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
            self.warn(
                "upstream_tls.verify",
                "the upstream's certificate is not verified: anyone on the network path can read the traffic",
            );
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
        if let Some(name) = sni
            && !matches!(host::parse(name), Ok((_, None)))
        {
            self.problem("upstream_tls.sni", format!("{name:?} is not a host name, as in backend.internal"));
        }
        numbers::timeout(self.problems, &self.place("upstream.ejection.time"), ejection.time);
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
                self.problem("upstream_tls.ca_file", error.to_string());
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
            let key = self.peer_key(index, written.len());
            let problem = match url.parse::<UpstreamUrl>() {
                // Credentials are not shown.
                Err(error @ UrlError::User) => Some(error.to_string()),
                Err(error) => Some(format!("{url:?} {error}")),
                Ok(url) if peers.iter().any(|(known, ..)| *known == url) => {
                    Some(format!("{url} is listed twice: use weights for a larger share"))
                }
                Ok(_) if !(1..=MAX_WEIGHT).contains(weight) => {
                    Some(format!("weight {weight} is not from 1 to {MAX_WEIGHT}"))
                }
                Ok(url) => {
                    let state = self.reload_state.peer(self.host, &url);
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

    /// A peer's key in the form in which it was written.
    fn peer_key(&self, index: usize, of: usize) -> String {
        let forms = [
            format!("upstream.peers[{index}].url"),
            format!("upstream.peers[{index}]"),
            format!("upstream[{index}]"),
        ];
        let written = forms.iter().find(|form| self.problems.places.is_written(&self.place(form)));
        match written {
            Some(form) => form.clone(),
            None if of > 1 => forms[2].clone(),
            None => "upstream".to_owned(),
        }
    }

    fn health(&mut self, written: &HealthSettings) {
        if written
            .path
            .as_ref()
            .is_some_and(|path| !path.starts_with('/') || path.contains(char::is_whitespace))
        {
            self.problem("upstream.health.path", "must begin with / and contain no spaces");
        }
        numbers::interval(self.problems, &self.place("upstream.health.interval"), written.interval);
        numbers::timeout(self.problems, &self.place("upstream.health.timeout"), written.timeout);
        for (key, value) in
            [("unhealthy_after", written.unhealthy_after), ("healthy_after", written.healthy_after)]
        {
            let place = self.place(&format!("upstream.health.{key}"));
            numbers::count(self.problems, &place, value.into(), 1..=1_000);
        }
    }

    pub(super) fn read(&mut self, key: &str, file: &Path) -> Option<Zeroizing<Vec<u8>>> {
        let place = self.place(key);
        self.problems.read(&place, &self.base.join(file))
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
            self.problem("cors_origins", error.to_string());
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
                        self.warn(
                            "headers",
                            format!("{name} is also sent to every client, not only to the upstream"),
                        );
                    }
                    headers.push((name, value));
                }
                _ => self.problem(
                    "headers",
                    format!("{name:?} is not a valid header field name, or its value is not valid"),
                ),
            }
        }
        headers
    }
}
