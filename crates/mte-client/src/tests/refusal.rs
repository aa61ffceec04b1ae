//! Which responses a client accepts, and which it refuses. Without sockets: bytes in, result out.

use bytes::Bytes;
use mte_codec::{EncodeType, KemId, OpenError, Place};

use super::relay::{AUTHORITY, Opened, Relay, Reply, Wire, paired, sealed};
use crate::{
    Error, ResponseError,
    wire::{self, Options, ResponseOpener},
};

/// A request whose response is pending: the response's opener, the relay, and the opened request.
fn asked(options: &Options) -> (ResponseOpener, Relay, Opened) {
    let (relay, pair) = paired(KemId::MlKem768);
    let request = sealed(&pair, options, "hello");
    let (opened, body) = relay.open(&request).unwrap();
    assert_eq!(body, "hello");
    (request.opener, relay, opened)
}

fn verdict(reply: Reply, tamper: impl FnOnce(&mut Wire)) -> Result<http::Response<Bytes>, Error> {
    let (opener, relay, opened) = asked(&Options::default());
    let mut wire = relay.seal(opened, &reply);
    tamper(&mut wire);
    Ok(opener.open(wire.response())?)
}

fn refusal(reply: Reply, tamper: impl FnOnce(&mut Wire)) -> ResponseError {
    match verdict(reply, tamper) {
        Err(Error::Response(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

fn cut(wire: &mut Wire, bytes: usize) {
    let body = wire.body.concat();
    wire.body = vec![Bytes::copy_from_slice(&body[..body.len() - bytes])];
}

#[test]
fn a_response_opens_with_every_kem_and_encode_type() {
    for kem in KemId::ALL {
        for encode_type in [EncodeType::Mke, EncodeType::Mte] {
            let (relay, pair) = paired(kem);
            let options = Options { encode_type, ..Options::default() };
            for _ in 0..40 {
                let request = sealed(&pair, &options, "body");
                assert!(!request.path.contains("orders") && request.headers.get("x-secret").is_none());
                let (opened, body) = relay.open(&request).unwrap();
                assert_eq!((opened.url.as_str(), &body[..]), ("/orders?id=17", &b"body"[..]));
                assert_eq!(opened.sealed.get("x-secret"), Some(&b"s"[..]));
                assert_eq!(opened.sealed.get("content-length"), Some(&b"4"[..]));
                assert_eq!(opened.kem, kem);
                let response = request.opener.open(relay.seal(opened, &Reply::new(201, "yes")).response());
                assert_eq!(response.unwrap().into_body(), "yes");
            }
        }
    }
}

#[test]
fn flipped_outer_flags_change_nothing() {
    let response = verdict(Reply::new(200, "yes"), |wire| {
        wire.headers.insert("x-mte-relay", "c,p,0,1,0,0,0".parse().unwrap());
    });
    assert_eq!(response.unwrap().into_body(), "yes");
}

#[test]
fn a_response_without_its_sealed_headers_is_refused() {
    let drop = |wire: &mut Wire| drop(wire.headers.remove("x-mte-relay-eh"));
    assert_eq!(refusal(Reply::new(200, "yes"), drop), ResponseError::NotSealed(200));
    let twice = |wire: &mut Wire| {
        let value = wire.headers["x-mte-relay-eh"].clone();
        wire.headers.append("x-mte-relay-eh", value);
    };
    assert_eq!(refusal(Reply::new(200, "yes"), twice), ResponseError::NotSealed(200));
    // A status of 400 or above is treated as an error of the relay, never as an upstream's response.
    let error = verdict(Reply::new(404, "yes"), drop).unwrap_err();
    assert_eq!(error.relay_status(), Some(404));
}

#[test]
fn an_upstreams_error_is_a_response() {
    assert_eq!(verdict(Reply::new(404, "no"), |_| {}).unwrap().into_body(), "no");
    assert_eq!(verdict(Reply::new(560, "no"), |_| {}).unwrap().status(), 560);
}

#[test]
fn another_status_is_refused() {
    let error = refusal(Reply::new(403, "no"), |wire| wire.status = 200);
    assert_eq!(error, ResponseError::Misbound { what: ":status", expected: 200, got: "403".into() });
}

#[test]
fn a_response_that_is_bound_to_nothing_or_to_another_request_is_refused() {
    let reply = Reply::new(200, "yes").forged(|forgery| forgery.status = None);
    assert_eq!(refusal(reply, |_| {}), ResponseError::Unbound(":status"));
    let reply = Reply::new(200, "yes").forged(|forgery| forgery.request = Some(7));
    assert!(matches!(refusal(reply, |_| {}), ResponseError::Misbound { what: ":request", expected: 0, .. }));
}

#[test]
fn a_cut_body_is_refused() {
    for bytes in [1, 16, 20, 21, 40] {
        let error = refusal(Reply::new(200, "yes"), |wire| cut(wire, bytes));
        assert_eq!(error, ResponseError::Body(OpenError::Truncated), "{bytes}");
    }
}

#[test]
fn a_body_removed_in_transit_is_refused_whatever_flags_and_lengths_say() {
    for encode_type in [EncodeType::Mke, EncodeType::Mte] {
        for flags in [None, Some("c,p,1,0,1,0,0"), Some("c,p,1,0,0,0")] {
            let (opener, relay, opened) = asked(&Options { encode_type, ..Options::default() });
            let mut wire = relay.seal(opened, &Reply::new(200, "yes"));
            wire.body.clear();
            wire.headers.insert("content-length", "0".parse().unwrap());
            if let Some(flags) = flags {
                wire.headers.insert("x-mte-relay", flags.parse().unwrap());
            }
            let error = Error::from(opener.open(wire.response()).unwrap_err());
            assert!(matches!(error, Error::Response(ResponseError::MissingBody)), "{error}");
            assert_eq!(error.code(), "missing-body");
        }
    }
}

#[test]
fn a_body_in_the_clear_is_refused_whatever_the_flags_say() {
    for flags in ["c,p,1,0,1,0,0", "c,p,1,0,0,0,0", "c,p,0,0,1,1,0"] {
        let forge = |wire: &mut Wire| {
            wire.headers.insert("x-mte-relay", flags.parse().unwrap());
            wire.body = vec![Bytes::from_static(b"a body in the clear, long enough for a header")];
        };
        assert!(matches!(refusal(Reply::new(200, "yes"), forge), ResponseError::Body(_)));
        assert_eq!(refusal(Reply::without_body(200), forge), ResponseError::ClearBody);
    }
}

#[test]
fn a_changed_or_extended_body_is_refused() {
    let error = refusal(Reply::new(200, "yes"), |wire| {
        let mut body = wire.body.concat();
        body[31] ^= 1;
        wire.body = vec![body.into()];
    });
    assert_eq!(error, ResponseError::Body(OpenError::NotAuthentic));
    let error = refusal(Reply::new(200, "yes"), |wire| wire.body.push(Bytes::from_static(b"x")));
    assert_eq!(error, ResponseError::Body(OpenError::Trailing));
}

#[test]
fn a_body_that_is_not_announced_is_refused() {
    let error = refusal(Reply::without_body(200), |wire| wire.body.push(Bytes::from_static(b"forged")));
    assert_eq!(error, ResponseError::ClearBody);
    assert!(verdict(Reply::without_body(204), |_| {}).unwrap().into_body().is_empty());
}

#[test]
fn a_response_that_leaves_open_whether_a_body_follows_is_refused() {
    for encode_type in [EncodeType::Mke, EncodeType::Mte] {
        for body in [None, Some(vec!["yes".into()])] {
            let (opener, relay, opened) = asked(&Options { encode_type, ..Options::default() });
            let reply = Reply { body, ..Reply::without_body(200) };
            let reply = reply.forged(|forgery| forgery.following = Place::UNKNOWN);
            let error = Error::from(opener.open(relay.seal(opened, &reply).response()).unwrap_err());
            assert!(matches!(error, Error::Response(ResponseError::UnknownBody)), "{error}");
        }
        let (opener, relay, opened) = asked(&Options { encode_type, ..Options::default() });
        let reply = Reply::new(200, "yes").forged(|forgery| forgery.body_following = Place::UNKNOWN);
        let error = Error::from(opener.open(relay.seal(opened, &reply).response()).unwrap_err());
        assert!(matches!(error, Error::Response(ResponseError::Body(OpenError::OutOfPlace))), "{error}");
    }
}

#[test]
fn a_replayed_response_is_refused() {
    let (relay, pair) = paired(KemId::MlKem768);
    let options = Options::default();
    let first = sealed(&pair, &options, "hello");
    let (opened, _) = relay.open(&first).unwrap();
    let wire = relay.seal(opened, &Reply::new(200, "yes"));
    first.opener.open(wire.response()).unwrap();

    let second = sealed(&pair, &options, "hello");
    let error = Error::from(second.opener.open(wire.response()).unwrap_err());
    assert!(matches!(error, Error::Response(ResponseError::Misbound { what: ":request", .. })), "{error}");
}

#[test]
fn the_bodies_of_two_responses_cannot_be_exchanged() {
    let (relay, pair) = paired(KemId::MlKem768);
    let options = Options::default();
    let requests = [sealed(&pair, &options, "1"), sealed(&pair, &options, "2")];
    let mut wires: Vec<Wire> = requests
        .iter()
        .map(|request| relay.seal(relay.open(request).unwrap().0, &Reply::new(200, "same length")))
        .collect();
    let body = std::mem::take(&mut wires[0].body);
    wires[0].body = std::mem::replace(&mut wires[1].body, body);
    for (request, wire) in requests.into_iter().zip(wires) {
        let error = Error::from(request.opener.open(wire.response()).unwrap_err());
        assert!(matches!(error, Error::Response(ResponseError::Body(OpenError::NotConsecutive))), "{error}");
    }
}

#[test]
fn a_body_of_another_length_than_sealed_is_refused() {
    for (length, fits) in [("3", true), ("2", false), ("4", false)] {
        let mut reply = Reply::new(200, "yes");
        reply.headers.push(("content-length", length.into()));
        let verdict = verdict(reply.forged(|_| {}), |_| {});
        assert_eq!(verdict.is_ok(), fits);
        if let Ok(response) = verdict {
            assert_eq!(response.headers()["content-length"], "3");
        }
    }
}

#[test]
fn a_large_mte_body_is_refused_on_both_ways() {
    let options = Options { encode_type: EncodeType::Mte, max_mte_body: 5, ..Options::default() };
    let (opener, relay, opened) = asked(&options);
    let wire = relay.seal(opened, &Reply::new(200, vec![0; 1000]));
    let opened = opener.open(wire.response()).map_err(Error::from);
    assert!(matches!(opened, Err(Error::TooLarge { limit: 5 })));
    let (_, pair) = paired(KemId::MlKem768);
    let request = http::Request::new(Bytes::from_static(b"six by"));
    let sealed = wire::seal(&pair, &options, AUTHORITY, request).map_err(Error::from);
    assert!(matches!(sealed, Err(Error::TooLarge { limit: 5 })));
}

#[test]
fn a_pair_with_an_old_pending_request_takes_no_more_requests() {
    let (_, pair) = paired(KemId::MlKem512);
    let slow = sealed(&pair, &Options::default(), "");
    for _ in 0..159 {
        assert!(!pair.is_congested());
        drop(sealed(&pair, &Options::default(), ""));
    }
    assert!(pair.is_congested());
    drop(slow);
    assert!(!pair.is_congested());
}

#[test]
fn nothing_secret_is_printed() {
    let (_, pair) = paired(KemId::MlKem512);
    let request = http::Request::get("/").header("authorization", "hush").body(Bytes::from_static(b"hush"));
    let request = wire::seal(&pair, &Options::default(), AUTHORITY, request.unwrap()).unwrap();
    for text in [format!("{request:?}"), format!("{pair:?}"), format!("{:?}", crate::Body::from("hush"))] {
        assert!(!text.contains("hush"), "{text}");
    }
}
