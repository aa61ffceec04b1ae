//! CORS (docs/protocol.md, section 6).

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::harness::{HOST, Message, Relay, Session, Setup, Upstream, reply, run};

const APP: &str = "https://app.example.test";

async fn relay_with(upstream: &Upstream, lines: &str) -> Relay {
    Setup::default().tenant(HOST, &upstream.url(), lines).start().await
}

async fn preflight(relay: &Relay, path: &str, origin: &str) -> Message {
    relay
        .ask(&format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: {HOST}\r\norigin: {origin}\r\n\
             access-control-request-method: PUT\r\naccess-control-request-headers: x-mte-relay, x-own\r\n\r\n"
        ))
        .await
}

/// The response to a sealed request with this origin.
async fn real(relay: &Relay, origin: &str) -> Message {
    let session = Session::new(relay).await;
    let sealed = session.seal(Request::get("/").body(Bytes::new()).unwrap());
    let mut wire = relay.wire().await;
    wire.send(session.head("GET", &sealed.path, &sealed.headers, &format!("origin: {origin}\r\n"))).await;
    wire.response(false).await.unwrap()
}

fn has_cors(message: &Message) -> bool {
    message.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control-"))
}

#[test]
fn a_preflight_is_answered_by_the_relay() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay_with(&upstream, &format!("cors_origins: ['{APP}']")).await;
        for path in ["/", "/any/thing"] {
            let answer = preflight(&relay, path, APP).await;
            assert_eq!(answer.status(), 204, "{path}");
            for (name, value) in [
                ("access-control-allow-origin", APP),
                ("access-control-allow-credentials", "true"),
                ("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD"),
                ("access-control-allow-headers", "x-mte-relay, x-own"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{path}");
            }
            assert!(answer.header("vary").unwrap().contains("origin"));
            assert!(answer.header("access-control-max-age").is_some());
        }
        assert_eq!(upstream.begun(), 0);
    });
}

#[test]
fn a_preflight_of_the_relays_own_routes_is_answered_too() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay_with(&upstream, &format!("cors_origins: ['{APP}']")).await;
        for path in ["/api/mte-relay", "/api/mte-pair"] {
            let answer = preflight(&relay, path, APP).await;
            assert_eq!(answer.status(), 204, "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(APP), "{path}");
            assert_eq!(answer.header("access-control-allow-headers"), Some("x-mte-relay, x-own"), "{path}");
        }
    });
}

#[test]
fn an_origin_that_is_not_allowed_gets_no_cors_headers() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay_with(&upstream, &format!("cors_origins: ['{APP}', 'https://*.wild.test']")).await;
        for origin in [
            "http://app.example.test",
            "https://app.example.test.evil.test",
            "https://app.example.test:8443",
            "https://wild.test",
            "https://wild.test.evil.test",
            "null",
        ] {
            assert!(!has_cors(&preflight(&relay, "/", origin).await), "{origin}");
            let answer = real(&relay, origin).await;
            assert_eq!(answer.status(), 200);
            assert!(!has_cors(&answer), "{origin}: {answer:?}");
        }
        for origin in ["https://a.wild.test", "https://b.wild.test"] {
            let answer = real(&relay, origin).await;
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        }
    });
}

#[test]
fn a_tenant_without_origins_answers_preflights_without_permission() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let answer = preflight(&relay, "/", APP).await;
        assert_eq!((answer.status(), has_cors(&answer)), (204, false));
        assert_eq!(upstream.begun(), 0);
    });
}

#[test]
fn a_real_response_has_the_tenants_cors_headers_in_place_of_the_upstreams() {
    run(async {
        let upstream = Upstream::serve(|_| async {
            let mut reply = reply(Full::from("x"));
            for (name, value) in [
                ("access-control-allow-origin", "*"),
                ("access-control-allow-methods", "TRACE"),
                ("access-control-expose-headers", "x-total, etag"),
                ("vary", "accept"),
            ] {
                reply.headers_mut().insert(name, value.parse().unwrap());
            }
            Ok(reply)
        })
        .await;
        let lines = format!("cors_origins: ['{APP}']\npass_through_routes: ['/open']");
        let relay = relay_with(&upstream, &lines).await;
        let answer = real(&relay, APP).await;
        assert!(answer.all("access-control-allow-origin").eq([APP]));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.header("access-control-allow-methods"), None);
        let exposed: Vec<_> = answer
            .all("access-control-expose-headers")
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        assert_eq!(exposed, ["x-mte-relay", "x-mte-relay-eh", "x-total", "etag"]);
        // The headers for caches are sealed, because the ciphertext must not be cached anyway.
        assert_eq!((answer.header("vary"), answer.header("cache-control")), (None, Some("no-store")));
        let plain = format!("GET /open HTTP/1.1\r\nhost: {HOST}\r\norigin: {APP}\r\n\r\n");
        let plain = relay.ask(&plain).await;
        for name in ["accept", "origin"] {
            assert!(plain.all("vary").any(|value| value.contains(name)), "{name}");
        }
        // For an origin that is not allowed, none of the upstream's CORS headers is left.
        assert!(!has_cors(&real(&relay, "https://evil.test").await));
    });
}

