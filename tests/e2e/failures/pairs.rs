//! Pairs that expire.

use std::time::Duration;

use mte_client::Resend;

use crate::harness::{HOST, Relay, Setup, Upstream, run};

async fn started(top: &str) -> (Relay, Upstream) {
    let upstream = Upstream::standard().await;
    (Setup::default().top(top).tenant(HOST, &upstream.url(), "").start().await, upstream)
}

#[test]
fn a_pair_above_its_age_is_559_and_the_client_pairs_again() {
    run(async {
        let (relay, upstream) = started("pairs: {max_age: 400ms}").await;
        let (strict, lenient) = (relay.builder(HOST).resend(Resend::Never).build().unwrap(), relay.client());
        for client in [&strict, &lenient] {
            assert_eq!(client.get("/").await.unwrap().status(), 200);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(strict.get("/").await.unwrap_err().relay_status(), Some(559));
        let again = http::Request::put("/").body("again".into()).unwrap();
        let response = lenient.send(again).await.unwrap();
        assert_eq!(response.into_body().text(100).await.unwrap(), "PUT / 5");
        assert_eq!(upstream.begun(), 3);
        // The other client drops the pair and continues as well.
        assert_eq!(strict.get("/").await.unwrap().status(), 200);
    });
}

#[test]
fn a_pair_that_was_idle_too_long_is_560_and_the_client_pairs_again() {
    run(async {
        let (relay, upstream) = started("pairs: {idle_timeout: 400ms}").await;
        let (strict, lenient) = (relay.builder(HOST).resend(Resend::Never).build().unwrap(), relay.client());
        // Being used keeps it alive.
        for _ in 0..4 {
            for client in [&strict, &lenient] {
                assert_eq!(client.get("/").await.unwrap().status(), 200);
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(strict.get("/").await.unwrap_err().relay_status(), Some(560));
        assert_eq!(lenient.get("/").await.unwrap().status(), 200);
        assert_eq!(upstream.begun(), 9);
    });
}

#[test]
fn a_pair_that_was_never_used_is_560_after_its_time() {
    run(async {
        let (relay, _) = started("pairs: {unused_timeout: 300ms}").await;
        let client = relay.builder(HOST).resend(Resend::Never).build().unwrap();
        client.pair().await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(client.get("/").await.unwrap_err().relay_status(), Some(560));
    });
}

#[test]
fn expired_pairs_are_removed_by_the_sweep() {
    run(async {
        let (relay, _) = started("pairs: {idle_timeout: 3s, unused_timeout: 3s}").await;
        let client = relay.builder(HOST).pairs(20).build().unwrap();
        client.get("/").await.unwrap();
        assert_eq!(relay.shared.pairs.counts().live, 20);
        crate::harness::eventually("the sweeper has come", || relay.shared.pairs.counts().live == 0).await;
        assert_eq!(relay.shared.pairs.counts().expired, 20);
    });
}

#[test]
fn clients_detect_a_relay_that_lost_its_pairs_and_pair_again() {
    run(async {
        let upstream = Upstream::standard().await;
        let setup = Setup::default().tenant(HOST, &upstream.url(), "");
        let first = setup.start().await;
        let client = first.client();
        client.get("/").await.unwrap();
        let (id, text) = (client.client_id().unwrap(), setup.text(first.address.port()));
        first.stop().await;
        let environment = std::collections::BTreeMap::<&str, &str>::new();
        let ids = std::sync::Arc::new(mte_relay::config::ReloadState::default());
        let config =
            mte_relay::config::Config::parse(&text, "test", std::path::Path::new("."), &environment, &ids);
        let second = Relay::start(config.unwrap()).await;
        let again = http::Request::put("/").body("again".into()).unwrap();
        let response = client.send(again).await.unwrap();
        assert_eq!(response.into_body().text(100).await.unwrap(), "PUT / 5");
        assert_eq!(client.client_id().unwrap(), id, "the client id still verifies");
        assert_eq!(second.shared.pairs.counts().live, 1);
    });
}
