//! Errors, as enums. The reasons of [`OpenError`] are never sent to a peer (section 8).

use crate::window::WindowError;

/// A key exchange that cannot be done (section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KemError {
    /// No algorithm has an encapsulation key of this size.
    #[error("an encapsulation key of {0} bytes: expected 800, 1184, 1568 or 1216")]
    KeySize(usize),
    /// The key has the right size but fails FIPS 203's modulus check.
    #[error("the encapsulation key is not a valid {0} key")]
    InvalidKey(crate::KemId),
    /// The ciphertext does not have the algorithm's size.
    #[error("a KEM ciphertext of {got} bytes: expected {expected}")]
    CiphertextSize {
        /// What the algorithm calls for.
        expected: usize,
        /// What was given.
        got: usize,
    },
}

/// A direction secret that cannot be derived (section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Personalization or context do not fit their 16-bit length.
    #[error("{0} is longer than 65,535 bytes")]
    TooLong(&'static str),
    /// The cryptographic library refused; it does not with inputs of valid size.
    #[error("key derivation failed")]
    Derivation,
}

/// A message that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The direction's numbers are used up: renew the pair (section 6).
    #[error("the direction's message numbers are used up; renew the pair")]
    Exhausted,
    /// The number belongs to an epoch whose secret is already wiped, or to no number reserved.
    #[error("no secret for message number {0}")]
    NoSecret(u64),
    /// A message has at most 2^32 frames, and one of type MTE at most 2^32 - 1 bytes.
    #[error("the message is too long")]
    TooLong,
    /// Frame sizes that do not add up, exceed the frame limit, or are empty before the last.
    #[error("these frame sizes do not make a message")]
    FrameSizes,
    /// Something was to be sealed after the final frame.
    #[error("the message is already finished")]
    Finished,
    /// Only a message of type MKE can be streamed (section 5).
    #[error("a message of type MTE is sealed whole")]
    NotStreamable,
    /// The cryptographic library refused.
    #[error("encryption failed")]
    Crypto,
}

/// A message that does not open. It displays as `decode failed` whatever the cause (section 8);
/// [`OpenError::reason`] is for the operator's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("decode failed")]
pub enum OpenError {
    /// Type byte, frame length or token layout are not of the format.
    Malformed(&'static str),
    /// The message is of the other type, or belongs elsewhere (section 4).
    OutOfPlace,
    /// A tag does not verify.
    NotAuthentic,
    /// The input ends before the final frame's end.
    Truncated,
    /// Bytes follow the final frame.
    Trailing,
    /// The number is taken, out of the window, or used up (section 6).
    Number(WindowError),
    /// The epoch of this number is no longer, or not yet, within reach.
    NoSecret,
    /// The messages of one request do not carry consecutive numbers (section 6).
    NotConsecutive,
}

impl OpenError {
    /// The reason, for a log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(what) => what,
            Self::OutOfPlace => "message of another type or for another place",
            Self::NotAuthentic => "authentication tag does not verify",
            Self::Truncated => "message ends before its final frame",
            Self::Trailing => "bytes after the final frame",
            Self::Number(WindowError::Replayed) => "message number was used before",
            Self::Number(WindowError::OutOfWindow) => "message number is out of the window",
            Self::Number(WindowError::Exhausted) => "message numbers are used up",
            Self::NoSecret => "the epoch of this number is out of reach",
            Self::NotConsecutive => "message numbers are not consecutive",
        }
    }
}

impl From<WindowError> for OpenError {
    fn from(error: WindowError) -> Self {
        Self::Number(error)
    }
}
