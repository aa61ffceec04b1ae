//! Why a request is refused or a response not sealed, and with which status (docs/protocol.md, section 5).

use mte_codec::{OpenError, SealError};
use mte_protocol::{RelayHeaderError, SealedHeadersError, Status, TargetError, TextError};

use crate::{body::BodyError, store::PairError};

/// Why a request is refused. The display is for the relay's log: clients never learn why a decode failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A header that may occur once occurs more often.
    #[error("the header {0} is there more than once")]
    Repeated(&'static str),
    /// A header with a byte that is not visible ASCII.
    #[error("the header {0} is not ASCII")]
    NotAscii(&'static str),
    /// The relay header lacks something, or is malformed.
    #[error(transparent)]
    RelayHeader(#[from] RelayHeaderError),
    /// The client id does not verify; the reason as text.
    #[error("{0}")]
    ClientId(String),
    /// Neither URL nor headers are sealed.
    #[error("neither the URL nor the headers are encoded")]
    NothingSealed,
    /// The URL or the sealed headers are not the text form of a message.
    #[error(transparent)]
    Text(#[from] TextError),
    /// There are sealed headers, and the flags say there are none.
    #[error("sealed headers that the flags do not announce")]
    UnannouncedHeaders,
    /// There are no sealed headers, and the flags say there are.
    #[error("no sealed headers although the flags announce them")]
    MissingHeaders,
    /// The tenant requires sealed headers.
    #[error(
        "no sealed headers, which require_sealed_headers asks for: they may have been dropped on the way"
    )]
    HeadersRequired,
    /// A body in the clear together with sealed parts.
    #[error("a body in the clear")]
    ClearBody,
    /// The URL's message carries a header map.
    #[error("a header map in the URL's place")]
    HeadersAsUrl,
    /// A message does not open.
    #[error("{}", .0.reason())]
    Open(#[from] OpenError),
    /// The sealed headers are malformed, or have too many names.
    #[error(transparent)]
    SealedHeaders(#[from] SealedHeadersError),
    /// The sealed part does not belong to this request.
    #[error(transparent)]
    Binding(#[from] Binding),
    /// The sealed `content-length` is not a number.
    #[error("the sealed content-length is not a number")]
    ContentLength,
    /// The body is refused.
    #[error(transparent)]
    Body(BodyError),
    /// The decoded URL is not a target of the upstream.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The pair cannot be used.
    #[error(transparent)]
    Pair(PairError),
    /// The response's keys could not be made.
    #[error("the response's keys: {0}")]
    Keys(SealError),
}

/// A request that its sealed part does not belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Binding {
    /// The tenant requires bindings, and one is missing.
    #[error("this tenant requires :method and :authority in the sealed headers")]
    Missing,
    /// The methods differ.
    #[error("the request's method is not the sealed one")]
    Method,
    /// The authorities differ.
    #[error("the request's authority is not the sealed one")]
    Authority,
}

impl RequestError {
    /// The status to answer with, as long as the upstream was not contacted.
    pub fn status(&self) -> u16 {
        match self {
            Self::Body(BodyError::TooLarge { .. }) => 413,
            Self::SealedHeaders(SealedHeadersError::TooMany(_)) => 431,
            Self::Keys(_) => 500,
            Self::Pair(PairError::Unavailable(_)) => 503,
            _ => self.relay_status().map_or(400, Status::code),
        }
    }

    /// Whether the pair's state as it is now may open what its state as it was did not: the pair was made again, or has moved
    /// on. No request is refused for this without a look at the state as it is now.
    pub fn may_be_outdated(&self) -> bool {
        matches!(self, Self::Open(OpenError::NotAuthentic | OpenError::NoSecret))
    }

    /// The status, if it is one of the relay's own, 559 to 569.
    pub fn relay_status(&self) -> Option<Status> {
        match self {
            Self::Repeated(_)
            | Self::NotAscii(_)
            | Self::RelayHeader(RelayHeaderError::Malformed(_))
            | Self::Body(BodyError::TooLarge { .. })
            | Self::SealedHeaders(SealedHeadersError::TooMany(_))
            | Self::Target(_)
            | Self::Keys(_)
            // The client's pairs are not lost: the answer must not be one of the relay's own statuses.
            | Self::Pair(PairError::Unavailable(_)) => None,
            Self::RelayHeader(_) | Self::NothingSealed => Some(Status::RelayHeaderMissing),
            Self::ClientId(_) => Some(Status::ClientIdInvalid),
            Self::Text(_)
            | Self::UnannouncedHeaders
            | Self::MissingHeaders
            | Self::HeadersRequired
            | Self::ClearBody
            | Self::HeadersAsUrl
            | Self::Open(_)
            | Self::SealedHeaders(_)
            | Self::Binding(_)
            | Self::ContentLength
            | Self::Body(_)
            | Self::Pair(PairError::Number(_)) => Some(Status::DecodeFailed),
            Self::Pair(PairError::NotFound | PairError::Replaced | PairError::Lost) => Some(Status::PairNotFound),
            Self::Pair(PairError::Unknown(_)) => Some(Status::StateNotRead),
            Self::Pair(PairError::Expired) => Some(Status::PairExpired),
            Self::Pair(PairError::Exhausted) => Some(Status::NumbersExhausted),
        }
    }
}

impl From<BodyError> for RequestError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Open(error) => Self::Open(error),
            error => Self::Body(error),
        }
    }
}

/// A number that was taken meanwhile is a message that does not open, whichever check finds it.
impl From<PairError> for RequestError {
    fn from(error: PairError) -> Self {
        match error {
            PairError::Number(error) => Self::Open(error.into()),
            error => Self::Pair(error),
        }
    }
}

/// Why a response is not sealed. The upstream has been contacted, so the answer is 502 and none of 559 to 569; or the
/// connection is cut, where the response had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// The codec refused.
    #[error("the response cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// A body of type MTE that is too long to be gathered.
    #[error("a response of type MTE above {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}
