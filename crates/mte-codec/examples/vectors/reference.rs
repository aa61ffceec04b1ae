//! A second implementation of the format, written only from the specification: it shares no code with the crate. HKDF is
//! implemented with HMAC, and ChaCha20 with additions and rotations; only HMAC-SHA-256, SHA-256 and AES-256-GCM come from a
//! library. It is slow, does not wipe memory, and can create messages that the crate refuses to create.

use std::convert::Infallible;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest, hmac,
};
use rand_core::{TryCryptoRng, TryRng};

pub(crate) type Bytes32 = [u8; 32];

/// A head's bit 31.
pub(crate) const FINAL: u32 = 0x8000_0000;

pub(crate) fn sha256(data: &[u8]) -> Bytes32 {
    digest::digest(&digest::SHA256, data).as_ref().try_into().unwrap()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Bytes32 {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().try_into().unwrap()
}

/// HKDF-Extract of RFC 5869.
pub(crate) fn hkdf_extract(salt: &[u8], ikm: &[u8]) -> Bytes32 {
    hmac(salt, &[ikm])
}

/// HKDF-Expand of RFC 5869.
pub(crate) fn hkdf_expand(prk: &[u8], info: &[u8], len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = Vec::new();
    for counter in 1.. {
        block = hmac(prk, &[&block, info, &[counter]]).to_vec();
        out.extend_from_slice(&block);
        if out.len() >= len {
            break;
        }
    }
    out.truncate(len);
    out
}

fn expand32(prk: &[u8], info: &[u8]) -> Bytes32 {
    hkdf_expand(prk, info, 32).try_into().unwrap()
}

/// One block of the ChaCha20 keystream of RFC 8439.
pub(crate) fn chacha20_block(key: &Bytes32, counter: u32, nonce: &[u8; 12]) -> [u8; 64] {
    fn quarter(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
        for (x, y, z, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            state[x] = state[x].wrapping_add(state[y]);
            state[z] = (state[z] ^ state[x]).rotate_left(turn);
        }
    }
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let mut start = [0; 16];
    let input = [b"expand 32-byte k", key.as_slice(), &counter.to_le_bytes(), nonce].concat();
    start.iter_mut().zip(input.chunks(4)).for_each(|(slot, bytes)| *slot = word(bytes));
    let mut state = start;
    for _ in 0..10 {
        for column in 0..4 {
            quarter(&mut state, column, column + 4, column + 8, column + 12);
        }
        for column in 0..4 {
            let diagonal = |row: usize| row * 4 + (column + row) % 4;
            quarter(&mut state, diagonal(0), diagonal(1), diagonal(2), diagonal(3));
        }
    }
    let mut out = [0; 64];
    for (index, bytes) in out.chunks_mut(4).enumerate() {
        bytes.copy_from_slice(&state[index].wrapping_add(start[index]).to_le_bytes());
    }
    out
}

/// XORs the ChaCha20 keystream, nonce zero, from block `counter` on.
pub(crate) fn chacha20_xor(key: &Bytes32, counter: u32, data: &mut [u8]) {
    for (block, counter) in data.chunks_mut(64).zip(counter..) {
        let keystream = chacha20_block(key, counter, &[0; 12]);
        block.iter_mut().zip(keystream).for_each(|(byte, key)| *byte ^= key);
    }
}

/// Section 2.
pub(crate) fn entropy(id: u16, shared: &[u8], encapsulation_key: &[u8], ciphertext: &[u8]) -> Bytes32 {
    let prk = hkdf_extract(b"mte-open/1 kem", shared);
    let info = [&id.to_be_bytes()[..], &sha256(encapsulation_key), &sha256(ciphertext)].concat();
    expand32(&prk, &info)
}

/// The root secret of section 3.
pub(crate) fn root(
    entropy: &[u8],
    auth: &[u8],
    nonce: &str,
    personalization: &str,
    context: &[u8],
) -> Bytes32 {
    let prk = hkdf_extract(nonce.as_bytes(), &[entropy, auth].concat());
    let mut info = b"mte-open/1 root".to_vec();
    for part in [personalization.as_bytes(), context] {
        info.extend((part.len() as u16).to_be_bytes());
        info.extend(part);
    }
    expand32(&prk, &info)
}

/// The secret of epoch `index` of section 3.
pub(crate) fn epoch(root: &Bytes32, index: u64) -> Bytes32 {
    (0..index).fold(*root, |secret, _| expand32(&secret, b"mte-open/1 epoch"))
}

/// The header of section 4.
pub(crate) fn header(kind: u8, place: u8, n: u64, salt: &[u8]) -> Vec<u8> {
    [&[kind, place][..], &n.to_be_bytes(), salt].concat()
}

/// The keys of section 4: K_n, and T_n for type MTE (all zeros otherwise).
pub(crate) struct Keys {
    aead: Bytes32,
    tokens: Bytes32,
}

impl Keys {
    /// The keys of the message with this header, from an epoch's secret.
    pub(crate) fn derive(epoch: &Bytes32, header: &[u8]) -> Self {
        let len = if header[0] == 2 { 64 } else { 32 };
        let mut keys = hkdf_expand(epoch, &[b"mte-open/1 message", header].concat(), len);
        keys.resize(64, 0);
        Self { aead: keys[..32].try_into().unwrap(), tokens: keys[32..].try_into().unwrap() }
    }

    /// A frame of section 4 with any head.
    pub(crate) fn frame(&self, index: u64, head: u32, data: &[u8]) -> Vec<u8> {
        let nonce = [&[0; 4][..], &index.to_be_bytes()].concat();
        self.frame_with(nonce.try_into().unwrap(), head, &head.to_be_bytes(), data)
    }

    /// A frame with any nonce and associated data.
    pub(crate) fn frame_with(&self, nonce: [u8; 12], head: u32, aad: &[u8], data: &[u8]) -> Vec<u8> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.aead).unwrap());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let mut sealed = data.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed).unwrap();
        [&head.to_be_bytes()[..], &sealed].concat()
    }

    /// Whether ciphertext and tag of a frame verify.
    #[allow(dead_code, reason = "the tests check the vectors with it")]
    pub(crate) fn verifies(&self, index: u64, head: u32, sealed: &[u8]) -> bool {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.aead).unwrap());
        let nonce = [&[0; 4][..], &index.to_be_bytes()].concat().try_into().unwrap();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.open_in_place(nonce, Aad::from(head.to_be_bytes()), &mut sealed.to_vec()).is_ok()
    }

    /// Frames of the given sizes, the last one FINAL.
    pub(crate) fn frames(&self, data: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut rest = data;
        let mut frames = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let (part, after) = rest.split_at(*size);
            let last = if index + 1 == sizes.len() { FINAL } else { 0 };
            frames.push(self.frame(index as u64, *size as u32 | last, part));
            rest = after;
        }
        assert!(rest.is_empty(), "the frame sizes add up");
        frames
    }

    /// The token string of section 5 for a padded plaintext, from keystream block `counter` on.
    pub(crate) fn tokens(&self, counter: u32, padded: &[u8], filler: &[u8]) -> Vec<u8> {
        assert_eq!(padded.len(), filler.len());
        let mut tokens: Vec<u8> =
            padded.iter().zip(filler).flat_map(|(byte, filler)| [*byte, *filler]).collect();
        chacha20_xor(&self.tokens, counter, &mut tokens);
        tokens
    }
}

/// Length, plaintext and zeros of section 5.
pub(crate) fn padded(plaintext: &[u8]) -> Vec<u8> {
    let mut padded = [&(plaintext.len() as u32).to_be_bytes()[..], plaintext].concat();
    while padded.len() % 64 != 0 {
        padded.push(0);
    }
    padded
}

/// A deterministic random number generator: ChaCha20 under a fixed key. It yields its
/// keystream byte after byte, whatever the sizes of the reads.
#[derive(Clone)]
pub(crate) struct FixedRng {
    key: Bytes32,
    counter: u32,
    block: Vec<u8>,
}

impl FixedRng {
    pub(crate) fn new(label: &str) -> Self {
        Self { key: sha256(label.as_bytes()), counter: 0, block: Vec::new() }
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        while self.block.len() < len {
            self.block.extend(chacha20_block(&self.key, self.counter, &[0; 12]));
            self.counter += 1;
        }
        self.block.drain(..len).collect()
    }
}

impl TryRng for FixedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.bytes(4).try_into().unwrap()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.bytes(8).try_into().unwrap()))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        dst.copy_from_slice(&self.bytes(dst.len()));
        Ok(())
    }
}

impl TryCryptoRng for FixedRng {}
