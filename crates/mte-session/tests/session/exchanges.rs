//! Exchanges without interference: every combination of parts, types and bodies arrives as sent.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use mte_codec::{EncodeType, KemId, MAX_FRAME};
use mte_session::client::{EncodeHeaders, Options, ResponseHeaders};

use crate::harness::{Answer, Pair, Part, Raw, Relay, respond};

const TYPES: [EncodeType; 2] = [EncodeType::Mke, EncodeType::Mte];

fn request(body: &[u8]) -> Request<Bytes> {
    let request = Request::put("/a/b?c=%2F").header("x-own", "1").header("cookie", "k=v");
    request.body(Bytes::copy_from_slice(body)).unwrap()
}

#[test]
fn every_combination_of_sealed_parts_and_bodies_arrives() {
    let bodies: [&[u8]; 5] = [b"", b"x", &[7; 63], &[1; MAX_FRAME], &[9; 2 * MAX_FRAME + 1]];
    let mut pair = Pair::new();
    for encode_type in TYPES {
        for (encode_url, encode_headers) in [(true, EncodeHeaders::All), (false, EncodeHeaders::None)] {
            pair.options = Options { encode_type, encode_url, encode_headers, ..pair.options };
            for (body, reply) in bodies.iter().zip(bodies.iter().rev()) {
                for part in [1_000, 1 << 20] {
                    pair.relay.part = part;
                    let (wire, opener) = pair.seal(request(body));
                    assert_eq!(wire.path.contains("/a/b"), !encode_url);
                    let served = pair.relay.serve(&wire).unwrap();
                    assert_eq!(served.request.target, "/a/b?c=%2F");
                    assert_eq!(served.request.headers.get("x-own"), Some(&b"1"[..]));
                    assert_eq!(served.body, *body);
                    let response = opener.open(respond(served, &Answer::new(reply)).http()).unwrap();
                    assert_eq!(response.headers()["content-type"], "text/plain");
                    assert_eq!(response.into_body(), *reply);
                }
            }
        }
    }
}

#[test]
fn every_kem_pairs() {
    for kem in KemId::ALL {
        let mut pair = Pair::with(kem);
        assert_eq!(pair.relay.pairs[pair.client.id()].kems(), (kem, kem));
        let (wire, opener) = pair.post(b"hello");
        let served = pair.relay.serve(&wire).unwrap();
        assert_eq!(served.body, b"hello");
        assert_eq!(opener.open(respond(served, &Answer::new(b"yes")).http()).unwrap().into_body(), "yes");
    }
}

#[test]
fn a_body_of_unknown_length_may_be_empty() {
    let mut pair = Pair::new();
    for encode_type in TYPES {
        pair.options.encode_type = encode_type;
        for body in [&b""[..], b"not empty"] {
            let (wire, _) = pair.seal_live(request(body));
            assert!(!wire.body.is_empty());
            let served = pair.relay.serve(&wire).unwrap();
            assert_eq!(served.body, body);
            assert_eq!(served.request.headers.get("content-length"), None);
        }
    }
}

