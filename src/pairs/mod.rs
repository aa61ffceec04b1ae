//! The pair store: where the mutable part of every pair lives, and where its numbers are spent.
//!
//! A request touches a pair in two short steps, [`PairStore::begin`] and [`PairStore::commit`], with the
//! cryptography in between and outside of any lock. What `begin` gives is a snapshot; only `commit` decides
//! whether its numbers are taken.

mod memory;

use std::future::Future;

use mte_protocol::client_id::ClientId;

use crate::{domains::TenantId, rate::Network};
pub use memory::{Counts, MemoryStore};
pub use mte_session::store::{Commit, NewPair, PairError, PairState, Snapshot, Unavailable};

/// Whose pairs: one client of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The tenant.
    pub tenant: TenantId,
    /// The client.
    pub client: ClientId,
}

/// Why pairs cannot be stored. None of them is, then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The client has a live pair of this id.
    #[error("there is a live pair with this id already")]
    Exists(usize),
    /// The store is full of pairs that stay.
    #[error("the pair store is full")]
    Full,
    /// The client's network has as many pairs as it may.
    #[error("the client network has too many pairs")]
    NetworkFull,
}

/// A store of pairs.
pub trait PairStore: Send + Sync {
    /// Stores pairs of one owner, all or none; they count for the network that asks for them.
    fn create_all(
        &self,
        owner: Owner,
        network: Option<Network>,
        pairs: Vec<NewPair>,
    ) -> impl Future<Output = Result<(), CreateError>> + Send;

    /// The pair as it is now.
    fn begin(&self, owner: Owner, pair_id: &str) -> impl Future<Output = Result<Snapshot, PairError>> + Send;

    /// Takes a request's numbers and reserves its response's, all or none: the first response number.
    fn commit(
        &self,
        owner: Owner,
        pair_id: &str,
        commit: Commit,
    ) -> impl Future<Output = Result<u64, PairError>> + Send;
}
