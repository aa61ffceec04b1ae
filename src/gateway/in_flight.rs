//! How many requests are in flight: the drain waits for them, and the limits count them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Requests in flight.
#[derive(Debug, Default, Clone)]
pub struct InFlightCounter(Arc<AtomicUsize>);

impl InFlightCounter {
    /// Counts one more until the guard is dropped.
    pub(super) fn enter(&self) -> InFlight {
        self.0.fetch_add(1, Ordering::Relaxed);
        InFlight(self.0.clone())
    }

    /// How many there are.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One request in flight.
#[derive(Debug)]
pub struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
