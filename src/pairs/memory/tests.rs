use mte_codec::{EpochSecret, KemId};
use mte_protocol::client_id::ClientId;

use super::*;
use crate::domains::TenantIds;

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

fn owner(client: u8) -> Owner {
    of_tenant("a", client)
}

fn of_tenant(tenant: &str, client: u8) -> Owner {
    let ids = TenantIds::default();
    let [a, b, c] = ["a", "b", "c"].map(|name| (name, ids.id(name)));
    let (_, tenant) = [a, b, c].into_iter().find(|(name, _)| *name == tenant).unwrap();
    Owner { tenant, client: ClientId::from_random([client; 16]) }
}

/// Makes a pair and, if it is told, uses it.
async fn make(store: &MemoryStore, owner: Owner, id: &str, used: bool) -> Result<(), CreateError> {
    store.create_all(owner, None, vec![pair(id)]).await?;
    if used {
        spend(store, owner, id).await;
    }
    Ok(())
}

/// Uses a pair.
async fn spend(store: &MemoryStore, owner: Owner, id: &str) {
    let snapshot = store.begin(owner, id).await.unwrap();
    let first = snapshot.next_response;
    store.commit(owner, id, commit(&snapshot, first, 2)).await.unwrap();
}

async fn lives(store: &MemoryStore, owner: Owner, id: &str) -> bool {
    store.begin(owner, id).await.is_ok()
}

fn pair(id: &str) -> NewPair {
    let secret = EpochSecret::from_bytes(0, &[7; 32]);
    NewPair {
        pair_id: id.into(),
        decoder: secret.clone(),
        decoder_kem: KemId::MlKem768,
        encoder: secret,
        encoder_kem: KemId::MlKem768,
        relay_key: None,
    }
}

fn commit(snapshot: &Snapshot, first: u64, count: u64) -> Commit {
    Commit { generation: snapshot.generation, first, count, decoder: None, encoder: None, reserve: 2 }
}

#[tokio::test]
async fn numbers_are_spent_once_and_response_numbers_never_repeat() {
    let store = MemoryStore::new(limits());
    store.create_all(owner(1), None, vec![pair("a")]).await.unwrap();
    let snapshot = store.begin(owner(1), "a").await.unwrap();
    assert_eq!(store.commit(owner(1), "a", commit(&snapshot, 0, 3)).await, Ok(0));
    assert_eq!(store.commit(owner(1), "a", commit(&snapshot, 3, 2)).await, Ok(2));
    let replayed = store.commit(owner(1), "a", commit(&snapshot, 0, 3)).await;
    assert_eq!(replayed, Err(PairError::Number(mte_codec::WindowError::Replayed)));
    assert_eq!(store.begin(owner(1), "a").await.unwrap().next_response, 4);
}

#[tokio::test]
async fn a_live_pair_id_is_not_taken_over_and_nothing_of_the_request_is_stored() {
    let store = MemoryStore::new(limits());
    store.create_all(owner(1), None, vec![pair("a")]).await.unwrap();
    let again = store.create_all(owner(1), None, vec![pair("b"), pair("a")]).await;
    assert_eq!(again, Err(CreateError::Exists(1)));
    assert_eq!(store.counts().live, 1);
    assert_eq!(store.begin(owner(1), "b").await.unwrap_err(), PairError::NotFound);
    store.create_all(owner(2), None, vec![pair("a")]).await.unwrap();
}

#[tokio::test]
async fn a_client_beyond_its_limit_loses_its_own_oldest_unused_first() {
    let store = MemoryStore::new(limits());
    store.create_all(owner(1), None, vec![pair("used"), pair("a"), pair("b"), pair("c")]).await.unwrap();
    let snapshot = store.begin(owner(1), "used").await.unwrap();
    store.commit(owner(1), "used", commit(&snapshot, 0, 1)).await.unwrap();
    store.create_all(owner(1), None, vec![pair("d")]).await.unwrap();
    assert!(store.begin(owner(1), "used").await.is_ok());
    assert!(store.begin(owner(1), "a").await.is_err());
    assert_eq!(store.counts().live, 4);
}

