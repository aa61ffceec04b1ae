//! The relay's side of a pairing: one KEM exchange per direction of every pair (docs/protocol.md, section 2;
//! docs/codec.md, sections 2 and 3).
//!
//! ```text
//! PairingRequest -> MadePairs: the pairs for the store, and the PairingAnswer for the client
//! ```
//!
//! The answer must not leave before the pairs are stored. The client's side is [`client::Offer`](crate::client::Offer).

use mte_codec::{
    EpochSecret, KemError, KemId, kem,
    schedule::{RootInputs, root},
};
use mte_protocol::{
    PairRequest, PairResponse, PairingError,
    pairing::{Field, Nonce, Problem, parse_request, write_response},
};
use rand::CryptoRng;

use crate::store::NewPair;

/// The requested pairs, parsed and checked as far as possible without cryptography.
#[derive(Debug)]
pub struct PairingRequest(Vec<PairRequest>);

impl PairingRequest {
    /// Reads the body of `POST /api/mte-pair`, which asks for `max` pairs at most.
    ///
    /// # Errors
    /// [`PairingError`]; answered with 400 and its JSON.
    pub fn parse(body: &[u8], max: usize) -> Result<Self, PairingError> {
        parse_request(body, max).map(Self)
    }

    /// How many pairs it asks for: at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes the pairs: two encapsulations for each, to keys of an algorithm that satisfies `least`.
    ///
    /// # Errors
    /// [`PairingError`] for the first key that is weak or invalid; then no pair is made.
    pub fn make(self, least: KemId, rng: &mut impl CryptoRng) -> Result<MadePairs, PairingError> {
        let mut made = MadePairs {
            pairs: Vec::with_capacity(self.0.len()),
            answer: PairingAnswer(Vec::with_capacity(self.0.len())),
        };
        for (index, request) in self.0.into_iter().enumerate() {
            let (answer, pair) = make(index, request, least, rng)?;
            made.answer.0.push(answer);
            made.pairs.push(pair);
        }
        Ok(made)
    }
}

/// The result of a pairing: one part for the store, one for the client.
#[derive(Debug)]
pub struct MadePairs {
    /// To be stored, all or none.
    pub pairs: Vec<NewPair>,
    /// To be sent once they are stored.
    pub answer: PairingAnswer,
}

/// What sends the client the relay's half of its pairs' secrets.
#[derive(Debug)]
pub struct PairingAnswer(Vec<PairResponse>);

impl PairingAnswer {
    /// The JSON to answer.
    pub fn to_json(&self) -> Vec<u8> {
        write_response(&self.0)
    }
}

fn make(
    index: usize,
    request: PairRequest,
    least: KemId,
    rng: &mut impl CryptoRng,
) -> Result<(PairResponse, NewPair), PairingError> {
    // The client names things from its side: what it encodes, the relay decodes.
    let c2s = Direction::make(&request.encoder_public_key, &request.encoder_personalization, least, rng);
    let c2s = c2s.map_err(|problem| PairingError::field(index, Field::EncoderPublicKey, problem))?;
    let s2c = Direction::make(&request.decoder_public_key, &request.decoder_personalization, least, rng);
    let s2c = s2c.map_err(|problem| PairingError::field(index, Field::DecoderPublicKey, problem))?;
    let pair = NewPair {
        pair_id: request.pair_id.clone(),
        decoder: c2s.root,
        decoder_kem: c2s.kem,
        encoder: s2c.root,
        encoder_kem: s2c.kem,
        relay_key: None,
    };
    let answer = PairResponse {
        pair_id: request.pair_id,
        encoder_nonce: s2c.nonce,
        encoder_secret: s2c.ciphertext,
        decoder_nonce: c2s.nonce,
        decoder_secret: c2s.ciphertext,
    };
    Ok((answer, pair))
}

/// One direction of a pair about to be made.
struct Direction {
    kem: KemId,
    root: EpochSecret,
    nonce: Nonce,
    ciphertext: Vec<u8>,
}

impl Direction {
    fn make(
        key: &[u8],
        personalization: &str,
        least: KemId,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Problem> {
        let kem = KemId::from_key_len(key.len()).map_err(|_| Problem::InvalidKey)?;
        if !kem.satisfies(least) {
            return Err(Problem::WeakKey { minimum: least.name() });
        }
        let (ciphertext, entropy) = kem::encapsulate(key, rng).map_err(|error| match error {
            KemError::KeySize(_) | KemError::InvalidKey(_) | KemError::CiphertextSize { .. } => {
                Problem::InvalidKey
            }
        })?;
        let nonce = Nonce::from_random(rng.next_u64());
        let root = root(&entropy, &RootInputs::new(&nonce.to_string(), personalization));
        let root = root.map_err(|_| Problem::NotOpaque)?;
        Ok(Self { kem, root, nonce, ciphertext })
    }
}
