//! A sender without restrictions, which can send messages like other clients and like attackers.

use http::{HeaderMap, Method};
use mte_codec::{
    EncodeType, EpochSecret, KemId, Numbers, Place,
    kem::DecapsulationKey,
    schedule::{self, RootInputs},
    seal,
};
use mte_protocol::{RelayHeader, pairing, text};

use super::{AUTHORITY, CLIENT_ID, Relay, WireRequest};

/// A message of a request, with its plaintext.
#[derive(Clone, Copy)]
pub(crate) enum Part<'a> {
    Url(&'a str),
    Headers(&'a str),
    Body(&'a [u8]),
}

/// A sender with the root secret of its direction.
pub(crate) struct Raw {
    pub pair_id: String,
    pub encode_type: EncodeType,
    pub method: Method,
    /// The number of the next message.
    pub next: u64,
    /// States 15 in every place.
    pub cannot_count: bool,
    root: EpochSecret,
}

impl Raw {
    /// Pairs with a relay.
    pub(crate) fn new(relay: &mut Relay) -> Self {
        let key = || DecapsulationKey::generate(KemId::MlKem512, &mut rand::rng());
        let (encoder, decoder) = (key(), key());
        let request = pairing::PairRequest {
            pair_id: "raw".into(),
            encoder_public_key: encoder.encapsulation_key().into(),
            encoder_personalization: "c2s".into(),
            decoder_public_key: decoder.encapsulation_key().into(),
            decoder_personalization: "s2c".into(),
        };
        let requests = [request];
        let answer = relay.pair(&pairing::write_request(&requests));
        let answer = pairing::parse_response(&answer, &requests).unwrap().remove(0);
        let entropy = encoder.decapsulate(&answer.decoder_secret).unwrap();
        let root = schedule::root(&entropy, &RootInputs::new(&answer.decoder_nonce.to_string(), "c2s"));
        Self {
            pair_id: "raw".into(),
            encode_type: EncodeType::Mke,
            method: Method::POST,
            next: 0,
            cannot_count: false,
            root: root.unwrap(),
        }
    }

    /// Seals one message with the next number.
    pub(crate) fn message(&mut self, place: Place, plaintext: &[u8]) -> Vec<u8> {
        let numbers = Numbers::new(self.next, 1, self.root.clone());
        self.next += 1;
        let slot = numbers.slot(0, self.encode_type, place).unwrap();
        seal::message(slot, plaintext, &mut rand::rng()).unwrap()
    }

    /// Seals a request of these parts, in this order.
    pub(crate) fn request(&mut self, parts: &[Part<'_>]) -> WireRequest {
        let (mut path, mut headers, mut body) = ("/clear?q=1".to_owned(), HeaderMap::new(), Vec::new());
        let mut flags = [false; 3];
        for (index, part) in parts.iter().enumerate() {
            let following = match self.cannot_count {
                true => Place::UNKNOWN,
                false => (parts.len() - 1 - index) as u8,
            };
            let (text, raw) = (Place::text(index as u8, following), Place::raw(index as u8, following));
            match part {
                Part::Url(url) => {
                    flags[0] = true;
                    path = text::url_to_path(&self.message(text, url.as_bytes()));
                }
                Part::Headers(map) => {
                    flags[1] = true;
                    let message = self.message(text, map.as_bytes());
                    headers.insert("x-mte-relay-eh", text::encode(&message).parse().unwrap());
                }
                Part::Body(plaintext) => {
                    flags[2] = true;
                    body = self.message(raw, plaintext);
                }
            }
        }
        let [url_encoded, headers_encoded, body_encoded] = flags;
        let relay = RelayHeader {
            client_id: CLIENT_ID,
            pair_id: &self.pair_id,
            encode_type: self.encode_type,
            url_encoded,
            headers_encoded,
            body_encoded,
            streaming: None,
        };
        headers.insert("x-mte-relay", relay.to_string().parse().unwrap());
        WireRequest { method: self.method.clone(), authority: AUTHORITY.to_owned(), path, headers, body }
    }
}
