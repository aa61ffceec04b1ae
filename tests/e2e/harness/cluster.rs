//! A Redis Cluster of these tests' own.

use std::{
    process::{Child, Command, Stdio},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use redis::Value;

use super::{RedisServer, free_port, redis::attached};

const SERVERS: usize = 3;

/// Servers that share the slots. They end when this is dropped.
pub(crate) struct RedisCluster {
    pub(crate) servers: Vec<RedisServer>,
}

/// Options of a server of a cluster. It counts as failed after `timeout` milliseconds.
fn options(timeout: &str) -> Vec<String> {
    let port = free_port().to_string();
    let fixed = ["--cluster-enabled", "yes", "--cluster-node-timeout", timeout, "--cluster-port", &port];
    fixed.map(String::from).into()
}

/// Shares the slots out to servers.
fn join(ports: &[u16]) {
    let addresses = ports.iter().map(|port| format!("127.0.0.1:{port}"));
    let mut command = Command::new("redis-cli");
    command.args(["--cluster", "create"]).args(addresses).arg("--cluster-yes").stdin(Stdio::null());
    let output = command.output().expect("redis-cli is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Waits until every server serves.
fn wait(states: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !states() {
        assert!(Instant::now() < end, "the cluster is not well");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl RedisCluster {
    pub(crate) fn start() -> Self {
        let start = |_| {
            let options = options("1000");
            RedisServer::start(&options.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let servers: Vec<_> = (0..SERVERS).map(start).collect();
        join(&servers.iter().map(|server| server.port).collect::<Vec<_>>());
        let cluster = Self { servers };
        wait(|| cluster.servers.iter().all(Self::is_well));
        cluster
    }

    fn is_well(server: &RedisServer) -> bool {
        server.ask::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
    }

    /// The server that has a key, and the others.
    pub(crate) fn of(&self, key: &str) -> (&RedisServer, Vec<&RedisServer>) {
        let slot: u16 = self.servers[0].ask(&["CLUSTER", "KEYSLOT", key]);
        let ranges: Vec<Value> = self.servers[0].ask(&["CLUSTER", "SLOTS"]);
        let port = ranges.into_iter().find_map(|range| {
            let (first, last, primary): (u16, u16, Value) = match range {
                Value::Array(mut parts) => {
                    parts.truncate(3);
                    redis::from_redis_value(Value::Array(parts)).unwrap()
                }
                other => panic!("{other:?}"),
            };
            let Value::Array(primary) = primary else { panic!("{primary:?}") };
            (first..=last)
                .contains(&slot)
                .then(|| redis::from_redis_value::<u16>(primary[1].clone()).unwrap())
        });
        let (has, have_not): (Vec<_>, _) = self.servers.iter().partition(|server| Some(server.port) == port);
        (has[0], have_not)
    }

    /// The names of all pairs.
    pub(crate) fn records(&self) -> Vec<String> {
        self.servers.iter().flat_map(RedisServer::records).collect()
    }

    /// Adds a replica of a server.
    pub(crate) fn add_replica(&self, primary: &RedisServer) -> RedisServer {
        let options = options("1000");
        let replica = RedisServer::start(&options.iter().map(String::as_str).collect::<Vec<_>>());
        let bus = |server: &RedisServer| server.option("--cluster-port");
        let (port, bus) = (primary.port.to_string(), bus(primary));
        let _: String = replica.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        let id: String = primary.ask(&["CLUSTER", "MYID"]);
        let knows = || replica.ask::<String>(&["CLUSTER", "NODES"]).contains(&id);
        wait(|| knows() && Self::is_well(&replica));
        let _: String = replica.ask(&["CLUSTER", "REPLICATE", &id]);
        wait(|| replica.info("role") == "slave" && replica.info("master_link_status") == "up");
        replica
    }
}

/// The address of a cluster that cases share one after the other: it is empty, and nobody else's as long as the guard lives.
pub(crate) fn redis_cluster() -> (String, tokio::sync::OwnedMutexGuard<()>) {
    static SHARED: LazyLock<(Vec<u16>, Vec<Child>)> = LazyLock::new(|| {
        let ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect();
        let children = ports.iter().map(|port| attached(*port, &options("15000"))).collect();
        join(&ports);
        let is_well = |port: &u16| {
            super::redis::ask_at::<String>(*port, &["CLUSTER", "INFO"])
                .is_ok_and(|info| info.contains("cluster_state:ok"))
        };
        wait(|| ports.iter().all(is_well));
        (ports, children)
    });
    static FREE: LazyLock<Arc<tokio::sync::Mutex<()>>> = LazyLock::new(Arc::default);
    let guard = loop {
        match FREE.clone().try_lock_owned() {
            Ok(guard) => break guard,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    for port in &SHARED.0 {
        let _: String = super::redis::ask_at(*port, &["FLUSHALL"]).unwrap();
    }
    (format!("redis://127.0.0.1:{}", SHARED.0[0]), guard)
}
