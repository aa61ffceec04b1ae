//! Ages, sweeping, limits that change.

use std::time::Duration;

use mte_relay::{
    config,
    pairs::{PairError, PairEvent},
};

use super::bench::{Bench, Make, SECOND, limits, owner};

pub(super) async fn a_pair_never_used_is_dropped_after_its_timeout(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    bench.wait(30 * SECOND);
    assert!(bench.lives(owner(1), "a").await, "to look at it is not to use it");
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.store.begin(owner(1), "a").await.unwrap_err(), PairError::NotFound);
}

pub(super) async fn a_pair_that_is_used_is_kept_beyond_its_idle_timeout(make: Make) {
    let bench = Bench::new(make);
    bench.create_used(owner(1), "busy").await.unwrap();
    bench.create_used(owner(1), "idle").await.unwrap();
    bench.wait(59 * SECOND);
    bench.spend(owner(1), "busy").await;
    bench.wait(2 * SECOND);
    bench.store.sweep().await.unwrap();
    assert!(bench.lives(owner(1), "busy").await);
    assert_eq!(bench.store.begin(owner(1), "idle").await.unwrap_err(), PairError::NotFound);
}

pub(super) async fn a_pair_above_its_age_must_be_renewed_until_it_is_idle(make: Make) {
    let bench = Bench::new(make);
    bench.create_used(owner(1), "a").await.unwrap();
    for _ in 0..10 {
        bench.wait(59 * SECOND);
        bench.spend(owner(1), "a").await;
    }
    bench.wait(11 * SECOND);
    assert_eq!(bench.store.begin(owner(1), "a").await.unwrap_err(), PairError::Expired);
    bench.store.sweep().await.unwrap();
    assert_eq!(bench.count().await, 1, "it stays while its client may still ask for it");
    assert_eq!(bench.store.begin(owner(1), "a").await.unwrap_err(), PairError::Expired);
    bench.wait(60 * SECOND);
    assert_eq!(bench.store.begin(owner(1), "a").await.unwrap_err(), PairError::NotFound);
}

pub(super) async fn a_sweep_removes_only_expired_pairs(make: Make) {
    let bench = Bench::new(make);
    for (client, id) in [(1, "used"), (2, "used")] {
        bench.create_used(owner(client), id).await.unwrap();
    }
    bench.create(owner(1), &["unused"]).await.unwrap();
    bench.wait(20 * SECOND);
    bench.create(owner(2), &["later"]).await.unwrap();
    bench.store.sweep().await.unwrap();
    assert_eq!((bench.count().await, bench.counted(PairEvent::Expired)), (4, 0));
    for (wait, left) in [(20 * SECOND, 3), (11 * SECOND, 2), (10 * SECOND, 0)] {
        bench.wait(wait);
        bench.store.sweep().await.unwrap();
        assert_eq!(bench.count().await, left);
    }
    assert_eq!(bench.counted(PairEvent::Expired), 4);
}

pub(super) async fn changed_limits_apply_to_existing_pairs(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a", "b", "c", "d"]).await.unwrap();
    bench.wait(10 * SECOND);
    bench.store.set_limits(config::Pairs { max_age: 9 * SECOND, ..limits() });
    assert_eq!(bench.store.begin(owner(1), "a").await.unwrap_err(), PairError::Expired);
    bench.store.set_limits(config::Pairs { unused_timeout: 9 * SECOND, ..limits() });
    assert_eq!(bench.store.begin(owner(1), "a").await.unwrap_err(), PairError::NotFound);
    bench.store.set_limits(config::Pairs { max_per_client: 2, ..limits() });
    assert!(bench.lives(owner(1), "a").await);
    bench.create(owner(1), &["e"]).await.unwrap();
    assert_eq!(bench.count().await, 2);
}
