//! Many tasks at once, on two threads.

use std::{collections::BTreeSet, sync::Arc};

use mte_codec::WindowError;
use mte_relay::{
    config,
    pairs::{CreateError, PairError},
};

use super::bench::{Bench, Make, commit, limits, network, of_tenant, owner, pair};

const TASKS: u64 = 64;

/// The results of tasks that all start at the same time.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    task: impl Fn(u64) -> F,
) -> Vec<T> {
    let start = Arc::new(tokio::sync::Barrier::new(TASKS as usize));
    let started = (0..TASKS).map(|number| {
        let (start, task) = (start.clone(), task(number));
        tokio::spawn(async move {
            start.wait().await;
            task.await
        })
    });
    let mut outcomes = Vec::new();
    for task in started.collect::<Vec<_>>() {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

pub(super) async fn of_many_tasks_that_commit_the_same_number_exactly_one_succeeds(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    for round in 0..20 {
        let snapshot = bench.begin(owner(1), "a").await;
        let outcomes = at_once(|_| {
            let (store, commit) = (bench.store.clone(), commit(&snapshot, round, 1));
            async move { store.commit(owner(1), "a", commit).await.map(|done| done.response) }
        })
        .await;
        let won: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
        assert_eq!(won, [&(2 * round)]);
        let replayed = Err(PairError::Number(WindowError::Replayed));
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == replayed).count() as u64, TASKS - 1);
    }
}

pub(super) async fn tasks_with_different_numbers_all_succeed_and_get_different_response_numbers(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let snapshot = bench.begin(owner(1), "a").await;
    let outcomes = at_once(|number| {
        let (store, commit) = (bench.store.clone(), commit(&snapshot, 3 * number, 3));
        async move { store.commit(owner(1), "a", commit).await.unwrap().response }
    })
    .await;
    let numbers: BTreeSet<_> = outcomes.into_iter().collect();
    assert_eq!(numbers, (0..TASKS).map(|number| 2 * number).collect());
}

pub(super) async fn of_many_tasks_that_create_the_same_id_exactly_one_succeeds(make: Make) {
    let bench = Bench::with(make, config::Pairs { max_total: 1_000, ..limits() });
    let outcomes = at_once(|_| {
        let store = bench.store.clone();
        async move { store.create_all(owner(1), network(2), vec![pair("a")]).await }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = Err(CreateError::Exists(0));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == refused).count() as u64, TASKS - 1);
    assert_eq!((bench.count().await, bench.lives(owner(1), "a").await), (1, true));
}

pub(super) async fn limits_hold_however_many_tasks_create_pairs(make: Make) {
    let bench = Bench::with(make, config::Pairs { max_per_network: 5, ..limits() });
    let outcomes = at_once(|number| {
        let store = bench.store.clone();
        let owner = of_tenant(["a", "b"][number as usize % 2], number as u8);
        async move { store.create_all(owner, network(number as u8 % 4), vec![pair("x")]).await }
    })
    .await;
    assert!(outcomes.iter().any(Result::is_ok));
    let known = [CreateError::Full, CreateError::NetworkFull];
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(refused.iter().all(|error| known.contains(error)), "{refused:?}");
    let counts = (bench.count().await, bench.count_of("a").await + bench.count_of("b").await);
    assert!(counts.0 <= 8 && counts.0 == counts.1, "{counts:?}");
    let mut alive = 0;
    for number in 0..TASKS {
        let owner = of_tenant(["a", "b"][number as usize % 2], number as u8);
        alive += usize::from(bench.lives(owner, "x").await);
    }
    assert_eq!(alive, counts.0, "the count is the number of live pairs");
}
