//! An upstream's response, sealed (docs/protocol.md, section 4): its header map, and its body as it arrives.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use mte_codec::{
    EncodeType, MAX_FRAME, Place, Prepared, SealError, Sealer, WipingBuffer,
    seal::{self, InPlace},
};
use mte_protocol::{
    RelayHeader, SealedHeadersWriter,
    names::{OCTET_STREAM, X_MTE_RELAY, X_MTE_RELAY_EH},
    text,
};
use pingora_http::ResponseHeader;

use super::{
    decode::{Coding, DecodeError, Decoder},
    headers::{self, Wanted},
};
use crate::{
    gateway::{error::Failure, response_keys::ResponseKeys},
    limits::Gathered,
};

static RELAY: HeaderName = HeaderName::from_static(X_MTE_RELAY);
static RELAY_HEADERS: HeaderName = HeaderName::from_static(X_MTE_RELAY_EH);

/// The response body as it is sealed.
enum ResponseBody {
    /// There is none, or the response has not begun.
    None,
    /// Sealed as it arrives.
    Stream(Box<Sealer>),
    /// Known to be small: gathered and sealed in place.
    Small(Box<InPlace>),
    /// Type MTE: gathered, then sealed whole.
    Gather {
        /// What the message will be sealed with.
        key: Box<Prepared>,
        /// The plaintext so far.
        plaintext: WipingBuffer,
        /// The most it may hold.
        limit: usize,
    },
    /// The message is finished.
    Finished,
}

/// What a response is sealed with and how, from its request.
pub struct Exchanged {
    /// How this exchange is encoded.
    pub encode_type: EncodeType,
    /// What its messages are sealed with.
    pub keys: ResponseKeys,
    /// The number of the request's first message, if the client bound the request: the response says it back.
    pub bound: Option<u64>,
    /// Which headers are sealed.
    pub wanted: Wanted,
    /// The fields of `x-mte-relay` that are echoed: the signed client id,
    pub signed_client_id: String,
    /// the pair id,
    pub pair_id: String,
    /// and the seventh field.
    pub streaming: Option<String>,
    /// The largest body of type MTE,
    pub max_mte_body: usize,
    /// and the room for it.
    pub held: Option<Gathered>,
}

/// One response on its way to the client.
pub struct Sealing {
    exchanged: Exchanged,
    /// Whether the request was a HEAD.
    head: bool,
    body: ResponseBody,
    /// Decodes a body that the upstream compressed.
    decoder: Option<Decoder>,
    /// Plain and encoded bytes of the header map, plain bytes of the body.
    pub sizes: Sizes,
    /// How many messages were sealed.
    pub messages: u64,
    /// What sealing the head took,
    pub head_took: Duration,
    /// and the body.
    pub body_took: Duration,
}

/// What was sealed, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sizes {
    /// The header map.
    pub map: u64,
    /// Its message.
    pub map_encoded: u64,
    /// The body's plaintext.
    pub body: u64,
}

impl Sealing {
    /// A response that has not begun.
    pub fn new(exchanged: Exchanged, head: bool) -> Self {
        Self {
            exchanged,
            head,
            body: ResponseBody::None,
            decoder: None,
            sizes: Sizes::default(),
            messages: 0,
            head_took: Duration::ZERO,
            body_took: Duration::ZERO,
        }
    }

    /// Seals a response's headers and prepares its body; `follows` tells whether there is one.
    ///
    /// # Errors
    /// 502 if sealing fails, and for a body of type MTE that is known to be too large.
    pub fn head(&mut self, response: &mut ResponseHeader, follows: bool) -> Result<(), Failure> {
        self.decode(response, follows)?;
        let encode_type = self.exchanged.encode_type;
        let length = content_length(response).filter(|_| follows);
        let max_mte = self.exchanged.max_mte_body;
        if encode_type == EncodeType::Mte && length.is_some_and(|length| length > max_mte) {
            return Err(too_large(max_mte));
        }
        // Before anything is sent, where the size is known: then the response can still be refused.
        self.hold(length.unwrap_or_default())?;
        let map = self.sealed_map(response, follows);
        let place = Place::text(0, u8::from(follows));
        let key = self.exchanged.keys.take_head(place).map_err(failed)?;
        let message = key.message(&map, &mut rand::rng()).map_err(failed)?;
        insert(response, &RELAY_HEADERS, &text::encode(&message))?;
        (self.sizes.map, self.sizes.map_encoded) = (map.len() as u64, message.len() as u64);
        self.messages = 1 + u64::from(follows);
        insert(response, &RELAY, &self.relay_header().response_value(true, follows))?;
        // Ciphertext is good for one client once.
        insert(response, &header::CACHE_CONTROL, "no-store")?;
        if !follows {
            return Ok(());
        }
        insert(response, &header::CONTENT_TYPE, OCTET_STREAM)?;
        let key = self.exchanged.keys.take_body().map_err(failed)?;
        // One frame, one write: a body that states a small length is no stream that anybody watches.
        let small = length.filter(|length| *length <= MAX_FRAME);
        match small {
            Some(length) => {
                let length = seal::message_len(encode_type, length).to_string();
                insert(response, &header::CONTENT_LENGTH, &length)?;
            }
            // With a content-length Pingora would not flush every part.
            None => drop(response.remove_header(&header::CONTENT_LENGTH)),
        }
        self.body = match (encode_type, small) {
            (EncodeType::Mke, Some(length)) => {
                ResponseBody::Small(Box::new(InPlace::new(key, length).map_err(failed)?))
            }
            (EncodeType::Mke, None) => ResponseBody::Stream(Box::new(key.sealer().map_err(failed)?)),
            (EncodeType::Mte, _) => ResponseBody::Gather {
                key: Box::new(key),
                plaintext: WipingBuffer::default(),
                limit: max_mte,
            },
        };
        Ok(())
    }