#[tokio::test]
async fn a_full_store_drops_unused_pairs_but_never_used_ones_of_others() {
    let store = MemoryStore::new(limits());
    for client in 0..2 {
        let ids = ["a", "b", "c", "d"];
        store.create_all(owner(client), None, ids.map(pair).into()).await.unwrap();
        for id in ids {
            if client == 0 || id != "d" {
                let snapshot = store.begin(owner(client), id).await.unwrap();
                store.commit(owner(client), id, commit(&snapshot, 0, 1)).await.unwrap();
            }
        }
    }
    store.create_all(owner(9), None, vec![pair("x")]).await.unwrap();
    assert!(store.begin(owner(1), "d").await.is_err(), "the one unused pair made room");
    let snapshot = store.begin(owner(9), "x").await.unwrap();
    store.commit(owner(9), "x", commit(&snapshot, 0, 1)).await.unwrap();
    assert_eq!(store.create_all(owner(8), None, vec![pair("y")]).await, Err(CreateError::Full));
    assert_eq!(store.counts(), Counts { live: 8, created: 9, expired: 0, evicted: 1 });
}

#[tokio::test]
async fn idle_pairs_are_swept_and_old_ones_must_be_renewed() {
    let store = MemoryStore::new(limits());
    store.create_all(owner(1), None, vec![pair("a")]).await.unwrap();
    store.set_limits(config::Pairs { max_age: Duration::ZERO, ..limits() });
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(store.begin(owner(1), "a").await.unwrap_err(), PairError::Expired);
    store.sweep();
    assert_eq!(store.counts().live, 1, "an old pair stays while its client may still ask for it");
    store.set_limits(config::Pairs { unused_timeout: Duration::ZERO, ..limits() });
    assert_eq!(store.begin(owner(1), "a").await.unwrap_err(), PairError::NotFound);
    store.sweep();
    assert_eq!(store.counts(), Counts { live: 0, created: 1, expired: 1, evicted: 0 });
}

#[tokio::test]
async fn a_removed_tenants_pairs_go_with_it() {
    let store = MemoryStore::new(limits());
    store.create_all(owner(1), None, vec![pair("a")]).await.unwrap();
    store.remove_tenant(owner(1).tenant);
    assert_eq!(store.counts().live, 0);
}

/// Clients with a pair each of tenant a, all used, as many as fit.
async fn full_of_one_tenant() -> MemoryStore {
    let store = MemoryStore::new(limits());
    for client in 0..8 {
        make(&store, owner(client), "x", true).await.unwrap();
    }
    store
}

#[tokio::test]
async fn a_tenant_below_its_share_takes_room_from_the_one_above_least_recently_used_first() {
    let store = full_of_one_tenant().await;
    for client in [0, 1, 2, 6] {
        spend(&store, owner(client), "x").await;
    }
    for client in 0..4 {
        make(&store, of_tenant("b", client), "x", true).await.unwrap();
    }
    for client in 0..8 {
        let recent = [0, 1, 2, 6].contains(&client);
        assert_eq!(lives(&store, owner(client), "x").await, recent, "client {client}");
    }
    // Both have their share, and everything is in use: whoever asks for more is refused, and nobody loses anything.
    for tenant in ["a", "b"] {
        assert_eq!(make(&store, of_tenant(tenant, 99), "x", true).await, Err(CreateError::Full));
    }
    assert_eq!(store.counts(), Counts { live: 8, created: 12, expired: 0, evicted: 4 });
}

#[tokio::test]
async fn pairs_never_used_of_the_tenant_above_its_share_go_before_used_ones() {
    let store = MemoryStore::new(limits());
    for client in 0..8 {
        make(&store, owner(client), "x", client != 5).await.unwrap();
    }
    make(&store, of_tenant("b", 0), "x", false).await.unwrap();
    assert!(!lives(&store, owner(5), "x").await);
    assert!(lives(&store, owner(0), "x").await);
}

#[tokio::test]
async fn what_a_tenant_has_within_its_share_no_other_tenant_takes() {
    let store = full_of_one_tenant().await;
    for client in 0..4 {
        make(&store, of_tenant("b", client), "x", false).await.unwrap();
    }
    // However many another one makes: it recycles its own pairs that were never used.
    for client in 10..60 {
        make(&store, of_tenant("b", client), "x", false).await.unwrap();
    }
    let mut left = 0;
    for client in 0..8 {
        left += usize::from(lives(&store, owner(client), "x").await);
    }
    assert_eq!(left, 4);
}

