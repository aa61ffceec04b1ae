//! The pair store: where the mutable part of every pair lives, and where its numbers are spent.
//!
//! A request touches a pair in two short steps, [`PairStore::begin`] and [`PairStore::commit`], with the
//! cryptography in between and outside of any lock. What `begin` gives is a snapshot; only `commit` decides
//! whether its numbers are taken.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `store` | what a store is, and how the relay holds one |
//! | `rules` | what every store keeps: ages, shares |
//! | `state`, `bytes` | a pair's state, what a commit does to it, and its stored form |
//! | `memory` | the store in this process's memory |
//! | `watched` | the relay's store: whether it is available |
//! | `events` | what became of pairs, counted |

mod bytes;
mod events;
mod memory;
mod rules;
mod state;
mod store;
mod watched;

use mte_codec::{DecoderSecrets, EpochSecret, KemId, Window, WindowError};
use mte_protocol::client_id::ClientId;

pub use self::{
    bytes::StateError,
    events::Counts,
    memory::MemoryStore,
    rules::{Age, share},
    state::PairState,
    store::{
        Later, Outside, PairEvent, PairEvents, PairStore, Reply, SWEEP_INTERVAL, Unavailable, at_once, later,
    },
    watched::WatchedStore,
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

/// Names the relay key that a pairing was authenticated with: the SHA-256 digest of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RelayKeyId(pub [u8; 32]);

/// A pair about to be stored.
#[derive(Debug, Clone)]
pub struct NewPair {
    /// The id that the client gave it.
    pub pair_id: String,
    /// Root secret of the direction from client to server.
    pub decoder: EpochSecret,
    /// The algorithm of that direction's key exchange.
    pub decoder_kem: KemId,
    /// Root secret of the direction from server to client.
    pub encoder: EpochSecret,
    /// The algorithm of that direction's key exchange.
    pub encoder_kem: KemId,
    /// The relay key that the pairing was authenticated with, if it was.
    pub relay_key: Option<RelayKeyId>,
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
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The store cannot say. The pair may be there, and after a commit its numbers may be spent.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
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
