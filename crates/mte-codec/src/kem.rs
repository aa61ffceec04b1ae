//! Key encapsulation and the entropy both sides take from it (section 2).
//!
//! The size of the encapsulation key identifies the algorithm. All calls to a KEM library are in this file,
//! so that the library can be replaced. Each call wipes the stack it used: the libraries return secrets by value.
//!
//! A relay encapsulates twice for each pair, so it does that with `aws-lc-rs` where that has the algorithm. Keys,
//! decapsulation, X-Wing and test vectors are the `ml-kem` and `x-wing` crates'; tests hold the two against each other.

use aws_lc_rs::{
    digest,
    error::Unspecified,
    hkdf,
    kem::{EncapsulationKey, ML_KEM_512, ML_KEM_768, ML_KEM_1024},
};
use kem::{Decapsulate, Encapsulate, Generate, Kem, KeyExport, TryKeyInit};
use ml_kem::{MlKem512, MlKem768, MlKem1024, kem};
use rand_core::CryptoRng;
use x_wing::XWingKem;
use zeroize::Zeroize;

use crate::{
    KemError,
    schedule::KeyLen,
    scrub::{DERIVATION, ENCAPSULATION, scrubbed},
    secret::Secret,
};

/// The key encapsulation algorithms of section 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum KemId {
    /// ML-KEM-512 (FIPS 203).
    MlKem512 = 1,
    /// ML-KEM-768 (FIPS 203), the default of our own clients.
    MlKem768 = 2,
    /// ML-KEM-1024 (FIPS 203).
    MlKem1024 = 3,
    /// X-Wing: X25519 and ML-KEM-768 (draft-connolly-cfrg-xwing-kem-06).
    XWing = 4,
}

impl KemId {
    /// Every algorithm, in the order of their ids.
    pub const ALL: [Self; 4] = [Self::MlKem512, Self::MlKem768, Self::MlKem1024, Self::XWing];

    /// The algorithm whose encapsulation keys have `len` bytes.
    pub fn from_key_len(len: usize) -> Result<Self, KemError> {
        Self::ALL.into_iter().find(|id| id.key_len() == len).ok_or(KemError::KeySize(len))
    }

    /// Bytes of an encapsulation key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::MlKem512 => 800,
            Self::MlKem768 => 1184,
            Self::MlKem1024 => 1568,
            Self::XWing => 1216,
        }
    }

    /// Bytes of a ciphertext.
    pub const fn ciphertext_len(self) -> usize {
        match self {
            Self::MlKem512 => 768,
            Self::MlKem768 => 1088,
            Self::MlKem1024 => 1568,
            Self::XWing => 1120,
        }
    }

    /// The name used in configuration and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MlKem512 => "ml-kem-512",
            Self::MlKem768 => "ml-kem-768",
            Self::MlKem1024 => "ml-kem-1024",
            Self::XWing => "x-wing",
        }
    }

    /// Whether this algorithm satisfies the minimum `least`. ML-KEM is ordered by its parameter set. X-Wing is
    /// ML-KEM-768 combined with X25519: more than ML-KEM-768, less than ML-KEM-1024 against a quantum computer, and the
    /// only one that satisfies a configuration that requires both kinds.
    pub const fn satisfies(self, least: Self) -> bool {
        match least {
            Self::MlKem512 => true,
            Self::MlKem768 => !matches!(self, Self::MlKem512),
            Self::MlKem1024 => matches!(self, Self::MlKem1024),
            Self::XWing => matches!(self, Self::XWing),
        }
    }
}

impl std::fmt::Display for KemId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no algorithm has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown KEM {0:?}: expected ml-kem-512, ml-kem-768, ml-kem-1024 or x-wing")]
pub struct UnknownKem(String);

impl std::str::FromStr for KemId {
    type Err = UnknownKem;

    fn from_str(text: &str) -> Result<Self, UnknownKem> {
        Self::ALL.into_iter().find(|id| id.name() == text).ok_or_else(|| UnknownKem(text.to_owned()))
    }
}

/// The 32 secret bytes a key exchange yields, bound to its key and ciphertext.
#[derive(Debug, Clone)]
pub struct Entropy(Secret);

