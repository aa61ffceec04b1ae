//! Request smuggling: requests, byte by byte, that two parsers could interpret differently. Each is refused before anything
//! reaches the upstream, or arrives there as exactly the intended requests, without the ambiguous parts.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `recorder` | the upstream, which keeps every byte |
//! | `framing` | where a body ends, in HTTP/1.1 |
//! | `heads` | request lines and header fields, in HTTP/1.1 |
//! | `http2` | header lists and frames, in HTTP/2; `http2::wire` writes them |

mod framing;
mod heads;
mod http2;
mod recorder;

use std::time::Duration;

use self::recorder::{Recorded, Recorder, Rest};
use crate::harness::{Authority, HOST, Relay, Setup, eventually};

/// How long a test waits for more bytes after a response.
const QUIET: Duration = Duration::from_millis(60);

/// The target of a valid request, whose body is `good`.
const GOOD: &str = "/open/good";

/// The required result.
enum Expect {
    /// Nothing reaches the upstream; the answer, if there is one, is of class 400.
    Refused,
    /// Nothing reaches the upstream, the answer is the relay's own.
    Answered(u16),
    /// The body turns out to be invalid: the beginning of a request reaches the upstream, on a connection that is then
    /// closed.
    Cut,
    /// These reach the upstream, by method, target and body.
    Seen(&'static [(&'static str, &'static str, &'static str)]),
}

impl Expect {
    fn seen(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        match self {
            Self::Seen(requests) => requests,
            _ => &[],
        }
    }

    fn allows(&self, answers: &[u16]) -> bool {
        match (self, answers) {
            (Self::Refused | Self::Cut, []) => true,
            (Self::Refused, [status]) => (400..500).contains(status),
            // Client and upstream may have been silent for the same time.
            (Self::Cut, [status]) => (400..500).contains(status) || *status == 504,
            (Self::Answered(only), [status]) => only == status,
            (Self::Seen(requests), _) => answers == vec![200; requests.len()],
            _ => false,
        }
    }
}

/// One row of a table.
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    expect: Expect,
}

fn row(name: &'static str, bytes: impl Into<Vec<u8>>, expect: Expect) -> Row {
    Row { name, bytes: bytes.into(), expect }
}

/// A relay in front of a recorder.
struct Bench {
    relay: Relay,
    recorder: Recorder,
    authority: Authority,
    _files: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let recorder = Recorder::new().await;
        let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
        let tls = authority.settings(files.path(), HOST, "");
        let routes = format!("pass_through_routes: ['/open', '/open/*', '/second']\n{tls}");
        let relay = Setup::default()
            .top("timeouts: {read: 2s, headers: 2s}\nlimits: {max_header_bytes: 32KiB}")
            .tenant(HOST, &recorder.upstream.url(), &routes)
            .start()
            .await;
        Self { relay, recorder, authority, _files: files }
    }

    /// Everything counted: requests, and connections refused before a request.
    fn counted(&self) -> f64 {
        let text = self.relay.shared.metrics.text();
        let families = ["mte_relay_requests_total", "mte_relay_malformed_total"];
        let lines = text.lines().filter(|line| families.iter().any(|family| line.starts_with(family)));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Runs all rows, each on a separate connection and followed by a valid request. Every row that fails is reported.
    async fn run(&self, rows: Vec<Row>) {
        assert!(!rows.is_empty());
        let mut failures = Vec::new();
        for Row { name, bytes, expect } in rows {
            if let Err(failure) = self.trial(name, expect, self.exchange(&bytes)).await {
                failures.push(format!("{name}: {failure}"));
            }
        }
        assert!(failures.is_empty(), "\n{}", failures.join("\n"));
        self.relay.deserted().await;
    }

    async fn trial(
        &self,
        name: &str,
        expect: Expect,
        exchange: impl Future<Output = Result<Vec<u16>, String>>,
    ) -> Result<(), String> {
        let (before, counted) = (self.recorder.requests().len(), self.counted());
        let answers = exchange.await?;
        let good = format!("POST {GOOD} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 4\r\n\r\ngood");
        let after = self.relay.ask(&good).await;
        if after.status() != 200 {
            return Err(format!("the next good request is answered with {}", after.status()));
        }
        self.check_rest(name, matches!(expect, Expect::Cut)).await?;
        let mut seen = self.recorder.requests().split_off(before);
        let all = seen.len();
        seen.retain(|request| request.target != GOOD || request.body != b"good");
        let good = all - seen.len();
        if good == 0 {
            return Err("the good request did not arrive".into());
        }
        let wanted = expect.seen();
        let same = |(seen, wanted): (&Recorded, &(&str, &str, &str))| {
            (&*seen.method, &*seen.target, &*String::from_utf8_lossy(&seen.body)) == *wanted
        };
        if seen.len() != wanted.len() || !seen.iter().zip(wanted).all(same) {
            return Err(format!("the upstream got {seen:?}; answers: {answers:?}"));
        }
        if !expect.allows(&answers) {
            return Err(format!("answered with {answers:?}"));
        }
        // Every attempt is counted as well, whether the relay or Pingora responded.
        eventually(&format!("{name}: it is counted"), || self.counted() >= counted + good as f64 + 1.0).await;
        Ok(())
    }

    /// Bytes at the upstream besides complete requests must be the beginning of a request, and only if a row expects that.
    async fn check_rest(&self, name: &str, cut: bool) -> Result<(), String> {
        let fine = |rest: &Rest| cut && rest.fault.is_none();
        if let Some(rest) = self.recorder.rest().iter().find(|rest| !fine(rest)) {
            let failure =
                format!("the upstream got no request ({:?}): {}", rest.fault, rest.bytes.escape_ascii());
            self.recorder.forget_rest();
            return Err(failure);
        }
        let closed = || self.recorder.rest().iter().all(|rest| rest.closed);
        eventually(&format!("{name}: its connection to the upstream is closed"), closed).await;
        self.recorder.forget_rest();
        Ok(())
    }

    /// Sends the bytes; returns the statuses of the responses until the relay closes the connection, or sends no more after a
    /// response.
    async fn exchange(&self, bytes: &[u8]) -> Result<Vec<u16>, String> {
        let mut wire = self.relay.wire().await;
        wire.send(bytes).await;
        let mut statuses = Vec::new();
        let bodiless = bytes.starts_with(b"HEAD");
        loop {
            let response = wire.response(bodiless);
            let response = if statuses.is_empty() {
                response.await
            } else {
                match tokio::time::timeout(QUIET, response).await {
                    Ok(response) => response,
                    Err(_) => return Ok(statuses),
                }
            };
            match response {
                Ok(response) if response.status() < 200 => {}
                Ok(response) => statuses.push(response.status()),
                Err(_) => return Ok(statuses),
            }
        }
    }
}
