//! The memory of the process while it is attacked. The bounds are generous: the binary has no optimisation.

use std::time::Duration;

use crate::harness::{HOST, Process, Setup, Upstream, Wire, free_port, run};

const MIB: usize = 1 << 20;

/// A relay as a process.
struct Victim {
    process: Process,
    port: u16,
    _folder: tempfile::TempDir,
    _upstream: Upstream,
}

impl Victim {
    async fn start(top: &str) -> Self {
        let upstream = Upstream::standard().await;
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("relay.yaml");
        let setup = Setup::default().top(top).tenant(HOST, &upstream.url(), "pass_through_routes: [/open]");
        std::fs::write(&file, setup.text(port)).unwrap();
        let process = Process::start(&["run", "--config", file.to_str().unwrap()], &[], port);
        let victim = Self { process, port, _folder: folder, _upstream: upstream };
        victim.serves().await;
        victim
    }

    async fn wire(&self) -> Wire {
        Wire::connect(([127, 0, 0, 1], self.port).into()).await
    }

    async fn serves(&self) {
        let mut wire = self.wire().await;
        wire.send(format!("GET /open HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 200);
    }

    /// Memory in use now.
    fn resident(&self) -> usize {
        self.process.resident()
    }

    /// How much it grows at most within a time.
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
        let victim = Victim::start("limits: {gathered: 8MiB}\nlog: {level: error}").await;
        let before = victim.resident();
        let head = format!("POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 819000\r\n\r\n");
        let body = vec![b' '; 800_000];
        let mut wires = Vec::new();
        for _ in 0..200 {
            let mut wire = victim.wire().await;
            wire.send(&head).await;
            // What is refused is not read for long.
            let _ = tokio::time::timeout(Duration::from_millis(200), wire.send(&body)).await;
            wires.push(wire);
        }
        let grown = victim.growth_within(before, Duration::from_secs(1)).await;
        println!("{} MiB for 200 unfinished pairings", grown / MIB);
        // Twice the budget, two hundred connections, and what the allocator keeps: without a budget it is 180 MiB and more.
        assert!(grown < 110 * MIB, "grown by {} MiB", grown / MIB);
        victim.serves().await;
    });
}

#[test]
fn idle_connections_cost_no_more_than_the_limits_say() {
    run(async {
        let victim = Victim::start("limits: {connections_per_network: 200}\nlog: {level: error}").await;
        let before = victim.resident();
        let mut wires = Vec::new();
        for index in 0..400 {
            let mut wire = victim.wire().await;
            // A head that is begun, so that its buffers are there.
            wire.send("GET / HTTP/1.1\r\nx: ").await;
            if index % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            wires.push(wire);
        }
        let grown = victim.growth_within(before, Duration::from_secs(1)).await;
        println!("{} KiB a connection", grown / 200 / 1_024);
        assert!(grown < 200 * (200 << 10), "grown by {} KiB a connection", grown / 200 / 1_024);
    });
}

#[test]
fn heads_without_an_end_cost_no_more_than_the_limits_say() {
    run(async {
        let victim = Victim::start("limits: {max_header_bytes: 4KiB}\nlog: {level: error}").await;
        let before = victim.resident();
        let line = format!("x: {}\r\n", "y".repeat(1_000));
        let head = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n{}", line.repeat(900));
        let mut wires = Vec::new();
        for _ in 0..100 {
            let mut wire = victim.wire().await;
            let _ = tokio::time::timeout(Duration::from_millis(200), wire.send(&head)).await;
            wires.push(wire);
        }
        let grown = victim.growth_within(before, Duration::from_millis(500)).await;
        // Without a limit each may have a mebibyte.
        assert!(grown < 50 * MIB, "grown by {} MiB", grown / MIB);
    });
}
