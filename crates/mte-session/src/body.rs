//! Opening the message that carries a body, of a request or a response, as it arrives.
//!
//! A body of type MKE is opened frame by frame; one of type MTE is gathered and opened whole. Either way its number, and
//! its length where the sealed headers state one, are checked before any plaintext is released.

use bytes::BytesMut;
use mte_codec::{
    DecoderSecrets, EncodeType, Expected, Header, OpenError, Opener, WipingBuffer,
    open::{self, EndFinder, Frame},
    seal::message_len,
};

/// Why a body is refused. Nothing after it may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It does not open: cut, changed, moved or replayed. The text is for logs.
    #[error("{}", self.reason())]
    Open(#[from] OpenError),
    /// Its length is not the sealed one.
    #[error("{}", self.reason())]
    Length {
        /// What is sealed.
        expected: u64,
        /// What was opened.
        got: u64,
    },
    /// It is of type MTE and longer than allowed.
    #[error("a body of type MTE of more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes of plaintext.
        limit: usize,
    },
}

impl BodyError {
    /// The reason, for a log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Open(error) => error.reason(),
            Self::Length { .. } => "the body does not have the sealed content-length",
            Self::TooLarge { .. } => "the body of type MTE is too long",
        }
    }
}

/// How a body is opened.
pub(crate) struct BodyRules {
    /// The type and place that its message must have.
    pub(crate) expected: Expected,
    /// The number that its message must have.
    pub(crate) number: u64,
    /// The length of its plaintext, where that is known.
    pub(crate) length: Option<u64>,
    /// The most plaintext bytes of type MTE.
    pub(crate) max_mte: usize,
}

/// Opens a body as it arrives, cut anywhere.
pub struct BodyOpener {
    stage: Stage,
    rules: BodyRules,
    header: Option<Header>,
    /// Plaintext bytes released.
    opened: u64,
    /// The most bytes that the buffer held.
    used: usize,
}

enum Stage {
    Streamed(Opener),
    Gathered(Gathered),
    /// The body is whole, or its buffer was taken.
    Finished,
}

struct Gathered {
    secrets: DecoderSecrets,
    message: WipingBuffer,
    end: EndFinder,
}

impl BodyOpener {
    /// An opener that works in `buffer`, if the body is streamed.
    pub(crate) fn new(secrets: DecoderSecrets, rules: BodyRules, buffer: BytesMut) -> Self {
        let stage = match rules.expected.encode_type {
            EncodeType::Mke => Stage::Streamed(Opener::new(secrets, rules.expected, buffer)),
            EncodeType::Mte => Stage::Gathered(Gathered {
                secrets,
                message: WipingBuffer::default(),
                end: EndFinder::default(),
            }),
        };
        Self { stage, rules, header: None, opened: 0, used: 0 }
    }

    /// The message's header, once it was read. It is authentic once a frame was released.
    pub fn header(&self) -> Option<Header> {
        self.header
    }

    /// The length of the plaintext, where the sealed headers state it.
    pub fn length(&self) -> Option<u64> {
        self.rules.length
    }

    /// Plaintext bytes released so far.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Bytes that a gathered body holds once `more` have arrived, so that a caller can reserve memory first; 0 for a
    /// streamed one.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`].
    pub fn gathered_with(&self, more: usize) -> Result<usize, BodyError> {
        let Stage::Gathered(gathered) = &self.stage else { return Ok(0) };
        let limit = self.rules.max_mte;
        let len = gathered.message.len() + more;
        if len > Self::max_gathered(limit) { Err(BodyError::TooLarge { limit }) } else { Ok(len) }
    }

    /// The longest message of type MTE whose plaintext has at most `limit` bytes.
    pub fn max_gathered(limit: usize) -> usize {
        message_len(EncodeType::Mte, limit)
    }

