//! What is asked of the configuration and of the server.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use mte_relay::config::{Config, Problems, ReloadState};

use super::{relay, sealed, send};
use crate::harness::{HOST, Process, RedisServer, Session, Setup, Upstream, free_port, output, run};

fn parsed(top: &str, tenant: &str) -> Result<Config, Problems> {
    let text = format!("{top}\ndomain_map:\n  a.test:\n    upstream: http://127.0.0.1:1\n    {tenant}\n");
    let environment = BTreeMap::<&str, &str>::new();
    Config::parse(&text, "test", Path::new("."), &environment, &Arc::new(ReloadState::default()))
}

const LONG: &str = "client_id_secret: kGq0mZ5l0Vt6o8b1Zr7Jb4cQm2p9w3Xy";
const SHORT: &str = "client_id_secret: kGq0mZ5l0Vt6";

#[test]
fn pairs_leave_the_process_only_with_a_key_that_cannot_be_guessed_and_secrets_that_relays_share() {
    let redis = "redis_url: redis://127.0.0.1:6379";
    let key = "state_key: 9f86d081884c7d659a2feaa0c55ad015";
    assert!(parsed(redis, LONG).is_ok());
    assert!(parsed(&format!("{redis}\n{key}"), SHORT).is_ok());
    for (top, tenant, what) in [
        (redis.to_owned(), SHORT, "set state_key_file"),
        (redis.to_owned(), "retries: 1", "relays that share pairs in Redis must share it"),
        (format!("{redis}\nstate_key: short"), LONG, "needs at least 32"),
        (format!("{redis}\nstate_key_previous: 9f86d081884c7d659a2feaa0c55ad015"), LONG, "without state_key"),
        ("redis_url: http://127.0.0.1".to_owned(), LONG, "is not the address of a Redis server"),
        ("redis_url: rediss://127.0.0.1:6379/#insecure".to_owned(), LONG, "redis_ca_file"),
        ("redis_url: redis+unix:///run/redis.sock".to_owned(), LONG, "is not a TCP address"),
    ] {
        let problems = parsed(&top, tenant).unwrap_err().to_string();
        assert!(problems.contains(what), "{problems}");
    }
    let problems = parsed("redis_url: http://user:kept-secret@host", LONG).unwrap_err().to_string();
    assert!(!problems.contains("kept-secret"), "{problems}");
}

#[test]
fn a_relay_does_not_start_over_a_server_that_may_drop_pairs_unless_it_is_told_to() {
    run(async {
        let redis = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.yaml");
        let text = |more: &str| {
            let top = format!("redis_url: {}\n{more}", redis.url());
            Setup::default().top(&top).tenant(HOST, "http://127.0.0.1:1", "").text(free_port())
        };
        std::fs::write(&file, text("")).unwrap();
        let arguments = ["run", "--config", file.to_str().unwrap()];
        let (code, output) = Process::spawn(&arguments, &[]).finish();
        assert_ne!(code, Some(0));
        assert!(output.contains("maxmemory-policy is allkeys-lru"), "{output}");
        let port = free_port();
        let top = format!("redis_url: {}\nredis_allow_eviction: true", redis.url());
        let text = Setup::default().top(&top).tenant(HOST, "http://127.0.0.1:1", "").text(port);
        std::fs::write(&file, text).unwrap();
        drop(Process::start(&arguments, &[], port));
    });
}

#[test]
fn nothing_in_redis_opens_without_the_key_and_the_key_before_still_does() {
    run(async {
        let (redis, upstream) = (RedisServer::start(&[]), Upstream::standard().await);
        let old = "9f86d081884c7d659a2feaa0c55ad015";
        let new = "a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let with = async |keys: String| relay(&format!("{}\n{keys}", redis.url()), &upstream).await;
        let before = with(format!("state_key: {old}")).await;
        let session = Session::new(&before).await;
        assert_eq!(send(&before, &sealed(&session)).await, 200);
        let name = redis.records().remove(0);
        let key_id = |record: Vec<u8>| record[6..10].to_vec();
        let first = key_id(redis.record(&name));

        let stranger = with(format!("state_key: {new}")).await;
        assert_eq!(send(&stranger, &sealed(&session)).await, 560);
        let rotated = with(format!("state_key: {new}\nstate_key_previous: {old}")).await;
        assert_eq!(send(&rotated, &sealed(&session)).await, 200);
        assert_ne!(key_id(redis.record(&name)), first, "an update seals with the new key");
        assert_eq!(send(&stranger, &sealed(&session)).await, 200);
    });
}

/// What `check --connect` says of a `redis_url`, and its exit code.
async fn checked(url: &str, upstream: &Upstream) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.yaml");
    let setup = Setup::default().top(&format!("redis_url: {url}"));
    std::fs::write(&file, setup.tenant(HOST, &upstream.url(), "").text(free_port())).unwrap();
    let arguments = ["check", "--quiet", "--connect", "--config", file.to_str().unwrap()];
    let (code, _, said) = output(&arguments, &[]).await;
    (code, said)
}

#[test]
fn check_connect_says_whether_pairs_can_be_kept_in_redis_and_why_not() {
    run(async {
        let upstream = Upstream::standard().await;
        let redis = RedisServer::start(&[]);
        let (code, said) = checked(&redis.url(), &upstream).await;
        assert!(code == 0 && said.contains("redis_url: pairs can be kept there"), "{said}");

        let permissions =
            "+get +unlink +zadd +zrem +zrange +pexpire +time +evalsha +eval +script|load +info +ping";
        let mut user = vec!["ACL", "SETUSER", "relay", "on", ">a-password", "~mte:*"];
        user.extend(permissions.split(' '));
        let _: String = redis.ask(&user);
        let at = |user: &str| format!("redis://{user}@127.0.0.1:{}", redis.port);
        for (url, why) in [
            (at("relay:a-password"), "can't run this command"),
            (at("relay:wrong-password"), "authentication failed"),
            (format!("rediss://127.0.0.1:{}", redis.port), "Redis cannot be used"),
            (format!("redis://127.0.0.1:{}", free_port()), "refused"),
        ] {
            let (code, said) = checked(&url, &upstream).await;
            assert!(code == 69 && said.contains("redis_url: ") && said.contains(why), "{why}: {code} {said}");
            assert!(!said.contains("-password"), "{said}");
        }
        let evicting = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
        let (code, said) = checked(&evicting.url(), &upstream).await;
        assert!(code == 69 && said.contains("maxmemory-policy is allkeys-lru"), "{said}");
    });
}
