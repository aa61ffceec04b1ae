//! Which message numbers a decoder takes (section 6): each once, not too old, not too far ahead.

use crate::NUMBER_LIMIT;

/// How far behind the highest number a decoder reaches.
pub const WINDOW_BEHIND: u64 = 511;
/// How far ahead of the highest number a decoder reaches.
pub const WINDOW_AHEAD: u64 = 4_096;

const BITS: u64 = WINDOW_BEHIND + 1;

/// Why a number is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// It was taken before.
    #[error("message number was used before")]
    Replayed,
    /// It is too old, or too far ahead.
    #[error("message number is out of the window")]
    OutOfWindow,
    /// The direction ends at 2^32.
    #[error("message numbers are used up")]
    Exhausted,
}

/// The numbers taken: the highest, and a bit for each of the 512 up to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// One above the highest number taken; 0 at first.
    end: u64,
    /// Bit `n mod 512` is set if `n`, within the 512 below `end`, was taken.
    taken: [u64; (BITS / 64) as usize],
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

impl Window {
    /// A window that has taken nothing.
    pub const fn new() -> Self {
        Self { end: 0, taken: [0; (BITS / 64) as usize] }
    }

    /// Bytes of the stored form.
    pub const STORED_LEN: usize = 8 + (BITS / 8) as usize;

    /// The stored form: the end, then the bits, all big-endian.
    pub fn to_bytes(&self) -> [u8; Self::STORED_LEN] {
        let mut bytes = [0; Self::STORED_LEN];
        let words = std::iter::once(&self.end).chain(&self.taken);
        for (stored, word) in bytes.chunks_exact_mut(8).zip(words) {
            stored.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Reads the stored form; `None` for bytes that no window has.
    pub fn from_bytes(bytes: &[u8; Self::STORED_LEN]) -> Option<Self> {
        let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word));
        let mut window = Self { end: words.next()?, ..Self::new() };
        window.taken.iter_mut().zip(words).for_each(|(taken, word)| *taken = word);
        let highest_taken = window.highest().is_none_or(|highest| window.is_set(highest));
        let unused_clear = (window.end..BITS).all(|number| !window.is_set(number));
        (window.end <= NUMBER_LIMIT && highest_taken && unused_clear).then_some(window)
    }

    /// One above the highest number taken; 0 before any was.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The highest number taken, if any.
    pub fn highest(&self) -> Option<u64> {
        self.end.checked_sub(1)
    }

    /// The oldest number that could still be taken.
    pub fn oldest(&self) -> u64 {
        Self::oldest_below(self.end)
    }

    /// The oldest number that a window with this end could still take.
    pub fn oldest_below(end: u64) -> u64 {
        end.saturating_sub(BITS)
    }

    /// Whether `number` would be taken.
    ///
    /// # Errors
    /// Why it would not be.
    pub fn check(&self, number: u64) -> Result<(), WindowError> {
        if number >= NUMBER_LIMIT {
            return Err(WindowError::Exhausted);
        }
        // `end` is the highest plus one, so "ahead of the highest by at most 4,096" is "below end + 4,096".
        if number < self.oldest() || number >= self.end + WINDOW_AHEAD {
            return Err(WindowError::OutOfWindow);
        }
        if number < self.end && self.is_set(number) {
            return Err(WindowError::Replayed);
        }
        Ok(())
    }

    /// Takes `count` consecutive numbers from `first` on, one after the other: all or none.
    ///
    /// # Errors
    /// Why one of them is not taken; the window is then as it was.
    pub fn commit(&mut self, first: u64, count: u64) -> Result<(), WindowError> {
        let mut window = self.clone();
        for index in 0..count {
            let number = first.checked_add(index).ok_or(WindowError::Exhausted)?;
            window.check(number)?;
            window.take(number);
        }
        *self = window;
        Ok(())
    }

    fn take(&mut self, number: u64) {
        if number >= self.end {
            let skipped = number - self.end;
            if skipped >= BITS {
                self.taken = [0; (BITS / 64) as usize];
            } else {
                (self.end..number).for_each(|n| self.set(n, false));
            }
            self.end = number + 1;
        }
        self.set(number, true);
    }

