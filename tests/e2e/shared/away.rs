//! A server that does not reply, or refuses.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{Site, sealed, send};
use crate::harness::{HOST, Message, RedisServer, Relay, Session, Setup, Upstream, Wire, free_port, run};

/// A relay with an admin listener.
struct Watched {
    relay: Relay,
    admin: SocketAddr,
}

impl Watched {
    async fn new(redis: &RedisServer, upstream: &Upstream) -> Self {
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let top = format!("redis_url: {}\nadmin: {{address: \"{admin}\"}}", redis.url());
        Self { relay: Setup::default().top(&top).tenant(HOST, &upstream.url(), "").start().await, admin }
    }

    async fn get(&self, path: &str) -> Message {
        let mut wire = Wire::connect(self.admin).await;
        wire.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        wire.response(false).await.unwrap()
    }

    async fn ready(&self) -> bool {
        self.get("/readyz").await.status() == 200
    }

    /// The sum of the series whose names begin so; a series that is not there is zero.
    async fn metric(&self, series: &str) -> usize {
        let text = String::from_utf8(self.get("/metrics").await.body).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(series));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as usize).sum()
    }
}

#[test]
fn redis_away_for_ten_seconds_every_state_is_counted_nothing_is_forwarded_and_all_is_well_two_seconds_after()
{
    run(async {
        let (redis, upstream) = (RedisServer::start(&[]), Upstream::standard().await);
        let site = Watched::new(&redis, &upstream).await;
        let session = Session::new(&site.relay).await;
        assert_eq!(send(&site.relay, &sealed(&session)).await, 200);
        assert!(site.ready().await);
        redis.signal("STOP");
        let began = Instant::now();
        let mut statuses = Vec::new();
        while began.elapsed() < Duration::from_secs(10) {
            let request = sealed(&session);
            let sent = Instant::now();
            statuses.push(send(&site.relay, &request).await);
            assert!(sent.elapsed() < Duration::from_secs(2), "a deadline holds: {:?}", sent.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // What was sent and not answered is unknown; what could not be sent is not.
        assert_eq!(statuses[0], 563, "{statuses:?}");
        assert_eq!(*statuses.last().unwrap(), 503, "{statuses:?}");
        assert_eq!(upstream.begun(), 1, "nothing is forwarded");
        let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
        let (unknown, unavailable) = (count(563), count(503));
        assert_eq!(unknown + unavailable, statuses.len(), "{statuses:?}");
        let cause = "mte_relay_codec_failures_total{cause=\"state_not_read\"";
        assert_eq!(site.metric(cause).await, unknown);
        // The relay's own looks are counted as well.
        assert!(site.metric("mte_relay_pair_store_failures_total").await >= unknown + unavailable);
        assert_eq!(site.metric("mte_relay_pair_store_available").await, 0);
        let why = site.get("/readyz").await;
        assert!(why.status() == 503 && why.text().contains("Redis"), "{}", why.text());

        redis.signal("CONT");
        let back = Instant::now();
        while send(&site.relay, &sealed(&session)).await != 200 || !site.ready().await {
            assert!(back.elapsed() < Duration::from_secs(2), "ready, with the same pair");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(site.metric("mte_relay_pair_store_available").await, 1);
    });
}

#[test]
fn what_is_not_sent_is_refused_within_ten_milliseconds() {
    run(async {
        let mut site = Site::new(1).await;
        let session = Session::new(&site.relays[0]).await;
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
        site.redis.kill();
        // The relay notices with the next command or ping, and the breaker opens when it cannot connect again.
        let began = Instant::now();
        while send(&site.relays[0], &sealed(&session)).await != 503 {
            assert!(began.elapsed() < Duration::from_secs(2), "the breaker does not open");
        }
        let mut times = Vec::new();
        for _ in 0..50 {
            let (mut wire, request) = (site.relays[0].wire().await, sealed(&session));
            let sent = Instant::now();
            wire.send(&request).await;
            let answer = wire.response(false).await.unwrap();
            times.push(sent.elapsed());
            assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("5")));
        }
        times.sort_unstable();
        // Half of them: this machine has other things to do.
        assert!(times[25] < Duration::from_millis(10), "{times:?}");
    });
}

#[test]
fn a_server_that_has_forgotten_the_scripts_is_told_them_again() {
    run(async {
        let site = Site::new(1).await;
        let session = Session::new(&site.relays[0]).await;
        let _: String = site.redis.ask(&["SCRIPT", "FLUSH"]);
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
    });
}

#[test]
fn a_server_without_room_still_serves_its_pairs_and_refuses_new_ones() {
    run(async {
        let site = Site::new(1).await;
        let session = Session::new(&site.relays[0]).await;
        let _: String = site.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
        let offer = mte_client::wire::Offer::new(1, mte_client::KemId::MlKem512);
        let answer = site.relays[0].ask(&crate::harness::pairing(HOST, "", &offer)).await;
        assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("5")));
    });
}

#[test]
fn a_server_that_was_killed_and_is_back_empty_costs_a_pairing() {
    run(async {
        let mut site = Site::new(1).await;
        let session = Session::new(&site.relays[0]).await;
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
        site.redis.kill();
        let while_away = send(&site.relays[0], &sealed(&session)).await;
        assert!([503, 563].contains(&while_away), "{while_away}");
        site.redis.restart();
        let back = Instant::now();
        loop {
            match send(&site.relays[0], &sealed(&session)).await {
                560 => break,
                status => assert!([503, 563].contains(&status), "{status}"),
            }
            assert!(back.elapsed() < Duration::from_secs(2));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let session = Session::new(&site.relays[0]).await;
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
    });
}
