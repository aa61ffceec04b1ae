//! Pairs in this process's memory, sharded by owner.
//!
//! All pairs of one client live in one shard, so that pairing is all or nothing under one lock. A request
//! locks the shard only to find its pair. Nothing here allocates per request.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mte_codec::{DecoderState, EpochSecret, NUMBER_LIMIT};
use parking_lot::{Mutex, RwLock};

use super::{Commit, CreateError, NewPair, Owner, PairError, PairStore, Snapshot};
use crate::{
    config,
    domains::{Domains, TenantId},
    telemetry::TenantMetrics,
};

const SHARDS: usize = 64;

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
    limits: Mutex<config::Pairs>,
    live: AtomicUsize,
    generation: AtomicU64,
    expired: AtomicU64,
    evicted: AtomicU64,
    /// Where what happens to a tenant's pairs is counted.
    tenants: RwLock<HashMap<TenantId, Arc<TenantMetrics>>>,
    /// Where the next search for pairs to evict begins.
    next_shard: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    owners: HashMap<Owner, Vec<Arc<Pair>>>,
    /// Pairs never used, oldest first; entries that were used or dropped since are skipped.
    unused: VecDeque<(Owner, Weak<Pair>)>,
}

struct Pair {
    id: Box<str>,
    generation: u64,
    created: Instant,
    state: Mutex<State>,
}

struct State {
    last_used: Option<Instant>,
    removed: bool,
    decoder: DecoderState,
    encoder: EpochSecret,
    next_response: u64,
}

/// How a pair stands in time.
#[derive(PartialEq)]
enum Age {
    Live,
    /// Older than `max_age`, but its client is still about and shall learn of it (559).
    Old,
    Gone,
}

impl Pair {
    fn last_used(&self) -> Option<Instant> {
        self.state.lock().last_used
    }

