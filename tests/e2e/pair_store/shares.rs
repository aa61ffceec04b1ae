//! How tenants share a full store: with room for eight pairs and two tenants, each has a share of four.

use mte_relay::pairs::{CreateError, PairEvent};

use super::bench::{Bench, Make, of_tenant, owner};

/// As many clients of tenant `a` as fit, with one used pair each.
async fn full_of_one_tenant(make: Make) -> Bench {
    let bench = Bench::new(make);
    for client in 0..8 {
        bench.create_used(owner(client), "x").await.unwrap();
    }
    bench
}

pub(super) async fn a_tenant_below_its_share_evicts_pairs_of_one_above_least_recently_used_first(make: Make) {
    let bench = full_of_one_tenant(make).await;
    for client in [0, 1, 2, 6] {
        bench.spend(owner(client), "x").await;
    }
    for client in 0..4 {
        bench.create_used(of_tenant("b", client), "x").await.unwrap();
    }
    for client in 0..8 {
        let recent = [0, 1, 2, 6].contains(&client);
        assert_eq!(bench.lives(owner(client), "x").await, recent, "client {client}");
    }
    // Both have their share, and all pairs are in use: a request for more is refused, and no pair is evicted.
    for tenant in ["a", "b"] {
        assert_eq!(bench.create(of_tenant(tenant, 99), &["x"]).await, Err(CreateError::Full));
        assert_eq!(bench.count_of(tenant).await, 4);
    }
    assert_eq!((bench.counted(PairEvent::Created), bench.counted(PairEvent::Evicted)), (12, 4));
}

pub(super) async fn unused_pairs_of_the_tenant_above_its_share_are_evicted_before_used_ones(make: Make) {
    let bench = Bench::new(make);
    for client in 0..8 {
        bench.create(owner(client), &["x"]).await.unwrap();
        if client != 5 {
            bench.spend(owner(client), "x").await;
        }
    }
    bench.create(of_tenant("b", 0), &["x"]).await.unwrap();
    for client in 0..8 {
        assert_eq!(bench.lives(owner(client), "x").await, client != 5, "client {client}");
    }
}

pub(super) async fn pairs_within_a_tenants_share_are_not_evicted_for_another_tenant(make: Make) {
    let bench = full_of_one_tenant(make).await;
    // However many another tenant creates: at its share, its own unused pairs are evicted.
    for client in 0..60 {
        bench.create(of_tenant("b", client), &["x"]).await.unwrap();
    }
    assert_eq!((bench.count_of("a").await, bench.count_of("b").await), (4, 4));
    for client in 0..60 {
        assert_eq!(bench.lives(of_tenant("b", client), "x").await, client >= 56, "client {client}");
    }
}

pub(super) async fn a_third_tenant_is_served_from_the_two_that_have_more_than_a_third(make: Make) {
    let bench = full_of_one_tenant(make).await;
    for client in 0..4 {
        bench.create_used(of_tenant("b", client), "x").await.unwrap();
    }
    for client in 0..2 {
        bench.create_used(of_tenant("c", client), "x").await.unwrap();
    }
    let mut counts = Vec::new();
    for tenant in ["a", "b", "c"] {
        counts.push(bench.count_of(tenant).await);
    }
    assert_eq!((counts, bench.counted(PairEvent::Evicted)), (vec![3, 3, 2], 6));
}

pub(super) async fn all_pairs_of_a_request_fit_although_they_go_beyond_the_share(make: Make) {
    let bench = full_of_one_tenant(make).await;
    bench.create_used(of_tenant("b", 0), "x").await.unwrap();
    bench.create(of_tenant("b", 1), &["p", "q", "r"]).await.unwrap();
    assert_eq!((bench.count_of("a").await, bench.count_of("b").await), (4, 4));
}
