//! `run` can use every configuration that `check` accepts; a relay that cannot listen does not keep running.

use std::net::{SocketAddr, TcpListener};

use mte_relay::{
    admin::readiness,
    relay::{Relay, Until},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::accepted;
use crate::harness::{HOST, Process, Setup, Wire, eventually, free_port, output, run, skip};

fn write(folder: &tempfile::TempDir, text: &str) -> String {
    let path = folder.path().join("relay.yaml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Whether this machine has IPv6; if not, the test is listed as skipped.
fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        skip("this machine has no IPv6");
    }
    has
}

async fn status(address: SocketAddr, host: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET /api/mte-echo/x HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).chars().take(12).collect()
}

#[test]
fn both_families_are_served_on_one_port() {
    if !has_ipv6() {
        return;
    }
    run(async {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        // With different settings: a connection must not be treated as one of the other listener.
        let text = format!(
            "listeners: [{{address: '0.0.0.0:{port}', proxy_protocol: true}}, {{address: '[::]:{port}'}}]\nadmin: {{address: none}}\n\
             trusted_proxies: [127.0.0.1]\ndomain_map: {{{HOST}: {{upstream: 'http://127.0.0.1:1'}}}}\n"
        );
        let file = write(&folder, &text);
        assert_eq!(output(&["check", "--quiet", "--config", &file], &[]).await.0, 0);
        let _process = Process::start(&["run", "--config", &file], &[], port);
        assert_eq!(status(([0, 0, 0, 0, 0, 0, 0, 1], port).into(), HOST).await, "HTTP/1.1 200");
        assert_eq!(status(([127, 0, 0, 1], port).into(), HOST).await, "", "it requires a PROXY header");
    });
}

#[test]
fn an_ipv6_listener_accepts_no_ipv4() {
    if !has_ipv6() {
        return;
    }
    run(async {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "listeners: [{{address: '[::]:{port}'}}]\nadmin: {{address: none}}\ndomain_map: {{{HOST}: {{upstream: 'http://127.0.0.1:1'}}}}\n"
        );
        let file = write(&folder, &text);
        let (code, _, said) = output(&["check", "--quiet", "--config", &file], &[]).await;
        assert!(code == 0 && said.contains("takes IPv6 connections only"), "{said}");
        let process = Process::spawn(&["run", "--config", &file], &[]);
        eventually("it listens", || process.output().contains("mte-relay listens")).await;
        assert_eq!(status(([0, 0, 0, 0, 0, 0, 0, 1], port).into(), HOST).await, "HTTP/1.1 200");
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    });
}

#[test]
fn an_address_that_cannot_be_listened_on_ends_the_process_with_71() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let (taken, free) = (taken.local_addr().unwrap(), free_port());
        let tenant = format!("domain_map: {{{HOST}: {{upstream: 'http://127.0.0.1:1'}}}}\n");
        let one = format!("{{address: '127.0.0.1:{free}'}}");
        for (lines, name) in [
            (
                format!("listeners: [{one}, {{address: '{taken}'}}]\nadmin: {{address: none}}"),
                taken.to_string(),
            ),
            (format!("listeners: [{one}]\nadmin: {{address: '{taken}'}}"), taken.to_string()),
            // An address of another machine.
            (
                "listeners: [{address: '192.0.2.1:8080'}]\nadmin: {address: none}".to_owned(),
                "192.0.2.1:8080".to_owned(),
            ),
            (
                format!("listeners: [{one}]\nadmin: {{address: none, socket: does/not/exist.sock}}"),
                "does/not/exist.sock".to_owned(),
            ),
        ] {
            let file = write(&folder, &format!("{lines}\n{tenant}"));
            let (code, stdout, stderr) = output(&["run", "--config", &file], &[]).await;
            assert_eq!(code, 71, "{lines}: {stdout}{stderr}");
            assert!(stdout.contains(&name), "{lines}: {stdout}");
        }
    });
}

#[test]
fn a_relay_in_this_process_ends_with_a_reason_when_it_cannot_listen() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::default().tenant(HOST, "http://127.0.0.1:1", "");
    let relay = Relay::new(accepted(&setup.text(taken.local_addr().unwrap().port()), &[]));
    let shared = relay.shared();
    let (_stop, until) = Until::stopped();
    std::thread::spawn(move || relay.run(until)).join().unwrap();
    let failure = shared.lifecycle.failure().expect("a reason").to_string();
    assert!(failure.contains(&format!("cannot listen on {}", taken.local_addr().unwrap())), "{failure}");
    assert!(!readiness(&shared.for_admin()).ready);
}

#[test]
fn a_relay_is_ready_once_every_listener_accepts_connections() {
    run(async {
        let (one, two) = (free_port(), free_port());
        let text = format!(
            "listeners: [{{address: '127.0.0.1:{one}'}}, {{address: '127.0.0.1:{two}', proxy_protocol: true}}]\n\
             admin: {{address: none}}\npool_size: 8\ndomain_map: {{{HOST}: {{upstream: 'http://127.0.0.1:1'}}}}\n"
        );
        let relay = Relay::new(accepted(&text, &[]));
        let shared = relay.shared();
        let relay = relay.bind().unwrap();
        let before = readiness(&shared.for_admin());
        assert!(!before.ready);
        for port in [one, two] {
            let reason = format!("127.0.0.1:{port} accepts no connections yet");
            assert!(before.not_ready_because.iter().any(|why| why.contains(&reason)), "{before:?}");
        }
        let (stop, until) = Until::stopped();
        let thread = std::thread::spawn(move || relay.run(until));
        eventually("the relay is ready", || readiness(&shared.for_admin()).ready).await;
        assert!(shared.listening.is_accepting(0) && shared.listening.is_accepting(1));
        stop.stop();
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    });
}

#[test]
fn without_trusted_proxies_no_proxy_header_is_trusted() {
    run(async {
        let relay = Setup::default()
            .listeners("proxy_protocol: true")
            .tenant(HOST, "http://127.0.0.1:1", "")
            .start()
            .await;
        let mut wire = Wire::connect(relay.address).await;
        wire.send(format!(
            "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\nGET /api/mte-echo HTTP/1.1\r\nhost: {HOST}\r\n\r\n"
        ))
        .await;
        assert!(wire.response(false).await.is_err());
        let refused = || relay.shared.metrics.malformed.with_label_values(&["proxy_header"]).get();
        eventually("the connection is counted", || refused() == 1).await;
    });
}
