//! The secrets that a commit brings to Redis, and those that its answer brings back.
//!
//! The request has derived what it could from its snapshot. What the numbers imply beyond that is derived here, from what is
//! known of the pair, so that nothing is derived in Redis. The script takes what is newer than what it has and no newer than
//! the numbers imply, and answers with every secret whose epoch the caller neither knows nor has brought.

use mte_codec::{DecoderSecrets, EpochSecret};
use mte_session::store::Commit;

use super::{
    cache::Entry,
    record::{Epochs, Head, Secrets},
    scripts::Answer,
};
use crate::state_key::{Direction, PairCipher, SEALED_LEN};

/// Where a commit's answer has its sealed secrets: after the server's time, the number, and the head.
const OLDEST: usize = 3;
const NEWEST: usize = 4;
/// The key and the epoch of the response's own secret, and the secret.
const RESPONSE: [usize; 3] = [5, 6, 7];

/// What was known of a pair when a commit was sent.
pub(super) struct Known(Option<Secrets>);

impl Known {
    pub(super) fn epochs(&self) -> Epochs {
        self.0.as_ref().map_or(Epochs::NONE, Secrets::epochs)
    }
}

/// What a commit brings.
pub(super) struct Update {
    pub(super) known: Known,
    /// As the script takes it; empty if there is nothing new.
    pub(super) c2s: Vec<u8>,
    pub(super) s2c: Vec<u8>,
    brought: (Option<DecoderSecrets>, Option<EpochSecret>),
}

impl Update {
    pub(super) fn new(commit: &Commit, entry: Option<&Entry>, key_id: u32, cipher: &PairCipher) -> Self {
        let stored = entry.map_or(Epochs::NONE, |entry| entry.head.epochs);
        // One record is sealed with one key. After a rotation all of it is brought.
        let reseal = entry.is_some_and(|entry| entry.head.key_id != key_id);
        let decoder = decoder(commit, entry).filter(|new| {
            let epochs = (new.oldest().index(), new.newest().index());
            reseal || entry.is_none() || epochs != (stored.oldest, stored.newest)
        });
        let encoder =
            encoder(commit, entry).filter(|new| reseal || entry.is_none() || new.index() != stored.s2c);
        let known = Known(entry.map(|entry| entry.secrets.clone()));
        let mut update = Self { known, c2s: Vec::new(), s2c: Vec::new(), brought: (decoder, encoder) };
        // What cannot be sealed is not brought: the next commit will.
        if let Some((c2s, s2c)) = update.sealed(cipher) {
            (update.c2s, update.s2c) = (c2s, s2c);
        }
        update
    }

    fn sealed(&self, cipher: &PairCipher) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut c2s, mut s2c) = (Vec::new(), Vec::new());
        if let Some(decoder) = &self.brought.0 {
            let secrets = [decoder.oldest(), decoder.newest()];
            secrets.iter().for_each(|secret| c2s.extend(secret.index().to_be_bytes()));
            for secret in secrets {
                c2s.extend(cipher.seal(Direction::ClientToServer, secret).ok()?);
            }
        }
        if let Some(encoder) = &self.brought.1 {
            s2c.extend(encoder.index().to_be_bytes());
            s2c.extend(cipher.seal(Direction::ServerToClient, encoder).ok()?);
        }
        Some((c2s, s2c))
    }

    /// The secret that the response's numbers start from, and the pair's secrets after the commit. `head` is the record's after it.
    pub(super) fn read(
        self,
        answer: &Answer,
        head: &Head,
        cipher: impl Fn(u32) -> Option<PairCipher>,
    ) -> Option<(EpochSecret, Secrets)> {
        let Self { known: Known(known), brought: (decoder, encoder), .. } = self;
        let open = |key_id: u32, direction, epoch, sealed: &[u8]| {
            if sealed.len() == SEALED_LEN {
                cipher(key_id)?.open(direction, epoch, sealed).ok()
            } else {
                None
            }
        };
        let word =
            |index| answer.bytes(index).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let own = |epoch: u32, candidates: [Option<&EpochSecret>; 2]| {
            candidates.into_iter().flatten().find(|secret| secret.index() == epoch).cloned()
        };
        let c2s = |index, epoch, candidates| {
            let returned = open(head.key_id, Direction::ClientToServer, epoch, answer.bytes(index)?);
            returned.or_else(|| own(epoch, candidates))
        };
        let oldest =
            [decoder.as_ref().map(DecoderSecrets::oldest), known.as_ref().map(|known| &known.oldest)];
        let newest =
            [decoder.as_ref().map(DecoderSecrets::newest), known.as_ref().map(|known| &known.newest)];
        let oldest = c2s(OLDEST, head.epochs.oldest, oldest)?;
        let newest = c2s(NEWEST, head.epochs.newest, newest)?;

        let [key, epoch, sealed] = RESPONSE;
        let (key_id, epoch) = (word(key)?, word(epoch)?);
        let returned = open(key_id, Direction::ServerToClient, epoch, answer.bytes(sealed)?);
        let response = returned.or_else(|| own(epoch, [known.as_ref().map(|known| &known.s2c), None]))?;
        let s2c = own(head.epochs.s2c, [encoder.as_ref(), Some(&response)])?;
        Some((response, Secrets { oldest, newest, s2c }))
    }
}

/// The secrets of requests that belong to the window after the commit, as far as they can be known here.
fn decoder(commit: &Commit, entry: Option<&Entry>) -> Option<DecoderSecrets> {
    let known = entry.and_then(|entry| entry.secrets.decoder(&entry.head.window));
    let end = entry.map_or(0, |entry| entry.head.window.end()).max(commit.first + commit.count);
    let base = match (commit.decoder.clone(), known) {
        (Some(brought), Some(known)) if known.newer_than(&brought) => known,
        (Some(brought), _) => brought,
        (None, known) => known?,
    };
    Some(base.advanced_to(end).unwrap_or(base))
}

/// The secret of responses that belongs to the next response number after the commit, likewise.
fn encoder(commit: &Commit, entry: Option<&Entry>) -> Option<EpochSecret> {
    let known = entry.map(|entry| &entry.secrets.s2c);
    let base = [commit.encoder.as_ref(), known].into_iter().flatten().max_by_key(|secret| secret.index())?;
    let next = entry.map_or(0, |entry| entry.head.next_response) + commit.reserve;
    Some(base.at(EpochSecret::index_of(next)).unwrap_or_else(|| base.clone()))
}
