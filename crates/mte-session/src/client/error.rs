//! Why a request is not sealed, or a response is refused. No error carries a secret.

use mte_codec::{KemError, OpenError, ScheduleError, SealError};

/// Why a pairing, a request or a response failed, at the level of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A request's URL cannot be sealed.
    #[error("cannot request {url}: {reason}")]
    RequestUrl {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A header of the request cannot be sealed or sent.
    #[error("cannot send header {name}: {reason}")]
    Header {
        /// The header's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A message could not be sealed.
    #[error("cannot seal the request: {0}")]
    Seal(#[from] SealError),
    /// A body of type MTE is longer than [`Options::max_mte_body`](super::Options::max_mte_body).
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The relay's answer to the pairing cannot be used (docs/protocol.md, section 2).
    #[error("pairing failed: {0}")]
    Pairing(#[from] PairingFailure),
    /// The relay answered with an error of its own, in the clear (docs/protocol.md, section 5). Anyone on the path between
    /// the client and the relay could have written it as well.
    #[error("the relay answered {status}: {message}")]
    Relay {
        /// The HTTP status.
        status: u16,
        /// The relay's words.
        message: String,
        /// What to quote to the relay's operator.
        request_id: Option<String>,
    },
    /// What came back is not a response of the relay to this request (docs/protocol.md, sections 3 and 4).
    #[error("the response was refused: {0}")]
    Response(#[from] ResponseError),
}

/// Why the relay's answer to a pairing cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairingFailure {
    /// It is not an answer to what was asked.
    #[error("the relay's answer does not fit: {0}")]
    Answer(#[from] mte_protocol::PairingError),
    /// A ciphertext in it does not fit its key.
    #[error(transparent)]
    Kem(#[from] KemError),
    /// A secret cannot be derived.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

/// Why a response was refused (docs/protocol.md, section 4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// There are no sealed headers: it does not come from the relay's encrypted proxy.
    #[error(
        "it is not sealed (status {0}); is the address that of an MTE relay, and the route an encrypted one?"
    )]
    NotSealed(u16),
    /// The sealed headers do not open.
    #[error("its sealed headers do not open: {}", .0.reason())]
    Headers(OpenError),
    /// The sealed headers are not what section 3 says.
    #[error("its sealed headers are malformed: {0}")]
    Malformed(String),
    /// The sealed headers lack `:status` or `:request`.
    #[error("its sealed headers do not bind it to the request: no {0}")]
    Unbound(&'static str),
    /// The sealed headers name another status or request.
    #[error("it belongs elsewhere: {what} is {got}, expected {expected}")]
    Misbound {
        /// `:status` or `:request`.
        what: &'static str,
        /// The expected value.
        expected: u64,
        /// What is sealed.
        got: String,
    },
    /// The sealed headers do not say whether a body follows: the place is 15, which relays no longer write.
    #[error("its sealed headers do not say whether a body follows; update the relay")]
    UnknownBody,
    /// There are no bytes where the sealed headers announce a body.
    #[error("its sealed headers announce a body, and it has none")]
    MissingBody,
    /// There are bytes where the sealed headers announce none.
    #[error("it has a body that its sealed headers do not announce")]
    ClearBody,
    /// The body does not open: cut, changed, moved or replayed.
    #[error("its body does not open: {}", .0.reason())]
    Body(OpenError),
    /// The body has another length than the sealed `content-length` says.
    #[error("its body has {got} bytes, its sealed content-length says {expected}")]
    Length {
        /// What is sealed.
        expected: u64,
        /// What was opened.
        got: u64,
    },
}

impl ResponseError {
    /// A stable name of what happened, the same in all our clients.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSealed(_) => "not-sealed",
            Self::Headers(_) | Self::Malformed(_) => "sealed-headers",
            Self::Unbound(_) => "not-bound",
            Self::Misbound { .. } => "other-exchange",
            Self::UnknownBody => "unknown-body",
            Self::MissingBody => "missing-body",
            Self::ClearBody => "clear-body",
            Self::Body(OpenError::Truncated) => "cut-body",
            Self::Body(_) => "changed-body",
            Self::Length { .. } => "body-length",
        }
    }
}
