//! Every refusal of the relay's role, with its status (docs/protocol.md, section 5).

use std::collections::BTreeSet;

use http::HeaderValue;
use mte_codec::{OpenError, Place};
use mte_protocol::{RelayHeaderError, SealedHeadersError, Status, TargetError, TextError, text};
use mte_session::{
    server::{Binding, BodyError, RequestError, RequireSealedHeaders},
    store::{PairError, Unavailable},
};

use crate::harness::{Pair, Part, Raw, Relay, WireRequest};

const URL: Part<'_> = Part::Url("u");
const HEADERS: Part<'_> = Part::Headers("{}");

fn pair() -> (Relay, Raw) {
    let mut relay = Relay::new();
    let raw = Raw::new(&mut relay);
    (relay, raw)
}

/// The relay's refusal of a request with these parts, after it was changed.
fn refused(parts: &[Part<'_>], change: impl FnOnce(&mut WireRequest)) -> RequestError {
    let (mut relay, mut raw) = pair();
    let mut wire = raw.request(parts);
    change(&mut wire);
    let before = relay.stored();
    let error = relay.serve(&wire).unwrap_err();
    assert_eq!(relay.stored(), before, "{error}");
    error
}

/// Adds a header that is present already.
fn twice(wire: &mut WireRequest, name: &'static str) {
    assert!(wire.headers.append(name, "x".parse().unwrap()));
}

fn flags(wire: &mut WireRequest, flags: &str) {
    wire.headers.insert("x-mte-relay", format!("c,raw,{flags}").parse().unwrap());
}

#[test]
fn a_relay_header_that_is_missing_repeated_or_malformed_is_refused_before_anything_else() {
    let error = refused(&[URL], |wire| drop(wire.headers.remove("x-mte-relay")));
    assert_eq!((error.status(), error), (569, RelayHeaderError::MissingClientId.into()));
    let error = refused(&[URL], |wire| twice(wire, "x-mte-relay"));
    assert_eq!((error.status(), error), (400, RequestError::Repeated("x-mte-relay")));
    let error = refused(&[URL], |wire| {
        drop(wire.headers.insert("x-mte-relay", HeaderValue::from_bytes(b"c,\xff").unwrap()));
    });
    assert_eq!((error.status(), error), (400, RequestError::NotAscii("x-mte-relay")));
    assert_eq!(refused(&[URL], |wire| flags(wire, "1,1")).status(), 400);
    let error = refused(&[HEADERS], |wire| twice(wire, "x-mte-relay-eh"));
    assert_eq!((error.status(), error), (400, RequestError::Repeated("x-mte-relay-eh")));
}

#[test]
fn a_request_must_have_something_sealed() {
    let error = refused(&[], |_| {});
    assert_eq!((error.status(), error), (569, RequestError::NothingSealed));
    let error = refused(&[Part::Body(b"b")], |_| {});
    assert_eq!((error.status(), error), (569, RequestError::NothingSealed));
}

#[test]
fn text_that_is_not_a_message_is_refused() {
    let error = refused(&[URL], |wire| wire.path.push('?'));
    assert_eq!((error.status(), error), (562, TextError::NotBase64.into()));
    let error = refused(&[HEADERS], |wire| drop(wire.headers.insert("x-mte-relay-eh", "%".parse().unwrap())));
    assert_eq!((error.status(), error), (562, TextError::NotBase64.into()));
}

#[test]
fn flags_that_contradict_the_request_are_refused() {
    let cases: [(&[Part<'_>], &str, RequestError); 7] = [
        (&[URL, HEADERS], "1,1,0,0", RequestError::UnannouncedHeaders),
        (&[URL], "1,1,1,0", RequestError::MissingHeaders),
        (&[URL, HEADERS, Part::Body(b"b")], "1,1,1,0", RequestError::ClearBody),
        // Each of these changes which messages are expected.
        (&[URL], "0,1,0,0", OpenError::OutOfPlace.into()),
        (&[URL], "1,1,0,1", OpenError::OutOfPlace.into()),
        (&[URL, HEADERS], "1,0,1,0", OpenError::OutOfPlace.into()),
        (&[URL, HEADERS], "1,1,1,1", OpenError::OutOfPlace.into()),
    ];
    for (parts, value, expected) in cases {
        let error = refused(parts, |wire| flags(wire, value));
        assert_eq!((error.status(), &error), (562, &expected), "{value}");
    }
}

#[test]
fn a_header_map_dropped_in_transit_is_noticed() {
    let dropped = |wire: &mut WireRequest| {
        wire.headers.remove("x-mte-relay-eh");
        flags(wire, "1,1,0,0");
    };
    assert_eq!(refused(&[URL, HEADERS], dropped), OpenError::OutOfPlace.into());

    let (mut relay, mut raw) = pair();
    raw.cannot_count = true;
    let mut request = |relay: &mut Relay| {
        let mut wire = raw.request(&[URL, HEADERS]);
        dropped(&mut wire);
        relay.serve(&wire).map(drop)
    };
    assert_eq!(request(&mut relay), Err(RequestError::HeadersRequired));
    relay.policy.require_sealed_headers = RequireSealedHeaders::Never;
    assert_eq!(request(&mut relay), Ok(()));
    relay.policy.require_sealed_headers = RequireSealedHeaders::Always;
    let error = relay.serve(&raw.request(&[URL])).unwrap_err();
    assert_eq!((error.status(), error), (562, RequestError::HeadersRequired));
}

#[test]
fn a_header_map_in_the_urls_place_is_refused() {
    let moved = |wire: &mut WireRequest| {
        let message = text::decode(wire.headers.remove("x-mte-relay-eh").unwrap().as_bytes()).unwrap();
        wire.path = text::url_to_path(&message);
        flags(wire, "1,1,0,0");
    };
    assert_eq!(refused(&[HEADERS], moved), RequestError::HeadersAsUrl);
}

#[test]
fn sealed_headers_that_are_malformed_or_too_many_are_refused() {
    let error = refused(&[Part::Headers("[]")], |_| {});
    assert!(matches!(&error, RequestError::SealedHeaders(SealedHeadersError::Json(_))), "{error}");
    assert_eq!(error.status(), 562);
    let names: Vec<String> = (0..201).map(|n| format!(r#""x-{n}":"""#)).collect();
    let error = refused(&[Part::Headers(&format!("{{{}}}", names.join(",")))], |_| {});
    assert_eq!((error.status(), error), (431, SealedHeadersError::TooMany(200).into()));
}

#[test]
fn a_request_that_its_sealed_part_does_not_belong_to_is_refused() {
    let bound = Part::Headers(r#"{":method":"POST",":authority":"relay.example"}"#);
    let error = refused(&[bound], |wire| wire.method = http::Method::PUT);
    assert_eq!((error.status(), error), (562, Binding::Method.into()));
    let error = refused(&[bound], |wire| wire.authority = "other.example".into());
    assert_eq!((error.status(), error), (562, Binding::Authority.into()));

    let (mut relay, mut raw) = pair();
    relay.policy.require_binding = true;
    for map in ["{}", r#"{":method":"POST"}"#] {
        let error = relay.serve(&raw.request(&[Part::Headers(map)])).unwrap_err();
        assert_eq!((error.status(), error), (562, Binding::Missing.into()));
    }
    let mut wire = raw.request(&[bound]);
    wire.authority = "RELAY.example:443".into();
    assert!(relay.serve(&wire).unwrap().request.response.is_bound());
}

#[test]
fn a_body_has_the_sealed_length_and_a_sealed_length_is_a_number() {
    let with = |length: &str| format!(r#"{{"content-length":"{length}"}}"#);
    for (length, got) in [("0", 4), ("3", 4), ("5", 4)] {
        let error = refused(&[Part::Headers(&with(length)), Part::Body(b"four")], |_| {});
        let expected = BodyError::Length { expected: length.parse().unwrap(), got };
        assert_eq!((error.status(), error), (562, RequestError::Body(expected)));
    }
    let error = refused(&[Part::Headers(&with("1"))], |_| {});
    assert_eq!(error, RequestError::Body(BodyError::Length { expected: 1, got: 0 }));
    for length in ["", "-1", "+1", "1 1", "18446744073709551616"] {
        let error = refused(&[Part::Headers(&with(length)), Part::Body(b"four")], |_| {});
        assert_eq!((error.status(), error), (562, RequestError::ContentLength), "{length:?}");
    }
    let (mut relay, mut raw) = pair();
    assert!(relay.serve(&raw.request(&[Part::Headers(&with("4")), Part::Body(b"four")])).is_ok());
    assert!(relay.serve(&raw.request(&[Part::Headers(&with("0"))])).is_ok());
}

#[test]
fn a_gathered_body_above_its_limit_is_refused() {
    let (mut relay, mut raw) = pair();
    raw.encode_type = mte_codec::EncodeType::Mte;
    let limit = crate::harness::MAX_MTE_BODY;
    for (len, fits) in [(limit, true), (limit + 1, false), (2 * limit, false)] {
        let served = relay.serve(&raw.request(&[URL, Part::Body(&vec![0; len])]));
        let error = served.map(drop).err();
        assert_eq!(error, (!fits).then_some(RequestError::Body(BodyError::TooLarge { limit })), "{len}");
        assert!(error.is_none_or(|error| error.status() == 413));
    }
}

#[test]
fn a_url_that_leaves_the_upstream_is_refused_and_has_used_its_numbers() {
    for (url, expected) in [("/evil.example", TargetError::Authority), ("a/../b", TargetError::DotSegment)] {
        let (mut relay, mut raw) = pair();
        let wire = raw.request(&[Part::Url(url)]);
        let error = relay.serve(&wire).unwrap_err();
        assert_eq!((error.status(), error), (400, expected.into()));
        assert_eq!(relay.serve(&wire).unwrap_err().status(), 562);
    }
    let (mut relay, mut raw) = pair();
    let mut wire = raw.request(&[HEADERS]);
    wire.path = "/a/../b".into();
    assert_eq!(relay.serve(&wire).unwrap_err(), TargetError::DotSegment.into());
}

#[test]
fn errors_of_a_store_map_to_statuses() {
    for (error, status) in [
        (PairError::NotFound, 560),
        (PairError::Replaced, 560),
        (PairError::Expired, 559),
        (PairError::Exhausted, 564),
        (PairError::Number(mte_codec::WindowError::Replayed), 562),
        (PairError::Unavailable(Unavailable::because("no connection")), 503),
    ] {
        assert_eq!(RequestError::from(error.clone()).status(), status, "{error}");
    }
    let (mut relay, mut raw) = pair();
    let wire = raw.request(&[URL]);
    relay.pairs.clear();
    assert_eq!(relay.serve(&wire).unwrap_err().status(), 560);
}

#[test]
fn only_statuses_of_a_failing_store_or_encoder_are_never_produced() {
    let errors = [
        RequestError::ClientId("malformed".into()),
        RequestError::NothingSealed,
        RequestError::ClearBody,
        PairError::NotFound.into(),
        PairError::Expired.into(),
        PairError::Exhausted.into(),
    ];
    let produced: BTreeSet<u16> = errors.iter().map(RequestError::status).collect();
    let all = Status::all().iter().map(|status| status.code());
    let missing: Vec<u16> = all.filter(|code| !produced.contains(code)).collect();
    assert_eq!(missing, [561, 563, 567, 568]);
}

#[test]
fn a_body_is_refused_in_another_place_and_with_another_number() {
    for place in [Place::raw(2, 0), Place::text(1, 0), Place::raw(1, 1)] {
        let (mut relay, mut raw) = pair();
        let mut wire = raw.request(&[URL, Part::Body(b"b")]);
        raw.next = 1;
        wire.body = raw.message(place, b"b");
        assert_eq!(relay.serve(&wire).unwrap_err(), OpenError::OutOfPlace.into());
    }
    let (mut relay, mut raw) = pair();
    let mut wire = raw.request(&[URL, Part::Body(b"b")]);
    wire.body = raw.message(Place::raw(1, 0), b"b");
    assert_eq!(relay.serve(&wire).unwrap_err(), OpenError::NotConsecutive.into());
}

#[test]
fn no_error_shows_what_was_sealed() {
    let (mut relay, mut raw) = pair();
    let secret = r#"{":method":"GET","x-secret":"hush"}"#;
    let error = relay.serve(&raw.request(&[Part::Url("hush"), Part::Headers(secret)])).unwrap_err();
    let mut pair = Pair::new();
    let (wire, opener) = pair.post(b"hush");
    let served = pair.relay.serve(&wire).unwrap();
    for text in [format!("{error} {error:?}"), format!("{:?} {opener:?}", served.request)] {
        assert!(!text.contains("hush"), "{text}");
    }
}
