//! A relay without a network: the session's server role, pairs in a map, and no upstream. [`Forgery`] describes responses that
//! a relay must not send, for tests of what a client refuses.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use mte_codec::{KemId, Numbers, Place, seal};
use mte_protocol::{ClientId, ClientIdSecret, RelayHeader, SealedHeaders, SealedHeadersWriter, text};
use mte_session::{
    pairing::PairingRequest,
    server::{
        BodyOpener, BodySealer, OpenedHead, Outer, Policy, RESPONSE_MESSAGES, RequestError, RequestOpener,
        RequireSealedHeaders, ResponseHead, ResponseTicket, Wanted, relay_header,
    },
    store::{Generation, PairError, PairState},
};
use rand::Rng;

use crate::wire::{self, Options, Pair, SealedRequest};

pub(super) const AUTHORITY: &str = "relay.example";

/// Maximum size of a body of type MTE, in both directions.
const MAX_MTE_BODY: usize = 1 << 20;

const POLICY: Policy = Policy {
    allow_plain_requests: false,
    require_sealed_headers: RequireSealedHeaders::Always,
    require_binding: true,
    max_header_names: 200,
};

pub(super) struct Relay {
    secret: ClientIdSecret,
    pairs: Mutex<HashMap<String, PairState>>,
}

/// A request whose URL and headers are open.
pub(super) struct Begun {
    head: OpenedHead,
    to_head: bool,
    client_id: String,
    /// The key exchange of its direction.
    kem: KemId,
}

/// A request whose numbers are used.
pub(super) struct Opened {
    pub(super) url: String,
    pub(super) sealed: SealedHeaders,
    pub(super) body: Option<BodyOpener>,
    pub(super) kem: KemId,
    to_head: bool,
    client_id: String,
    response: ResponseTicket,
    /// The keys for a forged response.
    numbers: Numbers,
    /// The number of its first message.
    first: u64,
}

/// The relay's response before it is sealed.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The upstream's headers; the relay's rules determine which are sealed.
    pub(super) headers: Vec<(&'static str, String)>,
    /// Pieces of the body; `None` for no body.
    pub(super) body: Option<Vec<Bytes>>,
    pub(super) forgery: Option<Forgery>,
}

/// Values that a relay never seals, but a forged response does, with a stated `content-length` in the sealed part.
#[derive(Clone)]
pub(super) struct Forgery {
    /// `:status`.
    pub(super) status: Option<u16>,
    /// `:request`; `None` is the right one.
    pub(super) request: Option<u64>,
    /// What the headers' place states about the body.
    pub(super) following: u8,
    /// What the body's own place states about following messages.
    pub(super) body_following: u8,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { body: Some(vec![body.into()]), ..Self::without_body(status) }
    }

    pub(super) fn without_body(status: u16) -> Self {
        let headers = [
            ("content-type", "text/plain"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("server", "upstream"),
        ];
        let headers = headers.map(|(name, value)| (name, value.to_owned())).into();
        Self { status, headers, body: None, forgery: None }
    }

    pub(super) fn forged(mut self, change: impl FnOnce(&mut Forgery)) -> Self {
        let following = u8::from(self.body.is_some());
        let mut forgery = Forgery { status: Some(self.status), request: None, following, body_following: 0 };
        change(&mut forgery);
        self.forgery = Some(forgery);
        self
    }

    fn clear_headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            map.append(*name, value.parse().unwrap());
        }
        map
    }
}

/// A sealed reply: status, headers, pieces of the body.
pub(super) struct Wire {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<Bytes>,
}

impl Wire {
    pub(super) fn response(&self) -> http::Response<Bytes> {
        let mut response = http::Response::new(self.body.concat().into());
        *response.status_mut() = self.status.try_into().unwrap();
        *response.headers_mut() = self.headers.clone();
        response
    }
}

impl Relay {
    pub(super) fn new() -> Self {
        let secret = ClientIdSecret::new(b"a secret of thirty-two characters").unwrap();
        Self { secret, pairs: Mutex::default() }
    }

