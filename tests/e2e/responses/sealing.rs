//! The outer head of a sealed response describes ciphertext, and says whether a body follows (docs/protocol.md,
//! section 4).

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use mte_client::{EncodeType, wire::Options};
use mte_codec::{HEADER_LEN, Header, Place};

use super::{relay, relay_with, sealed, sealed_get};
use crate::harness::{Authority, HOST, Message, Pattern, Session, Setup, Transport, Upstream, reply, run};

const REPRESENTATION: [(&str, &str); 12] = [
    ("content-type", "text/plain"),
    ("content-language", "de"),
    ("content-disposition", "attachment; filename=salaries.txt"),
    ("content-digest", "sha-256=:AAAA:"),
    ("etag", "\"v1\""),
    ("last-modified", "Mon, 30 Nov 2026 10:00:00 GMT"),
    ("accept-ranges", "bytes"),
    ("cache-control", "public, max-age=3600"),
    ("cdn-cache-control", "max-age=3600"),
    ("surrogate-control", "max-age=3600"),
    ("expires", "Mon, 30 Nov 2026 11:00:00 GMT"),
    ("vary", "accept"),
];

async fn upstream_with(headers: &'static [(&'static str, &'static str)]) -> Upstream {
    Upstream::serve(move |_| async move {
        let mut reply = reply(Full::from("x"));
        for (name, value) in headers {
            reply.headers_mut().append(*name, value.parse().unwrap());
        }
        Ok(reply)
    })
    .await
}

/// The place stated in the message of a response's header map.
fn place(answer: &Message) -> Place {
    let message = mte_protocol::text::decode(answer.header("x-mte-relay-eh").unwrap().as_bytes()).unwrap();
    Header::parse(message[..HEADER_LEN].try_into().unwrap()).unwrap().place
}

#[test]
fn body_metadata_is_sealed_and_ciphertext_is_not_cacheable() {
    run(async {
        let upstream = upstream_with(&REPRESENTATION).await;
        let relay = relay(&upstream).await;
        let session = Session::new(&relay).await;
        let request = Request::get("/").body(Bytes::new()).unwrap();
        let request = session.seal(request);
        let mut wire = relay.wire().await;
        wire.send(session.bytes(&request)).await;
        let answer = wire.response(false).await.unwrap();
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        for (name, _) in REPRESENTATION {
            assert!(answer.all(name).count() <= 1, "{name}");
            let replaced = matches!(name, "content-type" | "cache-control");
            assert!(replaced || answer.header(name).is_none(), "{name} in the clear");
        }
        let opened = request.opener.open(answer.into_response()).unwrap();
        for (name, value) in REPRESENTATION {
            assert_eq!(opened.headers()[name], value, "{name}");
        }
    });
}

