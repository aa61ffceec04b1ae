//! The moving state of a direction: an encoder's next number and epoch, a decoder's window and epochs
//! (sections 3 and 6).

use crate::{EncodeType, EpochSecret, NUMBER_LIMIT, OpenError, Place, SealError, Slot, Window, WindowError};

/// A sender's side of a direction.
#[derive(Debug, Clone)]
pub struct EncoderState {
    next: u64,
    secret: EpochSecret,
}

impl EncoderState {
    /// A direction that has sent nothing.
    pub fn new(root: EpochSecret) -> Self {
        Self { next: 0, secret: root }
    }

    /// Reserves `count` consecutive numbers, and wipes the epochs they leave behind.
    ///
    /// # Errors
    /// [`SealError::Exhausted`]; nothing is reserved then.
    pub fn reserve(&mut self, count: u64) -> Result<Numbers, SealError> {
        let first = self.next;
        let end = first.checked_add(count).filter(|end| *end <= NUMBER_LIMIT);
        let end = end.ok_or(SealError::Exhausted)?;
        // The secret kept is that of `next`, so the first reserved number is always within reach.
        let secret = self.secret.clone();
        if let Some(ahead) = self.secret.at(EpochSecret::index_of(end)) {
            self.secret = ahead;
        }
        self.next = end;
        Ok(Numbers { first, count, secret })
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        self.next
    }
}

/// Consecutive message numbers, reserved for one request or response, and the secret they start from.
#[derive(Debug, Clone)]
pub struct Numbers {
    first: u64,
    count: u64,
    secret: EpochSecret,
}

impl Numbers {
    /// Numbers reserved elsewhere. `secret` may be of any epoch up to that of `first`.
    pub fn new(first: u64, count: u64, secret: EpochSecret) -> Self {
        Self { first, count, secret }
    }

    /// The first number.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// What it takes to seal the message at `index` of these numbers.
    ///
    /// # Errors
    /// [`SealError::NoSecret`] if no such number was reserved, or its epoch is wiped.
    pub fn slot(&self, index: u64, encode_type: EncodeType, place: Place) -> Result<Slot, SealError> {
        let number = self.first.saturating_add(index);
        let secret = (index < self.count && number < NUMBER_LIMIT)
            .then(|| self.secret.at(EpochSecret::index_of(number)))
            .flatten()
            .ok_or(SealError::NoSecret(number))?;
        Ok(Slot { secret, encode_type, place, number })
    }
}

/// The epoch secrets a decoder holds: the oldest its window reaches, from which all others follow, and the
/// newest, which saves deriving it. Neither opens anything that the window has left behind.
#[derive(Debug, Clone)]
pub struct DecoderSecrets {
    oldest: EpochSecret,
    newest: EpochSecret,
}

impl DecoderSecrets {
    /// The secrets of a direction that has received nothing.
    pub fn new(root: EpochSecret) -> Self {
        Self { newest: root.clone(), oldest: root }
    }

    /// Secrets from a store; `None` unless they are those that belong to `window`.
    pub fn stored(oldest: EpochSecret, newest: EpochSecret, window: &Window) -> Option<Self> {
        let secrets = Self { oldest, newest };
        let indices = (secrets.oldest.index().into(), secrets.newest.index().into());
        (indices == Self::indices(window.end())).then_some(secrets)
    }

    /// Secrets from a store, of a window with this end or of an earlier one of the same direction; `None` if they are of a later
    /// one, or of one that is too far behind.
    pub fn caught_up(oldest: &EpochSecret, newest: &EpochSecret, end: u64) -> Option<Self> {
        let (oldest_index, newest_index) = Self::indices(end);
        Some(Self { oldest: oldest.at(oldest_index)?, newest: newest.at(newest_index)? })
    }

    /// The epochs that belong to a window with this end: the oldest and the newest.
    pub fn indices(end: u64) -> (u64, u64) {
        (EpochSecret::index_of(Window::oldest_below(end)), EpochSecret::index_of(end.saturating_sub(1)))
    }

    /// The secret of the oldest epoch, for a store.
    pub fn oldest(&self) -> &EpochSecret {
        &self.oldest
    }

    /// The secret of the newest epoch, for a store.
    pub fn newest(&self) -> &EpochSecret {
        &self.newest
    }

    /// The secret of the epoch of message `number`. The caller has checked the number against the window,
    /// or will: the way to the farthest number the window allows is 128 steps, and longer ways are refused.
    ///
    /// # Errors
    /// [`OpenError::NoSecret`] for a number whose epoch is wiped or too far ahead.
    pub fn epoch_of(&self, number: u64) -> Result<EpochSecret, OpenError> {
        const MAX_STEPS: u64 = 128;
        if number >= NUMBER_LIMIT {
            return Err(WindowError::Exhausted.into());
        }
        let index = EpochSecret::index_of(number);
        let from = if index < u64::from(self.newest.index()) { &self.oldest } else { &self.newest };
        if index.saturating_sub(u64::from(from.index())) > MAX_STEPS {
            return Err(OpenError::NoSecret);
        }
        from.at(index).ok_or(OpenError::NoSecret)
    }

    /// What it takes to open message `number` and no other epoch's: for a receiver that waits for a message announced to it,
    /// while its direction moves on.
    ///
    /// # Errors
    /// Those of [`epoch_of`](Self::epoch_of).
    pub fn narrowed_to(&self, number: u64) -> Result<Self, OpenError> {
        self.epoch_of(number).map(Self::new)
    }

    /// The secrets to keep once `window` is what it is; `None` if they are these.
    pub fn advanced(&self, window: &Window) -> Option<Self> {
        self.advanced_to(window.end())
    }

    /// The secrets to keep once the window's end is `end`; `None` if they are these, or if these are of a later state.
    pub fn advanced_to(&self, end: u64) -> Option<Self> {
        let (oldest, newest) = Self::indices(end);
        if newest == u64::from(self.newest.index()) && oldest == u64::from(self.oldest.index()) {
            return None;
        }
        let oldest = self.oldest.at(oldest)?;
        let newest = self.newest.at(newest)?;
        Some(Self { oldest, newest })
    }

    /// Whether these secrets are of a later state than `other`.
    pub fn newer_than(&self, other: &Self) -> bool {
        self.newest.index() > other.newest.index() || self.oldest.index() > other.oldest.index()
    }
}

/// A receiver's side of a direction.
#[derive(Debug, Clone)]
pub struct DecoderState {
    /// What messages are opened with.
    pub secrets: DecoderSecrets,
    /// The numbers taken.
    pub window: Window,
}

impl DecoderState {
    /// A direction that has received nothing.
    pub fn new(root: EpochSecret) -> Self {
        Self { secrets: DecoderSecrets::new(root), window: Window::new() }
    }

    /// Takes the numbers of messages that verified, all or none, and wipes the epochs left behind.
    ///
    /// # Errors
    /// [`OpenError::Number`]; nothing has changed then.
    pub fn commit(&mut self, first: u64, count: u64) -> Result<(), OpenError> {
        self.window.commit(first, count)?;
        if let Some(secrets) = self.secrets.advanced(&self.window) {
            self.secrets = secrets;
        }
        Ok(())
    }
}