#[test]
fn a_request_may_have_any_of_its_parts_sealed() {
    let (url, headers, body) = (Part::Url("u?q"), Part::Headers(r#"{"x-a":"1"}"#), Part::Body(b"body"));
    let shapes: [(&[Part<'_>], &str, bool, &[u8]); 6] = [
        (&[url], "/u?q", false, b""),
        (&[headers], "/clear?q=1", true, b""),
        (&[url, headers], "/u?q", true, b""),
        (&[url, body], "/u?q", false, b"body"),
        (&[headers, body], "/clear?q=1", true, b"body"),
        (&[url, headers, body], "/u?q", true, b"body"),
    ];
    let mut relay = Relay::new();
    let mut raw = Raw::new(&mut relay);
    for encode_type in TYPES {
        raw.encode_type = encode_type;
        for (parts, target, sealed, plain) in shapes {
            let served = relay.serve(&raw.request(parts)).unwrap();
            assert_eq!(served.request.target, target);
            assert_eq!(served.request.headers_sealed, sealed);
            assert_eq!(served.request.headers.get("x-a").is_some(), sealed);
            assert_eq!(served.body, plain);
        }
    }
}

#[test]
fn a_sender_that_cannot_count_may_announce_missing_parts() {
    let mut relay = Relay::new();
    let mut raw = Raw::new(&mut relay);
    raw.cannot_count = true;
    let mut wire = raw.request(&[Part::Headers("{}")]);
    for flags in ["1,1,1,1", "1,0,1,1", "1,1,1,0"] {
        wire.headers.insert("x-mte-relay", format!("c,raw,{flags}").parse().unwrap());
        wire.path = "/".into();
        assert_eq!(relay.open(&wire).unwrap().0.messages(), 1, "{flags}");
    }
    assert_eq!(relay.serve(&wire).unwrap().request.target, "/");
}

#[test]
fn a_request_with_nothing_sealed_needs_permission_and_uses_no_number() {
    let mut relay = Relay::new();
    let mut raw = Raw::new(&mut relay);
    let mut wire = raw.request(&[]);
    wire.body = b"clear".to_vec();
    relay.policy.allow_plain_requests = true;
    for _ in 0..2 {
        let served = relay.serve(&wire).unwrap();
        assert_eq!(served.request.target, "/clear?q=1");
        assert!(!served.request.response.is_bound());
    }
}

#[test]
fn a_response_has_a_body_only_if_its_headers_say_so() {
    let mut pair = Pair::new();
    for encode_type in TYPES {
        pair.options.encode_type = encode_type;
        let answers = [
            (Method::GET, Answer::new(b"streamed"), Some("streamed")),
            (
                Method::GET,
                Answer::new(b"of known length").with("content-length", "15"),
                Some("of known length"),
            ),
            (Method::GET, Answer::new(b""), Some("")),
            (Method::GET, Answer { status: StatusCode::NO_CONTENT, ..Answer::empty() }, None),
            (Method::HEAD, Answer::empty().with("content-length", "99"), None),
        ];
        for (method, answer, body) in answers {
            let request = Request::builder().method(method).uri("/").body(Bytes::new()).unwrap();
            let (wire, opener) = pair.seal(request);
            let response = respond(pair.relay.serve(&wire).unwrap(), &answer);
            assert_eq!(response.body.is_empty(), body.is_none());
            assert_eq!(response.headers["cache-control"], "no-store");
            assert!(response.headers["x-mte-relay"].to_str().unwrap().ends_with(",0"));
            let opened = opener.open(response.http()).unwrap();
            assert_eq!(opened.status(), answer.status);
            assert_eq!(
                opened.headers().get("content-length").is_some(),
                answer.body.is_none() && body.is_none() && answer.headers.contains_key("content-length")
            );
            assert_eq!(opened.into_body(), body.unwrap_or_default());
        }
    }
}

#[test]
fn requested_response_headers_are_sealed_and_the_rest_are_in_the_clear() {
    let mut pair = Pair::new();
    pair.options.response_headers = ResponseHeaders::Only(vec!["x-asked".parse().unwrap()]);
    let (wire, opener) = pair.post(b"");
    let answer = Answer::new(b"yes").with("x-asked", "1").with("x-other", "2").with("set-cookie", "a=1");
    let response = respond(pair.relay.serve(&wire).unwrap(), &answer);
    for (name, clear) in [("x-asked", false), ("x-other", true), ("set-cookie", true)] {
        assert_eq!(response.headers.contains_key(name), clear, "{name}");
    }
    let opened = opener.open(response.http()).unwrap();
    for (name, value) in &answer.headers {
        assert_eq!(opened.headers()[name], value);
    }
}

#[test]
fn hundreds_of_exchanges_cross_epochs_on_both_sides() {
    let mut pair = Pair::new();
    for round in 0..300_u32 {
        let (wire, opener) = pair.post(&round.to_be_bytes());
        let served = pair.relay.serve(&wire).unwrap();
        assert_eq!(served.body, round.to_be_bytes());
        let response = respond(served, &Answer::new(&round.to_le_bytes()));
        assert_eq!(*opener.open(response.http()).unwrap().into_body(), round.to_le_bytes());
    }
    let snapshot = pair.relay.pairs[pair.client.id()].snapshot();
    assert_eq!((snapshot.next_response, snapshot.encoder.index()), (600, 18));
    assert_eq!(snapshot.window.highest(), Some(899));
}
