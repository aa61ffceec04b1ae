//! Sealing a request (docs/protocol.md, section 3).

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE},
    request,
};
use mte_codec::{EncodeType, Place, Slot, direction::Numbers, seal as codec};
use mte_protocol::{
    RelayHeader, SealedHeadersWriter, hop,
    names::{OCTET_STREAM, X_MTE_RELAY, X_MTE_RELAY_EH},
    sealed_headers::RESPONSE_HEADERS,
    text,
};

use super::{Error, Pair, Part, PartKind, ResponseOpener};

/// Which request headers are sealed (docs/protocol.md, section 3).
///
/// Only headers that browsers and proxies add themselves can stay in the clear: `cookie`, `origin`, `referer`,
/// `user-agent`, `accept-language`, `priority`, `sec-*`, those that trace a request, and those that say who sent it. The
/// relay takes no others from there, so they are always sealed, and so is the length of a body where it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EncodeHeaders {
    /// All of them.
    #[default]
    All,
    /// None that can stay in the clear.
    None,
    /// Of those that can stay in the clear, the ones named.
    Only(Vec<HeaderName>),
}

impl EncodeHeaders {
    fn includes(&self, name: &HeaderName) -> bool {
        !hop::counts_in_the_clear(name.as_str())
            || match self {
                Self::All => true,
                Self::None => false,
                Self::Only(names) => names.contains(name),
            }
    }
}

/// Which response headers come back sealed (docs/protocol.md, section 4). Headers that describe the body (`content-type`,
/// `etag`, `cache-control` ...) always do, and so do those whose names are among the request's sealed headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ResponseHeaders {
    /// All but those that browsers and proxies act on, `set-cookie` and `date` for example.
    #[default]
    All,
    /// Those named.
    Only(Vec<HeaderName>),
}

impl ResponseHeaders {
    /// The value of `:response-headers`; `None` if nothing is requested.
    fn value(&self) -> Option<String> {
        match self {
            Self::All => Some("*".to_owned()),
            Self::Only(names) if names.is_empty() => None,
            Self::Only(names) => Some(names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(",")),
        }
    }
}

/// How requests are sealed.
#[derive(Debug, Clone)]
pub struct Options {
    /// The encode type of every message: MKE, or MTE, which holds each message whole.
    pub encode_type: EncodeType,
    /// Whether path and query are sealed.
    pub encode_url: bool,
    /// Which headers are sealed.
    pub encode_headers: EncodeHeaders,
    /// Which response headers come back sealed.
    pub response_headers: ResponseHeaders,
    /// The most plaintext bytes of a body of type MTE, sent or received.
    pub max_mte_body: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            encode_type: EncodeType::Mke,
            encode_url: true,
            encode_headers: EncodeHeaders::All,
            response_headers: ResponseHeaders::All,
            max_mte_body: 1 << 20,
        }
    }
}

/// What is known of a request's body before it is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyPlan {
    /// There is none.
    None,
    /// There is one, of this many plaintext bytes.
    Known(u64),
    /// There is one; it may turn out empty.
    Unknown,
}

/// A request whose URL and headers are sealed, and whose body is about to be.
pub struct SealedHead {
    /// Path and query on the wire.
    pub path: String,
    /// Headers on the wire; `host` and `content-length` are left to the HTTP client.
    pub headers: HeaderMap,
    /// What it takes to seal the body, if there is one.
    pub body: Option<Slot>,
    /// The plaintext of the sealed header map.
    pub header_map: Vec<u8>,
    /// The sealed parts, in order.
    pub parts: Vec<Part>,
    /// Opens the response.
    pub opener: ResponseOpener,
}

/// A request sealed whole.
pub struct SealedRequest {
    /// As it was: the method is not encoded.
    pub method: Method,
    /// Path and query on the wire.
    pub path: String,
    /// Headers on the wire; `host` and `content-length` are left to the HTTP client.
    pub headers: HeaderMap,
    /// The body on the wire, empty if there is none.
    pub body: Bytes,
    /// The sealed parts, in order.
    pub parts: Vec<Part>,
    /// Opens the response.
    pub opener: ResponseOpener,
}

/// Shows what was sealed and none of the headers, which may be secret in the clear as well.
impl std::fmt::Debug for SealedHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedHead").field("parts", &self.parts).finish_non_exhaustive()
    }
}

/// As [`SealedHead`]'s.
impl std::fmt::Debug for SealedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedRequest").field("parts", &self.parts).finish_non_exhaustive()
    }
}

/// Seals a whole request (docs/protocol.md, section 3). `authority` is what `Host` will say: lower-case, the default port
/// left out.
///
/// # Errors
/// [`Error::RequestUrl`], [`Error::Header`], [`Error::TooLarge`] for a body of type MTE, [`Error::Seal`].
pub fn seal(
    pair: &Arc<Pair>,
    options: &Options,
    authority: &str,
    request: http::Request<Bytes>,
) -> Result<SealedRequest, Error> {
    let (parts, body) = request.into_parts();
    let plan = if body.is_empty() { BodyPlan::None } else { BodyPlan::Known(body.len() as u64) };
    if options.encode_type == EncodeType::Mte && body.len() > options.max_mte_body {
        return Err(Error::TooLarge { limit: options.max_mte_body });
    }
    let head = seal_head(pair, options, authority, &parts, plan)?;
    let body = match head.body {
        Some(slot) => codec::message(slot, &body, &mut rand::rng())?.into(),
        None => Bytes::new(),
    };
    Ok(SealedRequest {
        method: parts.method,
        path: head.path,
        headers: head.headers,
        body,
        parts: head.parts,
        opener: head.opener,
    })
}

