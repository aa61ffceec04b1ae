//! Message numbers: used once, within the window, to their end.

use mte_codec::{EpochSecret, NUMBER_LIMIT, WindowError};
use mte_relay::pairs::{Commit, Generation, PairError, PairState};

use super::bench::{Bench, Make, commit, fields, owner, pair};

const REPLAYED: PairError = PairError::Number(WindowError::Replayed);
const OUT_OF_WINDOW: PairError = PairError::Number(WindowError::OutOfWindow);

pub(super) async fn numbers_are_used_once_and_response_numbers_never_repeat(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let snapshot = bench.begin(owner(1), "a").await;
    let spend = |first, count| bench.commit(owner(1), "a", commit(&snapshot, first, count));
    assert_eq!(spend(0, 3).await, Ok(0));
    assert_eq!(spend(3, 2).await, Ok(2));
    assert_eq!(spend(0, 3).await, Err(REPLAYED));
    assert_eq!(spend(4, 1).await, Err(REPLAYED));
    assert_eq!(spend(5, 1).await, Ok(4));
    let after = bench.begin(owner(1), "a").await;
    assert_eq!((after.next_response, after.window.highest()), (6, Some(5)));
    assert_eq!(after.window.check(2), Err(WindowError::Replayed), "a later request sees what is taken");
}

pub(super) async fn a_request_takes_all_of_its_numbers_or_none(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let snapshot = bench.begin(owner(1), "a").await;
    let spend = |first, count| bench.commit(owner(1), "a", commit(&snapshot, first, count));
    assert_eq!(spend(2, 1).await, Ok(0));
    assert_eq!(spend(0, 3).await, Err(REPLAYED));
    assert_eq!(spend(0, 2).await, Ok(2), "0 and 1 are still free");
}

pub(super) async fn the_window_reaches_511_behind_and_4096_ahead_of_the_highest_number(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let snapshot = bench.begin(owner(1), "a").await;
    let spend = |first| bench.commit(owner(1), "a", commit(&snapshot, first, 1));
    assert_eq!(spend(4_096).await, Err(OUT_OF_WINDOW));
    assert!(spend(4_095).await.is_ok());
    assert_eq!(spend(4_095 + 4_097).await, Err(OUT_OF_WINDOW));
    assert!(spend(4_095 + 4_096).await.is_ok());
    let highest = 4_095 + 4_096;
    assert_eq!(spend(highest - 512).await, Err(OUT_OF_WINDOW));
    assert!(spend(highest - 511).await.is_ok());
    assert_eq!(spend(highest - 511).await, Err(REPLAYED));
}

pub(super) async fn a_commit_that_is_refused_changes_nothing(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    bench.spend(owner(1), "a").await;
    let before = bench.begin(owner(1), "a").await;
    let other = Generation([0xff; 16]);
    for (first, generation) in [(0, before.generation), (9_999, before.generation), (5, other)] {
        let wrong = Commit { generation, ..commit(&before, first, 3) };
        assert!(bench.commit(owner(1), "a", wrong).await.is_err());
        assert_eq!(fields(&bench.begin(owner(1), "a").await), fields(&before));
    }
}

pub(super) async fn a_commit_to_a_pair_that_was_replaced_or_removed_says_which(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let first = bench.begin(owner(1), "a").await;
    bench.store.remove(owner(1), "a").await.unwrap();
    let late = || bench.commit(owner(1), "a", commit(&first, 0, 1));
    assert_eq!(late().await, Err(PairError::NotFound));
    bench.create(owner(1), &["a"]).await.unwrap();
    assert_eq!(late().await, Err(PairError::Replaced));
    bench.spend(owner(1), "a").await;
}

pub(super) async fn response_numbers_end_at_two_to_the_32(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let snapshot = bench.begin(owner(1), "a").await;
    // Supplies the secret of the last epoch: deriving a hundred million epochs takes too long.
    let last = u32::try_from(EpochSecret::index_of(NUMBER_LIMIT)).unwrap();
    let most = Commit {
        encoder: Some(EpochSecret::from_bytes(last, &[3; 32])),
        reserve: NUMBER_LIMIT,
        ..commit(&snapshot, 0, 1)
    };
    assert_eq!(bench.commit(owner(1), "a", most).await, Ok(0));
    let more = bench.commit(owner(1), "a", commit(&snapshot, 1, 1)).await;
    assert_eq!(more, Err(PairError::Exhausted));
    let after = bench.begin(owner(1), "a").await;
    assert_eq!((after.next_response, after.window.highest()), (NUMBER_LIMIT, Some(0)));
}

pub(super) async fn a_request_number_of_two_to_the_32_is_beyond_the_end(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let snapshot = bench.begin(owner(1), "a").await;
    for (first, count) in [(NUMBER_LIMIT, 1), (u64::MAX, 2)] {
        let outcome = bench.commit(owner(1), "a", commit(&snapshot, first, count)).await;
        assert_eq!(outcome, Err(PairError::Number(WindowError::Exhausted)));
    }
}

/// The plain state is what says what a commit does: whatever else takes numbers is held against it.
pub(super) async fn a_store_takes_the_numbers_that_the_plain_state_takes(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let snapshot = bench.begin(owner(1), "a").await;
    let mut state = PairState::new(pair("a"), snapshot.generation, 0);
    // A generator of its own: the same steps each time.
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for step in 0..600 {
        let end = state.snapshot().window.end();
        let first = match next(4) {
            0 => end,
            1 => end + next(700),
            2 => end + 3_900 + next(300),
            _ => end.saturating_sub(next(600)),
        };
        let spend = || commit(&snapshot, first, 1 + step % 3);
        let expected = state.commit(spend()).map(|done| done.response);
        assert_eq!(bench.commit(owner(1), "a", spend()).await, expected, "step {step}: {first} of {end}");
    }
    let after = bench.begin(owner(1), "a").await;
    assert_eq!(fields(&after), fields(&state.snapshot()));
    assert_eq!(after.decoder.newest().as_bytes(), state.snapshot().decoder.newest().as_bytes());
    assert_eq!(after.decoder.oldest().as_bytes(), state.snapshot().decoder.oldest().as_bytes());
}
