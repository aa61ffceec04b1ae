//! Pairs in this process's memory, sharded by owner.
//!
//! All pairs of one client live in one shard, so that pairing is all or nothing under one lock. A request locks the shard
//! only to find its pair. Nothing here allocates per request.
//!
//! # Which pairs go when the store is full
//!
//! 1. A tenant below its share (see `shares`) is never refused. The tenant furthest above its own share gives way: its
//!    pairs never used first, oldest first, then those not used for longest. What a tenant has within its share, nobody
//!    takes: neither another tenant, nor an attacker who pairs as another tenant's client.
//! 2. A tenant that has its share or more makes room among its own pairs never used. If there are none, pairing is refused
//!    (503): client ids cost nothing, so new clients would otherwise push out those that are at work.
//!
//! A client beyond `max_per_client` loses its own oldest pairs, never used ones first, and a client network beyond
//! `max_per_network` is refused more.

mod shard;
mod shares;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use self::{
    shard::{Age, Kind, Pair, Shard, State},
    shares::Shares,
};
use super::{Commit, CreateError, NewPair, Owner, PairError, PairState, PairStore, Snapshot};
use crate::{
    config,
    domains::{Domains, TenantId},
    limits::Tally,
    rate::Network,
    telemetry::TenantMetrics,
};

const SHARDS: usize = 64;

/// Others may take the room that was made; after so many turns the store is as good as full.
const MAX_TURNS: usize = 64;

/// What happened to pairs so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Pairs that live now.
    pub live: usize,
    /// Pairs made.
    pub created: u64,
    /// Pairs dropped because of their age.
    pub expired: u64,
    /// Pairs dropped to make room.
    pub evicted: u64,
}

