//! Opening messages (sections 4 and 5).
//!
//! [`Opener`] takes a message of type MKE cut at any byte and releases each frame once its tag has
//! verified; [`message`] opens a whole message of either type in place. Neither changes any state: what was
//! opened is only valid once its number is committed.

use aws_lc_rs::{
    aead::{Aad, LessSafeKey},
    error::Unspecified,
};
use bytes::{Bytes, BytesMut};
use zeroize::Zeroize;

use crate::{
    DecoderSecrets, EncodeType, Expected, FRAME_OVERHEAD, HEAD_LEN, HEADER_LEN, Header, MAX_FRAME,
    MIN_MESSAGE, OpenError, TAG_LEN, WipingBuffer,
    message::{FINAL, FrameCounter},
    schedule::MessageKey,
    tokens,
};

/// A message that verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Its number, to be committed.
    pub number: u64,
    /// The place in its header (section 4); it matched the expected one.
    pub place: crate::Place,
    /// Its plaintext.
    pub plaintext: &'a [u8],
}

/// A frame whose tag verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its plaintext; the buffer it was opened in.
    pub data: Bytes,
    /// Whether it ends the message.
    pub last: bool,
}

/// Checks a header against what is expected and derives its message's key.
fn unlock(
    secrets: &DecoderSecrets,
    expected: Expected,
    bytes: &[u8; HEADER_LEN],
) -> Result<(Header, MessageKey), OpenError> {
    let header = Header::parse(bytes)?;
    if header.encode_type != expected.encode_type || !header.place.fits(expected.place) {
        return Err(OpenError::OutOfPlace);
    }
    let epoch = secrets.epoch_of(header.number)?;
    Ok((header, epoch.message_key(header.encode_type, bytes).map_err(refused)?))
}

/// The library refuses no input of the sizes that come here.
fn refused(_: Unspecified) -> OpenError {
    OpenError::Malformed("key derivation failed")
}

/// A frame's head, read.
struct Head {
    bytes: [u8; HEAD_LEN],
    len: usize,
    last: bool,
}

impl Head {
    fn parse(bytes: [u8; HEAD_LEN]) -> Result<Self, OpenError> {
        let word = u32::from_be_bytes(bytes);
        let head = Self { bytes, len: (word & !FINAL) as usize, last: word & FINAL != 0 };
        if head.len > MAX_FRAME {
            return Err(OpenError::Malformed("a frame of more than 65,536 bytes"));
        }
        if head.len == 0 && !head.last {
            return Err(OpenError::Malformed("an empty frame that is not the last"));
        }
        Ok(head)
    }
}

/// The frames of one message under its key.
struct Frames {
    aead: LessSafeKey,
    counter: FrameCounter,
}

impl Frames {
    fn new(key: &MessageKey) -> Result<Self, OpenError> {
        Ok(Self { aead: key.aead().map_err(refused)?, counter: FrameCounter::default() })
    }

    /// Opens ciphertext and tag in place; the plaintext is then at the start.
    fn open(&mut self, head: &Head, sealed: &mut [u8]) -> Result<(), OpenError> {
        let nonce = self.counter.next().ok_or(OpenError::Malformed("more than 2^32 frames"))?;
        match self.aead.open_in_place(nonce, Aad::from(head.bytes), sealed) {
            Ok(_) => Ok(()),
            Err(_) => Err(OpenError::NotAuthentic),
        }
    }
}

/// Opens a whole message in place.
///
/// # Errors
/// Any [`OpenError`]; the peer gets `decode failed` for each. `message` is then wiped: nothing of the
/// plaintext has been released, not even that of the frames before the one that failed.
pub fn message<'a>(
    secrets: &DecoderSecrets,
    expected: Expected,
    message: &'a mut [u8],
) -> Result<Opened<'a>, OpenError> {
    match open_in_place(secrets, expected, message) {
        Ok((header, len)) => {
            let plaintext = &message[HEADER_LEN..HEADER_LEN + len];
            Ok(Opened { number: header.number, place: header.place, plaintext })
        }
        Err(error) => {
            message.zeroize();
            Err(error)
        }
    }
}

