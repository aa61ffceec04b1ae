//! Observes HTTP/2 frames in both directions, just enough to detect a head that does not end, and refusals that Pingora
//! makes without the gateway (RFC 9113, sections 4.1, 6.4 and 6.8): RST_STREAM and GOAWAY with a code that blames the
//! client, and responses that consist of only a status.

const FRAME_HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The client's connection preface.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A response head with more than its status is longer, because it has the request's id.
const MAX_STATUS: usize = 8;

/// Number of streams that are remembered: more than a connection has at a time. Streams that the client resets are not
/// observed.
const MAX_RESPONDING: usize = 256;

/// The beginning of a frame.
struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    /// Length of the whole payload.
    len: usize,
    /// The beginning of the payload, as much as is kept for this kind of frame.
    payload: &'a [u8],
}

/// Finds frames in a byte stream that arrives in arbitrary parts.
#[derive(Debug, Default)]
struct Frames {
    start: Vec<u8>,
    /// Remaining bytes of the frame that are skipped.
    skip: usize,
}

impl Frames {
    /// Calls `see` for each frame of which enough has now arrived; `kept` is the number of payload bytes to keep, by kind of
    /// frame.
    fn read(&mut self, mut part: &[u8], kept: fn(u8) -> usize, mut see: impl FnMut(Frame<'_>)) {
        loop {
            let skipped = self.skip.min(part.len());
            self.skip -= skipped;
            part = &part[skipped..];
            if part.is_empty() {
                return;
            }
            let wanted = self.wanted(kept);
            let taken = (wanted - self.start.len()).min(part.len());
            self.start.extend_from_slice(&part[..taken]);
            part = &part[taken..];
            if self.start.len() == self.wanted(kept)
                && let &[a, b, c, kind, flags, s, t, u, v, ref payload @ ..] = &self.start[..]
            {
                let len = u32::from_be_bytes([0, a, b, c]) as usize;
                let stream = u32::from_be_bytes([s & 0x7f, t, u, v]);
                see(Frame { kind, flags, stream, len, payload });
                self.skip = len - payload.len();
                self.start.clear();
            }
        }
    }

    /// How many bytes of this frame are inspected, including its header.
    fn wanted(&self, kept: fn(u8) -> usize) -> usize {
        let payload = match self.start.get(..4) {
            Some(&[a, b, c, kind]) => kept(kind).min(u32::from_be_bytes([0, a, b, c]) as usize),
            _ => 0,
        };
        FRAME_HEADER + payload
    }

    /// Whether a frame has begun and is not complete; with its kind, if that has arrived.
    fn begun(&self) -> Option<u8> {
        self.start.get(3).copied()
    }
}

/// The client's bytes do not begin with the preface of HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not HTTP/2, which was negotiated")]
pub(super) struct NoPreface;

/// Finds request heads in the client's bytes.
#[derive(Debug)]
pub(super) struct Heads {
    /// The part of the preface that has not arrived yet.
    preface: &'static [u8],
    frames: Frames,
    /// A head has begun, but not its last frame.
    open: bool,
    /// The last frame of a head has begun.
    ending: bool,
    ended: u64,
}

impl Default for Heads {
    fn default() -> Self {
        // The preface and the frame after it count as a head.
        Self { preface: PREFACE, frames: Frames::default(), open: true, ending: false, ended: 0 }
    }
}

impl Heads {
    /// Takes bytes from the client.
    ///
    /// # Errors
    /// They do not begin with the preface.
    pub(super) fn read(&mut self, part: &[u8]) -> Result<(), NoPreface> {
        let (preface, part) = part.split_at(self.preface.len().min(part.len()));
        let (expected, rest) = self.preface.split_at(preface.len());
        self.preface = rest;
        if preface != expected {
            return Err(NoPreface);
        }
        let Self { frames, open, ending, ended, .. } = self;
        frames.read(
            part,
            |_| 0,
            |frame| {
                *ended += u64::from(std::mem::take(ending));
                let first = *ended == 0;
                match frame.kind {
                    _ if first => (*open, *ending) = (false, true),
                    HEADERS | CONTINUATION => {
                        *ending = frame.flags & END_HEADERS != 0;
                        *open = !*ending;
                    }
                    _ => {}
                }
            },
        );
        if frames.skip == 0 {
            *ended += u64::from(std::mem::take(ending));
        }
        Ok(())
    }

    /// If a head has begun and is not complete, the number of heads before it.
    pub(super) fn awaited(&self) -> Option<u64> {
        let begun = matches!(self.frames.begun(), Some(HEADERS | CONTINUATION));
        (self.open || self.ending || begun).then_some(self.ended)
    }
}

/// Finds refusals in the bytes sent to a client.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    frames: Frames,
    /// Streams with a response head and no end yet: further header blocks are trailers.
    responding: Vec<u32>,
}

