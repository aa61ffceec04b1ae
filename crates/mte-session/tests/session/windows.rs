//! Which numbers a pair accepts, and which epochs it keeps.

use mte_codec::{EpochSecret, OpenError, WindowError};
use mte_session::{
    server::{OpenedHead, Outer, RequestError, RequestOpener, relay_header},
    store::PairState,
};

use crate::harness::{Part, Raw, Relay};

const URL: &[Part<'_>] = &[Part::Url("u")];

fn pair() -> (Relay, Raw) {
    let mut relay = Relay::new();
    let raw = Raw::new(&mut relay);
    (relay, raw)
}

fn at(relay: &mut Relay, raw: &mut Raw, number: u64) -> Result<(), RequestError> {
    raw.next = number;
    relay.serve(&raw.request(URL)).map(drop)
}

fn number(error: WindowError) -> RequestError {
    OpenError::Number(error).into()
}

#[test]
fn a_pair_takes_numbers_from_511_behind_to_4096_ahead_of_its_highest_and_each_once() {
    let (mut relay, mut raw) = pair();
    assert_eq!(at(&mut relay, &mut raw, 4_096), Err(number(WindowError::OutOfWindow)));
    assert_eq!(at(&mut relay, &mut raw, 4_095), Ok(()));
    assert_eq!(at(&mut relay, &mut raw, 4_095), Err(number(WindowError::Replayed)));
    assert_eq!(at(&mut relay, &mut raw, 4_095 - 511), Ok(()));
    // The epoch of the number 512 behind may already be removed, or still be kept for its neighbours.
    let behind = at(&mut relay, &mut raw, 4_095 - 512).unwrap_err();
    assert_eq!(behind.status(), 562);
    assert_eq!(at(&mut relay, &mut raw, 8_191), Ok(()));
    assert_eq!(at(&mut relay, &mut raw, 8_191 + 4_097).unwrap_err().status(), 562);
    assert_eq!(at(&mut relay, &mut raw, 8_191 + 4_096), Ok(()));
}

#[test]
fn a_request_that_crosses_the_end_of_the_window_or_a_taken_number_is_refused_whole() {
    let parts = [Part::Url("u"), Part::Headers("{}")];
    let (mut relay, mut raw) = pair();
    raw.next = 4_095;
    let wire = raw.request(&parts);
    assert_eq!(relay.serve(&wire).unwrap_err(), number(WindowError::OutOfWindow));
    assert_eq!(at(&mut relay, &mut raw, 4_095), Ok(()), "the refused request has taken nothing");

    let (mut relay, mut raw) = pair();
    assert_eq!(at(&mut relay, &mut raw, 1), Ok(()));
    raw.next = 0;
    let wire = raw.request(&parts);
    assert_eq!(relay.serve(&wire).unwrap_err(), number(WindowError::Replayed));
    assert_eq!(at(&mut relay, &mut raw, 0), Ok(()), "the refused request has taken nothing");
}

#[test]
fn epochs_that_the_window_has_left_behind_cannot_be_derived_from_what_is_stored() {
    let (mut relay, mut raw) = pair();
    assert_eq!(at(&mut relay, &mut raw, 2_000), Ok(()));
    let snapshot = relay.snapshot("raw").unwrap();
    let oldest = EpochSecret::index_of(2_000 - 511);
    assert_eq!(u64::from(snapshot.decoder.oldest().index()), oldest);
    assert_eq!(u64::from(snapshot.decoder.newest().index()), EpochSecret::index_of(2_000));
    assert!(snapshot.decoder.oldest().at(oldest - 1).is_none());
}

#[test]
fn of_two_concurrent_commits_of_the_same_message_one_succeeds() {
    let (mut relay, mut raw) = pair();
    let wire = raw.request(URL);
    let [(one, _), (other, _)] = [(); 2].map(|()| relay.open(&wire).unwrap());
    assert!(relay.commit(one).is_ok());
    assert_eq!(relay.commit(other).unwrap_err(), number(WindowError::Replayed));
}

#[test]
fn concurrent_requests_get_different_response_numbers() {
    let (mut relay, mut raw) = pair();
    let opened: Vec<_> = (0..40).map(|_| relay.open(&raw.request(URL)).unwrap().0).collect();
    let state = relay.pairs.get_mut("raw").unwrap();
    let numbers: Vec<u64> =
        opened.iter().rev().map(|request| state.commit(request.commit()).unwrap().response).collect();
    assert_eq!(numbers, (0..40).map(|n| 2 * n).collect::<Vec<u64>>());
}

#[test]
fn a_replaced_pair_refuses_what_began_with_the_old_one() {
    let (mut relay, mut raw) = pair();
    let (request, _) = relay.open(&raw.request(URL)).unwrap();
    let mut bytes = relay.pairs["raw"].to_bytes();
    bytes[8] ^= 1;
    relay.pairs.insert("raw".into(), PairState::from_bytes(&bytes).unwrap());
    let error = relay.commit(request).unwrap_err();
    assert_eq!(error.status(), 560);
}

#[test]
fn response_numbers_run_out_after_the_request_verified() {
    let (mut relay, mut raw) = pair();
    let mut bytes = relay.pairs["raw"].to_bytes();
    // The next response number, and its epoch: see the stored form.
    let next = bytes.len() - 1 - 36 - 8;
    bytes[next..next + 8].copy_from_slice(&((1_u64 << 32) - 1).to_be_bytes());
    bytes[next + 8..next + 12].copy_from_slice(&((1_u32 << 27) - 1).to_be_bytes());
    relay.pairs.insert("raw".into(), PairState::from_bytes(&bytes).unwrap());
    let before = relay.stored();
    assert_eq!(at(&mut relay, &mut raw, 0).unwrap_err().status(), 564);
    assert_eq!(relay.stored(), before);
}

#[test]
fn a_request_that_an_outdated_snapshot_does_not_open_is_opened_with_a_later_one() {
    let (mut relay, mut raw) = pair();
    let outdated = relay.snapshot("raw").unwrap();
    // Other relays have moved the pair on, beyond what the snapshot reaches.
    assert_eq!(at(&mut relay, &mut raw, 4_000), Ok(()));
    raw.next = 8_000;
    let wire = raw.request(&[Part::Url("u"), Part::Headers("{}")]);
    let header = relay_header(&wire.headers).unwrap();
    let opener = RequestOpener::new(&header, &wire.path, &wire.headers, &relay.policy).unwrap();
    let outer = Outer { method: wire.method.as_str(), authority: &wire.authority, has_body: false };
    let error = opener.open(outdated.clone(), &outer, &relay.policy).unwrap_err();
    assert!(error.may_be_outdated(), "{error}");
    let now = relay.snapshot("raw").unwrap();
    assert!(now.supersedes(&outdated) && !outdated.supersedes(&outdated));
    let opened = opener.open(now, &outer, &relay.policy).unwrap();
    let OpenedHead::Whole(request) = opened else { panic!("there is no body") };
    assert!(relay.commit(request).is_ok());
}

#[test]
fn an_outdated_snapshot_leaves_too_far_ahead_to_the_commit_and_taken_is_final() {
    let (mut relay, mut raw) = pair();
    // Within what can be opened, and one beyond the window.
    raw.next = 4_096;
    let (ahead, _) = relay.open(&raw.request(URL)).unwrap();
    assert_eq!(at(&mut relay, &mut raw, 100), Ok(()));
    assert!(relay.commit(ahead).is_ok(), "the window has moved");
    let error = at(&mut relay, &mut raw, 4_096).unwrap_err();
    assert_eq!((error.may_be_outdated(), error), (false, number(WindowError::Replayed)));
}

#[test]
fn a_commit_brings_the_secret_of_the_response_numbers_it_reserves_although_the_snapshot_is_of_an_earlier_epoch()
 {
    let (mut relay, mut raw) = pair();
    let opened: Vec<_> = (0..40).map(|_| relay.open(&raw.request(URL)).unwrap().0).collect();
    let state = relay.pairs.get_mut("raw").unwrap();
    for request in opened {
        let committed = state.commit(request.commit()).unwrap();
        assert_eq!(u64::from(committed.encoder.index()), EpochSecret::index_of(committed.response));
        assert!(request.accept(committed, &mut rand::rng()).is_ok());
    }
}
