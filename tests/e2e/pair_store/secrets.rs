//! Epochs: old secrets are removed and never restored.

use mte_codec::{DecoderSecrets, EpochSecret};
use mte_relay::pairs::Commit;

use super::bench::{Bench, DECODER, ENCODER, Make, commit, owner};

pub(super) async fn concurrent_requests_leave_no_epoch_behind_although_none_supplies_the_secrets(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let snapshot = bench.begin(owner(1), "a").await;
    for number in 0..600 {
        bench.commit(owner(1), "a", commit(&snapshot, number, 1)).await.unwrap();
    }
    let after = bench.begin(owner(1), "a").await;
    assert_eq!((after.next_response, after.encoder.index()), (1_200, 1_200 / 32));
    assert!(after.decoder.epoch_of(63).is_err(), "the window reaches back to 88");
    let root = EpochSecret::from_bytes(0, &DECODER);
    for number in [64, 599, 600] {
        let epoch = root.at(EpochSecret::index_of(number)).unwrap();
        assert_eq!(after.decoder.epoch_of(number).unwrap().as_bytes(), epoch.as_bytes(), "{number}");
    }
    let sealing = EpochSecret::from_bytes(0, &ENCODER).at(1_200 / 32).unwrap();
    assert_eq!(after.encoder.as_bytes(), sealing.as_bytes());
}

pub(super) async fn secrets_supplied_by_a_request_are_used_if_they_are_newer(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let snapshot = bench.begin(owner(1), "a").await;
    let mut window = snapshot.window.clone();
    window.commit(700, 1).unwrap();
    // Marked, so that supplied secrets can be distinguished from those that the store derives.
    let (oldest, newest) = (EpochSecret::index_of(window.oldest()), EpochSecret::index_of(700));
    let marked = |index: u64| EpochSecret::from_bytes(index as u32, &[index as u8; 32]);
    let brought = Commit {
        decoder: DecoderSecrets::stored(marked(oldest), marked(newest), &window),
        encoder: Some(marked(2)),
        reserve: 64,
        ..commit(&snapshot, 700, 1)
    };
    bench.commit(owner(1), "a", brought).await.unwrap();
    let after = bench.begin(owner(1), "a").await;
    assert_eq!(after.decoder.epoch_of(700).unwrap().as_bytes(), marked(newest).as_bytes());
    assert_eq!(after.decoder.epoch_of(oldest * 32).unwrap().as_bytes(), marked(oldest).as_bytes());
    assert_eq!((after.encoder.index(), after.encoder.as_bytes()), (2, marked(2).as_bytes()));
}

pub(super) async fn secrets_of_an_earlier_state_do_not_come_back(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let early = bench.begin(owner(1), "a").await;
    bench.commit(owner(1), "a", Commit { reserve: 100, ..commit(&early, 1_000, 1) }).await.unwrap();
    // A slow request that began earlier: the secrets that it supplies are outdated.
    let slow = Commit {
        decoder: Some(early.decoder.clone()),
        encoder: Some(early.encoder.clone()),
        ..commit(&early, 999, 1)
    };
    bench.commit(owner(1), "a", slow).await.unwrap();
    let after = bench.begin(owner(1), "a").await;
    assert!(after.decoder.epoch_of(0).is_err());
    assert_eq!((after.encoder.index(), after.next_response), (102 / 32, 102));
}

pub(super) async fn a_commit_gives_the_secret_of_the_numbers_it_reserves(make: Make) {
    let bench = Bench::new(make);
    bench.create(owner(1), &["a"]).await.unwrap();
    let root = EpochSecret::from_bytes(0, &ENCODER);
    for number in 0..100 {
        // As a request does: it brings the secret of the epoch that it crosses into.
        let snapshot = bench.begin(owner(1), "a").await;
        let after = EpochSecret::index_of(snapshot.next_response + 2);
        let encoder = (after > u64::from(snapshot.encoder.index())).then(|| root.at(after)).flatten();
        let spend = Commit { encoder, ..commit(&snapshot, number, 1) };
        let done = bench.store.commit(owner(1), "a", spend).await.unwrap();
        let epoch = EpochSecret::index_of(done.response);
        let (given, right) = (done.encoder.at(epoch).expect("an earlier secret"), root.at(epoch).unwrap());
        assert_eq!(given.as_bytes(), right.as_bytes(), "{number}");
    }
}
