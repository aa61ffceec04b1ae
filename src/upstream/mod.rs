//! Where a tenant's requests go: its peers, their health, and how to connect to them.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `url` | an origin as it is written |
//! | `resolve` | names to addresses |
//! | `state` | what is known of a peer's health; it outlives a reload |
//! | `describe` | Pingora's errors in words |
//! | `balance` | which peer a request goes to |
//! | `health` | active checks |

mod balance;
mod describe;
pub mod health;
mod resolve;
mod state;
mod url;

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use http::HeaderValue;
use pingora_core::{
    protocols::ALPN,
    upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions},
    utils::tls::{WrappedX509, parse_x509},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use self::balance::Balancer;
pub use self::{
    describe::describe,
    resolve::{Addresses, ResolveError},
    state::{Health, InUse, PeerState},
    url::{UpstreamUrl, UrlError},
};
use crate::config::{Balance, EjectionSettings, HealthSettings, Http2, Timeouts};

/// Requests over one HTTP/2 connection to an upstream at a time.
const MAX_H2_STREAMS: usize = 100;

/// How to connect to an upstream.
#[derive(Debug)]
pub struct UpstreamOptions {
    /// The tenant, so that no two tenants share a connection.
    pub tenant: String,
    /// Whether certificate and name are verified.
    pub verify: bool,
    /// The authorities to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The name to ask for and verify instead of the host.
    pub sni: Option<String>,
    /// Whether HTTP/2 is spoken.
    pub http2: Http2,
    /// Names are resolved again after this time.
    pub dns_refresh: Duration,
    /// Time limits.
    pub timeouts: Timeouts,
    /// How a request's peer is chosen.
    pub balance: Balance,
    /// Active health checks.
    pub health: Option<HealthSettings>,
    /// Passive ejection.
    pub ejection: EjectionSettings,
    /// Readiness fails while no peer is healthy.
    pub ready: bool,
}

/// One of a tenant's peers.
#[derive(Debug)]
pub struct Peer {
    url: UpstreamUrl,
    /// Its own `Host`.
    pub host: HeaderValue,
    /// `scheme://authority`, as it stands at the start of a `location` that points here.
    pub origin: String,
    /// Its share of the requests.
    pub weight: u32,
    /// What is known of its health.
    pub state: Arc<PeerState>,
    sni: String,
    group_key: u64,
}

/// A tenant's upstream.
pub struct Upstream {
    /// The peers; at least one.
    pub peers: Vec<Peer>,
    balancer: Balancer,
    options: PeerOptions,
    dns_refresh: Duration,
    /// Active health checks.
    pub health: Option<HealthSettings>,
    ejection: EjectionSettings,
    /// Readiness fails while no peer is healthy.
    pub ready: bool,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.peers.iter().map(|peer| &peer.origin)).finish()
    }
}

impl Upstream {
    /// An upstream of peers with their weights and lasting states; nothing is resolved or connected yet.
    ///
    /// # Errors
    /// A certificate authority that is no PEM certificate, or a host that cannot stand in `Host`.
    pub fn new(
        peers: Vec<(UpstreamUrl, u32, Arc<PeerState>)>,
        options: UpstreamOptions,
    ) -> Result<Self, String> {
        let weights: Vec<_> = peers.iter().map(|(_, weight, _)| *weight).collect();
        let peers = peers.into_iter().map(|peer| Peer::new(peer, &options)).collect::<Result<_, _>>()?;
        Ok(Self {
            peers,
            balancer: Balancer::new(options.balance, &weights),
            options: peer_options(&options)?,
            dns_refresh: options.dns_refresh,
            health: options.health,
            ejection: options.ejection,
            ready: options.ready,
        })
    }

    /// The index of the peer for a request of `key`, a client; `tried` are those that failed for it.
    /// `None`: no peer is healthy.
    pub fn choose(&self, key: &impl Hash, tried: &[usize]) -> Option<usize> {
        match &self.peers[..] {
            [only] => (only.state.health() != Health::Unhealthy).then_some(0),
            peers => self.balancer.choose(peers, key, tried),
        }
    }