#[tokio::test]
async fn a_third_tenant_is_served_from_the_two_that_have_more_than_a_third() {
    let store = full_of_one_tenant().await;
    for client in 0..4 {
        make(&store, of_tenant("b", client), "x", true).await.unwrap();
    }
    for client in 0..2 {
        make(&store, of_tenant("c", client), "x", true).await.unwrap();
    }
    let counts = store.counts();
    assert_eq!((counts.live, counts.evicted), (8, 6));
    // All of a request's pairs, though it goes beyond the share with them.
    let store = full_of_one_tenant().await;
    make(&store, of_tenant("b", 0), "x", true).await.unwrap();
    store.create_all(of_tenant("b", 1), None, ["p", "q", "r"].map(pair).into()).await.unwrap();
    assert_eq!(store.counts().live, 8);
}

#[tokio::test]
async fn a_network_has_a_limit_of_its_own() {
    let store = MemoryStore::new(config::Pairs { max_per_network: 3, max_total: 100, ..limits() });
    let network = |last: u8| Some(std::net::IpAddr::from([192, 0, last, 1]).into());
    store.create_all(owner(1), network(2), ["a", "b"].map(pair).into()).await.unwrap();
    let more = store.create_all(owner(2), network(2), ["a", "b"].map(pair).into()).await;
    assert_eq!(more, Err(CreateError::NetworkFull));
    store.create_all(owner(2), network(2), vec![pair("a")]).await.unwrap();
    store.create_all(owner(3), network(3), ["a", "b"].map(pair).into()).await.unwrap();
    // What is refused for another reason counts for nothing, and what is gone neither.
    let again = store.create_all(owner(3), network(3), vec![pair("a")]).await;
    assert_eq!(again, Err(CreateError::Exists(0)));
    store.create_all(owner(3), network(3), vec![pair("c")]).await.unwrap();
    store.remove_tenant(owner(1).tenant);
    assert_eq!(store.counts().live, 0);
    store.create_all(owner(1), network(2), ["a", "b", "c"].map(pair).into()).await.unwrap();
}

#[tokio::test]
async fn what_is_left_of_dead_pairs_does_not_grow() {
    let store = MemoryStore::new(limits());
    for round in 0..2_000 {
        make(&store, owner(1), &format!("{round}"), round % 2 == 0).await.unwrap();
    }
    let entries: usize = store.shards.iter().map(|shard| shard.lock().entries()).sum();
    assert_eq!(store.counts().live, 4);
    assert!(entries < 100, "{entries}");
    // All of them are found when they are to go.
    store.set_limits(config::Pairs {
        unused_timeout: Duration::ZERO,
        idle_timeout: Duration::ZERO,
        ..limits()
    });
    tokio::time::sleep(Duration::from_millis(5)).await;
    store.sweep();
    let entries: usize = store.shards.iter().map(|shard| shard.lock().entries()).sum();
    assert_eq!((store.counts().live, entries), (0, 0));
}

#[tokio::test]
async fn a_pair_that_is_used_outlives_its_idle_timeout() {
    let store = MemoryStore::new(limits());
    make(&store, owner(1), "busy", true).await.unwrap();
    make(&store, owner(1), "idle", true).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    spend(&store, owner(1), "busy").await;
    store.set_limits(config::Pairs { idle_timeout: Duration::from_millis(20), ..limits() });
    store.sweep();
    assert_eq!(store.counts().live, 1);
}

#[test]
fn a_pair_weighs_no_more_than_the_documented_kibibyte() {
    // With its two counts, its id and name, its place in the owner's list and in both queues, and the owner's entry.
    let (owner, entry) = (size_of::<(Owner, Vec<Arc<shard::Pair>>)>() * 2, shard::ENTRY * 2);
    let all = size_of::<shard::Pair>() + 16 + 64 + 4 * size_of::<Arc<shard::Pair>>() + 2 * entry + owner;
    assert!(all < 1_024, "{all} bytes");
}

#[tokio::test]
async fn requests_that_race_leave_no_epoch_behind_although_none_brings_the_secrets() {
    let store = MemoryStore::new(limits());
    store.create_all(owner(1), None, vec![pair("a")]).await.unwrap();
    let snapshot = store.begin(owner(1), "a").await.unwrap();
    for number in 0..600 {
        store.commit(owner(1), "a", commit(&snapshot, number, 1)).await.unwrap();
    }
    let after = store.begin(owner(1), "a").await.unwrap();
    assert_eq!((after.next_response, after.encoder.index()), (1_200, 1_200 / 32));
    assert!(after.decoder.epoch_of(63).is_err(), "the window reaches back to 88");
    assert!(after.decoder.epoch_of(64).is_ok());
}