/// Opens a whole message; its plaintext, whose length is returned, then follows the header.
fn open_in_place(
    secrets: &DecoderSecrets,
    expected: Expected,
    message: &mut [u8],
) -> Result<(Header, usize), OpenError> {
    if message.len() < MIN_MESSAGE {
        return Err(OpenError::Truncated);
    }
    let (header, sealed) = message.split_first_chunk_mut::<HEADER_LEN>().ok_or(OpenError::Truncated)?;
    let (header, key) = unlock(secrets, expected, header)?;
    let mut frames = Frames::new(&key)?;

    let mut read = 0;
    let mut written = 0;
    loop {
        let head = sealed[read..].first_chunk().ok_or(OpenError::Truncated)?;
        let head = Head::parse(*head)?;
        read += HEAD_LEN;
        let frame = sealed.get_mut(read..read + head.len + TAG_LEN).ok_or(OpenError::Truncated)?;
        frames.open(&head, frame)?;
        sealed.copy_within(read..read + head.len, written);
        read += head.len + TAG_LEN;
        written += head.len;
        if head.last {
            break;
        }
    }
    if read != sealed.len() {
        return Err(OpenError::Trailing);
    }
    let len = match key.tokens() {
        Some(key) => tokens::decode(key, &mut sealed[..written])?,
        None => written,
    };
    Ok((header, len))
}

/// Opens a whole message that was gathered; its plaintext is passed on without a copy, and wiped when it is dropped.
///
/// # Errors
/// Those of [`message()`].
pub fn gathered(
    secrets: &DecoderSecrets,
    expected: Expected,
    mut message: WipingBuffer,
) -> Result<(Header, Bytes), OpenError> {
    let (header, len) = open_in_place(secrets, expected, &mut message)?;
    Ok((header, message.into_bytes().slice(HEADER_LEN..HEADER_LEN + len)))
}

/// Finds the end of a message that is gathered, for a receiver whose sender does not state its length.
///
/// It reads frame heads only, each of them once, and verifies nothing.
#[derive(Debug)]
pub struct EndFinder {
    /// Where the next head begins.
    at: usize,
    found: bool,
}

impl Default for EndFinder {
    fn default() -> Self {
        Self { at: HEADER_LEN, found: false }
    }
}

impl EndFinder {
    /// Whether `message`, which grew since the last call, reaches to the end of its final frame; or is
    /// malformed, so that more input cannot help.
    pub fn is_whole(&mut self, message: &[u8]) -> bool {
        while !self.found {
            let Some(head) = message.get(self.at..).and_then(|rest| rest.first_chunk()) else { return false };
            let Ok(head) = Head::parse(*head) else { return true };
            self.at += head.len + FRAME_OVERHEAD;
            self.found = head.last;
        }
        message.len() >= self.at
    }
}

/// Opens a message of type MKE as it arrives.
///
/// Feed it with [`push`](Self::push), cut anywhere; take frames with [`next_frame`](Self::next_frame) until
/// it has none; at the end of the input call [`finish`](Self::finish). After an error the opener stays
/// failed.
pub struct Opener {
    buffer: BytesMut,
    stage: Stage,
}

enum Stage {
    /// Waiting for the header.
    Header(Box<DecoderSecrets>, Expected),
    /// Waiting for frames.
    Frames(Header, Frames),
    /// The final frame was taken.
    Finished(Header),
    Failed(OpenError),
}

impl Opener {
    /// An opener that works in `buffer`, which it empties first.
    pub fn new(secrets: DecoderSecrets, expected: Expected, mut buffer: BytesMut) -> Self {
        buffer.clear();
        Self { buffer, stage: Stage::Header(Box::new(secrets), expected) }
    }

