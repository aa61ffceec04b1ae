//! Opening a response's body, as its sealed headers announce it (docs/protocol.md, section 4).

use bytes::{Bytes, BytesMut};
use mte_codec::{
    DecoderSecrets, EncodeType, Expected, FRAME_OVERHEAD, HEADER_LEN, OpenError, Place, open::Frame,
};

use super::{Error, ResponseError};
use crate::body::{self, BodyError, BodyRules};

/// Opens a response's body as it arrives, cut anywhere.
#[derive(Debug)]
pub struct BodyOpener {
    /// `None` makes sure that there is no body.
    announced: Option<body::BodyOpener>,
    /// Bytes that have come.
    received: usize,
    /// No frame has been opened.
    first: bool,
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
        Self { announced: None, received: 0, first: true }
    }

    /// Opens the body with this number.
    pub(super) fn new(
        secrets: DecoderSecrets,
        encode_type: EncodeType,
        number: u64,
        length: Option<u64>,
        max_mte: usize,
    ) -> Self {
        let expected = Expected { encode_type, place: PLACE };
        let rules = BodyRules { expected, number, length, max_mte };
        let opener = body::BodyOpener::new(secrets, rules, BytesMut::new());
        Self { announced: Some(opener), received: 0, first: true }
    }

    /// Whether the sealed headers say that there is no body.
    pub fn is_nothing(&self) -> bool {
        self.announced.is_none()
    }

    /// The body's length, if the sealed headers have it.
    pub fn length(&self) -> Option<u64> {
        self.announced.as_ref()?.length()
    }

    /// Takes bytes from the wire.
    ///
    /// # Errors
    /// [`ResponseError::ClearBody`] if none are announced, [`Error::TooLarge`] for a body of type MTE.
    pub fn push(&mut self, wire: &[u8]) -> Result<(), Error> {
        if wire.is_empty() {
            return Ok(());
        }
        let Some(opener) = &mut self.announced else { return Err(ResponseError::ClearBody.into()) };
        self.received += wire.len();
        Ok(opener.push(wire)?)
    }

    /// The next frame, once it is whole and verified. A body of type MTE comes with [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`ResponseError::Body`], [`ResponseError::Length`]. Nothing that comes later may be used then.
    pub fn next_frame(&mut self) -> Result<Option<OpenedFrame>, Error> {
        let Some(opener) = &mut self.announced else { return Ok(None) };
        let Some(frame) = opener.next_frame()? else { return Ok(None) };
        let header_len = if self.first { HEADER_LEN } else { 0 };
        let wire_len = header_len + frame.data.len() + FRAME_OVERHEAD;
        self.opened(frame, wire_len).map(Some)
    }

    /// Ends the input. Gives the plaintext of a body of type MTE.
    ///
    /// # Errors
    /// [`ResponseError::MissingBody`] if an announced body has no bytes, [`ResponseError::Body`] if it is cut.
    pub fn finish(&mut self) -> Result<Option<OpenedFrame>, Error> {
        let Some(opener) = &mut self.announced else { return Ok(None) };
        if self.received == 0 {
            return Err(ResponseError::MissingBody.into());
        }
        let Some(frame) = opener.finish()? else { return Ok(None) };
        self.opened(frame, self.received).map(Some)
    }

    fn opened(&mut self, frame: Frame, wire_len: usize) -> Result<OpenedFrame, Error> {
        self.first = false;
        let header = self.announced.as_ref().and_then(body::BodyOpener::header);
        if header.is_none_or(|header| header.place != PLACE) {
            return Err(ResponseError::Body(OpenError::OutOfPlace).into());
        }
        Ok(OpenedFrame { data: frame.data, wire_len, last: frame.last })
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Open(error) => ResponseError::Body(error).into(),
            BodyError::Length { expected, got } => ResponseError::Length { expected, got }.into(),
            BodyError::TooLarge { limit } => Self::TooLarge { limit },
        }
    }
}
