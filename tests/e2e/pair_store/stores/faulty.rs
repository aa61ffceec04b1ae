//! A wrapper around another store. Every reply must be awaited, and fails if the test says so.

use std::sync::Arc;

use mte_relay::{
    config,
    domains::TenantId,
    pairs::{
        Commit, Committed, CreateError, NewPair, Owner, PairError, PairStore, Reply, Snapshot, Unavailable,
        later,
    },
    rate::Network,
};
use parking_lot::Mutex;

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The store cannot be reached.
    Unreachable,
    /// The store executes the operation, but the reply to one that changes anything does not arrive.
    RepliesLost,
    /// The store can be read but not written.
    ReadOnly,
}

pub(crate) struct FaultyStore {
    inner: Arc<dyn PairStore>,
    fault: Mutex<Option<Fault>>,
}

/// The reason shown to operators.
pub(crate) const REASON: &str = "a test has cut the connection to 192.0.2.7";

impl FaultyStore {
    pub(crate) fn over(inner: Arc<dyn PairStore>) -> Self {
        Self { inner, fault: Mutex::default() }
    }

    /// Sets the fault from now on, or none.
    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.fault.lock() = fault;
    }

    /// The inner store's reply to an operation, unless there is a fault.
    fn reply<'a, T, E>(
        &'a self,
        writes: bool,
        lost: fn(Unavailable) -> E,
        operation: impl FnOnce() -> Reply<'a, Result<T, E>> + Send + 'a,
    ) -> Reply<'a, Result<T, E>>
    where
        T: Send + 'a,
        E: From<Unavailable> + Send + 'a,
    {
        later(async move {
            tokio::task::yield_now().await;
            let fault = *self.fault.lock();
            let unavailable = || Err(Unavailable::because(REASON).into());
            match fault {
                Some(Fault::Unreachable) => unavailable(),
                Some(Fault::ReadOnly) if writes => unavailable(),
                _ => {
                    let outcome = operation().await;
                    let is_lost = writes && fault == Some(Fault::RepliesLost);
                    if is_lost { Err(lost(Unavailable::because(REASON))) } else { outcome }
                }
            }
        })
    }
}

impl PairStore for FaultyStore {
    fn create_all(
        &self,
        owner: Owner,
        network: Option<Network>,
        pairs: Vec<NewPair>,
    ) -> Reply<'_, Result<(), CreateError>> {
        self.reply(true, Into::into, move || self.inner.create_all(owner, network, pairs))
    }

    fn begin<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<Snapshot, PairError>> {
        self.reply(false, Into::into, move || self.inner.begin(owner, pair_id))
    }

    fn commit<'a>(
        &'a self,
        owner: Owner,
        pair_id: &'a str,
        commit: Commit,
    ) -> Reply<'a, Result<Committed, PairError>> {
        self.reply(true, PairError::Unknown, move || self.inner.commit(owner, pair_id, commit))
    }

    fn remove<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<bool, Unavailable>> {
        self.reply(true, Into::into, move || self.inner.remove(owner, pair_id))
    }

    fn remove_tenant(&self, tenant: TenantId) -> Reply<'_, Result<(), Unavailable>> {
        self.reply(true, Into::into, move || self.inner.remove_tenant(tenant))
    }

    fn sweep(&self) -> Reply<'_, Result<(), Unavailable>> {
        self.reply(true, Into::into, move || self.inner.sweep())
    }

    fn count(&self, tenant: Option<TenantId>) -> Reply<'_, Result<usize, Unavailable>> {
        self.reply(false, Into::into, move || self.inner.count(tenant))
    }

    fn set_limits(&self, limits: config::Pairs) {
        self.inner.set_limits(limits);
    }
}
