//! Tenants that are removed and added again.

use mte_relay::pairs::{PairError, PairEvent};

use super::bench::{Bench, Make, commit, of_tenant};

pub(super) async fn one_client_id_under_two_tenants_is_two_owners(make: Make) {
    let bench = Bench::new(make);
    bench.create(of_tenant("a", 1), &["x"]).await.unwrap();
    assert!(!bench.lives(of_tenant("b", 1), "x").await);
    bench.create(of_tenant("b", 1), &["x"]).await.unwrap();
    let [one, other] = [bench.begin(of_tenant("a", 1), "x").await, bench.begin(of_tenant("b", 1), "x").await];
    assert_ne!(one.generation, other.generation);
    bench.spend(of_tenant("a", 1), "x").await;
    assert_eq!(bench.begin(of_tenant("b", 1), "x").await.window.highest(), None);
}

pub(super) async fn a_removed_tenant_loses_its_pairs_and_others_keep_theirs(make: Make) {
    let bench = Bench::new(make);
    for client in 1..3 {
        bench.create(of_tenant("a", client), &["unused"]).await.unwrap();
        bench.create_used(of_tenant("a", client), "used").await.unwrap();
    }
    bench.create(of_tenant("b", 1), &["unused"]).await.unwrap();
    let snapshot = bench.begin(of_tenant("a", 1), "used").await;
    bench.store.remove_tenant(of_tenant("a", 1).tenant).await.unwrap();
    let late = bench.commit(of_tenant("a", 1), "used", commit(&snapshot, 9, 1)).await;
    assert_eq!(late, Err(PairError::NotFound), "a request that began before spends nothing");
    for client in 1..3 {
        for id in ["used", "unused"] {
            assert!(!bench.lives(of_tenant("a", client), id).await);
        }
    }
    assert!(bench.lives(of_tenant("b", 1), "unused").await);
    assert_eq!((bench.count().await, bench.counted(PairEvent::Removed)), (1, 4));
}

pub(super) async fn a_tenant_that_is_added_again_starts_without_pairs(make: Make) {
    let bench = Bench::new(make);
    bench.create_used(of_tenant("a", 1), "x").await.unwrap();
    let before = bench.begin(of_tenant("a", 1), "x").await;
    bench.store.remove_tenant(of_tenant("a", 1).tenant).await.unwrap();
    bench.create(of_tenant("a", 1), &["x"]).await.expect("the id is free");
    let after = bench.begin(of_tenant("a", 1), "x").await;
    assert_ne!(after.generation, before.generation);
    assert_eq!((after.window.highest(), bench.count_of("a").await), (None, 1));
    // A tenant that never had any pairs can be removed as well.
    bench.store.remove_tenant(of_tenant("c", 1).tenant).await.unwrap();
    assert_eq!(bench.count().await, 1);
}

pub(super) async fn pairs_are_counted_for_each_tenant_and_in_total(make: Make) {
    let bench = Bench::new(make);
    bench.create(of_tenant("a", 1), &["x", "y"]).await.unwrap();
    bench.create(of_tenant("b", 1), &["x"]).await.unwrap();
    assert_eq!((bench.count().await, bench.count_of("a").await, bench.count_of("b").await), (3, 2, 1));
    bench.store.remove(of_tenant("a", 1), "x").await.unwrap();
    assert_eq!((bench.count().await, bench.count_of("a").await), (2, 1));
    assert_eq!(bench.count_of("never.seen").await, 0);
}
