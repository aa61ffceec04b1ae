//! Active health checks: a peer that fails them receives no requests, and without a healthy peer the response is 503.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use bytes::Bytes;
use http_body_util::{Empty, Full};

use super::{Fleet, status};
use crate::harness::{Authority, HOST, Setup, Transport, Upstream, eventually, reply, run};

/// An upstream whose health check gets this status.
async fn checked(health: Arc<AtomicU16>) -> Upstream {
    Upstream::serve(move |request| {
        let health = health.load(Ordering::SeqCst);
        async move {
            if request.uri().path() != "/health" {
                return Ok(reply(Full::from("served")));
            }
            let mut reply = reply(Empty::<Bytes>::new());
            *reply.status_mut() = health.try_into()?;
            Ok(reply)
        }
    })
    .await
}

const SETTINGS: &str =
    "health: {path: /health, interval: 100ms, timeout: 1s, unhealthy_after: 2, healthy_after: 2}";

#[test]
fn a_peer_that_fails_its_checks_gets_no_request_until_they_succeed_again() {
    run(async {
        let statuses = [Arc::new(AtomicU16::new(500)), Arc::new(AtomicU16::new(204))];
        let peers = vec![checked(statuses[0].clone()).await, checked(statuses[1].clone()).await];
        let fleet = Fleet::new(peers, &[1, 1], SETTINGS).await;
        eventually("the checks have spoken", || fleet.health() == ["unhealthy", "healthy"]).await;
        let client = fleet.relay.client();
        let checks = fleet.peers[0].begun();
        for _ in 0..10 {
            assert_eq!(status(&client, "POST", "/").await, 200);
        }
        eventually("checks continue", || fleet.peers[0].begun() > checks).await;
        statuses[0].store(302, Ordering::SeqCst);
        eventually("it is healthy again", || fleet.health() == ["healthy", "healthy"]).await;
        statuses[1].store(404, Ordering::SeqCst);
        eventually("the other is not", || fleet.health() == ["healthy", "unhealthy"]).await;
        assert_eq!(status(&client, "POST", "/").await, 200);
        fleet.relay.settled().await;
    });
}

#[test]
fn without_a_healthy_peer_the_answer_is_503_with_the_time_to_wait() {
    run(async {
        let health = Arc::new(AtomicU16::new(503));
        let peers = vec![checked(health.clone()).await, checked(health.clone()).await];
        let fleet = Fleet::new(peers, &[1, 1], SETTINGS).await;
        eventually("the checks have spoken", || fleet.health() == ["unhealthy"; 2]).await;
        let client = fleet.relay.client();
        assert_eq!(status(&client, "GET", "/").await, 503);
        let open = format!("GET /open/x HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
        let answer = fleet.relay.ask(&open).await;
        assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("5")));
        assert_eq!(answer.json()["status"], 503);
        health.store(200, Ordering::SeqCst);
        eventually("they are healthy", || fleet.health() == ["healthy"; 2]).await;
        assert_eq!(status(&client, "GET", "/").await, 200);
        assert_eq!(fleet.relay.ask(&open).await.text(), "served");
    });
}

#[test]
fn a_check_without_a_path_is_a_connection_with_tls_verified() {
    run(async {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        for (name, expected) in [("localhost", "healthy"), ("elsewhere.test", "unhealthy")] {
            let acceptor = authority.acceptor(name, &["h2", "http/1.1"]);
            let upstream = Upstream::standard_over(Transport::Tls(acceptor)).await;
            let url = format!("https://localhost:{}", upstream.address.port());
            let relay = Setup::default()
                .tenant(
                    HOST,
                    &format!("{{peers: ['{url}'], health: {{interval: 100ms}}}}"),
                    &format!("upstream_tls: {{ca_file: '{}'}}", ca.display()),
                )
                .start()
                .await;
            let peer =
                || relay.shared.config.load().domains.find(HOST).unwrap().upstream.peers[0].state.clone();
            eventually(expected, || peer().health().name() == expected).await;
            assert_eq!(upstream.begun(), 0, "no request");
        }
    });
}
