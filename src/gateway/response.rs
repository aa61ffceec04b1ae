//! An upstream's response, sealed (docs/protocol.md, section 4).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use mte_codec::{
    EncodeType, MAX_FRAME, Place, SealError, Sealer, Slot,
    seal::{self, InPlace},
};
use mte_protocol::{
    RelayHeader, SealedHeadersWriter,
    names::{OCTET_STREAM, X_MTE_RELAY, X_MTE_RELAY_EH},
    text,
};
use pingora_http::ResponseHeader;

use super::{context::Exchange, error::Failure};
use crate::{domains::Tenant, upstream::Upstream};

static RELAY: HeaderName = HeaderName::from_static(X_MTE_RELAY);
static RELAY_HEADERS: HeaderName = HeaderName::from_static(X_MTE_RELAY_EH);

/// The response body as it is sealed.
#[derive(Default)]
pub enum ResponseBody {
    /// There is none, or the response has not begun.
    #[default]
    None,
    /// Sealed as it arrives.
    Stream(Box<Sealer>),
    /// Known to be small: gathered and sealed in place.
    Small(Box<InPlace>),
    /// Type MTE: gathered, then sealed whole.
    Gather {
        /// What the message will be sealed with.
        slot: Box<Slot>,
        /// The plaintext so far.
        plaintext: zeroize::Zeroizing<Vec<u8>>,
        /// The most it may hold.
        limit: usize,
    },
    /// The message is finished.
    Finished,
}

/// Whether a response has a body, as far as its head tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyKind {
    None,
    Follows,
    /// An HTTP/2 upstream that states no length may just end.
    Unknown,
}

fn body_kind(method: &Method, response: &ResponseHeader, http2: bool) -> BodyKind {
    let length = response.headers.get(header::CONTENT_LENGTH);
    if *method == Method::HEAD
        || matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || length.is_some_and(|length| length.as_bytes() == b"0")
    {
        BodyKind::None
    } else if length.is_none() && http2 {
        BodyKind::Unknown
    } else {
        BodyKind::Follows
    }
}

/// Seals a response's headers and prepares its body. The client's HTTP version decides the transfer coding.
/// Returns the plain and encoded sizes of the header map.
///
/// # Errors
/// 502 if sealing fails, and for a body of type MTE that is known to be too large.
pub fn seal_head(
    exchange: &mut Exchange,
    method: &Method,
    signed_client_id: &str,
    response: &mut ResponseHeader,
    upstream_http2: bool,
    client_http2: bool,
    max_mte_body: usize,
) -> Result<[u64; 2], Failure> {
    let kind = body_kind(method, response, upstream_http2);
    let following = match kind {
        BodyKind::None => 0,
        BodyKind::Follows => 1,
        BodyKind::Unknown => Place::UNKNOWN,
    };
    let encode_type = exchange.encode_type;
    let length = content_length(response);
    if encode_type == EncodeType::Mte && length.is_some_and(|length| length > max_mte_body) {
        return Err(Failure::BadGateway(format!("a response of type MTE above {max_mte_body} bytes")));
    }

    let map = sealed_map(exchange, response);
    let slot = exchange.numbers.slot(0, encode_type, Place::text(0, following)).map_err(failed)?;
    let message = seal::message(slot, &map, &mut rand::rng()).map_err(failed)?;
    insert(response, &RELAY_HEADERS, &text::encode(&message))?;
    let sizes = [map.len() as u64, message.len() as u64];

    let relay = RelayHeader {
        client_id: signed_client_id,
        pair_id: &exchange.pair_id,
        encode_type,
        url_encoded: false,
        headers_encoded: true,
        body_encoded: kind != BodyKind::None,
        streaming: exchange.streaming.as_deref(),
    };
    insert(response, &RELAY, &relay.response_value(true, kind != BodyKind::None))?;

    if kind == BodyKind::None {
        response.remove_header(&header::CONTENT_TYPE);
        return Ok(sizes);
    }
    // An HTTP/1.0 upstream's version would contradict the chunks.
    response.set_version(http::Version::HTTP_11);
    insert(response, &header::CONTENT_TYPE, OCTET_STREAM)?;
    let slot = exchange.numbers.slot(1, encode_type, Place::raw(1, 0)).map_err(failed)?;
    let small = length.filter(|length| *length <= MAX_FRAME);
    match small {
        // One frame, one write: a body that states a small length is no stream that anybody watches.
        Some(length) => {
            insert(response, &header::CONTENT_LENGTH, &seal::message_len(encode_type, length).to_string())?;
            response.remove_header(&header::TRANSFER_ENCODING);
        }
        // With a content-length Pingora would not flush every part.
        None => {
            response.remove_header(&header::CONTENT_LENGTH);
            if client_http2 || upstream_http2 {
                response.remove_header(&header::TRANSFER_ENCODING);
            } else {
                insert(response, &header::TRANSFER_ENCODING, "chunked")?;
            }
        }
    }
    exchange.response = match (encode_type, small) {
        (EncodeType::Mke, Some(length)) => {
            ResponseBody::Small(Box::new(InPlace::new(slot, length).map_err(failed)?))
        }
        (EncodeType::Mke, None) => {
            ResponseBody::Stream(Box::new(Sealer::new(&slot, &mut rand::rng()).map_err(failed)?))
        }
        (EncodeType::Mte, _) => ResponseBody::Gather {
            slot: Box::new(slot),
            plaintext: zeroize::Zeroizing::default(),
            limit: max_mte_body,
        },
    };
    Ok(sizes)
}

