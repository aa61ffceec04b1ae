//! A client whose secrets the test can read: the other clients of these tests do not expose them.

use std::net::SocketAddr;

use aws_lc_rs::hkdf;
use http::Method;
use mte_codec::{
    EncodeType, EncoderState, EpochSecret, HEADER_LEN, KemId, Place, Sealer, Slot,
    kem::DecapsulationKey,
    schedule::{RootInputs, root},
    seal,
};
use mte_protocol::{
    RelayHeader, SealedHeadersWriter,
    pairing::{PairRequest, parse_response, write_request},
    text,
};

use super::{HOST, Wire};

/// A pair and all values that it was created from.
pub(crate) struct KnownPair {
    client_id: String,
    id: String,
    encoder: EncoderState,
    /// The entropy of both directions.
    pub entropies: [[u8; 32]; 2],
    /// The root secrets: from client to server, and back.
    pub roots: [EpochSecret; 2],
    /// The keys of all messages that it sent.
    pub message_keys: Vec<[u8; 32]>,
}

impl KnownPair {
    /// Pairs `count` times in one request with the tenant [`HOST`] at `relay`.
    pub(crate) async fn make(relay: SocketAddr, count: usize, kem: KemId) -> Vec<Self> {
        let mut wire = Wire::connect(relay).await;
        wire.send(format!("HEAD /api/mte-relay HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        let hello = wire.response(true).await.unwrap();
        let client_id = hello.header("x-mte-relay").expect("a client id").to_owned();

        let mut rng = rand::rng();
        let keys: Vec<_> =
            (0..count).map(|_| [(); 2].map(|()| DecapsulationKey::generate(kem, &mut rng))).collect();
        let offers: Vec<_> = keys.iter().enumerate().map(|(index, keys)| offer(index, keys)).collect();
        let body = write_request(&offers);
        let head = format!(
            "POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\nx-mte-relay: {client_id}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        wire.send([head.as_bytes(), &body].concat()).await;
        let answer = wire.response(false).await.unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        let answers = parse_response(&answer.body, &offers).unwrap();
        let pairs = offers.into_iter().zip(keys).zip(answers).map(|((offer, [encoder, decoder]), answer)| {
            let c2s = encoder.decapsulate(&answer.decoder_secret).unwrap();
            let s2c = decoder.decapsulate(&answer.encoder_secret).unwrap();
            let root = |entropy, nonce: mte_protocol::pairing::Nonce, personalization: &str| {
                root(entropy, &RootInputs::new(&nonce.to_string(), personalization)).unwrap()
            };
            let roots = [
                root(&c2s, answer.decoder_nonce, &offer.encoder_personalization),
                root(&s2c, answer.encoder_nonce, &offer.decoder_personalization),
            ];
            Self {
                client_id: client_id.clone(),
                id: offer.pair_id,
                encoder: EncoderState::new(roots[0].clone()),
                entropies: [*c2s.as_bytes(), *s2c.as_bytes()],
                roots,
                message_keys: Vec::new(),
            }
        });
        pairs.collect()
    }

    /// A request's sealed head, and with `body` the sealer of its body.
    pub(crate) fn request(&mut self, method: &Method, target: &str, body: bool) -> (String, Option<Sealer>) {
        let count = 2 + u8::from(body);
        let numbers = self.encoder.reserve(count.into()).unwrap();
        let mut headers = SealedHeadersWriter::new();
        headers.method(method.as_str());
        headers.authority(HOST);
        let slot = |index: u8, place| numbers.slot(index.into(), EncodeType::Mke, place).unwrap();
        let url = slot(0, Place::text(0, count - 1));
        let url = self.message(&url, target.trim_start_matches('/').as_bytes());
        let headers_slot = slot(1, Place::text(1, count - 2));
        let headers = self.message(&headers_slot, &headers.finish());
        let sealer = body.then(|| Sealer::new(&slot(2, Place::raw(2, 0)), &mut rand::rng()).unwrap());
        let relay = RelayHeader {
            client_id: &self.client_id,
            pair_id: &self.id,
            encode_type: EncodeType::Mke,
            url_encoded: true,
            headers_encoded: true,
            body_encoded: body,
            streaming: None,
        };
        let framing = if body { "transfer-encoding: chunked\r\n" } else { "" };
        let head = format!(
            "{method} {} HTTP/1.1\r\nhost: {HOST}\r\nx-mte-relay: {relay}\r\nx-mte-relay-eh: {}\r\n{framing}\r\n",
            text::url_to_path(&url),
            text::encode(&headers)
        );
        (head, sealer)
    }

    fn message(&mut self, slot: &Slot, plaintext: &[u8]) -> Vec<u8> {
        struct Len;
        impl hkdf::KeyType for Len {
            fn len(&self) -> usize {
                32
            }
        }
        let message = seal::message(slot.clone(), plaintext, &mut rand::rng()).unwrap();
        let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, slot.secret.as_bytes());
        let mut key = [0; 32];
        let info: [&[u8]; 2] = [b"mte-open/1 message", &message[..HEADER_LEN]];
        prk.expand(&info, Len).unwrap().fill(&mut key).unwrap();
        self.message_keys.push(key);
        message
    }

    /// Sends a GET over `wire` and expects an answer of 200.
    pub(crate) async fn get(&mut self, wire: &mut Wire, target: &str) {
        wire.send(self.request(&Method::GET, target, false).0).await;
        let answer = wire.response(false).await.unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
    }

    /// The epoch of its next message.
    pub(crate) fn epoch(&self) -> u64 {
        EpochSecret::index_of(self.encoder.next())
    }
}

fn offer(index: usize, [encoder, decoder]: &[DecapsulationKey; 2]) -> PairRequest {
    PairRequest {
        pair_id: format!("pair-{index}"),
        encoder_public_key: encoder.encapsulation_key().to_vec(),
        encoder_personalization: format!("encoder-{index}"),
        decoder_public_key: decoder.encapsulation_key().to_vec(),
        decoder_personalization: format!("decoder-{index}"),
    }
}
