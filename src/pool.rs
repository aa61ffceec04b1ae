//! The codec pool: ready buffers for messages, taken per request and returned wiped.
//!
//! If the pool is empty, a transient instance is created and counted; taking an instance never blocks and never fails.

use std::sync::Arc;

use bytes::BytesMut;
use mte_codec::{FRAME_OVERHEAD, MAX_FRAME};
use parking_lot::Mutex;

use crate::telemetry::PoolMetrics;

/// The size of the largest frame.
const FRAME_ROOM: usize = MAX_FRAME + FRAME_OVERHEAD;

/// The pool of one relay.
#[derive(Debug)]
pub struct CodecPool {
    ready: Mutex<Vec<Buffers>>,
    size: usize,
    metrics: PoolMetrics,
}

#[derive(Debug)]
struct Buffers {
    frame: BytesMut,
}

impl Buffers {
    fn new() -> Self {
        // Its memory is allocated at the first use, and kept.
        Self { frame: BytesMut::new() }
    }
}

impl CodecPool {
    /// A pool of `size` ready instances. The one returned last is taken first, so that no more memory is in use than the
    /// busiest moment required.
    pub fn new(size: usize, metrics: PoolMetrics) -> Self {
        let ready = (0..size).map(|_| Buffers::new()).collect();
        metrics.size.set(size as i64);
        Self { ready: Mutex::new(ready), size, metrics }
    }

    /// Takes an instance.
    pub fn take(self: &Arc<Self>) -> FrameBuffer {
        let ready = self.ready.lock().pop();
        let pooled = ready.is_some();
        if pooled {
            self.metrics.hits.inc();
        } else {
            self.metrics.misses.inc();
        }
        FrameBuffer { buffers: Some(ready.unwrap_or_else(Buffers::new)), used: 0, pooled, pool: self.clone() }
    }

    /// Number of instances that are ready.
    pub fn ready(&self) -> usize {
        self.ready.lock().len()
    }

    /// Number of instances that the pool keeps.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Number of transient instances created so far because the pool was empty.
    pub fn transient(&self) -> u64 {
        self.metrics.misses.get()
    }
}

/// An instance in use; dropping it returns it.
#[derive(Debug)]
pub struct FrameBuffer {
    buffers: Option<Buffers>,
    /// The most bytes the frame buffer held, which are the bytes to wipe.
    used: usize,
    pooled: bool,
    pool: Arc<CodecPool>,
}

impl FrameBuffer {
    /// Lends the frame buffer out, to an opener; [`FrameBuffer::restore`] takes it back.
    pub fn lend(&mut self) -> BytesMut {
        let mut frame =
            self.buffers.as_mut().map(|buffers| std::mem::take(&mut buffers.frame)).unwrap_or_default();
        frame.reserve(FRAME_ROOM);
        frame
    }

    /// Takes the frame buffer back, with the most bytes it held.
    pub fn restore(&mut self, frame: BytesMut, used: usize) {
        self.used = self.used.max(used);
        if let Some(buffers) = &mut self.buffers {
            buffers.frame = frame;
        }
    }
}

impl Drop for FrameBuffer {
    fn drop(&mut self) {
        let Some(mut buffers) = self.buffers.take() else { return };
        buffers.frame.clear();
        // Opened data may still be on its way to the upstream; then its memory cannot be reused.
        if buffers.frame.try_reclaim(FRAME_ROOM) {
            // The used part is wiped with zeros; the memory stays in use, so the compiler does not remove the writes.
            buffers.frame.resize(self.used.min(buffers.frame.capacity()), 0);
            buffers.frame.clear();
        } else {
            buffers = Buffers::new();
        }
        if !self.pooled {
            return;
        }
        let mut ready = self.pool.ready.lock();
        if ready.len() < self.pool.size {
            ready.push(buffers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_pool_makes_transient_instances_and_counts_them() {
        let pool = Arc::new(CodecPool::new(1, crate::telemetry::Metrics::default().pool));
        let (first, second) = (pool.take(), pool.take());
        assert_eq!((pool.ready(), pool.transient()), (0, 1));
        drop((first, second));
        assert_eq!((pool.ready(), pool.transient()), (1, 1));
    }

    #[test]
    fn an_instance_is_returned_empty_and_with_space_for_a_frame() {
        let pool = Arc::new(CodecPool::new(1, crate::telemetry::Metrics::default().pool));
        let mut codec = pool.take();
        let mut frame = codec.lend();
        frame.extend_from_slice(b"plaintext");
        let handed_out = frame.split_to(5).freeze();
        codec.restore(frame, 9);
        drop(codec);
        assert_eq!(&handed_out[..], b"plain");
        let frame = pool.take().lend();
        assert!(frame.is_empty() && frame.capacity() >= FRAME_ROOM);
    }
}
