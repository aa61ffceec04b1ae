use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::pairing::{write_request, write_response};

fn pair(id: &str) -> PairRequest {
    PairRequest {
        pair_id: id.into(),
        encoder_public_key: vec![1; 1184],
        encoder_personalization: "e".into(),
        decoder_public_key: vec![2; 800],
        decoder_personalization: "d".into(),
    }
}

fn answer(id: &str) -> PairResponse {
    PairResponse {
        pair_id: id.into(),
        encoder_nonce: Nonce::from_random(u64::MAX),
        encoder_secret: vec![3; 768],
        decoder_nonce: Nonce::from_random(0),
        decoder_secret: vec![4; 1088],
    }
}

fn value() -> Value {
    serde_json::from_slice(&write_request(&[pair("a"), pair("b")])).unwrap()
}

fn refused(body: &Value) -> PairingError {
    parse_request(body.to_string().as_bytes(), 100).unwrap_err()
}

fn field_error(index: usize, field: Field, problem: Problem) -> PairingError {
    PairingError::field(index, field, problem)
}

#[test]
fn a_request_has_exactly_the_names_of_the_protocol() {
    let keys: Vec<String> = value()[0].as_object().unwrap().keys().cloned().collect();
    let names = [
        "pairId",
        "encoderPublicKey",
        "encoderPersonalizationStr",
        "decoderPublicKey",
        "decoderPersonalizationStr",
    ];
    assert_eq!(keys.len(), names.len());
    assert!(names.iter().all(|name| keys.iter().any(|key| key == name)));
    let value: Value = serde_json::from_slice(&write_response(&[answer("a")])).unwrap();
    let keys = value[0].as_object().unwrap();
    let names = ["pairId", "encoderNonce", "encoderSecret", "decoderNonce", "decoderSecret"];
    assert!(keys.len() == names.len() && names.iter().all(|name| keys[*name].is_string()));
    assert_eq!(keys["encoderNonce"], "9223372036854775807");
}

#[test]
fn a_request_is_read_back_in_its_order() {
    let pairs = [pair("b"), pair("a"), pair("c+/=")];
    assert_eq!(parse_request(&write_request(&pairs), 3).unwrap(), pairs);
}

#[test]
fn every_kem_is_identified_by_its_key_size_and_both_keys_may_differ() {
    for (_, key, _) in KEMS {
        let pair = PairRequest { encoder_public_key: vec![0; key], ..pair("a") };
        assert_eq!(parse_request(&write_request(std::slice::from_ref(&pair)), 1).unwrap(), [pair]);
    }
}

#[test]
fn unknown_fields_are_ignored() {
    let mut body = value();
    body[1]["clientVersion"] = json!({"a": [1, null, "x"]});
    body[0]["pairId2"] = json!("z");
    assert_eq!(parse_request(body.to_string().as_bytes(), 2).unwrap(), [pair("a"), pair("b")]);
}

#[test]
fn a_missing_field_is_named() {
    for field in REQUEST {
        let mut body = value();
        body[1].as_object_mut().unwrap().remove(field.name());
        assert_eq!(refused(&body), field_error(1, field, Problem::Missing));
    }
}

#[test]
fn a_value_that_is_not_a_string_is_named() {
    for field in REQUEST {
        for other in
            [json!(1), json!(-1), json!(1.5), json!(true), json!(null), json!(["x"]), json!({"x": [1]})]
        {
            let mut body = value();
            body[0][field.name()] = other;
            assert_eq!(refused(&body), field_error(0, field, Problem::NotText));
        }
    }
}

#[test]
fn a_duplicate_field_is_named() {
    let body = r#"[{"pairId":"a","pairId":"b"}]"#;
    assert_eq!(parse_request(body.as_bytes(), 1), Err(field_error(0, Field::PairId, Problem::Repeated)));
}

#[test]
fn keys_are_strict_base64_of_a_known_size() {
    let good = text::encode(&[1; 1184]);
    for text in
        [format!("{good} "), good.replace('=', ""), good.replace("AQ", "-_"), format!("{good}\n"), "é".into()]
    {
        let mut body = value();
        body[1]["decoderPublicKey"] = json!(text);
        assert_eq!(refused(&body), field_error(1, Field::DecoderPublicKey, Problem::NotBase64), "{text}");
    }
    for got in [0, 799, 1185, 1088, 1600] {
        let mut body = value();
        body[0]["encoderPublicKey"] = json!(text::encode(&vec![1; got]));
        assert_eq!(
            refused(&body),
            field_error(0, Field::EncoderPublicKey, Problem::Size { got, expected: None })
        );
    }
}

