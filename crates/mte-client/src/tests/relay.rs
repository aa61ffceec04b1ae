//! A relay without a network: it pairs, opens requests and seals replies, and has no upstream.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method};
use mte_codec::{
    DecoderState, EncodeType, EncoderState, Expected, KemId, Numbers, Opener, Place, Sealer, Slot, kem, open,
    schedule::{RootInputs, root},
    seal,
};
use mte_protocol::{
    ClientId, ClientIdSecret, Nonce, PairResponse, RelayHeader, SealedHeaders, SealedHeadersWriter,
    origin_form, pairing,
    response_fields::{describes_body, stays_clear},
    sealed_headers::RESPONSE_HEADERS,
    text,
};
use rand::Rng;

use crate::wire::{self, Options, Pair, SealedRequest};

pub(super) const AUTHORITY: &str = "relay.example";

pub(super) struct Relay {
    secret: ClientIdSecret,
    pairs: Mutex<HashMap<String, Arc<Mutex<Side>>>>,
}

/// The relay's side of a pair.
pub(super) struct Side {
    decoder: DecoderState,
    encoder: EncoderState,
    kem: KemId,
}

/// A request whose head is open.
pub(super) struct Opened {
    pub(super) side: Arc<Mutex<Side>>,
    pub(super) url: String,
    pub(super) sealed: SealedHeaders,
    pub(super) body: Option<Opener>,
    relay_value: String,
    pub(super) encode_type: EncodeType,
    first: u64,
    /// The response's numbers: reserved as the request's are taken, however late the response is.
    response: Numbers,
    pub(super) count: u64,
}

impl Opened {
    pub(super) fn kem(&self) -> KemId {
        self.side.lock().unwrap().kem
    }
}

