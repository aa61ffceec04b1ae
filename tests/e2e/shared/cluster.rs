//! Relays over a Redis Cluster: each client's pairs are on one of its servers.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use mte_client::{KemId, wire::Offer};

use super::{relay, sealed, send};
use crate::harness::{HOST, RedisCluster, RedisServer, Relay, Session, Upstream, pairing, run};

/// A cluster, an upstream, and relays that know one server of the cluster.
struct Site {
    cluster: RedisCluster,
    upstream: Upstream,
    relays: Vec<Relay>,
}

impl Site {
    async fn new(relays: usize) -> Self {
        let (cluster, upstream) = (RedisCluster::start(), Upstream::standard().await);
        let mut started = Vec::new();
        for index in 0..relays {
            started.push(relay(&cluster.servers[index].url(), &upstream).await);
        }
        Self { cluster, upstream, relays: started }
    }
}

#[test]
fn clients_of_all_servers_are_served_by_every_relay_and_each_request_once() {
    run(async {
        let site = Site::new(3).await;
        let mut captured = Vec::new();
        for client in 0..12 {
            let session = Session::new(&site.relays[client % 3]).await;
            for relay in &site.relays {
                let request = sealed(&session);
                assert_eq!(send(relay, &request).await, 200);
                captured.push(request);
            }
        }
        let used = site.cluster.servers.iter().filter(|server| !server.records().is_empty());
        assert_eq!(used.count(), 3, "clients are spread over the servers");
        for (index, request) in captured.iter().enumerate() {
            assert_eq!(send(&site.relays[index % 3], request).await, 562);
        }
        assert_eq!(site.upstream.begun(), captured.len());
    });
}

/// Moves a slot with its keys to another server, up to the last step, after which all servers know.
fn migrate(from: &RedisServer, to: &RedisServer, slot: &str, keys: &[&str]) {
    let id = |server: &RedisServer| server.ask::<String>(&["CLUSTER", "MYID"]);
    let _: String = to.ask(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &id(from)]);
    let _: String = from.ask(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &id(to)]);
    let port = to.port.to_string();
    let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "1000", "KEYS"];
    migrate.extend(keys);
    let _: String = from.ask(&migrate);
}

#[test]
fn a_slot_that_moves_loses_its_pairs_and_takes_new_ones_after_the_move() {
    run(async {
        let site = Site::new(2).await;
        let session = Session::new(&site.relays[0]).await;
        let spent = sealed(&session);
        for relay in &site.relays {
            assert_eq!(send(relay, &sealed(&session)).await, 200);
        }
        assert_eq!(send(&site.relays[0], &spent).await, 200);
        let record = site.cluster.records().remove(0);
        let (index, _) = record.rsplit_once(':').unwrap();
        let (from, others) = site.cluster.of(&record);
        let to = others[0];
        let slot = from.ask::<u16>(&["CLUSTER", "KEYSLOT", &record]).to_string();
        migrate(from, to, &slot, &[&record, index]);

        // The old server says ASK. The record is of another primary.
        let hits = site.upstream.begun();
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 560);
        assert_eq!(send(&site.relays[1], &spent).await, 560);
        assert_eq!(site.upstream.begun(), hits);
        // Pairing needs several keys: TRYAGAIN, as long as the slot is on its way.
        let offer = Offer::new(1, KemId::MlKem512);
        let answer = site.relays[0].ask(&pairing(HOST, &session.client_id, &offer)).await;
        assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("5")));

        let id: String = to.ask(&["CLUSTER", "MYID"]);
        for server in [to, from] {
            let _: String = server.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
        }
        let again = session.again(&site.relays[0]).await;
        // The old server says MOVED.
        for relay in &site.relays {
            assert_eq!(send(relay, &sealed(&again)).await, 200);
        }
    });
}

#[test]
fn a_server_that_dies_costs_its_clients_a_pairing_and_its_replica_accepts_no_replay() {
    run(async {
        let mut site = Site::new(2).await;
        let (mut sessions, mut captured) = (Vec::new(), Vec::new());
        // A new primary begins a new era with its first replica, so that is there before the clients.
        let replica = site.cluster.add_replica(&site.cluster.servers[2]);
        let spread = |site: &Site| site.cluster.servers.iter().all(|server| !server.records().is_empty());
        while !spread(&site) {
            let session = Session::new(&site.relays[0]).await;
            let request = sealed(&session);
            assert_eq!(send(&site.relays[0], &request).await, 200);
            captured.push(request);
            sessions.push(session);
        }
        let hits = site.upstream.begun();
        site.cluster.servers[2].kill();
        let end = Instant::now() + Duration::from_secs(60);
        let mut settled = BTreeSet::new();
        while settled.len() < sessions.len() {
            assert!(Instant::now() < end, "no primary has taken over");
            for (index, session) in sessions.iter().enumerate() {
                // 503 and 563 until the replica has taken over; the others' pairs are as good as before.
                if [200, 560].contains(&send(&site.relays[1], &sealed(session)).await) {
                    settled.insert(index);
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(replica.info("role"), "master");
        let before = site.upstream.begun();
        assert!(before > hits, "clients of other servers are served");
        for request in &captured {
            // The other relay learns of the new primary as soon as it asks the old one.
            let mut status = send(&site.relays[0], request).await;
            while status == 503 {
                assert!(Instant::now() < end, "a relay does not find the new primary");
                tokio::time::sleep(Duration::from_millis(50)).await;
                status = send(&site.relays[0], request).await;
            }
            assert!([560, 562].contains(&status), "{status}");
        }
        assert_eq!(site.upstream.begun(), before);
        let session = Session::new(&site.relays[0]).await;
        assert_eq!(send(&site.relays[1], &sealed(&session)).await, 200);
    });
}
