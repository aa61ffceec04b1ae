//! What a pair store is: the operations, their failures, and what a store is handed from outside.
//!
//! # How the relay holds its store
//!
//! As `Arc<dyn PairStore>`, chosen once when the relay is built, so that another store needs no change in the gateway and a
//! test can bring its own. An operation gives a [`Reply`], which is a future: one that is ready, or one in a box. The memory
//! store's replies are always ready, so a request that uses it allocates nothing here (`tests/allocations.rs` counts) and
//! pays one virtual call. A store on the network boxes its future, which is nothing beside a round trip.
//!
//! Two other ways were considered. `async_trait` boxes every future, those that are ready as well: two allocations for each
//! request. An enum of all stores has static dispatch, but a request's future is then as large as the largest store's, and
//! is moved with every request of the memory store, too; and only this crate could add a store.

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

/// A future in a box.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The outcome of an operation: there already, or to be waited for.
pub type Reply<'a, T> = Either<Ready<T>, Later<'a, T>>;

/// A reply that is there already.
pub fn at_once<'a, T>(outcome: T) -> Reply<'a, T> {
    Either::Left(ready(outcome))
}

/// A reply to be waited for.
pub fn later<'a, T>(outcome: impl Future<Output = T> + Send + 'a) -> Reply<'a, T> {
    Either::Right(Box::pin(outcome))
}

/// A store of pairs. `tests/e2e/pair_store` has the behaviour that every one must show.
///
/// Operations on one pair take effect one after the other, from whichever relay they come. Each ends within a time that the store
/// knows, with [`Unavailable`] if need be. After that error a commit has not taken effect; [`PairError::Unknown`] says that it
/// may have. Other operations may have taken effect either way.
pub trait PairStore: Send + Sync {
    /// Waits until the store can be used, once, before the relay listens.
    ///
    /// # Errors
    /// Why it cannot be used: the relay does not start then.
    fn prepare(&self) -> Reply<'_, Result<(), Unavailable>> {
        at_once(Ok(()))
    }

    /// Stores pairs of one owner, all or none; they count for the network that asks for them.
    fn create_all(
        &self,
        owner: Owner,
        network: Option<Network>,
        pairs: Vec<NewPair>,
    ) -> Reply<'_, Result<(), CreateError>>;

    /// The pair as it is now, or was a short time ago.
    fn begin<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<Snapshot, PairError>>;

    /// The pair as it is now, for a request that does not open with what [`begin`](Self::begin) gave. A store whose `begin`
    /// always looks has nothing to add.
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

    /// Drops a pair; whether it was there.
    fn remove<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<bool, Unavailable>>;

    /// Drops the pairs of a tenant that is removed. Should it come back, it begins without any.
    fn remove_tenant(&self, tenant: TenantId) -> Reply<'_, Result<(), Unavailable>>;

    /// Drops what is past its time. The relay calls it every [`SWEEP_INTERVAL`], and takes the outcome for whether the store
    /// is available: a store on the network asks its server, even if there is nothing to sweep.
    fn sweep(&self) -> Reply<'_, Result<(), Unavailable>>;

    /// Pairs that it holds now, a tenant's or all; those past their time count until they are swept.
    fn count(&self, tenant: Option<TenantId>) -> Reply<'_, Result<usize, Unavailable>>;

    /// New limits: they hold from now on, for pairs that are there as well.
    fn set_limits(&self, limits: config::Pairs);

    /// The tenants that there are from now on, for a store that has something to remember of each.
    fn set_tenants(&self, _: &Domains) {}
}

/// How often [`PairStore::sweep`] is called.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How often it is called while the store is unavailable.
pub const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// What becomes of pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PairEvent {
    /// They were stored.
    Created,
    /// They were dropped because of their age.
    Expired,
    /// They were dropped to make room.
    Evicted,
    /// They were dropped because they, or their tenant, were removed.
    Removed,
}

/// Hears what a store does with pairs.
pub trait PairEvents: Send + Sync {
    /// The event happened to this many pairs of a tenant. Called under the store's locks: must be fast.
    fn happened(&self, tenant: TenantId, event: PairEvent, count: usize);
}

/// What a store is handed from outside, so that tests decide over it.
#[derive(Clone)]
pub struct Outside {
    /// The time since 1970. It never goes back: a clock that is set while the relay runs does not change it.
    pub now: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Makes the generations of pairs: 16 random bytes.
    pub generation: Arc<dyn Fn() -> Generation + Send + Sync>,
    /// Where to say what becomes of pairs.
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
