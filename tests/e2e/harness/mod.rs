//! The test harness: a relay in this process, upstreams that behave or misbehave, clients that seal requests and clients
//! that write bytes.

mod body;
mod cluster;
mod known;
mod process;
mod redis;
mod relay;
mod release;
mod session;
mod skips;
mod tls;
mod upstream;
mod wire;

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

pub(crate) use self::{
    body::{Digest, Pattern, channel, digest},
    cluster::{RedisCluster, redis_cluster},
    known::KnownPair,
    process::{BINARY, Process, output},
    redis::{RedisServer, redis_database},
    relay::{Relay, Setup},
    release::release_binary,
    session::{HOST, Session, pairing},
    skips::skip,
    tls::Authority,
    upstream::{Reply, Seen, Transport, Upstream, event_stream, reply},
    wire::{End, Message, Wire},
};

/// Time limit of a test, and of waiting for something that must happen.
const LIMIT: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(30);

/// Runs a test on a runtime of its own.
pub(crate) fn run(test: impl Future<Output = ()>) {
    run_within(LIMIT, test);
}

/// Runs a test that may take longer.
pub(crate) fn run_within(limit: Duration, test: impl Future<Output = ()>) {
    mte_relay::tls::install_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runtime.block_on(async { tokio::time::timeout(limit, test).await });
    runtime.shutdown_background();
    outcome.expect("the test takes too long");
}

/// Waits until a condition is true.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = tokio::time::Instant::now() + SOON;
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A free port on the loopback interface, outside of the system's range for outgoing connections, so that no other test can
/// take it by accident.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + (std::process::id() % 20) as u16 * 1_000;
    for _ in 0..1_000 {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 1_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// Number of open connections with this local port, from the kernel: neither listening nor closed.
pub(crate) fn connections(port: u16) -> usize {
    const TIME_WAIT: &str = "06";
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let open = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[1].ends_with(&suffix) && fields[3] != TIME_WAIT && fields[3] != LISTEN
    };
    table.lines().skip(1).filter(open).count()
}
