//! The domain map: which tenant an inbound host belongs to. Built as a whole from a checked configuration and
//! replaced as a whole on reload; never changed in place.

mod cors;

use std::{collections::HashMap, str::FromStr, sync::Arc};

use aws_lc_rs::digest;
use http::{HeaderName, HeaderValue};
use mte_codec::KemId;
use mte_protocol::{
    client_id::{ClientId, ClientIdSecret},
    routes::RouteSet,
};
pub use mte_session::server::RequireSealedHeaders;

pub use self::cors::{Cors, CorsError};
use crate::{
    host::{self, HostError},
    outbound::Outbound,
    state_key::StateKeys,
    telemetry::TenantMetrics,
    tls::TenantTls,
    upstream::Upstream,
};

/// Names a tenant in memory and in stores: the first 16 bytes of the SHA-256 of its key in the domain map.
///
/// It is the same in every relay and after every restart, so pairs in a store that several relays share are found by all of
/// them. It is a digest rather than the name, or a shared pointer to the name, because it is copied for every request: this
/// way nothing is allocated or counted (a reference count is a cache line that all workers write), and a store's keys have a
/// fixed length whatever characters a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId([u8; 16]);

impl TenantId {
    /// The id of the tenant with this name, ignoring case.
    pub fn of(name: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, name.to_ascii_lowercase().as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_ref()[..16]);
        Self(id)
    }

    /// The 16 bytes, for keys in stores.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// One tenant, ready to serve.
#[derive(Debug)]
pub struct Tenant {
    /// Its name in stores.
    pub id: TenantId,
    /// Its key in the domain map.
    pub name: Arc<str>,
    /// Its metrics.
    pub metrics: Arc<TenantMetrics>,
    /// Its upstream.
    pub upstream: Arc<Upstream>,
    /// Its certificate on TLS listeners.
    pub tls: Option<TenantTls>,
    /// The keys that sign its client ids.
    pub secrets: Secrets,
    /// The keys that seal its pairs, if they are stored outside this process.
    pub state_keys: Option<Arc<StateKeys>>,
    /// How its requests go to other relays, if they may.
    pub outbound: Option<Outbound>,
    /// The origins that browsers may send requests from.
    pub cors: Cors,
    /// Routes that are proxied unchanged, without encryption.
    pub pass_through: RouteSet,
    /// If not empty, the only encrypted routes.
    pub mte_routes: Option<RouteSet>,
    /// Header fields added to upstream requests and to responses.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the client's Host is sent to the upstream.
    pub preserve_host: bool,
    /// Whether requests are allowed whose URL and headers are in the clear.
    pub allow_plain_requests: bool,
    /// Whether requests without sealed `:method` and `:authority` are refused.
    pub require_binding: bool,
    /// Which requests must have sealed headers.
    pub require_sealed_headers: RequireSealedHeaders,
    /// Weaker KEMs are refused.
    pub min_kem: KemId,
    /// Further attempts after a connection could not be made.
    pub retries: usize,
}

/// The keys that sign client ids: the current one, and its predecessor while a rotation is under way.
#[derive(Debug)]
pub struct Secrets {
    /// Signs and verifies.
    pub current: ClientIdSecret,
    /// Only verifies.
    pub previous: Option<ClientIdSecret>,
}

impl Secrets {
    /// The client of a signed id that verifies under either key, with the id as signed by the current key: clients take
    /// it from every response, so that a rotation does not force any client to pair again.
    pub fn verify(&self, signed: &str) -> Option<(ClientId, String)> {
        if let Ok(client) = self.current.verify(signed) {
            return Some((client, signed.to_owned()));
        }
        let client = self.previous.as_ref()?.verify(signed).ok()?;
        Some((client, self.current.sign(client)))
    }
}

/// A key of the domain map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `api.example.com`, perhaps with a port.
    Exact(String),
    /// `*.example.com`: exactly one label instead of the `*`. Holds the part after the `*`, including the dot.
    Wildcard(String),
    /// `*`: every host that no other key matches.
    Default,
}

/// Why a key of the domain map is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The host, or the part after the `*`, is wrong.
    #[error("{}{}", .0, remedy(*.0))]
    Host(HostError),
    /// A `*` in another place, or more than one.
    #[error("is not a host: a * must be the whole key or the whole first label; {REMEDY}")]
    Star,
    /// A wildcard, or `*`, with a port.
    #[error("has a * and a port, but a * matches every port: leave the port out")]
    WildcardPort,
}

const REMEDY: &str = "write api.example.com, *.example.com (one label) or * (any other host)";

