//! Clients that use up all file descriptors do not block operators, and the relay recovers.

use std::{net::TcpStream, process::Command, time::Duration};

use super::Site;
use crate::harness::{HOST, Process, Wire, run};

/// The limit of descriptors that the relay finally has.
const LIMIT: usize = 150;

impl Site {
    async fn start_after(&self, line: &'static str) -> Process {
        let (file, port) = (self.file(), self.port);
        let start = move || Process::start_after(line, &["run", "--config", &file], port);
        let process = tokio::task::spawn_blocking(start).await.unwrap();
        self.until("the admin listener is there", async || self.get("/livez").await.is_some()).await;
        process
    }

    async fn status_of(&self, path: &str) -> Option<u16> {
        let asked = tokio::time::timeout(Duration::from_secs(10), self.get(path)).await;
        Some(asked.ok()??.status())
    }
}

/// Processor time of a process so far, in seconds.
fn cpu(process: &Process) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / procfs::ticks_per_second() as f64
}

#[test]
fn the_admin_listener_answers_while_clients_hold_every_descriptor_and_the_relay_recovers() {
    run(async {
        let site = Site::new().await;
        // The relay limits connections to the descriptors that it has at its start; here the limit is lowered later.
        let process = site.start_after("ulimit -n 1000").await;
        let lowered = Command::new("prlimit")
            .args([&format!("--pid={}", process.id()), &format!("--nofile={LIMIT}:{LIMIT}")])
            .status();
        assert!(lowered.unwrap().success());
        let connect = |_| TcpStream::connect(("127.0.0.1", site.port)).unwrap();
        // More than there are descriptors: the rest waits in the listener's queue.
        let held: Vec<TcpStream> = (0..2 * LIMIT).map(connect).collect();
        let open = || std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count();
        site.until("none is left", async || open() >= LIMIT).await;
        for round in 0..10 {
            for (path, status) in
                [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/status.json", 200)]
            {
                assert_eq!(site.status_of(path).await, Some(status), "{path}, round {round}");
            }
        }
        assert!(site.metric("process_open_fds").await > 100.0, "the problem is visible");
        let (before, time) = (cpu(&process), Duration::from_secs(3));
        tokio::time::sleep(time).await;
        let busy = cpu(&process) - before;
        assert!(busy < 0.5 * time.as_secs_f64(), "{busy} s of CPU time wasted");
        assert_eq!(site.status_of("/livez").await, Some(200));

        drop(held);
        let served = async || {
            let mut wire = Wire::connect(([127, 0, 0, 1], site.port).into()).await;
            wire.send(format!("GET /api/mte-echo HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            let answer = tokio::time::timeout(Duration::from_secs(5), wire.response(false)).await;
            answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status() == 200))
        };
        site.until("it serves again", served).await;
        assert_eq!(site.client().get("/").await.unwrap().status(), 200);
    });
}

#[test]
fn idle_connections_to_the_admin_listener_do_not_block_others_for_long() {
    run(async {
        let site = Site::new().await;
        let _process = site.start().await;
        let connect = |_| TcpStream::connect(("127.0.0.1", site.admin)).unwrap();
        let _held: Vec<TcpStream> = (0..100).map(connect).collect();
        site.until("they are closed", async || site.status_of("/livez").await == Some(200)).await;
    });
}

#[test]
fn the_limit_of_descriptors_is_raised_as_far_as_allowed_and_logged() {
    run(async {
        let site = Site::new().await;
        let process = site.start_after("ulimit -Sn 200; ulimit -Hn 900").await;
        assert_eq!(site.metric("process_max_fds").await, 900.0);
        let said = "the limit of file descriptors is raised from 200 to 900";
        site.until("it is said", async || process.output().contains(said)).await;
    });
}
