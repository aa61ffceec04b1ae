//! Opening a response (docs/protocol.md, section 4).
//!
//! From a response nothing counts but what its sealed headers announce: they must be there and open, be bound to this
//! request and status, and their place says whether a body follows. The outer flags are not even read, since whoever
//! carries the response could have written them.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE},
};
use mte_codec::{
    DecoderSecrets, EncodeType, Expected, FRAME_OVERHEAD, HEADER_LEN, Header, OpenError, Opener, Place, open,
    seal::message_len,
};
use mte_protocol::{
    ErrorBody, SealedHeaders, hop,
    names::{X_MTE_RELAY, X_MTE_RELAY_EH},
    text,
};

use super::{Options, Part, PartKind, Ticket};
use crate::{Error, ResponseError};

/// Opens the response to one request.
#[derive(Debug)]
pub struct ResponseOpener {
    ticket: Ticket,
    /// The number of the request's first message.
    request: u64,
    encode_type: EncodeType,
    max_mte_body: usize,
    /// Headers that were sealed in the request: of these names, a response's clear ones are not the upstream's.
    sealed_names: Vec<HeaderName>,
}

/// A response whose sealed headers verified.
pub struct OpenedHead {
    /// The headers: the sealed ones in place of the outer ones.
    pub headers: HeaderMap,
    /// What was sealed.
    pub sealed: SealedHeaders,
    /// The message that carried the headers; its place says whether a body follows.
    pub part: Part,
    /// Opens the body, or makes sure that there is none.
    pub body: BodyOpener,
}

/// Names the sealed headers and shows no value.
impl std::fmt::Debug for OpenedHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedHead")
            .field("sealed", &self.sealed)
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}

/// The relay's own error in an answer that has no sealed headers (docs/protocol.md, section 5): [`Error::Relay`] from
/// status 400 on, else [`ResponseError::NotSealed`]. `None` if it has them.
pub fn relay_error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Error> {
    if headers.contains_key(X_MTE_RELAY_EH) {
        return None;
    }
    if status.as_u16() < 400 {
        return Some(ResponseError::NotSealed(status.as_u16()).into());
    }
    let (message, request_id) = match serde_json::from_slice::<ErrorBody<'_>>(body) {
        Ok(body) => (printable(&body.error), Some(printable(&body.request_id)).filter(|id| !id.is_empty())),
        Err(_) => (status.canonical_reason().unwrap_or("no reason given").to_owned(), None),
    };
    Some(Error::Relay { status: status.as_u16(), message, request_id, note: None })
}

/// Text of unknown origin without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).collect()
}

impl ResponseOpener {
    pub(super) fn new(
        ticket: Ticket,
        request: u64,
        options: &Options,
        sealed_names: Vec<HeaderName>,
    ) -> Self {
        let Options { encode_type, max_mte_body, .. } = *options;
        Self { ticket, request, encode_type, max_mte_body, sealed_names }
    }

    /// Opens a whole response.
    ///
    /// # Errors
    /// [`Error::Relay`] for the relay's own errors, [`Error::Response`] for anything that does not verify.
    pub fn open(self, response: http::Response<Bytes>) -> Result<http::Response<Bytes>, Error> {
        let (mut parts, body) = response.into_parts();
        if let Some(error) = relay_error(parts.status, &parts.headers, &body) {
            return Err(error);
        }
        let mut head = self.open_head(parts.status, &parts.headers)?;
        let mut plain = BytesMut::new();
        head.body.push(&body)?;
        while let Some(frame) = head.body.next_frame()? {
            plain.extend_from_slice(&frame.data);
        }
        if let Some(frame) = head.body.finish()? {
            plain.extend_from_slice(&frame.data);
        }
        parts.headers = head.headers;
        Ok(http::Response::from_parts(parts, plain.freeze()))
    }

    /// Opens the sealed headers and takes their number, and the announced body's.
    ///
    /// # Errors
    /// [`Error::Response`].
    pub fn open_head(self, status: StatusCode, headers: &HeaderMap) -> Result<OpenedHead, Error> {
        let mut values = headers.get_all(X_MTE_RELAY_EH).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(ResponseError::NotSealed(status.as_u16()).into());
        };
        let mut message =
            text::decode(value.as_bytes()).map_err(|error| ResponseError::Malformed(error.to_string()))?;
        let wire_len = message.len() as u64;
        let secrets = self.ticket.pair().secrets();
        let place = announced_place(&message);
        let expected = Expected { encode_type: self.encode_type, place };
        let opened = open::message(&secrets, expected, &mut message).map_err(ResponseError::Headers)?;
        let (number, place) = (opened.number, opened.place);
        let plain_len = opened.plaintext.len() as u64;
        let sealed = SealedHeaders::parse(opened.plaintext)
            .map_err(|error| ResponseError::Malformed(error.to_string()))?;
        self.check_binding(status, &sealed)?;

