//! A pair's state on the relay's side, and commits.

use mte_codec::{DecoderState, EpochSecret, KemId, NUMBER_LIMIT, WindowError};

use super::{Commit, Committed, Generation, NewPair, PairError, RelayKeyId, Snapshot};

/// What a relay keeps of a pair. Its clones share their secrets, which the last of them wipes.
#[derive(Debug, Clone)]
pub struct PairState {
    pub(super) generation: Generation,
    pub(super) created_at: u64,
    pub(super) decoder: DecoderState,
    pub(super) decoder_kem: KemId,
    pub(super) encoder: EpochSecret,
    pub(super) encoder_kem: KemId,
    pub(super) next_response: u64,
    pub(super) relay_key: Option<RelayKeyId>,
}

impl PairState {
    /// The state of a pair that was not used yet. `generation` is one that no earlier pair of this name had;
    /// `created_at` is in milliseconds since 1970.
    pub fn new(pair: NewPair, generation: Generation, created_at: u64) -> Self {
        Self {
            generation,
            created_at,
            decoder: DecoderState::new(pair.decoder),
            decoder_kem: pair.decoder_kem,
            encoder: pair.encoder,
            encoder_kem: pair.encoder_kem,
            next_response: 0,
            relay_key: pair.relay_key,
        }
    }

    /// Distinguishes the pair from a later one under the same id.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// When it was made, in milliseconds since 1970.
    pub fn created_at(&self) -> u64 {
        self.created_at
    }

    /// The algorithms of its key exchanges: of the decoder's direction, and the encoder's.
    pub fn kems(&self) -> (KemId, KemId) {
        (self.decoder_kem, self.encoder_kem)
    }

    /// The relay key that its pairing was authenticated with, if it was.
    pub fn relay_key(&self) -> Option<RelayKeyId> {
        self.relay_key
    }

    /// What a request begins with.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            generation: self.generation,
            decoder: self.decoder.secrets.clone(),
            window: self.decoder.window.clone(),
            encoder: self.encoder.clone(),
            next_response: self.next_response,
        }
    }

    /// Takes a request's numbers and reserves its response's, all or none. Epochs that are left behind are wiped.
    ///
    /// The request brings the secrets of the epochs it reached, so that nothing is derived here, where a store may hold a
    /// lock. But one that raced with others may have reached an epoch that none of them brought; only that is derived.
    ///
    /// # Errors
    /// [`PairError::Replaced`], [`PairError::Exhausted`] and [`PairError::Number`]; nothing has changed then.
    pub fn commit(&mut self, commit: Commit) -> Result<Committed, PairError> {
        if commit.generation != self.generation {
            return Err(PairError::Replaced);
        }
        let end = self.next_response.checked_add(commit.reserve).filter(|end| *end <= NUMBER_LIMIT);
        let end = end.ok_or(PairError::Exhausted)?;
        // All against the window as it is, before the first of them moves it.
        for index in 0..commit.count {
            let number = commit.first.checked_add(index).ok_or(WindowError::Exhausted)?;
            self.decoder.window.check(number)?;
        }
        self.decoder.window.commit(commit.first, commit.count)?;
        if let Some(secrets) = commit.decoder.filter(|new| new.newer_than(&self.decoder.secrets)) {
            self.decoder.secrets = secrets;
        }
        if let Some(secrets) = self.decoder.secrets.advanced(&self.decoder.window) {
            self.decoder.secrets = secrets;
        }
        let encoder = self.encoder.clone();
        self.advance_encoder(commit.encoder, EpochSecret::index_of(end));
        Ok(Committed { response: std::mem::replace(&mut self.next_response, end), encoder })
    }

    /// Moves the encoder to an epoch, with the secret that the request brought as far as possible.
    fn advance_encoder(&mut self, brought: Option<EpochSecret>, epoch: u64) {
        let current = self.encoder.index();
        let helps = |secret: &EpochSecret| secret.index() > current && u64::from(secret.index()) <= epoch;
        if let Some(secret) = brought.filter(helps) {
            self.encoder = secret;
        }
        if u64::from(self.encoder.index()) < epoch
            && let Some(secret) = self.encoder.at(epoch)
        {
            self.encoder = secret;
        }
    }
}