#[test]
fn exposed_headers_on_several_lines_stay_exposed() {
    run(async {
        let upstream = Upstream::serve(|_| async {
            let mut reply = reply(Full::from("x"));
            for value in ["x-total", "etag"] {
                reply.headers_mut().append("access-control-expose-headers", value.parse().unwrap());
            }
            Ok(reply)
        })
        .await;
        let relay = relay_with(&upstream, &format!("cors_origins: ['{APP}']")).await;
        let answer = real(&relay, APP).await;
        let exposed: Vec<_> = answer.all("access-control-expose-headers").collect();
        let exposed = exposed.join(", ");
        for name in ["x-mte-relay", "x-mte-relay-eh", "x-total", "etag"] {
            assert!(exposed.split(", ").any(|one| one == name), "{name} in {exposed}");
        }
    });
}

#[test]
fn errors_of_the_relay_have_cors_headers_too() {
    run(async {
        let upstream = Upstream::standard().await;
        let lines = format!("cors_origins: ['{APP}']\nmte_routes: [/only]");
        let relay = relay_with(&upstream, &lines).await;
        let origin = format!("origin: {APP}");
        for (request, status) in [
            (format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n{origin}\r\n\r\n"), 569),
            (
                format!("GET /api/mte-relay HTTP/1.1\r\nhost: {HOST}\r\n{origin}\r\nx-mte-relay: x\r\n\r\n"),
                566,
            ),
            (
                format!(
                    "POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\n{origin}\r\ncontent-length: 2\r\n\r\n[]"
                ),
                400,
            ),
            (format!("GET /api/mte-relay HTTP/1.1\r\nhost: {HOST}\r\n{origin}\r\n\r\n"), 200),
            (format!("GET /api/mte-echo HTTP/1.1\r\nhost: {HOST}\r\n{origin}\r\n\r\n"), 200),
        ] {
            let answer = relay.ask(&request).await;
            assert_eq!(answer.status(), status, "{request}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(APP), "{request}");
            assert_eq!(
                answer.header("access-control-expose-headers"),
                Some("x-mte-relay, x-mte-relay-eh"),
                "{request}"
            );
        }
        let answer = real(&relay, APP).await;
        assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (404, Some(APP)));
    });
}

#[test]
fn a_refusal_before_the_route_is_known_has_cors_headers_too() {
    run(async {
        let upstream = Upstream::standard().await;
        let lines = format!("cors_origins: ['{APP}']");
        let relay = Setup::default()
            .top("limits: {max_header_bytes: 4KiB}")
            .tenant(HOST, &upstream.url(), &lines)
            .start()
            .await;
        let mut without = Vec::new();
        for (method, path, more, status) in [
            ("DELETE", "/api/mte-relay", String::new(), 405),
            ("GET", "/api/mte-pair", String::new(), 405),
            ("GET", "/", format!("x-large: {}\r\n", "x".repeat(5_000)), 431),
        ] {
            let answer = relay
                .ask(&format!("{method} {path} HTTP/1.1\r\nhost: {HOST}\r\norigin: {APP}\r\n{more}\r\n"))
                .await;
            assert_eq!(answer.status(), status, "{method} {path}");
            if answer.header("access-control-allow-origin") != Some(APP) {
                without.push(format!("{method} {path}: {status}"));
            }
        }
        assert!(without.is_empty(), "without CORS headers: {without:?}");
    });
}

#[test]
fn every_origin_is_allowed_without_credentials() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay_with(&upstream, "cors_origins: ['*']").await;
        for answer in
            [preflight(&relay, "/", "https://anybody.test").await, real(&relay, "https://a.test").await]
        {
            assert!(answer.header("access-control-allow-origin").is_some());
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    });
}

#[test]
fn the_tenant_chooses_methods_and_whether_credentials_are_sent() {
    run(async {
        let upstream = Upstream::standard().await;
        let lines = format!("cors_origins: ['{APP}']\ncors_methods: [get, REPORT]\ncors_credentials: false");
        let relay = relay_with(&upstream, &lines).await;
        let answer = preflight(&relay, "/", APP).await;
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, REPORT, OPTIONS, HEAD"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    });
}

#[test]
fn without_an_origin_there_are_no_cors_headers() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay_with(&upstream, &format!("cors_origins: ['{APP}']")).await;
        let answer = relay.ask(&format!("GET /api/mte-relay HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert!(!has_cors(&answer));
    });
}

#[test]
fn a_preflight_of_a_pass_through_route_is_answered_by_the_tenants_policy() {
    run(async {
        let upstream = Upstream::standard().await;
        let lines = format!("cors_origins: ['{APP}']\npass_through_routes: [/open]");
        let relay = relay_with(&upstream, &lines).await;
        let answer = preflight(&relay, "/open", APP).await;
        assert_eq!((answer.status(), upstream.begun()), (204, 0));
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
        // An OPTIONS request that is not a preflight is answered by the upstream.
        let other = relay.ask(&format!("OPTIONS /open HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(other.text(), "OPTIONS /open 0");
    });
}