    /// Takes bytes from the wire.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`]; [`OpenError::Trailing`] for bytes after the end.
    pub fn push(&mut self, wire: &[u8]) -> Result<(), BodyError> {
        self.gathered_with(wire.len())?;
        match &mut self.stage {
            Stage::Streamed(opener) => {
                opener.push(wire);
                self.used += wire.len();
            }
            Stage::Gathered(gathered) => gathered.message.extend_from_slice(wire),
            Stage::Finished if wire.is_empty() => {}
            Stage::Finished => return Err(OpenError::Trailing.into()),
        }
        Ok(())
    }

    /// The next frame of a streamed body, once it is whole and verified. A gathered body comes with
    /// [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn next_frame(&mut self) -> Result<Option<Frame>, BodyError> {
        let Stage::Streamed(opener) = &mut self.stage else { return Ok(None) };
        if self.header.is_none() {
            let Some(header) = opener.header()? else { return Ok(None) };
            self.rules.check(&header)?;
            self.header = Some(header);
        }
        let Some(frame) = opener.next_frame()? else { return Ok(None) };
        self.count(&frame)?;
        Ok(Some(frame))
    }

    /// Whether the whole message has arrived, so that [`finish`](Self::finish) can be called before the input ends. For a
    /// gathered body this is a guess from the lengths of its frames, which are not verified yet.
    pub fn is_whole(&mut self) -> bool {
        match &mut self.stage {
            Stage::Streamed(opener) => opener.is_finished(),
            Stage::Gathered(gathered) => gathered.end.is_whole(&gathered.message),
            Stage::Finished => true,
        }
    }

    /// Ends the input. Gives the whole plaintext of a gathered body; the frames of a streamed one are taken with
    /// [`next_frame`](Self::next_frame) before.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn finish(&mut self) -> Result<Option<Frame>, BodyError> {
        match &mut self.stage {
            Stage::Finished => Ok(None),
            Stage::Streamed(opener) if opener.is_finished() => Ok(None),
            Stage::Streamed(_) => Err(OpenError::Truncated.into()),
            Stage::Gathered(_) => self.open_gathered().map(Some),
        }
    }

    fn open_gathered(&mut self) -> Result<Frame, BodyError> {
        let Stage::Gathered(gathered) = std::mem::replace(&mut self.stage, Stage::Finished) else {
            return Err(OpenError::Truncated.into());
        };
        let Gathered { secrets, message, .. } = gathered;
        let (header, data) = open::gathered(&secrets, self.rules.expected, message)?;
        self.rules.check(&header)?;
        self.header = Some(header);
        if data.len() > self.rules.max_mte {
            return Err(BodyError::TooLarge { limit: self.rules.max_mte });
        }
        let frame = Frame { data, last: true };
        self.count(&frame)?;
        Ok(frame)
    }

    /// Compares the plaintext with the stated length.
    fn count(&mut self, frame: &Frame) -> Result<(), BodyError> {
        self.opened += frame.data.len() as u64;
        let got = self.opened;
        match self.rules.length {
            Some(expected) if got > expected || frame.last && got < expected => {
                Err(BodyError::Length { expected, got })
            }
            _ => Ok(()),
        }
    }

    /// Returns the buffer of a streamed body, with the most bytes it held. The opener then has no more frames.
    pub fn take_buffer(&mut self) -> Option<(BytesMut, usize)> {
        match std::mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Streamed(opener) => Some((opener.into_buffer(), self.used)),
            other => {
                self.stage = other;
                None
            }
        }
    }
}

impl BodyRules {
    fn check(&self, header: &Header) -> Result<(), OpenError> {
        if header.number == self.number { Ok(()) } else { Err(OpenError::NotConsecutive) }
    }
}

/// Shows lengths only.
impl std::fmt::Debug for BodyOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyOpener")
            .field("encode_type", &self.rules.expected.encode_type)
            .field("number", &self.rules.number)
            .field("length", &self.rules.length)
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}