impl Entropy {
    /// Entropy known from elsewhere: a test vector, or a state carried over.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Secret::copied(bytes))
    }

    /// Derives the entropy of section 2 from what the KEM gave.
    pub fn derive(id: KemId, shared_secret: &[u8; 32], key: &[u8], ciphertext: &[u8]) -> Self {
        scrubbed::<DERIVATION, _>(|| Self::derive_unscrubbed(id, shared_secret, key, ciphertext))
    }

    fn derive_unscrubbed(id: KemId, shared_secret: &[u8], key: &[u8], ciphertext: &[u8]) -> Self {
        let key_digest = digest::digest(&digest::SHA256, key);
        let ciphertext_digest = digest::digest(&digest::SHA256, ciphertext);
        let id = (id as u16).to_be_bytes();
        let info: [&[u8]; 3] = [&id, key_digest.as_ref(), ciphertext_digest.as_ref()];
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"mte-open/1 kem").extract(shared_secret);
        let secret: Result<_, Unspecified> = Secret::filled(|out| prk.expand(&info, KeyLen(32))?.fill(out));
        Self(secret.expect("HKDF-SHA256 yields 32 bytes for any input"))
    }

    /// The bytes, for a vector file or a caller that keeps them itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }
}

/// Encapsulates to `key`, whose size names the algorithm: the ciphertext to send back, and the entropy.
///
/// ML-KEM takes its randomness from the operating system, by way of `aws-lc-rs`, which is several times as fast as
/// [`encapsulate_with_rng`]; X-Wing takes it from `rng`.
///
/// # Errors
/// [`KemError::KeySize`] for a size no algorithm has, [`KemError::InvalidKey`] for a key that fails
/// FIPS 203's modulus check.
pub fn encapsulate(key: &[u8], rng: &mut (impl CryptoRng + ?Sized)) -> Result<(Vec<u8>, Entropy), KemError> {
    let id = KemId::from_key_len(key.len())?;
    scrubbed::<ENCAPSULATION, _>(|| encapsulate_unscrubbed(id, key, rng))
}