    fn age(&self, last_used: Option<Instant>, limits: &config::Pairs, now: Instant) -> Age {
        let (since, limit) = match last_used {
            Some(used) => (used, limits.idle_timeout),
            None => (self.created, limits.unused_timeout),
        };
        if now.saturating_duration_since(since) > limit {
            Age::Gone
        } else if now.saturating_duration_since(self.created) > limits.max_age {
            Age::Old
        } else {
            Age::Live
        }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: config::Pairs) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            limits: Mutex::new(limits),
            live: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            tenants: RwLock::default(),
            next_shard: AtomicUsize::new(0),
        }
    }

    /// New limits; they hold from now on, for pairs that are there as well.
    pub fn set_limits(&self, limits: config::Pairs) {
        *self.limits.lock() = limits;
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
            live: self.live.load(Ordering::Relaxed),
            created: self.generation.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }

    /// Drops the pairs of a tenant that is no more.
    pub fn remove_tenant(&self, tenant: TenantId) {
        for shard in &self.shards {
            self.retain(&mut shard.lock(), |owner, _| owner.tenant != tenant, |_| {});
        }
    }

    /// Drops what is past its time; one shard is locked at a time.
    pub fn sweep(&self) {
        let limits = *self.limits.lock();
        let now = Instant::now();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let keep = |_: &Owner, pair: &Pair| pair.age(pair.last_used(), &limits, now) != Age::Gone;
            let dropped = self.retain(&mut shard, keep, |metrics| metrics.pairs_expired.inc());
            self.expired.fetch_add(dropped as u64, Ordering::Relaxed);
            shard.unused.retain(|(_, pair)| pair.upgrade().is_some_and(|pair| pair.last_used().is_none()));
        }
    }

    fn shard(&self, owner: &Owner) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(owner) as usize % SHARDS]
    }

    /// Keeps the pairs that `keep` says and counts each that goes; returns how many went.
    fn retain(
        &self,
        shard: &mut Shard,
        keep: impl Fn(&Owner, &Pair) -> bool,
        count: impl Fn(&TenantMetrics),
    ) -> usize {
        let mut dropped = 0;
        shard.owners.retain(|owner, pairs| {
            pairs.retain(|pair| {
                let keep = keep(owner, pair);
                if !keep {
                    pair.state.lock().removed = true;
                    dropped += 1;
                    self.count(owner.tenant, |metrics| {
                        metrics.pairs.dec();
                        count(metrics);
                    });
                }
                keep
            });
            !pairs.is_empty()
        });
        self.live.fetch_sub(dropped, Ordering::Relaxed);
        dropped
    }

    /// Reserves room for `count` pairs, if need be by dropping pairs that were never used.
    fn make_room(&self, count: usize, max: usize) -> Result<(), CreateError> {
        let reserve = || {
            let fits = |live: usize| live.checked_add(count).filter(|live| *live <= max);
            self.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
        };
        for _ in 0..SHARDS {
            if reserve() {
                return Ok(());
            }
            let index = self.next_shard.fetch_add(1, Ordering::Relaxed) % SHARDS;
            self.evict_unused(&mut self.shards[index].lock(), count);
        }
        if reserve() { Ok(()) } else { Err(CreateError::Full) }
    }

    /// Drops up to `count` pairs that were never used, oldest first.
    fn evict_unused(&self, shard: &mut Shard, count: usize) {
        let mut evicted = 0;
        while evicted < count {
            let Some((owner, pair)) = shard.unused.pop_front() else { return };
            let Some(pair) = pair.upgrade() else { continue };
            if pair.last_used().is_none() {
                self.evict(shard, &owner, &pair);
                evicted += 1;
            }
        }
    }

    fn evict(&self, shard: &mut Shard, owner: &Owner, pair: &Arc<Pair>) {
        let Some(pairs) = shard.owners.get_mut(owner) else { return };
        let Some(index) = pairs.iter().position(|other| Arc::ptr_eq(other, pair)) else { return };
        pairs.swap_remove(index).state.lock().removed = true;
        if pairs.is_empty() {
            shard.owners.remove(owner);
        }
        self.live.fetch_sub(1, Ordering::Relaxed);
        self.evicted.fetch_add(1, Ordering::Relaxed);
        self.count(owner.tenant, |metrics| {
            metrics.pairs.dec();
            metrics.pairs_evicted.inc();
        });
    }

    fn find(&self, owner: &Owner, pair_id: &str) -> Option<Arc<Pair>> {
        let shard = self.shard(owner).lock();
        shard.owners.get(owner)?.iter().find(|pair| &*pair.id == pair_id).cloned()
    }

    fn insert_all(
        &self,
        owner: Owner,
        pairs: Vec<NewPair>,
        limits: &config::Pairs,
    ) -> Result<(), CreateError> {
        let now = Instant::now();
        let mut shard = self.shard(&owner).lock();
        let shard = &mut *shard;
        let alive = |pair: &Pair| pair.age(pair.last_used(), limits, now) == Age::Live;

        let own = shard.owners.get(&owner).map_or(&[][..], Vec::as_slice);
        let taken = |new: &NewPair| own.iter().any(|old| *old.id == *new.pair_id && alive(old));
        if let Some(index) = pairs.iter().position(taken) {
            return Err(CreateError::Exists(index));
        }
        // Dead pairs go, and so do the client's own oldest beyond its limit: never used ones first.
        let mut going: Vec<_> = own.iter().filter(|pair| !alive(pair)).cloned().collect();
        let beyond = (own.len() - going.len() + pairs.len()).saturating_sub(limits.max_per_client);
        if beyond > 0 {
            let mut living: Vec<_> = own.iter().filter(|pair| alive(pair)).cloned().collect();
            living.sort_by_key(|pair| pair.last_used().map_or((false, pair.created), |used| (true, used)));
            going.extend(living.into_iter().take(beyond));
        }
        for pair in going {
            self.evict(shard, &owner, &pair);
        }

        self.count(owner.tenant, |metrics| {
            metrics.pairs.add(pairs.len() as i64);
            metrics.pairs_created.inc_by(pairs.len() as u64);
        });
        let entry = shard.owners.entry(owner).or_default();
        for new in pairs {
            let pair = Arc::new(Pair {
                id: new.pair_id.into(),
                generation: self.generation.fetch_add(1, Ordering::Relaxed),
                created: now,
                state: Mutex::new(State {
                    last_used: None,
                    removed: false,
                    decoder: DecoderState::new(new.decoder),
                    encoder: new.encoder,
                    next_response: 0,
                }),
            });
            shard.unused.push_back((owner, Arc::downgrade(&pair)));
            entry.push(pair);
        }
        Ok(())
    }

    /// How often [`MemoryStore::sweep`] should run.
    pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
}

