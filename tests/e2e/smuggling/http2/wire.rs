//! HTTP/2, written and read frame by frame (RFC 9113), with header fields that are never compressed (RFC 7541, section
//! 6.2.2).

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A header field.
pub(super) type Field<'a> = (&'a str, &'a str);

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn text(block: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 127;
    if text.len() < PREFIX {
        block.push(text.len() as u8);
    } else {
        block.push(PREFIX as u8);
        let mut rest = text.len() - PREFIX;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text.as_bytes());
}

/// A block of header fields, uncompressed.
pub(super) fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// A received frame.
pub(super) struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A client's connection after sending preface and settings.
pub(super) struct Connection(pub TlsStream<TcpStream>);

impl Connection {
    pub(super) async fn open(mut stream: TlsStream<TcpStream>) -> io::Result<Self> {
        stream.write_all(PREFACE).await?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        Ok(Self(stream))
    }

    /// Sends bytes; a closed connection is noticed when the test reads.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
        let _ = self.0.flush().await;
    }

    pub(super) async fn next(&mut self) -> io::Result<Frame> {
        let mut header = [0; 9];
        self.0.read_exact(&mut header).await?;
        let [a, b, c, kind, _, s, t, u, v] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await?;
        Ok(Frame { kind, stream: u32::from_be_bytes([s & 0x7f, t, u, v]), payload })
    }
}

/// The status at the beginning of a response's head: an index of the static table, or three literal digits.
pub(super) fn status(head: &[u8]) -> Option<u16> {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match *head {
        [index @ 0x88..=0x8e, ..] => Some(INDEXED[usize::from(index - 0x88)]),
        [0x08 | 0x18 | 0x48, 3, a, b, c, ..] => std::str::from_utf8(&[a, b, c]).ok()?.parse().ok(),
        [0x08 | 0x18 | 0x48, len, ref rest @ ..] if len & 0x80 != 0 => {
            digits(rest.get(..usize::from(len & 0x7f))?)
        }
        _ => None,
    }
}

/// Three digits in the Huffman code of RFC 7541, appendix B: 0 to 2 have five bits, 3 to 9 six.
fn digits(bytes: &[u8]) -> Option<u16> {
    let bits: Vec<u16> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1))).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let value = |len: usize| Some(bits.get(at..at + len)?.iter().fold(0, |sum, bit| sum * 2 + bit));
        let (digit, len) = match (value(5)?, value(6)) {
            (short @ 0..=2, _) => (short, 5),
            (_, Some(long @ 0x19..=0x1f)) => (long - 0x16, 6),
            _ => return None,
        };
        at += len;
        number = number * 10 + digit;
    }
    Some(number)
}

#[test]
fn statuses_are_read() {
    assert_eq!(status(&[0x88]), Some(200));
    assert_eq!(status(&[0x8c, 1, 2]), Some(400));
    // 302 and 307 from RFC 7541, appendix C.6.
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02, 0x58]), Some(302));
    assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
    assert_eq!(status(&[0x48, 3, b'4', b'3', b'1']), Some(431));
}
