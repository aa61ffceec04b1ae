//! A buffer for plaintext that arrives in parts.

use bytes::Bytes;
use zeroize::Zeroizing;

/// A growing buffer that is wiped when it is dropped, and when it grows and moves.
///
/// A `Vec` that grows frees its old memory without wiping it.
#[derive(Default)]
pub struct WipingBuffer(Zeroizing<Vec<u8>>);

impl WipingBuffer {
    /// An empty buffer with capacity for `len` bytes, up to which it does not move.
    pub fn with_capacity(len: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(len)))
    }

    /// Adds a part.
    pub fn extend_from_slice(&mut self, part: &[u8]) {
        let len = self.0.len() + part.len();
        if len > self.0.capacity() {
            let mut grown = Zeroizing::new(Vec::with_capacity(len.max(2 * self.0.capacity())));
            grown.extend_from_slice(&self.0);
            self.0 = grown;
        }
        self.0.extend_from_slice(part);
    }

    /// The bytes, without a copy; the caller is then responsible for wiping them.
    pub fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }

    /// The bytes, to be passed on without a copy; they are wiped when the last part of them is dropped.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

impl From<Vec<u8>> for WipingBuffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// Never fails.
impl std::io::Write for WipingBuffer {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        self.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::ops::Deref for WipingBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl std::ops::DerefMut for WipingBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Shows the length only.
impl std::fmt::Debug for WipingBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WipingBuffer({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_it_was_given_however_often_it_moved() {
        let mut buffer = WipingBuffer::with_capacity(3);
        let all: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        all.chunks(7).for_each(|part| buffer.extend_from_slice(part));
        assert_eq!(*buffer, *all);
        assert_eq!(format!("{buffer:?}"), "WipingBuffer(10000 bytes)");
        let bytes = buffer.into_bytes();
        let (one, other) = (bytes.slice(1..3), bytes.slice(3..));
        drop(bytes);
        assert_eq!((&one[..], other.len()), (&[1, 2][..], 9_997));
    }
}