    /// The connection to a peer, for Pingora: its addresses are used in turn.
    ///
    /// # Errors
    /// [`ResolveError`] if the name does not resolve and never did.
    pub async fn connection(&self, index: usize, upgrades: bool) -> Result<Box<HttpPeer>, ResolveError> {
        let peer = &self.peers[index];
        let limit = self.options.total_connection_timeout.unwrap_or(Duration::MAX);
        let address = peer.state.addresses.next(self.dns_refresh, limit).await?;
        let mut connection = HttpPeer::new(address, peer.url.tls, peer.sni.clone());
        connection.group_key = peer.group_key;
        connection.options = self.options.clone();
        if upgrades {
            // Over HTTP/2 an upgrade is not possible.
            connection.options.alpn = ALPN::H1;
        } else {
            connection.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        }
        Ok(Box::new(connection))
    }

    /// Takes note of a failed request; `true` if the peer is ejected for it. A single peer never is.
    pub fn failed(&self, index: usize, why: &str) -> bool {
        let never = EjectionSettings { failures: 0, ..self.ejection.clone() };
        let ejection = if self.peers.len() > 1 { &self.ejection } else { &never };
        self.peers[index].state.failed(ejection, why)
    }

    /// Whether requests can go anywhere.
    pub fn is_available(&self) -> bool {
        self.peers.iter().any(|peer| peer.state.health() != Health::Unhealthy)
    }
}

impl Peer {
    fn new(
        (url, weight, state): (UpstreamUrl, u32, Arc<PeerState>),
        options: &UpstreamOptions,
    ) -> Result<Self, String> {
        let host = HeaderValue::from_str(&url.authority()).map_err(|error| error.to_string())?;
        let sni = options.sni.clone().unwrap_or_else(|| url.host.clone());
        // Pingora's pool tells peers apart by address, name and this key, but not by authority or tenant.
        let mut hasher = DefaultHasher::new();
        (&options.tenant, options.verify, &options.ca_pem, &sni, options.http2).hash(&mut hasher);
        let (group_key, origin) = (hasher.finish(), url.to_string());
        Ok(Self { url, host, origin, weight, state, sni, group_key })
    }
}

fn peer_options(options: &UpstreamOptions) -> Result<PeerOptions, String> {
    let mut peer = PeerOptions::new();
    peer.alpn = match options.http2 {
        Http2::Auto => ALPN::H2H1,
        Http2::Always => ALPN::H2,
        Http2::Never => ALPN::H1,
    };
    peer.max_h2_streams = MAX_H2_STREAMS;
    peer.verify_cert = options.verify;
    peer.verify_hostname = options.verify;
    peer.connection_timeout = Some(options.timeouts.connect);
    peer.total_connection_timeout = Some(options.timeouts.connect);
    peer.read_timeout = Some(options.timeouts.read);
    peer.write_timeout = Some(options.timeouts.write);
    peer.idle_timeout = Some(options.timeouts.idle);
    if let Some(pem) = &options.ca_pem {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .map(|der| der.map(|der| WrappedX509::new(der.to_vec(), parse_x509)))
            .collect::<Result<_, _>>()
            .map_err(|_| "holds no certificate in PEM form that can be read")?;
        if certificates.is_empty() {
            return Err("holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)".into());
        }
        peer.ca = Some(Arc::from(certificates));
    }
    Ok(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Peers without connections, for the tests of `balance`.
    pub(super) fn peers(weights: &[u32]) -> Vec<Peer> {
        let peer = |(index, weight): (usize, &u32)| {
            let url: UpstreamUrl = format!("http://127.0.0.1:{}", 9_000 + index).parse().unwrap();
            (url.clone(), *weight, Arc::new(PeerState::new(url)))
        };
        Upstream::new(weights.iter().enumerate().map(peer).collect(), options()).unwrap().peers
    }

    fn options() -> UpstreamOptions {
        let second = Duration::from_secs(1);
        UpstreamOptions {
            tenant: "t".into(),
            verify: true,
            ca_pem: None,
            sni: None,
            http2: Http2::Auto,
            dns_refresh: second,
            timeouts: Timeouts {
                connect: second,
                read: second,
                write: second,
                idle: second,
                headers: second,
                drain: second,
            },
            balance: Balance::RoundRobin,
            health: None,
            ejection: EjectionSettings::default(),
            ready: false,
        }
    }

    #[test]
    fn a_single_peer_is_never_ejected() {
        let url: UpstreamUrl = "http://127.0.0.1:9000".parse().unwrap();
        let state = Arc::new(PeerState::new(url.clone()));
        let upstream = Upstream::new(vec![(url, 1, state)], options()).unwrap();
        assert!((0..100).all(|_| !upstream.failed(0, "reset")));
        assert_eq!(upstream.choose(&"", &[0]), Some(0));
    }
}
