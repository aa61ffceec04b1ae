//! Which headers are sent to the upstream, and which are returned.

use http::Request;
use http_body_util::Empty;
use mte_client::{Body, EncodeHeaders};

use crate::harness::{HOST, Message, Relay, Seen, Session, Setup, Upstream, reply, run};

/// The request that the upstream receives for one with these header lines in the clear.
async fn seen_with_clear(relay: &Relay, upstream: &Upstream, lines: &str) -> (Seen, Message) {
    let session = Session::new(relay).await;
    let sealed = session.seal(Request::get("/").body(Default::default()).unwrap());
    let mut wire = relay.wire().await;
    wire.send(session.head("GET", &sealed.path, &sealed.headers, lines)).await;
    let response = wire.response(false).await.unwrap();
    assert_eq!(response.status(), 200, "{response:?}");
    (upstream.last(), response)
}

#[test]
fn hop_by_hop_headers_are_not_forwarded() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let lines = "te: trailers\r\nkeep-alive: timeout=5\r\nproxy-authorization: Basic eA==\r\n\
                     proxy-connection: keep-alive\r\ntrailer: x\r\nhttp2-settings: AAA\r\nreferer: 1\r\n";
        let (seen, _) = seen_with_clear(&relay, &upstream, lines).await;
        for name in
            ["te", "keep-alive", "proxy-authorization", "proxy-connection", "trailer", "http2-settings"]
        {
            assert_eq!(seen.header(name), None, "{name}");
        }
        assert_eq!(seen.header("referer"), Some("1"));
    });
}

#[test]
fn headers_that_connection_names_are_not_forwarded() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let lines = "connection: keep-alive, Referer\r\nreferer: 1\r\nuser-agent: 1\r\n";
        let (seen, _) = seen_with_clear(&relay, &upstream, lines).await;
        assert_eq!((seen.header("referer"), seen.header("user-agent")), (None, Some("1")));
    });
}

#[test]
fn the_relays_own_headers_are_not_forwarded() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let lines = "x-mte-outbound-token: t\r\nx-mte-outbound-anything: t\r\n";
        let (seen, _) = seen_with_clear(&relay, &upstream, lines).await;
        let own: Vec<_> = seen.headers.keys().filter(|name| name.as_str().starts_with("x-mte")).collect();
        assert!(own.is_empty(), "{own:?}");
    });
}

#[test]
fn headers_that_override_the_request_are_not_forwarded_sealed_or_in_the_clear() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let names = ["x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"];
        for which in [EncodeHeaders::None, EncodeHeaders::All] {
            let client = relay.builder(HOST).encode_headers(which).build().unwrap();
            for name in names {
                let request = Request::get("/").header(name, "/admin").body(Body::empty()).unwrap();
                client.send(request).await.unwrap();
                assert_eq!(upstream.last().header(name), None, "{name}");
            }
        }
    });
}

#[test]
fn the_upstream_gets_the_client_address_and_no_header_can_forge_it() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let forged = [
            ("x-forwarded-for", "192.0.2.1", "127.0.0.1"),
            ("x-forwarded-host", "evil.test", HOST),
            ("x-forwarded-proto", "https", "http"),
            ("accept-encoding", "gzip", "identity"),
        ];
        let lines: String = forged.iter().map(|(name, value, _)| format!("{name}: {value}\r\n")).collect();
        let (seen, _) = seen_with_clear(&relay, &upstream, &lines).await;
        for (name, _, right) in forged {
            let values: Vec<_> = seen.headers.get_all(name).iter().collect();
            assert_eq!(values, [right], "{name}");
        }
        // Not even the client itself, with sealed headers.
        let mut request = Request::get("/");
        for (name, value, _) in forged {
            request = request.header(name, value);
        }
        relay.client().send(request.body(Body::empty()).unwrap()).await.unwrap();
        for (name, _, right) in &forged[..3] {
            assert_eq!(upstream.last().header(name), Some(*right), "{name}");
        }
        // The client can choose the coding if it seals the header.
        assert_eq!(upstream.last().header("accept-encoding"), Some("gzip"));
    });
}

