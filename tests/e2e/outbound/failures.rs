//! Peers that are down, silent, restarted, or no relays at all.

use std::time::Duration;

use tokio::net::TcpListener;

use super::{Chain, LOOPBACK, ask, failures, pairs_made, relay_a};
use crate::harness::{Pattern, Process, Relay, Setup, Upstream, eventually, free_port, reply, run};

#[test]
fn a_peer_that_is_down_is_502() {
    run(async {
        let a = relay_a("", LOOPBACK).start().await;
        let response = ask(&a, &format!("http://127.0.0.1:{}", free_port()), "POST / HTTP/1.1", "body").await;
        assert_eq!(response.status(), 502);
        assert!(response.text().contains("cannot be reached"), "{}", response.text());
        assert_eq!(failures(&a, "peer_unreachable"), 1);
        a.settled().await;
    });
}

#[test]
fn a_peer_that_is_silent_is_504_when_pairing_and_later() {
    run(async {
        let silent = TcpListener::bind(("127.0.0.1", free_port())).await.unwrap();
        let a = relay_a("timeouts: {connect: 500ms, read: 1s}", LOOPBACK).start().await;
        let peer = format!("http://{}", silent.local_addr().unwrap());
        assert_eq!(ask(&a, &peer, "GET / HTTP/1.1", "").await.status(), 504);

        let upstream = Upstream::serve(|_| async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(reply(http_body_util::Empty::new()))
        })
        .await;
        let chain = Chain::to(upstream, "timeouts: {read: 1s}", LOOPBACK, "").await;
        for body in ["", "body"] {
            let response = chain.ask("POST / HTTP/1.1", body).await;
            assert_eq!(response.status(), 504);
            assert!(response.text().contains("did not answer in time"), "{}", response.text());
        }
        assert_eq!((failures(&a, "peer_timeout"), failures(&chain.a, "peer_timeout")), (1, 2));
        // The exchange is given up: B's upstream is not kept busy.
        eventually("nothing is in flight", || chain.b.shared.in_flight.get() == 0).await;
    });
}

#[test]
fn the_peers_own_errors_are_502_with_their_status_in_the_text() {
    run(async {
        let chain = Chain::with("", LOOPBACK, "mte_routes: [/only]").await;
        let response = chain.ask("GET /other HTTP/1.1", "").await;
        assert_eq!(response.status(), 502);
        assert!(response.text().contains("it answered 404"), "{}", response.text());
        assert_eq!(failures(&chain.a, "peer_refused"), 1);
        assert_eq!(chain.ask("GET /only HTTP/1.1", "").await.status(), 200);
        // B's gateway timeout is one here too.
        let upstream = Upstream::serve(|_| async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(reply(http_body_util::Empty::new()))
        })
        .await;
        let b =
            Setup::default().top("timeouts: {read: 500ms}").tenant("*", &upstream.url(), "").start().await;
        assert_eq!(ask(&chain.a, &format!("http://{}", b.address), "GET / HTTP/1.1", "").await.status(), 504);
    });
}

#[test]
fn what_is_no_relay_is_502_and_its_redirects_are_not_followed() {
    run(async {
        let elsewhere = Upstream::standard().await;
        let target = elsewhere.url();
        let plain = Upstream::serve(move |_| {
            let target = target.clone();
            async move {
                let mut reply = reply(http_body_util::Empty::new());
                *reply.status_mut() = http::StatusCode::TEMPORARY_REDIRECT;
                reply.headers_mut().insert("location", target.parse()?);
                Ok(reply)
            }
        })
        .await;
        let a = relay_a("", LOOPBACK).start().await;
        for peer in [plain.url(), Upstream::standard().await.url()] {
            assert_eq!(ask(&a, &peer, "GET / HTTP/1.1", "").await.status(), 502, "{peer}");
        }
        assert_eq!(failures(&a, "peer_failed"), 2);
        assert_eq!(elsewhere.accepted(), 0);
    });
}

/// Relay B at an address of its own choice, so that it can be there again. The one before may be closing its sockets still.
async fn relay_b(upstream: &Upstream, port: u16) -> Relay {
    let free = || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    eventually("the port is free", free).await;
    Relay::start(Setup::default().tenant("*", &upstream.url(), "").config(port)).await
}

