//! One peer's addresses, each an endpoint with its own health. The state is kept across reloads.
//!
//! A literal address is always one endpoint. A name starts with one endpoint without an address, until it is resolved. It is
//! resolved again periodically, while requests use the known addresses: addresses that remain keep their state, and if the
//! name no longer resolves, the last addresses stay in use.

use std::{
    hash::Hash,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{
    Balance, Endpoint, Health, ResolveError, Resolver, UpstreamUrl,
    balance::{Rank, Tried, choose_endpoint},
};

/// The state of one peer of one tenant, kept across reloads.
#[derive(Debug)]
pub struct PeerState {
    url: UpstreamUrl,
    resolver: Resolver,
    known: ArcSwap<Known>,
    resolving: AtomicBool,
    /// Before any address is known, one request resolves the name and the others wait for it.
    first: tokio::sync::Mutex<()>,
    /// Counts the choices among endpoints that are equally good.
    turn: AtomicUsize,
}

/// What is known about a peer's addresses.
#[derive(Debug)]
struct Known {
    /// Never empty.
    endpoints: Vec<Arc<Endpoint>>,
    /// When the name was last resolved; `None`: the peer is not a name, or it was not resolved yet.
    at: Option<Instant>,
}

impl PeerState {
    /// A new peer; nothing is resolved yet.
    pub fn new(url: UpstreamUrl, resolver: Resolver) -> Self {
        let host = url.host.trim_start_matches('[').trim_end_matches(']');
        let literal = host.parse().ok().map(|ip| SocketAddr::new(ip, url.port));
        let known = Known { endpoints: vec![Arc::new(Endpoint::new(literal))], at: None };
        Self {
            url,
            resolver,
            known: ArcSwap::from_pointee(known),
            resolving: AtomicBool::new(false),
            first: tokio::sync::Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// The current endpoints.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.known.load().endpoints.clone()
    }

    /// Whether it has more than one endpoint.
    pub(super) fn is_several(&self) -> bool {
        self.known.load().endpoints.len() > 1
    }

    /// Whether it is a name, whose addresses may change.
    pub fn is_name(&self) -> bool {
        let known = self.known.load();
        known.at.is_some() || known.endpoints[0].address.is_none()
    }

    /// The health of its best endpoint.
    pub fn health(&self) -> Health {
        let known = self.known.load();
        known.endpoints.iter().map(|endpoint| endpoint.health()).min().unwrap_or(Health::Unhealthy)
    }

    /// Why an endpoint is unhealthy or ejected: the first reason found.
    pub fn why(&self) -> Option<Arc<str>> {
        self.known.load().endpoints.iter().find_map(|endpoint| endpoint.why())
    }

    /// Number of requests in flight at its endpoints.
    pub fn in_flight(&self) -> usize {
        self.known.load().endpoints.iter().map(|endpoint| endpoint.in_flight()).sum()
    }

    /// Health checks were removed from the configuration: their results are cleared.
    pub fn forget_checks(&self) {
        self.known.load().endpoints.iter().for_each(|endpoint| endpoint.forget_checks());
    }

    /// The rank of its best endpoint; `None`: none is healthy.
    pub(super) fn rank(&self, index: usize, tried: &Tried) -> Option<Rank> {
        self.known.load().endpoints.iter().filter_map(|endpoint| tried.rank(index, endpoint)).min()
    }

    /// The endpoint for a request of `key`; `index` is the peer's own.
    pub(super) fn choose(
        &self,
        balance: Balance,
        index: usize,
        key: &impl Hash,
        tried: &Tried,
    ) -> Option<Arc<Endpoint>> {
        choose_endpoint(&self.known.load().endpoints, &self.turn, balance, index, key, tried)
    }

    /// Resolves the name if it is not resolved yet.
    ///
    /// # Errors
    /// [`ResolveError`] if the name does not resolve within `limit`.
    pub(super) async fn resolve(&self, limit: Duration) -> Result<(), ResolveError> {
        if self.is_resolved() {
            return Ok(());
        }
        let _asking = self.first.lock().await;
        if self.is_resolved() {
            return Ok(());
        }
        let addresses = self.resolver.resolve(&self.url, limit).await?;
        self.learn(addresses);
        Ok(())
    }

    fn is_resolved(&self) -> bool {
        self.known.load().endpoints[0].address.is_some()
    }

    /// Resolves the name again in the background if the last time is longer ago than `after`.
    pub(super) fn refresh(self: &Arc<Self>, after: Duration, limit: Duration) {
        let due = self.known.load().at.is_some_and(|at| at.elapsed() > after);
        if !due || self.resolving.swap(true, Ordering::Relaxed) {
            return;
        }
        let peer = self.clone();
        tokio::spawn(async move {
            match peer.resolver.resolve(&peer.url, limit).await {
                Ok(addresses) => peer.learn(addresses),
                Err(error) => {
                    log::warn!("{error}; the addresses known so far stay in use");
                    // Until the next attempt is due.
                    let endpoints = peer.endpoints();
                    peer.known.store(Arc::new(Known { endpoints, at: Some(Instant::now()) }));
                }
            }
            peer.resolving.store(false, Ordering::Relaxed);
        });
    }

    /// Sets a name's addresses: known ones keep their state and position.
    fn learn(&self, addresses: Vec<SocketAddr>) {
        let mut endpoints = self.endpoints();
        endpoints.retain(|endpoint| endpoint.address.is_some_and(|address| addresses.contains(&address)));
        for address in addresses {
            if !endpoints.iter().any(|endpoint| endpoint.address == Some(address)) {
                endpoints.push(Arc::new(Endpoint::new(Some(address))));
            }
        }
        self.known.store(Arc::new(Known { endpoints, at: Some(Instant::now()) }));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use parking_lot::Mutex;

    use super::*;
    use crate::upstream::Ejection;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A name with the addresses in the list; with an empty list, it does not resolve.
    fn named() -> (Arc<PeerState>, Arc<Mutex<Vec<SocketAddr>>>) {
        let answer = Arc::new(Mutex::new(Vec::new()));
        let shared = answer.clone();
        let resolver = Resolver::new(move |host, port| {
            assert_eq!((host.as_str(), port), ("backend.test", 80));
            let addresses = shared.lock().clone();
            Box::pin(async move {
                if addresses.is_empty() { Err(io::Error::other("no such name")) } else { Ok(addresses) }
            })
        });
        (Arc::new(PeerState::new("http://backend.test".parse().unwrap(), resolver)), answer)
    }

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn known(peer: &PeerState) -> Vec<String> {
        peer.endpoints().iter().map(|endpoint| endpoint.address.unwrap().to_string()).collect()
    }

    async fn refreshed(peer: &Arc<PeerState>) {
        peer.refresh(Duration::ZERO, LIMIT);
        while peer.resolving.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn addresses_that_stay_keep_their_state_and_removed_ones_lose_it() {
        let (peer, answer) = named();
        *answer.lock() = addresses(&["192.0.2.1:80", "192.0.2.2:80", "192.0.2.1:80"]);
        peer.resolve(LIMIT).await.unwrap();
        assert_eq!(known(&peer), ["192.0.2.1:80", "192.0.2.2:80"]);
        let ejection = Ejection { failures: 1, time: Duration::from_secs(60) };
        let [one, two] = &peer.endpoints()[..] else { panic!() };
        assert!(one.failed(&ejection, "reset") && two.failed(&ejection, "reset"));
        let in_use = two.enter();

        *answer.lock() = addresses(&["[2001:db8::3]:80", "192.0.2.2:80"]);
        refreshed(&peer).await;
        assert_eq!(known(&peer), ["192.0.2.2:80", "[2001:db8::3]:80"]);
        let stand: Vec<_> = peer.endpoints().iter().map(|endpoint| endpoint.health()).collect();
        assert_eq!(stand, [Health::Ejected, Health::Unchecked]);
        assert_eq!((peer.in_flight(), peer.health()), (1, Health::Unchecked));
        drop(in_use);
        assert_eq!(peer.in_flight(), 0);

        *answer.lock() = addresses(&["192.0.2.1:80"]);
        refreshed(&peer).await;
        assert_eq!(peer.health(), Health::Unchecked, "an address that is added again is new");
    }

    #[tokio::test]
    async fn a_name_that_no_longer_resolves_keeps_its_last_addresses() {
        let (peer, answer) = named();
        let error = peer.resolve(LIMIT).await.unwrap_err();
        assert_eq!(error.to_string(), "backend.test does not resolve: no such name");
        assert!(peer.is_name() && peer.endpoints()[0].address.is_none());
        *answer.lock() = addresses(&["192.0.2.1:80"]);
        peer.resolve(LIMIT).await.unwrap();
        answer.lock().clear();
        refreshed(&peer).await;
        assert_eq!(known(&peer), ["192.0.2.1:80"]);
    }

    #[test]
    fn a_literal_address_is_never_resolved() {
        for (url, address) in
            [("http://192.0.2.1", "192.0.2.1:80"), ("https://[2001:DB8::1]", "[2001:db8::1]:443")]
        {
            let resolver = Resolver::new(|_, _| panic!("asked"));
            let peer = Arc::new(PeerState::new(url.parse().unwrap(), resolver));
            peer.refresh(Duration::ZERO, LIMIT);
            assert_eq!(known(&peer), [address]);
            assert!(!peer.is_name());
        }
    }
}
