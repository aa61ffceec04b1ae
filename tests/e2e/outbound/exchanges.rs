//! Whole exchanges: every method, statuses, sizes, HTTP versions, and what of the request is sealed.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{APP, Chain, LOOPBACK, TOKEN, ask, lines, outbound};
use crate::harness::{Authority, Digest, End, Pattern, Setup, Upstream, digest, run};

#[test]
fn every_method_goes_through_with_its_url_headers_and_body() {
    run(async {
        let chain = Chain::new().await;
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            for body in ["", "a body"] {
                let head = format!("{method} /orders/17?a=%20b&c HTTP/1.1\r\nx-own: one\r\nx-own: two");
                let response = chain.ask(&head, body).await;
                assert_eq!(response.status(), 200, "{method} {response:?}");
                let seen = chain.upstream.last();
                assert_eq!((seen.method.as_str(), seen.target.as_str()), (method, "/orders/17?a=%20b&c"));
                assert_eq!(seen.body, Digest::of(body.as_bytes()), "{method}");
                assert_eq!(seen.header("x-own"), Some("one, two"), "{method}");
                if method != "HEAD" {
                    let text = format!("{method} /orders/17?a=%20b&c {}", body.len());
                    assert_eq!((response.text(), response.end), (text.as_str(), End::LastChunk));
                }
            }
        }
        assert_eq!(super::pairs_made(&chain.b), 2, "one pairing for all of them");
        chain.a.settled().await;
    });
}

#[test]
fn statuses_pass_but_those_that_mean_a_pair() {
    run(async {
        let chain = Chain::new().await;
        for status in [201, 204, 301, 304, 404, 418, 500, 503] {
            let response = chain.ask(&format!("GET /status/{status} HTTP/1.1"), "").await;
            assert_eq!(response.status(), status);
        }
        for status in [559, 560, 566, 569] {
            let response = chain.ask(&format!("GET /status/{status} HTTP/1.1"), "").await;
            assert_eq!(response.status(), 502, "{status}");
        }
        // None of them was taken for the relay's: nothing was sent twice.
        assert_eq!(chain.upstream.seen().len(), 12);
    });
}

#[test]
fn bodies_of_every_size_arrive_whole_in_both_directions_and_types() {
    run(async {
        let chain = Chain::new().await;
        for encode_type in ["MKE", "MTE"] {
            for size in [1, 65_535, 65_536, 65_537, 1 << 20] {
                for (kind, chunked) in [("bytes", false), ("stream", true)] {
                    let mut wire = chain.a.wire().await;
                    let framing = match chunked {
                        true => "transfer-encoding: chunked".to_owned(),
                        false => format!("content-length: {size}"),
                    };
                    let head = format!(
                        "PUT /{kind}/{size} HTTP/1.1\r\n{}x-mte-encode-type: {encode_type}\r\n{framing}\r\n\r\n",
                        chain.lines()
                    );
                    wire.send(head).await;
                    let body = Pattern::bytes(size);
                    if chunked {
                        wire.chunk(&body).await;
                        wire.chunk(b"").await;
                    } else {
                        wire.send(&body).await;
                    }
                    let response = wire.response(false).await.unwrap();
                    let what = format!("{encode_type} {kind} {size}");
                    assert_eq!(response.status(), 200, "{what}: {response:?}");
                    assert_eq!(chain.upstream.last().body, Pattern::digest(size), "{what} up");
                    assert_eq!(Digest::of(&response.body), Pattern::digest(size), "{what} down");
                }
            }
        }
        chain.a.settled().await;
    });
}

#[test]
fn an_http_1_0_client_gets_a_body_that_ends_with_the_connection() {
    run(async {
        let chain = Chain::new().await;
        let response = chain.ask("GET /stream/100000 HTTP/1.0", "").await;
        assert_eq!((response.status(), response.end), (200, End::Closed));
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(Digest::of(&response.body), Pattern::digest(100_000));
    });
}

#[test]
fn a_client_that_expects_100_continue_gets_it_once() {
    run(async {
        let chain = Chain::new().await;
        for method in ["POST", "PUT"] {
            let mut wire = chain.a.wire().await;
            let head = format!(
                "{method} /echo HTTP/1.1\r\n{}expect: 100-continue\r\ncontent-length: 3\r\n\r\n",
                chain.lines()
            );
            wire.send(head).await;
            assert_eq!(wire.response(false).await.unwrap().status(), 100);
            wire.send("abc").await;
            let response = wire.response(false).await.unwrap();
            assert_eq!((response.status(), response.text()), (200, &*format!("{method} /echo 3")));
            assert_eq!(chain.upstream.last().header("expect"), None);
        }
    });
}

