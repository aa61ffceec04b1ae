//! How a body's length is sent to the upstream.

use bytes::Bytes;
use http::Request;
use mte_client::{
    Body, EncodeHeaders, EncodeType,
    wire::{BodyPlan, SealedHead},
};
use mte_codec::{Sealer, seal};

use crate::harness::{End, HOST, Message, Pattern, Relay, Session, Upstream, run};

#[test]
fn a_small_body_has_an_exact_length_at_the_upstream() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        for encode_type in [EncodeType::Mke, EncodeType::Mte] {
            for encode_headers in [EncodeHeaders::All, EncodeHeaders::None] {
                let builder = relay.builder(HOST).encode_type(encode_type).encode_headers(encode_headers);
                builder.build().unwrap().post("/", "hello").await.unwrap();
                let seen = upstream.last();
                assert_eq!(seen.header("content-length"), Some("5"));
                assert_eq!(seen.header("transfer-encoding"), None);
            }
        }
    });
}

#[test]
fn a_method_with_an_expected_body_states_that_there_is_none() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let client = relay.client();
        for (method, length) in [("POST", Some("0")), ("PUT", Some("0")), ("GET", None), ("DELETE", None)] {
            let request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
            client.send(request).await.unwrap();
            assert_eq!(upstream.last().header("content-length"), length, "{method}");
            assert_eq!(upstream.last().header("transfer-encoding"), None, "{method}");
        }
    });
}

#[test]
fn a_sealed_length_becomes_the_upstreams_for_a_large_body_too() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        for len in [65_537, 1 << 20] {
            relay.client().post("/", Body::wrap(Pattern::known(len))).await.unwrap();
            let seen = upstream.last();
            assert_eq!(seen.header("content-length"), Some(&*len.to_string()));
            assert_eq!(seen.header("transfer-encoding"), None);
            assert_eq!(seen.body, Pattern::digest(len));
        }
    });
}

#[test]
fn a_large_body_of_unknown_length_is_chunked() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        relay.client().post("/", Body::wrap(Pattern::unknown(1 << 20))).await.unwrap();
        let seen = upstream.last();
        assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
        assert_eq!(seen.header("content-length"), None);
        assert_eq!(seen.body, Pattern::digest(1 << 20));
    });
}

#[test]
fn a_body_of_unknown_length_that_is_one_frame_has_an_exact_length_at_the_upstream() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let session = Session::new(&relay).await;
        let head = session.seal_head(Request::post("/").body(()).unwrap(), BodyPlan::Unknown);
        let message = seal::message(head.body.clone().unwrap(), b"one frame", &mut rand::rng()).unwrap();
        let response = send_chunked(&relay, &session, &head, &[&message]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(upstream.last().header("content-length"), Some("9"));
        assert_eq!(upstream.last().body, crate::harness::Digest::of(b"one frame"));
    });
}

#[test]
fn a_large_body_of_another_length_than_the_sealed_one_is_refused() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        for stated in [(1 << 20) - 1, (1 << 20) + 1] {
            let session = Session::new(&relay).await;
            let head = session.seal_head(Request::post("/").body(()).unwrap(), BodyPlan::Known(stated));
            let mut sealer = Sealer::new(head.body.as_ref().unwrap(), &mut rand::rng()).unwrap();
            let message = sealer.seal(&Pattern::bytes(1 << 20), true).unwrap();
            let response = send_chunked(&relay, &session, &head, &[&message]).await;
            assert_eq!(response.status(), 400, "{stated}: {response:?}");
            assert!(response.json()["request_id"].is_string());
        }
        assert!(upstream.seen().is_empty(), "no request was complete");
        relay.settled().await;
        assert_eq!(relay.client().get("/").await.unwrap().status(), 200);
    });
}

#[test]
fn a_small_body_of_another_length_than_the_sealed_one_never_reaches_the_upstream() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        for stated in [0, 4, 6] {
            let session = Session::new(&relay).await;
            let head = session.seal_head(Request::post("/").body(()).unwrap(), BodyPlan::Known(stated));
            let message = seal::message(head.body.clone().unwrap(), b"hello", &mut rand::rng()).unwrap();
            let response = send_chunked(&relay, &session, &head, &[&message]).await;
            assert_eq!(response.status(), 562, "{stated}");
        }
        assert_eq!(upstream.accepted(), 0);
    });
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it_first() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let session = Session::new(&relay).await;
        for size in [5, 1 << 20] {
            let sealed = session.seal(Request::post("/").body(Pattern::bytes(size)).unwrap());
            let framing = format!("content-length: {}\r\nexpect: 100-continue\r\n", sealed.body.len());
            let mut wire = relay.wire().await;
            wire.send(session.head("POST", &sealed.path, &sealed.headers, &framing)).await;
            assert_eq!(wire.head().await.unwrap().status(), 100);
            wire.send(&sealed.body).await;
            let response = wire.response(false).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(upstream.last().body, Pattern::digest(size));
            assert_eq!(upstream.last().header("expect"), None);
        }
    });
}

#[test]
fn a_client_that_waits_for_100_continue_is_refused_without_having_sent_its_body() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n\r\n"
        );
        let response = relay.ask(&request).await;
        assert_eq!((response.status(), response.end), (569, End::Length));
        relay.deserted().await;
    });
}

#[test]
fn on_a_pass_through_route_100_continue_comes_from_the_upstream() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = crate::harness::Setup::default()
            .tenant(HOST, &upstream.url(), "pass_through_routes: [/open]")
            .start()
            .await;
        let mut wire = relay.wire().await;
        let head = format!(
            "POST /open HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n"
        );
        wire.send(&head).await;
        assert_eq!(wire.head().await.unwrap().status(), 100);
        wire.send("hello").await;
        assert_eq!(wire.response(false).await.unwrap().text(), "POST /open 5");
    });
}

async fn send_chunked(relay: &Relay, session: &Session, head: &SealedHead, parts: &[&[u8]]) -> Message {
    let mut wire = relay.wire().await;
    wire.send(session.head("POST", &head.path, &head.headers, "transfer-encoding: chunked\r\n")).await;
    for part in parts {
        wire.chunk(part).await;
    }
    wire.chunk(&Bytes::new()).await;
    wire.response(false).await.expect("an answer")
}
