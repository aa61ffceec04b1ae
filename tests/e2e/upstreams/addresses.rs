//! A name with several addresses has several endpoints, which are tried in turn, and checked and ejected separately.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use http_body_util::Full;
use mte_relay::{
    config::{Config, ReloadState},
    upstream::Resolver,
};
use parking_lot::Mutex;

use super::{Fleet, status};
use crate::harness::{HOST, Relay, Setup, Upstream, Wire, eventually, free_port, reply, run};

/// A relay whose only peer is a name, and the upstreams at its addresses.
struct Named {
    fleet: Fleet,
    /// The addresses of the name; empty: it does not resolve.
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Named {
    /// `settings` are those of `upstream`, besides its peers.
    async fn new(peers: Vec<Upstream>, addresses: Vec<SocketAddr>, settings: &str, top: &str) -> Self {
        let addresses = Arc::new(Mutex::new(addresses));
        let answer = addresses.clone();
        let mut reload_state = ReloadState::default();
        reload_state.resolver = Resolver::new(move |host, _| {
            assert_eq!(host, "backend.test");
            let addresses = answer.lock().clone();
            Box::pin(async move {
                if addresses.is_empty() { Err(io::Error::other("no such name")) } else { Ok(addresses) }
            })
        });
        let upstream = format!("{{peers: ['http://backend.test:8080'], {settings}}}");
        let setup = Setup::default().top("timeouts: {connect: 2s, read: 2s}").top(top);
        let text = setup.tenant(HOST, &upstream, "pass_through_routes: ['/open/*']").text(free_port());
        let environment = BTreeMap::<&str, &str>::new();
        let config = Config::parse(&text, "test", Path::new("."), &environment, &Arc::new(reload_state));
        let relay = Relay::start(config.unwrap_or_else(|problems| panic!("{problems}"))).await;
        Self { fleet: Fleet { relay, peers }, addresses }
    }

    /// The state of each address, in the order of the answer.
    fn health(&self) -> Vec<&'static str> {
        let config = self.fleet.relay.shared.config.load();
        let state = &config.domains.find(HOST).unwrap().upstream.peers[0].state;
        state.endpoints().iter().map(|endpoint| endpoint.health().name()).collect()
    }
}

async fn standard(count: usize) -> Vec<Upstream> {
    let mut peers = Vec::new();
    for _ in 0..count {
        peers.push(Upstream::standard().await);
    }
    peers
}

fn dead(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), free_port())
}

#[test]
fn one_dead_address_of_three_fails_no_request_and_is_ejected() {
    run(async {
        for balance in ["round_robin", "least_connections", "consistent_hash"] {
            let peers = standard(2).await;
            let addresses = vec![dead("127.0.0.1"), peers[0].address, peers[1].address];
            let settings = format!("balance: {balance}, ejection: {{failures: 2, time: 60s}}");
            let named = Named::new(peers, addresses, &settings, "").await;
            let clients: Vec<_> = (0..12).map(|_| named.fleet.relay.client()).collect();
            for round in 0..3 {
                for client in &clients {
                    // Not even requests that must not be sent twice: nothing was sent on a connection that was not made.
                    assert_eq!(status(client, "POST", "/").await, 200, "{balance}, round {round}");
                }
            }
            assert_eq!(named.health(), ["ejected", "unchecked", "unchecked"], "{balance}");
            assert_eq!(named.fleet.health(), ["unchecked"], "{balance}: the peer gets requests");
            let failures = named.fleet.failures();
            assert_eq!(failures, BTreeMap::from([("connect_refused".to_owned(), 2)]), "{balance}");
            let counts = named.fleet.counts();
            assert_eq!(counts.iter().sum::<usize>(), 36, "{balance}");
            assert!(counts.iter().all(|count| *count >= 3), "{balance}: both have a share: {counts:?}");
            named.fleet.relay.settled().await;
        }
    });
}

#[test]
fn an_unreachable_address_family_fails_no_request() {
    run(async {
        // Refused, without a route, or without IPv6, depending on this machine.
        for first in [["::1"; 3], ["2001:db8::1", "2001:db8::2", "2001:db8::3"]] {
            let peers = standard(1).await;
            let mut addresses: Vec<_> = first.iter().map(|ip| dead(ip)).collect();
            addresses.push(peers[0].address);
            let named = Named::new(peers, addresses, "ejection: {failures: 1, time: 60s}", "").await;
            let client = named.fleet.relay.client();
            for round in 0..8 {
                assert_eq!(status(&client, "POST", "/").await, 200, "{first:?}, round {round}");
            }
            assert_eq!(named.fleet.counts(), [8]);
        }
    });
}

