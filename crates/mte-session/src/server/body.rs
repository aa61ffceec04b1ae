//! The sealed body of a request, from its first bytes on.

use bytes::BytesMut;
use mte_codec::{DecoderSecrets, EncodeType, Expected, HEADER_LEN, Header};

use super::{OpenedRequest, RequestError, open::Opening};
use crate::body::{BodyOpener, BodyRules};

/// A request whose URL and headers are opened, and whose sealed body has not arrived yet.
pub struct PendingBody {
    pub(super) opening: Opening,
    pub(super) expected: Expected,
    /// The body's length, if the sealed headers state it.
    pub(super) length: Option<u64>,
}

impl PendingBody {
    /// How the body is encoded.
    pub fn encode_type(&self) -> EncodeType {
        self.opening.encode_type
    }

    /// Checks the number of the body's message; its place is checked as it is opened. A replay is refused here, before
    /// its body is read.
    ///
    /// # Errors
    /// 562.
    pub fn admit(mut self, start: &[u8; HEADER_LEN]) -> Result<(OpenedRequest, AdmittedBody), RequestError> {
        let Header { number, .. } = Header::parse(start)?;
        self.opening.take_number(number)?;
        let secrets = self.opening.snapshot().decoder.clone();
        let body = AdmittedBody { secrets, expected: self.expected, number, length: self.length };
        Ok((OpenedRequest(self.opening), body))
    }
}

/// A sealed body whose number fits.
pub struct AdmittedBody {
    secrets: DecoderSecrets,
    expected: Expected,
    number: u64,
    length: Option<u64>,
}

impl AdmittedBody {
    /// Opens the body from its first byte. A streamed one is opened in `buffer`, a gathered one may have `max_mte` bytes of
    /// plaintext.
    pub fn open(self, buffer: BytesMut, max_mte: usize) -> BodyOpener {
        let Self { secrets, expected, number, length } = self;
        BodyOpener::new(secrets, BodyRules { expected, number, length, max_mte }, buffer)
    }
}