impl Refusals {
    /// The refusal in the next bytes, if there is one; of several, the last.
    pub(super) fn find(&mut self, part: &[u8]) -> Option<&'static str> {
        let Self { frames, responding } = self;
        let mut found = None;
        let kept = |kind| match kind {
            RST_STREAM => 4,
            GOAWAY => 8,
            HEADERS => MAX_STATUS,
            _ => 0,
        };
        frames.read(part, kept, |frame| {
            let ends = matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0;
            let known = responding.iter().position(|stream| *stream == frame.stream);
            match frame.kind {
                RST_STREAM | GOAWAY => found = blames(frame.payload).or(found),
                HEADERS if known.is_none() && ends && frame.len <= MAX_STATUS => {
                    found = Some(status_only(frame.payload));
                }
                HEADERS if known.is_none() && !ends => {
                    if responding.len() == MAX_RESPONDING {
                        responding.remove(0);
                    }
                    responding.push(frame.stream);
                }
                _ => {}
            }
            if let Some(known) = known
                && (ends || frame.kind == RST_STREAM)
            {
                responding.remove(known);
            }
        });
        found
    }
}

/// A response that is only a status, compressed: 400 has an index in the static table; no other status that is sent
/// alone has one.
fn status_only(head: &[u8]) -> &'static str {
    const BAD_REQUEST: u8 = 0x8c;
    if head.ends_with(&[BAD_REQUEST]) {
        "an ambiguous host or target, answered with 400"
    } else {
        "too many or too large header fields, answered with 431"
    }
}

fn blames(payload: &[u8]) -> Option<&'static str> {
    match u32::from_be_bytes(*payload.last_chunk()?) {
        1 => Some("a protocol error"),
        3 => Some("a flow control error"),
        5 => Some("a frame on a closed stream"),
        6 => Some("a frame of a wrong size"),
        9 => Some("header fields that do not decompress"),
        11 => Some("too much of something (ENHANCE_YOUR_CALM)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        flagged(kind, 0, payload)
    }

    fn flagged(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn a_refusal_is_found_between_other_frames_however_they_are_cut() {
        let data = frame(0, &[9; 300]);
        let stream =
            [frame(4, &[]), data.clone(), frame(RST_STREAM, &[0, 0, 0, 1]), data, frame(8, &[0; 4])].concat();
        for size in [1, 2, 7, 9, 13, stream.len()] {
            let mut refusals = Refusals::default();
            let found: Vec<_> = stream.chunks(size).filter_map(|part| refusals.find(part)).collect();
            assert_eq!(found, ["a protocol error"], "in parts of {size}");
        }
    }

    #[test]
    fn a_graceful_end_is_not_a_refusal() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.find(&frame(GOAWAY, &[0, 0, 0, 5, 0, 0, 0, 0])), None);
        assert_eq!(refusals.find(&frame(RST_STREAM, &[0, 0, 0, 8])), None);
        assert_eq!(
            refusals.find(&frame(GOAWAY, &[0, 0, 0, 5, 0, 0, 0, 11, b'x'])),
            Some("too much of something (ENHANCE_YOUR_CALM)")
        );
        assert_eq!(refusals.find(&frame(RST_STREAM, &[0, 0, 0, 1])), Some("a protocol error"));
    }

    #[test]
    fn a_status_alone_is_a_refusal_and_trailers_are_not() {
        let (bad, large) = (flagged(HEADERS, 5, &[0x8c]), flagged(HEADERS, 5, &[0x48, 0x82, 0x64, 0x02]));
        assert!(Refusals::default().find(&bad).unwrap().contains("400"));
        assert!(Refusals::default().find(&large).unwrap().contains("431"));
        assert_eq!(Refusals::default().find(&flagged(HEADERS, 5, &[0x8c; 20])), None);
        let mut refusals = Refusals::default();
        let response = [flagged(HEADERS, 4, &[0x88; 20]), frame(DATA, b"x"), flagged(HEADERS, 5, &[0xbe])];
        assert_eq!(refusals.find(&response.concat()), None);
        assert!(refusals.responding.is_empty());
        assert!(refusals.find(&flagged(HEADERS, 5, &[0xbe])).is_some());
    }

    #[test]
    fn a_head_is_awaited_from_its_first_frame_to_the_end_of_its_last() {
        let preface = [PREFACE, &frame(4, &[0; 6])].concat();
        let head = [flagged(HEADERS, 0, &[1; 10]), flagged(CONTINUATION, END_HEADERS, &[2; 5])].concat();
        let mut heads = Heads::default();
        for byte in &preface {
            assert_eq!(heads.awaited(), Some(0));
            heads.read(&[*byte]).unwrap();
        }
        assert_eq!(heads.awaited(), None);
        for count in 1..3 {
            heads.read(&frame(DATA, b"some data")[..12]).unwrap();
            assert_eq!(heads.awaited(), None, "data frames have no deadline");
            heads.read(&frame(DATA, b"some data")[12..]).unwrap();
            heads.read(&head[..4]).unwrap();
            for byte in &head[4..] {
                assert_eq!(heads.awaited(), Some(count));
                heads.read(&[*byte]).unwrap();
            }
            assert_eq!(heads.awaited(), None);
        }
        heads.read(&[&head[..], &head[..20]].concat()).unwrap();
        assert!(Heads::default().read(b"GET / HTTP/1.1").is_err());
        assert_eq!(heads.awaited(), Some(4), "the next head has begun where the last one ended");
    }
}