/// The store.
pub struct MemoryStore {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    limits: ArcSwap<config::Pairs>,
    shares: Shares,
    /// Pairs by the network that made them.
    networks: Tally<Network>,
    generation: AtomicU64,
    expired: AtomicU64,
    evicted: AtomicU64,
    /// Where what happens to a tenant's pairs is counted.
    tenants: RwLock<HashMap<TenantId, Arc<TenantMetrics>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: config::Pairs) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            limits: ArcSwap::from_pointee(limits),
            shares: Shares::default(),
            networks: Tally::default(),
            generation: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            tenants: RwLock::default(),
        }
    }

    /// New limits; they hold from now on, for pairs that are there as well.
    pub fn set_limits(&self, limits: config::Pairs) {
        self.limits.store(Arc::new(limits));
    }

    /// Counts what happens to these tenants' pairs in their metrics as well, from now on.
    pub fn set_tenants(&self, domains: &Domains) {
        let tenants = domains.tenants().map(|tenant| (tenant.id, tenant.metrics.clone()));
        *self.tenants.write() = tenants.collect();
    }

    fn count(&self, tenant: TenantId, count: impl FnOnce(&TenantMetrics)) {
        if let Some(metrics) = self.tenants.read().get(&tenant) {
            count(metrics);
        }
    }

    /// What there is and what happened.
    pub fn counts(&self) -> Counts {
        Counts {
            live: self.shares.live(),
            created: self.generation.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }

    /// Drops the pairs of a tenant that is no more.
    pub fn remove_tenant(&self, tenant: TenantId) {
        for shard in &self.shards {
            shard.lock().take_tenant(tenant, |pair| self.gone(tenant, pair, |_| {}));
        }
    }

    /// Drops what is past its time; one shard is locked at a time.
    pub fn sweep(&self) {
        let limits = self.limits.load();
        let now = Instant::now();
        for shard in &self.shards {
            shard.lock().take_expired(&limits, now, |tenant, pair| {
                self.expired.fetch_add(1, Ordering::Relaxed);
                self.gone(tenant, pair, |metrics| metrics.pairs_expired.inc());
            });
        }
    }

    fn shard(&self, owner: &Owner) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(owner) as usize % SHARDS]
    }

    /// Counts a pair that is no more.
    fn gone(&self, tenant: TenantId, pair: &Pair, count: impl FnOnce(&TenantMetrics)) {
        self.shares.release(tenant, 1);
        if let Some(network) = pair.network {
            self.networks.subtract(network, 1);
        }
        self.count(tenant, |metrics| {
            metrics.pairs.dec();
            count(metrics);
        });
    }

    fn evicted(&self, tenant: TenantId, pair: &Pair) {
        self.evicted.fetch_add(1, Ordering::Relaxed);
        self.gone(tenant, pair, |metrics| metrics.pairs_evicted.inc());
    }

    /// Reserves room for `count` pairs of a tenant; if need be, others go.
    fn make_room(&self, tenant: TenantId, count: usize, limits: &config::Pairs) -> Result<(), CreateError> {
        for _ in 0..MAX_TURNS {
            if self.shares.reserve(tenant, count, limits.max_total) {
                return Ok(());
            }
            let missing = (self.shares.live() + count).saturating_sub(limits.max_total);
            let evicted = match self.shares.debtor(tenant, limits) {
                Some((debtor, over)) => self.evict(debtor, missing.min(over), &[Kind::Unused, Kind::Used]),
                None => self.evict(tenant, missing, &[Kind::Unused]),
            };
            if evicted == 0 && missing > 0 {
                break;
            }
        }
        Err(CreateError::Full)
    }

    /// Drops up to `count` pairs of a tenant, the kinds in this order, the oldest of all shards first; how many went.
    fn evict(&self, tenant: TenantId, count: usize, kinds: &[Kind]) -> usize {
        let mut evicted = 0;
        for kind in kinds {
            while evicted < count {
                let oldest = |shard: &Mutex<Shard>| shard.lock().oldest(tenant, *kind);
                let shards = self.shards.iter().filter_map(|shard| Some((oldest(shard)?, shard)));
                let Some((_, shard)) = shards.min_by_key(|(since, _)| *since) else { break };
                // Another thread may have been faster: then it made room, too.
                if let Some(pair) = shard.lock().take_oldest(tenant, *kind) {
                    self.evicted(tenant, &pair);
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
        let now = Instant::now();
        let mut shard = self.shard(&owner).lock();
        let alive = |pair: &Pair| pair.age(pair.last_used(), limits, now) == Age::Live;

        let own = shard.of(&owner);
        let taken = |new: &NewPair| own.iter().any(|old| *old.id == *new.pair_id && alive(old));
        if let Some(index) = pairs.iter().position(taken) {
            return Err(CreateError::Exists(index));
        }
        // Dead pairs go, and so do the client's own oldest beyond its limit: never used ones first.
        let (mut living, mut going): (Vec<_>, Vec<_>) = own.iter().cloned().partition(|pair| alive(pair));
        let beyond = (living.len() + pairs.len()).saturating_sub(limits.max_per_client);
        if beyond > 0 {
            living.sort_by_key(|pair| pair.last_used().map_or((false, pair.created), |used| (true, used)));
            going.extend(living.into_iter().take(beyond));
        }
        for pair in going {
            if shard.remove(&owner, &pair) {
                self.evicted(owner.tenant, &pair);
            }
        }

        self.count(owner.tenant, |metrics| {
            metrics.pairs.add(pairs.len() as i64);
            metrics.pairs_created.inc_by(pairs.len() as u64);
        });
        let created_at = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64;
        let made = pairs.into_iter().map(|mut new| {
            let generation = self.generation.fetch_add(1, Ordering::Relaxed);
            let id = std::mem::take(&mut new.pair_id).into();
            let pair = PairState::new(new, generation, created_at);
            let state = Mutex::new(State { last_used: None, removed: false, pair });
            Arc::new(Pair { id, created: now, network, state })
        });
        shard.insert(owner, made.collect());
        Ok(())
    }

    /// How often [`MemoryStore::sweep`] should run.
    pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
}

impl PairStore for MemoryStore {
    async fn create_all(
        &self,
        owner: Owner,
        network: Option<Network>,
        pairs: Vec<NewPair>,
    ) -> Result<(), CreateError> {
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

    async fn begin(&self, owner: Owner, pair_id: &str) -> Result<Snapshot, PairError> {
        let pair = self.find(&owner, pair_id).ok_or(PairError::NotFound)?;
        let limits = self.limits.load();
        let state = pair.state.lock();
        match pair.age(state.last_used, &limits, Instant::now()) {
            Age::Live => {}
            Age::Old => return Err(PairError::Expired),
            Age::Gone => return Err(PairError::NotFound),
        }
        Ok(state.pair.snapshot())
    }

    async fn commit(&self, owner: Owner, pair_id: &str, commit: Commit) -> Result<u64, PairError> {
        let pair = self.find(&owner, pair_id).ok_or(PairError::NotFound)?;
        let mut state = pair.state.lock();
        if state.removed {
            return Err(PairError::NotFound);
        }
        let first = state.pair.commit(commit)?;
        let now = Instant::now();
        let first_use = state.last_used.replace(now).is_none();
        drop(state);
        if first_use {
            // Once for each pair. A shard is locked before its pairs, never after.
            self.shard(&owner).lock().first_used(&owner, &pair, now);
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests;
