//! The stored form of a pair's state, for a store outside of this process. It holds the pair's secrets.
//!
//! Integers are big-endian. Version 1:
//!
//! ```text
//! u8  version              1
//! 16  generation
//! u64 created at           milliseconds since 1970
//! u16 KEM of c2s           docs/codec.md, section 2
//! u16 KEM of s2c
//! 72  window               of c2s: the end, then 512 bits
//! 36  oldest epoch         of c2s: u32 index, 32 bytes of secret
//! 36  newest epoch         of c2s
//! u64 next response
//! 36  epoch                of s2c
//! u8  authenticated        0, or 1 and then:
//! 32  relay key's id
//! ```

use mte_codec::{DecoderSecrets, DecoderState, EpochSecret, KemId, NUMBER_LIMIT, Window};
use zeroize::Zeroizing;

use super::{Generation, PairState, RelayKeyId};

const VERSION: u8 = 1;
/// Bytes of a state without a relay key.
const LEN: usize = 1 + 16 + 8 + 2 + 2 + Window::STORED_LEN + 3 * SECRET_LEN + 8 + 1;
const SECRET_LEN: usize = 4 + 32;
const KEY_ID_LEN: usize = 32;

/// Bytes that are no pair's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A version that this relay does not know.
    #[error("a pair's state of version {0}; this relay reads version {VERSION}")]
    Version(u8),
    /// More or fewer bytes than the version has.
    #[error("a pair's state of {0} bytes is cut, or has bytes left over")]
    Length(usize),
    /// A field has a value that no pair's state has.
    #[error("a pair's state with an impossible {0}")]
    Impossible(&'static str),
}

impl PairState {
    /// The stored form. It is wiped when it is dropped.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Never grows: freed memory would not be wiped.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LEN + KEY_ID_LEN));
        bytes.push(VERSION);
        bytes.extend(self.generation.0);
        bytes.extend(self.created_at.to_be_bytes());
        bytes.extend((self.decoder_kem as u16).to_be_bytes());
        bytes.extend((self.encoder_kem as u16).to_be_bytes());
        bytes.extend(self.decoder.window.to_bytes());
        write_secret(&mut bytes, self.decoder.secrets.oldest());
        write_secret(&mut bytes, self.decoder.secrets.newest());
        bytes.extend(self.next_response.to_be_bytes());
        write_secret(&mut bytes, &self.encoder);
        bytes.push(u8::from(self.relay_key.is_some()));
        if let Some(RelayKeyId(id)) = &self.relay_key {
            bytes.extend_from_slice(id);
        }
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`StateError`] for anything that [`to_bytes`](Self::to_bytes) does not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader { rest: bytes, len: bytes.len() };
        match reader.byte()? {
            VERSION => {}
            version => return Err(StateError::Version(version)),
        }
        let (generation, created_at) = (Generation(*reader.take()?), reader.u64()?);
        let (decoder_kem, encoder_kem) = (reader.kem()?, reader.kem()?);
        let decoder = reader.decoder()?;
        let next_response = reader.u64()?;
        if next_response > NUMBER_LIMIT {
            return Err(StateError::Impossible("response number"));
        }
        let encoder = reader.secret()?;
        if u64::from(encoder.index()) != EpochSecret::index_of(next_response) {
            return Err(StateError::Impossible("epoch of responses"));
        }
        let relay_key = reader.relay_key()?;
        if !reader.rest.is_empty() {
            return Err(StateError::Length(bytes.len()));
        }
        Ok(Self {
            generation,
            created_at,
            decoder,
            decoder_kem,
            encoder,
            encoder_kem,
            next_response,
            relay_key,
        })
    }
}

fn write_secret(bytes: &mut Vec<u8>, secret: &EpochSecret) {
    bytes.extend(secret.index().to_be_bytes());
    bytes.extend_from_slice(secret.as_bytes());
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Of all bytes, for errors.
    len: usize,
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], StateError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(StateError::Length(self.len))?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, StateError> {
        self.take().map(|[byte]| *byte)
    }

    fn u64(&mut self) -> Result<u64, StateError> {
        self.take().map(|bytes| u64::from_be_bytes(*bytes))
    }

    fn kem(&mut self) -> Result<KemId, StateError> {
        let id = u16::from_be_bytes(*self.take()?);
        KemId::ALL.into_iter().find(|kem| *kem as u16 == id).ok_or(StateError::Impossible("KEM"))
    }

    fn secret(&mut self) -> Result<EpochSecret, StateError> {
        let index = u32::from_be_bytes(*self.take()?);
        self.take().map(|secret| EpochSecret::from_bytes(index, secret))
    }

    fn decoder(&mut self) -> Result<DecoderState, StateError> {
        let window = Window::from_bytes(self.take()?).ok_or(StateError::Impossible("window"))?;
        let (oldest, newest) = (self.secret()?, self.secret()?);
        let secrets = DecoderSecrets::stored(oldest, newest, &window);
        let secrets = secrets.ok_or(StateError::Impossible("epoch of requests"))?;
        Ok(DecoderState { secrets, window })
    }

    fn relay_key(&mut self) -> Result<Option<RelayKeyId>, StateError> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.take().map(|id| Some(RelayKeyId(*id))),
            _ => Err(StateError::Impossible("mark of authentication")),
        }
    }
}