pub(crate) fn encapsulate_unscrubbed(
    id: KemId,
    key: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(Vec<u8>, Entropy), KemError> {
    let algorithm = match id {
        KemId::MlKem512 => &ML_KEM_512,
        KemId::MlKem768 => &ML_KEM_768,
        KemId::MlKem1024 => &ML_KEM_1024,
        KemId::XWing => return encapsulate_with_rng_unscrubbed(id, key, rng),
    };
    // The library checks the modulus when the key is used.
    let parsed = EncapsulationKey::new(algorithm, key).map_err(|_| KemError::InvalidKey(id))?;
    let (ciphertext, shared) = parsed.encapsulate().map_err(|_| KemError::InvalidKey(id))?;
    let entropy = Entropy::derive_unscrubbed(id, shared.as_ref(), key, ciphertext.as_ref());
    Ok((ciphertext.as_ref().to_vec(), entropy))
}

/// As [`encapsulate`], with all randomness from `rng`: for test vectors, which say what the result must be.
///
/// # Errors
/// Those of [`encapsulate`].
pub fn encapsulate_with_rng(
    key: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(Vec<u8>, Entropy), KemError> {
    let id = KemId::from_key_len(key.len())?;
    scrubbed::<ENCAPSULATION, _>(|| encapsulate_with_rng_unscrubbed(id, key, rng))
}

pub(crate) fn encapsulate_with_rng_unscrubbed(
    id: KemId,
    key: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(Vec<u8>, Entropy), KemError> {
    fn run<K: Kem>(
        id: KemId,
        key: &[u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Vec<u8>, Entropy), KemError> {
        let parsed = K::EncapsulationKey::new_from_slice(key).map_err(|_| KemError::InvalidKey(id))?;
        let (ciphertext, mut shared) = parsed.encapsulate_with_rng(rng);
        let shared = take(&mut shared);
        let entropy = Entropy::derive_unscrubbed(id, shared.bytes(), key, &ciphertext);
        Ok((ciphertext.to_vec(), entropy))
    }
    match id {
        KemId::MlKem512 => run::<MlKem512>(id, key, rng),
        KemId::MlKem768 => run::<MlKem768>(id, key, rng),
        KemId::MlKem1024 => run::<MlKem1024>(id, key, rng),
        KemId::XWing => run::<XWingKem>(id, key, rng),
    }
}

/// Takes a shared secret out of the library's array, which does not wipe itself.
fn take(shared: &mut [u8]) -> Secret {
    let taken = Secret::written(|taken| taken.copy_from_slice(shared));
    shared.zeroize();
    taken
}

/// The secret half of a key exchange: made by the side that asks, used once.
pub struct DecapsulationKey {
    id: KemId,
    encapsulation_key: Vec<u8>,
    key: Inner,
}

enum Inner {
    MlKem512(Box<kem::DecapsulationKey<MlKem512>>),
    MlKem768(Box<kem::DecapsulationKey<MlKem768>>),
    MlKem1024(Box<kem::DecapsulationKey<MlKem1024>>),
    XWing(Box<kem::DecapsulationKey<XWingKem>>),
}

impl DecapsulationKey {
    /// Makes a fresh key of the given algorithm.
    pub fn generate(id: KemId, rng: &mut impl CryptoRng) -> Self {
        scrubbed::<ENCAPSULATION, _>(|| Self::generate_unscrubbed(id, rng))
    }

    pub(crate) fn generate_unscrubbed(id: KemId, rng: &mut impl CryptoRng) -> Self {
        fn run<K: Kem>(rng: &mut impl CryptoRng) -> (Box<K::DecapsulationKey>, Vec<u8>)
        where
            K::DecapsulationKey: Generate,
        {
            let (secret, public) = K::generate_keypair_from_rng(rng);
            (Box::new(secret), public.to_bytes().to_vec())
        }
        let (key, encapsulation_key) = match id {
            KemId::MlKem512 => {
                let (secret, public) = run::<MlKem512>(rng);
                (Inner::MlKem512(secret), public)
            }
            KemId::MlKem768 => {
                let (secret, public) = run::<MlKem768>(rng);
                (Inner::MlKem768(secret), public)
            }
            KemId::MlKem1024 => {
                let (secret, public) = run::<MlKem1024>(rng);
                (Inner::MlKem1024(secret), public)
            }
            KemId::XWing => {
                let (secret, public) = run::<XWingKem>(rng);
                (Inner::XWing(secret), public)
            }
        };
        Self { id, encapsulation_key, key }
    }

    /// The public half, to send to the peer.
    pub fn encapsulation_key(&self) -> &[u8] {
        &self.encapsulation_key
    }

    /// The algorithm.
    pub fn id(&self) -> KemId {
        self.id
    }

    /// The entropy that the peer's ciphertext carries. As FIPS 203 has it, a ciphertext of the right size
    /// always decapsulates; a wrong one yields entropy the peer does not share.
    ///
    /// # Errors
    /// [`KemError::CiphertextSize`].
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Entropy, KemError> {
        scrubbed::<ENCAPSULATION, _>(|| self.decapsulate_unscrubbed(ciphertext))
    }

    pub(crate) fn decapsulate_unscrubbed(&self, ciphertext: &[u8]) -> Result<Entropy, KemError> {
        let wrong_size =
            |_| KemError::CiphertextSize { expected: self.id.ciphertext_len(), got: ciphertext.len() };
        let shared = match &self.key {
            Inner::MlKem512(key) => key.decapsulate_slice(ciphertext).map(|mut s| take(&mut s)),
            Inner::MlKem768(key) => key.decapsulate_slice(ciphertext).map(|mut s| take(&mut s)),
            Inner::MlKem1024(key) => key.decapsulate_slice(ciphertext).map(|mut s| take(&mut s)),
            Inner::XWing(key) => key.decapsulate_slice(ciphertext).map(|mut s| take(&mut s)),
        }
        .map_err(wrong_size)?;
        Ok(Entropy::derive_unscrubbed(self.id, shared.bytes(), &self.encapsulation_key, ciphertext))
    }
}

impl std::fmt::Debug for DecapsulationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecapsulationKey").field("id", &self.id).finish_non_exhaustive()
    }
}