/// Seals URL and headers, and reserves the body's number; the caller seals the body with
/// [`mte_codec::seal`] as it comes. See [`seal()`] for `authority`.
///
/// # Errors
/// [`Error::RequestUrl`], [`Error::Header`], [`Error::Seal`].
pub fn seal_head(
    pair: &Arc<Pair>,
    options: &Options,
    authority: &str,
    request: &request::Parts,
    plan: BodyPlan,
) -> Result<SealedHead, Error> {
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    let Some(url) = path.strip_prefix('/') else {
        return Err(Error::RequestUrl { url: path.to_owned(), reason: "its path must begin with a slash" });
    };
    let with_body = plan != BodyPlan::None;
    let count = u8::from(options.encode_url) + 1 + u8::from(with_body);
    let (numbers, ticket) = pair.begin(count.into())?;
    let mut messages =
        Messages { numbers: &numbers, count, encode_type: options.encode_type, parts: Vec::with_capacity(3) };

    let path = match options.encode_url {
        true => text::url_to_path(&messages.seal(PartKind::Url, url.as_bytes())?),
        false => path.to_owned(),
    };
    let Split { mut clear, header_map, sealed_names } = split(options, authority, request, plan);
    let sealed_map = text::encode(&messages.seal(PartKind::Headers, &header_map)?);
    let body = match with_body {
        true => Some(messages.body(plan)?),
        false => None,
    };

    let client_id = pair.client_id();
    let relay_header = RelayHeader {
        client_id: &client_id,
        pair_id: pair.id(),
        encode_type: options.encode_type,
        url_encoded: options.encode_url,
        headers_encoded: true,
        body_encoded: with_body,
        streaming: None,
    };
    clear.insert(X_MTE_RELAY, value(X_MTE_RELAY, relay_header.to_string())?);
    clear.insert(X_MTE_RELAY_EH, value(X_MTE_RELAY_EH, sealed_map)?);
    if with_body {
        clear.insert(CONTENT_TYPE, HeaderValue::from_static(OCTET_STREAM));
    }
    let parts = messages.parts;
    let opener = ResponseOpener::new(ticket, numbers.first(), options, sealed_names);
    Ok(SealedHead { path, headers: clear, body, header_map, parts, opener })
}

/// A request's headers: what stays in the clear, and the plaintext of the sealed map.
struct Split {
    clear: HeaderMap,
    header_map: Vec<u8>,
    sealed_names: Vec<HeaderName>,
}

fn split(options: &Options, authority: &str, request: &request::Parts, plan: BodyPlan) -> Split {
    let mut clear = HeaderMap::new();
    let mut sealed_names = Vec::new();
    let mut map = SealedHeadersWriter::new();
    map.method(request.method.as_str());
    map.authority(authority);
    if let Some(wanted) = options.response_headers.value() {
        map.header(RESPONSE_HEADERS, wanted.as_bytes());
    }
    let dropped: Vec<&str> = request
        .headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(hop::connection_names)
        .collect();
    for name in request.headers.keys() {
        let values = request.headers.get_all(name);
        if hop::never_forwarded(name.as_str())
            || dropped.iter().any(|one| name.as_str().eq_ignore_ascii_case(one))
        {
            continue;
        }
        if !options.encode_headers.includes(name) {
            for value in values {
                clear.append(name, value.clone());
            }
            continue;
        }
        if name == COOKIE {
            // The one header whose values are not joined with a comma (RFC 9113, section 8.2.3).
            let cookies: Vec<&[u8]> = values.iter().map(HeaderValue::as_bytes).collect();
            map.header(name.as_str(), &cookies.join(&b"; "[..]));
        } else {
            map.joined(name.as_str(), values.iter().map(HeaderValue::as_bytes));
        }
        sealed_names.push(name.clone());
    }
    if let BodyPlan::Known(len) = plan {
        map.header(CONTENT_LENGTH.as_str(), len.to_string().as_bytes());
    }
    Split { clear, header_map: map.finish(), sealed_names }
}

/// The messages of one request, in order.
struct Messages<'a> {
    numbers: &'a Numbers,
    count: u8,
    encode_type: EncodeType,
    parts: Vec<Part>,
}

impl Messages<'_> {
    fn seal(&mut self, kind: PartKind, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let index = self.parts.len() as u8;
        let slot =
            self.slot(kind, Place::text(index, self.count - 1 - index), Some(plaintext.len() as u64))?;
        Ok(codec::message(slot, plaintext, &mut rand::rng())?)
    }

    /// The body's slot; a body of unknown length is still announced, and sent even if it turns out empty.
    fn body(&mut self, plan: BodyPlan) -> Result<Slot, Error> {
        let len = match plan {
            BodyPlan::Known(len) => Some(len),
            BodyPlan::None | BodyPlan::Unknown => None,
        };
        self.slot(PartKind::Body, Place::raw(self.parts.len() as u8, 0), len)
    }

    fn slot(&mut self, kind: PartKind, place: Place, plain_len: Option<u64>) -> Result<Slot, Error> {
        let slot = self.numbers.slot(self.parts.len() as u64, self.encode_type, place)?;
        let wire_len =
            |len: u64| codec::message_len(self.encode_type, usize::try_from(len).ok()?).try_into().ok();
        self.parts.push(Part {
            kind,
            number: slot.number,
            place,
            encode_type: self.encode_type,
            plain_len,
            wire_len: plain_len.and_then(wire_len),
        });
        Ok(slot)
    }
}

fn value(name: &str, value: String) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(value)
        .map_err(|_| Error::Header { name: name.to_owned(), reason: "it has a control character" })
}
