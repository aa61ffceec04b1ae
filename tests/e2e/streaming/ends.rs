//! How bodies end: complete, empty, or cut off.

use http::{Method, Request};
use mte_client::{Body, EncodeType};

use crate::harness::{End, HOST, Relay, Session, Setup, Upstream, Wire, run};

/// An upstream that answers every request with these bytes and closes the connection, or resets it.
async fn raw_upstream(bytes: &'static [u8], reset: bool) -> Upstream {
    Upstream::raw(move |mut wire, _| async move {
        if wire.request().await.is_ok() {
            wire.send(bytes).await;
            if reset {
                // The bytes sent arrive first.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                wire.reset();
            }
        }
    })
    .await
}

const CUT: [&[u8]; 6] = [
    b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nonly this",
    b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
    b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
];

#[test]
fn a_response_cut_by_the_upstream_is_never_taken_for_a_complete_one() {
    run(async {
        for answer in CUT {
            for reset in [false, true] {
                for encode_type in [EncodeType::Mke, EncodeType::Mte] {
                    let relay = Relay::of(&raw_upstream(answer, reset).await).await;
                    let client = relay.builder(HOST).encode_type(encode_type).build().unwrap();
                    let opened = match client.get("/").await {
                        Ok(response) => response.into_body().bytes(1_000).await,
                        Err(error) => Err(error),
                    };
                    let what = String::from_utf8_lossy(answer);
                    assert!(opened.is_err(), "{encode_type}, reset {reset}: {opened:?} of {what:?}");
                    relay.settled().await;
                }
            }
        }
    });
}

#[test]
fn a_response_cut_by_the_upstream_has_no_last_chunk() {
    run(async {
        for answer in CUT {
            for reset in [false, true] {
                let relay = Relay::of(&raw_upstream(answer, reset).await).await;
                let session = Session::new(&relay).await;
                let sealed = session.seal(Request::get("/").body(Default::default()).unwrap());
                let mut wire = relay.wire().await;
                wire.send(session.bytes(&sealed)).await;
                // Either the response has begun, and is cut off, or it is an error of the relay.
                let response = wire.response(false).await.unwrap();
                match response.status() {
                    200 => assert_eq!(response.end, End::Cut, "{}", String::from_utf8_lossy(answer)),
                    status => assert_eq!((status, response.end), (502, End::Length)),
                }
                assert_eq!(wire.some().await, None, "the connection is closed");
                drop(wire);
                relay.deserted().await;
            }
        }
    });
}

#[test]
fn a_response_on_a_pass_through_route_that_the_upstream_cuts_is_cut() {
    run(async {
        for answer in CUT {
            let upstream = raw_upstream(answer, false).await;
            let setup = Setup::default().tenant(HOST, &upstream.url(), "pass_through_routes: [/open]");
            let relay = setup.start().await;
            let response = relay.ask(&format!("GET /open HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(response.end, End::Cut, "{}", String::from_utf8_lossy(answer));
            relay.deserted().await;
        }
    });
}

#[test]
fn a_response_that_ends_with_its_connection_is_complete() {
    run(async {
        let relay = Relay::of(&raw_upstream(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", false).await).await;
        let response = relay.client().get("/").await.unwrap();
        assert_eq!(response.into_body().text(100).await.unwrap(), "until the end");
        let relay = Relay::of(&raw_upstream(b"HTTP/1.0 200 OK\r\n\r\nof old", false).await).await;
        let response = relay.client().get("/").await.unwrap();
        assert_eq!(response.into_body().text(100).await.unwrap(), "of old");
    });
}

#[test]
fn trailers_end_a_response_and_are_dropped() {
    run(async {
        let answer =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-trailer: a\r\n\r\n";
        for encode_type in [EncodeType::Mke, EncodeType::Mte] {
            let relay = Relay::of(&raw_upstream(answer, false).await).await;
            let client = relay.builder(HOST).encode_type(encode_type).build().unwrap();
            let response = client.get("/").await.unwrap();
            assert_eq!(response.into_body().text(100).await.unwrap(), "hello");
        }
    });
}

#[test]
fn responses_without_a_body_have_none() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        for encode_type in [EncodeType::Mke, EncodeType::Mte] {
            let client = relay.builder(HOST).encode_type(encode_type).build().unwrap();
            // All use the same connection, so none has extra bytes.
            for (method, path, status) in [
                (Method::HEAD, "/bytes/1234", 200),
                (Method::HEAD, "/stream/1234", 200),
                (Method::GET, "/status/204", 204),
                (Method::GET, "/status/304", 304),
                (Method::GET, "/bytes/0", 200),
                (Method::GET, "/stream/0", 200),
                (Method::POST, "/status/204", 204),
                (Method::DELETE, "/status/404", 404),
            ] {
                let request =
                    Request::builder().method(method.clone()).uri(path).body(Body::empty()).unwrap();
                let response = client.send(request).await.unwrap();
                assert_eq!(response.status(), status, "{method} {path}");
                if method == Method::HEAD && path == "/bytes/1234" {
                    assert_eq!(response.headers()["content-length"], "1234");
                }
                let body = response.into_body().bytes(10).await.unwrap();
                assert!(body.is_empty(), "{encode_type} {method} {path}: {body:?}");
            }
        }
        relay.settled().await;
    });
}

#[test]
fn interim_responses_do_not_disturb_the_final_one() {
    run(async {
        let answer =
            b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n\
                       HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        let relay = Relay::of(&raw_upstream(answer, false).await).await;
        let response = relay.client().get("/").await.unwrap();
        assert_eq!(response.into_body().text(100).await.unwrap(), "hello");
    });
}

#[test]
fn an_early_response_reaches_the_client() {
    run(async {
        let upstream = Upstream::raw(|mut wire: Wire, _| async move {
            if wire.head().await.is_ok() {
                wire.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 7\r\n\r\nno more").await;
                while wire.some().await.is_some() {}
            }
        })
        .await;
        let relay = Relay::of(&upstream).await;
        let (pieces, body) = crate::harness::channel();
        pieces.send(Ok("the first of many".into())).await.unwrap();
        let response = relay.client().post("/", Body::wrap(body)).await.unwrap();
        assert_eq!(response.status(), 403);
        assert_eq!(response.into_body().text(100).await.unwrap(), "no more");
        drop(pieces);
        relay.settled().await;
    });
}
