//! Cores for work that clients can request without authentication: the key exchanges of pairing. At most half of
//! the workers do it at a time, so that requests of paired clients continue; a bounded number of exchanges is queued, and
//! any more are refused immediately.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Number of pairs that may wait for each core: a fraction of a second of work.
const WAITING_PER_CORE: usize = 2_048;

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

/// The queue of one relay.
#[derive(Debug)]
pub struct WorkQueue {
    cores: Semaphore,
    waiting: AtomicUsize,
    max_waiting: usize,
}

impl WorkQueue {
    /// A queue for a relay with this many workers.
    pub fn new(workers: usize) -> Self {
        let cores = workers.div_ceil(2).max(1);
        Self::with(cores, cores * WAITING_PER_CORE)
    }

    fn with(cores: usize, max_waiting: usize) -> Self {
        Self { cores: Semaphore::new(cores), waiting: AtomicUsize::new(0), max_waiting }
    }

    /// A core for creating `pairs` pairs, until the permit is dropped.
    ///
    /// # Errors
    /// [`QueueFull`] if too many would wait.
    pub async fn core(&self, pairs: usize) -> Result<SemaphorePermit<'_>, QueueFull> {
        if let Ok(permit) = self.cores.try_acquire() {
            return Ok(permit);
        }
        let fits = |waiting: usize| waiting.checked_add(pairs).filter(|sum| *sum <= self.max_waiting);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| QueueFull)?;
        // Also released if the request is dropped while it waits.
        let _waits = Waits(&self.waiting, pairs);
        self.cores.acquire().await.map_err(|_| QueueFull)
    }
}

struct Waits<'a>(&'a AtomicUsize, usize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn at_most_half_of_the_workers_create_pairs() {
        for (workers, cores) in [(1, 1), (2, 1), (5, 3)] {
            let queue = WorkQueue::new(workers);
            let taken: Vec<_> = (0..workers).filter_map(|_| queue.core(1).now_or_never()).collect();
            assert_eq!(taken.len(), cores, "of {workers}");
        }
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_every_waiting_exchange_is_served() {
        let queue = WorkQueue::with(1, 10);
        let first = queue.core(1).await.unwrap();
        let mut second = Box::pin(queue.core(8));
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(queue.core(3).await.unwrap_err(), QueueFull);
        let third = Box::pin(queue.core(2));
        drop(third);
        drop(first);
        assert!(second.await.is_ok());
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    }
}
