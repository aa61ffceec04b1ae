//! The part of HTTP/1.1 that the upstream and the load generator need: a buffered connection, and bodies with a length or in
//! chunks.
//!
//! Both ends are part of this program, so anything unusual is an error.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Result;

/// Header fields of one message.
pub(crate) const MAX_HEADERS: usize = 64;

/// Bytes read at once, and the maximum size of a message's head.
const BUFFER: usize = 256 << 10;

/// A body up to this size is sent in one write with its head.
const JOINED: usize = 64 << 10;

/// One connection with the bytes that were read and not used yet.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    joined: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER], start: 0, end: 0, joined: Vec::new() })
    }

    /// The bytes that were read and not used yet.
    pub(crate) fn unused(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Marks bytes as used.
    pub(crate) fn used(&mut self, len: usize) {
        self.start += len;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads more; `false` at the end of the connection.
    pub(crate) async fn fill(&mut self) -> Result<bool> {
        if self.end == self.buffer.len() {
            if self.start == 0 {
                return Err("a message's head does not fit the buffer".into());
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read = self.stream.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read > 0)
    }

    /// Sends a head and its body.
    pub(crate) async fn send(&mut self, head: &[u8], body: &[u8]) -> Result<()> {
        if body.len() > JOINED {
            self.stream.write_all(head).await?;
            self.stream.write_all(body).await?;
        } else {
            self.joined.clear();
            self.joined.extend_from_slice(head);
            self.joined.extend_from_slice(body);
            self.stream.write_all(&self.joined).await?;
        }
        Ok(())
    }

    /// Reads a body to its end, and passes on each piece as it arrives.
    pub(crate) async fn body(
        &mut self,
        framing: Framing,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut body = Body::new(framing);
        while !body.is_done() {
            let (used, piece) = body.next(self.unused())?;
            if !piece.is_empty() {
                take(piece)?;
            }
            if used > 0 {
                self.used(used);
            } else if !self.fill().await? {
                return Err("the connection ended within a body".into());
            }
        }
        Ok(())
    }
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

impl Framing {
    /// The framing from the header fields; without any, there is no body.
    pub(crate) fn of(headers: &[httparse::Header<'_>]) -> Result<Self> {
        let mut framing = Self::Length(0);
        for header in headers {
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                return Ok(Self::Chunked);
            }
            if header.name.eq_ignore_ascii_case("content-length") {
                framing = Self::Length(std::str::from_utf8(header.value)?.parse()?);
            }
        }
        Ok(framing)
    }
}

/// Parses a body as it arrives.
#[derive(Debug)]
struct Body(State);

#[derive(Debug)]
enum State {
    /// This many bytes, and nothing after them.
    Length(u64),
    /// Before the line with a chunk's size.
    Size,
    /// This many bytes of a chunk.
    Chunk(u64),
    /// Before the line break after a chunk.
    Break,
    /// Trailer lines, up to an empty one.
    Trailer,
    Done,
}

impl Body {
    fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size,
        })
    }

    fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// How many bytes of `input` are used, and the piece of the body among them. If none are used, more input is needed.
    fn next<'a>(&mut self, input: &'a [u8]) -> Result<(usize, &'a [u8])> {
        match self.0 {
            State::Done => Ok((0, &[])),
            State::Length(left) | State::Chunk(left) => {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let left = left - len as u64;
                self.0 = match self.0 {
                    State::Length(_) if left == 0 => State::Done,
                    State::Length(_) => State::Length(left),
                    _ if left == 0 => State::Break,
                    _ => State::Chunk(left),
                };
                Ok((len, &input[..len]))
            }
            State::Size | State::Break | State::Trailer => {
                let Some(len) = input.iter().position(|byte| *byte == b'\n') else { return Ok((0, &[])) };
                let line = input[..len].trim_ascii();
                self.0 = match self.0 {
                    State::Size => match chunk_size(line)? {
                        0 => State::Trailer,
                        size => State::Chunk(size),
                    },
                    State::Break if line.is_empty() => State::Size,
                    State::Break => return Err("a chunk is longer than its size".into()),
                    _ if line.is_empty() => State::Done,
                    _ => State::Trailer,
                };
                Ok((len + 1, &[]))
            }
        }
    }
}

fn chunk_size(line: &[u8]) -> Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    Ok(u64::from_str_radix(std::str::from_utf8(digits)?, 16)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` in pieces of `step` bytes; returns the body and how much was used.
    fn read(framing: Framing, wire: &[u8], step: usize) -> (Vec<u8>, usize) {
        let (mut body, mut out) = (Body::new(framing), Vec::new());
        let (mut start, mut end) = (0, 0);
        while !body.is_done() {
            let (used, piece) = body.next(&wire[start..end]).unwrap();
            out.extend_from_slice(piece);
            start += used;
            if used == 0 {
                assert!(end < wire.len(), "the body does not end");
                end = wire.len().min(end + step);
            }
        }
        (out, start)
    }

    #[test]
    fn bodies_come_out_the_same_however_they_are_cut() {
        let chunked = b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nname: value\r\n\r\nHTTP";
        for step in 1..chunked.len() {
            assert_eq!(read(Framing::Chunked, chunked, step), (b"abc0123456789".to_vec(), chunked.len() - 4));
            assert_eq!(read(Framing::Length(5), b"abcdeHTTP", step), (b"abcde".to_vec(), 5));
        }
        assert_eq!(read(Framing::Length(0), b"HTTP", 1), (vec![], 0));
    }

    #[test]
    fn a_chunk_that_does_not_keep_to_its_size_is_an_error() {
        let mut body = Body::new(Framing::Chunked);
        assert_eq!(body.next(b"1\r\nab\r\n").unwrap(), (3, &b""[..]));
        assert_eq!(body.next(b"ab\r\n").unwrap(), (1, &b"a"[..]));
        assert!(body.next(b"b\r\n").is_err());
        assert!(Body::new(Framing::Chunked).next(b"xyz\r\n").is_err());
    }

    #[test]
    fn chunked_encoding_takes_precedence_over_a_length() {
        let header = |name, value| httparse::Header { name, value };
        let both = [header("Content-Length", b"5"), header("Transfer-Encoding", b"chunked")];
        assert_eq!(Framing::of(&both).unwrap(), Framing::Chunked);
        assert_eq!(Framing::of(&both[..1]).unwrap(), Framing::Length(5));
        assert_eq!(Framing::of(&[]).unwrap(), Framing::Length(0));
    }
}
