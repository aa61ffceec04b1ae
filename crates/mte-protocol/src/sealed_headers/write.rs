//! Writing a sealed header map, straight into the bytes that will be sealed.

use std::fmt;
use std::io::Write as _;

use mte_codec::WipingBuffer;

use super::{AUTHORITY, METHOD, REQUEST, STATUS};

/// Writes the JSON of a sealed header map (docs/protocol.md, sections 3 and 4).
///
/// Names go out in lower case. What is written is always JSON; whether names and values are fit for HTTP is
/// the caller's to know, and the reader's to check. A name that is given twice replaces the first for the
/// reader: join values with [`joined`](Self::joined).
pub struct SealedHeadersWriter {
    json: WipingBuffer,
}

impl SealedHeadersWriter {
    /// An empty map, with capacity for some headers.
    pub fn new() -> Self {
        Self::in_buffer(Vec::with_capacity(512))
    }

    /// An empty map after what `buffer` already holds.
    pub fn in_buffer(buffer: Vec<u8>) -> Self {
        let mut json = WipingBuffer::from(buffer);
        json.extend_from_slice(b"{");
        Self { json }
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        self.joined(name, [value]);
    }

    /// Adds a header of several values, joined with `, ` as HTTP joins repeated headers.
    pub fn joined<'v>(&mut self, name: &str, values: impl IntoIterator<Item = &'v [u8]>) {
        self.name(name);
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.json.extend_from_slice(b", ");
            }
            self.escaped(value);
        }
        self.json.extend_from_slice(b"\"");
    }

    /// Binds the request's method.
    pub fn method(&mut self, method: &str) {
        self.header(METHOD, method.as_bytes());
    }

    /// Binds the request's authority, which must be in its normal form: lower-case host, default port left
    /// out.
    pub fn authority(&mut self, authority: &str) {
        self.header(AUTHORITY, authority.as_bytes());
    }

    /// Binds the response's status.
    pub fn status(&mut self, status: u16) {
        self.number(STATUS, status.into());
    }

    /// Binds a response to its request, by the number of the request's first message.
    pub fn request(&mut self, number: u64) {
        self.number(REQUEST, number);
    }

    /// Closes the map and gives back the buffer.
    pub fn finish(mut self) -> Vec<u8> {
        self.json.extend_from_slice(b"}");
        self.json.into_vec()
    }

    fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        // Writing to memory never fails.
        let _ = write!(self.json, "{number}\"");
    }

    /// Writes `"name":"`.
    fn name(&mut self, name: &str) {
        if self.json.last() != Some(&b'{') {
            self.json.extend_from_slice(b",");
        }
        self.json.extend_from_slice(b"\"");
        let start = self.json.len();
        self.escaped(name.as_bytes());
        self.json[start..].make_ascii_lowercase();
        self.json.extend_from_slice(b"\":\"");
    }

    /// Writes each byte as the character of that number, in UTF-8.
    fn escaped(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            let plain = rest.iter().take_while(|byte| is_plain(**byte)).count();
            let (run, tail) = rest.split_at(plain);
            self.json.extend_from_slice(run);
            let Some((&byte, tail)) = tail.split_first() else { return };
            match byte {
                b'"' | b'\\' => self.json.extend_from_slice(&[b'\\', byte]),
                0x80.. => self.json.extend_from_slice(&[0xc0 | byte >> 6, 0x80 | byte & 0x3f]),
                _ => {
                    // Writing to memory never fails.
                    let _ = write!(self.json, "\\u{byte:04x}");
                }
            }
            rest = tail;
        }
    }
}

impl Default for SealedHeadersWriter {
    fn default() -> Self {
        Self::new()
    }
}

/// Prints how much has been written, and none of it.
impl fmt::Debug for SealedHeadersWriter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SealedHeadersWriter({} bytes)", self.json.len())
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=0x7e) && byte != b'"' && byte != b'\\'
}
