//! Responses that the relay's role refuses to seal.

use bytes::Bytes;
use mte_codec::EncodeType;
use mte_session::server::{ResponseError, ResponseHead, ResponseSealer, WireLength};

use crate::harness::{Answer, CLIENT_ID, Pair};

fn sealer(encode_type: EncodeType, limit: usize) -> ResponseSealer {
    let mut pair = Pair::new();
    pair.options.encode_type = encode_type;
    let (wire, _) = pair.post(b"");
    let request = pair.relay.serve(&wire).unwrap().request;
    request.response.sealer(request.headers, CLIENT_ID.to_owned(), limit)
}

fn head(answer: &Answer) -> ResponseHead<'_> {
    let has_body = answer.body.is_some();
    ResponseHead { status: answer.status, headers: &answer.headers, to_head: false, has_body }
}

#[test]
fn a_gathered_body_above_its_limit_is_refused_with_its_head_or_as_it_arrives() {
    let limit = 5;
    let stated = Answer::new(b"").with("content-length", "6");
    let error = sealer(EncodeType::Mte, limit).head(&head(&stated), &mut rand::rng()).unwrap_err();
    assert_eq!(error, ResponseError::TooLarge { limit });

    let answer = Answer::new(b"");
    let head = sealer(EncodeType::Mte, limit).head(&head(&answer), &mut rand::rng()).unwrap();
    let mut body = head.body.unwrap();
    assert!(body.seal(Bytes::from_static(b"five!"), false, &mut rand::rng()).unwrap().is_empty());
    assert_eq!(
        body.seal(Bytes::from_static(b"6"), false, &mut rand::rng()),
        Err(ResponseError::TooLarge { limit })
    );
}

#[test]
fn a_body_that_is_longer_than_it_states_is_refused() {
    let answer = Answer::new(b"").with("content-length", "4");
    let head = sealer(EncodeType::Mke, 5).head(&head(&answer), &mut rand::rng()).unwrap();
    assert_eq!(head.length, Some(WireLength::Known(26 + 20 + 4)));
    let mut body = head.body.unwrap();
    body.seal(Bytes::from_static(b"four"), false, &mut rand::rng()).unwrap();
    assert!(matches!(
        body.seal(Bytes::from_static(b"!"), true, &mut rand::rng()),
        Err(ResponseError::Seal(_))
    ));
}

#[test]
fn a_finished_body_yields_nothing_more() {
    let answer = Answer::new(b"");
    let head = sealer(EncodeType::Mke, 5).head(&head(&answer), &mut rand::rng()).unwrap();
    assert_eq!(head.length, Some(WireLength::Unknown));
    let mut body = head.body.unwrap();
    assert!(!body.seal(Bytes::from_static(b""), true, &mut rand::rng()).unwrap().is_empty());
    assert!(
        body.is_finished() && body.seal(Bytes::from_static(b""), true, &mut rand::rng()).unwrap().is_empty()
    );
}

#[test]
fn the_keys_of_a_response_are_its_own_whatever_the_order() {
    let mut pair = Pair::new();
    let requests: Vec<_> = (0..40_u8).map(|n| pair.post(&[n])).collect();
    let mut waiting = Vec::new();
    for (wire, opener) in requests {
        waiting.push((pair.relay.serve(&wire).unwrap(), opener));
    }
    for (served, opener) in waiting.into_iter().rev() {
        let body = served.body.clone();
        let response = crate::harness::respond(served, &Answer::new(&body));
        assert_eq!(opener.open(response.http()).unwrap().into_body(), body);
    }
}