#[test]
fn each_address_has_its_own_health_checks() {
    run(async {
        let statuses = [Arc::new(AtomicU16::new(500)), Arc::new(AtomicU16::new(200))];
        let mut peers = Vec::new();
        for status in statuses.clone() {
            peers.push(
                Upstream::serve(move |request| {
                    let health = status.load(Ordering::SeqCst);
                    async move {
                        let mut reply = reply(Full::from("served"));
                        if request.uri().path() == "/health" {
                            *reply.status_mut() = health.try_into()?;
                        }
                        Ok(reply)
                    }
                })
                .await,
            );
        }
        let addresses = vec![peers[0].address, peers[1].address];
        let settings = "health: {path: /health, interval: 100ms, timeout: 2s, unhealthy_after: 1}";
        let named = Named::new(peers, addresses, settings, "").await;
        eventually("the checks have spoken", || named.health() == ["unhealthy", "healthy"]).await;
        let client = named.fleet.relay.client();
        for _ in 0..6 {
            assert_eq!(status(&client, "POST", "/").await, 200);
        }
        statuses[0].store(200, Ordering::SeqCst);
        statuses[1].store(500, Ordering::SeqCst);
        eventually("the other way round", || named.health() == ["healthy", "unhealthy"]).await;
        assert_eq!(status(&client, "POST", "/").await, 200);
        statuses[0].store(500, Ordering::SeqCst);
        eventually("none is healthy", || named.health() == ["unhealthy"; 2]).await;
        assert_eq!(status(&client, "GET", "/").await, 503);
        assert_eq!(named.fleet.health(), ["unhealthy"]);
    });
}

#[test]
fn requests_follow_the_name_and_keep_the_last_addresses_if_it_no_longer_resolves() {
    run(async {
        let peers = standard(3).await;
        let [first, second, third] = [0, 1, 2].map(|index: usize| peers[index].address);
        let named = Named::new(peers, vec![first, second], "", "dns_refresh: 100ms").await;
        let client = named.fleet.relay.client();
        let known = || {
            let config = named.fleet.relay.shared.config.load();
            let endpoints = config.domains.find(HOST).unwrap().upstream.peers[0].state.endpoints();
            endpoints.iter().filter_map(|endpoint| endpoint.address).collect::<Vec<_>>()
        };
        for _ in 0..4 {
            assert_eq!(status(&client, "POST", "/").await, 200);
        }
        assert_eq!(named.fleet.counts(), [2, 2, 0]);
        *named.addresses.lock() = vec![third, second];
        while known() != [second, third] {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(status(&client, "POST", "/").await, 200);
        }
        let before = named.fleet.counts();
        for _ in 0..6 {
            assert_eq!(status(&client, "POST", "/").await, 200);
        }
        let after = named.fleet.counts();
        assert_eq!((after[0], after[1] - before[1], after[2] - before[2]), (before[0], 3, 3));
        named.addresses.lock().clear();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(status(&client, "POST", "/").await, 200);
        }
        assert_eq!(known(), [second, third]);
    });
}

#[test]
fn a_name_that_does_not_resolve_is_502_until_it_does() {
    run(async {
        let peers = standard(1).await;
        let address = peers[0].address;
        let named = Named::new(peers, Vec::new(), "", "").await;
        let client = named.fleet.relay.client();
        assert_eq!(status(&client, "GET", "/").await, 502);
        named.addresses.lock().push(address);
        assert_eq!(status(&client, "GET", "/").await, 200);
    });
}

#[test]
fn the_status_page_shows_the_addresses_of_a_name_and_metrics_the_name_alone() {
    run(async {
        let peers = standard(1).await;
        let (down, up) = (dead("127.0.0.1"), peers[0].address);
        let admin = free_port();
        let top = format!("admin: {{address: '127.0.0.1:{admin}'}}");
        let named = Named::new(peers, vec![down, up], "ejection: {failures: 1, time: 60s}", &top).await;
        let client = named.fleet.relay.client();
        for _ in 0..2 {
            assert_eq!(status(&client, "POST", "/").await, 200);
        }
        let ask = async |path: &str| {
            let mut wire = Wire::connect(SocketAddr::from(([127, 0, 0, 1], admin))).await;
            wire.send(format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{admin}\r\n\r\n")).await;
            wire.response(false).await.unwrap()
        };
        let shown = ask("/status.json").await.json()["tenants"][0]["upstream"][0].clone();
        assert_eq!(
            (&shown["url"], &shown["state"]),
            (&"http://backend.test:8080".into(), &"unchecked".into())
        );
        let states: Vec<_> = shown["addresses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|shown| (&shown["address"], &shown["state"]))
            .collect();
        let expected = [(down, "ejected"), (up, "unchecked")].map(|(address, state)| {
            (serde_json::Value::from(address.to_string()), serde_json::Value::from(state))
        });
        assert_eq!(states, expected.iter().map(|(address, state)| (address, state)).collect::<Vec<_>>());
        let metrics = String::from_utf8(ask("/metrics").await.body).unwrap();
        let healthy =
            format!("mte_relay_upstream_healthy{{peer=\"http://backend.test:8080\",tenant=\"{HOST}\"}} 1");
        assert!(metrics.contains(&healthy), "{metrics}");
        assert!(!metrics.contains(&down.to_string()) && !metrics.contains(&up.to_string()));
    });
}
