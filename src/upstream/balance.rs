//! Chooses the peer for a request, and one of the peer's addresses.
//!
//! A peer's weight is its share of the requests, however many addresses it has; they divide it among them.

use std::{
    hash::{BuildHasher, Hash},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Balance, Endpoint, Health, Peer};

/// The same in every process and after every restart, so that several relays agree on a client's peer.
type StableHasher = std::hash::BuildHasherDefault<std::collections::hash_map::DefaultHasher>;

/// How an attempt at an endpoint failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Nothing can be sent there: the whole family of addresses may be out of reach.
    NoRoute,
    /// No connection could be made.
    Connecting,
    /// With the request in flight.
    Serving,
}

/// What failed for one request so far.
#[derive(Debug, Default)]
pub struct Tried(Vec<(usize, Option<SocketAddr>, Failed)>);

/// The rank of an endpoint as a choice; lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u8);

impl Tried {
    /// An attempt failed at an address of the peer at `index`; without an address its name did not resolve.
    pub fn add(&mut self, index: usize, address: Option<SocketAddr>, how: Failed) {
        self.0.push((index, address, how));
    }

    /// `None` for an endpoint that must not be used. Ejected ones come last, and before them those that failed for this
    /// request. Among the others, those that may fail for the same reason come later: addresses of a family that cannot be
    /// reached, other addresses of a peer that failed, and addresses of the same family.
    pub(super) fn rank(&self, index: usize, endpoint: &Endpoint) -> Option<Rank> {
        let mut rank = match endpoint.health() {
            Health::Unhealthy => return None,
            Health::Ejected => 16,
            Health::Healthy | Health::Unchecked => 0,
        };
        let family = |address: &SocketAddr| address.is_ipv4();
        for (peer, address, how) in &self.0 {
            let same_family =
                address.is_some() && address.as_ref().map(family) == endpoint.address.as_ref().map(family);
            if *peer == index {
                rank |= 2;
                rank |= u8::from(address.is_none() || *address == endpoint.address) * 8;
            }
            rank |= u8::from(same_family && *how == Failed::NoRoute) * 4;
            rank |= u8::from(same_family && *how == Failed::Connecting);
        }
        Some(Rank(rank))
    }
}

/// Chooses peers by one of the methods.
#[derive(Debug)]
pub(crate) struct Balancer {
    balance: Balance,
    /// Peers by index, each as often as its weight, spread evenly.
    turns: Vec<usize>,
    next: AtomicUsize,
}

impl Balancer {
    /// Weights are reduced to lowest terms.
    pub(crate) fn new(balance: Balance, weights: &[u32]) -> Self {
        Self { balance, turns: spread(weights), next: AtomicUsize::new(0) }
    }

    /// The index of the peer for a request of `key`, a client, and its endpoint. Unhealthy endpoints are never chosen, and
    /// ejected ones only if there are no others. `None`: none is healthy.
    pub(crate) fn choose(
        &self,
        peers: &[Peer],
        key: &impl Hash,
        tried: &Tried,
    ) -> Option<(usize, Arc<Endpoint>)> {
        let index = if peers.len() == 1 { 0 } else { self.choose_peer(peers, key, tried)? };
        let endpoint = self.choose_endpoint(&peers[index], index, key, tried)?;
        Some((index, endpoint))
    }

    /// The endpoint for a request that goes to the peer at `index`.
    pub(crate) fn choose_endpoint(
        &self,
        peer: &Peer,
        index: usize,
        key: &impl Hash,
        tried: &Tried,
    ) -> Option<Arc<Endpoint>> {
        peer.state.choose(self.balance, index, key, tried)
    }

