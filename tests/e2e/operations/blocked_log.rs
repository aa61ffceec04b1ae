//! A log that is not read, or that cannot be written, loses lines but never blocks requests.

use std::{
    io::{PipeReader, Read},
    process::Stdio,
    time::{Duration, Instant},
};

use super::Site;
use crate::harness::{HOST, Process, Wire, run};

const DROPPED: &str = "mte_relay_log_lines_dropped_total";

impl Site {
    /// A relay that writes its log to `stdout`.
    async fn start_writing_to(&self, stdout: impl Into<Stdio>) -> Process {
        let (file, port, stdout) = (self.file(), self.port, stdout.into());
        let start = move || Process::start_writing_to(stdout, &["run", "--config", &file], port);
        let process = tokio::task::spawn_blocking(start).await.unwrap();
        self.until("the admin listener is there", async || self.get("/livez").await.is_some()).await;
        process
    }

    /// Requests of every kind, over one connection.
    async fn ask(&self, count: usize) {
        let mut wire = Wire::connect(([127, 0, 0, 1], self.port).into()).await;
        for _ in 0..count {
            wire.send(format!("GET /api/mte-echo HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(wire.response(false).await.unwrap().status(), 200);
        }
        // A request that also has a line at level info before its access line.
        wire.send(format!("GET /x HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 569);
        assert_eq!(self.client().get("/").await.unwrap().status(), 200);
    }
}

/// The smallest queue allowed: pipe and queue are full after some hundred lines.
async fn small_queue() -> Site {
    let site = Site::new().await;
    site.replace(&site.text("").replace("log: {format: json}", "log: {format: json, buffer: 64KiB}"));
    site
}

/// Reads until a line has this text; returns all lines read.
fn read_until(mut log: PipeReader, text: &'static str) -> String {
    let mut read = Vec::new();
    let mut part = vec![0; 1 << 20];
    loop {
        let count = log.read(&mut part).unwrap();
        assert!(count > 0, "the log ends without {text}");
        read.extend_from_slice(&part[..count]);
        let tail = &read[read.len().saturating_sub(100_000)..];
        if String::from_utf8_lossy(tail).contains(text) && read.ends_with(b"\n") {
            return String::from_utf8(read).unwrap();
        }
    }
}

#[test]
fn a_log_that_is_not_read_blocks_nothing_and_later_reports_how_many_lines_are_missing() {
    run(async {
        let site = small_queue().await;
        let (log, stdout) = std::io::pipe().unwrap();
        let _process = site.start_writing_to(stdout).await;
        site.ask(1_500).await;
        site.until("lines are dropped and counted", async || site.metric(DROPPED).await >= 300.0).await;
        assert_eq!(site.json_of("/readyz").await["ready"], true);
        let dropped = site.metric(DROPPED).await;
        let read = tokio::task::spawn_blocking(|| read_until(log, "lines are missing here"));
        let text = read.await.unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let reported: u64 = lines.filter_map(|line| line["dropped"].as_u64()).sum();
        assert_eq!(reported as f64, dropped);
    });
}

#[test]
fn a_log_that_was_blocked_resumes() {
    run(async {
        let site = Site::new().await;
        let (log, stdout) = std::io::pipe().unwrap();
        let _process = site.start_writing_to(stdout).await;
        // More than the pipe has room for, and less than the queue has.
        site.ask(600).await;
        let reader =
            tokio::task::spawn_blocking(|| read_until(log, "\"route\":\"encrypted\",\"encode_type\""));
        let text = reader.await.unwrap();
        assert!(text.matches("\"route\":\"control\"").count() >= 600, "none is missing");
        assert_eq!(site.metric(DROPPED).await, 0.0);
    });
}

#[test]
fn a_closed_log_and_a_full_disk_block_nothing_and_lost_lines_are_counted() {
    run(async {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (log, closed) = std::io::pipe().unwrap();
        drop(log);
        for stdout in [Stdio::from(full), closed.into()] {
            let site = Site::new().await;
            let mut process = site.start_writing_to(stdout).await;
            site.ask(100).await;
            site.until("lines are counted", async || site.metric(DROPPED).await >= 102.0).await;
            process.signal("TERM");
            let (code, _) = tokio::task::spawn_blocking(move || process.finish()).await.unwrap();
            assert_eq!(code, Some(0));
        }
    });
}

#[test]
fn a_relay_whose_log_is_blocked_ends_in_time() {
    run(async {
        for (signal, filled) in [("TERM", true), ("INT", true), ("TERM", false)] {
            let site = if filled { small_queue().await } else { Site::new().await };
            let (_log, stdout) = std::io::pipe().unwrap();
            let mut process = site.start_writing_to(stdout).await;
            site.ask(1_000).await;
            let began = Instant::now();
            process.signal(signal);
            let (code, _) = tokio::task::spawn_blocking(move || process.finish()).await.unwrap();
            assert_eq!(code, Some(0), "{signal}");
            assert!(began.elapsed() < Duration::from_secs(15), "{signal}: {:?}", began.elapsed());
        }
    });
}
