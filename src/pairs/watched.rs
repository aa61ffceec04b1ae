//! The store that a relay uses, of whichever kind, together with what the relay knows about it: whether it is available, and
//! the counts of events.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    Commit, Committed, CreateError, MemoryStore, NewPair, Owner, PairError, Snapshot, Unavailable,
    events::{Counters, Counts},
    redis::{Clock, RedisStore},
    store::{Outside, PairStore},
};
use crate::{
    config,
    domains::{Domains, TenantId},
    rate::Network,
    telemetry::PairStoreMetrics,
};

/// A relay's pair store.
pub struct WatchedStore {
    store: Arc<dyn PairStore>,
    counters: Arc<Counters>,
    metrics: PairStoreMetrics,
    /// Why it was unavailable at the last check.
    unavailable: Mutex<Option<Unavailable>>,
}

/// An error that may mean that the store is unavailable.
trait StoreError {
    fn unavailable(&self) -> Option<&Unavailable>;
}

impl StoreError for Unavailable {
    fn unavailable(&self) -> Option<&Unavailable> {
        Some(self)
    }
}

impl StoreError for PairError {
    fn unavailable(&self) -> Option<&Unavailable> {
        if let Self::Unavailable(why) | Self::Unknown(why) = self { Some(why) } else { None }
    }
}

impl StoreError for CreateError {
    fn unavailable(&self) -> Option<&Unavailable> {
        if let Self::Unavailable(why) = self { Some(why) } else { None }
    }
}

impl WatchedStore {
    /// The store that `make` creates.
    pub fn new(make: impl FnOnce(Outside) -> Arc<dyn PairStore>, metrics: PairStoreMetrics) -> Self {
        Self::counting(Counters::default(), make, metrics)
    }

    fn counting(
        counters: Counters,
        make: impl FnOnce(Outside) -> Arc<dyn PairStore>,
        metrics: PairStoreMetrics,
    ) -> Self {
        let counters = Arc::new(counters);
        metrics.available.set(1);
        let store = make(Outside::system(counters.clone()));
        Self { store, counters, metrics, unavailable: Mutex::default() }
    }

    /// Pairs in this process's memory.
    pub fn in_memory(limits: config::Pairs, metrics: PairStoreMetrics) -> Self {
        Self::new(|outside| Arc::new(MemoryStore::new(limits, outside)), metrics)
    }

    /// Pairs in Redis.
    pub fn in_redis(settings: &config::Redis, limits: config::Pairs, metrics: PairStoreMetrics) -> Self {
        let make = |outside| Arc::new(RedisStore::new(settings, limits, outside, Clock::Redis)) as _;
        Self::counting(Counters::shared(), make, metrics)
    }

    /// As [`PairStore::prepare`].
    ///
    /// # Errors
    /// Why the store cannot be used.
    pub async fn prepare(&self) -> Result<(), Unavailable> {
        self.store.prepare().await
    }

    /// As [`PairStore::create_all`].
    pub async fn create_all(
        &self,
        owner: Owner,
        network: Option<Network>,
        pairs: Vec<NewPair>,
    ) -> Result<(), CreateError> {
        self.counted(self.store.create_all(owner, network, pairs).await)
    }

    /// As [`PairStore::begin`].
    pub async fn begin(&self, owner: Owner, pair_id: &str) -> Result<Snapshot, PairError> {
        self.counted(self.store.begin(owner, pair_id).await)
    }

    /// As [`PairStore::refresh`].
    pub async fn refresh(&self, owner: Owner, pair_id: &str) -> Result<Snapshot, PairError> {
        self.counted(self.store.refresh(owner, pair_id).await)
    }

    /// As [`PairStore::commit`].
    pub async fn commit(&self, owner: Owner, pair_id: &str, commit: Commit) -> Result<Committed, PairError> {
        self.counted(self.store.commit(owner, pair_id, commit).await)
    }

    /// As [`PairStore::remove_tenant`]. If the store is unavailable, the pairs stay until they expire.
    pub async fn remove_tenant(&self, tenant: TenantId) -> Result<(), Unavailable> {
        self.counted(self.store.remove_tenant(tenant).await)
    }

    /// Removes expired pairs, and records whether the store is available. Only this does: a single request that fails does
    /// not make the relay unready.
    pub async fn sweep(&self) {
        let outcome = self.counted(self.store.sweep().await);
        let before = std::mem::replace(&mut *self.unavailable.lock(), outcome.clone().err());
        self.metrics.available.set(outcome.is_ok().into());
        match (before, outcome) {
            (None, Err(why)) => log::error!("{why}; requests that need a pair are answered with 503"),
            (Some(_), Ok(())) => log::info!("the pair store is available again"),
            _ => {}
        }
    }

    /// Why the store was unavailable at the last sweep, if it was.
    pub fn unavailable(&self) -> Option<Unavailable> {
        self.unavailable.lock().clone()
    }

    /// Sets new limits on pairs.
    pub fn set_limits(&self, limits: config::Pairs) {
        self.store.set_limits(limits);
    }

    /// Sets the tenants whose pairs are counted in their metrics from now on.
    pub fn set_tenants(&self, domains: &Domains) {
        self.counters.set_tenants(domains);
        self.store.set_tenants(domains);
    }

    /// The counts of events so far.
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// Counts the outcome if it means that the store is unavailable.
    fn counted<T, E: StoreError>(&self, outcome: Result<T, E>) -> Result<T, E> {
        if outcome.as_ref().err().and_then(E::unavailable).is_some() {
            self.metrics.failures.inc();
        }
        outcome
    }
}