    fn choose_peer(&self, peers: &[Peer], key: &impl Hash, tried: &Tried) -> Option<usize> {
        let ranks: Vec<_> =
            peers.iter().enumerate().map(|(index, peer)| peer.state.rank(index, tried)).collect();
        let rank = ranks.iter().flatten().min().copied()?;
        let fits = |index: &usize| ranks[*index] == Some(rank);
        match self.balance {
            Balance::RoundRobin => {
                // Only the turns of suitable peers count, so that they share the requests that the others cannot take.
                let count = self.turns.iter().filter(|index| fits(index)).count();
                let turn = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
                self.turns.iter().copied().filter(fits).nth(turn)
            }
            Balance::LeastConnections => {
                let load = |peer: &Peer| (peer.state.in_flight() + 1) as f64 / f64::from(peer.weight);
                let loads = (0..peers.len()).filter(fits).map(|index| (index, load(&peers[index])));
                least(loads, &self.next)
            }
            Balance::ConsistentHash => (0..peers.len()).filter(fits).max_by(|a, b| {
                let score = |peer: &Peer| score(&peer.origin, peer.weight, key);
                score(&peers[*a]).total_cmp(&score(&peers[*b]))
            }),
        }
    }
}

/// One of a peer's endpoints. `turn` counts the choices among those that are equally good.
pub(super) fn choose_endpoint(
    endpoints: &[Arc<Endpoint>],
    turn: &AtomicUsize,
    balance: Balance,
    index: usize,
    key: &impl Hash,
    tried: &Tried,
) -> Option<Arc<Endpoint>> {
    if let [only] = endpoints {
        return tried.rank(index, only).map(|_| only.clone());
    }
    let ranks: Vec<_> = endpoints.iter().map(|endpoint| tried.rank(index, endpoint)).collect();
    let rank = ranks.iter().flatten().min().copied()?;
    let mut fits = (0..endpoints.len()).filter(|at| ranks[*at] == Some(rank));
    let chosen = match balance {
        Balance::RoundRobin => {
            let turn = turn.fetch_add(1, Ordering::Relaxed).checked_rem(fits.clone().count())?;
            fits.nth(turn)
        }
        Balance::LeastConnections => least(fits.map(|at| (at, endpoints[at].in_flight() as f64)), turn),
        Balance::ConsistentHash => {
            let score = |at: usize| score(&endpoints[at].address, 1, key);
            fits.max_by(|a, b| score(*a).total_cmp(&score(*b)))
        }
    };
    chosen.map(|at| endpoints[at].clone())
}

/// The least loaded one. Ties are resolved in turn, so that idle ones share the work.
fn least(loads: impl Iterator<Item = (usize, f64)>, turn: &AtomicUsize) -> Option<usize> {
    // Read only once: other requests start and end in the meantime.
    let mut idlest: Vec<_> = loads.collect();
    let least = idlest.iter().map(|(_, load)| *load).min_by(f64::total_cmp)?;
    idlest.retain(|(_, load)| *load <= least);
    let turn = turn.fetch_add(1, Ordering::Relaxed).checked_rem(idlest.len())?;
    idlest.get(turn).map(|(index, _)| *index)
}

/// Weighted rendezvous hashing: adding or removing a peer only moves that peer's clients.
fn score(of: &impl Hash, weight: u32, key: &impl Hash) -> f64 {
    let hash = StableHasher::default().hash_one((of, key));
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / uniform.ln()
}