    /// Takes input. This is the one copy that opening makes.
    pub fn push(&mut self, input: &[u8]) {
        if !matches!(self.stage, Stage::Failed(_)) {
            self.buffer.extend_from_slice(input);
        }
    }

    /// The header, once it is there and fits what is expected.
    ///
    /// # Errors
    /// [`OpenError`] for a header that does not.
    pub fn header(&mut self) -> Result<Option<Header>, OpenError> {
        if let Stage::Header(secrets, expected) = &self.stage {
            if expected.encode_type == EncodeType::Mte {
                return self.fail(OpenError::Malformed("a message of type MTE is opened whole"));
            }
            let Some(bytes) = self.buffer.first_chunk::<HEADER_LEN>() else { return Ok(None) };
            let unlocked = unlock(secrets, *expected, bytes);
            match unlocked.and_then(|(header, key)| Ok((header, Frames::new(&key)?))) {
                Ok((header, frames)) => {
                    let _ = self.buffer.split_to(HEADER_LEN);
                    self.stage = Stage::Frames(header, frames);
                }
                Err(error) => return self.fail(error),
            }
        }
        match &self.stage {
            Stage::Header(..) => Ok(None),
            Stage::Frames(header, _) | Stage::Finished(header) => Ok(Some(*header)),
            Stage::Failed(error) => Err(*error),
        }
    }

    /// The next frame, once it is whole and verified; `None` while it is not.
    ///
    /// # Errors
    /// [`OpenError`]; nothing more comes out of this opener then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, OpenError> {
        if self.header()?.is_none() {
            return Ok(None);
        }
        match self.take_frame() {
            Ok(frame) => Ok(frame),
            Err(error) => self.fail(error),
        }
    }

    fn take_frame(&mut self) -> Result<Option<Frame>, OpenError> {
        let (header, frames) = match &mut self.stage {
            Stage::Frames(header, frames) => (*header, frames),
            Stage::Finished(_) if self.buffer.is_empty() => return Ok(None),
            Stage::Finished(_) => return Err(OpenError::Trailing),
            Stage::Header(..) => return Ok(None),
            Stage::Failed(error) => return Err(*error),
        };
        let Some(head) = self.buffer.first_chunk::<HEAD_LEN>() else { return Ok(None) };
        let head = Head::parse(*head)?;
        let whole = head.len + FRAME_OVERHEAD;
        if self.buffer.len() < whole {
            self.buffer.reserve(whole - self.buffer.len());
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(whole);
        let _ = frame.split_to(HEAD_LEN);
        frames.open(&head, &mut frame)?;
        frame.truncate(head.len);
        if head.last {
            self.stage = Stage::Finished(header);
            if !self.buffer.is_empty() {
                return Err(OpenError::Trailing);
            }
        }
        Ok(Some(Frame { data: frame.freeze(), last: head.last }))
    }

    /// Whether the final frame was taken.
    pub fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Finished(_))
    }

    /// Ends the input and gives the buffer back.
    ///
    /// # Errors
    /// [`OpenError::Truncated`] if the final frame was not taken, [`OpenError::Trailing`] if bytes follow it.
    pub fn finish(self) -> Result<BytesMut, OpenError> {
        match self.stage {
            Stage::Finished(_) if self.buffer.is_empty() => Ok(self.buffer),
            Stage::Finished(_) => Err(OpenError::Trailing),
            Stage::Failed(error) => Err(error),
            Stage::Header(..) | Stage::Frames(..) => Err(OpenError::Truncated),
        }
    }

    /// Gives the buffer back, whatever the state.
    pub fn into_buffer(self) -> BytesMut {
        self.buffer
    }

    fn fail<T>(&mut self, error: OpenError) -> Result<T, OpenError> {
        self.stage = Stage::Failed(error);
        self.buffer.clear();
        Err(error)
    }
}
