//! Following a connection: HTTP/1.1 cut into messages while it passes, without holding it. Like [`wire`] it
//! reads what the demo's clients and the relay write; what it does not understand it lets pass unseen.

use memchr::memmem;

use crate::wire;

/// The longest head that is followed.
const MAX_HEAD: usize = 64 << 10;

/// What the bytes were.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// A message begins: its head, with the empty line.
    Head(&'a [u8]),
    /// A piece of its body, without the framing of chunks.
    Body(&'a [u8]),
    /// The message is whole.
    End,
}

/// One direction of a connection.
#[derive(Default)]
pub(crate) struct Follower {
    state: State,
    /// Bytes of a head, or of the line before a chunk, that is not whole yet.
    line: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Head,
    /// A body of a known length, of which this many bytes are left.
    Length(u64),
    ChunkSize,
    /// Data of a chunk and the line break after it.
    Chunk(u64),
    Trailers,
    UntilClose,
    Lost,
}

impl Follower {
    /// Whether the next byte begins a message.
    pub(crate) fn is_between(&self) -> bool {
        self.state == State::Head && self.line.is_empty()
    }

    /// Takes the next bytes. `answers_head`: they answer a HEAD request.
    pub(crate) fn push(&mut self, mut bytes: &[u8], answers_head: bool, mut each: impl FnMut(Step<'_>)) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head => self.head(bytes, answers_head, &mut each),
                State::Length(left) => {
                    let (data, rest) = split(bytes, left);
                    each(Step::Body(data));
                    self.state = State::Length(left - data.len() as u64);
                    if self.state == State::Length(0) {
                        self.end(&mut each);
                    }
                    rest
                }
                State::ChunkSize => self.chunk_size(bytes),
                State::Chunk(left) => {
                    let (data, rest) = split(bytes, left);
                    let body = left.saturating_sub(2).min(data.len() as u64) as usize;
                    if body > 0 {
                        each(Step::Body(&data[..body]));
                    }
                    let left = left - data.len() as u64;
                    self.state = if left == 0 { State::ChunkSize } else { State::Chunk(left) };
                    rest
                }
                State::Trailers => self.trailers(bytes, &mut each),
                State::UntilClose => {
                    each(Step::Body(bytes));
                    &[]
                }
                State::Lost => &[],
            };
        }
    }

    /// The connection was closed in this direction.
    pub(crate) fn close(&mut self, mut each: impl FnMut(Step<'_>)) {
        if self.state == State::UntilClose {
            each(Step::End);
        }
        self.state = State::Lost;
    }

    fn end(&mut self, each: &mut impl FnMut(Step<'_>)) {
        self.state = State::Head;
        self.line.clear();
        each(Step::End);
    }

    /// Adds `bytes` to what is there of a line or head, up to `end`; whether it is whole now, and the rest.
    fn gather<'a>(&mut self, bytes: &'a [u8], end: &[u8]) -> (bool, &'a [u8]) {
        let before = self.line.len();
        self.line.extend_from_slice(bytes);
        let from = before.saturating_sub(end.len() - 1);
        match memmem::find(&self.line[from..], end) {
            Some(found) => {
                let len = from + found + end.len();
                self.line.truncate(len);
                (true, &bytes[len - before..])
            }
            None => {
                if self.line.len() > MAX_HEAD {
                    self.state = State::Lost;
                }
                (false, &[])
            }
        }
    }

    fn head<'a>(&mut self, bytes: &'a [u8], answers_head: bool, each: &mut impl FnMut(Step<'_>)) -> &'a [u8] {
        let (whole, rest) = self.gather(bytes, b"\r\n\r\n");
        if !whole {
            return rest;
        }
        let head = std::mem::take(&mut self.line);
        let read = wire::message(&head).filter(|message| message.start.contains("HTTP/1."));
        let Some(message) = read else {
            self.state = State::Lost;
            return &[];
        };
        let answer = message.start.starts_with("HTTP/");
        let bodiless = answer && (answers_head || matches!(message.status(), 100..=199 | 204 | 304));
        let chunked =
            message.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let length = message.header("content-length").and_then(|value| value.parse::<u64>().ok());
        each(Step::Head(&head));
        match length {
            _ if bodiless => self.end(each),
            _ if chunked => self.state = State::ChunkSize,
            Some(length) if length > 0 => self.state = State::Length(length),
            None if answer => self.state = State::UntilClose,
            _ => self.end(each),
        }
        rest
    }

    fn chunk_size<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (whole, rest) = self.gather(bytes, b"\r\n");
        if whole {
            self.state = match wire::chunk(&self.line) {
                Some((_, 0)) => State::Trailers,
                Some((_, size)) => State::Chunk(size as u64 + 2),
                None => State::Lost,
            };
            self.line.clear();
        }
        rest
    }

    fn trailers<'a>(&mut self, bytes: &'a [u8], each: &mut impl FnMut(Step<'_>)) -> &'a [u8] {
        let (whole, rest) = self.gather(bytes, b"\r\n");
        if whole {
            match self.line.as_slice() {
                b"\r\n" => self.end(each),
                _ => self.line.clear(),
            }
        }
        rest
    }
}

fn split(bytes: &[u8], at: u64) -> (&[u8], &[u8]) {
    bytes.split_at(at.min(bytes.len() as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a follower says of `bytes` that come in pieces of `size`, bodies joined.
    fn followed(bytes: &[u8], size: usize, answers_head: bool) -> Vec<String> {
        let mut follower = Follower::default();
        let mut steps: Vec<String> = Vec::new();
        let mut each = |step: Step<'_>| match step {
            Step::Head(head) => steps.push(String::from_utf8_lossy(head).lines().next().unwrap().into()),
            Step::Body(data) => match steps.last_mut() {
                Some(last) if last.starts_with("body ") => last.push_str(&String::from_utf8_lossy(data)),
                _ => steps.push(format!("body {}", String::from_utf8_lossy(data))),
            },
            Step::End => steps.push("end".into()),
        };
        for piece in bytes.chunks(size) {
            follower.push(piece, answers_head, &mut each);
        }
        follower.close(&mut each);
        steps
    }

    #[test]
    fn messages_are_cut_the_same_way_wherever_the_bytes_are_cut() {
        let requests =
            b"POST /a HTTP/1.1\r\ncontent-length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nhost: x\r\n\r\n\
            PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: 1\r\n\r\n\
            GET /d HTTP/1.1\r\n\r\n";
        for size in 1..requests.len() {
            let steps = followed(requests, size, false);
            assert_eq!(
                steps,
                [
                    "POST /a HTTP/1.1",
                    "body hello",
                    "end",
                    "GET /b HTTP/1.1",
                    "end",
                    "PUT /c HTTP/1.1",
                    "body abcde",
                    "end",
                    "GET /d HTTP/1.1",
                    "end"
                ],
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn answers_end_where_they_end() {
        let steps = followed(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end", 7, false);
        assert_eq!(steps, ["HTTP/1.1 204 No Content", "end", "HTTP/1.1 200 OK", "body to the end", "end"]);
        assert_eq!(
            followed(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", 50, true),
            ["HTTP/1.1 200 OK", "end"]
        );
    }

    #[test]
    fn unknown_traffic_passes_unobserved() {
        assert!(followed(b"\x16\x03\x01 no HTTP \r\n\r\n more", 4, false).is_empty());
        let chunks = b"PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nGET / HTTP/1.1\r\n\r\n";
        assert_eq!(followed(chunks, 9, false), ["PUT / HTTP/1.1"]);
    }
}
