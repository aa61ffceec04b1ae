//! The interface of a pair store: its operations, their errors, and the values that a store is given.
//!
//! # How the relay holds its store
//!
//! As `Arc<dyn PairStore>`, chosen once when the relay is built, so that another store needs no change in the gateway and a
//! test can use its own. An operation returns a [`Reply`], which is a future: one that is ready, or a boxed one. The memory
//! store's replies are always ready, so a request that uses it allocates nothing here (`tests/allocations.rs` counts) and
//! pays one virtual call. A store on the network boxes its future, which costs little compared to a round trip.
//!
//! Two alternatives were considered. `async_trait` boxes every future, including those that are ready: two allocations for
//! each request. An enum of all stores has static dispatch, but a request's future is then as large as the largest store's,
//! even for requests that use the memory store, and only this crate could add a store.

use std::{
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::Either;

use super::{Commit, Committed, CreateError, Generation, NewPair, Owner, PairError, Snapshot, Unavailable};
use crate::{
    config,
    domains::{Domains, TenantId},
    rate::Network,
};

/// A boxed future.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The outcome of an operation: available already, or to be awaited.
pub type Reply<'a, T> = Either<Ready<T>, Later<'a, T>>;

/// A reply that is available already.
pub fn at_once<'a, T>(outcome: T) -> Reply<'a, T> {
    Either::Left(ready(outcome))
}

/// A reply to be awaited.
pub fn later<'a, T>(outcome: impl Future<Output = T> + Send + 'a) -> Reply<'a, T> {
    Either::Right(Box::pin(outcome))
}

/// A store of pairs. `tests/e2e/pair_store` tests the behaviour that every store must have.
///
/// Operations on one pair take effect one after the other, whichever relay they come from. Each operation ends within the
/// store's time limit, with [`Unavailable`] if necessary. After that error a commit has not taken effect; [`PairError::Unknown`]
/// means that it may have. Other operations may have taken effect after either error.
pub trait PairStore: Send + Sync {
    /// Waits until the store can be used, once, before the relay listens.
    ///
    /// # Errors
    /// Why it cannot be used: the relay does not start then.
    fn prepare(&self) -> Reply<'_, Result<(), Unavailable>> {
        at_once(Ok(()))
    }

    /// Stores pairs of one owner, all or none; they are counted for the network that requests them.
    fn create_all(
        &self,
        owner: Owner,
        network: Option<Network>,
        pairs: Vec<NewPair>,
    ) -> Reply<'_, Result<(), CreateError>>;

    /// The pair as it is now, or was a short time ago.
    fn begin<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<Snapshot, PairError>>;

    /// The pair as it is now, for a request that does not open with what [`begin`](Self::begin) returned. A store whose `begin`
    /// is never outdated has nothing to add.
    fn refresh<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<Snapshot, PairError>> {
        self.begin(owner, pair_id)
    }

    /// Takes a request's numbers and reserves its response's, all or none. See
    /// [`PairState::commit`](super::PairState::commit).
    fn commit<'a>(
        &'a self,
        owner: Owner,
        pair_id: &'a str,
        commit: Commit,
    ) -> Reply<'a, Result<Committed, PairError>>;

    /// Removes a pair; returns whether it existed.
    fn remove<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<bool, Unavailable>>;

    /// Removes the pairs of a tenant that was removed. If the tenant is added again, it starts without any.
    fn remove_tenant(&self, tenant: TenantId) -> Reply<'_, Result<(), Unavailable>>;

    /// Removes expired pairs. The relay calls this every [`SWEEP_INTERVAL`], and its outcome decides whether the store counts
    /// as available: a store on the network contacts its server even if there is nothing to sweep.
    fn sweep(&self) -> Reply<'_, Result<(), Unavailable>>;

    /// Number of pairs in the store, of one tenant or of all; expired ones count until they are swept.
    fn count(&self, tenant: Option<TenantId>) -> Reply<'_, Result<usize, Unavailable>>;

    /// Sets new limits, which also apply to existing pairs.
    fn set_limits(&self, limits: config::Pairs);

    /// The tenants that there are from now on, for a store that has something to remember of each.
    fn set_tenants(&self, _: &Domains) {}
}

/// How often [`PairStore::sweep`] is called.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How often it is called while the store is unavailable.
pub const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Events of pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PairEvent {
    /// They were stored.
    Created,
    /// They were removed because of their age.
    Expired,
    /// They were evicted to make room.
    Evicted,
    /// They, or their tenant, were removed.
    Removed,
}

/// Receives the events of a store.
pub trait PairEvents: Send + Sync {
    /// The event happened to this many pairs of a tenant. Called while the store's locks are held, so it must be fast.
    fn happened(&self, tenant: TenantId, event: PairEvent, count: usize);
}

/// The clock, randomness and event receiver of a store, passed in so that tests can control them.
#[derive(Clone)]
pub struct Outside {
    /// The time since 1970. It is monotonic: setting the system's clock while the relay runs does not change it.
    pub now: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Makes the generations of pairs: 16 random bytes.
    pub generation: Arc<dyn Fn() -> Generation + Send + Sync>,
    /// The receiver of events.
    pub events: Arc<dyn PairEvents>,
}

impl Outside {
    /// The system's clock and randomness.
    pub fn system(events: Arc<dyn PairEvents>) -> Self {
        let (began, date) =
            (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let now = Arc::new(move || date + began.elapsed());
        Self { now, generation: Arc::new(|| Generation(rand::random())), events }
    }
}