        // An announced body's number is taken along: nothing but this response can have it.
        let announced = place.following();
        let take = if announced == 1 { 2 } else { 1 };
        self.ticket.pair().commit(number, take).map_err(ResponseError::Headers)?;

        let headers = self.compose(headers, &sealed, announced == 0);
        let part = Part {
            kind: PartKind::Headers,
            number,
            place,
            encode_type: self.encode_type,
            plain_len: Some(plain_len),
            wire_len: Some(wire_len),
        };
        let body = self.body_opener(secrets, number, announced, &sealed)?;
        Ok(OpenedHead { headers, sealed, part, body })
    }

    fn check_binding(&self, status: StatusCode, sealed: &SealedHeaders) -> Result<(), ResponseError> {
        let check = |what, expected: u64, got: Option<u64>| match got {
            None => Err(ResponseError::Unbound(what)),
            Some(got) if got == expected => Ok(()),
            Some(got) => Err(ResponseError::Misbound { what, expected, got: got.to_string() }),
        };
        check(":status", status.as_u16().into(), sealed.status().map(u64::from))?;
        check(":request", self.request, sealed.request())
    }

    fn compose(&self, outer: &HeaderMap, sealed: &SealedHeaders, bodiless: bool) -> HeaderMap {
        let dropped: Vec<&str> = outer
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(hop::connection_names)
            .collect();
        let stays = |name: &HeaderName| {
            let text = name.as_str();
            let forged = name != SET_COOKIE && self.sealed_names.contains(name);
            // The outer length is the ciphertext's; without a body (HEAD, 304) it is the upstream's.
            let length = name == CONTENT_LENGTH && !bodiless;
            let relays = name == CONTENT_TYPE || text == X_MTE_RELAY || text == X_MTE_RELAY_EH;
            let hop = hop::is_hop_by_hop(text) || dropped.iter().any(|one| text.eq_ignore_ascii_case(one));
            !(forged || length || relays || hop)
        };
        let mut headers = HeaderMap::with_capacity(outer.len());
        for (name, value) in outer {
            if stays(name) {
                headers.append(name, value.clone());
            }
        }
        for (name, value) in sealed.iter() {
            let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
            else {
                continue;
            };
            if !hop::is_hop_by_hop(name.as_str()) {
                headers.insert(name, value);
            }
        }
        headers
    }

    fn body_opener(
        self,
        secrets: DecoderSecrets,
        number: u64,
        announced: u8,
        sealed: &SealedHeaders,
    ) -> Result<BodyOpener, Error> {
        let length = match sealed.get(CONTENT_LENGTH.as_str()) {
            Some(text) if announced != 0 => {
                let text = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
                Some(text.ok_or_else(|| ResponseError::Malformed("content-length is not a number".into()))?)
            }
            _ => None,
        };
        let expected = Expected { encode_type: self.encode_type, place: Place::raw(1, 0) };
        // The body may be long in coming, and other responses move the direction on: no other epoch's secret is kept for it.
        let secrets = match announced {
            0 => secrets,
            _ => secrets.narrowed_to(number + 1).map_err(ResponseError::Body)?,
        };
        let stage = match self.encode_type {
            _ if announced == 0 => Stage::Nothing,
            EncodeType::Mke => Stage::Mke(Opener::new(secrets, expected, BytesMut::new())),
            EncodeType::Mte => Stage::Mte {
                secrets,
                expected,
                message: Vec::new(),
                limit: message_len(EncodeType::Mte, self.max_mte_body),
                max_plain: self.max_mte_body,
            },
        };
        let optional = announced == Place::UNKNOWN;
        // An optional body's number is taken when its first frame is there; until then the request is in flight.
        let ticket = optional.then_some(self.ticket);
        Ok(BodyOpener {
            stage,
            number: number + 1,
            optional,
            ticket,
            started: false,
            first: true,
            opened: 0,
            length,
        })
    }
}

/// The place of a header message that announces what its own header says: nothing, one body, or (fitting both) either.
fn announced_place(message: &[u8]) -> Place {
    let following = message
        .first_chunk::<HEADER_LEN>()
        .and_then(|bytes| Header::parse(bytes).ok())
        .map_or(0, |header| header.place.following());
    Place::text(0, u8::from(following == 1))
}