#[test]
fn an_http_2_client_is_served_as_well() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let chain =
            Chain::with("", &format!("{LOOPBACK}\n{}", authority.settings(folder.path(), APP, "")), "").await;
        let stream = TcpStream::connect(chain.a.tls.unwrap()).await.unwrap();
        let tls = authority.handshake(stream, APP, false, true).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        for (method, body) in [(Method::GET, Bytes::new()), (Method::POST, Pattern::bytes(300_000))] {
            let request = Request::builder()
                .method(method.clone())
                .uri(format!("https://{APP}/stream/200000"))
                .header("x-mte-outbound-token", TOKEN)
                .header("x-mte-upstream", chain.peer())
                .body(Full::new(body.clone()))
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(digest(response.into_body()).await.unwrap(), Pattern::digest(200_000));
            assert_eq!(chain.upstream.last().body, Digest::of(&body));
            assert!(chain.upstream.last().header("via").unwrap().starts_with("2 mte-"));
        }
        let bad = Request::builder()
            .uri(format!("https://{APP}/"))
            .header("x-mte-outbound-token", "wrong")
            .header("x-mte-upstream", chain.peer())
            .body(Full::new(Bytes::new()))
            .unwrap();
        let refused = sender.send_request(bad).await.unwrap();
        assert_eq!(refused.status(), 401);
        refused.into_body().collect().await.unwrap();
    });
}

#[test]
fn what_of_the_request_is_sealed_is_the_clients_choice() {
    run(async {
        let chain = Chain::new().await;
        let head = "GET /visible/path HTTP/1.1\r\nx-mte-encode-url: false\r\nreferer: visible-referer";
        assert_eq!(chain.ask(head, "").await.status(), 200);
        assert!(chain.tap.saw("/visible/path") && !chain.tap.saw("visible-referer"));
        let head = "GET /hidden/path HTTP/1.1\r\nx-mte-encode-headers: false\r\nreferer: shown-referer\r\nx-own: own-value";
        assert_eq!(chain.ask(head, "").await.status(), 200);
        assert!(!chain.tap.saw("/hidden/path") && chain.tap.saw("shown-referer"));
        let head = "GET /hidden/path HTTP/1.1\r\nx-mte-encode-headers: referer\r\nreferer: secret-referer\r\nuser-agent: shown-agent";
        assert_eq!(chain.ask(head, "").await.status(), 200);
        assert!(!chain.tap.saw("secret-referer") && chain.tap.saw("shown-agent"));
        // What a peer takes from the sealed part only is always sealed.
        assert!(!chain.tap.saw("own-value"));
        let seen = chain.upstream.last();
        assert_eq!(
            (seen.header("referer"), seen.header("user-agent")),
            (Some("secret-referer"), Some("shown-agent"))
        );
    });
}

#[test]
fn the_peers_control_routes_are_paths_like_any_other() {
    run(async {
        let chain = Chain::new().await;
        let response = chain.ask("GET /api/mte-echo/hello HTTP/1.1", "").await;
        assert_eq!(response.text(), "GET /api/mte-echo/hello 0", "the upstream of B has answered");
    });
}

#[test]
fn one_relay_has_both_roles_and_its_tenants_are_apart() {
    run(async {
        let upstream = Upstream::standard().await;
        let chain = Chain::new().await;
        let both = Setup::default()
            .tenant(APP, &upstream.url(), &outbound(&format!("{LOOPBACK}\npass_through_routes: [/own]")))
            .tenant("other.test", &upstream.url(), "pass_through_routes: [/own]")
            .start()
            .await;
        assert_eq!(ask(&both, &chain.peer(), "GET /away HTTP/1.1", "").await.text(), "GET /away 0");
        assert_eq!(both.ask(&format!("GET /own HTTP/1.1\r\nhost: {APP}\r\n\r\n")).await.text(), "GET /own 0");
        assert_eq!(upstream.last().target, "/own");
        // The token of one tenant is nothing to another: there the header is dropped, and the request is its own.
        let elsewhere =
            format!("GET /own HTTP/1.1\r\n{}\r\n", lines(&chain.peer()).replace(APP, "other.test"));
        assert_eq!(both.ask(&elsewhere).await.text(), "GET /own 0");
        assert_eq!(upstream.last().header("x-mte-outbound-token"), None);
        assert_eq!(upstream.seen().len(), 2);
        assert_eq!(both.builder(APP).build().unwrap().get("/sealed").await.unwrap().status(), 200);
        assert_eq!(upstream.last().target, "/sealed");
    });
}
