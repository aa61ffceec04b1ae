//! Root secret, epochs and message keys (sections 3 and 4).
//!
//! Every secret is written where it stays (`secret`), and the stack that a derivation used is wiped after it
//! (`scrub`): no wiped secret remains in memory.

use aws_lc_rs::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    error::Unspecified,
    hkdf::{self, HKDF_SHA256},
};
use zeroize::Zeroizing;

use crate::{
    EPOCH_MESSAGES, EncodeType, Entropy, HEADER_LEN, ScheduleError,
    scrub::{DERIVATION, scrubbed},
    secret::Secret,
};

/// Output length of an HKDF expansion.
#[derive(Clone, Copy)]
pub(crate) struct KeyLen(pub(crate) usize);

impl hkdf::KeyType for KeyLen {
    fn len(&self) -> usize {
        self.0
    }
}

/// The inputs of a direction's root secret in addition to the entropy (section 3).
#[derive(Debug, Clone, Copy)]
pub struct RootInputs<'a> {
    /// Secret of an authenticated pairing; empty in this version of the relay protocol.
    pub auth: &'a [u8],
    /// The canonical decimal string of the direction's nonce.
    pub nonce: &'a str,
    /// The direction's personalization string.
    pub personalization: &'a str,
    /// Transcript of an authenticated pairing; empty in this version of the relay protocol.
    pub context: &'a [u8],
}

impl<'a> RootInputs<'a> {
    /// The inputs of a pairing without authentication.
    pub fn new(nonce: &'a str, personalization: &'a str) -> Self {
        Self { auth: &[], nonce, personalization, context: &[] }
    }
}

/// Derives the root secret of a direction, which is the secret of its epoch 0.
///
/// # Errors
/// [`ScheduleError::TooLong`] for a personalization or context above 65,535 bytes.
pub fn root(entropy: &Entropy, inputs: &RootInputs<'_>) -> Result<EpochSecret, ScheduleError> {
    scrubbed::<DERIVATION, _>(|| root_unscrubbed(entropy, inputs))
}

pub(crate) fn root_unscrubbed(
    entropy: &Entropy,
    inputs: &RootInputs<'_>,
) -> Result<EpochSecret, ScheduleError> {
    let personalization = inputs.personalization.as_bytes();
    let len = |bytes: &[u8], what| {
        u16::try_from(bytes.len()).map(u16::to_be_bytes).map_err(|_| ScheduleError::TooLong(what))
    };
    let personalization_len = len(personalization, "personalization")?;
    let context_len = len(inputs.context, "context")?;

    let ikm = Zeroizing::new([entropy.as_bytes().as_slice(), inputs.auth].concat());
    let prk = hkdf::Salt::new(HKDF_SHA256, inputs.nonce.as_bytes()).extract(&ikm);
    let info: [&[u8]; 5] =
        [b"mte-open/1 root", &personalization_len, personalization, &context_len, inputs.context];
    let secret = Secret::filled(|out| prk.expand(&info, KeyLen(32))?.fill(out))
        .map_err(|_: Unspecified| ScheduleError::Derivation)?;
    Ok(EpochSecret { index: 0, secret })
}

/// The most epochs that a secret is ratcheted forward at once: a step costs about a microsecond, and what says how many there
/// are may come from outside. A decoder needs 144 at most, for the oldest epoch of a window that moved as far as it can.
pub const MAX_EPOCH_STEPS: u32 = 4_096;

/// The secret of one epoch: it gives the keys of 32 consecutive messages and the next epoch's secret, and
/// nothing that came before.
#[derive(Debug, Clone)]
pub struct EpochSecret {
    index: u32,
    secret: Secret,
}

impl EpochSecret {
    /// A secret from stored bytes.
    pub fn from_bytes(index: u32, secret: &[u8; 32]) -> Self {
        Self { index, secret: Secret::copied(secret) }
    }

    /// The bytes, for a store or a vector file. They are as secret as the messages they open.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.secret.bytes()
    }

    /// Which epoch this is.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The epoch that message `number` belongs to.
    pub fn index_of(number: u64) -> u64 {
        number / EPOCH_MESSAGES
    }

    /// This secret, ratcheted forward to epoch `index`; `None` if that epoch lies behind, or more than
    /// [`MAX_EPOCH_STEPS`] ahead.
    pub fn at(&self, index: u64) -> Option<Self> {
        if index == u64::from(self.index) {
            return Some(self.clone());
        }
        scrubbed::<DERIVATION, _>(|| self.at_unscrubbed(index))
    }

    pub(crate) fn at_unscrubbed(&self, index: u64) -> Option<Self> {
        let index = u32::try_from(index).ok()?;
        let steps = index.checked_sub(self.index).filter(|steps| *steps <= MAX_EPOCH_STEPS)?;
        let secret = Secret::filled(|bytes| {
            bytes.copy_from_slice(self.secret.bytes());
            // `prk` has a copy of its own, so each epoch is written over the one before.
            (0..steps).try_for_each(|_| prk(bytes).expand(&[b"mte-open/1 epoch"], KeyLen(32))?.fill(bytes))
        })
        .expect("HKDF-SHA256 yields 32 bytes for any input");
        Some(Self { index, secret })
    }

    /// The key of the message with this header (section 4).
    pub(crate) fn message_key(
        &self,
        encode_type: EncodeType,
        header: &[u8; HEADER_LEN],
    ) -> Result<MessageKey, Unspecified> {
        scrubbed::<DERIVATION, _>(|| self.message_key_unscrubbed(encode_type, header))
    }

    pub(crate) fn message_key_unscrubbed(
        &self,
        encode_type: EncodeType,
        header: &[u8; HEADER_LEN],
    ) -> Result<MessageKey, Unspecified> {
        let len = match encode_type {
            EncodeType::Mke => 32,
            EncodeType::Mte => 64,
        };
        let info: [&[u8]; 2] = [b"mte-open/1 message", header];
        let bytes =
            Secret::filled(|out| prk(self.secret.bytes()).expand(&info, KeyLen(len))?.fill(&mut out[..len]))?;
        Ok(MessageKey { bytes, encode_type })
    }
}

fn prk(secret: &[u8; 32]) -> hkdf::Prk {
    hkdf::Prk::new_less_safe(HKDF_SHA256, secret)
}

/// K_n of one message, and for type MTE its T_n.
#[derive(Debug)]
pub(crate) struct MessageKey {
    bytes: Secret<64>,
    encode_type: EncodeType,
}

impl MessageKey {
    /// The AEAD under K_n; `aws-lc-rs` keeps it on the heap and wipes it there.
    pub(crate) fn aead(&self) -> Result<LessSafeKey, Unspecified> {
        let (key, _) = self.bytes.bytes().split_at(32);
        Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?))
    }

    /// T_n, of type MTE only.
    pub(crate) fn tokens(&self) -> Option<&[u8; 32]> {
        match self.encode_type {
            EncodeType::Mke => None,
            EncodeType::Mte => self.bytes.bytes().last_chunk(),
        }
    }

    pub(crate) fn encode_type(&self) -> EncodeType {
        self.encode_type
    }
}
