//! A client, a relay, and the messages between them, in one place.

mod raw;

use std::{collections::HashMap, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use mte_codec::{KemId, OpenError};
use mte_session::{
    client::{self, BodyPlan, Offer, Options, ResponseOpener},
    pairing::PairingRequest,
    server::{
        BodyOpener, OpenedHead, OpenedRequest, Outer, PlainRequest, Policy, RequestError, RequestOpener,
        RequireSealedHeaders, ResponseHead, relay_header,
    },
    store::{Generation, PairError, PairState, Snapshot},
};

pub(crate) use raw::{Part, Raw};

pub(crate) const AUTHORITY: &str = "relay.example";
pub(crate) const CLIENT_ID: &str = "client.signature";
pub(crate) const MAX_MTE_BODY: usize = 200_000;

/// The policy of a tenant with default settings.
pub(crate) const POLICY: Policy = Policy {
    allow_plain_requests: false,
    require_sealed_headers: RequireSealedHeaders::Uncounted,
    require_binding: false,
    max_header_names: 200,
};

/// A request on the wire.
#[derive(Clone, Debug)]
pub(crate) struct WireRequest {
    pub method: Method,
    pub authority: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// A response on the wire.
#[derive(Clone, Debug)]
pub(crate) struct WireResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl WireResponse {
    pub(crate) fn http(&self) -> http::Response<Bytes> {
        let mut response = http::Response::new(Bytes::copy_from_slice(&self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

/// An upstream's response. No content length is stated unless it is among the headers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Parts of the body; `None` for no body.
    pub body: Option<Vec<Vec<u8>>>,
}

impl Answer {
    pub(crate) fn new(body: &[u8]) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "text/plain".parse().unwrap());
        Self { status: StatusCode::OK, headers, body: Some(vec![body.to_vec()]) }
    }

    pub(crate) fn empty() -> Self {
        Self { body: None, ..Self::new(b"") }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }
}

/// A request that the relay accepted, with its plaintext.
#[derive(Debug)]
pub(crate) struct Served {
    pub request: PlainRequest,
    pub body: Vec<u8>,
    to_head: bool,
}

/// The relay's side, with pairs like those of a store.
pub(crate) struct Relay {
    pub pairs: HashMap<String, PairState>,
    pub policy: Policy,
    /// Request bodies arrive in parts of this many bytes.
    pub part: usize,
}

impl Relay {
    pub(crate) fn new() -> Self {
        Self { pairs: HashMap::new(), policy: POLICY, part: 1_000 }
    }

    /// Answers `POST /api/mte-pair`.
    pub(crate) fn pair(&mut self, offer: &[u8]) -> Vec<u8> {
        let request = PairingRequest::parse(offer, 10).unwrap();
        let made = request.make(KemId::MlKem512, &mut rand::rng()).unwrap();
        for pair in made.pairs {
            self.pairs.insert(pair.pair_id.clone(), PairState::new(pair, Generation([7; 16]), 1_000));
        }
        made.answer.to_json()
    }

    pub(crate) fn snapshot(&self, pair_id: &str) -> Result<Snapshot, RequestError> {
        let state = self.pairs.get(pair_id).ok_or(PairError::NotFound)?;
        Ok(state.snapshot())
    }

    /// Opens a request as far as possible without changing the store's state.
    pub(crate) fn open(
        &self,
        wire: &WireRequest,
    ) -> Result<(OpenedRequest, Option<BodyOpener>), RequestError> {
        let relay = relay_header(&wire.headers)?;
        let opener = RequestOpener::new(&relay, &wire.path, &wire.headers, &self.policy)?;
        let snapshot = self.snapshot(opener.pair_id())?;
        let outer = Outer {
            method: wire.method.as_str(),
            authority: &wire.authority,
            has_body: !wire.body.is_empty(),
        };
        match opener.open(snapshot, &outer, &self.policy)? {
            OpenedHead::Whole(request) => Ok((request, None)),
            OpenedHead::BodyFollows(pending) => {
                let start = wire.body.first_chunk().ok_or(OpenError::Truncated)?;
                let (request, body) = pending.admit(start)?;
                Ok((request, Some(body.open(BytesMut::new(), MAX_MTE_BODY))))
            }
        }
    }

    /// Opens a complete request and takes its numbers.
    pub(crate) fn serve(&mut self, wire: &WireRequest) -> Result<Served, RequestError> {
        let (request, opener) = self.open(wire)?;
        let mut body = Vec::new();
        if let Some(mut opener) = opener {
            for part in wire.body.chunks(self.part) {
                opener.push(part)?;
                while let Some(frame) = opener.next_frame()? {
                    body.extend_from_slice(&frame.data);
                }
            }
            body.extend(opener.finish()?.into_iter().flat_map(|frame| frame.data));
            assert_eq!(opener.opened(), body.len() as u64);
        }
        let request = self.commit(request)?;
        Ok(Served { request, body, to_head: wire.method == Method::HEAD })
    }

    pub(crate) fn commit(&mut self, request: OpenedRequest) -> Result<PlainRequest, RequestError> {
        let commit = request.commit();
        let state = self.pairs.get_mut(request.pair_id()).ok_or(PairError::NotFound);
        let response = state.and_then(|state| state.commit(commit))?;
        request.accept(response, &mut rand::rng())?.plain()
    }

    /// The whole content of the store.
    pub(crate) fn stored(&self) -> Vec<Vec<u8>> {
        self.pairs.values().map(|state| state.to_bytes().to_vec()).collect()
    }
}

/// Seals the response to a request.
pub(crate) fn respond(served: Served, answer: &Answer) -> WireResponse {
    let Served { request, to_head, .. } = served;
    let mut headers = answer.headers.clone();
    let head = ResponseHead {
        status: answer.status,
        headers: &answer.headers,
        to_head,
        has_body: answer.body.is_some(),
    };
    let sealer = request.response.sealer(request.headers, CLIENT_ID.to_owned(), MAX_MTE_BODY);
    let sealed = sealer.head(&head, &mut rand::rng()).unwrap();
    sealed.apply(&mut headers).unwrap();
    let mut body = Vec::new();
    if let (Some(mut sealer), Some(parts)) = (sealed.body, &answer.body) {
        for part in parts {
            body.extend(sealer.seal(part.clone().into(), false, &mut rand::rng()).unwrap());
        }
        body.extend(sealer.seal(Bytes::new(), true, &mut rand::rng()).unwrap());
        assert!(sealer.is_finished());
    }
    WireResponse { status: answer.status, headers, body }
}

/// This project's client with one pair, and the relay that it paired with.
pub(crate) struct Pair {
    pub client: Arc<client::Pair>,
    pub options: Options,
    pub relay: Relay,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(KemId::MlKem512)
    }

    pub(crate) fn with(kem: KemId) -> Self {
        let mut relay = Relay::new();
        let offer = Offer::new(1, kem);
        let answer = relay.pair(&offer.to_json());
        let client = offer.accept(CLIENT_ID, &answer).unwrap().remove(0);
        let options = Options { max_mte_body: MAX_MTE_BODY, ..Options::default() };
        Self { client, options, relay }
    }

    /// Seals a request.
    pub(crate) fn seal(&self, request: http::Request<Bytes>) -> (WireRequest, ResponseOpener) {
        let sealed = client::seal(&self.client, &self.options, AUTHORITY, request).unwrap();
        let wire = WireRequest {
            method: sealed.method,
            authority: AUTHORITY.to_owned(),
            path: sealed.path,
            headers: sealed.headers,
            body: sealed.body.to_vec(),
        };
        (wire, sealed.opener)
    }

    /// Seals a request whose body's length is not known in advance; the body may be empty.
    pub(crate) fn seal_live(&self, request: http::Request<Bytes>) -> (WireRequest, ResponseOpener) {
        let (parts, body) = request.into_parts();
        let head =
            client::seal_head(&self.client, &self.options, AUTHORITY, &parts, BodyPlan::Unknown).unwrap();
        let body = mte_codec::seal::message(head.body.unwrap(), &body, &mut rand::rng()).unwrap();
        let (path, headers) = (head.path, head.headers);
        (
            WireRequest { method: parts.method, authority: AUTHORITY.to_owned(), path, headers, body },
            head.opener,
        )
    }

    /// A POST with a body.
    pub(crate) fn post(&self, body: &[u8]) -> (WireRequest, ResponseOpener) {
        let request = http::Request::post("/orders?id=17").header("x-secret", "s");
        self.seal(request.body(Bytes::copy_from_slice(body)).unwrap())
    }
}
