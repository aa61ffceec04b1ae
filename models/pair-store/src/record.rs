//! A pair's record, and what a commit does to it.

/// Numbers of the window.
const WINDOW: u8 = 4;
/// Numbers ahead of the window's end that a request may have.
const AHEAD: u8 = 8;
/// Numbers of an epoch.
const EPOCH: u8 = 2;

/// Distinguishes a pair from a later one under the same id.
pub(crate) type Generation = u8;
/// Distinguishes a primary from what it was before a promotion or a restart, and from other servers.
pub(crate) type Era = u8;

/// The epoch of a number.
pub(crate) fn epoch_of(number: u8) -> u8 {
    number / EPOCH
}

/// The oldest epoch that a window with this end needs.
pub(crate) fn oldest_epoch(end: u8) -> u8 {
    epoch_of(end.saturating_sub(WINDOW))
}

/// What only rises as long as a pair is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Progress {
    /// The window's end: one above the highest number accepted.
    pub(crate) end: u8,
    /// The next response number.
    pub(crate) next: u8,
    /// The epoch of the oldest request secret.
    pub(crate) oldest: u8,
}

impl Progress {
    /// Whether nothing of it is below `earlier`.
    pub(crate) fn reaches(&self, earlier: &Self) -> bool {
        self.end >= earlier.end && self.next >= earlier.next && self.oldest >= earlier.oldest
    }
}

/// A pair as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) generation: Generation,
    pub(crate) era: Era,
    pub(crate) progress: Progress,
    /// The numbers taken, of the last [`WINDOW`] before the end.
    pub(crate) taken: u32,
}

impl Record {
    pub(crate) fn new(generation: Generation, era: Era) -> Self {
        Self { generation, era, progress: Progress::default(), taken: 0 }
    }

    /// Whether a number has been accepted, or is too old for the window to tell.
    pub(crate) fn is_spent(&self, number: u8) -> bool {
        let end = self.progress.end;
        number < end.saturating_sub(WINDOW) || number < end && self.taken & 1 << number != 0
    }

    /// Takes a number, and reserves one for the response: which, if the number can be taken. `oldest` is the epoch of the oldest secret
    /// that the relay brings.
    pub(crate) fn commit(&mut self, number: u8, oldest: u8) -> Option<u8> {
        let Progress { end, next, oldest: stored } = self.progress;
        if self.is_spent(number) || number >= end + AHEAD {
            return None;
        }
        let end = end.max(number + 1);
        let visible = u32::MAX << end.saturating_sub(WINDOW);
        self.taken = (self.taken | 1 << number) & visible;
        // Secrets count if they are newer than those stored, and no newer than the window implies.
        let oldest = if oldest > stored && oldest <= oldest_epoch(end) { oldest } else { stored };
        self.progress = Progress { end, next: next + 1, oldest };
        Some(next)
    }
}
