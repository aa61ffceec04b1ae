//! Pairs in this process's memory, sharded by owner.
//!
//! All pairs of one client are in one shard, so that pairing is all or nothing under one lock. A request locks the shard
//! only to find its pair. Nothing here allocates per request. [`share`](super::share) describes which pairs are evicted when
//! the store is full.

mod shard;
mod shares;

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use self::{
    shard::{Kind, Pair, Shard, State},
    shares::Shares,
};
use super::{
    Age, Commit, Committed, CreateError, NewPair, Outside, Owner, PairError, PairEvent, PairState, PairStore,
    Reply, Snapshot, Unavailable, at_once,
};
use crate::{config, domains::TenantId, limits::Tally, rate::Network};

const SHARDS: usize = 64;

/// Other threads may take the room that was freed; after this many attempts, the store counts as full.
const MAX_TURNS: usize = 64;

/// The store.
pub struct MemoryStore {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    limits: ArcSwap<config::Pairs>,
    shares: Shares,
    /// Pairs by the network that made them.
    networks: Tally<Network>,
    outside: Outside,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: config::Pairs, outside: Outside) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            limits: ArcSwap::from_pointee(limits),
            shares: Shares::default(),
            networks: Tally::default(),
            outside,
        }
    }

    fn now(&self) -> Duration {
        (self.outside.now)()
    }

    fn shard(&self, owner: &Owner) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(owner) as usize % SHARDS]
    }

    /// Updates the counts for a pair that was removed.
    fn gone(&self, tenant: TenantId, pair: &Pair, event: PairEvent) {
        self.shares.release(tenant, 1);
        if let Some(network) = pair.network {
            self.networks.subtract(network, 1);
        }
        self.outside.events.happened(tenant, event, 1);
    }

    /// Reserves room for `count` pairs of a tenant, evicting others if necessary.
    fn make_room(&self, tenant: TenantId, count: usize, limits: &config::Pairs) -> Result<(), CreateError> {
        for _ in 0..MAX_TURNS {
            if self.shares.reserve(tenant, count, limits.max_total) {
                return Ok(());
            }
            let missing = (self.shares.live() + count).saturating_sub(limits.max_total);
            let evicted = match self.shares.furthest_above_share(tenant, limits) {
                Some((other, over)) => self.evict(other, missing.min(over), &[Kind::Unused, Kind::Used]),
                None => self.evict(tenant, missing, &[Kind::Unused]),
            };
            if evicted == 0 && missing > 0 {
                break;
            }
        }
        Err(CreateError::Full)
    }

    /// Evicts up to `count` pairs of a tenant, in this order of kinds, the oldest in all shards first; returns how many.
    fn evict(&self, tenant: TenantId, count: usize, kinds: &[Kind]) -> usize {
        let mut evicted = 0;
        for kind in kinds {
            while evicted < count {
                let oldest = |shard: &Mutex<Shard>| shard.lock().oldest(tenant, *kind);
                let shards = self.shards.iter().filter_map(|shard| Some((oldest(shard)?, shard)));
                let Some((_, shard)) = shards.min_by_key(|(since, _)| *since) else { break };
                // Another thread may have evicted this pair first: then it made room as well.
                if let Some(pair) = shard.lock().take_oldest(tenant, *kind) {
                    self.gone(tenant, &pair, PairEvent::Evicted);
                }
                evicted += 1;
            }
        }
        evicted
    }

    fn find(&self, owner: &Owner, pair_id: &str) -> Option<Arc<Pair>> {
        self.shard(owner).lock().of(owner).iter().find(|pair| &*pair.id == pair_id).cloned()
    }

    fn insert_all(
        &self,
        owner: Owner,
        network: Option<Network>,
        pairs: Vec<NewPair>,
        limits: &config::Pairs,
    ) -> Result<(), CreateError> {
        let now = self.now();
        let mut shard = self.shard(&owner).lock();
        let alive = |pair: &Pair| pair.age(pair.last_used(), limits, now) == Age::Live;

        let own = shard.of(&owner);
        let taken = |new: &NewPair| own.iter().any(|old| *old.id == *new.pair_id && alive(old));
        if let Some(index) = pairs.iter().position(taken) {
            return Err(CreateError::Exists(index));
        }
        // Expired pairs are removed, and so are the client's own oldest beyond its limit, unused ones first.
        let (mut living, mut going): (Vec<_>, Vec<_>) = own.iter().cloned().partition(|pair| alive(pair));
        let beyond = (living.len() + pairs.len()).saturating_sub(limits.max_per_client);
        if beyond > 0 {
            living.sort_by_key(|pair| pair.last_used().map_or((false, pair.created), |used| (true, used)));
            going.extend(living.into_iter().take(beyond));
        }
        for pair in going {
            if shard.remove(&owner, &pair) {
                self.gone(owner.tenant, &pair, PairEvent::Evicted);
            }
        }

        self.outside.events.happened(owner.tenant, PairEvent::Created, pairs.len());
        let made = pairs.into_iter().map(|new| {
            let id = new.pair_id.as_str().into();
            let pair = PairState::new(new, (self.outside.generation)(), now.as_millis() as u64);
            let state = Mutex::new(State { last_used: None, removed: false, pair });
            Arc::new(Pair { id, created: now, network, state })
        });
        shard.insert(owner, made.collect());
        Ok(())
    }

    fn create(&self, owner: Owner, network: Option<Network>, pairs: Vec<NewPair>) -> Result<(), CreateError> {
        let limits = self.limits.load();
        let count = pairs.len();
        if network.is_some_and(|network| !self.networks.add(network, count, limits.max_per_network)) {
            return Err(CreateError::NetworkFull);
        }
        let stored = self.make_room(owner.tenant, count, &limits).and_then(|()| {
            let inserted = self.insert_all(owner, network, pairs, &limits);
            inserted.inspect_err(|_| self.shares.release(owner.tenant, count))
        });
        stored.inspect_err(|_| {
            if let Some(network) = network {
                self.networks.subtract(network, count);
            }
        })
    }

    fn snapshot(&self, owner: Owner, pair_id: &str) -> Result<Snapshot, PairError> {
        let pair = self.find(&owner, pair_id).ok_or(PairError::NotFound)?;
        let limits = self.limits.load();
        let state = pair.state.lock();
        match pair.age(state.last_used, &limits, self.now()) {
            Age::Live => Ok(state.pair.snapshot()),
            Age::Old => Err(PairError::Expired),
            Age::Gone => Err(PairError::NotFound),
        }
    }

    fn spend(&self, owner: Owner, pair_id: &str, commit: Commit) -> Result<Committed, PairError> {
        let pair = self.find(&owner, pair_id).ok_or(PairError::NotFound)?;
        let mut state = pair.state.lock();
        if state.removed {
            return Err(PairError::NotFound);
        }
        let committed = state.pair.commit(commit)?;
        let now = self.now();
        let first_use = state.last_used.replace(now).is_none();
        drop(state);
        if first_use {
            // Once for each pair. A shard is always locked before its pairs.
            self.shard(&owner).lock().first_used(&owner, &pair, now);
        }
        Ok(committed)
    }

    fn take(&self, owner: Owner, pair_id: &str) -> bool {
        let mut shard = self.shard(&owner).lock();
        let Some(pair) = shard.of(&owner).iter().find(|pair| &*pair.id == pair_id).cloned() else {
            return false;
        };
        shard.remove(&owner, &pair);
        self.gone(owner.tenant, &pair, PairEvent::Removed);
        true
    }

    fn take_expired(&self) {
        let limits = self.limits.load();
        let now = self.now();
        // One shard is locked at a time.
        for shard in &self.shards {
            let expired = |tenant, pair: &Pair| self.gone(tenant, pair, PairEvent::Expired);
            shard.lock().take_expired(&limits, now, expired);
        }
    }
}

