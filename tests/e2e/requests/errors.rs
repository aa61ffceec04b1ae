//! What errors say about the pair, and whose allowance they use.

use std::time::Duration;

use super::V4;
use crate::harness::{HOST, Relay, Setup, Upstream, run};

async fn relay(upstream: &str, top: &str, lines: &str) -> Relay {
    Setup::default().top(top).tenant(HOST, upstream, lines).start().await
}

/// What an error to this session's requests must say.
fn named(session: &V4, flags: &str) -> String {
    format!("{},the-pair,{flags}", session.client_id)
}

#[test]
fn an_error_names_the_pair_at_every_stage() {
    run(async {
        let reset = Upstream::raw(|_, _| async {}).await;
        let relay = Setup::default()
            .top("limits: {header_names: 20}\ntimeouts: {read: 1s}")
            .tenant(HOST, &reset.url(), "retries: 0\nmte_routes: ['/ok/*']")
            .start()
            .await;
        let mut session = V4::new(&relay).await;
        let many: String = (0..30).map(|index| format!("x-{index}: 1\r\n")).collect();
        let mut forged = session.seal("GET", Some("/ok/a"), Some("{}"), None);
        forged.map = session.seal("GET", None, Some("{}"), None).map;
        let mut unlisted = session.seal("GET", Some("/ok/a"), Some("{}"), None);
        unlisted.method = "PURGE";
        for (what, status, sealed) in [
            (
                "an upstream that breaks off",
                502,
                session.seal("POST", Some("/ok/a"), Some("{}"), Some(b"body")),
            ),
            ("no route", 404, session.seal("POST", Some("/other"), Some("{}"), None)),
            ("not opened", 562, forged),
            ("a method", 405, unlisted),
            ("too many fields", 431, session.seal("GET", Some("/ok/a"), Some("{}"), None).clear(&many)),
            ("a path", 400, {
                let mut sealed = session.seal("GET", None, Some("{}"), None);
                sealed.path = "/ok/../a".into();
                sealed
            }),
        ] {
            let answer = sealed.send(&relay).await;
            assert_eq!(answer.status(), status, "{what}");
            assert_eq!(answer.header("x-mte-relay"), Some(&*named(&session, "1,0,0,0")), "{what}");
        }
        let mut streaming = session.seal("POST", Some("/ok/a"), Some("{}"), None);
        streaming.flags.push_str(",1");
        assert_eq!(streaming.send(&relay).await.header("x-mte-relay"), Some(&*named(&session, "1,0,0,0,1")));
    });
}

#[test]
fn a_timeout_after_the_upstream_was_contacted_names_the_pair() {
    run(async {
        let silent = Upstream::raw(|mut wire, _| async move {
            while wire.some().await.is_some() {}
            tokio::time::sleep(Duration::from_secs(60)).await;
        })
        .await;
        let relay = relay(&silent.url(), "timeouts: {read: 1s}", "").await;
        let mut session = V4::new(&relay).await;
        let answer = session.seal("POST", Some("/a"), Some("{}"), Some(b"body")).send(&relay).await;
        assert_eq!(answer.status(), 504);
        assert_eq!(answer.header("x-mte-relay"), Some(&*named(&session, "1,0,0,0")));
    });
}

#[test]
fn a_client_id_that_does_not_verify_is_not_repeated() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream.url(), "", "").await;
        let mut session = V4::new(&relay).await;
        let mut sealed = session.seal("GET", Some("/a"), Some("{}"), None);
        sealed.client_id.replace_range(..1, "f");
        sealed.client_id.replace_range(1..2, "f");
        let answer = sealed.send(&relay).await;
        assert_eq!((answer.status(), answer.header("x-mte-relay")), (566, None));
    });
}

#[test]
fn a_copied_client_id_does_not_use_up_its_owners_allowance() {
    run(async {
        let upstream = Upstream::standard().await;
        let top = "limits: {requests_per_second: 5}\ntrusted_proxies: [127.0.0.1]";
        let relay = relay(&upstream.url(), top, "").await;
        let mut session = V4::new(&relay).await;
        let good = session.seal("GET", Some("/a"), Some("{}"), None);
        let mut statuses = Vec::new();
        for _ in 0..30 {
            // Every request needs the id, and every party on the path sees it.
            let mut forged = good.clone().clear("x-forwarded-for: 192.0.2.1\r\n");
            forged.map = Some("AREAAAAAAAAAAb".repeat(4));
            statuses.push(forged.send(&relay).await.status());
        }
        assert_eq!(statuses[0], 562);
        assert_eq!(statuses.last(), Some(&429), "failures are charged to the address");
        for _ in 0..5 {
            let mine =
                session.seal("GET", Some("/a"), Some("{}"), None).clear("x-forwarded-for: 198.51.100.1\r\n");
            assert_eq!(mine.send(&relay).await.status(), 200);
        }
        // The client's own requests do.
        let mut last = 200;
        for _ in 0..30 {
            last = session.seal("GET", Some("/a"), Some("{}"), None).send(&relay).await.status();
            if last != 200 {
                break;
            }
        }
        assert_eq!(last, 429);
    });
}

#[test]
fn a_refused_origin_is_counted_and_a_preflight_of_a_pass_through_route_is_answered_here() {
    run(async {
        let upstream = Upstream::standard().await;
        let lines =
            "pass_through_routes: ['/open/*']\ncors_origins: ['https://app.test']\ncors_methods: [GET]";
        let relay = relay(&upstream.url(), "", lines).await;
        let ask = async |line: &str, origin: &str| {
            relay
                .ask(&format!(
                    "{line} HTTP/1.1\r\nhost: {HOST}\r\norigin: {origin}\r\naccess-control-request-method: GET\r\n\r\n"
                ))
                .await
        };
        let preflight = ask("OPTIONS /open/a", "https://app.test").await;
        assert_eq!(preflight.status(), 204);
        assert_eq!(preflight.header("access-control-allow-origin"), Some("https://app.test"));
        assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, OPTIONS, HEAD"));
        assert_eq!(upstream.begun(), 0);
        let counted = || {
            let text = relay.shared.metrics.text();
            let line = text.lines().find(|line| line.starts_with("mte_relay_cors_refused_total{"));
            line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap())
        };
        for (origin, refused) in
            [("https://app.test", 0), ("http://tenant.test", 0), ("https://evil.test", 1), ("null", 1)]
        {
            let before = counted();
            assert_eq!(ask("GET /open/a", origin).await.status(), 200);
            assert_eq!(counted() - before, refused, "{origin}");
        }
    });
}
