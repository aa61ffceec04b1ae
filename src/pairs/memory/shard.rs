//! One shard: the pairs of some clients, and for each tenant the order in which they are evicted.
//!
//! A tenant's pairs are in two queues. `unused` has those never used, oldest first; at its first use, a pair enters `used`. An
//! entry of `used` has the time at which its pair was last used when the entry was last inspected: a pair that was used
//! since then is moved to the end, so that a request does not touch a queue. Dead entries, whose pairs were removed, are
//! cleaned up before they outnumber the live ones.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};

use mte_protocol::client_id::ClientId;
use parking_lot::Mutex;

use super::super::{Age, Owner, PairState};
use crate::{config, domains::TenantId, rate::Network};

/// Maximum number of pairs moved to the end in one search, so that a lock is not held for long. Beyond it, the result may be
/// a pair that was used again, but not one whose first use was recent.
const MAX_CHANCES: usize = 64;

/// Fewer dead entries than this are not removed.
const MIN_DEAD: usize = 32;

pub(super) struct Pair {
    pub(super) id: Box<str>,
    pub(super) created: Duration,
    /// The network that it was created from.
    pub(super) network: Option<Network>,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) last_used: Option<Duration>,
    pub(super) removed: bool,
    pub(super) pair: PairState,
}

impl Pair {
    pub(super) fn last_used(&self) -> Option<Duration> {
        self.state.lock().last_used
    }

    pub(super) fn age(&self, last_used: Option<Duration>, limits: &config::Pairs, now: Duration) -> Age {
        Age::of(self.created, last_used, limits, now)
    }
}

/// Which of a tenant's pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unused,
    Used,
}

struct Entry {
    client: ClientId,
    /// When the pair was created or last used.
    since: Duration,
    pair: Weak<Pair>,
}

/// The size of an entry in memory.
#[cfg(test)]
pub(super) const ENTRY: usize = size_of::<Entry>();

/// The pairs of one tenant in this shard.
#[derive(Default)]
struct Lane {
    unused: VecDeque<Entry>,
    used: VecDeque<Entry>,
    /// Number of entries whose pair was removed, or is now in the other queue.
    dead: usize,
}

impl Lane {
    fn queue(&mut self, kind: Kind) -> &mut VecDeque<Entry> {
        match kind {
            Kind::Unused => &mut self.unused,
            Kind::Used => &mut self.used,
        }
    }

    /// Moves the pair to be evicted next to the front, and returns when it was last used.
    fn front(&mut self, kind: Kind) -> Option<Duration> {
        let mut second_chances = 0;
        loop {
            let entry = self.queue(kind).front()?;
            let since = entry.since;
            let pair = entry.pair.upgrade();
            let state =
                pair.as_ref().map(|pair| pair.state.lock()).map(|state| (state.removed, state.last_used));
            match (kind, state) {
                (_, None | Some((true, _))) | (Kind::Unused, Some((_, Some(_)))) => {
                    self.queue(kind).pop_front();
                    self.dead = self.dead.saturating_sub(1);
                }
                (Kind::Used, Some((_, Some(used)))) if used > since && second_chances < MAX_CHANCES => {
                    second_chances += 1;
                    if let Some(entry) = self.queue(kind).pop_front() {
                        self.queue(kind).push_back(Entry { since: used, ..entry });
                    }
                }
                _ => return Some(since),
            }
        }
    }

    fn died(&mut self) {
        self.dead += 1;
        if self.dead > MIN_DEAD && self.dead * 2 > self.unused.len() + self.used.len() {
            let kept = |pair: &Weak<Pair>| pair.upgrade().map(|pair| pair.last_used());
            self.unused.retain(|entry| kept(&entry.pair) == Some(None));
            self.used.retain(|entry| kept(&entry.pair).is_some());
            self.unused.shrink_to_fit();
            self.used.shrink_to_fit();
            self.dead = 0;
        }
    }
}

#[derive(Default)]
pub(super) struct Shard {
    owners: HashMap<Owner, Vec<Arc<Pair>>>,
    lanes: HashMap<TenantId, Lane>,
}

