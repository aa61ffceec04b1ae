//! The pairing exchange of `POST /api/mte-pair` (docs/protocol.md, section 2, "Pairing").
//!
//! Requests are named from the client's side, responses from the server's: the client's *encoder* key belongs
//! to the same direction (c2s) as the server's *decoder* nonce and secret. Parsing checks all that can be
//! checked without cryptography; whether a key passes FIPS 203's modulus check is the codec's to say.

mod error;
mod nonce;
mod parse;
mod rows;

use serde::{Serialize, Serializer};

pub use error::{Field, PairingError, Problem};
pub use nonce::{InvalidNonce, Nonce};
pub use parse::{parse_request, parse_response};

/// The KEMs, identified by their sizes: name, bytes of an encapsulation key, bytes of a ciphertext
/// (docs/codec.md, section 2).
pub const KEMS: [(&str, usize, usize); 4] = [
    ("ML-KEM-512", 800, 768),
    ("ML-KEM-768", 1184, 1088),
    ("ML-KEM-1024", 1568, 1568),
    ("X-Wing", 1216, 1120),
];

/// What a client sends for one pair. Keys are KEM encapsulation keys; the two may be of different algorithms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PairRequest {
    /// The client's name for the pair: see [`valid_opaque`](crate::valid_opaque).
    #[serde(rename = "pairId")]
    pub pair_id: String,
    /// c2s: the server encapsulates to it and answers with `decoder_secret`.
    #[serde(rename = "encoderPublicKey", serialize_with = "base64")]
    pub encoder_public_key: Vec<u8>,
    /// c2s: an input of the direction's root.
    #[serde(rename = "encoderPersonalizationStr")]
    pub encoder_personalization: String,
    /// s2c: the server encapsulates to it and answers with `encoder_secret`.
    #[serde(rename = "decoderPublicKey", serialize_with = "base64")]
    pub decoder_public_key: Vec<u8>,
    /// s2c: an input of the direction's root.
    #[serde(rename = "decoderPersonalizationStr")]
    pub decoder_personalization: String,
}

/// What a server answers for one pair. Secrets are KEM ciphertexts: public, in spite of their name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PairResponse {
    /// The name that the client gave.
    #[serde(rename = "pairId")]
    pub pair_id: String,
    /// s2c: an input of the direction's root.
    #[serde(rename = "encoderNonce")]
    pub encoder_nonce: Nonce,
    /// s2c: encapsulated to the client's `decoder_public_key`.
    #[serde(rename = "encoderSecret", serialize_with = "base64")]
    pub encoder_secret: Vec<u8>,
    /// c2s: an input of the direction's root.
    #[serde(rename = "decoderNonce")]
    pub decoder_nonce: Nonce,
    /// c2s: encapsulated to the client's `encoder_public_key`.
    #[serde(rename = "decoderSecret", serialize_with = "base64")]
    pub decoder_secret: Vec<u8>,
}

/// The JSON body of a pairing request.
pub fn write_request(pairs: &[PairRequest]) -> Vec<u8> {
    write(pairs)
}

/// The JSON body of a pairing response; the pairs in the order of the request.
pub fn write_response(pairs: &[PairResponse]) -> Vec<u8> {
    write(pairs)
}

fn write<T: Serialize>(pairs: &[T]) -> Vec<u8> {
    // Structs of strings always serialise.
    serde_json::to_vec(pairs).unwrap_or_default()
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::text::encode(bytes))
}