#[test]
fn opaque_texts_follow_their_rule() {
    for field in [Field::PairId, Field::EncoderPersonalization, Field::DecoderPersonalization] {
        for text in ["", "a,b", "a b", "é", "a\n", &"x".repeat(257)] {
            let mut body = value();
            body[1][field.name()] = json!(text);
            assert_eq!(refused(&body), field_error(1, field, Problem::NotOpaque), "{text}");
        }
    }
}

#[test]
fn a_pair_id_occurs_once_in_a_request() {
    let body = write_request(&[pair("a"), pair("b"), pair("a")]);
    assert_eq!(parse_request(&body, 3), Err(field_error(2, Field::PairId, Problem::Duplicate { first: 0 })));
}

#[test]
fn an_array_has_at_least_one_pair_and_at_most_the_limit() {
    assert_eq!(refused(&json!([])), PairingError::body(Problem::Empty));
    let body = write_request(&[pair("a"), pair("b"), pair("c")]);
    assert_eq!(parse_request(&body, 2), Err(PairingError::body(Problem::TooMany { max: 2 })));
    assert!(parse_request(&body, 3).is_ok());
}

#[test]
fn other_json_is_refused_with_its_place() {
    for (body, index) in [
        ("", None),
        ("{}", None),
        ("null", None),
        (r#"[1]"#, Some(0)),
        (r#"["x"]"#, Some(0)),
        (r#"[[]]"#, Some(0)),
        (r#"[{"pairId":"a""#, Some(0)),
        ("[{}", Some(0)),
    ] {
        let error = parse_request(body.as_bytes(), 9).unwrap_err();
        if body == "[{}" {
            assert_eq!(error, field_error(0, Field::PairId, Problem::Missing));
        } else {
            assert!(matches!(error.problem, Problem::Json(_)) && error.index == index, "{body}: {error:?}");
        }
    }
    let mut body = write_request(&[pair("a")]);
    body.extend(b"[]");
    assert!(matches!(
        parse_request(&body, 9).unwrap_err(),
        PairingError { index: None, problem: Problem::Json(_), .. }
    ));
    let nested = "[".repeat(10_000);
    assert!(parse_request(nested.as_bytes(), 9).is_err());
}

#[test]
fn a_response_is_read_if_it_answers_the_request() {
    let answers = [answer("a"), answer("b")];
    let body = write_response(&answers);
    assert_eq!(parse_response(&body, &[pair("a"), pair("b")]).unwrap(), answers);
    for requests in [vec![pair("b"), pair("a")], vec![pair("a")], vec![pair("a"), pair("b"), pair("c")]] {
        assert!(parse_response(&body, &requests).is_err());
    }
}

#[test]
fn a_secret_has_the_size_of_its_own_directions_key() {
    let swapped = PairResponse { encoder_secret: vec![4; 1088], decoder_secret: vec![3; 768], ..answer("a") };
    assert_eq!(
        parse_response(&write_response(&[swapped]), &[pair("a")]),
        Err(field_error(0, Field::EncoderSecret, Problem::Size { got: 1088, expected: Some(768) }))
    );
}

#[test]
fn a_nonce_is_a_canonical_decimal_text() {
    let mut body: Value = serde_json::from_slice(&write_response(&[answer("a")])).unwrap();
    body[0]["decoderNonce"] = json!("007");
    assert_eq!(
        parse_response(body.to_string().as_bytes(), &[pair("a")]),
        Err(field_error(0, Field::DecoderNonce, Problem::NotANonce))
    );
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse_request(&body, 3);
        let _ = parse_response(&body, &[pair("a")]);
    }

    #[test]
    fn a_cut_request_is_refused(at in 0..6000usize) {
        let body = write_request(&[pair("a"), pair("b")]);
        if at < body.len() {
            prop_assert!(parse_request(&body[..at], 3).is_err());
        }
    }
}
