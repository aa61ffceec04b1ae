//! The header and place of a message, and the nonce of a frame (section 4).

use aws_lc_rs::aead::Nonce;

use crate::{HEADER_LEN, OpenError};

/// How a message is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EncodeType {
    /// AES-256-GCM alone: general and streamed data.
    Mke = 1,
    /// Tokens inside AES-256-GCM: short, highly sensitive data (section 5).
    Mte = 2,
}

impl EncodeType {
    /// The name used on the command line and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mke => "MKE",
            Self::Mte => "MTE",
        }
    }
}

impl std::fmt::Display for EncodeType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a message belongs within its request or response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(u8);

impl Place {
    /// The number of following messages when the sender cannot know it.
    pub const UNKNOWN: u8 = 15;

    /// A message that travels as base64 text: a URL or a header map. `index` counts the messages before it
    /// (0 to 7), `following` those after it (0 to 14, or [`Place::UNKNOWN`]).
    pub const fn text(index: u8, following: u8) -> Self {
        assert!(index < 8 && following <= Self::UNKNOWN);
        Self(index << 4 | following)
    }

    /// A message that travels as raw bytes: a body.
    pub const fn raw(index: u8, following: u8) -> Self {
        Self(Self::text(index, following).0 | 0x80)
    }

    /// The place that a byte encodes; every byte encodes one.
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// Whether the message travels as raw bytes.
    pub const fn is_raw(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// The index of the message in its request or response.
    pub const fn index(self) -> u8 {
        self.0 >> 4 & 7
    }

    /// How many messages follow; [`Place::UNKNOWN`] if the sender cannot know.
    pub const fn following(self) -> u8 {
        self.0 & 15
    }

    /// Whether a message at this place is acceptable where `expected` is expected: the same place, or one
    /// whose sender could not know how many messages follow.
    pub const fn fits(self, expected: Self) -> bool {
        self.0 == expected.0 || self.0 == expected.0 | Self::UNKNOWN
    }
}

/// What the receiver looks for; anything else is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The type that the relay header names.
    pub encode_type: EncodeType,
    /// The place that the relay header's flags give.
    pub place: Place,
}

/// The 26 bytes at the start of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// How the message is encoded.
    pub encode_type: EncodeType,
    /// Where it belongs.
    pub place: Place,
    /// Its number in the direction.
    pub number: u64,
    /// Random bytes that keep the message's key unique.
    pub salt: [u8; 16],
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// [`OpenError::Malformed`] if the type byte is neither 1 nor 2.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, OpenError> {
        let encode_type = match bytes[0] {
            1 => EncodeType::Mke,
            2 => EncodeType::Mte,
            _ => return Err(OpenError::Malformed("unknown message type")),
        };
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[2..10]);
        let mut salt = [0; 16];
        salt.copy_from_slice(&bytes[10..]);
        Ok(Self { encode_type, place: Place(bytes[1]), number: u64::from_be_bytes(number), salt })
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = self.encode_type as u8;
        bytes[1] = self.place.0;
        bytes[2..10].copy_from_slice(&self.number.to_be_bytes());
        bytes[10..].copy_from_slice(&self.salt);
        bytes
    }
}

/// Bit 31 of a frame's head: this frame is the last.
pub(crate) const FINAL: u32 = 1 << 31;

/// Counts the frames of one message; each value gives one nonce, and the counter cannot wrap.
#[derive(Debug, Default)]
pub(crate) struct FrameCounter(u64);

impl FrameCounter {
    /// The next frame's nonce, or `None` after 2^32 frames.
    pub(crate) fn next(&mut self) -> Option<Nonce> {
        if self.0 >= 1 << 32 {
            return None;
        }
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.0.to_be_bytes());
        self.0 += 1;
        Some(Nonce::assume_unique_for_key(nonce))
    }

    /// Frames counted so far.
    pub(crate) fn count(&self) -> u64 {
        self.0
    }
}
