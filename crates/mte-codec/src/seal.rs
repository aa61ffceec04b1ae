//! Making messages (sections 4 and 5).
//!
//! [`message`] makes a whole one of either type; [`Sealer`] makes one of type MKE as its plaintext arrives.
//! Encryption is what writes the message's buffer: the plaintext is not copied first.

use aws_lc_rs::aead::{Aad, LessSafeKey};
use bytes::Bytes;
use rand_core::CryptoRng;

use crate::{
    EncodeType, EpochSecret, FRAME_OVERHEAD, HEAD_LEN, HEADER_LEN, Header, MAX_FRAME, Place, SealError,
    WipingBuffer,
    block::Block,
    message::{FINAL, FrameCounter},
    schedule::MessageKey,
    tokens,
};

/// One message about to be made: its number, what it is, and the secret it is made under.
///
/// A slot can be used again: every message made from it has fresh random bytes, and so a key of its own.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The secret of the epoch that `number` belongs to.
    pub secret: EpochSecret,
    /// How the message is encoded.
    pub encode_type: EncodeType,
    /// Where it belongs.
    pub place: Place,
    /// Its number.
    pub number: u64,
}

impl Slot {
    /// Makes the message's header and its key. `rng` gives the 16 random bytes of the header.
    ///
    /// # Errors
    /// [`SealError::NoSecret`] if the slot's secret is not of its number's epoch.
    pub fn prepare(&self, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Prepared, SealError> {
        if u64::from(self.secret.index()) != EpochSecret::index_of(self.number) {
            return Err(SealError::NoSecret(self.number));
        }
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let header =
            Header { encode_type: self.encode_type, place: self.place, number: self.number, salt }.to_bytes();
        let key = self.secret.message_key(self.encode_type, &header).map_err(|_| SealError::Crypto)?;
        Ok(Prepared { header, key })
    }
}

/// One message about to be made, whose header and one-time key are made already.
///
/// It holds no epoch secret: a caller that must wait before a message can be made keeps this, so that the epoch can be wiped in
/// the meantime. It makes one message, and is used up by it.
#[derive(Debug)]
pub struct Prepared {
    header: [u8; HEADER_LEN],
    key: MessageKey,
}

impl Prepared {
    /// Makes a whole message, as [`message`] does.
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn message(
        self,
        plaintext: &[u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<u8>, SealError> {
        let framed = message_len(self.key.encode_type(), plaintext.len()) - HEADER_LEN;
        let frames = framed.div_ceil(MAX_FRAME + FRAME_OVERHEAD);
        let last = framed - frames * FRAME_OVERHEAD - (frames - 1) * MAX_FRAME;
        let sizes = std::iter::repeat_n(MAX_FRAME, frames - 1).chain([last]);
        self.message_in_frames(plaintext, sizes, rng)
    }

    fn message_in_frames(
        self,
        plaintext: &[u8],
        sizes: impl IntoIterator<Item = usize>,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<u8>, SealError> {
        let tokens = match self.key.tokens() {
            Some(key) => Some(tokens::encode(key, plaintext, rng)?),
            None => None,
        };
        let mut rest: &[u8] = tokens.as_ref().map_or(plaintext, |tokens| tokens);

        let mut out = Vec::with_capacity(message_len(self.key.encode_type(), plaintext.len()));
        out.extend_from_slice(&self.header);
        let mut frames = Frames::new(&self.key)?;
        let mut sizes = sizes.into_iter().peekable();
        while let Some(size) = sizes.next() {
            let last = sizes.peek().is_none();
            if size > rest.len().min(MAX_FRAME) || size == 0 && !last {
                return Err(SealError::FrameSizes);
            }
            let (frame, after) = rest.split_at(size);
            let start = out.len();
            out.resize(start + size + FRAME_OVERHEAD, 0);
            frames.seal(frame, last, &mut out[start..])?;
            rest = after;
        }
        if !rest.is_empty() || frames.counter.count() == 0 {
            return Err(SealError::FrameSizes);
        }
        Ok(out)
    }

    /// Makes the message as its plaintext arrives.
    ///
    /// # Errors
    /// [`SealError::NotStreamable`] for type MTE.
    pub fn sealer(self) -> Result<Sealer, SealError> {
        self.check_streamable()?;
        Ok(Sealer { frames: Frames::new(&self.key)?, header: Some(self.header), finished: false })
    }

    fn check_streamable(&self) -> Result<(), SealError> {
        match self.key.encode_type() {
            EncodeType::Mke => Ok(()),
            EncodeType::Mte => Err(SealError::NotStreamable),
        }
    }
}

/// The length of the message that [`message`] makes of a plaintext of `len` bytes.
pub const fn message_len(encode_type: EncodeType, len: usize) -> usize {
    let framed = match encode_type {
        EncodeType::Mke => len,
        EncodeType::Mte => tokens::tokens_len(len),
    };
    HEADER_LEN + framed + frames_for(framed) * FRAME_OVERHEAD
}

/// Frames of the largest size that `len` bytes need; an empty message still has its final one.
const fn frames_for(len: usize) -> usize {
    if len == 0 { 1 } else { len.div_ceil(MAX_FRAME) }
}

/// Makes a whole message, in frames of the largest size.
///
/// `rng` gives the 16 random bytes of the header, then, for type MTE, one filler byte per token.
///
/// # Errors
/// [`SealError::NoSecret`] if the slot's secret is not of its number's epoch, [`SealError::TooLong`].
pub fn message(
    slot: Slot,
    plaintext: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, SealError> {
    slot.prepare(rng)?.message(plaintext, rng)
}

/// Makes a whole message in frames of the given sizes, which add up to the plaintext (for type MTE: to its
/// token string). The format leaves framing to the sender; this is for test vectors and for tests.
///
/// # Errors
/// Those of [`message`], and [`SealError::FrameSizes`].
pub fn message_in_frames(
    slot: Slot,
    plaintext: &[u8],
    sizes: impl IntoIterator<Item = usize>,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, SealError> {
    slot.prepare(rng)?.message_in_frames(plaintext, sizes, rng)
}

/// Makes a message of type MKE as its plaintext arrives; every call returns bytes that can be sent at once.
pub struct Sealer {
    frames: Frames,
    /// The message header, until it is sent with the first frame.
    header: Option<[u8; HEADER_LEN]>,
    finished: bool,
}

impl Sealer {
    /// Starts a message.
    ///
    /// # Errors
    /// [`SealError::NotStreamable`] for type MTE, and those of [`message`].
    pub fn new(slot: &Slot, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Self, SealError> {
        slot.prepare(rng)?.sealer()
    }

    /// Seals the next part of the plaintext, and with `last` ends the message. An empty part that is not
    /// the last yields nothing. The result is one allocation: header (the first time), heads, ciphertext
    /// and tags.
    ///
    /// # Errors
    /// [`SealError::Finished`] after the last part, [`SealError::TooLong`] after 2^32 frames.
    pub fn seal(&mut self, plaintext: &[u8], last: bool) -> Result<Bytes, SealError> {
        if self.finished {
            return Err(SealError::Finished);
        }
        if plaintext.is_empty() && !last {
            return Ok(Bytes::new());
        }
        let header = self.header.take();
        let header = header.as_ref().map_or(&[][..], |header| header.as_slice());
        let frames = frames_for(plaintext.len());
        let mut block = Block::new(header.len() + plaintext.len() + frames * FRAME_OVERHEAD);
        let (start, mut out) = block.bytes().split_at_mut(header.len());
        start.copy_from_slice(header);
        for index in 0..frames {
            let part = &plaintext[index * MAX_FRAME..plaintext.len().min((index + 1) * MAX_FRAME)];
            let (frame, rest) = out.split_at_mut(part.len() + FRAME_OVERHEAD);
            self.frames.seal(part, last && index + 1 == frames, frame)?;
            out = rest;
        }
        self.finished = last;
        Ok(block.freeze())
    }
}

/// Gathers a plaintext of at most one frame, and seals it: for a body of type MKE whose small size is known, but which may
/// arrive in parts. A single part is not copied.
pub struct OneFrame {
    message: Prepared,
    len: usize,
    /// The first part, as long as it is the only one.
    first: Bytes,
    /// All parts, once there are several.
    joined: WipingBuffer,
}

impl OneFrame {
    /// A message of `len` bytes.
    ///
    /// # Errors
    /// [`SealError::NotStreamable`] for type MTE, [`SealError::TooLong`] above one frame.
    pub fn new(message: Prepared, len: usize) -> Result<Self, SealError> {
        message.check_streamable()?;
        if len > MAX_FRAME {
            return Err(SealError::TooLong);
        }
        Ok(Self { message, len, first: Bytes::new(), joined: WipingBuffer::default() })
    }

    /// Adds a part.
    ///
    /// # Errors
    /// [`SealError::TooLong`] beyond the stated length.
    pub fn push(&mut self, part: Bytes) -> Result<(), SealError> {
        if self.first.len() + self.joined.len() + part.len() > self.len {
            return Err(SealError::TooLong);
        }
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = part;
            return Ok(());
        }
        if self.joined.is_empty() {
            self.joined = WipingBuffer::with_capacity(self.len);
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&part);
        Ok(())
    }

    /// The whole message.
    ///
    /// # Errors
    /// [`SealError::Crypto`].
    pub fn finish(self) -> Result<Bytes, SealError> {
        let plaintext: &[u8] = if self.joined.is_empty() { &self.first } else { &self.joined };
        let mut block = Block::new(HEADER_LEN + plaintext.len() + FRAME_OVERHEAD);
        let (header, frame) = block.bytes().split_at_mut(HEADER_LEN);
        header.copy_from_slice(&self.message.header);
        Frames::new(&self.message.key)?.seal(plaintext, true, frame)?;
        Ok(block.freeze())
    }
}

/// The frames of one message under its key.
struct Frames {
    aead: LessSafeKey,
    counter: FrameCounter,
}

impl Frames {
    fn new(key: &MessageKey) -> Result<Self, SealError> {
        let aead = key.aead().map_err(|_| SealError::Crypto)?;
        Ok(Self { aead, counter: FrameCounter::default() })
    }

    /// Writes the next frame to `out`, which has exactly the space for it.
    fn seal(&mut self, plaintext: &[u8], last: bool, out: &mut [u8]) -> Result<(), SealError> {
        let nonce = self.counter.next().ok_or(SealError::TooLong)?;
        let flag = if last { FINAL } else { 0 };
        let head = (plaintext.len() as u32 | flag).to_be_bytes();
        let (start, rest) = out.split_at_mut(HEAD_LEN);
        start.copy_from_slice(&head);
        let (ciphertext, tag) = rest.split_at_mut(plaintext.len());
        let sealed =
            self.aead.seal_out_of_place_scatter(nonce, Aad::from(head), plaintext, ciphertext, &[], tag);
        sealed.map_err(|_| SealError::Crypto)
    }
}
