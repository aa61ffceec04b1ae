//! The mutable part of a pair, and the one place where it is written what a commit does. Without I/O, clocks and locks:
//! every store keeps these states, and asks them.

use mte_codec::{DecoderState, EpochSecret, NUMBER_LIMIT};

use super::{Commit, NewPair, PairError, Snapshot};

/// A pair's state.
#[derive(Debug, Clone)]
pub struct PairState {
    /// Tells the pair from a later one under the same id.
    pub generation: u64,
    /// What requests are opened with, and the request numbers taken.
    pub decoder: DecoderState,
    /// What responses are sealed with: the secret of the epoch of `next_response`.
    pub encoder: EpochSecret,
    /// The next response number.
    pub next_response: u64,
}

impl PairState {
    /// A pair that was not used yet.
    pub fn new(generation: u64, decoder: EpochSecret, encoder: EpochSecret) -> Self {
        Self { generation, decoder: DecoderState::new(decoder), encoder, next_response: 0 }
    }

    /// The state of a new pair, and the pair's id.
    pub fn of(pair: NewPair, generation: u64) -> (String, Self) {
        (pair.pair_id, Self::new(generation, pair.decoder, pair.encoder))
    }

    /// The pair as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            generation: self.generation,
            decoder: self.decoder.secrets.clone(),
            window: self.decoder.window.clone(),
            encoder: self.encoder.clone(),
            next_response: self.next_response,
        }
    }

    /// Takes a request's numbers and reserves its response's, all or none: the first response number. The secrets of epochs
    /// that are left behind are wiped.
    ///
    /// # Errors
    /// [`PairError::Replaced`], [`PairError::Exhausted`] or [`PairError::Number`]; nothing has changed then.
    pub fn commit(&mut self, commit: Commit) -> Result<u64, PairError> {
        if self.generation != commit.generation {
            return Err(PairError::Replaced);
        }
        let end = self.next_response.checked_add(commit.reserve).filter(|end| *end <= NUMBER_LIMIT);
        let end = end.ok_or(PairError::Exhausted)?;
        self.decoder.window.commit(commit.first, commit.count)?;
        // Wipes the epochs left behind. The request brings the secrets of those it reached, so that nothing is derived under
        // a lock; but one that raced with others may have reached an epoch that none of them brought.
        if let Some(secrets) = commit.decoder.filter(|new| new.newer_than(&self.decoder.secrets)) {
            self.decoder.secrets = secrets;
        }
        if let Some(secrets) = self.decoder.secrets.advanced(&self.decoder.window) {
            self.decoder.secrets = secrets;
        }
        let reached = EpochSecret::index_of(end);
        let newer = |new: &EpochSecret| new.index() > self.encoder.index() && u64::from(new.index()) <= reached;
        if let Some(secret) = commit.encoder.filter(newer) {
            self.encoder = secret;
        }
        if u64::from(self.encoder.index()) < reached
            && let Some(secret) = self.encoder.at(reached)
        {
            self.encoder = secret;
        }
        Ok(std::mem::replace(&mut self.next_response, end))
    }
}
