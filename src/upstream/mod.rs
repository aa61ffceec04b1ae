//! A tenant's upstream: its peers, their addresses and health, and how to connect to them. It does not depend on the
//! configuration or the gateway: it gets what it needs as arguments.
//!
//! A *peer* is a configured origin; an *endpoint* is one of its addresses. Requests are balanced over both; health and
//! ejection belong to an endpoint.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `url` | an origin as configured |
//! | `options` | the options of an upstream |
//! | `resolve` | resolves names to addresses |
//! | `peer` | a peer's addresses; kept across reloads |
//! | `endpoint` | the health of one address |
//! | `balance` | chooses peer and address for a request |
//! | `fault` | which failures count against a peer |
//! | `health` | active checks |
//! | `describe` | Pingora's errors as text |

mod balance;
mod describe;
mod endpoint;
pub mod fault;
pub mod health;
mod options;
mod peer;
mod resolve;
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
};

use self::{balance::Balancer, options::connection_options};
pub use self::{
    balance::{Failed, Tried},
    describe::describe,
    endpoint::{Endpoint, Health, InUse},
    options::{Balance, Ejection, HealthChecks, Http2, OptionsError, PeerTimeouts, UpstreamOptions},
    peer::PeerState,
    resolve::{Lookup, ResolveError, Resolver},
    url::{UpstreamUrl, UrlError},
};

/// One of a tenant's peers.
#[derive(Debug)]
pub struct Peer {
    url: UpstreamUrl,
    /// Its `Host`.
    pub host: HeaderValue,
    /// `scheme://authority`, as at the start of a `location` that points to this peer.
    pub origin: String,
    /// Its share of the requests.
    pub weight: u32,
    /// Its addresses and their health.
    pub state: Arc<PeerState>,
    sni: String,
    group_key: u64,
}

/// A tenant's upstream.
pub struct Upstream {
    /// The tenant's name.
    pub tenant: String,
    /// The peers; at least one.
    pub peers: Vec<Peer>,
    balancer: Balancer,
    options: PeerOptions,
    dns_refresh: Duration,
    /// Active health checks.
    pub health: Option<HealthChecks>,
    ejection: Ejection,
    /// Whether the relay is not ready while no peer is healthy.
    pub ready: bool,
}

/// The destination of a request.
#[derive(Debug)]
pub struct Choice {
    /// The peer, by its index.
    pub peer: usize,
    /// The peer's address; the request counts as in flight at it until this is dropped.
    pub endpoint: InUse,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.peers.iter().map(|peer| &peer.origin)).finish()
    }
}

impl Upstream {
    /// An upstream of peers with their weights and states; nothing is resolved or connected yet.
    ///
    /// # Errors
    /// [`OptionsError`]: a certificate authority that is not a PEM certificate, or a host that is not valid in `Host`.
    pub fn new(
        peers: Vec<(UpstreamUrl, u32, Arc<PeerState>)>,
        options: UpstreamOptions,
    ) -> Result<Self, OptionsError> {
        let weights: Vec<_> = peers.iter().map(|(_, weight, _)| *weight).collect();
        let peers = peers.into_iter().map(|peer| Peer::new(peer, &options)).collect::<Result<_, _>>()?;
        Ok(Self {
            peers,
            balancer: Balancer::new(options.balance, &weights),
            options: connection_options(&options)?,
            tenant: options.tenant,
            dns_refresh: options.dns_refresh,
            health: options.health,
            ejection: options.ejection,
            ready: options.ready,
        })
    }

    /// The destination of a request of `key`, a client; `tried` are its failed attempts. `None`: no peer is healthy.
    pub fn choose(&self, key: &impl Hash, tried: &Tried) -> Option<Choice> {
        let (peer, endpoint) = self.balancer.choose(&self.peers, key, tried)?;
        self.refresh(peer);
        Some(Choice { peer, endpoint: endpoint.enter() })
    }

    /// Resolves the address of a choice whose name is not resolved yet; leaves any other unchanged.
    ///
    /// # Errors
    /// [`ResolveError`] if the name does not resolve.
    pub async fn resolve(
        &self,
        choice: &mut Choice,
        key: &impl Hash,
        tried: &Tried,
    ) -> Result<(), ResolveError> {
        if choice.endpoint.address.is_none() {
            let peer = &self.peers[choice.peer];
            peer.state.resolve(self.connect_limit()).await?;
            if let Some(endpoint) = self.balancer.choose_endpoint(peer, choice.peer, key, tried) {
                choice.endpoint = endpoint.enter();
            }
        }
        Ok(())
    }

    /// How to connect to an endpoint of the peer at `index`, for Pingora; `None` if its name is not resolved.
    pub fn connection(&self, index: usize, endpoint: &Endpoint, upgrades: bool) -> Option<Box<HttpPeer>> {
        let peer = &self.peers[index];
        let mut connection = HttpPeer::new(endpoint.address?, peer.url.tls, peer.sni.clone());
        connection.group_key = peer.group_key;
        connection.options = self.options.clone();
        if upgrades {
            // Over HTTP/2 an upgrade is not possible.
            connection.options.alpn = ALPN::H1;
        } else {
            connection.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        }
        Some(Box::new(connection))
    }

