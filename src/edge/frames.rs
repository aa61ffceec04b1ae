//! HTTP/2 frames on their way to a client, read just far enough to see the ones that refuse something (RFC 9113,
//! sections 6.4 and 6.8): RST_STREAM and GOAWAY with a code that blames the client.

const FRAME_HEADER: usize = 9;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// Looks for refusals in a stream of frames, cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// A frame's header, and of the two kinds above the first eight bytes of what follows.
    start: Vec<u8>,
    /// Bytes of the frame that are of no interest.
    skip: usize,
}

impl Refusals {
    /// What the next bytes refuse, if they do; of several, the last.
    pub(super) fn find(&mut self, mut part: &[u8]) -> Option<&'static str> {
        let mut found = None;
        loop {
            let skipped = self.skip.min(part.len());
            self.skip -= skipped;
            part = &part[skipped..];
            if part.is_empty() {
                return found;
            }
            let wanted = self.wanted();
            let taken = (wanted - self.start.len()).min(part.len());
            self.start.extend_from_slice(&part[..taken]);
            part = &part[taken..];
            if self.start.len() == self.wanted() {
                found = self.verdict().or(found);
                self.skip = self.payload() - (self.start.len() - FRAME_HEADER);
                self.start.clear();
            }
        }
    }

    fn payload(&self) -> usize {
        self.start.first_chunk::<3>().map_or(0, |&[a, b, c]| u32::from_be_bytes([0, a, b, c]) as usize)
    }

    /// How much of this frame is to be looked at.
    fn wanted(&self) -> usize {
        let more = match self.start.get(3) {
            Some(&RST_STREAM) => 4,
            Some(&GOAWAY) => 8,
            _ => 0,
        };
        FRAME_HEADER + more.min(self.payload())
    }

    fn verdict(&self) -> Option<&'static str> {
        let code = u32::from_be_bytes(*self.start.get(FRAME_HEADER..)?.last_chunk::<4>()?);
        match code {
            1 => Some("a protocol error"),
            3 => Some("a flow control error"),
            5 => Some("a frame on a closed stream"),
            6 => Some("a frame of a wrong size"),
            9 => Some("header fields that do not decompress"),
            11 => Some("too much of something (ENHANCE_YOUR_CALM)"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 1]);
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
    fn a_graceful_end_is_no_refusal() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.find(&frame(GOAWAY, &[0, 0, 0, 5, 0, 0, 0, 0])), None);
        assert_eq!(refusals.find(&frame(RST_STREAM, &[0, 0, 0, 8])), None);
        assert_eq!(
            refusals.find(&frame(GOAWAY, &[0, 0, 0, 5, 0, 0, 0, 11, b'x'])),
            Some("too much of something (ENHANCE_YOUR_CALM)")
        );
        assert_eq!(refusals.find(&frame(RST_STREAM, &[0, 0, 0, 1])), Some("a protocol error"));
    }
}
