//! What a request and a pair store exchange, as values.
//!
//! A request touches its pair twice: it begins with a [`Snapshot`], and ends with a [`Commit`] once its messages have
//! verified. The cryptography happens in between and needs no lock. [`PairState`] is what a store keeps of a pair;
//! [`PairState::commit`] alone defines what a commit does.

mod bytes;
mod state;

use std::borrow::Cow;

use mte_codec::{DecoderSecrets, EpochSecret, KemId, Window, WindowError};

pub use self::{bytes::StateError, state::PairState};

/// Names the relay key that a pairing was authenticated with: the SHA-256 digest of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RelayKeyId(pub [u8; 32]);

/// Tells a pair from every other one that had, has or will have its id: 16 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation(pub [u8; 16]);

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

/// A pair as it was at one moment, which may be past: only a commit decides.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Distinguishes a pair from a later one under the same id.
    pub generation: Generation,
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
    pub generation: Generation,
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

/// What a commit has reserved.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The first of the response's numbers.
    pub response: u64,
    /// A secret of that number's epoch, or of an earlier one: what the response's keys are made from.
    pub encoder: EpochSecret,
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
    /// The store cannot prove that it still has all that was committed to this pair, so the pair is given up.
    #[error("the pair's state is not that of its last commit")]
    Lost,
    /// A commit was sent and its reply did not come: the numbers may be spent, or not.
    #[error("it is not known whether the numbers are spent: {0}")]
    Unknown(Unavailable),
    /// The store cannot be asked. Nothing was spent.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The store failed, or cannot say whether it succeeded. This says nothing about any pair: the request
/// fails, the client's pairs remain valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pair store is unavailable: {reason}")]
pub struct Unavailable {
    /// Why, for the operator. Clients do not see it.
    pub reason: Cow<'static, str>,
}

impl Unavailable {
    /// Unavailable for this reason.
    pub fn because(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }
}

impl Snapshot {
    /// Whether this is a later state of the pair than `earlier`, or another pair: what could not be opened with the earlier
    /// one is worth another try then.
    pub fn supersedes(&self, earlier: &Self) -> bool {
        self.generation != earlier.generation || self.window != earlier.window
    }
}
