//! The memory of the process during attacks. The bounds are generous, because the binary is not optimised.

use std::time::Duration;

use crate::harness::{HOST, Process, Setup, Upstream, Wire, free_port, run};

const MIB: usize = 1 << 20;

/// A relay as a process.
struct MeasuredRelay {
    process: Process,
    port: u16,
    _folder: tempfile::TempDir,
    _upstream: Upstream,
}

impl MeasuredRelay {
    async fn start(top: &str) -> Self {
        let upstream = Upstream::standard().await;
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("relay.yaml");
        let setup = Setup::default().top(top).tenant(HOST, &upstream.url(), "pass_through_routes: [/open]");
        std::fs::write(&file, setup.text(port)).unwrap();
        let process = Process::start(&["run", "--config", file.to_str().unwrap()], &[], port);
        let relay = Self { process, port, _folder: folder, _upstream: upstream };
        relay.serves().await;
        relay
    }

    async fn wire(&self) -> Wire {
        Wire::connect(([127, 0, 0, 1], self.port).into()).await
    }

    async fn serves(&self) {
        let mut wire = self.wire().await;
        wire.send(format!("GET /open HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 200);
    }

    /// Memory in use.
    fn resident(&self) -> usize {
        self.process.resident()
    }

    /// The maximum growth within a time.
    async fn growth_within(&self, before: usize, time: Duration) -> usize {
        let mut most = 0;
        let end = std::time::Instant::now() + time;
        while std::time::Instant::now() < end {
            most = most.max(self.resident().saturating_sub(before));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        most
    }
}

#[test]
fn unfinished_pairings_do_not_grow_the_process_beyond_the_budget_of_gathered_bytes() {
    run(async {
        let relay = MeasuredRelay::start("limits: {gathered: 8MiB}\nlog: {level: error}").await;
        let before = relay.resident();
        let head = format!("POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 819000\r\n\r\n");
        let body = vec![b' '; 800_000];
        let mut wires = Vec::new();
        for _ in 0..200 {
            let mut wire = relay.wire().await;
            wire.send(&head).await;
            // A refused body is not read for long.
            let _ = tokio::time::timeout(Duration::from_millis(200), wire.send(&body)).await;
            wires.push(wire);
        }
        let grown = relay.growth_within(before, Duration::from_secs(1)).await;
        println!("{} MiB for 200 unfinished pairings", grown / MIB);
        // Twice the budget, two hundred connections, and the allocator's own reserve. Without a budget it is 180 MiB and more.
        assert!(grown < 110 * MIB, "grown by {} MiB", grown / MIB);
        relay.serves().await;
    });
}

#[test]
fn idle_connections_take_no_more_memory_than_the_limits_allow() {
    run(async {
        let relay = MeasuredRelay::start("limits: {connections_per_network: 200}\nlog: {level: error}").await;
        let before = relay.resident();
        let mut wires = Vec::new();
        for index in 0..400 {
            let mut wire = relay.wire().await;
            // An unfinished head, so that its buffers are allocated.
            wire.send("GET / HTTP/1.1\r\nx: ").await;
            if index % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            wires.push(wire);
        }
        let grown = relay.growth_within(before, Duration::from_secs(1)).await;
        println!("{} KiB a connection", grown / 200 / 1_024);
        assert!(grown < 200 * (200 << 10), "grown by {} KiB a connection", grown / 200 / 1_024);
    });
}

#[test]
fn heads_without_an_end_take_no_more_memory_than_the_limits_allow() {
    run(async {
        let relay = MeasuredRelay::start("limits: {max_header_bytes: 4KiB}\nlog: {level: error}").await;
        let before = relay.resident();
        let line = format!("x: {}\r\n", "y".repeat(1_000));
        let head = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n{}", line.repeat(900));
        let mut wires = Vec::new();
        for _ in 0..100 {
            let mut wire = relay.wire().await;
            let _ = tokio::time::timeout(Duration::from_millis(200), wire.send(&head)).await;
            wires.push(wire);
        }
        let grown = relay.growth_within(before, Duration::from_millis(500)).await;
        // Without a limit, each could use a mebibyte.
        assert!(grown < 50 * MIB, "grown by {} MiB", grown / MIB);
    });
}
