//! Clients that take their time.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::{Door, rest};
use crate::harness::{HOST, Setup, eventually, run};

const LIMIT: Duration = Duration::from_millis(800);
/// The machine may be busy; but no client stays for as long as it likes.
const BOUND: Duration = Duration::from_secs(10);

async fn strict() -> Door {
    Door::new(Setup::default().top("timeouts: {headers: 800ms}")).await
}

/// Sends a beginning, then a byte now and then, until the relay closes the connection; how long that takes.
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
        let door = strict().await;
        let head = format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\nx: ");
        in_bounds(drip(TcpStream::connect(door.relay.address).await.unwrap(), head.as_bytes()).await);
        in_bounds(drip(door.tls(false).await, head.as_bytes()).await);
        eventually("both are counted", || door.malformed("header_timeout") == 2).await;
        // Of HTTP/2: a head of thousands of bytes, after the preface and empty settings.
        let frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\x20\0\x01\x04\0\0\0\x01";
        in_bounds(drip(door.tls(true).await, frames).await);
        eventually("it is counted", || door.malformed("header_timeout") == 3).await;
        assert_eq!(door.upstream.accepted(), 0);
    });
}

#[test]
fn a_second_head_that_arrives_too_slowly_is_cut_as_well() {
    run(async {
        let door = strict().await;
        let mut wire = door.relay.wire().await;
        for _ in 0..2 {
            wire.send(format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(wire.response(false).await.unwrap().status(), 200);
        }
        // Between requests there is no such deadline.
        tokio::time::sleep(LIMIT * 3 / 2).await;
        in_bounds(drip(wire.stream, b"GET /open/a").await);
        eventually("it is counted", || door.malformed("header_timeout") == 1).await;
    });
}

#[test]
fn a_handshake_that_stalls_is_cut() {
    run(async {
        let door = strict().await;
        for hello in [&b""[..], b"\x16", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"] {
            let before = door.malformed("tls");
            let mut stream = TcpStream::connect(door.tls_address()).await.unwrap();
            let start = Instant::now();
            stream.write_all(hello).await.unwrap();
            assert_eq!(rest(stream).await, b"");
            in_bounds(start.elapsed());
            eventually("it is counted", || door.malformed("tls") == before + 1).await;
        }
        let stream = TcpStream::connect(door.tls_address()).await.unwrap();
        in_bounds(drip(stream, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03").await);
    });
}

#[test]
fn a_client_that_agrees_on_http2_and_says_nothing_is_cut() {
    run(async {
        let door = strict().await;
        let stream = door.tls(true).await;
        let start = Instant::now();
        rest(stream).await;
        in_bounds(start.elapsed());
        eventually("it is counted", || door.malformed("header_timeout") == 1).await;
    });
}

#[test]
fn a_proxy_header_that_arrives_too_slowly_is_cut() {
    run(async {
        let setup = Setup::default().top("timeouts: {headers: 800ms}").listeners("proxy_protocol: true");
        let door = Door::new(setup).await;
        for (count, address) in [(1, door.relay.address), (2, door.tls_address())] {
            let stream = TcpStream::connect(address).await.unwrap();
            in_bounds(drip(stream, b"PROXY TCP4 203.0.113.7 ").await);
            eventually("it is counted", || door.malformed("proxy_header") == count).await;
        }
    });
}

#[test]
fn a_connection_without_requests_is_closed_after_the_idle_timeout() {
    run(async {
        let door = Door::new(Setup::default().top("timeouts: {idle: 1s}")).await;
        let before = Instant::now();
        let silent = TcpStream::connect(door.relay.address).await.unwrap();
        assert_eq!(rest(silent).await, b"", "a connection that never says anything");
        let mut wire = door.relay.wire().await;
        wire.send(format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 200);
        assert_eq!(wire.some().await, None, "one that has had its answer");
        let mut http2 = door.tls(true).await;
        http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        rest(http2).await;
        assert!((Duration::from_secs(2)..BOUND * 3).contains(&before.elapsed()), "{:?}", before.elapsed());
        assert_eq!(door.all_malformed(), 0.0, "that is no fault");
    });
}

#[test]
fn a_connection_with_occasional_requests_is_kept_beyond_the_deadline_of_a_head() {
    run(async {
        let door = strict().await;
        let paths = ["/api/mte-echo/x", "/open/a"];
        for path in paths {
            let mut wire = door.relay.wire().await;
            // Longer than one head may take in all; pauses shorter and longer than that.
            for pause in [300, 300, 300, 300, 1_200, 300] {
                wire.send(format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
                let answer = wire.response(false).await.unwrap_or_else(|error| panic!("{path}: {error}"));
                assert_eq!(answer.status(), 200, "{path}");
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        assert_eq!(door.malformed("header_timeout"), 0);
    });
}

#[test]
fn what_follows_an_answer_that_came_early_is_no_head() {
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
        // Slower than a head may be.
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
