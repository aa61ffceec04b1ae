//! Limits, and which pairs are evicted when there is no room.

use mte_relay::{
    config,
    pairs::{CreateError, PairEvent},
};

use super::bench::{Bench, Make, limits, network, owner};

pub(super) async fn a_client_beyond_its_limit_loses_its_own_oldest_never_used_first(make: Make) {
    let bench = Bench::new(make);
    bench.create_used(owner(1), "used").await.unwrap();
    for id in ["a", "b", "c"] {
        bench.create(owner(1), &[id]).await.unwrap();
    }
    bench.create(owner(2), &["a"]).await.unwrap();
    bench.create(owner(1), &["d", "e"]).await.unwrap();
    for (id, lives) in [("used", true), ("a", false), ("b", false), ("c", true), ("d", true), ("e", true)] {
        assert_eq!(bench.lives(owner(1), id).await, lives, "{id}");
    }
    assert!(bench.lives(owner(2), "a").await, "another client loses nothing");
    assert_eq!((bench.count().await, bench.counted(PairEvent::Evicted)), (5, 2));
}

pub(super) async fn a_client_whose_pairs_are_all_used_loses_the_least_recently_used(make: Make) {
    let bench = Bench::new(make);
    for id in ["a", "b", "c", "d"] {
        bench.create_used(owner(1), id).await.unwrap();
    }
    bench.spend(owner(1), "a").await;
    bench.create(owner(1), &["e"]).await.unwrap();
    for (id, lives) in [("a", true), ("b", false), ("c", true), ("d", true), ("e", true)] {
        assert_eq!(bench.lives(owner(1), id).await, lives, "{id}");
    }
}

pub(super) async fn pairs_used_or_authenticated_are_not_evicted_for_unauthenticated_ones(make: Make) {
    let bench = Bench::new(make);
    bench.create_authenticated(owner(1), &["authenticated"]).await.unwrap();
    bench.create_used(owner(1), "used").await.unwrap();
    bench.create(owner(1), &["a", "b"]).await.unwrap();
    assert_eq!(bench.create(owner(1), &["c", "d", "e"]).await, Err(CreateError::Full));
    assert_eq!(bench.counted(PairEvent::Evicted), 0, "all or none");
    bench.create(owner(1), &["c", "d"]).await.unwrap();
    for (id, lives) in [("authenticated", true), ("used", true), ("a", false), ("b", false), ("c", true)] {
        assert_eq!(bench.lives(owner(1), id).await, lives, "{id}");
    }
}

pub(super) async fn an_authenticated_pair_evicts_never_used_ones_first_then_the_least_recently_used(
    make: Make,
) {
    let bench = Bench::new(make);
    for id in ["a", "b"] {
        bench.create_used(owner(1), id).await.unwrap();
    }
    bench.create_authenticated(owner(1), &["c", "d"]).await.unwrap();
    bench.spend(owner(1), "a").await;
    bench.create_authenticated(owner(1), &["e", "f", "g"]).await.unwrap();
    for (id, lives) in [("a", true), ("b", false), ("c", false), ("d", false), ("e", true), ("g", true)] {
        assert_eq!(bench.lives(owner(1), id).await, lives, "{id}");
    }
}

pub(super) async fn a_network_has_a_limit_of_its_own(make: Make) {
    let bench = Bench::with(make, config::Pairs { max_per_network: 3, max_total: 100, ..limits() });
    bench.create_from(network(2), owner(1), &["a", "b"]).await.unwrap();
    let more = bench.create_from(network(2), owner(2), &["a", "b"]).await;
    assert_eq!(more, Err(CreateError::NetworkFull));
    bench.create_from(network(2), owner(2), &["a"]).await.unwrap();
    bench.create_from(network(3), owner(3), &["a", "b"]).await.expect("another network has its own");
    bench.create(owner(4), &["a", "b", "c", "d"]).await.expect("without a network there is no such limit");
    // Pairs that were refused for another reason do not count, and neither do removed ones.
    let again = bench.create_from(network(3), owner(3), &["a"]).await;
    assert_eq!(again, Err(CreateError::Exists(0)));
    bench.create_from(network(3), owner(3), &["c"]).await.unwrap();
    bench.store.remove(owner(2), "a").await.unwrap();
    bench.create_from(network(2), owner(2), &["b"]).await.unwrap();
    bench.store.remove_tenant(owner(1).tenant).await.unwrap();
    bench.create_from(network(2), owner(1), &["a", "b", "c"]).await.unwrap();
}

pub(super) async fn a_full_store_drops_pairs_never_used_but_none_in_use(make: Make) {
    let bench = Bench::new(make);
    for client in 0..2 {
        for id in ["a", "b", "c", "d"] {
            bench.create(owner(client), &[id]).await.unwrap();
            if (client, id) != (1, "b") {
                bench.spend(owner(client), id).await;
            }
        }
    }
    bench.create_used(owner(9), "x").await.unwrap();
    assert!(!bench.lives(owner(1), "b").await, "the one never used made room");
    assert_eq!(bench.create(owner(8), &["y"]).await, Err(CreateError::Full));
    assert!(!bench.lives(owner(8), "y").await);
    assert_eq!(bench.count().await, 8);
    let counted =
        [PairEvent::Created, PairEvent::Evicted, PairEvent::Expired].map(|event| bench.counted(event));
    assert_eq!(counted, [9, 1, 0]);
}

pub(super) async fn a_request_for_more_pairs_than_fit_evicts_no_pair_in_use(make: Make) {
    let bench = Bench::new(make);
    for client in 0..3 {
        bench.create_used(owner(client), "x").await.unwrap();
    }
    let ids = ["a", "b", "c", "d", "e", "f"];
    assert_eq!(bench.create(owner(9), &ids).await, Err(CreateError::Full));
    assert_eq!((bench.count().await, bench.counted(PairEvent::Evicted)), (3, 0));
    bench.create(owner(9), &ids[..5]).await.unwrap();
}
