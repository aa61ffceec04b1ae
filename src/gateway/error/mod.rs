//! What the relay answers when it cannot serve a request: the kinds of failure, and their sources. What is answered,
//! counted and logged of each is one line in `table`.

mod table;

use std::{borrow::Cow, fmt};

use mte_codec::{OpenError, WindowError};
use mte_protocol::{ErrorBody, PairingError, SealedHeadersError, Status, TargetError};
use mte_session::server::{BodyError, RequestError, ResponseError};

use crate::{
    limits::BudgetFull,
    pairs::{CreateError, PairError, Unavailable},
};

/// A failure of the relay's own: the kinds. What is answered and logged of each is in `table`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No tenant has this host.
    UnknownHost(String),
    /// The connection was made for another tenant, or does not meet the tenant's requirements.
    Misdirected(String),
    /// A header that may occur once occurs twice, or is malformed.
    BadRequest(Cow<'static, str>),
    /// A pairing request that does not fit; the JSON to answer.
    BadPairing(PairingError),
    /// No such route.
    NotFound,
    /// The route does not have this method.
    MethodNotAllowed(Cow<'static, str>),
    /// A live pair has this id.
    PairExists(usize),
    /// A body is too large.
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The header fields are too large.
    HeadersTooLarge {
        /// Their size, request target included.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many names of header fields, in the clear or sealed.
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// Too many pairs in too short a time.
    TooManyPairs {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// Too many requests in too short a time.
    TooManyRequests {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// The pair store is full.
    StoreFull,
    /// The pair store is unavailable. The client's pairs are not lost: the answer must not be one of 559 to 569.
    StoreUnavailable(Unavailable),
    /// The client's network has as many live pairs as it may.
    NetworkFull,
    /// A resource that requests share is used up.
    Overloaded(Overload),
    /// One of 559 to 569, with the reason for the log.
    Relay {
        /// The status.
        status: Status,
        /// Why, as a label.
        cause: &'static str,
        /// The reason as text.
        reason: Cow<'static, str>,
    },
    /// No peer of the upstream is healthy.
    NoUpstream(String),
    /// The body failed to verify after the upstream was contacted.
    LateBody(BodyError),
    /// The response was complete before the request was. The upstream does not want the rest, and its connection, on which it
    /// would be taken for the next request, is closed.
    AnsweredEarly,
    /// The upstream cannot be reached, or its answer is not HTTP.
    BadGateway(String),
    /// The upstream took too long.
    GatewayTimeout(String),
    /// The token of an outbound request is not the tenant's.
    OutboundToken,
    /// The peer of an outbound request is not allowed.
    PeerNotAllowed(String),
    /// An outbound request asks for another protocol.
    Upgrade,
    /// A request has been through this relay's outbound mode before.
    Loop,
    /// A peer cannot be connected to.
    PeerUnreachable(String),
    /// A peer answered with an error of its own.
    PeerRefused {
        /// Its status.
        status: u16,
        /// It asks for a new pairing, which is not authenticated, and the request was not sent again: only the client knows
        /// whether it may be.
        may_have_run: bool,
        /// The peer's words.
        why: String,
    },
    /// The exchange with a peer broke off, or its response did not verify.
    PeerFailed(String),
    /// A peer took too long.
    PeerTimeout(String),
    /// The client's connection failed while it was served.
    ClientClosed(String),
    /// The client did not take its response in time.
    ClientTimeout(String),
    /// The client took too long to send its request.
    RequestTimeout,
    /// A fault of the relay itself.
    Internal(String),
}

/// A shared resource that is used up for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overload {
    /// Memory for bodies.
    Gathered,
    /// Cores for pairing.
    KeyExchanges,
    /// Capacity for requests.
    Requests,
}

impl From<Unavailable> for Failure {
    fn from(error: Unavailable) -> Self {
        Self::StoreUnavailable(error)
    }
}

impl From<BudgetFull> for Failure {
    fn from(_: BudgetFull) -> Self {
        Self::Overloaded(Overload::Gathered)
    }
}

impl Failure {
    /// One of the relay's own statuses.
    pub fn relay(status: Status, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Relay { status, cause: status.label(), reason: reason.into() }
    }

    /// The request did not decode.
    pub fn decode(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::relay(Status::DecodeFailed, reason)
    }

    /// Why, as a label of metrics and logs.
    pub fn cause(&self) -> &'static str {
        self.row(|row| row.cause)
    }

    /// The same where the client got a response of `status`, which may have begun before.
    pub fn cause_of_end(&self, status: u16) -> &'static str {
        self.row(|row| if row.status == status { row.cause } else { row.cause_once_begun })
    }

    /// Whether it counts against the address that the request came from.
    pub fn is_suspicious(&self) -> bool {
        self.row(|row| row.suspicious)
    }

    /// Whether it is the codec's: the request did not open, or its pair could not be used.
    pub fn is_codec(&self) -> bool {
        self.row(|row| row.codec)
    }

    /// The status code to answer.
    pub fn status(&self) -> u16 {
        self.row(|row| row.status)
    }

    /// The text for the client.
    pub fn client_text(&self) -> Cow<'static, str> {
        self.row(|row| row.client.as_str().map_or_else(|| row.client.to_string().into(), Cow::Borrowed))
    }

    /// At which level it is logged.
    pub fn level(&self) -> log::Level {
        self.row(|row| row.level)
    }

    /// Seconds for `retry-after`, where waiting helps.
    pub fn retry_after(&self) -> Option<u64> {
        self.row(|row| row.retry_after)
    }

    /// The JSON body.
    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        match self {
            Self::BadPairing(error) => error.to_json(Some(request_id)),
            _ => {
                let (error, request_id) = (self.client_text(), Some(request_id.into()));
                ErrorBody { error, status: self.status(), request_id }.to_json()
            }
        }
    }
}

