//! A pair as it stands in Redis: one string. The scripts read and write it (`lua/`), so the two must agree.
//!
//! Integers are big-endian. Version 1, with the offset of each field:
//!
//! ```text
//!   0 u8  version            1
//!   1 u8  flags              bit 0: the pairing was authenticated
//!   2 u16 KEM of c2s         docs/codec.md, section 2
//!   4 u16 KEM of s2c
//!   6 u32 sealing key's id
//!  10 8   relay key          the first bytes of its id, or zero
//!  18 16  generation
//!  34 16  era                the first digits of the primary's master_replid
//!  50 u64 created            milliseconds since 1970, by Redis' clock
//!  58 u64 last used          the same; 0: never
//!  66 72  window             of c2s: the end, then 512 bits
//! 138 u64 next response
//! 146 u32 c2s oldest epoch
//! 150 u32 c2s newest epoch
//! 154 u32 s2c epoch
//! 158 48  c2s oldest secret, sealed
//! 206 48  c2s newest secret, sealed
//! 254 48  s2c secret, sealed
//! ```

use std::time::Duration;

use mte_codec::{DecoderSecrets, EpochSecret, Window};
use mte_session::store::{Generation, NewPair};

use crate::{
    config,
    pairs::Age,
    state_key::{Direction, PairCipher, SEALED_LEN},
};

const VERSION: u8 = 1;
/// Bytes before the sealed secrets.
pub(super) const HEAD_LEN: usize = 158;
const LEN: usize = HEAD_LEN + 3 * SEALED_LEN;

/// What a record says in the clear.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) key_id: u32,
    pub(super) generation: Generation,
    pub(super) created: Duration,
    pub(super) last_used: Option<Duration>,
    pub(super) window: Window,
    pub(super) next_response: u64,
    pub(super) epochs: Epochs,
}

/// The epochs whose secrets a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Epochs {
    pub(super) oldest: u32,
    pub(super) newest: u32,
    pub(super) s2c: u32,
}

impl Epochs {
    /// No epoch: the caller has no secrets.
    pub(super) const NONE: Self = Self { oldest: u32::MAX, newest: u32::MAX, s2c: u32::MAX };

    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        for (bytes, epoch) in bytes.chunks_exact_mut(4).zip([self.oldest, self.newest, self.s2c]) {
            bytes.copy_from_slice(&epoch.to_be_bytes());
        }
        bytes
    }
}

impl Head {
    /// Reads it; `None` for what no script of this version writes.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        if *bytes.first()? != VERSION || bytes.len() < HEAD_LEN {
            return None;
        }
        let u32_at = |at: usize| bytes[at..].first_chunk().map(|b| u32::from_be_bytes(*b));
        let u64_at = |at: usize| bytes[at..].first_chunk().map(|b| u64::from_be_bytes(*b));
        let used = u64_at(58)?;
        Some(Self {
            key_id: u32_at(6)?,
            generation: Generation(*bytes[18..].first_chunk()?),
            created: Duration::from_millis(u64_at(50)?),
            last_used: (used > 0).then_some(Duration::from_millis(used)),
            window: Window::from_bytes(bytes[66..].first_chunk()?)?,
            next_response: u64_at(138)?,
            epochs: Epochs { oldest: u32_at(146)?, newest: u32_at(150)?, s2c: u32_at(154)? },
        })
    }

    pub(super) fn age(&self, limits: &config::Pairs, now: Duration) -> Age {
        Age::of(self.created, self.last_used, limits, now)
    }

    /// Whether it is a later state than `other` of the same pair, or of another pair.
    pub(super) fn is_after(&self, other: &Self) -> bool {
        let state = |head: &Self| (head.next_response, head.window.end(), head.last_used);
        self.generation != other.generation || state(self) > state(other)
    }
}

/// A pair's secrets, opened.
#[derive(Debug, Clone)]
pub(super) struct Secrets {
    pub(super) oldest: EpochSecret,
    pub(super) newest: EpochSecret,
    pub(super) s2c: EpochSecret,
}

impl Secrets {
    /// Opens those of a whole record; `None` if they do not open.
    pub(super) fn open(record: &[u8], epochs: Epochs, cipher: &PairCipher) -> Option<Self> {
        if record.len() != LEN {
            return None;
        }
        let open = |direction, epoch, index: usize| {
            let at = HEAD_LEN + index * SEALED_LEN;
            cipher.open(direction, epoch, &record[at..at + SEALED_LEN]).ok()
        };
        Some(Self {
            oldest: open(Direction::ClientToServer, epochs.oldest, 0)?,
            newest: open(Direction::ClientToServer, epochs.newest, 1)?,
            s2c: open(Direction::ServerToClient, epochs.s2c, 2)?,
        })
    }

    /// What requests are opened with under this window; `None` if these are secrets of another pair's window.
    pub(super) fn decoder(&self, window: &Window) -> Option<DecoderSecrets> {
        DecoderSecrets::caught_up(&self.oldest, &self.newest, window.end())
    }

    pub(super) fn epochs(&self) -> Epochs {
        Epochs { oldest: self.oldest.index(), newest: self.newest.index(), s2c: self.s2c.index() }
    }
}

/// The record of a new pair; era and time of creation are the script's to fill in.
pub(super) fn of_new(
    pair: &NewPair,
    generation: Generation,
    key_id: u32,
    cipher: &PairCipher,
) -> Option<Vec<u8>> {
    let mut record = Vec::with_capacity(LEN);
    record.extend([VERSION, u8::from(pair.relay_key.is_some())]);
    record.extend((pair.decoder_kem as u16).to_be_bytes());
    record.extend((pair.encoder_kem as u16).to_be_bytes());
    record.extend(key_id.to_be_bytes());
    let relay_key = pair.relay_key.map(|key| key.0).unwrap_or_default();
    record.extend(&relay_key[..8]);
    record.extend(generation.0);
    record.extend([0; 16 + 8 + 8]);
    record.extend(Window::new().to_bytes());
    record.extend(0_u64.to_be_bytes());
    for secret in [&pair.decoder, &pair.decoder, &pair.encoder] {
        record.extend(secret.index().to_be_bytes());
    }
    let decoder = cipher.seal(Direction::ClientToServer, &pair.decoder).ok()?;
    record.extend(decoder);
    record.extend(decoder);
    record.extend(cipher.seal(Direction::ServerToClient, &pair.encoder).ok()?);
    Some(record)
}
