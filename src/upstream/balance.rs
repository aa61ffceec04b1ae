//! Which peer a request goes to.

use std::{
    hash::{BuildHasher, Hash},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::config::Balance;

use super::{Health, Peer};

/// The same in every process and after every restart, so that relays side by side agree on a client's peer.
type StableHasher = std::hash::BuildHasherDefault<std::collections::hash_map::DefaultHasher>;

/// Chooses peers by one of the ways.
#[derive(Debug)]
pub struct Balancer {
    balance: Balance,
    /// Peers by index, each as often as its weight says, spread out.
    turns: Vec<usize>,
    next: AtomicUsize,
}

impl Balancer {
    /// Weights are taken in lowest terms.
    pub fn new(balance: Balance, weights: &[u32]) -> Self {
        Self { balance, turns: spread(weights), next: AtomicUsize::new(0) }
    }

    /// The index of the peer for a request of `key`, a client. Peers in `tried` come last; unhealthy ones never, and
    /// ejected ones only if there is nothing else. `None`: no peer is healthy.
    pub fn choose(&self, peers: &[Peer], key: &impl Hash, tried: &[usize]) -> Option<usize> {
        let best = |index: usize| match peers[index].state.health() {
            Health::Unhealthy => None,
            Health::Ejected => Some(2 + usize::from(tried.contains(&index))),
            Health::Healthy | Health::Unchecked => Some(usize::from(tried.contains(&index))),
        };
        let ranks: Vec<_> = (0..peers.len()).map(best).collect();
        let rank = ranks.iter().flatten().min().copied()?;
        let fits = |index: &usize| ranks[*index] == Some(rank);
        match self.balance {
            Balance::RoundRobin => {
                // Only the turns of peers that fit count, so that all of them share what the others cannot take.
                let count = self.turns.iter().filter(|index| fits(index)).count();
                let turn = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
                self.turns.iter().copied().filter(fits).nth(turn)
            }
            Balance::LeastConnections => {
                // Ties go in turn, so that idle peers share the work.
                // Looked at once: other requests come and go meanwhile.
                let mut idlest: Vec<_> =
                    (0..peers.len()).filter(fits).map(|index| (index, load(&peers[index]))).collect();
                let least = idlest.iter().map(|(_, load)| *load).min_by(f64::total_cmp)?;
                idlest.retain(|(_, load)| *load <= least);
                let turn = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(idlest.len())?;
                idlest.get(turn).map(|(index, _)| *index)
            }
            Balance::ConsistentHash => (0..peers.len())
                .filter(fits)
                .max_by(|a, b| score(&peers[*a], key).total_cmp(&score(&peers[*b], key))),
        }
    }
}

fn load(peer: &Peer) -> f64 {
    (peer.state.in_flight() + 1) as f64 / f64::from(peer.weight)
}

/// Weighted rendezvous hashing: a peer that goes or comes moves its own clients only.
fn score(peer: &Peer, key: &impl Hash) -> f64 {
    let hash = StableHasher::default().hash_one((&peer.origin, key));
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(peer.weight) / uniform.ln()
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
    use super::*;
    use crate::{
        config::{EjectionSettings, HealthSettings, Span},
        upstream::tests::peers,
    };

    fn unhealthy(peer: &Peer) {
        peer.state.checked(0, &HealthSettings::default(), Err("down".into()));
    }

    #[test]
    fn turns_follow_the_weights_and_are_spread_out() {
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
            assert_eq!(balancer.choose(&peers, &"", &[1]), Some(2));
        }
        assert!(balancer.choose(&peers, &"", &[1, 2]).is_some_and(|index| index != 0));
        peers.iter().for_each(unhealthy);
        assert_eq!(balancer.choose(&peers, &"", &[]), None);
    }

    #[test]
    fn an_ejected_peer_is_used_only_if_there_is_no_other() {
        let peers = peers(&[1, 1]);
        let balancer = Balancer::new(Balance::RoundRobin, &[1, 1]);
        let settings = EjectionSettings { failures: 1, time: Span(std::time::Duration::from_secs(60)) };
        assert!(peers[0].state.failed(&settings, "reset"));
        assert!((0..4).all(|_| balancer.choose(&peers, &"", &[]) == Some(1)));
        unhealthy(&peers[1]);
        assert_eq!(balancer.choose(&peers, &"", &[]), Some(0));
    }

    #[test]
    fn the_least_busy_peer_by_weight_is_next() {
        let peers = peers(&[1, 2]);
        let balancer = Balancer::new(Balance::LeastConnections, &[1, 2]);
        let mut held = Vec::new();
        let mut counts = [0, 0];
        for _ in 0..30 {
            let index = balancer.choose(&peers, &"", &[]).unwrap();
            counts[index] += 1;
            held.push(peers[index].state.enter());
        }
        assert_eq!(counts, [10, 20]);
    }

    #[test]
    fn a_client_keeps_its_peer_and_only_those_of_a_lost_peer_move() {
        let all = peers(&[1, 1, 1, 1]);
        let balancer = Balancer::new(Balance::ConsistentHash, &[1, 1, 1, 1]);
        let before: Vec<_> = (0..1_000).map(|client| balancer.choose(&all, &client, &[]).unwrap()).collect();
        let counts: Vec<_> =
            (0..4).map(|index| before.iter().filter(|chosen| **chosen == index).count()).collect();
        assert!(counts.iter().all(|count| (150..350).contains(count)), "{counts:?}");
        unhealthy(&all[2]);
        for (client, was) in before.iter().enumerate() {
            let now = balancer.choose(&all, &(client as i32), &[]).unwrap();
            assert!(if *was == 2 { now != 2 } else { now == *was });
        }
    }

    #[test]
    fn all_others_share_what_a_lost_peer_cannot_take() {
        for balance in [Balance::RoundRobin, Balance::LeastConnections] {
            let peers = peers(&[1, 1, 1, 1]);
            let balancer = Balancer::new(balance, &[1, 1, 1, 1]);
            unhealthy(&peers[1]);
            let mut counts = [0; 4];
            (0..300).for_each(|_| counts[balancer.choose(&peers, &"", &[]).unwrap()] += 1);
            assert_eq!(counts, [100, 0, 100, 100], "{balance:?}");
        }
    }

    #[test]
    fn there_is_a_least_busy_peer_while_others_come_and_go() {
        let peers = peers(&[1, 1, 1]);
        let balancer = Balancer::new(Balance::LeastConnections, &[1, 1, 1]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let index = balancer.choose(&peers, &"", &[]).expect("a peer");
                        drop(peers[index].state.enter());
                    }
                });
            }
        });
    }
}
