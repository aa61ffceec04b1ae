//! What the relay answers when it cannot do what was asked: status, log level and client-safe text of every
//! failure in one place (docs/protocol.md, section 5).

use std::borrow::Cow;

use mte_codec::{OpenError, WindowError};
use mte_protocol::{ErrorBody, PairingError, SealedHeadersError, Status, TargetError};
use mte_session::server::{BodyError, RequestError, ResponseError};

use crate::{
    limits::BudgetFull,
    pairs::{CreateError, PairError, Unavailable},
};

/// A failure of the relay's own. Its display is for the log; [`Failure::client_text`] is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No tenant has this host.
    #[error("no tenant for host {0:?}")]
    UnknownHost(String),
    /// The connection was made for another tenant, or without what the tenant asks of connections.
    #[error("host {0:?} over a connection that was not made for its tenant")]
    Misdirected(String),
    /// A header that may come once came twice, or is malformed.
    #[error("{0}")]
    BadRequest(Cow<'static, str>),
    /// A pairing request that does not fit; the JSON to answer.
    #[error("pairing request refused: {0}")]
    BadPairing(PairingError),
    /// No such route.
    #[error("no such route")]
    NotFound,
    /// The route does not have this method.
    #[error("method not allowed")]
    MethodNotAllowed(Cow<'static, str>),
    /// A live pair has this id.
    #[error("pair {0} of the request has the id of a live pair")]
    PairExists(usize),
    /// A body is too large.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The header fields are too large.
    #[error("header fields of {size} bytes: the limit is {limit}")]
    HeadersTooLarge {
        /// Their size, request target included.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many names of header fields, in the clear or sealed.
    #[error("more than {limit} names of header fields")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// Too many pairs in too short a time.
    #[error("too many pairs per second")]
    TooManyPairs {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// Too many requests in too short a time.
    #[error("too many requests per second")]
    TooManyRequests {
        /// Seconds to wait.
        retry_after: u64,
    },
    /// The pair store is full.
    #[error("the pair store is full")]
    StoreFull,
    /// The pair store cannot be asked. The client's pairs are not lost by it: none of 559 to 569 may say so.
    #[error(transparent)]
    StoreUnavailable(#[from] Unavailable),
    /// The client's network has as many live pairs as it may.
    #[error("the client network has as many pairs as pairs.max_per_network allows")]
    NetworkFull,
    /// The relay has no more of something that requests share.
    #[error("overloaded: {0}")]
    Overloaded(#[from] Overload),
    /// One of 559 to 569, with the reason for the log.
    #[error("{}: {reason}", status.text())]
    Relay {
        /// The status.
        status: Status,
        /// Why, as a label.
        cause: &'static str,
        /// Why, in words.
        reason: Cow<'static, str>,
    },
    /// No peer of the upstream is healthy.
    #[error("no healthy upstream: {0}")]
    NoUpstream(String),
    /// The body failed to verify after the upstream was contacted.
    #[error("body failed to verify after its first frame: {0}")]
    LateBody(&'static str),
    /// The response was whole before the request was. Nobody asked for the rest, and the upstream's connection, on which it
    /// would stand between two requests, is given up.
    #[error("the upstream answered before the request was whole; the rest of the request is not sent")]
    AnsweredEarly,
    /// The upstream cannot be reached, or what it says is no HTTP.
    #[error("upstream: {0}")]
    BadGateway(String),
    /// The upstream took too long.
    #[error("upstream timed out: {0}")]
    GatewayTimeout(String),
    /// The client's connection failed while it was served.
    #[error("client: {0}")]
    ClientClosed(String),
    /// The client did not take its response in time.
    #[error("client timed out while taking its response: {0}")]
    ClientTimeout(String),
    /// The client took too long to send its request.
    #[error("client timed out while sending its body")]
    RequestTimeout,
    /// A fault of the relay itself.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What the relay has no more of, for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    /// Memory for bodies.
    #[error(
        "the bodies held in memory have reached limits.gathered, or this client network's or tenant's part of it"
    )]
    Gathered,
    /// Cores for pairing.
    #[error("too many pairs wait for their key exchange")]
    KeyExchanges,
    /// Room for requests.
    #[error(
        "as many requests are in flight as limits.connections allows, or limits.connections_per_network over HTTP/2"
    )]
    Requests,
}

impl Overload {
    fn cause(self) -> &'static str {
        match self {
            Self::Gathered => "gathered",
            Self::KeyExchanges => "pairing_queue",
            Self::Requests => "too_many_requests",
        }
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
        Self::Relay { status, cause: cause(status), reason: reason.into() }
    }

    /// The request did not decode.
    pub fn decode(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::relay(Status::DecodeFailed, reason)
    }

    /// Why, as a label of metrics and logs.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::UnknownHost(_) => "unknown_host",
            Self::Misdirected(_) => "misdirected",
            Self::BadRequest(_) => "bad_request",
            Self::BadPairing(_) => "bad_pairing",
            Self::NotFound => "no_route",
            Self::MethodNotAllowed(_) => "method",
            Self::PairExists(_) => "pair_exists",
            Self::TooLarge { .. } => "body_too_large",
            Self::HeadersTooLarge { .. } | Self::TooManyHeaders { .. } => "headers_too_large",
            Self::TooManyPairs { .. } => "pairing_rate",
            Self::TooManyRequests { .. } => "request_rate",
            Self::StoreFull => "store_full",
            Self::StoreUnavailable(_) => "store_unavailable",
            Self::NetworkFull => "network_full",
            Self::Overloaded(overload) => overload.cause(),
            Self::Relay { cause, .. } => cause,
            Self::NoUpstream(_) => "no_upstream",
            Self::LateBody(_) => "late_body",
            Self::AnsweredEarly => "answered_early",
            Self::BadGateway(_) => "bad_gateway",
            Self::GatewayTimeout(_) => "gateway_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::ClientClosed(_) => "client_closed",
            Self::ClientTimeout(_) => "client_timeout",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether it counts against the address that the request came from: whoever makes such requests need not be the client
    /// that they name.
    pub fn is_suspicious(&self) -> bool {
        matches!(self, Self::Relay { .. })
    }

    /// Whether it is the codec's: the request did not open, or its pair could not be used.
    pub fn is_codec(&self) -> bool {
        matches!(self, Self::Relay { .. } | Self::LateBody(_))
    }

    /// The status code to answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::UnknownHost(_) | Self::Misdirected(_) => 421,
            Self::BadRequest(_)
            | Self::BadPairing(_)
            | Self::LateBody(_)
            | Self::AnsweredEarly
            | Self::ClientClosed(_)
            | Self::ClientTimeout(_) => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::RequestTimeout => 408,
            Self::PairExists(_) => 409,
            Self::TooLarge { .. } => 413,
            Self::TooManyPairs { .. } | Self::TooManyRequests { .. } | Self::NetworkFull => 429,
            Self::HeadersTooLarge { .. } | Self::TooManyHeaders { .. } => 431,
            Self::StoreFull | Self::StoreUnavailable(_) | Self::Overloaded(_) | Self::NoUpstream(_) => 503,
            Self::Relay { status, .. } => status.code(),
            Self::BadGateway(_) => 502,
            Self::GatewayTimeout(_) => 504,
            Self::Internal(_) => 500,
        }
    }

    /// What the client is told: enough to act on, and never why a decode failed.
    pub fn client_text(&self) -> Cow<'static, str> {
        match self {
            Self::UnknownHost(_) => "this relay serves no such host".into(),
            Self::Misdirected(_) => "this connection was not made for this host: open another one".into(),
            Self::BadRequest(text) => text.clone(),
            Self::BadPairing(error) => error.to_string().into(),
            Self::LateBody(_) => "the request body did not verify".into(),
            Self::NotFound => "no such route".into(),
            Self::MethodNotAllowed(allowed) => format!("method not allowed here: use {allowed}").into(),
            Self::RequestTimeout => "the request body did not arrive in time".into(),
            Self::ClientClosed(_) | Self::ClientTimeout(_) => "the client's connection failed".into(),
            Self::PairExists(index) => {
                format!("pair {index} has the id of a live pair: choose another pairId").into()
            }
            Self::TooLarge { .. } | Self::HeadersTooLarge { .. } | Self::TooManyHeaders { .. } => {
                self.to_string().into()
            }
            Self::AnsweredEarly => "the response is whole".into(),
            Self::TooManyPairs { .. } => "too many pairs in too short a time: wait".into(),
            Self::TooManyRequests { .. } => "too many requests in too short a time: wait".into(),
            Self::NoUpstream(_) => "no upstream is available now: try again later".into(),
            Self::StoreUnavailable(_) => {
                "pairs cannot be looked up now: keep yours and try again later".into()
            }
            Self::StoreFull => "no room for more pairs now: try again later".into(),
            Self::NetworkFull => "your network has too many pairs: try again later".into(),
            Self::Overloaded(_) => "the relay is busy: try again later".into(),
            Self::Relay { status, .. } => status.text().into(),
            Self::BadGateway(_) => "the upstream could not be reached or did not answer properly".into(),
            Self::GatewayTimeout(_) => "the upstream did not answer in time".into(),
            Self::Internal(_) => "the relay failed".into(),
        }
    }

    /// At which level it is logged: the operator's own matters are warnings and errors.
    pub fn level(&self) -> log::Level {
        match self {
            Self::Internal(_) | Self::StoreUnavailable(_) => log::Level::Error,
            Self::BadGateway(_)
            | Self::GatewayTimeout(_)
            | Self::NoUpstream(_)
            | Self::StoreFull
            | Self::Overloaded(_) => log::Level::Warn,
            _ => log::Level::Info,
        }
    }

    /// Seconds for `retry-after`, where waiting helps.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyPairs { retry_after } | Self::TooManyRequests { retry_after } => Some(*retry_after),
            Self::NoUpstream(_) | Self::StoreUnavailable(_) => Some(5),
            Self::StoreFull => Some(30),
            Self::NetworkFull => Some(60),
            Self::Overloaded(_) => Some(1),
            _ => None,
        }
    }

    /// The JSON body.
    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        match self {
            Self::BadPairing(error) => error.to_json(request_id),
            _ => {
                let (error, request_id) = (self.client_text(), request_id.into());
                ErrorBody { error, status: self.status(), request_id }.to_json()
            }
        }
    }

    /// As an error that makes Pingora abandon the request; `fail_to_proxy` reads it back.
    pub fn into_pingora(self) -> Box<pingora_core::Error> {
        let status = pingora_core::ErrorType::HTTPStatus(self.status());
        let mut error = pingora_core::Error::because(status, "refused by the relay", self);
        error.as_down();
        error
    }
}

impl From<Failure> for Box<pingora_core::Error> {
    fn from(failure: Failure) -> Self {
        failure.into_pingora()
    }
}

/// A status's label, where nothing says more.
fn cause(status: Status) -> &'static str {
    match status {
        Status::PairExpired => "pair_expired",
        Status::PairNotFound => "pair_not_found",
        Status::EncodeFailed => "encode",
        Status::DecodeFailed => "malformed",
        Status::StateNotRead => "state_not_read",
        Status::NumbersExhausted => "numbers_exhausted",
        Status::ClientIdInvalid => "client_id",
        Status::DecoderNotSaved | Status::EncoderNotSaved => "state_not_saved",
        Status::RelayHeaderMissing => "relay_header",
    }
}

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
