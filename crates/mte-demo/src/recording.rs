//! What the eavesdropper keeps: the beginning of what passed each way, how much it was, and which secrets were in it.

use std::time::Instant;

use memchr::memmem::Finder;

use crate::{tap::Direction, wire};

/// How many bytes of each direction are kept; the rest is searched and counted.
const KEPT: usize = 256 << 10;

/// For how many pieces the time is kept.
const PIECES: usize = 100;

/// One way of a recording.
#[derive(Default)]
pub(crate) struct Track {
    /// Bytes that passed.
    pub(crate) total: u64,
    /// The first of them.
    pub(crate) start: Vec<u8>,
    /// When the first pieces passed, and how many bytes each had.
    pieces: Vec<(Instant, usize)>,
    /// The last bytes that were searched: a secret may lie across two pieces.
    tail: Vec<u8>,
}

impl Track {
    /// When the first piece passed that did so after `since`, and how many bytes it had.
    pub(crate) fn piece_after(&self, since: Instant) -> Option<(Instant, usize)> {
        self.pieces.iter().find(|(at, _)| *at >= since).copied()
    }
}

/// Both ways.
#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) to_relay: Track,
    pub(crate) to_client: Track,
    secrets: Vec<Secret>,
}

struct Secret {
    text: String,
    finder: Finder<'static>,
    found: bool,
}

impl Recording {
    pub(crate) fn new(secrets: &[&str]) -> Self {
        let secret = |text: &&str| Secret {
            text: (*text).to_owned(),
            finder: Finder::new(*text).into_owned(),
            found: false,
        };
        Self { secrets: secrets.iter().map(secret).collect(), ..Self::default() }
    }

    pub(crate) fn push(&mut self, direction: Direction, bytes: &[u8]) {
        let track = match direction {
            Direction::ToRelay => &mut self.to_relay,
            Direction::ToClient => &mut self.to_client,
        };
        track.total += bytes.len() as u64;
        if track.pieces.len() < PIECES {
            track.pieces.push((Instant::now(), bytes.len()));
        }
        let room = KEPT.saturating_sub(track.start.len()).min(bytes.len());
        track.start.extend_from_slice(&bytes[..room]);

        let longest = self.secrets.iter().map(|secret| secret.text.len()).max().unwrap_or_default();
        if longest == 0 {
            return;
        }
        track.tail.extend_from_slice(bytes);
        for secret in self.secrets.iter_mut().filter(|secret| !secret.found) {
            secret.found = secret.finder.find(&track.tail).is_some();
        }
        let done = track.tail.len().saturating_sub(longest - 1);
        track.tail.drain(..done);
    }

    /// Bytes that passed either way.
    pub(crate) fn total(&self) -> u64 {
        self.to_relay.total + self.to_client.total
    }

    /// The secrets that were looked for.
    pub(crate) fn looked_for(&self) -> usize {
        self.secrets.len()
    }

    /// Those of them that passed: as they are, in any byte of either direction, or in what the base64 of a URL or
    /// header stands for.
    pub(crate) fn found(&self) -> Vec<&str> {
        let decoded: Vec<Vec<u8>> = [&self.to_relay, &self.to_client]
            .iter()
            .flat_map(|track| wire::messages(&track.start))
            .flat_map(|message| message.decoded())
            .collect();
        let inside = |secret: &Secret| decoded.iter().any(|bytes| secret.finder.find(bytes).is_some());
        self.secrets
            .iter()
            .filter(|secret| secret.found || inside(secret))
            .map(|secret| secret.text.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_across_pieces_and_beyond_what_is_kept() {
        let mut recording = Recording::new(&["needle", "in haystack"]);
        recording.push(Direction::ToClient, &vec![b'x'; KEPT + 10]);
        recording.push(Direction::ToClient, b"nee");
        recording.push(Direction::ToRelay, b"dle");
        assert!(recording.found().is_empty(), "the directions are two streams");
        recording.push(Direction::ToClient, b"dle");
        assert_eq!(recording.found(), ["needle"]);
        assert_eq!(recording.to_client.start.len(), KEPT);
        assert_eq!(recording.total(), KEPT as u64 + 19);
    }

    #[test]
    fn a_base64_encoded_secret_is_found() {
        let mut recording = Recording::new(&["needle"]);
        let value = mte_protocol::text::encode(b"a needle");
        recording.push(
            Direction::ToRelay,
            format!("GET / HTTP/1.1\r\nx-mte-relay-eh: {value}\r\n\r\n").as_bytes(),
        );
        assert_eq!(recording.found(), ["needle"]);
    }
}
