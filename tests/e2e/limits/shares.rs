//! The pair store of several tenants.

use mte_client::RelayClient;

use crate::harness::{HOST, Relay, Setup, Upstream, run};

const OTHER: &str = "other.test";

async fn started(pairs: &str) -> Relay {
    let upstream = Upstream::standard().await;
    let setup = Setup::default().top(&format!("pairs: {{{pairs}}}")).tenant(HOST, &upstream.url(), "");
    setup.tenant(OTHER, &upstream.url(), "").start().await
}

/// A client with one pair, which it has used.
async fn working(relay: &Relay, host: &str) -> RelayClient {
    let client = relay.builder(host).build().unwrap();
    assert_eq!(client.get("/").await.unwrap().status(), 200);
    client
}

#[test]
fn a_tenant_that_fills_the_store_with_pairs_in_use_does_not_block_another() {
    run(async {
        let relay = started("max_total: 8").await;
        let mut first = Vec::new();
        for _ in 0..8 {
            first.push(working(&relay, HOST).await);
        }
        // Beyond that, the tenant itself is refused ...
        let more = relay.builder(HOST).build().unwrap().get("/").await.unwrap_err();
        assert_eq!(more.relay_status(), Some(503), "{}", more.report());
        // ... while another tenant gets its share, for which the least recently used pairs are evicted.
        assert_eq!(first[0].get("/").await.unwrap().status(), 200);
        let mut second = Vec::new();
        for _ in 0..4 {
            second.push(working(&relay, OTHER).await);
        }
        let counts = relay.shared.pairs.counts();
        assert_eq!((counts.live, counts.evicted), (8, 4));
        assert_eq!(first[0].get("/").await.unwrap().status(), 200);
        assert_eq!(relay.shared.pairs.counts().created, 12, "no remaining client had to pair again");
        for client in &second {
            assert_eq!(client.get("/").await.unwrap().status(), 200);
        }
        // But no more than its share.
        let more = relay.builder(OTHER).build().unwrap().get("/").await.unwrap_err();
        assert_eq!(more.relay_status(), Some(503), "{}", more.report());
    });
}

#[test]
fn a_client_network_beyond_its_pairs_is_429_with_the_time_to_wait() {
    run(async {
        let relay = started("max_per_network: 3").await;
        let mut clients = Vec::new();
        for host in [HOST, OTHER, HOST] {
            clients.push(working(&relay, host).await);
        }
        let more = relay.builder(HOST).build().unwrap().get("/").await.unwrap_err();
        assert_eq!(more.relay_status(), Some(429), "{}", more.report());
        assert_eq!(relay.shared.pairs.counts().live, 3);
        assert_eq!(clients[0].get("/").await.unwrap().status(), 200);
    });
}