impl Shard {
    /// The pairs of a client.
    pub(super) fn of(&self, owner: &Owner) -> &[Arc<Pair>] {
        self.owners.get(owner).map_or(&[][..], Vec::as_slice)
    }

    pub(super) fn insert(&mut self, owner: Owner, pairs: Vec<Arc<Pair>>) {
        let lane = self.lanes.entry(owner.tenant).or_default();
        lane.unused.extend(pairs.iter().map(|pair| Entry {
            client: owner.client,
            since: pair.created,
            pair: Arc::downgrade(pair),
        }));
        self.owners.entry(owner).or_default().extend(pairs);
    }

    /// Records the first use of a pair.
    pub(super) fn first_used(&mut self, owner: &Owner, pair: &Arc<Pair>, now: Duration) {
        if self.of(owner).iter().any(|own| Arc::ptr_eq(own, pair)) {
            let lane = self.lanes.entry(owner.tenant).or_default();
            lane.used.push_back(Entry { client: owner.client, since: now, pair: Arc::downgrade(pair) });
            lane.died();
        }
    }

    /// Removes a pair; returns whether it existed.
    pub(super) fn remove(&mut self, owner: &Owner, pair: &Arc<Pair>) -> bool {
        let there = self.detach(owner, pair);
        if let Some(lane) = self.lanes.get_mut(&owner.tenant).filter(|_| there) {
            lane.died();
        }
        there
    }

    fn detach(&mut self, owner: &Owner, pair: &Arc<Pair>) -> bool {
        let Some(pairs) = self.owners.get_mut(owner) else { return false };
        let Some(index) = pairs.iter().position(|other| Arc::ptr_eq(other, pair)) else { return false };
        pairs.swap_remove(index).state.lock().removed = true;
        if pairs.is_empty() {
            self.owners.remove(owner);
        }
        true
    }

    /// When the tenant's pair of this kind that would be evicted next was last used.
    pub(super) fn oldest(&mut self, tenant: TenantId, kind: Kind) -> Option<Duration> {
        self.lanes.get_mut(&tenant)?.front(kind)
    }

    /// Removes the pair to be evicted next.
    pub(super) fn take_oldest(&mut self, tenant: TenantId, kind: Kind) -> Option<Arc<Pair>> {
        let lane = self.lanes.get_mut(&tenant)?;
        lane.front(kind)?;
        let entry = lane.queue(kind).pop_front()?;
        let pair = entry.pair.upgrade()?;
        self.detach(&Owner { tenant, client: entry.client }, &pair).then_some(pair)
    }

    /// Removes expired pairs. A pair that was used meanwhile is checked again an idle timeout later.
    pub(super) fn take_expired(
        &mut self,
        limits: &config::Pairs,
        now: Duration,
        mut each: impl FnMut(TenantId, &Pair),
    ) {
        let tenants: Vec<_> = self.lanes.keys().copied().collect();
        for tenant in tenants {
            for (kind, limit) in [(Kind::Unused, limits.unused_timeout), (Kind::Used, limits.idle_timeout)] {
                while self.oldest(tenant, kind).is_some_and(|since| now.saturating_sub(since) > limit) {
                    if let Some(pair) = self.take_oldest(tenant, kind) {
                        each(tenant, &pair);
                    }
                }
            }
            if self.lanes.get(&tenant).is_some_and(|lane| lane.unused.is_empty() && lane.used.is_empty()) {
                self.lanes.remove(&tenant);
            }
        }
    }

    /// Removes all pairs of a tenant.
    pub(super) fn take_tenant(&mut self, tenant: TenantId, mut each: impl FnMut(&Pair)) {
        let Some(lane) = self.lanes.remove(&tenant) else { return };
        for entry in lane.unused.into_iter().chain(lane.used) {
            for pair in self.owners.remove(&Owner { tenant, client: entry.client }).unwrap_or_default() {
                pair.state.lock().removed = true;
                each(&pair);
            }
        }
    }

    /// Number of entries in all queues, including dead ones.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.lanes.values().map(|lane| lane.unused.len() + lane.used.len()).sum()
    }
}
