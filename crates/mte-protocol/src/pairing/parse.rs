//! Reading pairing bodies (docs/protocol.md, section 2), on the server's and on the client's side.

use std::collections::HashMap;

use super::error::{Field, PairingError, Problem};
use super::rows::{self, Row};
use super::{KEMS, Nonce, PairRequest, PairResponse};
use crate::{text, valid_opaque};

const REQUEST: [Field; 5] = [
    Field::PairId,
    Field::EncoderPublicKey,
    Field::EncoderPersonalization,
    Field::DecoderPublicKey,
    Field::DecoderPersonalization,
];

const RESPONSE: [Field; 5] =
    [Field::PairId, Field::EncoderNonce, Field::EncoderSecret, Field::DecoderNonce, Field::DecoderSecret];

/// Reads a pairing request of 1 to `max` pairs (docs/protocol.md, section 2).
///
/// Pair ids and personalization strings obey section 1, keys are strict base64 of a size that belongs to a
/// KEM, no pair id occurs twice. Unknown fields are ignored, since older clients send more.
///
/// # Errors
/// [`PairingError`], for a 400 that names the pair and the field.
pub fn parse_request(body: &[u8], max: usize) -> Result<Vec<PairRequest>, PairingError> {
    let rows = rows::read(body, &REQUEST, max)?;
    let mut seen = HashMap::with_capacity(rows.len());
    let mut pairs = Vec::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        let pair = request(index, row)?;
        if let Some(first) = seen.insert(pair.pair_id.clone(), index) {
            return Err(PairingError::field(index, Field::PairId, Problem::Duplicate { first }));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

fn request(index: usize, row: Row<'_, 5>) -> Result<PairRequest, PairingError> {
    let [pair_id, encoder_key, encoder_personalization, decoder_key, decoder_personalization] = row;
    let opaque = |field, value: std::borrow::Cow<'_, str>| {
        if valid_opaque(&value) {
            Ok(value.into_owned())
        } else {
            Err(PairingError::field(index, field, Problem::NotOpaque))
        }
    };
    let key = |field, value: &str| {
        let key = bytes(index, field, value)?;
        match ciphertext_len(&key) {
            Some(_) => Ok(key),
            None => Err(PairingError::field(index, field, Problem::Size { got: key.len(), expected: None })),
        }
    };
    Ok(PairRequest {
        pair_id: opaque(Field::PairId, pair_id)?,
        encoder_public_key: key(Field::EncoderPublicKey, &encoder_key)?,
        encoder_personalization: opaque(Field::EncoderPersonalization, encoder_personalization)?,
        decoder_public_key: key(Field::DecoderPublicKey, &decoder_key)?,
        decoder_personalization: opaque(Field::DecoderPersonalization, decoder_personalization)?,
    })
}

/// Reads the response to `requests` (docs/protocol.md, section 2): the same pairs in the same order, each
/// secret a ciphertext of the size that belongs to its direction's key.
///
/// # Errors
/// [`PairingError`]; the server does not speak this protocol, or answered something else.
pub fn parse_response(body: &[u8], requests: &[PairRequest]) -> Result<Vec<PairResponse>, PairingError> {
    let rows = rows::read(body, &RESPONSE, requests.len())?;
    if rows.len() != requests.len() {
        return Err(PairingError::body(Problem::NotAsked));
    }
    rows.into_iter()
        .zip(requests)
        .enumerate()
        .map(|(index, (row, request))| response(index, row, request))
        .collect()
}

fn response(index: usize, row: Row<'_, 5>, request: &PairRequest) -> Result<PairResponse, PairingError> {
    let [pair_id, encoder_nonce, encoder_secret, decoder_nonce, decoder_secret] = row;
    if pair_id != request.pair_id {
        return Err(PairingError::field(index, Field::PairId, Problem::NotAsked));
    }
    let nonce = |field, value: &str| {
        value.parse::<Nonce>().map_err(|_| PairingError::field(index, field, Problem::NotANonce))
    };
    let secret = |field, value: &str, key: &[u8]| {
        let secret = bytes(index, field, value)?;
        let expected = ciphertext_len(key);
        if expected == Some(secret.len()) {
            Ok(secret)
        } else {
            Err(PairingError::field(index, field, Problem::Size { got: secret.len(), expected }))
        }
    };
    Ok(PairResponse {
        encoder_nonce: nonce(Field::EncoderNonce, &encoder_nonce)?,
        encoder_secret: secret(Field::EncoderSecret, &encoder_secret, &request.decoder_public_key)?,
        decoder_nonce: nonce(Field::DecoderNonce, &decoder_nonce)?,
        decoder_secret: secret(Field::DecoderSecret, &decoder_secret, &request.encoder_public_key)?,
        pair_id: pair_id.into_owned(),
    })
}

fn bytes(index: usize, field: Field, value: &str) -> Result<Vec<u8>, PairingError> {
    text::decode(value.as_bytes()).map_err(|_| PairingError::field(index, field, Problem::NotBase64))
}

fn ciphertext_len(key: &[u8]) -> Option<usize> {
    KEMS.iter().find(|(_, len, _)| *len == key.len()).map(|(_, _, ciphertext)| *ciphertext)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
