//! A pair's state and its stored form.

use mte_codec::{EpochSecret, KemId};
use mte_session::store::{
    Commit, Committed, Generation, NewPair, PairError, PairState, RelayKeyId, StateError,
};
use proptest::prelude::*;

use crate::harness::{Answer, Pair, respond};

/// Bytes of the form without a relay key.
const LEN: usize = 1 + 16 + 8 + 4 + 72 + 3 * 36 + 8 + 1;

fn new_pair(seed: u8, relay_key: Option<RelayKeyId>) -> NewPair {
    NewPair {
        pair_id: "a".into(),
        decoder: EpochSecret::from_bytes(0, &[seed; 32]),
        decoder_kem: KemId::MlKem768,
        encoder: EpochSecret::from_bytes(0, &[!seed; 32]),
        encoder_kem: KemId::XWing,
        relay_key,
    }
}

/// A commit that supplies no secrets.
fn bare(state: &PairState, first: u64, count: u64, reserve: u64) -> Commit {
    let generation = state.generation();
    Commit { generation, first, count, decoder: None, encoder: None, reserve }
}

/// A commit as in a request, from a snapshot of `state`.
fn with_secrets(state: &PairState, first: u64, count: u64, reserve: u64) -> Commit {
    let snapshot = state.snapshot();
    let mut window = snapshot.window.clone();
    let decoder = window.commit(first, count).ok().and_then(|()| snapshot.decoder.advanced(&window));
    let encoder = snapshot.encoder.at(EpochSecret::index_of(snapshot.next_response + reserve));
    Commit { decoder, encoder, ..bare(state, first, count, reserve) }
}

/// What a commit said, for comparisons.
fn told(outcome: Result<Committed, PairError>) -> Result<(u64, u32, [u8; 32]), PairError> {
    outcome.map(|done| (done.response, done.encoder.index(), *done.encoder.as_bytes()))
}

fn steps() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..9_000_u64, 0..4_u64), 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_state_is_read_back_as_it_was_written(
        seed in any::<u8>(), generation in any::<[u8; 16]>(), created_at in any::<u64>(),
        key in prop::option::of(any::<[u8; 32]>()), steps in steps(),
    ) {
        let (key, generation) = (key.map(RelayKeyId), Generation(generation));
        let mut state = PairState::new(new_pair(seed, key), generation, created_at);
        for (first, count) in steps {
            let _ = state.commit(bare(&state, first, count, count));
        }
        let bytes = state.to_bytes();
        prop_assert_eq!(bytes.len(), LEN + if key.is_some() { 32 } else { 0 });
        let read = PairState::from_bytes(&bytes).unwrap();
        prop_assert_eq!(read.to_bytes(), bytes);
        prop_assert_eq!((read.generation(), read.created_at(), read.relay_key()), (generation, created_at, key));
        prop_assert_eq!(read.kems(), (KemId::MlKem768, KemId::XWing));
    }

    #[test]
    fn a_commit_is_the_same_whether_secrets_are_supplied_or_derived(steps in steps()) {
        let mut derived = PairState::new(new_pair(1, None), Generation([0; 16]), 0);
        let mut brought = derived.clone();
        // Concurrent requests start from the same state, which is only renewed from time to time.
        let mut began = brought.clone();
        for (index, (first, count)) in steps.into_iter().enumerate() {
            if index % 3 == 0 {
                began = brought.clone();
            }
            let commit = with_secrets(&began, first, count, 2);
            let outcomes = [derived.commit(bare(&began, first, count, 2)), brought.commit(commit)].map(told);
            prop_assert_eq!(&outcomes[0], &outcomes[1]);
            prop_assert_eq!(derived.to_bytes(), brought.to_bytes());
        }
    }

    #[test]
    fn truncated_bytes_and_trailing_bytes_are_refused(
        key in prop::option::of(any::<[u8; 32]>()), more in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let state = PairState::new(new_pair(9, key.map(RelayKeyId)), Generation([1; 16]), 2);
        let bytes = state.to_bytes();
        for len in 0..bytes.len() {
            prop_assert_eq!(PairState::from_bytes(&bytes[..len]).err(), Some(StateError::Length(len)));
        }
        let longer = [&bytes[..], &more].concat();
        prop_assert_eq!(PairState::from_bytes(&longer).err(), Some(StateError::Length(longer.len())));
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_are_a_state_and_never_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..LEN + 40), known in any::<bool>(),
    ) {
        if let Some(version) = bytes.first_mut().filter(|_| known) {
            *version = 1;
        }
        if let Ok(state) = PairState::from_bytes(&bytes) {
            prop_assert_eq!(&state.to_bytes()[..], &bytes);
        }
    }

    #[test]
    fn a_changed_byte_is_refused_or_gives_another_state(at in 0..LEN, change in 1..=255_u8) {
        let mut state = PairState::new(new_pair(3, None), Generation([1; 16]), 2);
        state.commit(bare(&state, 700, 2, 40)).unwrap();
        let mut bytes = state.to_bytes();
        bytes[at] ^= change;
        if let Ok(read) = PairState::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}

