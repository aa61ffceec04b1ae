//! The request line of an HTTP/1.1 head, as received.
//!
//! Pingora repairs a line that does not parse: it percent-encodes spaces and control characters in the target, and the
//! original can no longer be checked afterwards. A parser that splits the line differently (at the first or at the last
//! space) would see another target. So spaces are counted here, below Pingora; the gateway refuses the request.

/// A line has two spaces: between method, target and version.
const BLANKS: u32 = 2;

/// One request line.
#[derive(Debug, Default)]
pub(super) struct RequestLine {
    /// Something other than an empty line was received.
    begun: bool,
    ended: bool,
    blanks: u32,
    stray: bool,
}

impl RequestLine {
    /// Reads more bytes; returns whether the line has had too many spaces, or a control character, so far.
    pub(super) fn read(&mut self, part: &[u8]) -> bool {
        if self.ended {
            return self.stray;
        }
        let mut line = part;
        if !self.begun {
            // Empty lines before it are ignored (RFC 9112, section 2.2).
            let Some(start) = part.iter().position(|byte| !matches!(byte, b'\r' | b'\n')) else {
                return false;
            };
            line = &part[start..];
            self.begun = true;
        }
        if let Some(end) = memchr::memchr(b'\n', line) {
            line = &line[..end];
            self.ended = true;
        }
        for byte in line {
            self.blanks += u32::from(*byte == b' ');
            self.stray |= byte.is_ascii_control() && *byte != b'\r';
        }
        self.stray |= self.blanks > BLANKS;
        self.stray
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_two_spaces_however_it_is_split() {
        for (line, stray) in [
            ("GET / HTTP/1.1\r\nhost: a b c d\r\n\r\n", false),
            ("\r\n\r\nGET / HTTP/1.1\r\n", false),
            ("GET /a b HTTP/1.1\r\n", true),
            ("GET  / HTTP/1.1\r\n", true),
            ("GET / HTTP/1.1 \r\n", true),
            ("GET /a\tb HTTP/1.1\r\n", true),
        ] {
            assert_eq!(RequestLine::default().read(line.as_bytes()), stray, "{line:?}");
            let mut cut = RequestLine::default();
            let last = line.bytes().map(|byte| cut.read(&[byte])).last();
            assert_eq!(last, Some(stray), "{line:?}");
        }
    }
}
