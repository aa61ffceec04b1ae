//! Making messages (sections 4 and 5).
//!
//! [`message`] makes a whole one of either type; [`Sealer`] makes one of type MKE as its plaintext arrives.
//! Both copy the plaintext once, into the message's own buffer, and encrypt it there.

use aws_lc_rs::aead::{Aad, LessSafeKey, Tag};
use bytes::{BufMut, Bytes, BytesMut};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    EncodeType, EpochSecret, FRAME_OVERHEAD, HEAD_LEN, HEADER_LEN, Header, MAX_FRAME, Place, SealError,
    TAG_LEN,
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

        let mut out = BytesMut::with_capacity(message_len(self.key.encode_type(), plaintext.len()));
        out.put_slice(&self.header);
        let mut frames = Frames::new(&self.key)?;
        let mut sizes = sizes.into_iter().peekable();
        while let Some(size) = sizes.next() {
            let last = sizes.peek().is_none();
            if size > rest.len().min(MAX_FRAME) || size == 0 && !last {
                return Err(SealError::FrameSizes);
            }
            let (frame, after) = rest.split_at(size);
            frames.seal(frame, last, &mut out)?;
            rest = after;
        }
        if !rest.is_empty() || frames.counter.count() == 0 {
            return Err(SealError::FrameSizes);
        }
        Ok(out.into())
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
        let frames = frames_for(plaintext.len());
        let header_len = header.map_or(0, |header| header.len());
        let mut out = BytesMut::with_capacity(header_len + plaintext.len() + frames * FRAME_OVERHEAD);
        if let Some(header) = header {
            out.put_slice(&header);
        }
        for index in 0..frames {
            let part = &plaintext[index * MAX_FRAME..plaintext.len().min((index + 1) * MAX_FRAME)];
            self.frames.seal(part, last && index + 1 == frames, &mut out)?;
        }
        self.finished = last;
        Ok(out.freeze())
    }
}

/// Gathers a plaintext of at most one frame in the buffer of its message, and seals it in place: for a body of
/// type MKE whose small size is known, but which arrives in parts.
pub struct InPlace {
    message: Prepared,
    /// Space for header and head, then the plaintext; wiped unless it became ciphertext.
    buffer: Zeroizing<Vec<u8>>,
}

impl InPlace {
    const PREFIX: usize = HEADER_LEN + HEAD_LEN;

    /// A buffer for `len` bytes.
    ///
    /// # Errors
    /// [`SealError::NotStreamable`] for type MTE, [`SealError::TooLong`] above one frame.
    pub fn new(message: Prepared, len: usize) -> Result<Self, SealError> {
        message.check_streamable()?;
        if len > MAX_FRAME {
            return Err(SealError::TooLong);
        }
        let mut buffer = Zeroizing::new(Vec::with_capacity(Self::PREFIX + len + TAG_LEN));
        buffer.resize(Self::PREFIX, 0);
        Ok(Self { message, buffer })
    }

    /// Adds a part.
    ///
    /// # Errors
    /// [`SealError::TooLong`] beyond the buffer's capacity: the buffer never moves.
    pub fn push(&mut self, part: &[u8]) -> Result<(), SealError> {
        if self.buffer.len() + part.len() + TAG_LEN > self.buffer.capacity() {
            return Err(SealError::TooLong);
        }
        self.buffer.extend_from_slice(part);
        Ok(())
    }

    /// The whole message.
    ///
    /// # Errors
    /// [`SealError::Crypto`].
    pub fn finish(mut self) -> Result<Bytes, SealError> {
        let (prefix, plaintext) = self.buffer.split_at_mut(Self::PREFIX);
        let mut frames = Frames::new(&self.message.key)?;
        let (head, tag) = frames.seal_in_place(plaintext, true)?;
        prefix[..HEADER_LEN].copy_from_slice(&self.message.header);
        prefix[HEADER_LEN..].copy_from_slice(&head);
        self.buffer.extend_from_slice(tag.as_ref());
        Ok(std::mem::take(&mut *self.buffer).into())
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

    /// Appends one frame to `out`.
    fn seal(&mut self, plaintext: &[u8], last: bool, out: &mut BytesMut) -> Result<(), SealError> {
        let start = out.len();
        out.put_bytes(0, HEAD_LEN);
        out.put_slice(plaintext);
        let (head, tag) = self.seal_in_place(&mut out[start + HEAD_LEN..], last)?;
        out[start..start + HEAD_LEN].copy_from_slice(&head);
        out.put_slice(tag.as_ref());
        Ok(())
    }

    /// Encrypts the next frame's plaintext in place; returns its head and its tag.
    fn seal_in_place(
        &mut self,
        plaintext: &mut [u8],
        last: bool,
    ) -> Result<([u8; HEAD_LEN], Tag), SealError> {
        let nonce = self.counter.next().ok_or(SealError::TooLong)?;
        let flag = if last { FINAL } else { 0 };
        let head = (plaintext.len() as u32 | flag).to_be_bytes();
        let tag = self.aead.seal_in_place_separate_tag(nonce, Aad::from(head), plaintext);
        Ok((head, tag.map_err(|_| SealError::Crypto)?))
    }
}
