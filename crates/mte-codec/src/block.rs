//! Memory for the large pieces of a message: each thread keeps some blocks ready, so that a frame needs neither fresh pages of
//! the system nor zeros written over them.
//!
//! Blocks hold ciphertext only, so they are not wiped.

use std::cell::RefCell;

use bytes::Bytes;

use crate::{FRAME_OVERHEAD, HEADER_LEN, MAX_FRAME};

/// What a block has space for: a message's header and a frame of the largest size.
const MAX_LEN: usize = HEADER_LEN + MAX_FRAME + FRAME_OVERHEAD;
/// Where in its memory a block begins. Copying is slow on some processors where the target lies a few bytes past the source,
/// modulo 4,096; what is copied out of a block mostly goes to the start of other memory.
const START: usize = 2048;
/// Shorter pieces are allocated as they are needed.
const MIN_LEN: usize = 8 << 10;
/// Blocks that a thread keeps.
const MAX_KEPT: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Memory to write to. It holds what was there before.
pub(crate) struct Block {
    memory: Box<[u8]>,
    start: usize,
    len: usize,
}

impl Block {
    /// A block of `len` bytes.
    pub(crate) fn new(len: usize) -> Self {
        if !(MIN_LEN..=MAX_LEN).contains(&len) {
            return Self { memory: vec![0; len].into(), start: 0, len };
        }
        let kept = KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
        Self { memory: kept.unwrap_or_else(|| vec![0; START + MAX_LEN].into()), start: START, len }
    }

    /// Its bytes.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.len]
    }

    /// What was written. The block is kept once that is no longer used.
    pub(crate) fn freeze(mut self) -> Bytes {
        if self.start == 0 {
            return std::mem::take(&mut self.memory).into();
        }
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.memory[self.start..][..self.len]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.memory.len() != START + MAX_LEN {
            return;
        }
        let memory = std::mem::take(&mut self.memory);
        // At the end of a thread there is nothing to keep it in.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < MAX_KEPT {
                kept.push(memory);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_kept_up_to_a_number_and_used_again() {
        let address = |bytes: &Bytes| bytes.as_ptr() as usize;
        let first = Block::new(MIN_LEN).freeze();
        let (place, len) = (address(&first), first.len());
        assert_eq!(len, MIN_LEN);
        let part = first.slice(1..3);
        drop(first);
        assert_ne!(address(&Block::new(MIN_LEN).freeze()), place, "a part of it is still used");
        drop(part);
        let blocks: Vec<Bytes> = (0..2 * MAX_KEPT).map(|_| Block::new(MAX_LEN).freeze()).collect();
        assert!(blocks.iter().any(|block| address(block) == place));
        drop(blocks);
        assert_eq!(KEPT.with_borrow(Vec::len), MAX_KEPT);
    }

    #[test]
    fn other_sizes_are_not_kept() {
        for len in [0, 1, MIN_LEN - 1, MAX_LEN + 1] {
            let mut block = Block::new(len);
            block.bytes().fill(7);
            assert_eq!(block.freeze(), vec![7; len]);
        }
        assert_eq!(KEPT.with_borrow(Vec::len), 0);
    }
}