impl PairStore for MemoryStore {
    async fn create_all(&self, owner: Owner, pairs: Vec<NewPair>) -> Result<(), CreateError> {
        let limits = *self.limits.lock();
        let count = pairs.len();
        self.make_room(count, limits.max_total)?;
        self.insert_all(owner, pairs, &limits).inspect_err(|_| {
            self.live.fetch_sub(count, Ordering::Relaxed);
        })
    }

    async fn begin(&self, owner: Owner, pair_id: &str) -> Result<Snapshot, PairError> {
        let pair = self.find(&owner, pair_id).ok_or(PairError::NotFound)?;
        let limits = *self.limits.lock();
        let state = pair.state.lock();
        match pair.age(state.last_used, &limits, Instant::now()) {
            Age::Live => {}
            Age::Old => return Err(PairError::Expired),
            Age::Gone => return Err(PairError::NotFound),
        }
        Ok(Snapshot {
            generation: pair.generation,
            decoder: state.decoder.secrets.clone(),
            window: state.decoder.window.clone(),
            encoder: state.encoder.clone(),
            next_response: state.next_response,
        })
    }

    async fn commit(&self, owner: Owner, pair_id: &str, commit: Commit) -> Result<u64, PairError> {
        let pair = self.find(&owner, pair_id).ok_or(PairError::NotFound)?;
        if pair.generation != commit.generation {
            return Err(PairError::Replaced);
        }
        let mut state = pair.state.lock();
        if state.removed {
            return Err(PairError::NotFound);
        }
        let end = state.next_response.checked_add(commit.reserve).filter(|end| *end <= NUMBER_LIMIT);
        let end = end.ok_or(PairError::Exhausted)?;
        state.decoder.window.commit(commit.first, commit.count)?;
        // Wipes the epochs left behind. The request brings the secrets of those it reached, so that nothing is derived under
        // the lock; but one that raced with others may have reached an epoch that none of them brought.
        if let Some(secrets) = commit.decoder.filter(|new| new.newer_than(&state.decoder.secrets)) {
            state.decoder.secrets = secrets;
        }
        if let Some(secrets) = state.decoder.secrets.advanced(&state.decoder.window) {
            state.decoder.secrets = secrets;
        }
        let reached = EpochSecret::index_of(end);
        let newer =
            |new: &EpochSecret| new.index() > state.encoder.index() && u64::from(new.index()) <= reached;
        if let Some(secret) = commit.encoder.filter(newer) {
            state.encoder = secret;
        }
        if let Some(secret) = state.encoder.at(reached) {
            state.encoder = secret;
        }
        let first = std::mem::replace(&mut state.next_response, end);
        state.last_used = Some(Instant::now());
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use mte_protocol::client_id::ClientId;

    use super::*;
    use crate::domains::TenantIds;

    fn limits() -> config::Pairs {
        config::Pairs {
            idle_timeout: Duration::from_secs(60),
            unused_timeout: Duration::from_secs(60),
            max_age: Duration::from_secs(600),
            max_per_client: 4,
            max_per_request: 100,
            max_total: 8,
        }
    }

    fn owner(client: u8) -> Owner {
        Owner { tenant: TenantIds::default().id("t"), client: ClientId::from_random([client; 16]) }
    }

    fn pair(id: &str) -> NewPair {
        let secret = EpochSecret::from_bytes(0, &[7; 32]);
        NewPair { pair_id: id.into(), decoder: secret.clone(), encoder: secret }
    }

    fn commit(snapshot: &Snapshot, first: u64, count: u64) -> Commit {
        Commit { generation: snapshot.generation, first, count, decoder: None, encoder: None, reserve: 2 }
    }

    #[tokio::test]
    async fn numbers_are_spent_once_and_response_numbers_never_repeat() {
        let store = MemoryStore::new(limits());
        store.create_all(owner(1), vec![pair("a")]).await.unwrap();
        let snapshot = store.begin(owner(1), "a").await.unwrap();
        assert_eq!(store.commit(owner(1), "a", commit(&snapshot, 0, 3)).await, Ok(0));
        assert_eq!(store.commit(owner(1), "a", commit(&snapshot, 3, 2)).await, Ok(2));
        let replayed = store.commit(owner(1), "a", commit(&snapshot, 0, 3)).await;
        assert_eq!(replayed, Err(PairError::Number(mte_codec::WindowError::Replayed)));
        assert_eq!(store.begin(owner(1), "a").await.unwrap().next_response, 4);
    }

    #[tokio::test]
    async fn requests_that_race_leave_no_epoch_behind_although_none_brings_the_secrets() {
        let store = MemoryStore::new(limits());
        store.create_all(owner(1), vec![pair("a")]).await.unwrap();
        let snapshot = store.begin(owner(1), "a").await.unwrap();
        for number in 0..600 {
            store.commit(owner(1), "a", commit(&snapshot, number, 1)).await.unwrap();
        }
        let after = store.begin(owner(1), "a").await.unwrap();
        assert_eq!((after.next_response, after.encoder.index()), (1_200, 1_200 / 32));
        assert!(after.decoder.epoch_of(63).is_err(), "the window reaches back to 88");
        assert!(after.decoder.epoch_of(64).is_ok());
    }

    #[tokio::test]
    async fn a_live_pair_id_is_not_taken_over_and_nothing_of_the_request_is_stored() {
        let store = MemoryStore::new(limits());
        store.create_all(owner(1), vec![pair("a")]).await.unwrap();
        let again = store.create_all(owner(1), vec![pair("b"), pair("a")]).await;
        assert_eq!(again, Err(CreateError::Exists(1)));
        assert_eq!(store.counts().live, 1);
        assert_eq!(store.begin(owner(1), "b").await.unwrap_err(), PairError::NotFound);
        store.create_all(owner(2), vec![pair("a")]).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_beyond_its_limit_loses_its_own_oldest_unused_first() {
        let store = MemoryStore::new(limits());
        store.create_all(owner(1), vec![pair("used"), pair("a"), pair("b"), pair("c")]).await.unwrap();
        let snapshot = store.begin(owner(1), "used").await.unwrap();
        store.commit(owner(1), "used", commit(&snapshot, 0, 1)).await.unwrap();
        store.create_all(owner(1), vec![pair("d")]).await.unwrap();
        assert!(store.begin(owner(1), "used").await.is_ok());
        assert!(store.begin(owner(1), "a").await.is_err());
        assert_eq!(store.counts().live, 4);
    }

    #[tokio::test]
    async fn a_full_store_drops_unused_pairs_but_never_used_ones_of_others() {
        let store = MemoryStore::new(limits());
        for client in 0..2 {
            let ids = ["a", "b", "c", "d"];
            store.create_all(owner(client), ids.map(pair).into()).await.unwrap();
            for id in ids {
                if client == 0 || id != "d" {
                    let snapshot = store.begin(owner(client), id).await.unwrap();
                    store.commit(owner(client), id, commit(&snapshot, 0, 1)).await.unwrap();
                }
            }
        }
        store.create_all(owner(9), vec![pair("x")]).await.unwrap();
        assert!(store.begin(owner(1), "d").await.is_err(), "the one unused pair made room");
        let snapshot = store.begin(owner(9), "x").await.unwrap();
        store.commit(owner(9), "x", commit(&snapshot, 0, 1)).await.unwrap();
        assert_eq!(store.create_all(owner(8), vec![pair("y")]).await, Err(CreateError::Full));
        assert_eq!(store.counts(), Counts { live: 8, created: 9, expired: 0, evicted: 1 });
    }

    #[tokio::test]
    async fn idle_pairs_are_swept_and_old_ones_must_be_renewed() {
        let store = MemoryStore::new(limits());
        store.create_all(owner(1), vec![pair("a")]).await.unwrap();
        store.set_limits(config::Pairs { max_age: Duration::ZERO, ..limits() });
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(store.begin(owner(1), "a").await.unwrap_err(), PairError::Expired);
        store.sweep();
        assert_eq!(store.counts().live, 1, "an old pair stays while its client may still ask for it");
        store.set_limits(config::Pairs { unused_timeout: Duration::ZERO, ..limits() });
        assert_eq!(store.begin(owner(1), "a").await.unwrap_err(), PairError::NotFound);
        store.sweep();
        assert_eq!(store.counts(), Counts { live: 0, created: 1, expired: 1, evicted: 0 });
    }

    #[tokio::test]
    async fn a_removed_tenants_pairs_go_with_it() {
        let store = MemoryStore::new(limits());
        store.create_all(owner(1), vec![pair("a")]).await.unwrap();
        store.remove_tenant(owner(1).tenant);
        assert_eq!(store.counts().live, 0);
    }
}
