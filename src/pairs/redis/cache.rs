//! What this relay remembers of pairs, so that a request needs one round trip: opened secrets, and the state that came with the
//! last answer. It only saves a look: a commit decides, whatever stands here.
//!
//! An entry is wiped some seconds after the last answer for its pair, and replaced at once by one that is newer.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use super::record::{Head, Secrets};
use crate::domains::TenantId;

/// How long an entry is kept after the last answer for its pair (docs/codec.md, section 3).
pub(super) const KEPT: Duration = Duration::from_secs(5);
const SHARDS: usize = 16;
/// Entries of one shard. Beyond it any entry goes: its pair costs one more round trip.
const MAX_ENTRIES: usize = 8_192;

/// A pair as the last answer had it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) tenant: TenantId,
    pub(super) head: Head,
    pub(super) secrets: Secrets,
    /// By this relay's clock.
    pub(super) answered: Duration,
    /// By Redis' clock.
    pub(super) server_time: Duration,
}

/// Entries by the names of their records.
pub(super) struct Cache {
    shards: Vec<Mutex<HashMap<String, Arc<Entry>>>>,
    hasher: RandomState,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    fn shard(&self, key: &str) -> &Mutex<HashMap<String, Arc<Entry>>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    pub(super) fn get(&self, key: &str, now: Duration) -> Option<Arc<Entry>> {
        let entry = self.shard(key).lock().get(key).cloned();
        entry.filter(|entry| now.saturating_sub(entry.answered) <= KEPT)
    }

    /// Remembers an answer, unless a later one was faster.
    pub(super) fn put(&self, key: &str, entry: Arc<Entry>) {
        let mut shard = self.shard(key).lock();
        if let Some(known) = shard.get(key)
            && !entry.head.is_after(&known.head)
        {
            return;
        }
        if shard.len() >= MAX_ENTRIES
            && !shard.contains_key(key)
            && let Some(other) = shard.keys().next().cloned()
        {
            shard.remove(&other);
        }
        shard.insert(key.to_owned(), entry);
    }

    pub(super) fn remove(&self, key: &str) {
        self.shard(key).lock().remove(key);
    }

    /// Wipes what no answer has come for since.
    pub(super) fn wipe(&self, now: Duration) {
        self.retain(|entry| now.saturating_sub(entry.answered) <= KEPT);
    }

    pub(super) fn remove_tenant(&self, tenant: TenantId) {
        self.retain(|entry| entry.tenant != tenant);
    }

    fn retain(&self, keep: impl Fn(&Entry) -> bool) {
        for shard in &self.shards {
            shard.lock().retain(|_, entry| keep(entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use mte_codec::{EpochSecret, KemId, Window};
    use mte_session::store::{Generation, NewPair};

    use super::{super::record::of_new, *};
    use crate::state_key::{Sealed, StateKey};

    const SECOND: Duration = Duration::from_secs(1);

    /// A pair that was answered for at a time, with so many response numbers reserved.
    fn entry(answered: Duration, next_response: u64) -> Arc<Entry> {
        let secret = EpochSecret::from_bytes(0, &[7; 32]);
        let pair = NewPair {
            pair_id: "a".into(),
            decoder: secret.clone(),
            decoder_kem: KemId::MlKem768,
            encoder: secret,
            encoder_kem: KemId::XWing,
            relay_key: None,
        };
        let key = StateKey::derive(b"a key").unwrap();
        let generation = Generation([3; 16]);
        let of = Sealed { tenant: b"t", client: b"c", pair_id: "a", generation };
        let cipher = key.cipher(&of).unwrap();
        let record = of_new(&pair, generation, key.id(), &cipher).unwrap();
        let mut head = Head::parse(&record).unwrap();
        assert_eq!(
            (head.generation, head.key_id, head.window.clone()),
            (generation, key.id(), Window::new())
        );
        head.next_response = next_response;
        let secrets = Secrets::open(&record, head.epochs, &cipher).unwrap();
        assert_eq!(secrets.newest.as_bytes(), &[7; 32]);
        Arc::new(Entry { tenant: TenantId::of("t"), head, secrets, answered, server_time: answered })
    }

    #[test]
    fn an_entry_is_wiped_five_seconds_after_the_last_answer() {
        let cache = Cache::new();
        let first = entry(10 * SECOND, 2);
        let watched = Arc::downgrade(&first);
        cache.put("a", first);
        assert!(cache.get("a", 15 * SECOND).is_some());
        assert!(cache.get("a", 15 * SECOND + Duration::from_millis(1)).is_none());
        cache.wipe(15 * SECOND);
        assert!(watched.upgrade().is_some());
        cache.wipe(16 * SECOND);
        assert!(watched.upgrade().is_none(), "nothing holds its secrets");
    }

    #[test]
    fn a_later_state_replaces_an_earlier_one_at_once_and_never_the_other_way() {
        let cache = Cache::new();
        let early = entry(SECOND, 2);
        let watched = Arc::downgrade(&early);
        cache.put("a", early);
        cache.put("a", entry(SECOND, 4));
        assert!(watched.upgrade().is_none());
        cache.put("a", entry(2 * SECOND, 2));
        assert_eq!(cache.get("a", SECOND).unwrap().head.next_response, 4);
    }

    #[test]
    fn a_tenant_that_is_removed_is_forgotten() {
        let cache = Cache::new();
        cache.put("a", entry(SECOND, 2));
        cache.remove_tenant(TenantId::of("other"));
        assert!(cache.get("a", SECOND).is_some());
        cache.remove_tenant(TenantId::of("t"));
        assert!(cache.get("a", SECOND).is_none());
    }
}