    /// A signed client id: the given one if it verifies.
    pub(super) fn hello(&self, known: Option<&str>) -> Result<String, u16> {
        match known {
            Some(id) => self.secret.verify(id).map(|_| id.to_owned()).map_err(|_| 566),
            None => {
                let mut bytes = [0; 16];
                rand::rng().fill_bytes(&mut bytes);
                Ok(self.secret.sign(ClientId::from_random(bytes)))
            }
        }
    }

    pub(super) fn forget_pairs(&self) {
        self.pairs.lock().unwrap().clear();
    }

    pub(super) fn pair(&self, body: &[u8]) -> Vec<u8> {
        let request = PairingRequest::parse(body, 100).unwrap();
        let made = request.make(KemId::MlKem512, &mut rand::rng()).unwrap();
        let mut pairs = self.pairs.lock().unwrap();
        for pair in made.pairs {
            let taken = pairs.insert(pair.pair_id.clone(), PairState::new(pair, Generation([0; 16]), 0));
            assert!(taken.is_none(), "a pair id was used twice");
        }
        made.answer.to_json()
    }

    /// Opens URL and headers.
    pub(super) fn open_head(
        &self,
        outer: &Outer<'_>,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Begun, RequestError> {
        let relay = relay_header(headers)?;
        let client_id = relay.client_id.to_owned();
        self.secret.verify(&client_id).map_err(|error| RequestError::ClientId(error.to_string()))?;
        let opener = RequestOpener::new(&relay, path, headers, &POLICY)?;
        let state = self.pairs.lock().unwrap().get(opener.pair_id()).cloned().ok_or(PairError::NotFound)?;
        let head = opener.open(state.snapshot(), outer, &POLICY)?;
        let to_head = outer.method == Method::HEAD.as_str();
        Ok(Begun { head, to_head, client_id, kem: state.kems().0 })
    }

    /// Takes the request's numbers; `start` is the first part of its body.
    pub(super) fn accept(&self, begun: Begun, start: &[u8]) -> Result<Opened, RequestError> {
        let Begun { head, to_head, client_id, kem } = begun;
        let (request, body) = match head {
            OpenedHead::Whole(request) => (request, None),
            OpenedHead::BodyFollows(pending) => {
                let start = start.first_chunk().ok_or(mte_codec::OpenError::Truncated)?;
                let (request, body) = pending.admit(start)?;
                (request, Some(body.open(Default::default(), MAX_MTE_BODY)))
            }
        };
        let commit = request.commit();
        let first = commit.first;
        let (numbers, response) = {
            let mut pairs = self.pairs.lock().unwrap();
            let state = pairs.get_mut(request.pair_id()).ok_or(PairError::NotFound)?;
            let committed = state.commit(commit)?;
            let numbers = Numbers::new(committed.response, RESPONSE_MESSAGES, committed.encoder.clone());
            (numbers, committed)
        };
        let plain = request.accept(response, &mut rand::rng())?.plain()?;
        Ok(Opened {
            url: plain.target,
            sealed: plain.headers,
            body,
            kem,
            to_head,
            client_id,
            response: plain.response,
            numbers,
            first,
        })
    }

    /// Opens a request that was sealed as a whole.
    pub(super) fn open(&self, request: &SealedRequest) -> Result<(Opened, Bytes), RequestError> {
        let has_body = !request.body.is_empty();
        let outer = Outer { method: request.method.as_str(), authority: AUTHORITY, has_body };
        let begun = self.open_head(&outer, &request.path, &request.headers)?;
        let mut opened = self.accept(begun, &request.body)?;
        let Some(mut opener) = opened.body.take() else { return Ok((opened, Bytes::new())) };
        opener.push(&request.body)?;
        let mut body = Vec::new();
        while let Some(frame) = opener.next_frame()? {
            body.extend_from_slice(&frame.data);
        }
        body.extend(opener.finish()?.into_iter().flat_map(|frame| frame.data));
        Ok((opened, body.into()))
    }