#[test]
fn a_request_has_one_id_upstream_in_the_response_and_in_errors() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let (seen, response) = seen_with_clear(&relay, &upstream, "x-request-id: mine\r\n").await;
        let first = response.header("x-request-id").unwrap().to_owned();
        assert_eq!(seen.header("x-request-id"), Some(&*first));
        let (seen, response) = seen_with_clear(&relay, &upstream, "").await;
        assert_ne!(response.header("x-request-id"), Some(&*first));
        assert_eq!(seen.header("x-request-id"), response.header("x-request-id"));
        let error = relay.ask(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(error.json()["request_id"].as_str(), error.header("x-request-id"));
    });
}

#[test]
fn the_host_is_the_upstreams_own_unless_the_clients_is_preserved() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Setup::default()
            .tenant("own.test", &upstream.url(), "")
            .tenant("kept.test", &upstream.url(), "preserve_host: true\npass_through_routes: [/open]")
            .start()
            .await;
        relay.builder("own.test").build().unwrap().get("/").await.unwrap();
        assert_eq!(upstream.last().header("host"), Some(&*upstream.address.to_string()));
        relay.builder("kept.test").build().unwrap().get("/").await.unwrap();
        assert_eq!(upstream.last().header("host"), Some("kept.test"));
        relay.builder("kept.test:8080").build().unwrap().get("/").await.unwrap();
        assert_eq!(upstream.last().header("host"), Some("kept.test:8080"));
        relay.ask("GET /open HTTP/1.1\r\nhost: kept.test\r\n\r\n").await;
        assert_eq!(upstream.last().header("host"), Some("kept.test"));
    });
}

#[test]
fn the_tenants_headers_are_added_in_both_directions() {
    run(async {
        let upstream = Upstream::standard().await;
        let lines =
            "headers: {x-service-name: mte-relay, x-key: of the tenant}\npass_through_routes: [/open]";
        let relay = Setup::default().tenant(HOST, &upstream.url(), lines).start().await;
        let (seen, _) = seen_with_clear(&relay, &upstream, "x-key: of a client\r\n").await;
        let response = relay.client().get("/").await.unwrap();
        for (name, value) in [("x-service-name", "mte-relay"), ("x-key", "of the tenant")] {
            assert!(seen.headers.get_all(name).iter().eq([value]), "{name}");
            assert!(response.headers().get_all(name).iter().eq([value]), "{name}");
        }
        // On the relay's own routes, with errors, and on pass-through routes as well.
        for path in ["/api/mte-relay", "/not-sealed", "/open"] {
            let answer = relay.ask(&format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(answer.header("x-service-name"), Some("mte-relay"), "{path}");
        }
    });
}

#[test]
fn a_location_at_the_upstream_points_at_the_relay() {
    run(async {
        let upstream = Upstream::serve(|request| async move {
            let mut reply = reply(Empty::new());
            *reply.status_mut() = http::StatusCode::FOUND;
            let to = request.headers()["x-to"].clone();
            reply.headers_mut().insert("location", to);
            Ok(reply)
        })
        .await;
        let relay =
            Setup::default().tenant(HOST, &upstream.url(), "pass_through_routes: [/open]").start().await;
        let own = upstream.url();
        let client = relay.client();
        for (to, becomes) in [
            (format!("{own}/next?a=1#b"), format!("http://{HOST}/next?a=1#b")),
            (format!("{}/NEXT", own.to_uppercase()), format!("http://{HOST}/NEXT")),
            (own.clone(), format!("http://{HOST}")),
            ("/relative".to_owned(), "/relative".to_owned()),
            ("https://elsewhere.test/".to_owned(), "https://elsewhere.test/".to_owned()),
            (format!("{own}0/other/port"), format!("{own}0/other/port")),
            (format!("{own}@evil.test/"), format!("{own}@evil.test/")),
        ] {
            let request = Request::get("/").header("x-to", &to).body(Body::empty()).unwrap();
            let response = client.send(request).await.unwrap();
            assert_eq!(response.status(), 302);
            assert_eq!(response.headers()["location"], *becomes);
            let raw = format!("GET /open HTTP/1.1\r\nhost: {HOST}\r\nx-to: {to}\r\n\r\n");
            assert_eq!(relay.ask(&raw).await.header("location"), Some(&*becomes));
        }
    });
}

#[test]
fn a_cookie_of_several_lines_is_one_cookie_at_the_upstream() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let request = Request::get("/").header("cookie", "a=1").header("cookie", "b=2; c=3");
        relay.client().send(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(upstream.last().header("cookie"), Some("a=1; b=2; c=3"));
    });
}
