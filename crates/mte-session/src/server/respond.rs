//! A response sealed: its header map, and its body as it arrives.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use mte_codec::{
    EncodeType, MAX_FRAME, Place, Prepared, Sealer, WipingBuffer,
    seal::{self, OneFrame},
};
use mte_protocol::{
    RelayHeader, SealedHeaders, SealedHeadersWriter,
    names::{OCTET_STREAM, X_MTE_RELAY, X_MTE_RELAY_EH},
    text,
};
use rand::CryptoRng;

use super::{ResponseError, ResponseKeys, Wanted};

/// What the response of one request is sealed with.
pub struct ResponseTicket {
    pub(super) encode_type: EncodeType,
    pub(super) keys: ResponseKeys,
    /// The number of the request's first message, if the client bound the request: the response says it back.
    pub(super) bound: Option<u64>,
    pub(super) pair_id: String,
    pub(super) streaming: Option<String>,
}

impl ResponseTicket {
    /// How the exchange is encoded.
    pub fn encode_type(&self) -> EncodeType {
        self.encode_type
    }

    /// Whether the client bound its request to what travels in the clear.
    pub fn is_bound(&self) -> bool {
        self.bound.is_some()
    }

    /// The pair that the request named.
    pub fn pair_id(&self) -> &str {
        &self.pair_id
    }

    /// The seventh field of the request's `x-mte-relay`.
    pub fn streaming(&self) -> Option<&str> {
        self.streaming.as_deref()
    }

    /// A sealer for the response. `request` are the request's sealed headers, which say what of the response is sealed;
    /// `signed_client_id` is echoed; a body of type MTE may have `max_mte_body` bytes.
    pub fn sealer(
        self,
        request: SealedHeaders,
        signed_client_id: String,
        max_mte_body: usize,
    ) -> ResponseSealer {
        ResponseSealer { ticket: self, wanted: Wanted::new(request), signed_client_id, max_mte_body }
    }
}

/// A response that has not begun.
pub struct ResponseSealer {
    ticket: ResponseTicket,
    wanted: Wanted,
    signed_client_id: String,
    max_mte_body: usize,
}

/// The head of an upstream's response.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, without those of the upstream's connection.
    pub headers: &'a HeaderMap,
    /// Whether it answers a HEAD request.
    pub to_head: bool,
    /// Whether a body follows, which may turn out empty.
    pub has_body: bool,
}

/// A sealed response head.
pub struct SealedHead {
    /// Names of the headers that are sealed now: they leave the clear part.
    pub sealed: Vec<HeaderName>,
    /// The value of `x-mte-relay-eh`.
    pub headers_message: String,
    /// The value of `x-mte-relay`.
    pub relay_header: String,
    /// The length of the body on the wire: if it is not known, a stated one is removed from the clear part as well. `None`
    /// without a body: a stated length describes a body that is not sent.
    pub length: Option<WireLength>,
    /// Bytes of the header map's plaintext.
    pub map_len: u64,
    /// Bytes of its message, before base64.
    pub map_encoded_len: u64,
    /// Seals the body, if there is one.
    pub body: Option<BodySealer>,
}

/// The length of a sealed body on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireLength {
    /// It is small, and sealed in one piece.
    Known(usize),
    /// It is sent as it arrives.
    Unknown,
}

impl ResponseSealer {
    /// Which headers of the response will be sealed.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Seals a response's headers and prepares its body.
    ///
    /// # Errors
    /// [`ResponseError`]: of a body of type MTE also if it is known to be too large.
    pub fn head(
        mut self,
        response: &ResponseHead<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<SealedHead, ResponseError> {
        let length = content_length(response.headers).filter(|_| response.has_body);
        let limit = self.max_mte_body;
        if self.ticket.encode_type == EncodeType::Mte && length.is_some_and(|length| length > limit) {
            return Err(ResponseError::TooLarge { limit });
        }
        let (map, sealed) = self.header_map(response);
        let key = self.ticket.keys.take_head(Place::text(0, u8::from(response.has_body)))?;
        let message = key.message(&map, rng)?;
        let (length, body) = match response.has_body {
            true => {
                let (length, body) = self.body(length)?;
                (Some(length), Some(body))
            }
            false => (None, None),
        };
        Ok(SealedHead {
            sealed,
            headers_message: text::encode(&message),
            relay_header: self.relay_header().response_value(true, response.has_body),
            length,
            map_len: map.len() as u64,
            map_encoded_len: message.len() as u64,
            body,
        })
    }

    /// The plaintext of the sealed map, and the headers in it.
    fn header_map(&self, response: &ResponseHead<'_>) -> (Vec<u8>, Vec<HeaderName>) {
        let mut map = SealedHeadersWriter::new();
        if let Some(number) = self.ticket.bound {
            map.status(response.status.as_u16());
            map.request(number);
        }
        let mut names = self.wanted.select(response.headers);
        let describes_nothing_sent = response.to_head || response.status == StatusCode::NOT_MODIFIED;
        if !response.has_body
            && describes_nothing_sent
            && self.wanted.seals_length()
            && response.headers.contains_key(header::CONTENT_LENGTH)
        {
            names.push(header::CONTENT_LENGTH);
        }
        for name in &names {
            map.joined(name.as_str(), response.headers.get_all(name).iter().map(HeaderValue::as_bytes));
        }
        (map.finish(), names)
    }

    fn relay_header(&self) -> RelayHeader<'_> {
        RelayHeader {
            client_id: &self.signed_client_id,
            pair_id: &self.ticket.pair_id,
            encode_type: self.ticket.encode_type,
            url_encoded: false,
            headers_encoded: true,
            body_encoded: false,
            streaming: self.ticket.streaming.as_deref(),
        }
    }