    fn relay_header(&self) -> RelayHeader<'_> {
        RelayHeader {
            client_id: &self.exchanged.signed_client_id,
            pair_id: &self.exchanged.pair_id,
            encode_type: self.exchanged.encode_type,
            url_encoded: false,
            headers_encoded: true,
            body_encoded: self.messages > 1,
            streaming: self.exchanged.streaming.as_deref(),
        }
    }

    /// Has a body decoded that the upstream compressed although it was asked for `identity`. A part of one (206) and
    /// one whose coding is not known stay as they are, and say so under the seal.
    fn decode(&mut self, response: &mut ResponseHeader, follows: bool) -> Result<(), Failure> {
        if self.exchanged.wanted.decodes_itself() || response.status == StatusCode::PARTIAL_CONTENT {
            return Ok(());
        }
        let mut codings = response.headers.get_all(header::CONTENT_ENCODING).iter();
        let (Some(value), None) = (codings.next(), codings.next()) else { return Ok(()) };
        let name = value.to_str().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("identity") {
            response.remove_header(&header::CONTENT_ENCODING);
        } else if let Some(coding) = Coding::parse(name) {
            headers::remove_encoding(response);
            if follows {
                self.decoder = Some(Decoder::new(coding).map_err(undecodable)?);
            }
        }
        Ok(())
    }

    /// Moves what is sealed out of the clear part.
    fn sealed_map(&self, response: &mut ResponseHeader, follows: bool) -> Vec<u8> {
        let mut map = SealedHeadersWriter::new();
        if let Some(number) = self.exchanged.bound {
            map.status(response.status.as_u16());
            map.request(number);
        }
        let mut names = self.exchanged.wanted.select(&response.headers);
        if !follows && self.describes_nothing_sent(response) && self.exchanged.wanted.seals_length() {
            names.extend(
                response.headers.contains_key(header::CONTENT_LENGTH).then_some(header::CONTENT_LENGTH),
            );
        }
        for name in names {
            map.joined(name.as_str(), response.headers.get_all(&name).iter().map(HeaderValue::as_bytes));
            response.remove_header(&name);
        }
        map.finish()
    }

    /// Whether the length that a response states is that of a body which is not sent.
    fn describes_nothing_sent(&self, response: &ResponseHeader) -> bool {
        self.head || response.status == StatusCode::NOT_MODIFIED
    }

    /// Replaces a part of the body by what goes to the client.
    ///
    /// # Errors
    /// A body that cannot be decoded, one of type MTE that outgrows its limit, or a fault in sealing: the response is
    /// cut then.
    pub fn body(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<(), Failure> {
        let began = Instant::now();
        if let Some(decoder) = &mut self.decoder {
            let decoded = decoder.push(body.as_deref().unwrap_or_default(), end).map_err(undecodable)?;
            self.sizes.body += decoded.len() as u64;
            self.hold(self.sizes.body as usize)?;
            *body = Some(self.body.seal(&decoded, end)?);
        } else {
            let part = body.take().unwrap_or_default();
            self.sizes.body += part.len() as u64;
            self.hold(self.sizes.body as usize)?;
            *body = Some(self.body.seal(&part, end)?);
        }
        self.body_took += began.elapsed();
        Ok(())
    }

    /// Takes room for a gathered body of `len` bytes so far: as much as it has when it is sealed.
    fn hold(&mut self, len: usize) -> Result<(), Failure> {
        let Some(held) = &mut self.exchanged.held else { return Ok(()) };
        // What is larger is refused for that.
        let len = len.min(self.exchanged.max_mte_body);
        Ok(held.hold(seal::message_len(EncodeType::Mte, len))?)
    }

    /// Whether the final frame is still owed.
    pub fn is_open(&self) -> bool {
        !matches!(self.body, ResponseBody::None | ResponseBody::Finished)
    }
}

fn content_length(response: &ResponseHeader) -> Option<usize> {
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

fn too_large(limit: usize) -> Failure {
    Failure::BadGateway(format!("a response of type MTE above {limit} bytes"))
}

fn undecodable(error: DecodeError) -> Failure {
    Failure::BadGateway(format!("the upstream's response cannot be decoded: {error}"))
}

impl ResponseBody {
    /// What goes to the client for a part of the body.
    fn seal(&mut self, part: &[u8], end: bool) -> Result<Bytes, Failure> {
        let sealed = match self {
            Self::None | Self::Finished => Bytes::new(),
            Self::Stream(sealer) => sealer.seal(part, end).map_err(failed)?,
            Self::Small(message) => {
                message.push(part).map_err(failed)?;
                Bytes::new()
            }
            Self::Gather { plaintext, limit, .. } => {
                if plaintext.len() + part.len() > *limit {
                    return Err(too_large(*limit));
                }
                plaintext.extend_from_slice(part);
                Bytes::new()
            }
        };
        if !end {
            return Ok(sealed);
        }
        match std::mem::replace(self, Self::Finished) {
            Self::Small(message) => message.finish().map_err(failed),
            Self::Gather { key, plaintext, .. } => {
                Ok(key.message(&plaintext, &mut rand::rng()).map_err(failed)?.into())
            }
            _ => Ok(sealed),
        }
    }
}