    pub(super) fn seal(&self, request: Opened, reply: &Reply) -> Wire {
        if let Some(forgery) = &reply.forgery {
            return request.forge(reply, forgery);
        }
        let (mut wire, sealer) = self.seal_head(request, reply);
        if let (Some(mut sealer), Some(pieces)) = (sealer, &reply.body) {
            let mut seal = |piece: &[u8], end| {
                sealer.seal(Bytes::copy_from_slice(piece), end, &mut rand::rng()).unwrap()
            };
            wire.body = pieces.iter().map(|piece| seal(piece, false)).collect();
            wire.body.push(seal(&[], true));
        }
        wire
    }

    /// Seals the headers; the body is left to the caller.
    pub(super) fn seal_head(&self, request: Opened, reply: &Reply) -> (Wire, Option<BodySealer>) {
        let mut headers = reply.clear_headers();
        let head = ResponseHead {
            status: reply.status.try_into().unwrap(),
            headers: &headers,
            to_head: request.to_head,
            has_body: reply.body.is_some(),
        };
        let sealer = request.response.sealer(request.sealed, request.client_id, MAX_MTE_BODY);
        let sealed = sealer.head(&head, &mut rand::rng()).unwrap();
        sealed.apply(&mut headers).unwrap();
        (Wire { status: reply.status, headers, body: Vec::new() }, sealed.body)
    }
}

impl Opened {
    /// Seals a response that no relay sends.
    fn forge(self, reply: &Reply, forgery: &Forgery) -> Wire {
        let (mut map, mut headers) = (SealedHeadersWriter::new(), HeaderMap::new());
        let wanted = Wanted::new(self.sealed);
        for (name, value) in &reply.headers {
            match wanted.seals(name) || *name == "content-length" {
                true => map.header(name, value.as_bytes()),
                false => drop(headers.append(*name, value.parse().unwrap())),
            }
        }
        if let Some(status) = forgery.status {
            map.status(status);
            map.request(forgery.request.unwrap_or(self.first));
        }
        let encode_type = self.response.encode_type();
        let seal = |index, place, plaintext: &[u8]| {
            let slot = self.numbers.slot(index, encode_type, place).unwrap();
            seal::message(slot, plaintext, &mut rand::rng()).unwrap()
        };
        let message = seal(0, Place::text(0, forgery.following), &map.finish());
        let body = reply
            .body
            .iter()
            .map(|pieces| seal(1, Place::raw(1, forgery.body_following), &pieces.concat()).into());
        let relay = RelayHeader {
            client_id: &self.client_id,
            pair_id: self.response.pair_id(),
            encode_type,
            url_encoded: false,
            headers_encoded: true,
            body_encoded: false,
            streaming: None,
        };
        let body = body.collect::<Vec<Bytes>>();
        headers.insert("x-mte-relay", relay.response_value(true, !body.is_empty()).parse().unwrap());
        headers.insert("x-mte-relay-eh", text::encode(&message).parse().unwrap());
        headers.insert("content-type", "application/octet-stream".parse().unwrap());
        Wire { status: reply.status, headers, body }
    }
}

/// A relay and one pair with it.
pub(super) fn paired(kem: KemId) -> (Relay, Arc<Pair>) {
    let relay = Relay::new();
    let offer = wire::Offer::new(1, kem);
    let answer = relay.pair(&offer.to_json());
    let id = relay.hello(None).unwrap();
    let pair = offer.accept(&id, &answer).unwrap().remove(0);
    (relay, pair)
}

/// A request sealed under `pair`.
pub(super) fn sealed(pair: &Arc<Pair>, options: &Options, body: &'static str) -> SealedRequest {
    let request =
        http::Request::post("/orders?id=17").header("x-secret", "s").body(Bytes::from(body)).unwrap();
    wire::seal(pair, options, AUTHORITY, request).unwrap()
}