    /// Records a request that failed through the peer's fault; `true` if the endpoint is ejected because of it. A tenant's
    /// only endpoint is never ejected.
    pub fn failed(&self, endpoint: &Endpoint, why: &str) -> bool {
        let only = self.peers.len() == 1 && !self.peers[0].state.is_several();
        let failures = if only { 0 } else { self.ejection.failures };
        endpoint.failed(&Ejection { failures, ..self.ejection.clone() }, why)
    }

    /// Whether any peer can receive requests.
    pub fn is_available(&self) -> bool {
        self.peers.iter().any(|peer| peer.state.health() != Health::Unhealthy)
    }

    /// Resolves the name of the peer at `index` again in the background if it is due.
    fn refresh(&self, index: usize) {
        self.peers[index].state.refresh(self.dns_refresh, self.connect_limit());
    }

    fn connect_limit(&self) -> Duration {
        self.options.total_connection_timeout.unwrap_or(Duration::MAX)
    }
}

impl Peer {
    fn new(
        (url, weight, state): (UpstreamUrl, u32, Arc<PeerState>),
        options: &UpstreamOptions,
    ) -> Result<Self, OptionsError> {
        let host = HeaderValue::from_str(&url.authority())?;
        let sni = options.sni.clone().unwrap_or_else(|| url.host.clone());
        // Pingora's pool distinguishes peers by address, name and this key, but not by authority or tenant.
        let mut hasher = DefaultHasher::new();
        (&options.tenant, options.verify, &options.ca_pem, &sni, options.http2).hash(&mut hasher);
        let (group_key, origin) = (hasher.finish(), url.to_string());
        Ok(Self { url, host, origin, weight, state, sni, group_key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Peers without connections, for the tests of `balance`.
    pub(super) fn peers(weights: &[u32]) -> Vec<Peer> {
        let peer = |(index, weight): (usize, &u32)| {
            let url: UpstreamUrl = format!("http://127.0.0.1:{}", 9_000 + index).parse().unwrap();
            (url.clone(), *weight, Arc::new(PeerState::new(url, Resolver::default())))
        };
        Upstream::new(weights.iter().enumerate().map(peer).collect(), options()).unwrap().peers
    }

    /// A peer whose name has these addresses.
    pub(super) fn named(addresses: &[&str]) -> Peer {
        let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let resolver = Resolver::new(move |_, _| {
            let addresses = addresses.clone();
            Box::pin(async { Ok(addresses) })
        });
        let url: UpstreamUrl = "http://backend.test".parse().unwrap();
        let state = Arc::new(PeerState::new(url.clone(), resolver));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(state.resolve(Duration::from_secs(10))).unwrap();
        Peer::new((url, 1, state), &options()).unwrap()
    }

    /// The only endpoint of a peer.
    pub(super) fn endpoint(peer: &Peer) -> Arc<Endpoint> {
        let endpoints = peer.state.endpoints();
        let [only] = &endpoints[..] else { panic!("{endpoints:?}") };
        only.clone()
    }

    pub(super) fn health_checks() -> HealthChecks {
        HealthChecks {
            path: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            unhealthy_after: 2,
            healthy_after: 1,
        }
    }

    fn options() -> UpstreamOptions {
        let second = Duration::from_secs(1);
        UpstreamOptions {
            tenant: "t".into(),
            verify: true,
            ca_pem: None,
            sni: None,
            http2: Http2::Auto,
            dns_refresh: Duration::from_secs(3_600),
            timeouts: PeerTimeouts { connect: second, read: second, write: second, idle: second },
            balance: Balance::RoundRobin,
            health: None,
            ejection: Ejection { failures: 5, time: second },
            ready: false,
        }
    }

    fn upstream(peer: Peer) -> Upstream {
        Upstream::new(vec![(peer.url, 1, peer.state)], options()).unwrap()
    }

    #[test]
    fn a_single_address_is_never_ejected() {
        let upstream = upstream(peers(&[1]).remove(0));
        let endpoint = endpoint(&upstream.peers[0]);
        assert!((0..100).all(|_| !upstream.failed(&endpoint, "reset")));
        let mut tried = Tried::default();
        tried.add(0, endpoint.address, Failed::Connecting);
        assert!(upstream.choose(&"", &tried).is_some());
    }

    #[test]
    fn one_address_of_several_of_a_single_peer_is_ejected() {
        let upstream = upstream(named(&["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"]));
        let endpoints = upstream.peers[0].state.endpoints();
        assert!((0..5).any(|_| upstream.failed(&endpoints[0], "reset")));
        assert_eq!(endpoints[0].health(), Health::Ejected);
        for _ in 0..6 {
            let choice = upstream.choose(&"", &Tried::default()).unwrap();
            assert_ne!(choice.endpoint.address, endpoints[0].address);
        }
    }
}
