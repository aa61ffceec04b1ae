//! A client that seals as version 4 does, message by message: nothing is bound unless a test says so.

use mte_codec::{
    EncodeType, EncoderState, KemId, Place,
    kem::DecapsulationKey,
    schedule::{RootInputs, root},
    seal,
};
use mte_protocol::{
    pairing::{PairRequest, parse_response, write_request},
    text,
};

use crate::harness::{HOST, Message, Relay};

/// A client id with one pair.
pub(super) struct V4 {
    pub client_id: String,
    pub encoder: EncoderState,
    /// Whether it states how many messages follow.
    pub counts: bool,
    pub encode_type: EncodeType,
}

pub(super) const PAIR: &str = "the-pair";

/// A sealed request as sent on the connection, which tests can tamper with.
#[derive(Clone)]
pub(super) struct Sealed {
    pub method: &'static str,
    pub path: String,
    /// The fields of `x-mte-relay` from the third on.
    pub flags: String,
    pub map: Option<String>,
    /// Header lines in the clear.
    pub clear: String,
    pub body: Option<Vec<u8>>,
    pub client_id: String,
}

impl V4 {
    pub(super) async fn new(relay: &Relay) -> Self {
        let hello = relay.ask(&format!("HEAD /api/mte-relay HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        let client_id = hello.header("x-mte-relay").unwrap().to_owned();
        let (answer, request, key) = Self::pair(relay, &client_id, KemId::MlKem512).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        let answers = parse_response(&answer.body, std::slice::from_ref(&request)).unwrap();
        let entropy = key.decapsulate(&answers[0].decoder_secret).unwrap();
        let nonce = answers[0].decoder_nonce.to_string();
        let secret = root(&entropy, &RootInputs::new(&nonce, &request.encoder_personalization)).unwrap();
        Self { client_id, encoder: EncoderState::new(secret), counts: true, encode_type: EncodeType::Mke }
    }

    /// Requests one pair with keys of this kind.
    pub(super) async fn pair(
        relay: &Relay,
        client_id: &str,
        kem: KemId,
    ) -> (Message, PairRequest, DecapsulationKey) {
        let mut rng = rand::rng();
        let (encoder, decoder) =
            (DecapsulationKey::generate(kem, &mut rng), DecapsulationKey::generate(kem, &mut rng));
        let request = PairRequest {
            pair_id: PAIR.into(),
            encoder_public_key: encoder.encapsulation_key().to_vec(),
            encoder_personalization: "encoder".into(),
            decoder_public_key: decoder.encapsulation_key().to_vec(),
            decoder_personalization: "decoder".into(),
        };
        let body = String::from_utf8(write_request(std::slice::from_ref(&request))).unwrap();
        let answer = relay
            .ask(&format!(
                "POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\nx-mte-relay: {client_id}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        (answer, request, encoder)
    }

    /// Seals the given parts; `map` is the JSON of the header map.
    pub(super) fn seal(
        &mut self,
        method: &'static str,
        path: Option<&str>,
        map: Option<&str>,
        body: Option<&[u8]>,
    ) -> Sealed {
        let count = u8::from(path.is_some()) + u8::from(map.is_some()) + u8::from(body.is_some());
        let numbers = self.encoder.reserve(count.into()).unwrap();
        let mut index = 0;
        let mut message = |raw: bool, plaintext: &[u8]| {
            let following = if self.counts { count - 1 - index } else { Place::UNKNOWN };
            let place = if raw { Place::raw(index, following) } else { Place::text(index, following) };
            let slot = numbers.slot(index.into(), self.encode_type, place).unwrap();
            index += 1;
            seal::message(slot, plaintext, &mut rand::rng()).unwrap()
        };
        let sealed_path = path.map(|path| text::url_to_path(&message(false, &path.as_bytes()[1..])));
        let sealed_map = map.map(|map| text::encode(&message(false, map.as_bytes())));
        let sealed_body = body.map(|body| message(true, body));
        let digit = u8::from;
        let encode_type = u8::from(self.encode_type == EncodeType::Mke);
        let flags = format!(
            "{encode_type},{},{},{}",
            digit(path.is_some()),
            digit(map.is_some()),
            digit(body.is_some())
        );
        Sealed {
            method,
            path: sealed_path.unwrap_or_else(|| "/".into()),
            flags,
            map: sealed_map,
            clear: String::new(),
            body: sealed_body,
            client_id: self.client_id.clone(),
        }
    }
}

impl Sealed {
    /// Adds header lines in the clear.
    pub(super) fn clear(mut self, lines: &str) -> Self {
        self.clear.push_str(lines);
        self
    }

    pub(super) fn head(&self) -> String {
        let Self { method, path, flags, clear, client_id, .. } = self;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {HOST}\r\nx-mte-relay: {client_id},{PAIR},{flags}\r\n{clear}"
        );
        if let Some(map) = &self.map {
            head.push_str(&format!("x-mte-relay-eh: {map}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head + "\r\n"
    }

    /// Sends it and reads the response.
    pub(super) async fn send(&self, relay: &Relay) -> Message {
        let mut wire = relay.wire().await;
        wire.send(self.head()).await;
        if let Some(body) = &self.body {
            wire.send(body).await;
        }
        wire.response(self.method == "HEAD").await.expect("an answer")
    }
}
