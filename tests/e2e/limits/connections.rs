//! Limits on connections, and on requests over them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::refused;
use crate::harness::{Authority, HOST, Relay, Setup, Upstream, Wire, eventually, reply, run};

/// A client that holds its connection: the relay has accepted it once it has answered.
async fn served(relay: &Relay, proxy: &str) -> Option<Wire> {
    let mut wire = relay.wire().await;
    wire.send(format!("{proxy}GET /api/mte-echo HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
    let answer = wire.response(false).await.ok()?;
    assert_eq!(answer.status(), 200);
    Some(wire)
}

async fn started(top: &str, listeners: &str) -> Relay {
    let upstream = Upstream::standard().await;
    let setup = Setup::default().top(top).tenant(HOST, &upstream.url(), "");
    let setup = if listeners.is_empty() { setup } else { setup.listeners(listeners) };
    setup.start().await
}

#[test]
fn connections_beyond_the_limit_are_closed_and_counted_and_others_are_served() {
    run(async {
        let relay = started("limits: {connections: 3}", "").await;
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(served(&relay, "").await.expect("within the limit"));
        }
        for count in 1..4 {
            assert!(served(&relay, "").await.is_none());
            eventually("it is counted", || refused(&relay, "connection_limit") == count).await;
        }
        for wire in &mut held {
            wire.send(format!("GET /api/mte-echo HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(wire.response(false).await.unwrap().status(), 200);
        }
        held.pop();
        let mut again = None;
        for _ in 0..200 {
            again = served(&relay, "").await;
            if again.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(again.is_some(), "there is room again");
        drop((held, again));
        relay.deserted().await;
    });
}

#[test]
fn a_tls_connection_counts_from_before_its_handshake() {
    run(async {
        let upstream = Upstream::standard().await;
        let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
        let tls = authority.settings(files.path(), HOST, "");
        let setup = Setup::default().top("limits: {connections_per_network: 2}");
        let relay = setup.tenant(HOST, &upstream.url(), &tls).start().await;
        let address = relay.tls.unwrap();
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        eventually("one is counted", || refused(&relay, "network_limit") == 1).await;
        // The plain listener's connections count together with them.
        assert!(served(&relay, "").await.is_none());
        // Which of the three was last, only the relay knows.
        let mut closed = 0;
        for stream in &mut silent {
            let read = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0; 1])).await;
            assert!(!matches!(read, Ok(Ok(1))), "closed without a response");
            closed += u32::from(read.is_ok());
        }
        assert_eq!(closed, 1);
    });
}

#[test]
fn a_network_at_its_connection_limit_does_not_block_others() {
    run(async {
        let top = "limits: {connections_per_network: 2}\ntrusted_proxies: [127.0.0.0/8]";
        let relay = started(top, "proxy_protocol: true").await;
        let from = |version: u8, address: &str| {
            let here = if version == 4 { "10.0.0.1" } else { "::1" };
            format!("PROXY TCP{version} {address} {here} 4711 443\r\n")
        };
        let mut held = Vec::new();
        for (version, address) in [
            (4, "203.0.113.7"),
            (4, "203.0.113.200"),
            (4, "203.0.112.7"),
            (6, "2001:db8:0:1200::1"),
            (6, "2001:db8:0:12ff::1"),
            (6, "2001:db8:0:1300::1"),
        ] {
            held.push(served(&relay, &from(version, address)).await.expect(address));
        }
        for (version, address) in [(4, "203.0.113.8"), (6, "2001:db8:0:1234::9")] {
            assert!(served(&relay, &from(version, address)).await.is_none(), "{address}");
        }
        eventually("both are counted", || refused(&relay, "network_limit") == 2).await;
    });
}

#[test]
fn a_trusted_proxy_has_no_limit_of_a_network() {
    run(async {
        let top = "limits: {connections_per_network: 1}\ntrusted_proxies: [127.0.0.0/8]";
        let relay = started(top, "").await;
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(served(&relay, "").await.expect("a trusted proxy is served"));
        }
    });
}

#[test]
fn requests_over_http2_are_limited_like_connections() {
    run(async {
        let (open, hold) = (Arc::new(tokio::sync::Semaphore::new(0)), Duration::from_secs(60));
        let waits = open.clone();
        let upstream = Upstream::serve(move |_| {
            let waits = waits.clone();
            async move {
                let _ = tokio::time::timeout(hold, waits.acquire()).await;
                Ok(reply("done".to_owned()))
            }
        })
        .await;
        let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
        let tls = authority.settings(files.path(), HOST, "");
        let lines = format!("pass_through_routes: ['/open']\n{tls}");
        for limit in ["connections", "connections_per_network"] {
            let setup = Setup::default().top(&format!("limits: {{{limit}: 4}}"));
            let relay = setup.tenant(HOST, &upstream.url(), &lines).start().await;
            let stream = TcpStream::connect(relay.tls.unwrap()).await.unwrap();
            let stream = authority.handshake(stream, HOST, false, true).await.unwrap();
            let (sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            let ask = || {
                let mut sender = sender.clone();
                let request =
                    Request::get(format!("https://{HOST}/open")).body(Empty::<Bytes>::new()).unwrap();
                tokio::spawn(async move { sender.send_request(request).await.unwrap() })
            };
            let waiting: Vec<_> = (0..4).map(|_| ask()).collect();
            eventually("four are in flight", || relay.shared.in_flight.get() == 4).await;
            for _ in 0..3 {
                let answer = ask().await.unwrap();
                assert_eq!(answer.status(), 503, "{limit}");
                assert!(answer.headers().contains_key("retry-after"));
                eventually("its request has ended", || relay.shared.in_flight.get() == 4).await;
            }
            open.add_permits(1_000);
            for request in waiting {
                assert_eq!(request.await.unwrap().status(), 200);
            }
            eventually("none is in flight", || relay.shared.in_flight.get() == 0).await;
            assert_eq!(ask().await.unwrap().status(), 200);
            open.forget_permits(usize::MAX);
        }
    });
}

#[test]
fn a_head_without_an_end_is_cut_long_before_a_mebibyte() {
    run(async {
        let relay = started("limits: {max_header_bytes: 4KiB}", "").await;
        // Bytes in the kernel's buffers count as sent: without this limit, they alone could hold 4 MiB on a busy machine.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(64 << 10).unwrap();
        let mut stream = socket.connect(relay.address).await.unwrap();
        stream.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n").as_bytes()).await.unwrap();
        let line = format!("x: {}\r\n", "y".repeat(1_000));
        let mut sent = 0;
        while stream.write_all(line.as_bytes()).await.is_ok() && sent < 4 << 20 {
            sent += line.len();
        }
        assert!(sent < 4 << 20, "{sent} bytes");
        eventually("it is counted", || refused(&relay, "header_bytes") == 1).await;
        relay.deserted().await;
    });
}
