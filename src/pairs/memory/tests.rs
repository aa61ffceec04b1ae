//! Tests of what only the memory store has: queues that do not grow, and a size in memory. The behaviour required of every
//! store is tested in `tests/e2e/pair_store`.

use std::sync::atomic::{AtomicU64, Ordering};

use mte_codec::{EpochSecret, KemId};
use mte_protocol::client_id::ClientId;

use super::{super::PairEvents, *};

struct NoEvents;

impl PairEvents for NoEvents {
    fn happened(&self, _: TenantId, _: PairEvent, _: usize) {}
}

fn limits() -> config::Pairs {
    config::Pairs {
        idle_timeout: Duration::from_secs(60),
        unused_timeout: Duration::from_secs(60),
        max_age: Duration::from_secs(600),
        max_per_client: 4,
        max_per_request: 100,
        max_per_network: 100,
        max_total: 8,
        tenant_share: 0.5,
    }
}

fn pair(id: &str) -> NewPair {
    let (secret, kem) = (EpochSecret::from_bytes(0, &[7; 32]), KemId::MlKem512);
    NewPair {
        pair_id: id.into(),
        decoder: secret.clone(),
        decoder_kem: kem,
        encoder: secret,
        encoder_kem: kem,
        relay_key: None,
    }
}

#[tokio::test]
async fn entries_of_dead_pairs_do_not_accumulate() {
    let now = Arc::new(AtomicU64::new(0));
    let clock = now.clone();
    let now_in_seconds = move || Duration::from_secs(clock.load(Ordering::Relaxed));
    let outside = Outside { now: Arc::new(now_in_seconds), ..Outside::system(Arc::new(NoEvents)) };
    let store = MemoryStore::new(limits(), outside);
    let owner = Owner { tenant: TenantId::of("a"), client: ClientId::from_random([1; 16]) };
    for round in 0..2_000 {
        let id = round.to_string();
        store.create_all(owner, None, vec![pair(&id)]).await.unwrap();
        if round % 2 == 0 {
            let Snapshot { generation, .. } = store.begin(owner, &id).await.unwrap();
            let commit = Commit { generation, first: 0, count: 1, decoder: None, encoder: None, reserve: 2 };
            store.commit(owner, &id, commit).await.unwrap();
        }
    }
    let entries: usize = store.shards.iter().map(|shard| shard.lock().entries()).sum();
    assert_eq!(store.count(None).await, Ok(4));
    assert!(entries < 100, "{entries}");
    // All of them are found when they are to be removed.
    now.store(61, Ordering::Relaxed);
    store.sweep().await.unwrap();
    let entries: usize = store.shards.iter().map(|shard| shard.lock().entries()).sum();
    assert_eq!((store.count(None).await, entries), (Ok(0), 0));
}

#[test]
fn a_pair_takes_at_most_the_documented_kibibyte() {
    // With its two counts, its id and name, its place in the owner's list and in both queues, and the owner's entry.
    let (owner, entry) = (size_of::<(Owner, Vec<Arc<Pair>>)>() * 2, shard::ENTRY * 2);
    let all = size_of::<Pair>() + 16 + 64 + 4 * size_of::<Arc<Pair>>() + 2 * entry + owner;
    assert!(all < 1_024, "{all} bytes");
}
