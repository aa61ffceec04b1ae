//! Requests that are refused before a peer is asked.

use super::{APP, Chain, LOOPBACK, TOKEN, ask, lines, outbound, relay_a};
use crate::harness::{Setup, Upstream, run};

#[test]
fn a_wrong_token_is_401_and_no_peer_is_asked() {
    run(async {
        let chain = Chain::new().await;
        for token in ["wrong", "", &TOKEN[1..], &format!("{TOKEN}0"), &TOKEN.to_uppercase()] {
            let lines = chain.lines().replace(TOKEN, token);
            let response = chain.a.ask(&format!("GET / HTTP/1.1\r\n{lines}\r\n")).await;
            assert_eq!(response.status(), 401, "{token:?}");
            assert_eq!(response.header("www-authenticate"), Some("x-mte-outbound-token"));
            assert_eq!(response.json()["status"], 401);
            assert!(!String::from_utf8_lossy(&response.body).contains(TOKEN));
        }
        let twice = format!("{}x-mte-outbound-token: {TOKEN}\r\n", chain.lines());
        assert_eq!(chain.a.ask(&format!("GET / HTTP/1.1\r\n{twice}\r\n")).await.status(), 400);
        assert_eq!(chain.tap.accepted(), 0);
    });
}

#[test]
fn wrong_tokens_are_charged_to_the_network_that_sends_them() {
    run(async {
        let a = relay_a("limits: {requests_per_second: 2}", LOOPBACK).start().await;
        let wrong = format!("GET / HTTP/1.1\r\n{}\r\n", lines("http://127.0.0.1:1")).replace(TOKEN, "wrong");
        let mut statuses = Vec::new();
        for _ in 0..6 {
            statuses.push(a.ask(&wrong).await.status());
        }
        assert_eq!(statuses, [401, 401, 401, 401, 429, 429]);
        // Whoever has the token is not kept out.
        assert_eq!(ask(&a, "http://127.0.0.1:1", "GET / HTTP/1.1", "").await.status(), 502);
    });
}

#[test]
fn a_request_without_a_peer_or_with_unknown_values_is_400_and_says_why() {
    run(async {
        let chain = Chain::new().await;
        let peer = format!("x-mte-upstream: {}\r\n", chain.peer());
        for (more, text) in [
            (String::new(), "x-mte-upstream is missing"),
            ("x-mte-upstream: relay.example\r\n".into(), "is no origin"),
            ("x-mte-upstream: https://relay.example/path\r\n".into(), "is no origin"),
            (format!("{peer}{peer}"), "x-mte-upstream"),
            (format!("{peer}x-mte-encode-type: AES\r\n"), "neither MKE nor MTE"),
            (format!("{peer}x-mte-encode-url: maybe\r\n"), "neither true nor false"),
            (format!("{peer}x-mte-encode-headers: a b\r\n"), "list of header names"),
            (format!("{peer}x-mte-encode-headers: connection\r\n"), "connection"),
        ] {
            let head =
                format!("GET / HTTP/1.1\r\nhost: {APP}\r\nx-mte-outbound-token: {TOKEN}\r\n{more}\r\n");
            let response = chain.a.ask(&head).await;
            assert_eq!(response.status(), 400, "{more}");
            let error = response.json()["error"].as_str().unwrap().to_owned();
            assert!(error.contains(text), "{more}: {error}");
        }
        assert_eq!(chain.tap.accepted(), 0);
    });
}

#[test]
fn the_password_of_a_peers_url_is_not_repeated() {
    run(async {
        let a = relay_a("", LOOPBACK).start().await;
        let response = ask(&a, "https://user:hidden-word@relay.example", "GET / HTTP/1.1", "").await;
        assert_eq!(response.status(), 400);
        assert!(!response.text().contains("hidden-word"));
    });
}

#[test]
fn methods_and_paths_are_refused_as_on_every_route() {
    run(async {
        let chain = Chain::with("", &format!("{LOOPBACK}\ncors_methods: [GET]"), "").await;
        for (line, status) in [
            ("TRACE / HTTP/1.1", 405),
            ("DELETE / HTTP/1.1", 405),
            ("GET /a/../b HTTP/1.1", 400),
            ("GET /%2e%2e/b HTTP/1.1", 400),
            ("GET /a%0d%0ab HTTP/1.1", 400),
        ] {
            assert_eq!(chain.ask(line, "").await.status(), status, "{line}");
        }
        assert_eq!(chain.tap.accepted(), 0);
    });
}

#[test]
fn another_protocol_is_refused_with_501() {
    run(async {
        let chain = Chain::new().await;
        let head = "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==";
        let response = chain.ask(head, "").await;
        assert_eq!(response.status(), 501);
        assert!(response.text().contains("Upgrade"), "{}", response.text());
        // An offer that may be ignored.
        let head = "GET / HTTP/1.1\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk";
        assert_eq!(chain.ask(head, "").await.status(), 200);
        assert_eq!(chain.upstream.last().header("upgrade"), None);
    });
}

#[test]
fn bodies_above_the_limits_are_413() {
    run(async {
        let chain = Chain::with("limits: {max_body: 100KiB, max_mte_body: 50KiB}", LOOPBACK, "").await;
        let body = "x".repeat(101 << 10);
        for method in ["POST", "PUT"] {
            assert_eq!(chain.ask(&format!("{method} / HTTP/1.1"), &body).await.status(), 413, "{method}");
        }
        let mut wire = chain.a.wire().await;
        wire.send(format!("POST / HTTP/1.1\r\n{}transfer-encoding: chunked\r\n\r\n", chain.lines())).await;
        wire.chunk(body.as_bytes()).await;
        wire.chunk(b"").await;
        assert_eq!(wire.response(false).await.unwrap().status(), 413);
        let mte = "POST / HTTP/1.1\r\nx-mte-encode-type: MTE";
        assert_eq!(chain.ask(mte, &body[..51 << 10]).await.status(), 413);
        assert_eq!(chain.ask(mte, &body[..50 << 10]).await.status(), 200);
        assert_eq!(chain.ask("POST / HTTP/1.1", &body[..100 << 10]).await.status(), 200);
        assert_eq!(chain.upstream.seen().len(), 2, "nothing that was too large has arrived");
    });
}

#[test]
fn a_tenant_without_a_token_treats_the_header_as_any_other_that_is_not_forwarded() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Setup::default()
            .tenant(APP, &upstream.url(), "pass_through_routes: [/open]\noutbound_peers: [127.0.0.0/8]")
            .start()
            .await;
        let lines = lines("http://127.0.0.1:1");
        assert_eq!(relay.ask(&format!("GET /open HTTP/1.1\r\n{lines}\r\n")).await.status(), 200);
        assert_eq!(upstream.last().header("x-mte-outbound-token"), None);
        assert_eq!(relay.ask(&format!("GET /other HTTP/1.1\r\n{lines}\r\n")).await.status(), 569);
    });
}

#[test]
fn a_request_without_the_token_is_the_tenants_own() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Setup::default()
            .tenant(APP, &upstream.url(), &outbound("pass_through_routes: [/open]"))
            .start()
            .await;
        let lines = format!("host: {APP}\r\nx-mte-upstream: http://127.0.0.1:1\r\n");
        assert_eq!(relay.ask(&format!("GET /open HTTP/1.1\r\n{lines}\r\n")).await.status(), 200);
        assert_eq!(upstream.last().target, "/open");
    });
}
