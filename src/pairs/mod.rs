//! The pair store: where the mutable part of every pair lives, and where its numbers are spent.
//!
//! A request touches a pair in two short steps, [`PairStore::begin`] and [`PairStore::commit`], with the
//! cryptography in between and outside of any lock. What `begin` gives is a snapshot; only `commit` decides
//! whether its numbers are taken.

mod memory;

use std::future::Future;

use mte_codec::{DecoderSecrets, EpochSecret, Window, WindowError};
use mte_protocol::client_id::ClientId;

use crate::{domains::TenantId, rate::Network};
pub use memory::{Counts, MemoryStore};

/// Whose pairs: one client of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The tenant.
    pub tenant: TenantId,
    /// The client.
    pub client: ClientId,
}

/// A pair about to be stored.
#[derive(Debug)]
pub struct NewPair {
    /// The id that the client gave it.
    pub pair_id: String,
    /// Root secret of the direction from client to server.
    pub decoder: EpochSecret,
    /// Root secret of the direction from server to client.
    pub encoder: EpochSecret,
}

/// A pair as it was at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Tells a pair from a later one under the same id.
    pub generation: u64,
    /// What requests are opened with.
    pub decoder: DecoderSecrets,
    /// The request numbers taken.
    pub window: Window,
    /// What responses are sealed with: a secret of the epoch of `next_response`, or an earlier one.
    pub encoder: EpochSecret,
    /// The next response number.
    pub next_response: u64,
}

/// What a request asks the store to make final.
#[derive(Debug)]
pub struct Commit {
    /// The snapshot's generation.
    pub generation: u64,
    /// The first number of the request's messages.
    pub first: u64,
    /// How many there are.
    pub count: u64,
    /// The decoder's secrets after these numbers, if they differ from the snapshot's.
    pub decoder: Option<DecoderSecrets>,
    /// The encoder's secret after the response, if its epoch differs from the snapshot's.
    pub encoder: Option<EpochSecret>,
    /// Response numbers to reserve.
    pub reserve: u64,
}

/// Why a pair cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// There is no such pair.
    #[error("no such pair")]
    NotFound,
    /// The pair is older than the relay allows.
    #[error("the pair is too old")]
    Expired,
    /// The pair was replaced since the snapshot.
    #[error("the pair was replaced meanwhile")]
    Replaced,
    /// A request number is taken, or out of the window.
    #[error(transparent)]
    Number(#[from] WindowError),
    /// The response numbers are used up.
    #[error("response numbers are used up")]
    Exhausted,
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
