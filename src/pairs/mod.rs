//! The pair store: holds the mutable part of every pair, and allocates its message numbers.
//!
//! A request touches a pair in two short steps, [`PairStore::begin`] and [`PairStore::commit`], with the
//! cryptography in between and outside of any lock. `begin` returns a snapshot; only `commit` decides whether its numbers
//! are taken. The types of these values, and the effect of a commit, are defined in `mte_session::store`.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `store` | the interface of a store, and how the relay holds one |
//! | `rules` | the rules for every store: ages, shares |
//! | `memory` | the store in this process's memory |
//! | `redis` | the store in Redis, for relays that share it |
//! | `watched` | the relay's store, and whether it is available |
//! | `events` | counts events of pairs |

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

/// The owner of pairs: one client of one tenant. Every relay identifies an owner in the same way.
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
    /// The client has a live pair with this id.
    #[error("there is a live pair with this id already")]
    Exists(usize),
    /// The store is full, and no pair can be evicted.
    #[error("the pair store is full")]
    Full,
    /// The client's network has reached its limit of pairs.
    #[error("the client network has too many pairs")]
    NetworkFull,
    /// It is unknown whether they are stored. The client gets an error: if they are stored, they are never used.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
