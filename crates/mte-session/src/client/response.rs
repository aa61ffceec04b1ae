//! Opening a response (docs/protocol.md, section 4).
//!
//! Only what the sealed headers announce is accepted: they must be there and open, be bound to this request and status, and
//! their place says whether a body follows. The outer flags are not even read, since an attacker on the path could have
//! written them.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, StatusCode, header::CONTENT_LENGTH};
use mte_codec::{EncodeType, Expected, HEADER_LEN, Header, Place, open};
use mte_protocol::{ErrorBody, SealedHeaders, names::X_MTE_RELAY_EH, text};

use super::{
    BodyOpener, Error, Options, Part, PartKind, ResponseError, ResponseHeaders, Ticket, headers::ClearPart,
};

/// Opens the response to one request.
#[derive(Debug)]
pub struct ResponseOpener {
    ticket: Ticket,
    /// The number of the request's first message.
    request: u64,
    encode_type: EncodeType,
    max_mte_body: usize,
    /// Headers that were sealed in the request: those of the same name are sealed in the response.
    sealed_names: Vec<HeaderName>,
    /// Which other headers are sealed.
    response_headers: ResponseHeaders,
}

/// A response whose sealed headers verified.
pub struct OpenedHead {
    /// The sealed headers, and those that count in the clear.
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
    let (message, request_id) = match ErrorBody::parse(body) {
        Some(body) => {
            let request_id = body.request_id.filter(|id| !id.is_empty());
            (printable(&body.error), request_id.map(|id| printable(&id)))
        }
        None => (status.canonical_reason().unwrap_or("no reason given").to_owned(), None),
    };
    Some(Error::Relay { status: status.as_u16(), message, request_id })
}

/// Text of unknown origin without control characters that a terminal would interpret.
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
        let response_headers = options.response_headers.clone();
        Self { ticket, request, encode_type, max_mte_body, sealed_names, response_headers }
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
        let has_body = match place.following() {
            0 => false,
            1 => true,
            // The place was expected to be one of these, or 15 for a sender that cannot know.
            _ => return Err(ResponseError::UnknownBody.into()),
        };

        // The announced body's number is taken with it: only this response can have it.
        let take = 1 + u64::from(has_body);
        self.ticket.pair().commit(number, take).map_err(ResponseError::Headers)?;

        let clear = ClearPart {
            response_headers: &self.response_headers,
            sealed_names: &self.sealed_names,
            has_body,
        };
        let headers = clear.compose(headers, &sealed);
        let part = Part {
            kind: PartKind::Headers,
            number,
            place,
            encode_type: self.encode_type,
            plain_len: Some(plain_len),
            wire_len: Some(wire_len),
        };
        let body = match has_body {
            false => BodyOpener::nothing(),
            true => {
                let length = sealed_length(&sealed)?;
                // The body may arrive much later, and other responses advance the direction: no other epoch's secret
                // is kept for it.
                let secrets = secrets.narrowed_to(number + 1).map_err(ResponseError::Body)?;
                BodyOpener::new(secrets, self.encode_type, number + 1, length, self.max_mte_body)
            }
        };
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
}

/// The body's length, if the sealed headers have it.
fn sealed_length(sealed: &SealedHeaders) -> Result<Option<u64>, ResponseError> {
    let Some(text) = sealed.get(CONTENT_LENGTH.as_str()) else { return Ok(None) };
    let length = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| ResponseError::Malformed("content-length is not a number".into()))
}

/// The place of a header message that announces what its own header says: nothing, one body, or (fitting both) either.
fn announced_place(message: &[u8]) -> Place {
    let following = message
        .first_chunk::<HEADER_LEN>()
        .and_then(|bytes| Header::parse(bytes).ok())
        .map_or(0, |header| header.place.following());
    Place::text(0, u8::from(following == 1))
}