    /// A body that states a small length is sealed in one piece: one frame, one write. No client watches it arrive.
    fn body(&mut self, length: Option<usize>) -> Result<(WireLength, BodySealer), ResponseError> {
        let encode_type = self.ticket.encode_type;
        let key = self.ticket.keys.take_body()?;
        let small = length.filter(|length| *length <= MAX_FRAME);
        let stage = match (encode_type, small) {
            (EncodeType::Mke, Some(length)) => Stage::Small(Box::new(OneFrame::new(key, length)?)),
            (EncodeType::Mke, None) => Stage::Streamed(Box::new(key.sealer()?)),
            (EncodeType::Mte, _) => Stage::Gathered {
                key: Box::new(key),
                plaintext: WipingBuffer::default(),
                limit: self.max_mte_body,
            },
        };
        let on_the_wire = |length| WireLength::Known(seal::message_len(encode_type, length));
        Ok((small.map_or(WireLength::Unknown, on_the_wire), BodySealer(stage)))
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl SealedHead {
    /// Turns an upstream's headers into the client's.
    ///
    /// # Errors
    /// An invalid header value, which a checked client id and pair id never cause.
    pub fn apply(&self, headers: &mut HeaderMap) -> Result<(), header::InvalidHeaderValue> {
        for name in &self.sealed {
            headers.remove(name);
        }
        headers.insert(X_MTE_RELAY_EH, HeaderValue::from_str(&self.headers_message)?);
        headers.insert(X_MTE_RELAY, HeaderValue::from_str(&self.relay_header)?);
        // Ciphertext is of use to one client only, and once.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let Some(length) = self.length else { return Ok(()) };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTET_STREAM));
        match length {
            WireLength::Known(length) => drop(headers.insert(header::CONTENT_LENGTH, length.into())),
            WireLength::Unknown => drop(headers.remove(header::CONTENT_LENGTH)),
        }
        Ok(())
    }
}

/// Seals a response's body as it arrives.
pub struct BodySealer(Stage);

enum Stage {
    Streamed(Box<Sealer>),
    /// Known to be small: gathered and sealed in one frame.
    Small(Box<OneFrame>),
    /// Type MTE: gathered, then sealed whole.
    Gathered {
        key: Box<Prepared>,
        plaintext: WipingBuffer,
        limit: usize,
    },
    Finished,
}

impl BodySealer {
    /// The sealed bytes for a part of the body; with `end`, they include the final frame.
    ///
    /// # Errors
    /// [`ResponseError`]: the response must be cut then.
    pub fn seal(&mut self, part: Bytes, end: bool, rng: &mut impl CryptoRng) -> Result<Bytes, ResponseError> {
        let sealed = match &mut self.0 {
            Stage::Finished => Bytes::new(),
            Stage::Streamed(sealer) => sealer.seal(&part, end)?,
            Stage::Small(message) => {
                message.push(part)?;
                Bytes::new()
            }
            Stage::Gathered { plaintext, limit, .. } => {
                if plaintext.len() + part.len() > *limit {
                    return Err(ResponseError::TooLarge { limit: *limit });
                }
                plaintext.extend_from_slice(&part);
                Bytes::new()
            }
        };
        if !end {
            return Ok(sealed);
        }
        match std::mem::replace(&mut self.0, Stage::Finished) {
            Stage::Small(message) => Ok(message.finish()?),
            Stage::Gathered { key, plaintext, .. } => Ok(key.message(&plaintext, rng)?.into()),
            Stage::Streamed(_) | Stage::Finished => Ok(sealed),
        }
    }

    /// Whether the final frame was made.
    pub fn is_finished(&self) -> bool {
        matches!(self.0, Stage::Finished)
    }
}

/// Names the pair and shows no part.
impl std::fmt::Debug for ResponseSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseSealer").field("pair_id", &self.ticket.pair_id).finish_non_exhaustive()
    }
}

/// Shows lengths and names.
impl std::fmt::Debug for SealedHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedHead")
            .field("sealed", &self.sealed)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
