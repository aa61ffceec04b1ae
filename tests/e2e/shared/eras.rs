//! Primaries that are promoted, demoted, restarted: nothing is accepted twice.
//!
//! Replicas are there before pairs are: a primary begins a new era with its first replica.
//!
//! Each case ends by showing what it would have met without the check: the record is given the era of the server, and the
//! replay is accepted.

use super::{Site, relay, sealed, send};
use crate::harness::{RedisServer, Relay, Session, Upstream, eventually, run};

/// Where a record has its era.
const ERA: std::ops::Range<usize> = 34..50;

/// Replays a request that a lost commit has spent. `stale` is the pair as the server has it.
async fn refused_by_the_era_alone(redis: &RedisServer, relay: &Relay, upstream: &Upstream, replay: &[u8]) {
    let name = redis.records().remove(0);
    let stale = redis.record(&name);
    assert_ne!(&stale[ERA], redis.era().as_bytes());
    let before = upstream.begun();
    // A server that was a replica a moment ago is not asked again at once: 503, and nothing was executed.
    let mut status = send(relay, replay).await;
    for _ in 0..40 {
        if status != 503 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        status = send(relay, replay).await;
    }
    assert_eq!((status, upstream.begun()), (560, before));
    assert!(redis.records().is_empty(), "what is lost does not stay");

    let mut unchecked = stale;
    unchecked[ERA].copy_from_slice(redis.era().as_bytes());
    redis.set(&name, &unchecked);
    assert_eq!(send(relay, replay).await, 200, "without the check of the era, a replay passes");
    assert_eq!(upstream.begun(), before + 1);
}

/// A replica that has what its primary has.
async fn replica_of(primary: &RedisServer, options: &[&str]) -> RedisServer {
    let replica = RedisServer::start(options);
    follow(&replica, primary).await;
    replica
}

async fn follow(replica: &RedisServer, primary: &RedisServer) {
    let _: String = replica.ask(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    let offset = |server: &RedisServer| server.info("master_repl_offset");
    let same = || replica.info("master_link_status") == "up" && offset(replica) == offset(primary);
    eventually("the replica has followed", same).await;
}

fn promote(replica: &RedisServer) {
    let _: String = replica.ask(&["REPLICAOF", "NO", "ONE"]);
}

#[test]
fn a_restart_from_an_old_dump_accepts_no_replay() {
    run(async {
        let mut site = Site::new(1).await;
        let session = Session::new(&site.relays[0]).await;
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
        let _: String = site.redis.ask(&["SAVE"]);
        let spent = sealed(&session);
        assert_eq!(send(&site.relays[0], &spent).await, 200);
        assert!(site.redis.dump().exists());
        site.redis.kill();
        site.redis.restart();
        // The relay connects again, and remembers nothing that helps a replay.
        let fresh = relay(&site.redis.url(), &site.upstream).await;
        refused_by_the_era_alone(&site.redis, &fresh, &site.upstream, &spent).await;
    });
}

#[test]
fn a_promoted_replica_that_lags_behind_accepts_no_replay_while_both_primaries_are_alive() {
    run(async {
        let site = Site::new(1).await;
        let replica = replica_of(&site.redis, &[]).await;
        let session = Session::new(&site.relays[0]).await;
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
        follow(&replica, &site.redis).await;
        promote(&replica);
        // The old primary lives on, and acknowledges what the new one never hears of.
        let spent = sealed(&session);
        assert_eq!(send(&site.relays[0], &spent).await, 200);
        let other = relay(&replica.url(), &site.upstream).await;
        refused_by_the_era_alone(&replica, &other, &site.upstream, &spent).await;
        assert_eq!(
            send(&site.relays[0], &sealed(&session)).await,
            200,
            "the old primary's pairs are as good as before"
        );
    });
}

#[test]
fn a_primary_that_was_demoted_and_promoted_under_an_open_connection_accepts_no_replay() {
    run(async {
        let site = Site::new(2).await;
        let replica = replica_of(&site.redis, &[]).await;
        let session = Session::new(&site.relays[0]).await;
        for relay in &site.relays {
            assert_eq!(send(relay, &sealed(&session)).await, 200);
        }
        follow(&replica, &site.redis).await;
        promote(&replica);
        let spent = sealed(&session);
        assert_eq!(send(&site.relays[0], &spent).await, 200);
        follow(&site.redis, &replica).await;
        promote(&site.redis);
        // The other relay does not know that it is spent.
        refused_by_the_era_alone(&site.redis, &site.relays[1], &site.upstream, &spent).await;
    });
}

#[test]
fn a_replica_that_takes_writes_is_not_asked_for_any() {
    run(async {
        let site = Site::new(1).await;
        let other = replica_of(&site.redis, &[]).await;
        let session = Session::new(&site.relays[0]).await;
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
        follow(&other, &site.redis).await;
        promote(&other);
        let _: String = site.redis.ask(&["CONFIG", "SET", "replica-read-only", "no"]);
        follow(&site.redis, &other).await;
        let before = site.redis.record(&site.redis.records()[0]);
        let hits = site.upstream.begun();
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 503);
        assert_eq!(site.redis.record(&site.redis.records()[0]), before, "nothing was written");
        assert_eq!(site.upstream.begun(), hits);
    });
}

#[test]
fn the_first_replica_of_a_server_begins_a_new_era_and_later_ones_do_not_while_the_backlog_is_kept() {
    run(async {
        let site = Site::over(RedisServer::start(&["--repl-backlog-ttl", "0"]), 1).await;
        let relay = &site.relays[0];
        let (session, first) = (Session::new(relay).await, site.redis.era());
        assert_eq!(send(relay, &sealed(&session)).await, 200);
        let replica = replica_of(&site.redis, &[]).await;
        let second = site.redis.era();
        assert_ne!(second, first);
        // The server itself forgets which id it had: nothing shows that this is the same data.
        assert_eq!(site.redis.info("master_replid2").trim_matches('0'), "");
        assert_eq!(send(relay, &sealed(&session)).await, 560);

        let session = Session::new(relay).await;
        let other = replica_of(&site.redis, &[]).await;
        drop((replica, other));
        eventually("no replica is left", || site.redis.info("connected_slaves") == "0").await;
        assert_eq!(send(relay, &sealed(&session)).await, 200);
        let _replica = replica_of(&site.redis, &[]).await;
        assert_eq!((site.redis.era(), send(relay, &sealed(&session)).await), (second.clone(), 200));
    });
}

#[test]
fn a_new_era_begins_when_the_backlog_ends_after_the_last_replica_went() {
    run(async {
        let site = Site::over(RedisServer::start(&["--repl-backlog-ttl", "1"]), 1).await;
        let replica = replica_of(&site.redis, &[]).await;
        let (session, era) = (Session::new(&site.relays[0]).await, site.redis.era());
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
        drop(replica);
        eventually("the backlog has ended", || site.redis.era() != era).await;
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 560);
    });
}