/// What the relay answers, before it is sealed.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The upstream's headers; the relay's rules decide which are sealed.
    pub(super) headers: Vec<(&'static str, String)>,
    /// Pieces of the body; `None` for no body.
    pub(super) body: Option<Vec<Bytes>>,
    /// What the headers' place says of the body, against the rules.
    pub(super) following: Option<u8>,
    /// What the body's own place says of what follows: 0 or, against the rules, 15.
    pub(super) body_following: u8,
    /// `:status`, `:request`: changed by whoever tests that.
    pub(super) bound_status: Option<u16>,
    pub(super) bound_request: Option<u64>,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { body: Some(vec![body.into()]), ..Self::without_body(status) }
    }

    pub(super) fn without_body(status: u16) -> Self {
        Self {
            status,
            headers: [
                ("content-type", "text/plain"),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("server", "upstream"),
            ]
            .map(|(name, value)| (name, value.to_owned()))
            .into(),
            body: None,
            following: None,
            body_following: 0,
            bound_status: Some(status),
            bound_request: None,
        }
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
        let mut rng = rand::rng();
        let mut answers = Vec::new();
        for request in pairing::parse_request(body, 100).unwrap() {
            let mut direction = |key: &[u8], personalization: &str| {
                let nonce = Nonce::from_random(rng.next_u64());
                let (ciphertext, entropy) = kem::encapsulate(key, &mut rng).unwrap();
                let secret = root(&entropy, &RootInputs::new(&nonce.to_string(), personalization)).unwrap();
                (nonce, ciphertext, secret)
            };
            let (decoder_nonce, decoder_secret, c2s) =
                direction(&request.encoder_public_key, &request.encoder_personalization);
            let (encoder_nonce, encoder_secret, s2c) =
                direction(&request.decoder_public_key, &request.decoder_personalization);
            let kem = KemId::from_key_len(request.encoder_public_key.len()).unwrap();
            let side = Side { decoder: DecoderState::new(c2s), encoder: EncoderState::new(s2c), kem };
            let taken =
                self.pairs.lock().unwrap().insert(request.pair_id.clone(), Arc::new(Mutex::new(side)));
            assert!(taken.is_none(), "a pair id was used twice");
            answers.push(PairResponse {
                pair_id: request.pair_id,
                encoder_nonce,
                encoder_secret,
                decoder_nonce,
                decoder_secret,
            });
        }
        pairing::write_response(&answers)
    }

    /// Opens URL and headers, checks places and bindings, and commits the request's numbers.
    pub(super) fn open_head(
        &self,
        method: &Method,
        authority: &str,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Opened, u16> {
        let text_of = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap());
        let header = RelayHeader::parse(text_of("x-mte-relay").ok_or(569u16)?).map_err(|e| e.status())?;
        self.secret.verify(header.client_id).map_err(|_| 566u16)?;
        let side = self.pairs.lock().unwrap().get(header.pair_id).cloned().ok_or(560u16)?;
        let secrets = side.lock().unwrap().decoder.secrets.clone();
        let count = [header.url_encoded, header.headers_encoded, header.body_encoded];
        let count = count.into_iter().map(u8::from).sum::<u8>();
        let encode_type = header.encode_type;

        let mut index = 0;
        let mut numbers = Vec::new();
        let mut open_text = |mut message: Vec<u8>| {
            let place = Place::text(index, count - 1 - index);
            index += 1;
            let opened =
                open::message(&secrets, Expected { encode_type, place }, &mut message).map_err(|_| 562u16)?;
            numbers.push(opened.number);
            Ok::<_, u16>(opened.plaintext.to_vec())
        };
        let url = match header.url_encoded {
            true => {
                let message = text::path_to_message(path).map_err(|_| 562u16)?.ok_or(562u16)?;
                origin_form(&open_text(message)?).map_err(|_| 400u16)?
            }
            false => path.to_owned(),
        };
        let map = text::decode(text_of("x-mte-relay-eh").ok_or(562u16)?.as_bytes()).map_err(|_| 562u16)?;
        let sealed = SealedHeaders::parse(&open_text(map)?).map_err(|_| 562u16)?;
        if sealed.method() != Some(method.as_str()) || sealed.authority() != Some(authority) {
            return Err(562);
        }
        let expected = Expected { encode_type, place: Place::raw(count - 1, 0) };
        let body = header.body_encoded.then(|| Opener::new(secrets.clone(), expected, BytesMut::new()));
        let first = numbers[0];
        assert!(numbers.iter().enumerate().all(|(at, number)| *number == first + at as u64));
        let response = {
            let mut side = side.lock().unwrap();
            side.decoder.commit(first, count.into()).map_err(|_| 562u16)?;
            side.encoder.reserve(2).unwrap()
        };
        Ok(Opened {
            side,
            url,
            sealed,
            body,
            relay_value: header.response_value(true, false),
            encode_type,
            first,
            response,
            count: count.into(),
        })
    }

    /// Opens a request that was sealed whole.
    pub(super) fn open(&self, request: &SealedRequest) -> Result<(Opened, Bytes), u16> {
        let mut opened = self.open_head(&request.method, AUTHORITY, &request.path, &request.headers)?;
        let body = opened.open_body(&request.body)?;
        Ok((opened, body))
    }

    pub(super) fn seal(&self, request: &Opened, reply: &Reply) -> Wire {
        let (mut wire, slot) = self.seal_head(request, reply);
        wire.body = match &reply.body {
            None => Vec::new(),
            Some(pieces) if request.encode_type == EncodeType::Mte => {
                vec![seal::message(slot, &pieces.concat(), &mut rand::rng()).unwrap().into()]
            }
            Some(pieces) => {
                let mut sealer = Sealer::new(&slot, &mut rand::rng()).unwrap();
                let mut sealed: Vec<Bytes> =
                    pieces.iter().map(|piece| sealer.seal(piece, false).unwrap()).collect();
                sealed.push(sealer.seal(&[], true).unwrap());
                sealed
            }
        };
        wire
    }

    /// Seals the headers; the body is left to the caller.
    pub(super) fn seal_head(&self, request: &Opened, reply: &Reply) -> (Wire, Slot) {
        let numbers = &request.response;
        let mut map = SealedHeadersWriter::new();
        let mut headers = HeaderMap::new();
        for (name, value) in &reply.headers {
            match request.seals(name) {
                true => map.header(name, value.as_bytes()),
                false => drop(headers.append(*name, value.parse().unwrap())),
            }
        }
        if let Some(status) = reply.bound_status {
            map.status(status);
            map.request(reply.bound_request.unwrap_or(request.first));
        }
        let following = reply.following.unwrap_or(u8::from(reply.body.is_some()));
        let slot = numbers.slot(0, request.encode_type, Place::text(0, following)).unwrap();
        let map = text::encode(&seal::message(slot, &map.finish(), &mut rand::rng()).unwrap());
        headers.insert("x-mte-relay", request.relay_value.parse().unwrap());
        headers.insert("x-mte-relay-eh", map.parse().unwrap());
        headers.insert("content-type", "application/octet-stream".parse().unwrap());
        headers.insert("cache-control", "no-store".parse().unwrap());
        let place = Place::raw(1, reply.body_following);
        let body = numbers.slot(1, request.encode_type, place).unwrap();
        (Wire { status: reply.status, headers, body: Vec::new() }, body)
    }
}

impl Opened {
    /// Whether a response header is sealed (docs/protocol.md, section 4).
    fn seals(&self, name: &str) -> bool {
        let wanted = self.sealed.get(RESPONSE_HEADERS).unwrap_or_default();
        let listed = wanted == b"*" || wanted.split(|byte| *byte == b',').any(|one| one == name.as_bytes());
        !stays_clear(name) && (listed || describes_body(name) || self.sealed.get(name).is_some())
    }

    /// Opens a whole body; its number must follow.
    pub(super) fn open_body(&mut self, wire: &[u8]) -> Result<Bytes, u16> {
        let Some(mut opener) = self.body.take() else {
            return if wire.is_empty() { Ok(Bytes::new()) } else { Err(562) };
        };
        if self.encode_type == EncodeType::Mte {
            let secrets = self.side.lock().unwrap().decoder.secrets.clone();
            let expected =
                Expected { encode_type: EncodeType::Mte, place: Place::raw(self.count as u8 - 1, 0) };
            let mut message = wire.to_vec();
            let opened = open::message(&secrets, expected, &mut message).map_err(|_| 562u16)?;
            assert_eq!(opened.number, self.first + self.count - 1);
            return Ok(Bytes::copy_from_slice(opened.plaintext));
        }
        opener.push(wire);
        let mut plain = Vec::new();
        while let Some(frame) = opener.next_frame().map_err(|_| 562u16)? {
            plain.extend_from_slice(&frame.data);
        }
        assert_eq!(opener.header().unwrap().unwrap().number, self.first + self.count - 1);
        opener.finish().map_err(|_| 562u16)?;
        Ok(plain.into())
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
