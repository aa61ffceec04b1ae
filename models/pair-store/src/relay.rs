//! A relay: what it caches of the pair, and the commits whose replies it waits for.

use crate::record::{Generation, Progress, Record, oldest_epoch};

/// What a relay knows of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Cached {
    pub(crate) generation: Generation,
    pub(crate) progress: Progress,
    pub(crate) spent: Record,
}

impl Cached {
    pub(crate) fn of(record: Record) -> Self {
        Self { generation: record.generation, progress: record.progress, spent: record }
    }

    /// The epoch of the oldest secret that a commit of a number brings, as far as this relay can know.
    pub(crate) fn oldest_after(&self, number: u8) -> u8 {
        oldest_epoch(self.progress.end.max(number + 1)).max(self.progress.oldest)
    }
}

/// A relay.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Relay {
    pub(crate) cached: Option<Cached>,
    /// The commands whose replies it waits for, by id.
    pub(crate) waiting: Vec<u8>,
}
