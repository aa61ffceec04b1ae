//! The open MTE codec, version 1 (`mte-open/1`).
//!
//! The codec turns a byte string (a URL, a header map, a body) into a protected *message* that only the
//! paired peer can open. The format is specified in `docs/codec.md`; section numbers in this crate refer to
//! that page.
//!
//! The crate is sans-IO: it opens no socket, reads no clock, needs no runtime, and takes its randomness as
//! an argument, so that everything it does can be replayed in a test. It writes no cryptographic primitive:
//! AES-256-GCM, HKDF and SHA-256 come from `aws-lc-rs`, ML-KEM from `ml-kem`, X-Wing from `x-wing`,
//! ChaCha20 from `chacha20`.
//!
//! # The parts
//!
//! | module | what it does | section |
//! | --- | --- | --- |
//! | [`kem`] | key encapsulation, and the entropy both sides get from it | 2 |
//! | [`schedule`] | root secret, epochs, message keys | 3, 4 |
//! | [`message`] | the header and place of a message | 4 |
//! | [`seal`], [`open`] | messages made and opened, whole or frame by frame | 4, 5 |
//! | [`window`] | which numbers a decoder takes | 6 |
//! | [`direction`] | an encoder's and a decoder's moving state | 3, 6 |
//!
//! # Example
//!
//! ```
//! use mte_codec::{kem::{DecapsulationKey, KemId}, schedule::{root, RootInputs}};
//! use mte_codec::{open, seal, DecoderState, EncodeType, EncoderState, Expected, Place};
//!
//! let mut rng = rand::rng();
//! // One direction: the receiver makes a key, the sender encapsulates to it.
//! let receiver = DecapsulationKey::generate(KemId::MlKem768, &mut rng);
//! let (ciphertext, sender_entropy) = mte_codec::kem::encapsulate(receiver.encapsulation_key(), &mut rng)?;
//! let receiver_entropy = receiver.decapsulate(&ciphertext)?;
//!
//! let inputs = RootInputs::new("4711", "any string both sides know");
//! let mut encoder = EncoderState::new(root(&sender_entropy, &inputs)?);
//! let mut decoder = DecoderState::new(root(&receiver_entropy, &inputs)?);
//!
//! let place = Place::text(0, 0);
//! let numbers = encoder.reserve(1)?;
//! let mut message = seal::message(numbers.slot(0, EncodeType::Mke, place)?, b"hello", &mut rng)?;
//!
//! let expected = Expected { encode_type: EncodeType::Mke, place };
//! let opened = open::message(&decoder.secrets, expected, &mut message)?;
//! decoder.commit(opened.number, 1)?;
//! assert_eq!(opened.plaintext, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod block;
pub mod direction;
mod error;
pub mod kem;
pub mod message;
pub mod open;
pub mod schedule;
mod scrub;
pub mod seal;
mod secret;
mod tokens;
pub mod window;
mod wiping;

pub use direction::{DecoderSecrets, DecoderState, EncoderState, Numbers};
pub use error::{KemError, OpenError, ScheduleError, SealError};
pub use kem::{Entropy, KemId};
pub use message::{EncodeType, Expected, Header, Place};
pub use open::Opener;
pub use schedule::{EpochSecret, MAX_EPOCH_STEPS};
pub use seal::{Prepared, Sealer, Slot};
pub use window::{Window, WindowError};
pub use wiping::WipingBuffer;

/// Bytes of a message header (section 4).
pub const HEADER_LEN: usize = 26;
/// Bytes of a frame's head (section 4).
pub const HEAD_LEN: usize = 4;
/// Bytes of a frame's authentication tag (section 4).
pub const TAG_LEN: usize = 16;
/// The most plaintext bytes one frame holds (section 4).
pub const MAX_FRAME: usize = 65_536;
/// Bytes that a frame adds to its plaintext.
pub const FRAME_OVERHEAD: usize = HEAD_LEN + TAG_LEN;
/// The smallest message there is, an empty one (section 4).
pub const MIN_MESSAGE: usize = HEADER_LEN + FRAME_OVERHEAD;
/// Messages that share one epoch secret (section 3).
pub const EPOCH_MESSAGES: u64 = 32;
/// A direction ends at this number; the pair must be renewed (section 6).
pub const NUMBER_LIMIT: u64 = 1 << 32;

/// The examples of the README are tested as those of the documentation are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
