//! MTE tokens (section 5): every byte becomes a two-byte token under a separate key.

use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit, StreamCipher},
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    OpenError, SealError,
    scrub::{TOKENS, scrubbed},
};

/// The token plaintext grows in steps of this many bytes, so that its length shows only roughly.
const STEP: usize = 64;
/// Bytes of the length in front of the plaintext.
const LEN: usize = 4;

/// Bytes of the token string for a plaintext of `len` bytes.
pub(crate) const fn tokens_len(len: usize) -> usize {
    (LEN + len).next_multiple_of(STEP) * 2
}

fn cipher(key: &[u8; 32]) -> ChaCha20 {
    ChaCha20::new(key.into(), &[0; 12].into())
}

/// The token string of `plaintext`. Takes one filler byte per token from `rng`.
pub(crate) fn encode(
    key: &[u8; 32],
    plaintext: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    scrubbed::<TOKENS, _>(|| encode_unscrubbed(key, plaintext, rng))
}

pub(crate) fn encode_unscrubbed(
    key: &[u8; 32],
    plaintext: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let len = u32::try_from(plaintext.len()).map_err(|_| SealError::TooLong)?;
    let total = tokens_len(plaintext.len());
    let mut fillers = vec![0; total / 2];
    rng.fill_bytes(&mut fillers);

    let mut tokens = Zeroizing::new(Vec::with_capacity(total));
    let length = len.to_be_bytes();
    let padded = length.iter().chain(plaintext).copied().chain(std::iter::repeat(0));
    for (byte, filler) in padded.zip(&fillers) {
        tokens.extend_from_slice(&[byte, *filler]);
    }
    cipher(key).apply_keystream(&mut tokens);
    Ok(tokens)
}

/// Decodes a token string in place: the plaintext is then at the start of `tokens`, and its length is
/// returned. Nothing is released unless length, zeros and total size are as section 5 says.
pub(crate) fn decode(key: &[u8; 32], tokens: &mut [u8]) -> Result<usize, OpenError> {
    scrubbed::<TOKENS, _>(|| decode_unscrubbed(key, tokens))
}

pub(crate) fn decode_unscrubbed(key: &[u8; 32], tokens: &mut [u8]) -> Result<usize, OpenError> {
    const LAYOUT: OpenError = OpenError::Malformed("tokens do not have the layout of MTE");
    if tokens.is_empty() || !tokens.len().is_multiple_of(2 * STEP) {
        return Err(LAYOUT);
    }
    cipher(key).apply_keystream(tokens);
    let bytes = tokens.len() / 2;
    for index in 0..bytes {
        tokens[index] = tokens[2 * index];
    }
    let (head, rest) = tokens[..bytes].split_at(LEN);
    let mut length = [0; LEN];
    length.copy_from_slice(head);
    let len = u32::from_be_bytes(length) as usize;
    // Compare lengths before computing with one that the peer chose.
    if len > rest.len() || tokens_len(len) != 2 * bytes || rest[len..].iter().any(|b| *b != 0) {
        return Err(LAYOUT);
    }
    tokens.copy_within(LEN..LEN + len, 0);
    Ok(len)
}