fn remedy(error: HostError) -> String {
    match error {
        HostError::Port => ": leave the port out to take the host on every port".to_owned(),
        _ => format!(": {REMEDY}"),
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let Some(rest) = text.strip_prefix('*') else {
            if text.contains('*') {
                return Err(PatternError::Star);
            }
            let (host, port) = host::parse(text).map_err(PatternError::Host)?;
            return Ok(Self::Exact(port.map_or(host.clone(), |port| format!("{host}:{port}"))));
        };
        match rest.strip_prefix('.') {
            None if rest.is_empty() => Ok(Self::Default),
            None if rest.starts_with(':') => Err(PatternError::WildcardPort),
            Some(rest) if !rest.contains('*') => match host::parse(rest).map_err(PatternError::Host)? {
                (_, Some(_)) => Err(PatternError::WildcardPort),
                (host, None) => Ok(Self::Wildcard(format!(".{host}"))),
            },
            _ => Err(PatternError::Star),
        }
    }
}

/// The domain map.
#[derive(Debug, Default)]
pub struct Domains {
    exact: HashMap<String, Arc<Tenant>>,
    wildcard: HashMap<String, Arc<Tenant>>,
    default: Option<Arc<Tenant>>,
}

impl Domains {
    /// Adds a tenant; the caller ensures that each host is added only once.
    pub fn insert(&mut self, pattern: HostPattern, tenant: Arc<Tenant>) {
        match pattern {
            HostPattern::Exact(host) => drop(self.exact.insert(host, tenant)),
            HostPattern::Wildcard(suffix) => drop(self.wildcard.insert(suffix, tenant)),
            HostPattern::Default => self.default = Some(tenant),
        }
    }

    /// The tenant of connections without a host name.
    pub fn default_tenant(&self) -> Option<&Arc<Tenant>> {
        self.default.as_ref()
    }

    /// The tenant of an inbound host (as in `Host` or `:authority`, with or without a port): the exact key
    /// first, then the wildcard, then the default.
    pub fn find(&self, host: &str) -> Option<&Arc<Tenant>> {
        if host.bytes().any(|b| b.is_ascii_uppercase()) {
            return self.find_lower(&host.to_ascii_lowercase());
        }
        self.find_lower(host)
    }

    fn find_lower(&self, host: &str) -> Option<&Arc<Tenant>> {
        if let Some(tenant) = self.exact.get(host) {
            return Some(tenant);
        }
        let name = without_port(host).trim_end_matches('.');
        let wildcard = || self.wildcard.get(&name[name.find('.')?..]);
        self.exact.get(name).or_else(wildcard).or(self.default.as_ref())
    }

    /// Whether there is more than one tenant.
    pub fn are_several(&self) -> bool {
        self.exact.len() + self.wildcard.len() + usize::from(self.default.is_some()) > 1
    }

    /// The expiry of the tenants' certificates, in seconds since 1970, by tenant name.
    pub fn certificates(&self) -> impl Iterator<Item = (&str, i64)> {
        self.tenants().filter_map(|tenant| Some((&*tenant.name, tenant.tls.as_ref()?.certificate.not_after?)))
    }

    /// All tenants, in no particular order.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.exact.values().chain(self.wildcard.values()).chain(&self.default)
    }
}

/// Whether a text is a valid host with or without a port, so that it can be used in links.
pub fn is_host(text: &str) -> bool {
    let valid = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b':' | b'[' | b']');
    let port = &text[without_port(text).len()..];
    !text.is_empty() && text.bytes().all(valid) && port.bytes().skip(1).all(|digit| digit.is_ascii_digit())
}

/// A host without its port; an IPv6 literal keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_id_follows_from_its_name_alone_and_never_changes() {
        let bytes = [0xa3, 0x79, 0xa6, 0xf6, 0xee, 0xaf, 0xb9, 0xa5];
        assert_eq!(TenantId::of("example.com").as_bytes()[..8], bytes);
        assert_eq!(TenantId::of("EXAMPLE.com"), TenantId::of("example.com"));
        assert_ne!(TenantId::of("*.example.com"), TenantId::of("example.com"));
    }

    #[test]
    fn host_keys_are_exact_wildcard_or_default() {
        assert_eq!("API.Example.com.".parse(), Ok(HostPattern::Exact("api.example.com".into())));
        assert_eq!("*.example.com".parse(), Ok(HostPattern::Wildcard(".example.com".into())));
        assert_eq!("*".parse(), Ok(HostPattern::Default));
        for wrong in ["", "a b", "*example.com", "a.*.com", "http://a", "*.*.a", "**", "*.", "*."] {
            assert!(wrong.parse::<HostPattern>().is_err(), "{wrong:?}");
        }
        for wrong in ["*:8080", "*.example.com:8080"] {
            assert_eq!(wrong.parse::<HostPattern>(), Err(PatternError::WildcardPort), "{wrong:?}");
        }
        assert_eq!("*.Bücher.example.".parse(), Ok(HostPattern::Wildcard(".xn--bcher-kva.example".into())));
    }

    #[test]
    fn ports_are_left_out_but_not_of_ipv6_literals() {
        assert_eq!(without_port("a.test:8080"), "a.test");
        assert_eq!(without_port("[::1]:8080"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }
}