    fn is_set(&self, number: u64) -> bool {
        let bit = number % BITS;
        self.taken[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    fn set(&mut self, number: u64, value: bool) {
        let bit = number % BITS;
        let word = &mut self.taken[(bit / 64) as usize];
        *word = *word & !(1 << (bit % 64)) | u64::from(value) << (bit % 64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fresh_window_takes_0_to_4095() {
        let window = Window::new();
        assert_eq!(window.check(0), Ok(()));
        assert_eq!(window.check(4_095), Ok(()));
        assert_eq!(window.check(4_096), Err(WindowError::OutOfWindow));
    }

    #[test]
    fn it_reaches_511_behind_and_4096_ahead_of_the_highest() {
        let mut window = Window::new();
        window.commit(1_000, 1).unwrap();
        assert_eq!(window.check(1_000), Err(WindowError::Replayed));
        assert_eq!(window.check(1_000 - 511), Ok(()));
        assert_eq!(window.check(1_000 - 512), Err(WindowError::OutOfWindow));
        assert_eq!(window.check(1_000 + 4_096), Ok(()));
        assert_eq!(window.check(1_000 + 4_097), Err(WindowError::OutOfWindow));
    }

    #[test]
    fn the_last_number_is_below_2_to_the_32() {
        let mut window = Window { end: NUMBER_LIMIT - 1, taken: [0; 8] };
        assert_eq!(window.commit(NUMBER_LIMIT - 1, 2), Err(WindowError::Exhausted));
        assert_eq!(window.commit(NUMBER_LIMIT - 1, 1), Ok(()));
        assert_eq!(window.check(NUMBER_LIMIT), Err(WindowError::Exhausted));
        assert_eq!(window.check(u64::MAX), Err(WindowError::Exhausted));
        assert_eq!(window.commit(u64::MAX, 1), Err(WindowError::Exhausted));
    }

    #[test]
    fn the_stored_form_is_read_back_and_impossible_ones_are_refused() {
        let mut window = Window::new();
        for first in [0, 5, 600, 4_000] {
            assert_eq!(Window::from_bytes(&window.to_bytes()), Some(window.clone()));
            window.commit(first, 2).unwrap();
        }
        assert_eq!(Window::from_bytes(&window.to_bytes()), Some(window));
        let impossible = [
            Window { end: 1, taken: [0; 8] },
            Window { end: 1, taken: [3, 0, 0, 0, 0, 0, 0, 0] },
            Window { end: NUMBER_LIMIT + 1, taken: [u64::MAX; 8] },
            Window { end: 0, taken: [0, 0, 0, 0, 0, 0, 0, 1] },
        ];
        for window in impossible {
            assert_eq!(Window::from_bytes(&window.to_bytes()), None, "{window:?}");
        }
    }

    #[test]
    fn a_group_is_taken_whole_or_not_at_all() {
        let mut window = Window::new();
        window.commit(2, 1).unwrap();
        let before = window.clone();
        assert_eq!(window.commit(1, 3), Err(WindowError::Replayed));
        assert_eq!(window, before);
    }

    proptest! {
        /// The bit ring against the obvious model: a set of every number taken.
        #[test]
        fn it_agrees_with_a_plain_set(steps in prop::collection::vec((0u64..900, 1u64..4, any::<bool>()), 1..300)) {
            let mut window = Window::new();
            let mut taken = std::collections::BTreeSet::new();
            for (offset, count, ahead) in steps {
                let end = taken.last().map_or(0, |n| n + 1);
                let first: u64 = if ahead { end + offset * 6 } else { end.saturating_sub(offset) };
                let mut model = taken.clone();
                let allowed = (first..first + count).all(|n| {
                    let end: u64 = model.last().map_or(0, |n| n + 1);
                    n + 512 >= end && n < end + 4_096 && model.insert(n)
                });
                prop_assert_eq!(window.commit(first, count).is_ok(), allowed);
                if allowed {
                    taken = model;
                }
                prop_assert_eq!(window.highest(), taken.last().copied());
            }
        }
    }
}
