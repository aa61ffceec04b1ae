//! An upstream's compressed body, decoded before it is sealed (docs/protocol.md, section 4).
//!
//! The relay requests `identity`, but stored objects may be compressed anyway. The decoders stream and are bounded: the
//! window by the coding, what one part of the body may become by [`MAX_DECODED_PART`].

use std::io::{self, Write};

use flate2::{Decompress, FlushDecompress, Status, write::MultiGzDecoder};
use mte_codec::WipingBuffer;
use thiserror::Error;
use zeroize::Zeroizing;
use zstd::stream::raw::{self, InBuffer, Operation, OutBuffer};

/// The largest plaintext that one part of a compressed body (64 KiB at most, as Pingora reads it) may become.
pub(crate) const MAX_DECODED_PART: usize = 16 << 20;
/// The largest window of a zstd body: what RFC 9659 lets a `Content-Encoding` use.
const ZSTD_WINDOW_LOG: u32 = 23;
/// One step of the decoders that are run by hand.
const STEP: usize = 32 << 10;
/// The buffer of the brotli decoder.
const BROTLI_BUFFER: usize = 4 << 10;

/// A content coding that the relay can decode (RFC 9110 section 8.4.1; `br`: RFC 7932; `zstd`: RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// `gzip`, also `x-gzip`.
    Gzip,
    /// `deflate`: zlib's format, or raw deflate as some servers send it.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// The coding of this name, in any case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name {
            _ if is("gzip") || is("x-gzip") => Some(Self::Gzip),
            _ if is("deflate") => Some(Self::Deflate),
            _ if is("br") => Some(Self::Brotli),
            _ if is("zstd") => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Why a compressed body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum DecodeError {
    /// The bytes are not of this coding.
    #[error("the body is not valid {0}")]
    Malformed(&'static str),
    /// The body ended within the coding.
    #[error("the {0} body ends too early")]
    Truncated(&'static str),
    /// One part became larger than [`MAX_DECODED_PART`].
    #[error("a part of the {0} body decodes to more than {MAX_DECODED_PART} bytes")]
    TooLarge(&'static str),
}

/// Decodes one body as it arrives.
pub(crate) struct Decoder {
    coding: Coding,
    state: State,
    /// Whether a byte has arrived. A body without any is empty in every coding, as clients see it.
    begun: bool,
}

enum State {
    Gzip(MultiGzDecoder<Decoded>),
    /// Which of the two formats it is shows in the first byte, so there is no decoder before.
    Deflate {
        decoder: Option<Decompress>,
        decoded: Decoded,
        complete: bool,
    },
    Brotli(Box<brotli::DecompressorWriter<Decoded>>),
    Zstd {
        decoder: Box<raw::Decoder<'static>>,
        decoded: Decoded,
        complete: bool,
    },
}

/// What a decoder writes to.
#[derive(Default)]
struct Decoded {
    plaintext: WipingBuffer,
    overflown: bool,
}

impl Write for Decoded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.plaintext.len() + part.len() > MAX_DECODED_PART {
            self.overflown = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.plaintext.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    /// A decoder at the start of a body.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] if the decoder's state cannot be made.
    pub(crate) fn new(coding: Coding) -> Result<Self, DecodeError> {
        let decoded = Decoded::default();
        let state = match coding {
            Coding::Gzip => State::Gzip(MultiGzDecoder::new(decoded)),
            Coding::Deflate => State::Deflate { decoder: None, decoded, complete: false },
            Coding::Brotli => {
                State::Brotli(Box::new(brotli::DecompressorWriter::new(decoded, BROTLI_BUFFER)))
            }
            Coding::Zstd => {
                let decoder = zstd_decoder().map_err(|_| DecodeError::Malformed(coding.name()))?;
                State::Zstd { decoder: Box::new(decoder), decoded, complete: false }
            }
        };
        Ok(Self { coding, state, begun: false })
    }

    /// Decodes the next part of the body; `end` with the last one, which may be empty.
    ///
    /// # Errors
    /// [`DecodeError`]: the rest of the body is of no use then.
    pub(crate) fn push(&mut self, part: &[u8], end: bool) -> Result<WipingBuffer, DecodeError> {
        let name = self.coding.name();
        self.begun |= !part.is_empty();
        let result = self.write(part).map_err(|_| DecodeError::Malformed(name));
        let result = result.and_then(|()| {
            if !end || !self.begun || self.finish() { Ok(()) } else { Err(DecodeError::Truncated(name)) }
        });
        let decoded = self.decoded();
        if decoded.overflown {
            return Err(DecodeError::TooLarge(name));
        }
        result.map(|()| std::mem::take(&mut decoded.plaintext))
    }

    fn write(&mut self, part: &[u8]) -> io::Result<()> {
        match &mut self.state {
            State::Gzip(decoder) => decoder.write_all(part).and_then(|()| decoder.flush()),
            State::Deflate { decoder, decoded, complete } => {
                let Some(first) = part.first() else { return Ok(()) };
                let decoder = decoder.get_or_insert_with(|| Decompress::new(is_zlib(*first)));
                inflate(decoder, part, decoded, complete)
            }
            State::Brotli(decoder) => decoder.write_all(part).and_then(|()| decoder.flush()),
            State::Zstd { decoder, decoded, complete } => unzstd(decoder, part, decoded, complete),
        }
    }

    /// Whether the body was complete.
    fn finish(&mut self) -> bool {
        match &mut self.state {
            State::Gzip(decoder) => decoder.try_finish().is_ok(),
            State::Brotli(decoder) => decoder.close().is_ok(),
            State::Deflate { complete, .. } | State::Zstd { complete, .. } => *complete,
        }
    }

    fn decoded(&mut self) -> &mut Decoded {
        match &mut self.state {
            State::Gzip(decoder) => decoder.get_mut(),
            State::Brotli(decoder) => decoder.get_mut(),
            State::Deflate { decoded, .. } | State::Zstd { decoded, .. } => decoded,
        }
    }
}

/// zlib's format begins with the method 8 and a window of at most 7 (RFC 1950). Raw deflate that begins so would be a
/// stored block with bits in its padding, which no encoder writes.
fn is_zlib(first: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7
}

/// Runs the deflate decoder until it has taken `part` and given all that follows from it.
fn inflate(
    decoder: &mut Decompress,
    mut part: &[u8],
    decoded: &mut Decoded,
    complete: &mut bool,
) -> io::Result<()> {
    let mut step = Zeroizing::new([0; STEP]);
    while !*complete {
        let (taken, given) = (decoder.total_in(), decoder.total_out());
        let status = decoder.decompress(part, &mut step[..], FlushDecompress::None)?;
        *complete = status == Status::StreamEnd;
        let (taken, given) = (decoder.total_in() - taken, (decoder.total_out() - given) as usize);
        part = part.get(taken as usize..).unwrap_or_default();
        decoded.write_all(&step[..given])?;
        if part.is_empty() && given < STEP {
            break;
        }
    }
    Ok(())
}

fn zstd_decoder() -> io::Result<raw::Decoder<'static>> {
    let mut decoder = raw::Decoder::new()?;
    decoder.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
    Ok(decoder)
}

/// Runs the zstd decoder until it has taken `part` and given all that follows from it.
fn unzstd(
    decoder: &mut raw::Decoder<'static>,
    part: &[u8],
    decoded: &mut Decoded,
    complete: &mut bool,
) -> io::Result<()> {
    let mut step = Zeroizing::new([0; STEP]);
    let mut input = InBuffer::around(part);
    loop {
        if input.pos() == part.len() && (*complete || part.is_empty()) {
            return Ok(());
        }
        let mut output = OutBuffer::around(&mut step[..]);
        *complete = decoder.run(&mut input, &mut output)? == 0;
        let given = output.pos();
        decoded.write_all(&step[..given])?;
        if input.pos() == part.len() && given < STEP {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
