//! A request opened step by step, up to the plain request for the upstream.

use mte_codec::{EncodeType, EpochSecret, Expected, Numbers, OpenError, Place, WindowError, open};
use mte_protocol::{SealedHeaders, TargetError, origin_form, sealed_headers::normal_authority};
use rand::CryptoRng;

use super::{
    Binding, Outer, PendingBody, Policy, RESPONSE_MESSAGES, RequestError, RequestOpener, ResponseKeys,
    ResponseTicket,
    request::{Shape, Url},
};
use crate::{
    body::BodyError,
    store::{Commit, Committed, Snapshot},
};

/// Bytes of a request's URL and headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestSizes {
    /// Their plaintext.
    pub plain: u64,
    /// Their messages, before base64.
    pub encoded: u64,
}

/// A request whose URL and headers verified and belong to it.
#[derive(Debug)]
pub enum OpenedHead {
    /// It has no sealed body.
    Whole(OpenedRequest),
    /// A sealed body follows, whose number must be checked next.
    BodyFollows(PendingBody),
}

/// What is known of a request that is being opened.
pub(super) struct Opening {
    snapshot: Snapshot,
    pub(super) encode_type: EncodeType,
    pair_id: String,
    streaming: Option<String>,
    target: Result<String, TargetError>,
    headers: SealedHeaders,
    headers_sealed: bool,
    sizes: RequestSizes,
    /// The first message's number.
    first: Option<u64>,
    /// How many messages were opened.
    index: u8,
}

impl RequestOpener {
    /// Opens URL and headers with a snapshot of the pair. The messages are kept as they came: if the error
    /// [may be due to an outdated snapshot](RequestError::may_be_outdated), they can be opened again with a later one.
    ///
    /// # Errors
    /// 562 for what does not verify, does not belong to this request, or does not satisfy the policy; 431 for a header
    /// map of too many names.
    pub fn open(
        &self,
        snapshot: Snapshot,
        outer: &Outer<'_>,
        policy: &Policy,
    ) -> Result<OpenedHead, RequestError> {
        let shape = self.shape(outer.has_body)?;
        policy.check_headers(shape.headers, false)?;
        let mut opening = Opening {
            snapshot,
            encode_type: self.encode_type,
            pair_id: self.pair_id.clone(),
            streaming: self.streaming.clone(),
            target: Ok(String::new()),
            headers: SealedHeaders::default(),
            headers_sealed: shape.headers,
            sizes: RequestSizes::default(),
            first: None,
            index: 0,
        };
        opening.target = match &self.url {
            Url::Clear(target) => target.clone(),
            Url::Sealed(message) => opening.url(&mut message.clone(), shape, policy)?,
        };
        if let Some(message) = &self.headers {
            opening.headers = opening.header_map(&mut message.clone(), shape, policy)?;
        }
        opening.check_binding(outer, policy)?;
        let length = opening.content_length()?;
        if shape.body {
            let expected = Expected { encode_type: opening.encode_type, place: shape.raw(opening.index) };
            return Ok(OpenedHead::BodyFollows(PendingBody { opening, expected, length }));
        }
        if !outer.has_body
            && let Some(expected @ 1..) = length
        {
            return Err(RequestError::Body(BodyError::Length { expected, got: 0 }));
        }
        Ok(OpenedHead::Whole(OpenedRequest(opening)))
    }
}

impl Policy {
    fn check_headers(&self, sealed: bool, uncounted: bool) -> Result<(), RequestError> {
        if sealed || !self.require_sealed_headers.demands(uncounted) {
            return Ok(());
        }
        Err(RequestError::HeadersRequired)
    }
}

impl Opening {
    /// Opens the URL's message. Whether the URL may be requested is only checked once the request's numbers are spent.
    fn url(
        &mut self,
        message: &mut [u8],
        shape: Shape,
        policy: &Policy,
    ) -> Result<Result<String, TargetError>, RequestError> {
        let opened = self.text(message, shape)?;
        policy.check_headers(shape.headers, opened.place.following() == Place::UNKNOWN)?;
        // A header map that is sent alone has the same place as a URL that is sent alone; no URL begins like one.
        if opened.plaintext.starts_with(b"{") {
            return Err(RequestError::HeadersAsUrl);
        }
        Ok(origin_form(opened.plaintext))
    }

    fn header_map(
        &mut self,
        message: &mut [u8],
        shape: Shape,
        policy: &Policy,
    ) -> Result<SealedHeaders, RequestError> {
        let opened = self.text(message, shape)?;
        Ok(SealedHeaders::parse_at_most(opened.plaintext, policy.max_header_names)?)
    }

