//! Limits on pairing.

use mte_client::{KemId, wire::Offer};

use crate::harness::{HOST, Message, Relay, Session, Setup, Upstream, pairing, run};

/// Requests `pairs` pairs under a new client id.
async fn pair(relay: &Relay, pairs: usize) -> Message {
    pair_as(relay, "", pairs).await
}

async fn pair_as(relay: &Relay, client_id: &str, pairs: usize) -> Message {
    relay.ask(&pairing(HOST, client_id, &Offer::new(pairs, KemId::MlKem512))).await
}

async fn started(top: &str) -> Relay {
    let upstream = Upstream::standard().await;
    Setup::default().top(top).tenant(HOST, &upstream.url(), "").start().await
}

#[test]
fn pairing_too_fast_is_429_with_the_time_to_wait() {
    run(async {
        let relay = started("limits: {pairs_per_second: 1}").await;
        // Creating keys takes time on a busy machine, in which the allowance is refilled, so they are created beforehand.
        let offers = [(); 3].map(|()| pairing(HOST, "", &Offer::new(2, KemId::MlKem512)));
        // A burst of twice the rate, whatever client id is used.
        assert_eq!(relay.ask(&offers[0]).await.status(), 200);
        let answer = relay.ask(&offers[1]).await;
        assert_eq!((answer.status(), answer.json()["status"].as_u64()), (429, Some(429)));
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3).contains(&wait), "{wait}");
        assert_eq!(relay.shared.pairs.counts().live, 2);
        tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
        assert_eq!(relay.ask(&offers[2]).await.status(), 200);
        relay.deserted().await;
    });
}

#[test]
fn a_pairing_above_the_burst_is_refused() {
    run(async {
        let relay = started("limits: {pairs_per_second: 5}").await;
        let answer = pair(&relay, 11).await;
        assert_eq!(answer.status(), 429);
        assert!(answer.header("retry-after").is_some());
        assert_eq!(relay.shared.pairs.counts().live, 0);
    });
}

#[test]
fn a_store_full_of_pairs_in_use_is_503_with_the_time_to_wait() {
    run(async {
        let relay = started("pairs: {max_total: 2}").await;
        let clients = [relay.client(), relay.client()];
        for client in &clients {
            assert_eq!(client.get("/").await.unwrap().status(), 200);
        }
        for _ in 0..2 {
            let answer = pair(&relay, 1).await;
            assert_eq!((answer.status(), answer.json()["status"].as_u64()), (503, Some(503)));
            assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
        }
        assert_eq!(relay.shared.pairs.counts().live, 2);
        for client in &clients {
            assert_eq!(client.get("/").await.unwrap().status(), 200, "those in use stay");
        }
    });
}

#[test]
fn pairs_that_were_never_used_are_evicted_first() {
    run(async {
        let relay = started("pairs: {max_total: 3}").await;
        let used = relay.client();
        used.get("/").await.unwrap();
        for _ in 0..20 {
            assert_eq!(pair(&relay, 2).await.status(), 200);
            assert_eq!(relay.shared.pairs.counts().live, 3);
        }
        // All or none: three more do not fit besides the one in use, so none is created.
        assert_eq!(pair(&relay, 3).await.status(), 503);
        assert!(relay.shared.pairs.counts().live <= 3);
        assert_eq!(used.get("/").await.unwrap().status(), 200);
    });
}

#[test]
fn a_clients_own_oldest_pairs_are_evicted_beyond_its_limit() {
    run(async {
        let relay = started("pairs: {max_per_client: 3, max_per_request: 4}").await;
        let session = Session::new(&relay).await;
        for _ in 0..5 {
            assert_eq!(pair_as(&relay, &session.client_id, 1).await.status(), 200);
        }
        assert_eq!(relay.shared.pairs.counts().live, 3);
        assert_eq!(pair_as(&relay, &session.client_id, 5).await.status(), 400, "more than max_per_request");
        assert_eq!(relay.shared.pairs.counts().live, 3);
    });
}

#[test]
fn a_pairing_body_above_its_limit_is_413() {
    run(async {
        let relay = started("pairs: {max_per_request: 2}").await;
        let body = format!("[{}]", " ".repeat(1 << 20));
        let answer = relay
            .ask(&format!(
                "POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        assert_eq!(answer.status(), 413);
        assert_eq!(pair(&relay, 2).await.status(), 200);
        relay.deserted().await;
    });
}
