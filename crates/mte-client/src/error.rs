//! The client's errors, and what to do about them.
//!
//! Errors can be cloned, because callers that wait for one pairing share its outcome. None of them carries a secret.

use std::{sync::Arc, time::Duration};

use mte_codec::SealError;
use mte_session::client::{self, ResponseError};

/// Any error from a caller's body or from hyper.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A cause that several callers may share.
pub(crate) type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why a request could not be sent, or its response not accepted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The relay's URL, or an option of the builder, cannot be used.
    #[error("{0}")]
    Setting(String),
    /// A request's URL does not belong to this relay, or cannot be one.
    #[error("cannot request {url}: {reason}")]
    RequestUrl {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection: name resolution, TCP or TLS failed. Check the address, the port and the certificate.
    #[error("cannot connect to {to}")]
    Connect {
        /// The address.
        to: String,
        /// What failed.
        source: Cause,
    },
    /// Connecting or pairing took longer than [`Builder::timeout`](crate::Builder::timeout).
    #[error("{what} took longer than {} s", after.as_secs_f32())]
    Timeout {
        /// What was being done.
        what: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The exchange failed: the connection was closed, or the answer was not HTTP.
    #[error("the exchange with the relay broke off")]
    Http(#[source] Cause),
    /// The relay answered with an error of its own, in the clear (docs/protocol.md, section 5). Anyone on the path between
    /// the client and the relay could have written it as well.
    #[error("the relay answered {status}: {message}{}", note.as_ref().map(|n| format!(" ({n})")).unwrap_or_default())]
    Relay {
        /// The HTTP status.
        status: u16,
        /// The relay's words.
        message: String,
        /// What to quote to the relay's operator.
        request_id: Option<String>,
        /// Why the request was not sent again, where a client may do that (docs/protocol.md, section 5).
        note: Option<NotRepeated>,
    },
    /// The relay's answer to the pairing cannot be used (docs/protocol.md, section 2).
    #[error("pairing failed: {0}")]
    Pairing(String),
    /// What came back is not a response of the relay to this request (docs/protocol.md, sections 3 and 4).
    #[error("the response was refused: {0}")]
    Response(#[from] ResponseError),
    /// The request's body failed while it was being sent.
    #[error("the request's body failed")]
    RequestBody(#[source] Cause),
    /// The request's body did not have the length it had announced.
    #[error("the request's body announced {announced} bytes and had {}{got}", if got > announced { "at least " } else { "" })]
    BodyLength {
        /// What it had announced.
        announced: u64,
        /// What was there.
        got: u64,
    },
    /// A body is longer than the caller, or [`Builder::max_mte_body`](crate::Builder::max_mte_body), allows.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body is not UTF-8.
    #[error("the body is not UTF-8 text")]
    NotText,
    /// A message could not be sealed.
    #[error("cannot seal the request: {0}")]
    Seal(#[from] SealError),
    /// A header of the request cannot be sealed or sent.
    #[error("cannot send header {name}: {reason}")]
    Header {
        /// The header's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Why a request was not sent again after the relay asked for a new pairing (docs/protocol.md, section 5). The answer that
/// asked for it is not authenticated, so the request may have taken effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRepeated {
    /// It was sent again already.
    #[error("it was sent twice, under two pairs")]
    Twice,
    /// [`Resend::Never`](crate::Resend::Never).
    #[error("it was not sent again: resending is off; {FIND_OUT}")]
    Off,
    /// Its method is not idempotent, and [`Resend::Idempotent`](crate::Resend::Idempotent) holds.
    #[error(
        "it was not sent again: {0} is not idempotent; {FIND_OUT}, or allow resending always if it may take effect twice"
    )]
    Method(http::Method),
    /// Its body is a stream.
    #[error("it was not sent again: its body is a stream; {FIND_OUT}, or hold the body in memory")]
    Stream,
}

/// Why there is no connection if connecting took too long.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f32())]
pub(crate) struct NoAnswer(pub(crate) Duration);

const FIND_OUT: &str = "find out whether it took effect before you send it again";

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        match error {
            client::Error::RequestUrl { url, reason } => Self::RequestUrl { url, reason },
            client::Error::Header { name, reason } => Self::Header { name, reason },
            client::Error::Seal(error) => Self::Seal(error),
            client::Error::TooLarge { limit } => Self::TooLarge { limit },
            client::Error::Pairing(failure) => Self::Pairing(failure.to_string()),
            client::Error::Relay { status, message, request_id } => {
                Self::Relay { status, message, request_id, note: None }
            }
            client::Error::Response(error) => Self::Response(error),
        }
    }
}

impl Error {
    /// A stable name of what happened, for code and logs; the same in all our clients.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting(_) => "setting",
            Self::RequestUrl { .. }
            | Self::Header { .. }
            | Self::RequestBody(_)
            | Self::BodyLength { .. }
            | Self::Seal(_) => "request",
            Self::Connect { .. } => "connect",
            Self::Timeout { .. } => "timeout",
            Self::Http(_) => "network",
            Self::Relay { note: None, .. } => "relay",
            Self::Relay { note: Some(_), .. } => "not-repeated",
            Self::Pairing(_) => "pairing",
            Self::Response(error) => error.code(),
            Self::TooLarge { .. } => "too-large",
            Self::NotText => "not-text",
        }
    }

    /// The status of a relay's own error.
    pub fn relay_status(&self) -> Option<u16> {
        match self {
            Self::Relay { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether there was no connection at all.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }

    /// Whether something took too long: connecting, pairing, or a step of either.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Connect { source, .. } => {
                let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&**source);
                while let Some(error) = next {
                    let timed_out = error
                        .downcast_ref::<std::io::Error>()
                        .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
                    if timed_out || error.is::<NoAnswer>() {
                        return true;
                    }
                    next = error.source();
                }
                false
            }
            _ => false,
        }
    }

    /// The message and those of everything behind it, for a log line or a terminal.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            let cause = error.to_string();
            if !text.ends_with(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
            next = error.source();
        }
        text
    }

    /// What hyper reports, with our own errors taken out of it again.
    pub(crate) fn from_hyper(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(cause) = next {
            if let Some(own) = cause.downcast_ref::<Self>() {
                return own.clone();
            }
            next = cause.source();
        }
        Self::Http(Arc::new(error))
    }
}