/// An error that makes Pingora abandon the request; `fail_to_proxy` reads the failure back from it.
impl From<Failure> for Box<pingora_core::Error> {
    fn from(failure: Failure) -> Self {
        let status = pingora_core::ErrorType::HTTPStatus(failure.status());
        let mut error = pingora_core::Error::because(status, "refused by the relay", failure);
        error.as_down();
        error
    }
}

/// For the log.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row(|row| f.write_fmt(row.operator))
    }
}

impl std::error::Error for Failure {}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let cause = match error {
            OpenError::Number(WindowError::Replayed) => "replayed",
            // A number beyond the last one is never verified, so it says nothing of the pair: forged, most likely.
            OpenError::Number(WindowError::OutOfWindow | WindowError::Exhausted) | OpenError::NoSecret => {
                "out_of_window"
            }
            OpenError::NotAuthentic => "not_authentic",
            OpenError::OutOfPlace | OpenError::NotConsecutive => "out_of_place",
            OpenError::Truncated => "truncated",
            OpenError::Malformed(_) | OpenError::Trailing => "malformed",
        };
        Self::Relay { status: Status::DecodeFailed, cause, reason: error.reason().into() }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        Self::BadRequest(error.to_string().into())
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match (error.relay_status(), error) {
            (_, RequestError::Open(error)) => error.into(),
            (Some(status), error @ RequestError::Pair(PairError::Lost)) => {
                Self::Relay { status, cause: "pair_lost", reason: error.to_string().into() }
            }
            (Some(status), error) => Self::relay(status, error.to_string()),
            (None, RequestError::Body(BodyError::TooLarge { limit })) => {
                Self::TooLarge { what: "the request body of type MTE", limit: limit as u64 }
            }
            (None, RequestError::SealedHeaders(SealedHeadersError::TooMany(limit))) => {
                Self::TooManyHeaders { limit }
            }
            (None, RequestError::Pair(PairError::Unavailable(error))) => error.into(),
            (None, error @ RequestError::Keys(_)) => Self::Internal(error.to_string()),
            (None, error) => Self::BadRequest(error.to_string().into()),
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        RequestError::from(error).into()
    }
}

/// Not one of 559 to 569: the upstream has been contacted (docs/protocol.md, section 5).
impl From<ResponseError> for Failure {
    fn from(error: ResponseError) -> Self {
        Self::BadGateway(error.to_string())
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Exists(index) => Self::PairExists(index),
            CreateError::Full => Self::StoreFull,
            CreateError::NetworkFull => Self::NetworkFull,
            CreateError::Unavailable(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests;
