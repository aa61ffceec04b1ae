//! Pairs that are stored, all or none.

use mte_codec::{EpochSecret, Window};
use mte_relay::pairs::{CreateError, PairError, PairEvent};

use super::bench::{Bench, DECODER, ENCODER, Make, SECOND, fields, owner};

pub(super) async fn a_new_pair_begins_with_its_root_secrets_and_no_number_taken(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let snapshot = bench.begin(owner(1), "a").await;
    assert_eq!(fields(&snapshot), (snapshot.generation, 0, 0, ENCODER, Window::new()));
    assert_eq!(snapshot.decoder.epoch_of(0).unwrap().as_bytes(), &DECODER);
    let ahead = EpochSecret::from_bytes(0, &DECODER).at(3).unwrap();
    assert_eq!(snapshot.decoder.epoch_of(3 * 32).unwrap().as_bytes(), ahead.as_bytes());
    assert_eq!(bench.counted(PairEvent::Created), 1);
}

pub(super) async fn a_request_with_the_id_of_a_live_pair_stores_nothing_and_names_the_pair(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let before = fields(&bench.begin(owner(1), "a").await);
    let again = bench.create(owner(1), &["b", "a"]).await;
    assert_eq!(again, Err(CreateError::Exists(1)));
    assert_eq!((bench.count().await, bench.counted(PairEvent::Created)), (1, 1));
    assert_eq!(bench.store.begin(owner(1), "b").await.unwrap_err(), PairError::NotFound);
    assert_eq!(fields(&bench.begin(owner(1), "a").await), before, "the existing pair is unchanged");
    bench.create(owner(2), &["a"]).await.expect("another client's id is another id");
}

pub(super) async fn an_id_is_free_again_once_its_pair_is_dead_or_removed(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    bench.wait(31 * SECOND);
    bench.create(owner(1), &["a"]).await.expect("the first one was never used in time");
    assert_eq!(bench.count().await, 1);
    assert_eq!(bench.store.remove(owner(1), "a").await, Ok(true));
    assert_eq!(bench.store.remove(owner(1), "a").await, Ok(false));
    assert_eq!(bench.store.begin(owner(1), "a").await.unwrap_err(), PairError::NotFound);
    assert_eq!((bench.count().await, bench.counted(PairEvent::Removed)), (0, 1));
    bench.create(owner(1), &["a"]).await.unwrap();
}

pub(super) async fn a_pair_created_again_under_the_same_id_is_another_pair(make: Make) {
    let bench = Bench::new(make);
    let mut generations = Vec::new();
    for _ in 0..3 {
        bench.create(owner(1), &["a"]).await.unwrap();
        bench.spend(owner(1), "a").await;
        generations.push(bench.begin(owner(1), "a").await.generation.0);
        bench.store.remove(owner(1), "a").await.unwrap();
    }
    generations.sort_unstable();
    generations.dedup();
    assert_eq!(generations.len(), 3);
    bench.create(owner(1), &["a"]).await.unwrap();
    assert_eq!(bench.begin(owner(1), "a").await.window, Window::new(), "nothing is left of the first");
}
