//! Counters by key: connections and pairs of a client network, gathered bytes of a tenant.
//! Keys with a count of zero take no memory. Locks are sharded by key.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use parking_lot::Mutex;

const SHARDS: usize = 64;

/// Counts by key.
#[derive(Debug)]
pub struct Tally<K> {
    shards: Vec<Mutex<HashMap<K, usize>>>,
    hasher: RandomState,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl<K: Hash + Eq + Copy> Tally<K> {
    fn shard(&self, key: &K) -> &Mutex<HashMap<K, usize>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    /// Adds `count`, if the key then has at most `max`; returns whether it did.
    pub fn add(&self, key: K, count: usize, max: usize) -> bool {
        let mut shard = self.shard(&key).lock();
        let present = shard.get(&key).copied().unwrap_or_default();
        let Some(sum) = present.checked_add(count).filter(|sum| *sum <= max) else { return false };
        if sum > 0 {
            shard.insert(key, sum);
        }
        true
    }

    /// Subtracts `count` again.
    pub fn subtract(&self, key: K, count: usize) {
        let mut shard = self.shard(&key).lock();
        if let Entry::Occupied(mut entry) = shard.entry(key) {
            *entry.get_mut() = entry.get().saturating_sub(count);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// The current count.
    pub fn get(&self, key: &K) -> usize {
        self.shard(key).lock().get(key).copied().unwrap_or_default()
    }

    /// Counts one until the guard is dropped; `None` beyond `max`.
    pub fn enter(self: &Arc<Self>, key: K, max: usize) -> Option<Counted<K>> {
        self.add(key, 1, max).then(|| Counted { tally: self.clone(), key })
    }
}

/// Counts one until it is dropped.
#[derive(Debug)]
pub struct Counted<K: Hash + Eq + Copy> {
    tally: Arc<Tally<K>>,
    key: K,
}

impl<K: Hash + Eq + Copy> Drop for Counted<K> {
    fn drop(&mut self) {
        self.tally.subtract(self.key, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_no_more_than_its_limit_and_costs_nothing_afterwards() {
        let tally = Arc::new(Tally::default());
        let held: Vec<_> = (0..3).filter_map(|_| tally.enter("a", 2)).collect();
        assert_eq!((held.len(), tally.get(&"a")), (2, 2));
        assert!(tally.enter("b", 2).is_some(), "another key has its own limit");
        drop(held);
        assert!(tally.shards.iter().all(|shard| shard.lock().is_empty()));
        assert!(!tally.add("a", usize::MAX, usize::MAX - 1) && tally.get(&"a") == 0);
    }
}