    /// Opens a text message in place.
    fn text<'m>(&mut self, message: &'m mut [u8], shape: Shape) -> Result<open::Opened<'m>, OpenError> {
        let encoded = message.len() as u64;
        let expected = Expected { encode_type: self.encode_type, place: shape.text(self.index) };
        let opened = open::message(&self.snapshot.decoder, expected, message)?;
        self.take_number(opened.number)?;
        self.sizes.plain += opened.plaintext.len() as u64;
        self.sizes.encoded += encoded;
        Ok(opened)
    }

    /// Checks that the next message carries the next number, and that it is not taken: a replay costs no more than its
    /// first message, whatever its body. A number that is taken or too old stays so. The commit decides whether one is too
    /// far ahead, as the pair may have moved on since the snapshot.
    pub(super) fn take_number(&mut self, number: u64) -> Result<(), OpenError> {
        let first = *self.first.get_or_insert(number);
        if first.checked_add(self.index.into()) != Some(number) {
            return Err(OpenError::NotConsecutive);
        }
        let window = &self.snapshot.window;
        match window.check(number) {
            Err(WindowError::OutOfWindow) if number >= window.end() => {}
            checked => checked?,
        }
        self.index += 1;
        Ok(())
    }

    /// Compares what the client sealed about its request with the request that came.
    fn check_binding(&self, outer: &Outer<'_>, policy: &Policy) -> Result<(), Binding> {
        let (method, authority) = (self.headers.method(), self.headers.authority());
        if policy.require_binding && (method.is_none() || authority.is_none()) {
            return Err(Binding::Missing);
        }
        if method.is_some_and(|method| method != outer.method) {
            return Err(Binding::Method);
        }
        let outer = normal_authority(outer.authority);
        if authority.is_some_and(|authority| normal_authority(authority) != outer) {
            return Err(Binding::Authority);
        }
        Ok(())
    }

    /// The sealed `content-length`.
    fn content_length(&self) -> Result<Option<u64>, RequestError> {
        let Some(value) = self.headers.get("content-length") else { return Ok(None) };
        let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let length = digits.and_then(|text| text.parse().ok());
        length.map(Some).ok_or(RequestError::ContentLength)
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// A request all of whose messages fit: their numbers can be committed.
pub struct OpenedRequest(pub(super) Opening);

impl OpenedRequest {
    /// The pair that the request names.
    pub fn pair_id(&self) -> &str {
        &self.0.pair_id
    }

    /// How many messages it has.
    pub fn messages(&self) -> u8 {
        self.0.index
    }

    /// What the store is asked to make final: the request's numbers, and two for its response.
    pub fn commit(&self) -> Commit {
        let Opening { snapshot, first, index, .. } = &self.0;
        let (first, count) = (first.unwrap_or_default(), u64::from(*index));
        // The epochs to keep follow from it.
        let end = first.saturating_add(count).max(snapshot.window.end());
        let after = EpochSecret::index_of(snapshot.next_response + RESPONSE_MESSAGES);
        let crosses = after > u64::from(snapshot.encoder.index());
        Commit {
            generation: snapshot.generation,
            first,
            count,
            decoder: snapshot.decoder.advanced_to(end),
            encoder: crosses.then(|| snapshot.encoder.at(after)).flatten(),
            reserve: RESPONSE_MESSAGES,
        }
    }

    /// Continues once the store has committed: `response` is the first of the numbers it reserved. The pair's secrets are left
    /// behind; only the response's own keys are kept.
    ///
    /// # Errors
    /// 500 if the keys cannot be made.
    pub fn accept(
        self,
        committed: Committed,
        rng: &mut impl CryptoRng,
    ) -> Result<AcceptedRequest, RequestError> {
        let Opening { encode_type, pair_id, streaming, target, headers, headers_sealed, first, .. } = self.0;
        let numbers = Numbers::new(committed.response, RESPONSE_MESSAGES, committed.encoder);
        let keys = ResponseKeys::new(&numbers, encode_type, rng).map_err(RequestError::Keys)?;
        let bound = headers.method().is_some().then_some(first.unwrap_or_default());
        let response = ResponseTicket { encode_type, keys, bound, pair_id, streaming };
        Ok(AcceptedRequest { target, headers, headers_sealed, response })
    }
}

impl OpenedHead {
    fn opening(&self) -> &Opening {
        match self {
            Self::Whole(request) => &request.0,
            Self::BodyFollows(body) => &body.opening,
        }
    }

    /// The sealed headers; empty if there are none.
    pub fn headers(&self) -> &SealedHeaders {
        &self.opening().headers
    }

    /// The sizes of its URL and headers.
    pub fn sizes(&self) -> RequestSizes {
        self.opening().sizes
    }
}

/// A request whose numbers are spent.
pub struct AcceptedRequest {
    target: Result<String, TargetError>,
    headers: SealedHeaders,
    headers_sealed: bool,
    response: ResponseTicket,
}

impl AcceptedRequest {
    /// The request for the upstream.
    ///
    /// # Errors
    /// 400 if its URL is not a path and query of the upstream and of nothing else.
    pub fn plain(self) -> Result<PlainRequest, RequestError> {
        let Self { target, headers, headers_sealed, response } = self;
        Ok(PlainRequest { target: target?, headers, headers_sealed, response })
    }
}

/// A request for the upstream, and what its response will be sealed with.
pub struct PlainRequest {
    /// Path and query, in origin form.
    pub target: String,
    /// The sealed headers; empty if there are none.
    pub headers: SealedHeaders,
    /// Whether the request came with sealed headers, an empty map included.
    pub headers_sealed: bool,
    /// What its response is sealed with.
    pub response: ResponseTicket,
}

macro_rules! names_the_pair {
    ($($type:ident: $pair_id:expr),+ $(,)?) => {$(
        /// Names the pair and shows no part.
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let pair_id: fn(&Self) -> &str = $pair_id;
                f.debug_struct(stringify!($type)).field("pair_id", &pair_id(self)).finish_non_exhaustive()
            }
        }
    )+};
}

names_the_pair! {
    Opening: |opening| &opening.pair_id,
    OpenedRequest: |request| &request.0.pair_id,
    PendingBody: |body| &body.opening.pair_id,
    AcceptedRequest: |request| &request.response.pair_id,
    PlainRequest: |request| &request.response.pair_id,
    ResponseTicket: |ticket| &ticket.pair_id,
}
