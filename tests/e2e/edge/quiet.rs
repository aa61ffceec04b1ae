//! Which connections without a request are logged, and which are not.

use std::{net::SocketAddr, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::rest;
use crate::harness::{Authority, HOST, Process, Setup, Upstream, eventually, free_port, run};

/// A relay as a process, and where it listens.
struct Logged {
    process: Process,
    plain: SocketAddr,
    tls: SocketAddr,
    authority: Authority,
    _upstream: Upstream,
    _files: tempfile::TempDir,
}

impl Logged {
    async fn new(setup: Setup) -> Self {
        let upstream = Upstream::standard().await;
        let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
        let tenant = authority.settings(files.path(), HOST, "");
        let port = free_port();
        let setup = setup.top("log: {format: json}").tenant(HOST, &upstream.url(), &tenant);
        let text = setup.text(port);
        let tls = text.lines().find(|line| line.contains("tls: true")).unwrap().split('"').nth(1).unwrap();
        let tls = tls.parse().unwrap();
        let file = files.path().join("relay.yaml");
        std::fs::write(&file, &text).unwrap();
        let file = file.display().to_string();
        let start = move || Process::start(&["run", "--config", &file], &[], port);
        let process = tokio::task::spawn_blocking(start).await.unwrap();
        let plain = SocketAddr::from(([127, 0, 0, 1], port));
        let logged = Self { process, plain, tls, authority, _upstream: upstream, _files: files };
        let address = logged.tls;
        eventually("the TLS listener is there", || std::net::TcpStream::connect(address).is_ok()).await;
        logged
    }

    fn count(&self, cause: &str) -> usize {
        self.process.log().iter().filter(|line| line["cause"] == cause).count()
    }
}

#[test]
fn a_port_scan_leaves_nothing_in_the_log() {
    run(async {
        for listeners in ["proxy_protocol: false", "proxy_protocol: true"] {
            let logged = Logged::new(Setup::default().listeners(listeners)).await;
            // Lines are logged in order: if this line is present, the connections before it left none.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let before = logged.process.log().len();
            for address in [logged.plain, logged.tls] {
                for _ in 0..3 {
                    drop(TcpStream::connect(address).await.unwrap());
                    let reset = TcpStream::connect(address).await.unwrap();
                    reset.set_zero_linger().unwrap();
                }
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            let mut stream = TcpStream::connect(logged.plain).await.unwrap();
            stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
            rest(stream).await;
            eventually("nonsense is logged", || logged.process.log().len() > before).await;
            let log = logged.process.log().split_off(before);
            assert_eq!(log.len(), 1, "{log:?}");
        }
    });
}

#[test]
fn a_connection_refused_without_a_request_has_a_log_line_with_cause_and_client() {
    run(async {
        let logged = Logged::new(Setup::default().top("timeouts: {headers: 1s}")).await;
        for (cause, bytes) in [
            ("malformed", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
            ("header_timeout", "GET / HTTP/1.1\r\nhost"),
        ] {
            let mut stream = TcpStream::connect(logged.plain).await.unwrap();
            let own = stream.local_addr().unwrap().to_string();
            stream.write_all(bytes.as_bytes()).await.unwrap();
            rest(stream).await;
            eventually(cause, || logged.count(cause) == 1).await;
            let line = logged.process.log().into_iter().find(|line| line["cause"] == cause).unwrap();
            assert_eq!((&line["level"], &line["client"]), (&"info".into(), &own.into()), "{line}");
        }
        let mut stream = TcpStream::connect(logged.plain).await.unwrap();
        stream.write_all(b"GET / HTT").await.unwrap();
        drop(stream);
        eventually("incomplete", || logged.count("incomplete") == 1).await;
        let mut stream = TcpStream::connect(logged.tls).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        rest(stream).await;
        eventually("tls", || logged.count("tls") == 1).await;
        // HTTP/2: an invalid request.
        let stream = TcpStream::connect(logged.tls).await.unwrap();
        let mut stream = logged.authority.handshake(stream, HOST, false, true).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\xff")
            .await
            .unwrap();
        rest(stream).await;
        eventually("http2", || logged.count("http2") == 1).await;
    });
}
