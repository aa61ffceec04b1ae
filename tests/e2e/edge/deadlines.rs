//! Slow clients.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::{EdgeRelay, rest};
use crate::harness::{HOST, Setup, eventually, run};

const LIMIT: Duration = Duration::from_millis(800);
/// Generous, because the machine may be busy; but no client stays connected indefinitely.
const BOUND: Duration = Duration::from_secs(10);

async fn strict() -> EdgeRelay {
    EdgeRelay::new(Setup::default().top("timeouts: {headers: 800ms}")).await
}

/// Sends a beginning, then single bytes with pauses, until the relay closes the connection; returns how long that takes.
async fn drip(mut stream: impl AsyncRead + AsyncWrite + Unpin, beginning: &[u8]) -> Duration {
    let start = Instant::now();
    stream.write_all(beginning).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let dripping = async {
        loop {
            tokio::time::sleep(Duration::from_millis(40)).await;
            if writer.write_all(b"x").await.is_err() || writer.flush().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let reading = async {
        let mut part = [0; 1_024];
        while reader.read(&mut part).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        () = dripping => {}
        () = reading => {}
    }
    start.elapsed()
}

fn in_bounds(taken: Duration) {
    assert!((LIMIT * 3 / 4..BOUND).contains(&taken), "closed after {taken:?}");
}

#[test]
fn a_head_that_arrives_too_slowly_is_cut() {
    run(async {
        let edge = strict().await;
        let head = format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\nx: ");
        in_bounds(drip(TcpStream::connect(edge.relay.address).await.unwrap(), head.as_bytes()).await);
        in_bounds(drip(edge.tls(false).await, head.as_bytes()).await);
        eventually("both are counted", || edge.malformed("header_timeout") == 2).await;
        // HTTP/2: a head of thousands of bytes, after the preface and empty settings.
        let frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\x20\0\x01\x04\0\0\0\x01";
        in_bounds(drip(edge.tls(true).await, frames).await);
        eventually("it is counted", || edge.malformed("header_timeout") == 3).await;
        assert_eq!(edge.upstream.accepted(), 0);
    });
}

#[test]
fn a_second_head_that_arrives_too_slowly_is_cut_as_well() {
    run(async {
        let edge = strict().await;
        let mut wire = edge.relay.wire().await;
        for _ in 0..2 {
            wire.send(format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(wire.response(false).await.unwrap().status(), 200);
        }
        // Between requests there is no such deadline.
        tokio::time::sleep(LIMIT * 3 / 2).await;
        in_bounds(drip(wire.stream, b"GET /open/a").await);
        eventually("it is counted", || edge.malformed("header_timeout") == 1).await;
    });
}

#[test]
fn a_handshake_that_stalls_is_cut() {
    run(async {
        let edge = strict().await;
        for hello in [&b""[..], b"\x16", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"] {
            let before = edge.malformed("tls");
            let mut stream = TcpStream::connect(edge.tls_address()).await.unwrap();
            let start = Instant::now();
            stream.write_all(hello).await.unwrap();
            assert_eq!(rest(stream).await, b"");
            in_bounds(start.elapsed());
            eventually("it is counted", || edge.malformed("tls") == before + 1).await;
        }
        let stream = TcpStream::connect(edge.tls_address()).await.unwrap();
        in_bounds(drip(stream, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03").await);
    });
}

#[test]
fn a_client_that_negotiates_http2_and_sends_nothing_is_cut() {
    run(async {
        let edge = strict().await;
        let stream = edge.tls(true).await;
        let start = Instant::now();
        rest(stream).await;
        in_bounds(start.elapsed());
        eventually("it is counted", || edge.malformed("header_timeout") == 1).await;
    });
}

#[test]
fn a_proxy_header_that_arrives_too_slowly_is_cut() {
    run(async {
        let setup = Setup::default().top("timeouts: {headers: 800ms}").listeners("proxy_protocol: true");
        let edge = EdgeRelay::new(setup).await;
        for (count, address) in [(1, edge.relay.address), (2, edge.tls_address())] {
            let stream = TcpStream::connect(address).await.unwrap();
            in_bounds(drip(stream, b"PROXY TCP4 203.0.113.7 ").await);
            eventually("it is counted", || edge.malformed("proxy_header") == count).await;
        }
    });
}

#[test]
fn a_connection_without_requests_is_closed_after_the_idle_timeout() {
    run(async {
        let edge = EdgeRelay::new(Setup::default().top("timeouts: {idle: 1s}")).await;
        let before = Instant::now();
        let silent = TcpStream::connect(edge.relay.address).await.unwrap();
        assert_eq!(rest(silent).await, b"", "a connection that never sends anything");
        let mut wire = edge.relay.wire().await;
        wire.send(format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 200);
        assert_eq!(wire.some().await, None, "a connection that was answered");
        let mut http2 = edge.tls(true).await;
        http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        rest(http2).await;
        assert!((Duration::from_secs(2)..BOUND * 3).contains(&before.elapsed()), "{:?}", before.elapsed());
        assert_eq!(edge.all_malformed(), 0.0, "that is not a fault");
    });
}

#[test]
fn a_connection_with_occasional_requests_is_kept_beyond_the_deadline_of_a_head() {
    run(async {
        let edge = strict().await;
        let paths = ["/api/mte-echo/x", "/open/a"];
        for path in paths {
            let mut wire = edge.relay.wire().await;
            // Longer in total than one head may take; with pauses shorter and longer than that.
            for pause in [300, 300, 300, 300, 1_200, 300] {
                wire.send(format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
                let answer = wire.response(false).await.unwrap_or_else(|error| panic!("{path}: {error}"));
                assert_eq!(answer.status(), 200, "{path}");
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        assert_eq!(edge.malformed("header_timeout"), 0);
    });
}

#[test]
fn bytes_after_an_early_answer_are_not_a_head() {
    run(async {
        let upstream = crate::harness::Upstream::raw(|mut wire: crate::harness::Wire, _| async move {
            while let Ok(head) = wire.head().await {
                wire.send("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await;
                if head.header("content-length").is_some() {
                    while wire.some().await.is_some() {}
                }
            }
        })
        .await;
        let setup = Setup::default().top("timeouts: {headers: 800ms}");
        let relay = setup.tenant(HOST, &upstream.url(), "pass_through_routes: [/open/*]").start().await;
        let mut wire = relay.wire().await;
        wire.send(format!("POST /open/a HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 30000\r\n\r\n")).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 413);
        // Slower than allowed for a head.
        for _ in 0..30 {
            wire.send(vec![b'x'; 1_000]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        wire.send(format!("GET /open/b HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        // The connection may have served its last request.
        let next = wire.response(false).await.map_or(413, |answer| answer.status());
        assert_eq!(next, 413);
        drop(wire);
        relay.deserted().await;
        assert!(!relay.shared.metrics.text().contains("malformed_total{"), "nothing was malformed");
    });
}