impl PairStore for MemoryStore {
    fn create_all(
        &self,
        owner: Owner,
        network: Option<Network>,
        pairs: Vec<NewPair>,
    ) -> Reply<'_, Result<(), CreateError>> {
        at_once(self.create(owner, network, pairs))
    }

    fn begin<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<Snapshot, PairError>> {
        at_once(self.snapshot(owner, pair_id))
    }

    fn commit<'a>(
        &'a self,
        owner: Owner,
        pair_id: &'a str,
        commit: Commit,
    ) -> Reply<'a, Result<Committed, PairError>> {
        at_once(self.spend(owner, pair_id, commit))
    }

    fn remove<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<bool, Unavailable>> {
        at_once(Ok(self.take(owner, pair_id)))
    }

    fn remove_tenant(&self, tenant: TenantId) -> Reply<'_, Result<(), Unavailable>> {
        for shard in &self.shards {
            shard.lock().take_tenant(tenant, |pair| self.gone(tenant, pair, PairEvent::Removed));
        }
        at_once(Ok(()))
    }

    fn sweep(&self) -> Reply<'_, Result<(), Unavailable>> {
        self.take_expired();
        at_once(Ok(()))
    }

    fn count(&self, tenant: Option<TenantId>) -> Reply<'_, Result<usize, Unavailable>> {
        at_once(Ok(tenant.map_or_else(|| self.shares.live(), |tenant| self.shares.of(tenant))))
    }

    fn set_limits(&self, limits: config::Pairs) {
        self.limits.store(Arc::new(limits));
    }
}

#[cfg(test)]
mod tests;