#[test]
fn another_version_is_refused_whatever_follows() {
    let mut bytes = PairState::new(new_pair(1, None), Generation([0; 16]), 0).to_bytes();
    for version in [0, 2, 255] {
        bytes[0] = version;
        assert_eq!(PairState::from_bytes(&bytes).err(), Some(StateError::Version(version)));
    }
}

#[test]
fn a_state_that_contradicts_itself_is_refused() {
    let mut state = PairState::new(new_pair(1, None), Generation([0; 16]), 0);
    state.commit(bare(&state, 700, 2, 40)).unwrap();
    let good = state.to_bytes();
    // The offset of each field.
    let (kem, window, oldest, next) = (25, 29, 101, 101 + 72);
    let cases: [(usize, &[u8], &str); 7] = [
        (kem, &[0, 9], "KEM"),
        (window, &[255; 8], "window"),
        (window, &[0; 8], "window"),
        (oldest, &[0; 4], "epoch of requests"),
        (next, &[255; 8], "response number"),
        (next, &[0; 8], "epoch of responses"),
        (LEN - 1, &[2], "mark of authentication"),
    ];
    for (at, change, what) in cases {
        let mut bytes = good.clone();
        bytes[at..at + change.len()].copy_from_slice(change);
        assert_eq!(PairState::from_bytes(&bytes).err(), Some(StateError::Impossible(what)), "{what}");
    }
}

#[test]
fn a_pair_that_is_stored_and_read_between_all_steps_still_works() {
    let mut pair = Pair::new();
    let id = pair.client.id().to_owned();
    for round in 0..80_u8 {
        let bytes = pair.relay.pairs[&id].to_bytes();
        pair.relay.pairs.insert(id.clone(), PairState::from_bytes(&bytes).unwrap());
        let (wire, opener) = pair.post(&[round]);
        let served = pair.relay.serve(&wire).unwrap();
        assert_eq!(served.body, [round]);
        assert_eq!(
            *opener.open(respond(served, &Answer::new(&[round])).http()).unwrap().into_body(),
            [round]
        );
    }
}

#[test]
fn a_refused_commit_changes_nothing() {
    let mut state = PairState::new(new_pair(1, None), Generation([5; 16]), 0);
    state.commit(bare(&state, 3, 1, 2)).unwrap();
    let before = state.to_bytes();
    let replaced = Commit { generation: Generation([6; 16]), ..bare(&state, 4, 1, 2) };
    for commit in [replaced, bare(&state, 2, 3, 2), bare(&state, 9_000, 1, 2), bare(&state, 4, 1, 1 << 32)] {
        assert!(state.commit(commit).is_err());
        assert_eq!(state.to_bytes(), before);
    }
}

#[test]
fn no_secret_is_printed() {
    let pair = new_pair(0xab, None);
    let state = PairState::new(pair.clone(), Generation([0; 16]), 0);
    let text = format!("{pair:?} {state:?} {:?}", state.snapshot());
    assert!(!text.contains("171") && !text.contains("ab, ab"), "{text}");
}