#[test]
fn after_a_restart_of_the_peer_a_get_is_repeated_once_and_a_post_is_not() {
    run(async {
        let (upstream, port) = (Upstream::standard().await, free_port());
        let b = relay_b(&upstream, port).await;
        let a = relay_a("", LOOPBACK).start().await;
        let peer = format!("http://127.0.0.1:{port}");
        assert_eq!(ask(&a, &peer, "GET /first HTTP/1.1", "").await.status(), 200);
        b.stop().await;
        let b = relay_b(&upstream, port).await;
        let response = ask(&a, &peer, "POST /second HTTP/1.1", "body").await;
        assert_eq!(response.status(), 502);
        assert!(response.text().contains("it took effect"), "{}", response.text());
        assert_eq!(upstream.seen().len(), 1, "the POST has not arrived");
        assert_eq!(ask(&a, &peer, "POST /third HTTP/1.1", "body").await.status(), 200, "it has paired again");
        b.stop().await;
        let b = relay_b(&upstream, port).await;
        for (method, body) in [("GET", ""), ("PUT", "small")] {
            assert_eq!(ask(&a, &peer, &format!("{method} /fourth HTTP/1.1"), body).await.status(), 200);
        }
        assert_eq!(pairs_made(&b), 2, "one pairing");
        let targets: Vec<_> = upstream.seen().iter().map(|seen| seen.target.clone()).collect();
        assert_eq!(targets, ["/first", "/third", "/fourth", "/fourth"], "each once");
        b.stop().await;
        let b = relay_b(&upstream, port).await;
        // A body that is a stream cannot be sent again, whatever the method.
        let mut wire = a.wire().await;
        wire.send(format!("PUT /fifth HTTP/1.1\r\n{}content-length: 200000\r\n\r\n", super::lines(&peer)))
            .await;
        wire.send(Pattern::bytes(200_000)).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 502);
        assert_eq!(upstream.seen().len(), 4);
        assert_eq!(pairs_made(&b), 0);
    });
}

#[test]
fn a_peer_that_never_accepts_a_pair_is_asked_twice_and_no_more() {
    run(async {
        let (upstream, port) = (Upstream::standard().await, free_port());
        let setup = Setup::default().top("pairs: {max_age: 1ms, unused_timeout: 1h}");
        let b = Relay::start(setup.tenant("*", &upstream.url(), "").config(port)).await;
        let a = relay_a("", LOOPBACK).start().await;
        let response = ask(&a, &format!("http://127.0.0.1:{port}"), "GET / HTTP/1.1", "").await;
        assert_eq!(response.status(), 502);
        assert!(response.text().contains("559") || response.text().contains("560"), "{}", response.text());
        assert!(upstream.seen().is_empty());
        assert!(pairs_made(&b) <= 4, "{}", pairs_made(&b));
    });
}

#[test]
fn failures_of_peers_eject_none_of_the_tenants_own() {
    run(async {
        let own = Upstream::standard().await;
        let tenant = super::outbound(&format!("{LOOPBACK}\npass_through_routes: [/open]"));
        let upstream = format!("{{peers: ['{}'], ejection: {{failures: 1}}}}", own.url());
        let a = Setup::default().tenant(super::APP, &upstream, &tenant).start().await;
        for _ in 0..5 {
            assert_eq!(ask(&a, "http://127.0.0.1:1", "GET / HTTP/1.1", "").await.status(), 502);
        }
        let open = format!("GET /open HTTP/1.1\r\nhost: {}\r\n\r\n", super::APP);
        assert_eq!(a.ask(&open).await.status(), 200);
        let text = a.shared.metrics.text();
        assert!(!text.contains("mte_relay_upstream_failures_total{"), "no upstream has failed");
        let counted = format!(
            "mte_relay_requests_total{{route=\"outbound\",status=\"5xx\",tenant=\"{}\"}} 5",
            super::APP
        );
        assert!(text.contains(&counted), "{text}");
    });
}

#[test]
fn the_access_line_names_route_and_peer_and_proxies_of_the_environment_are_not_used() {
    run(async {
        let chain = Chain::new().await;
        let proxy = Upstream::standard().await;
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("relay.yaml");
        std::fs::write(&file, relay_a("log: {format: json}", LOOPBACK).text(port)).unwrap();
        let url = proxy.url();
        let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"];
        let environment = names.map(|name| (name, url.as_str()));
        let file = file.to_str().unwrap().to_owned();
        let process = Process::start(&["run", "--config", &file], &environment, port);
        let mut wire = crate::harness::Wire::connect(([127, 0, 0, 1], port).into()).await;
        wire.send(format!("GET /of-the-app HTTP/1.1\r\n{}\r\n", chain.lines())).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 200);
        assert_eq!(proxy.accepted(), 0);
        let line = || process.log().into_iter().find(|line| line["route"] == "outbound");
        eventually("the line is there", || line().is_some()).await;
        let line = line().unwrap();
        assert_eq!((&line["peer"], &line["status"]), (&chain.peer().into(), &200.into()));
        assert_eq!((&line["tenant"], &line["closed"]), (&super::APP.into(), &"complete".into()));
        assert!(line["upstream_ms"].is_number() && line["response_bytes"].as_u64() > Some(0), "{line}");
        assert!(!process.output().contains(super::TOKEN), "the token is in the log");
    });
}
