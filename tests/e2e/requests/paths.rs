//! Targets and methods that are refused, on every route, before any pattern is matched.

use http::Request;

use super::V4;
use crate::harness::{HOST, Relay, Setup, Upstream, run};

async fn relay(upstream: &Upstream, lines: &str) -> Relay {
    let lines = format!(
        "pass_through_routes: ['/open/*']\nmte_routes: ['/shut/*']\nallow_plain_requests: true\n{lines}"
    );
    Setup::default().tenant(HOST, &upstream.url(), &lines).start().await
}

const PATHS: [&str; 17] = [
    "..",
    "../admin",
    "%2e%2e/admin",
    ".%%32%65/admin",
    "%2%65%2%65/admin",
    "..%00/admin",
    "%252e%252e/admin",
    "%25%32%65./admin",
    "%u002e%u002e/admin",
    "%c0%ae%c0%ae/admin",
    "%e0%80%ae./admin",
    "..%2fadmin",
    "..;/admin",
    "..\\admin",
    "a%0d%0ab",
    "a%",
    "a%zz",
];

#[test]
fn an_ambiguous_path_is_400_on_every_route() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream, "").await;
        let mut session = V4::new(&relay).await;
        for path in PATHS {
            for line in ["GET /open/", "GET /shut/", "GET http://tenant.test/open/", "POST /api/mte-echo/"] {
                let answer = relay.ask(&format!("{line}{path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
                assert_eq!(answer.status(), 400, "{line}{path}");
            }
            let mut plain = session.seal("GET", None, Some("{}"), None);
            plain.path = format!("/shut/{path}");
            assert_eq!(plain.send(&relay).await.status(), 400, "plain URL {path}");
            let sealed = session.seal("GET", Some(&format!("/shut/{path}")), None, None);
            assert_eq!(sealed.send(&relay).await.status(), 400, "sealed URL {path}");
        }
        assert_eq!(upstream.begun(), 0);
    });
}

#[test]
fn a_raw_space_or_control_character_in_the_target_is_400_on_a_used_connection() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream, "").await;
        let mut wire = relay.wire().await;
        for target in ["/open/a b", "/open/a?b c", "/open/a\tb", "/open/a\x01"] {
            wire.send(format!("GET /open/good HTTP/1.1\r\nhost: {HOST}\r\nx: a b c d\r\n\r\n")).await;
            assert_eq!(wire.response(false).await.unwrap().status(), 200);
            wire.send(format!("GET {target} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(wire.response(false).await.unwrap().status(), 400, "{target:?}");
            wire = relay.wire().await;
        }
        assert_eq!(upstream.begun(), 4);
    });
}

#[test]
fn ordinary_paths_reach_the_upstream_unchanged() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream, "").await;
        for path in [
            "a%20b",
            "100%25",
            "caf%C3%A9",
            "caf%E9",
            "a.b..c/...",
            ".well-known/x",
            "a%2Fb",
            "?q=50%&x=%00../",
        ] {
            let target = format!("/open/{path}");
            let answer = relay.ask(&format!("GET {target} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(answer.status(), 200, "{path}");
            assert_eq!(upstream.last().target, target);
        }
    });
}

#[test]
fn a_method_that_the_tenant_does_not_list_is_405_on_every_route() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream, "cors_methods: [GET, PROPFIND, TRACE]").await;
        let mut session = V4::new(&relay).await;
        for (method, status) in [
            ("GET", 200),
            ("HEAD", 200),
            ("OPTIONS", 200),
            ("PROPFIND", 200),
            ("POST", 405),
            ("DELETE", 405),
            ("get", 405),
        ] {
            let answer = relay.ask(&format!("{method} /open/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(answer.status(), status, "{method}");
            let sealed = session.seal(method, Some("/shut/a"), Some("{}"), None);
            let answer = sealed.send(&relay).await;
            assert_eq!(answer.status(), status, "{method}");
            if status == 405 {
                assert_eq!(answer.header("allow"), Some("GET, PROPFIND, OPTIONS, HEAD"));
            }
        }
        for method in ["TRACE", "CONNECT"] {
            for path in ["/open/a", "/shut/a", "/api/mte-echo"] {
                let answer = relay.ask(&format!("{method} {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
                let refused = if method == "TRACE" { 405..=405 } else { 400..=405 };
                assert!(refused.contains(&answer.status()), "{method} {path}: {answer:?}");
            }
        }
        assert!(upstream.seen().iter().all(|seen| seen.method != "TRACE"));
    });
}

#[test]
fn the_client_library_reports_what_is_wrong_with_a_url() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream, "").await;
        let request = Request::get("/shut/100%").body(mte_client::Body::empty()).unwrap();
        let error = relay.client().send(request).await.unwrap_err();
        assert_eq!(error.relay_status(), Some(400));
        assert!(error.to_string().contains("write %25"), "{error}");
    });
}
