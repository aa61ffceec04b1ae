//! Opening a response's body, as its sealed headers announce it (docs/protocol.md, section 4).

use bytes::{Bytes, BytesMut};
use mte_codec::{
    DecoderSecrets, EncodeType, Expected, FRAME_OVERHEAD, HEADER_LEN, OpenError, Opener, Place, open,
    seal::message_len,
};

use crate::{Error, ResponseError};

/// Opens a response's body as it arrives, cut anywhere.
#[derive(Debug)]
pub struct BodyOpener {
    stage: Stage,
    number: u64,
    /// Bytes have come.
    started: bool,
    /// No frame has been opened.
    first: bool,
    opened: u64,
    length: Option<u64>,
}

enum Stage {
    Nothing,
    Mke(Opener),
    Mte { secrets: DecoderSecrets, expected: Expected, message: Vec<u8>, limit: usize, max_plain: usize },
}

/// Plaintext that verified.
pub struct OpenedFrame {
    /// The plaintext.
    pub data: Bytes,
    /// What it took on the wire.
    pub wire_len: usize,
    /// Whether it ends the body.
    pub last: bool,
}

/// Shows lengths only.
impl std::fmt::Debug for OpenedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenedFrame({} bytes, last: {})", self.data.len(), self.last)
    }
}

/// Where a body belongs. The relay knows that nothing follows it, so it never writes 15.
const PLACE: Place = Place::raw(1, 0);

impl BodyOpener {
    /// Makes sure that there is none.
    pub(super) fn nothing() -> Self {
        Self { stage: Stage::Nothing, number: 0, started: false, first: true, opened: 0, length: None }
    }

    /// Opens the body with this number.
    pub(super) fn new(
        secrets: DecoderSecrets,
        encode_type: EncodeType,
        number: u64,
        length: Option<u64>,
        max_mte_body: usize,
    ) -> Self {
        let expected = Expected { encode_type, place: PLACE };
        let stage = match encode_type {
            EncodeType::Mke => Stage::Mke(Opener::new(secrets, expected, BytesMut::new())),
            EncodeType::Mte => Stage::Mte {
                secrets,
                expected,
                message: Vec::new(),
                limit: message_len(EncodeType::Mte, max_mte_body),
                max_plain: max_mte_body,
            },
        };
        Self { stage, number, started: false, first: true, opened: 0, length }
    }

    /// Whether the sealed headers say that there is no body.
    pub fn is_nothing(&self) -> bool {
        matches!(self.stage, Stage::Nothing)
    }

    /// The body's length, if the sealed headers have it.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Takes bytes from the wire.
    ///
    /// # Errors
    /// [`ResponseError::ClearBody`] if none are announced, [`Error::TooLarge`] for a body of type MTE.
    pub fn push(&mut self, wire: &[u8]) -> Result<(), Error> {
        if wire.is_empty() {
            return Ok(());
        }
        self.started = true;
        match &mut self.stage {
            Stage::Nothing => return Err(ResponseError::ClearBody.into()),
            Stage::Mke(opener) => opener.push(wire),
            Stage::Mte { message, limit, max_plain, .. } => {
                if wire.len() > *limit - message.len() {
                    return Err(Error::TooLarge { limit: *max_plain });
                }
                message.extend_from_slice(wire);
            }
        }
        Ok(())
    }

    /// The next frame, once it is whole and verified. A body of type MTE comes with [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`ResponseError::Body`], [`ResponseError::Length`]. Nothing that comes later may be used then.
    pub fn next_frame(&mut self) -> Result<Option<OpenedFrame>, Error> {
        let Stage::Mke(opener) = &mut self.stage else { return Ok(None) };
        if let Some(header) = opener.header().map_err(ResponseError::Body)? {
            check_header(self.number, header.number, header.place)?;
        }
        let Some(frame) = opener.next_frame().map_err(ResponseError::Body)? else { return Ok(None) };
        let header_len = if std::mem::take(&mut self.first) { HEADER_LEN } else { 0 };
        let wire_len = header_len + frame.data.len() + FRAME_OVERHEAD;
        self.count(frame.data, wire_len, frame.last).map(Some)
    }

    /// Ends the input. Gives the plaintext of a body of type MTE.
    ///
    /// # Errors
    /// [`ResponseError::MissingBody`] if an announced body has no bytes, [`ResponseError::Body`] if it is cut.
    pub fn finish(&mut self) -> Result<Option<OpenedFrame>, Error> {
        match &mut self.stage {
            Stage::Nothing => Ok(None),
            _ if !self.started => Err(ResponseError::MissingBody.into()),
            Stage::Mke(opener) if opener.is_finished() => Ok(None),
            Stage::Mke(_) => Err(ResponseError::Body(OpenError::Truncated).into()),
            Stage::Mte { secrets, expected, message, .. } => {
                let mut message = std::mem::take(message);
                let wire_len = message.len();
                let opened = open::message(secrets, *expected, &mut message).map_err(ResponseError::Body)?;
                check_header(self.number, opened.number, opened.place)?;
                let data = Bytes::copy_from_slice(opened.plaintext);
                self.count(data, wire_len, true).map(Some)
            }
        }
    }

    /// Holds the body against its length.
    fn count(&mut self, data: Bytes, wire_len: usize, last: bool) -> Result<OpenedFrame, Error> {
        self.opened += data.len() as u64;
        match self.length {
            Some(expected) if self.opened > expected || last && self.opened < expected => {
                Err(ResponseError::Length { expected, got: self.opened }.into())
            }
            _ => Ok(OpenedFrame { data, wire_len, last }),
        }
    }
}

fn check_header(expected: u64, number: u64, place: Place) -> Result<(), ResponseError> {
    if number != expected {
        return Err(ResponseError::Body(OpenError::NotConsecutive));
    }
    if place != PLACE {
        return Err(ResponseError::Body(OpenError::OutOfPlace));
    }
    Ok(())
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Mke(_) => "MKE",
            Self::Mte { .. } => "MTE",
        })
    }
}