/// Opens a response's body as it arrives, cut anywhere.
#[derive(Debug)]
pub struct BodyOpener {
    stage: Stage,
    number: u64,
    /// The relay could not know whether there is a body: no bytes are no body.
    optional: bool,
    ticket: Option<Ticket>,
    /// Bytes have come.
    started: bool,
    /// No frame has been opened.
    first: bool,
    opened: u64,
    length: Option<u64>,
}

enum Stage {
    Nothing,
    Mke(Opener),
    Mte { secrets: DecoderSecrets, expected: Expected, message: Vec<u8>, limit: usize, max_plain: usize },
}

/// Plaintext that verified.
pub struct OpenedFrame {
    /// The plaintext.
    pub data: Bytes,
    /// What it took on the wire.
    pub wire_len: usize,
    /// Whether it ends the body.
    pub last: bool,
}

/// Shows lengths only.
impl std::fmt::Debug for OpenedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenedFrame({} bytes, last: {})", self.data.len(), self.last)
    }
}

impl BodyOpener {
    /// Whether the sealed headers say that there is no body.
    pub fn is_nothing(&self) -> bool {
        matches!(self.stage, Stage::Nothing)
    }

    /// The body's length, if the sealed headers have it.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Takes bytes from the wire.
    ///
    /// # Errors
    /// [`ResponseError::ClearBody`] if none are announced, [`Error::TooLarge`] for a body of type MTE.
    pub fn push(&mut self, wire: &[u8]) -> Result<(), Error> {
        if wire.is_empty() {
            return Ok(());
        }
        self.started = true;
        match &mut self.stage {
            Stage::Nothing => return Err(ResponseError::ClearBody.into()),
            Stage::Mke(opener) => opener.push(wire),
            Stage::Mte { message, limit, max_plain, .. } => {
                if wire.len() > *limit - message.len() {
                    return Err(Error::TooLarge { limit: *max_plain });
                }
                message.extend_from_slice(wire);
            }
        }
        Ok(())
    }

    /// The next frame, once it is whole and verified. A body of type MTE comes with [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`ResponseError::Body`], [`ResponseError::Length`]. Nothing that comes later may be used then.
    pub fn next_frame(&mut self) -> Result<Option<OpenedFrame>, Error> {
        let Stage::Mke(opener) = &mut self.stage else { return Ok(None) };
        if let Some(header) = opener.header().map_err(ResponseError::Body)?
            && header.number != self.number
        {
            return Err(ResponseError::Body(OpenError::NotConsecutive).into());
        }
        let Some(frame) = opener.next_frame().map_err(ResponseError::Body)? else { return Ok(None) };
        let header_len = if std::mem::take(&mut self.first) { HEADER_LEN } else { 0 };
        let wire_len = header_len + frame.data.len() + FRAME_OVERHEAD;
        self.count(frame.data, wire_len, frame.last).map(Some)
    }

    /// Ends the input. Gives the plaintext of a body of type MTE.
    ///
    /// # Errors
    /// [`ResponseError::Body`] if the body is cut.
    pub fn finish(&mut self) -> Result<Option<OpenedFrame>, Error> {
        if self.optional && !self.started {
            self.ticket = None;
            return Ok(None);
        }
        match &mut self.stage {
            Stage::Nothing => Ok(None),
            Stage::Mke(opener) if opener.is_finished() => Ok(None),
            Stage::Mke(_) => Err(ResponseError::Body(OpenError::Truncated).into()),
            Stage::Mte { secrets, expected, message, .. } => {
                let mut message = std::mem::take(message);
                let wire_len = message.len();
                let opened = open::message(secrets, *expected, &mut message).map_err(ResponseError::Body)?;
                if opened.number != self.number {
                    return Err(ResponseError::Body(OpenError::NotConsecutive).into());
                }
                let data = Bytes::copy_from_slice(opened.plaintext);
                self.count(data, wire_len, true).map(Some)
            }
        }
    }

    /// Takes an optional body's number with its first frame, and holds the body against its length.
    fn count(&mut self, data: Bytes, wire_len: usize, last: bool) -> Result<OpenedFrame, Error> {
        if let Some(ticket) = self.ticket.take() {
            ticket.pair().commit(self.number, 1).map_err(ResponseError::Body)?;
        }
        self.opened += data.len() as u64;
        match self.length {
            Some(expected) if self.opened > expected || last && self.opened < expected => {
                Err(ResponseError::Length { expected, got: self.opened }.into())
            }
            _ => Ok(OpenedFrame { data, wire_len, last }),
        }
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Mke(_) => "MKE",
            Self::Mte { .. } => "MTE",
        })
    }
}