/// The length that a response states.
pub fn content_length(response: &ResponseHeader) -> Option<usize> {
    response.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Not one of 559 to 569: the upstream has been contacted (docs/protocol.md, section 5).
fn failed(error: SealError) -> Failure {
    Failure::BadGateway(format!("the response cannot be sealed: {error}"))
}

fn insert(response: &mut ResponseHeader, name: &HeaderName, value: &str) -> Result<(), Failure> {
    let inserted = response.insert_header(name, value);
    inserted.map_err(|error| Failure::Internal(format!("response header {name}: {error}")))
}

/// Moves what is sealed out of the clear part: `content-type`, and every header that the client's sealed
/// ones name, but `set-cookie`, which browsers must see.
fn sealed_map(exchange: &Exchange, response: &mut ResponseHeader) -> Vec<u8> {
    let mut map = SealedHeadersWriter::new();
    if exchange.bound.is_some() {
        map.status(response.status.as_u16());
    }
    if let Some(number) = exchange.bound {
        map.request(number);
    }
    let asked = exchange.headers.iter().map(|(name, _)| name).filter(|name| *name != "content-type");
    for name in asked.chain(["content-type"]) {
        if matches!(name, "set-cookie" | "content-length") || mte_protocol::hop::is_hop_by_hop(name) {
            continue;
        }
        let values = response.headers.get_all(name);
        if values.iter().next().is_none() {
            continue;
        }
        map.joined(name, values.iter().map(HeaderValue::as_bytes));
        response.remove_header(name);
    }
    map.finish()
}

/// A `location` that points at one of the upstream's peers is made to point at the relay.
pub fn rewrite_location(upstream: &Upstream, relay_origin: &str, response: &mut ResponseHeader) {
    let Some(location) = response.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()) else {
        return;
    };
    let rest = |origin: &str| {
        let (start, rest) = location.split_at_checked(origin.len())?;
        let ends = rest.is_empty() || rest.starts_with(['/', '?', '#']);
        (start.eq_ignore_ascii_case(origin) && ends).then_some(rest)
    };
    let Some(rest) = upstream.peers.iter().find_map(|peer| rest(&peer.origin)) else { return };
    if let Ok(value) = HeaderValue::from_str(&format!("{relay_origin}{rest}")) {
        let _ = response.insert_header(header::LOCATION, value);
    }
}

/// Adds the tenant's own headers, and takes out what belongs to the upstream's connection.
pub fn decorate(tenant: &Tenant, response: &mut ResponseHeader) {
    for (name, value) in &tenant.headers {
        let _ = response.insert_header(name.clone(), value.clone());
    }
}

impl ResponseBody {
    /// Replaces a part of the body by what goes to the client.
    ///
    /// # Errors
    /// A body of type MTE that outgrows its limit, or a fault in sealing: the response is cut then.
    pub fn filter(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<(), Failure> {
        match self {
            Self::None | Self::Finished => {
                *body = Some(Bytes::new());
            }
            Self::Stream(sealer) => {
                let plaintext = body.take().unwrap_or_default();
                *body = Some(sealer.seal(&plaintext, end).map_err(failed)?);
            }
            Self::Small(message) => {
                message.push(&body.take().unwrap_or_default()).map_err(failed)?;
                *body = Some(Bytes::new());
            }
            Self::Gather { plaintext, limit, .. } => {
                let part = body.take().unwrap_or_default();
                if plaintext.len() + part.len() > *limit {
                    return Err(Failure::BadGateway(format!("a response of type MTE above {limit} bytes")));
                }
                plaintext.extend_from_slice(&part);
                *body = Some(Bytes::new());
            }
        }
        if end {
            *body = match std::mem::replace(self, Self::Finished) {
                Self::Small(message) => Some(message.finish(&mut rand::rng()).map_err(failed)?),
                Self::Gather { slot, plaintext, .. } => {
                    Some(seal::message(*slot, &plaintext, &mut rand::rng()).map_err(failed)?.into())
                }
                _ => body.take(),
            };
        }
        Ok(())
    }

    /// Whether the final frame is still owed.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::None | Self::Finished)
    }
}