#[test]
fn pass_through_responses_keep_their_caching() {
    run(async {
        let upstream = upstream_with(&REPRESENTATION).await;
        let relay = relay(&upstream).await;
        let (answer, _) = super::plain(&relay, "/open/a", "HTTP/1.1").await;
        for (name, value) in REPRESENTATION {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
    });
}

#[test]
fn the_place_of_a_response_always_says_whether_a_body_follows() {
    run(async {
        for http2 in [false, true] {
            let authority = Authority::new();
            let protocols: &[&str] = if http2 { &["h2"] } else { &["http/1.1"] };
            let transport = Transport::Tls(authority.acceptor("localhost", protocols));
            let upstream = Upstream::standard_over(transport).await;
            let relay = relay_with(&upstream, "upstream_tls: {verify: false}").await;
            for encode_type in [EncodeType::Mke, EncodeType::Mte] {
                let mut session = Session::new(&relay).await;
                session.options = Options { encode_type, ..Options::default() };
                for (method, path, follows) in [
                    ("GET", "/", true),
                    ("GET", "/bytes/0", false),
                    ("GET", "/status/204", false),
                    ("GET", "/status/304", false),
                    ("GET", "/status/404", false),
                    ("HEAD", "/bytes/1000", false),
                    // Its end is sent separately from its head: one empty message.
                    ("GET", "/stream/0", true),
                ] {
                    let request = Request::builder().method(method).uri(path).body(Bytes::new()).unwrap();
                    let answer = sealed(&relay, &session, request).await;
                    let what = format!("http2 {http2}, {encode_type}, {method} {path}: {answer:?}");
                    assert_eq!(place(&answer), Place::text(0, u8::from(follows)), "{what}");
                    assert_eq!(!answer.body.is_empty(), follows, "{what}");
                    let flag = answer.header("x-mte-relay").unwrap().split(',').nth(5).unwrap().to_owned();
                    assert_eq!(flag, if follows { "1" } else { "0" }, "{what}");
                }
            }
            relay.settled().await;
        }
    });
}

#[test]
fn a_response_without_a_body_is_framed_as_one() {
    run(async {
        let upstream = Upstream::serve(|_| async { Ok(reply(Empty::new())) }).await;
        let relay = relay(&upstream).await;
        let session = Session::new(&relay).await;
        let answer = sealed_get(&relay, &session, "/").await;
        assert_eq!(answer.header("content-length"), Some("0"));
        assert_eq!(answer.header("transfer-encoding"), None);
    });
}

#[test]
fn the_plain_size_of_a_head_response_is_sealed_with_the_rest() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream).await;
        let session = Session::new(&relay).await;
        let request = session.seal(Request::head("/bytes/1234").body(Bytes::new()).unwrap());
        let mut wire = relay.wire().await;
        wire.send(session.bytes(&request)).await;
        let answer = wire.response(true).await.unwrap();
        assert_eq!(answer.header("content-length"), None);
        let opened = request.opener.open(answer.into_response()).unwrap();
        assert_eq!(opened.headers()["content-length"], "1234");
    });
}

#[test]
fn every_response_header_is_sealed_except_those_that_browsers_and_proxies_need() {
    run(async {
        let upstream = upstream_with(&[
            ("x-app", "secret"),
            ("location", "/elsewhere"),
            ("server", "app/1"),
            ("set-cookie", "a=1"),
            ("strict-transport-security", "max-age=1"),
            ("cross-origin-resource-policy", "same-site"),
            ("timing-allow-origin", "*"),
        ])
        .await;
        let relay = relay(&upstream).await;
        let session = Session::new(&relay).await;
        let answer = sealed_get(&relay, &session, "/").await;
        let visible = [
            "cache-control",
            "connection",
            "content-length",
            "content-type",
            "cross-origin-resource-policy",
            "date",
            "set-cookie",
            "strict-transport-security",
            "timing-allow-origin",
            "x-mte-relay",
            "x-mte-relay-eh",
            "x-request-id",
        ];
        let mut names: Vec<_> = answer.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        assert_eq!(names, visible);
    });
}

#[test]
fn a_bound_request_gets_the_upstreams_own_status_whatever_it_is() {
    run(async {
        let upstream = Upstream::standard().await;
        let client = Setup::default().tenant(HOST, &upstream.url(), "").start().await;
        for status in [500, 559, 560, 562, 569, 599] {
            let answer = client.client().get(format!("/status/{status}")).await.unwrap();
            assert_eq!(answer.status().as_u16(), status);
        }
    });
}

#[test]
fn a_pass_through_client_never_takes_an_upstreams_status_for_the_relays() {
    run(async {
        let upstream = Upstream::serve(|request| async move {
            let status: u16 = request.uri().path().rsplit('/').next().unwrap().parse()?;
            let mut reply = reply(Full::from("app"));
            *reply.status_mut() = status.try_into()?;
            Ok(reply)
        })
        .await;
        let relay = relay(&upstream).await;
        for (status, expected) in [(558, 558), (559, 502), (560, 502), (566, 502), (569, 502), (570, 570)] {
            let (answer, _) = super::plain(&relay, &format!("/open/{status}"), "HTTP/1.1").await;
            assert_eq!((answer.status(), answer.text()), (expected, "app"));
        }
    });
}

#[test]
fn large_bodies_of_unknown_length_end_with_their_final_frame() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream).await;
        let answer = relay.client().get("/stream/300000").await.unwrap();
        let body = crate::harness::digest(answer.into_body()).await.unwrap();
        assert_eq!(body, Pattern::digest(300_000));
        relay.settled().await;
    });
}
