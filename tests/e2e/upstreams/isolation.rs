//! Tenants never share a connection to an upstream, even if it is the same upstream.

use std::collections::BTreeSet;

use crate::harness::{Authority, Relay, Setup, Transport, Upstream, run};

const TENANTS: [&str; 3] = ["one.test", "two.test", "three.test"];

async fn requests(relay: &Relay, upstream: &Upstream) {
    let clients = TENANTS.map(|host| relay.builder(host).build().unwrap());
    for _ in 0..5 {
        for (host, client) in TENANTS.iter().zip(&clients) {
            client.post(format!("/{host}"), "x").await.unwrap().into_body().bytes(1_000).await.unwrap();
        }
    }
    let seen = upstream.seen();
    let mut used = BTreeSet::new();
    for host in TENANTS {
        let of_tenant = seen.iter().filter(|seen| seen.target == format!("/{host}"));
        let connections: BTreeSet<_> = of_tenant.map(|seen| seen.connection).collect();
        assert_eq!(connections.len(), 1, "{host}: one connection, reused");
        assert!(used.insert(connections), "{host}: another tenant's connection");
    }
    assert_eq!((seen.len(), upstream.accepted()), (15, 3));
}

#[test]
fn tenants_of_one_upstream_have_separate_connections() {
    run(async {
        let upstream = Upstream::standard().await;
        let mut setup = Setup::default();
        for host in TENANTS {
            setup = setup.tenant(host, &upstream.url(), "");
        }
        requests(&setup.start().await, &upstream).await;
    });
}

#[test]
fn tenants_of_one_upstream_have_separate_http2_connections() {
    run(async {
        let acceptor = Authority::new().acceptor("localhost", &["h2"]);
        let upstream = Upstream::standard_over(Transport::Tls(acceptor)).await;
        let mut setup = Setup::default();
        for host in TENANTS {
            setup = setup.tenant(host, &upstream.url(), "upstream_tls: {verify: false}");
        }
        requests(&setup.start().await, &upstream).await;
        assert!(upstream.seen().iter().all(|seen| seen.version == http::Version::HTTP_2));
    });
}