/// Smooth weighted round robin, laid out for one whole round.
fn spread(weights: &[u32]) -> Vec<usize> {
    let common = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<_> = weights.iter().map(|weight| i64::from(weight / common)).collect();
    let total: i64 = weights.iter().sum();
    let mut current = vec![0; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..total {
        current.iter_mut().zip(&weights).for_each(|(current, weight)| *current += weight);
        let most = (0..current.len()).max_by_key(|index| (current[*index], std::cmp::Reverse(*index)));
        if let Some(index) = most {
            current[index] -= total;
            turns.push(index);
        }
    }
    turns
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::{
        Ejection,
        health::CheckError,
        tests::{endpoint, health_checks, named, peers},
    };

    fn unhealthy(peer: &Peer) {
        endpoint(peer).checked(0, &health_checks(), Err(&CheckError::Status(503)));
    }

    fn eject(endpoint: &Endpoint) {
        assert!(endpoint.failed(&Ejection { failures: 1, time: Duration::from_secs(60) }, "reset"));
    }

    /// The peer that is chosen if these have failed, each at the only address it has.
    fn choose(balancer: &Balancer, peers: &[Peer], key: &impl Hash, failed: &[usize]) -> Option<usize> {
        let mut tried = Tried::default();
        failed.iter().for_each(|index| tried.add(*index, endpoint(&peers[*index]).address, Failed::Serving));
        balancer.choose(peers, key, &tried).map(|(index, _)| index)
    }

    #[test]
    fn turns_follow_the_weights_and_are_spread_evenly() {
        assert_eq!(spread(&[1, 1]), [0, 1]);
        assert_eq!(spread(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(spread(&[200, 100]), [0, 1, 0]);
    }

    #[test]
    fn unhealthy_peers_get_nothing_and_tried_ones_come_last() {
        let peers = peers(&[1, 1, 1]);
        let balancer = Balancer::new(Balance::RoundRobin, &[1, 1, 1]);
        unhealthy(&peers[0]);
        for _ in 0..6 {
            assert_eq!(choose(&balancer, &peers, &"", &[1]), Some(2));
        }
        assert!(choose(&balancer, &peers, &"", &[1, 2]).is_some_and(|index| index != 0));
        peers.iter().for_each(unhealthy);
        assert_eq!(choose(&balancer, &peers, &"", &[]), None);
    }

    #[test]
    fn an_ejected_peer_is_used_only_if_there_is_no_other() {
        let peers = peers(&[1, 1]);
        let balancer = Balancer::new(Balance::RoundRobin, &[1, 1]);
        eject(&endpoint(&peers[0]));
        assert!((0..4).all(|_| choose(&balancer, &peers, &"", &[]) == Some(1)));
        unhealthy(&peers[1]);
        assert_eq!(choose(&balancer, &peers, &"", &[]), Some(0));
    }

    #[test]
    fn the_least_busy_peer_by_weight_is_next() {
        let peers = peers(&[1, 2]);
        let balancer = Balancer::new(Balance::LeastConnections, &[1, 2]);
        let mut held = Vec::new();
        let mut counts = [0, 0];
        for _ in 0..30 {
            let index = choose(&balancer, &peers, &"", &[]).unwrap();
            counts[index] += 1;
            held.push(endpoint(&peers[index]).enter());
        }
        assert_eq!(counts, [10, 20]);
    }

    #[test]
    fn a_client_keeps_its_peer_and_only_those_of_a_lost_peer_move() {
        let all = peers(&[1, 1, 1, 1]);
        let balancer = Balancer::new(Balance::ConsistentHash, &[1, 1, 1, 1]);
        let before: Vec<_> =
            (0..1_000).map(|client| choose(&balancer, &all, &client, &[]).unwrap()).collect();
        let counts: Vec<_> =
            (0..4).map(|index| before.iter().filter(|chosen| **chosen == index).count()).collect();
        assert!(counts.iter().all(|count| (150..350).contains(count)), "{counts:?}");
        unhealthy(&all[2]);
        for (client, was) in before.iter().enumerate() {
            let now = choose(&balancer, &all, &(client as i32), &[]).unwrap();
            assert!(if *was == 2 { now != 2 } else { now == *was });
        }
    }

    #[test]
    fn all_others_share_the_requests_of_a_lost_peer() {
        for balance in [Balance::RoundRobin, Balance::LeastConnections] {
            let peers = peers(&[1, 1, 1, 1]);
            let balancer = Balancer::new(balance, &[1, 1, 1, 1]);
            unhealthy(&peers[1]);
            let mut counts = [0; 4];
            (0..300).for_each(|_| counts[choose(&balancer, &peers, &"", &[]).unwrap()] += 1);
            assert_eq!(counts, [100, 0, 100, 100], "{balance:?}");
        }
    }

    #[test]
    fn a_least_busy_peer_is_chosen_while_requests_start_and_end() {
        let peers = peers(&[1, 1, 1]);
        let balancer = Balancer::new(Balance::LeastConnections, &[1, 1, 1]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let index = choose(&balancer, &peers, &"", &[]).expect("a peer");
                        drop(endpoint(&peers[index]).enter());
                    }
                });
            }
        });
    }

    /// A peer with these addresses, and what is chosen there after these failures.
    fn addresses(list: &[&str], balance: Balance, failed: &[(&str, Failed)], times: usize) -> Vec<String> {
        let peer = named(list);
        let mut tried = Tried::default();
        failed.iter().for_each(|(address, how)| tried.add(0, address.parse().ok(), *how));
        let balancer = Balancer::new(balance, &[1]);
        let peers = [peer];
        let chosen = (0..times)
            .map(|client| balancer.choose(&peers, &client, &tried).unwrap().1.address.unwrap().to_string());
        chosen.collect()
    }

    const MIXED: [&str; 4] = ["[2001:db8::1]:80", "[2001:db8::2]:80", "192.0.2.1:80", "192.0.2.2:80"];

    #[test]
    fn the_addresses_of_a_name_share_its_requests() {
        for balance in [Balance::RoundRobin, Balance::LeastConnections] {
            assert_eq!(addresses(&MIXED, balance, &[], 4), MIXED);
        }
        let hashed = addresses(&MIXED, Balance::ConsistentHash, &[], 400);
        for address in MIXED {
            assert!((50..150).contains(&hashed.iter().filter(|chosen| *chosen == address).count()));
        }
        let fewer = addresses(&MIXED[1..], Balance::ConsistentHash, &[], 400);
        assert!(hashed.iter().zip(&fewer).all(|(was, now)| was == MIXED[0] || was == now));
    }

    #[test]
    fn after_an_address_that_could_not_be_reached_the_other_family_is_next() {
        for how in [Failed::NoRoute, Failed::Connecting] {
            for balance in [Balance::RoundRobin, Balance::LeastConnections, Balance::ConsistentHash] {
                for chosen in addresses(&MIXED, balance, &[(MIXED[0], how)], 8) {
                    assert!(chosen.starts_with("192"), "{chosen}");
                }
                for chosen in addresses(&MIXED, balance, &[(MIXED[2], how)], 8) {
                    assert!(chosen.starts_with('['), "{chosen}");
                }
            }
        }
        let all: Vec<_> = MIXED.iter().map(|address| (*address, Failed::NoRoute)).collect();
        assert_eq!(addresses(&MIXED, Balance::RoundRobin, &all, 1).len(), 1, "there is always one");
        let three = addresses(&MIXED, Balance::RoundRobin, &all[..3], 3);
        assert_eq!(three, [MIXED[3]; 3]);
    }

    #[test]
    fn after_a_peer_that_refused_another_peer_is_next_before_its_other_addresses() {
        let peers = [named(&["192.0.2.1:80", "192.0.2.2:80"]), named(&["192.0.2.3:80"])];
        let balancer = Balancer::new(Balance::RoundRobin, &[1, 1]);
        let mut tried = Tried::default();
        tried.add(0, "192.0.2.1:80".parse().ok(), Failed::Connecting);
        for _ in 0..4 {
            assert_eq!(balancer.choose(&peers, &"", &tried).unwrap().0, 1);
        }
        tried.add(1, "192.0.2.3:80".parse().ok(), Failed::Connecting);
        let (index, endpoint) = balancer.choose(&peers, &"", &tried).unwrap();
        assert_eq!((index, endpoint.address), (0, "192.0.2.2:80".parse().ok()));
    }

    #[test]
    fn ejected_addresses_are_used_only_if_all_are() {
        let peers = [named(&["192.0.2.1:80", "192.0.2.2:80"])];
        let balancer = Balancer::new(Balance::RoundRobin, &[1]);
        let chosen = || balancer.choose(&peers, &"", &Tried::default()).unwrap().1;
        let endpoints = peers[0].state.endpoints();
        eject(&endpoints[0]);
        assert!((0..4).all(|_| Arc::ptr_eq(&chosen(), &endpoints[1])));
        eject(&endpoints[1]);
        let both: Vec<_> = (0..2).map(|_| chosen().address).collect();
        assert_ne!(both[0], both[1], "all of them again");
        for endpoint in &endpoints {
            endpoint.checked(0, &health_checks(), Err(&CheckError::Status(503)));
        }
        assert!(balancer.choose(&peers, &"", &Tried::default()).is_none());
    }
}
