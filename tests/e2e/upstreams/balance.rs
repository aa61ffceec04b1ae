//! Which peer a request is sent to, and the effects of a failing peer.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Fleet, status};
use crate::harness::{HOST, Upstream, Wire, eventually, reply, run};

#[test]
fn requests_are_distributed_by_weight() {
    run(async {
        let fleet = Fleet::standard(&[1, 3, 2], "").await;
        let client = fleet.relay.client();
        for _ in 0..24 {
            assert_eq!(status(&client, "GET", "/").await, 200);
        }
        assert_eq!(fleet.counts(), [4, 12, 8]);
        fleet.relay.settled().await;
    });
}

#[test]
fn a_client_keeps_its_peer_with_consistent_hash() {
    run(async {
        let fleet = Fleet::standard(&[1, 1, 1], "balance: consistent_hash").await;
        for number in 0..24 {
            let client = fleet.relay.client();
            for _ in 0..3 {
                assert_eq!(status(&client, "POST", &format!("/client/{number}")).await, 200);
            }
        }
        let clients =
            |peer: &Upstream| -> BTreeSet<_> { peer.seen().into_iter().map(|seen| seen.target).collect() };
        let of_each: Vec<_> = fleet.peers.iter().map(clients).collect();
        assert_eq!(of_each.iter().map(BTreeSet::len).sum::<usize>(), 24, "no client is at two peers");
        assert!(of_each.iter().all(|clients| !clients.is_empty()), "every peer has clients");
        assert_eq!(fleet.counts().iter().sum::<usize>(), 72);
    });
}

#[test]
fn a_busy_peer_gets_no_more_requests_with_least_connections() {
    run(async {
        let go = std::sync::Arc::new(Notify::new());
        let mut peers = Vec::new();
        for _ in 0..2 {
            let go = go.clone();
            peers.push(
                Upstream::serve(move |request| {
                    let go = go.clone();
                    async move {
                        if request.uri().path() == "/wait" {
                            go.notified().await;
                        }
                        Ok(reply(Empty::<Bytes>::new()))
                    }
                })
                .await,
            );
        }
        let fleet = Fleet::new(peers, &[1, 1], "balance: least_connections").await;
        let client = fleet.relay.client();
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { status(&client, "GET", "/wait").await }
        });
        eventually("one waits", || fleet.peers.iter().any(|peer| peer.begun() == 1)).await;
        for _ in 0..10 {
            assert_eq!(status(&client, "GET", "/").await, 200);
        }
        let mut begun: Vec<_> = fleet.peers.iter().map(Upstream::begun).collect();
        begun.sort_unstable();
        assert_eq!(begun, [1, 10]);
        go.notify_waiters();
        assert_eq!(waiting.await.unwrap(), 200);
    });
}

#[test]
fn a_peer_that_refuses_connections_fails_no_request_and_is_ejected() {
    run(async {
        let mut fleet = Fleet::standard(&[1, 1], "ejection: {failures: 3, time: 60s}").await;
        let dead = fleet.peers.remove(0);
        let client = fleet.relay.client();
        assert_eq!(status(&client, "GET", "/").await, 200);
        dead.close().await;
        for round in 0..20 {
            // Not even requests that must not be sent twice: nothing was sent on a connection that was not made.
            assert_eq!(status(&client, "POST", "/").await, 200, "{round}");
        }
        assert_eq!(fleet.health(), ["ejected", "unchecked"]);
        let failures = fleet.failures();
        assert_eq!(failures.get("connect_refused"), Some(&3), "{failures:?}");
        fleet.relay.settled().await;
    });
}

#[test]
fn a_peer_that_aborts_requests_is_ejected_and_later_used_again() {
    run(async {
        let broken = std::sync::Arc::new(Mutex::new(true));
        let state = broken.clone();
        let bad = Upstream::raw(move |mut wire: Wire, _| {
            let broken = *state.lock();
            async move {
                while wire.request().await.is_ok() {
                    if broken {
                        return wire.reset();
                    }
                    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                }
            }
        })
        .await;
        let peers = vec![bad, Upstream::standard().await];
        let fleet = Fleet::new(peers, &[1, 1], "ejection: {failures: 2, time: 500ms}").await;
        let client = fleet.relay.client();
        let mut statuses = Vec::new();
        while fleet.health()[0] != "ejected" {
            assert!(statuses.len() < 10, "{statuses:?}");
            statuses.push(status(&client, "POST", "/").await);
        }
        // A POST that was sent is not sent again: each failure of the peer is one error for a client.
        assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 2, "{statuses:?}");
        assert_eq!(status(&client, "POST", "/").await, 200);
        assert_eq!(status(&client, "POST", "/").await, 200);
        *broken.lock() = false;
        let before = fleet.peers[1].seen().len();
        eventually("the ejection is over", || fleet.health()[0] == "unchecked").await;
        for _ in 0..10 {
            assert_eq!(status(&client, "POST", "/").await, 200);
        }
        assert_eq!(fleet.peers[1].seen().len() - before, 5, "the peer has its share again");
    });
}

#[test]
fn a_peer_that_hangs_is_504_in_time_and_then_ejected() {
    run(async {
        let hanging =
            Upstream::raw(|mut wire: Wire, _| async move { while wire.some().await.is_some() {} }).await;
        let peers = vec![hanging, Upstream::standard().await];
        let fleet = Fleet::new(peers, &[1, 1], "ejection: {failures: 1, time: 60s}").await;
        let client = fleet.relay.builder(HOST).timeout(Duration::from_secs(20)).build().unwrap();
        let mut statuses = Vec::new();
        for _ in 0..6 {
            statuses.push(status(&client, "POST", "/").await);
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 504]);
        assert_eq!(fleet.health(), ["ejected", "unchecked"]);
        assert_eq!(fleet.failures().into_iter().collect::<Vec<_>>(), [("read_timeout".to_owned(), 1)]);
    });
}
