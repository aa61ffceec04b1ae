//! The parts of an encrypted request that can be read without its pair: the relay header, and which messages there are.

use http::HeaderMap;
use mte_codec::{EncodeType, Place};
use mte_protocol::{
    RelayHeader, TargetError,
    names::{X_MTE_RELAY, X_MTE_RELAY_EH},
    origin_form, text,
};

use super::{Policy, RequestError};

/// The value of a header that may occur only once; `None` if it is absent.
///
/// # Errors
/// [`RequestError::Repeated`], [`RequestError::NotAscii`].
pub fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, RequestError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(RequestError::Repeated(name));
    }
    value.to_str().map(Some).map_err(|_| RequestError::NotAscii(name))
}

/// Reads `x-mte-relay`. Its client id is not verified yet.
///
/// # Errors
/// 400 if the header is malformed or there more than once, 569 if it, the client id or the pair id is missing.
pub fn relay_header(headers: &HeaderMap) -> Result<RelayHeader<'_>, RequestError> {
    Ok(RelayHeader::parse(single(headers, X_MTE_RELAY)?.unwrap_or_default())?)
}

/// The part of a request that travels in the clear.
#[derive(Debug, Clone, Copy)]
pub struct Outer<'a> {
    /// The method.
    pub method: &'a str,
    /// The host that the request came for, and its port if it names one.
    pub authority: &'a str,
    /// Whether there is at least one byte of a body.
    pub has_body: bool,
}

/// A request whose messages are decoded from their text, and not opened yet.
pub struct RequestOpener {
    pub(super) pair_id: String,
    pub(super) streaming: Option<String>,
    pub(super) encode_type: EncodeType,
    /// The URL's message, or the target in the clear.
    pub(super) url: Url,
    /// The message of the sealed headers.
    pub(super) headers: Option<Vec<u8>>,
    body_announced: bool,
    /// The flags announce a URL or headers that are not there.
    missing: bool,
}

/// A request's URL as it came.
pub(super) enum Url {
    Sealed(Vec<u8>),
    /// What is wrong with it is only reported once the request's numbers are spent.
    Clear(Result<String, TargetError>),
}

impl RequestOpener {
    /// Decodes the messages. `target` is the request target exactly as in the request line.
    ///
    /// # Errors
    /// 562 for a text that is no message, and if flags and parts contradict each other; 569 if nothing is sealed and the
    /// policy does not allow that; 400 if `x-mte-relay-eh` is there more than once.
    pub fn new(
        relay: &RelayHeader<'_>,
        target: &str,
        headers: &HeaderMap,
        policy: &Policy,
    ) -> Result<Self, RequestError> {
        let url = if relay.url_encoded { text::path_to_message(target)? } else { None };
        let headers = headers_message(headers, relay.headers_encoded)?;
        if url.is_none() && headers.is_none() && !policy.allow_plain_requests {
            return Err(RequestError::NothingSealed);
        }
        let missing = relay.url_encoded && url.is_none() || relay.headers_encoded && headers.is_none();
        let clear = || origin_form(target.strip_prefix('/').unwrap_or_default().as_bytes());
        Ok(Self {
            pair_id: relay.pair_id.to_owned(),
            streaming: relay.streaming.map(str::to_owned),
            encode_type: relay.encode_type,
            url: url.map_or_else(|| Url::Clear(clear()), Url::Sealed),
            headers,
            body_announced: relay.body_encoded,
            missing,
        })
    }

    /// Whether its URL or its headers are sealed: what is not can only be opened once its body comes, and then only once. Its
    /// snapshot must be of the pair as it is.
    pub fn has_sealed_head(&self) -> bool {
        self.headers.is_some() || matches!(self.url, Url::Sealed(_))
    }

    /// The pair that the request names, to begin with.
    pub fn pair_id(&self) -> &str {
        &self.pair_id
    }

    /// Which messages there are, given that there is a body or not.
    ///
    /// # Errors
    /// 562 for a body in the clear together with sealed parts: an attacker on the path added it.
    pub(super) fn shape(&self, has_body: bool) -> Result<Shape, RequestError> {
        let shape = Shape {
            url: matches!(self.url, Url::Sealed(_)),
            headers: self.headers.is_some(),
            body: self.body_announced && has_body,
            missing: self.missing || self.body_announced && !has_body,
        };
        if has_body && !self.body_announced && (shape.url || shape.headers) {
            return Err(RequestError::ClearBody);
        }
        Ok(shape)
    }
}

/// Names the pair and shows no part.
impl std::fmt::Debug for RequestOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestOpener").field("pair_id", &self.pair_id).finish_non_exhaustive()
    }
}

/// The sealed header map's message, if there is one. A flag that is flipped on the way never changes a meaning.
fn headers_message(headers: &HeaderMap, flag: bool) -> Result<Option<Vec<u8>>, RequestError> {
    match (single(headers, X_MTE_RELAY_EH)?, flag) {
        (Some(""), _) | (None, false) => Ok(None),
        (Some(text), true) => Ok(Some(text::decode(text.as_bytes())?)),
        (Some(_), false) => Err(RequestError::UnannouncedHeaders),
        (None, true) => Err(RequestError::MissingHeaders),
    }
}

/// Which messages a request has; they carry consecutive numbers in this order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) url: bool,
    pub(super) headers: bool,
    pub(super) body: bool,
    /// The flags announce one that is not there. Only a sender who could not know the count may do that.
    missing: bool,
}

impl Shape {
    /// The place of the text message at `index`.
    pub(super) fn text(&self, index: u8) -> Place {
        Place::text(index, self.following(index))
    }

    /// The place of the body at `index`.
    pub(super) fn raw(&self, index: u8) -> Place {
        Place::raw(index, self.following(index))
    }

    fn following(&self, index: u8) -> u8 {
        let count = u8::from(self.url) + u8::from(self.headers) + u8::from(self.body);
        if self.missing { Place::UNKNOWN } else { count - 1 - index }
    }
}
