//! The pair store: where the mutable part of every pair lives, and where its numbers are spent.
//!
//! A request touches a pair in two short steps, [`PairStore::begin`] and [`PairStore::commit`], with the
//! cryptography in between and outside of any lock. What `begin` gives is a snapshot; only `commit` decides
//! whether its numbers are taken. These values, and what a commit does, are the session's (`mte_session::store`).
//!
//! | module | what it is about |
//! | --- | --- |
//! | `store` | what a store is, and how the relay holds one |
//! | `rules` | what every store keeps: ages, shares |
//! | `memory` | the store in this process's memory |
//! | `redis` | the store in Redis, for relays that share it |
//! | `watched` | the relay's store: whether it is available |
//! | `events` | what became of pairs, counted |

mod events;
mod memory;
pub mod redis;
mod rules;
mod store;
mod watched;

use mte_protocol::client_id::ClientId;

pub use self::{
    events::Counts,
    memory::MemoryStore,
    rules::{Age, share},
    store::{
        Later, Outside, PairEvent, PairEvents, PairStore, RETRY_INTERVAL, Reply, SWEEP_INTERVAL, at_once,
        later,
    },
    watched::WatchedStore,
};
pub use mte_session::store::{
    Commit, Committed, Generation, NewPair, PairError, PairState, RelayKeyId, Snapshot, StateError,
    Unavailable,
};

use crate::domains::TenantId;

/// Whose pairs: one client of one tenant. Every relay names an owner in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The tenant.
    pub tenant: TenantId,
    /// The client.
    pub client: ClientId,
}

/// Why pairs cannot be stored.
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
    /// The store cannot say whether they are stored. The client is not told of them: if they are there, they go unused.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
