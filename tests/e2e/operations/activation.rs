//! Sockets passed by systemd. The tests pass them in the same way: as descriptors from 3 on, named in the environment.

use std::{
    net::{TcpListener, UdpSocket},
    os::fd::OwnedFd,
    process::Command,
};

use socket2::SockRef;

use super::Site;
use crate::harness::{Process, Wire, run, skip};

/// The sockets of a unit for the site: one for each listener.
fn sockets(site: &Site) -> [OwnedFd; 2] {
    [site.port, site.tls].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap().into())
}

fn clone(sockets: &[OwnedFd; 2]) -> Vec<OwnedFd> {
    sockets.iter().map(|socket| socket.try_clone().unwrap()).collect()
}

async fn ready(site: &Site) {
    let ready = async || site.get("/readyz").await.is_some_and(|answer| answer.status() == 200);
    site.until("it is ready", ready).await;
}

async fn end(mut process: Process) -> (Option<i32>, String) {
    tokio::task::spawn_blocking(move || process.finish()).await.unwrap()
}

#[test]
fn listeners_use_sockets_from_systemd_and_clients_wait_in_them_during_a_restart() {
    run(async {
        let site = Site::new().await;
        let held = sockets(&site);
        let first = Process::activated(clone(&held), &["run", "--config", &site.file()]);
        ready(&site).await;
        assert_eq!(site.client().get("/").await.unwrap().status(), 200);
        assert_eq!(site.tls_client(true).get("/").await.unwrap().status(), 200);
        first.signal("TERM");
        let (code, text) = end(first).await;
        assert_eq!(code, Some(0), "{text}");

        // No relay is running, but the connection is made.
        let mut waiting = Wire::new(tokio::net::TcpStream::connect(("127.0.0.1", site.port)).await.unwrap());
        waiting.send(format!("GET /api/mte-echo HTTP/1.1\r\nhost: {}\r\n\r\n", crate::harness::HOST)).await;
        let _second = Process::activated(clone(&held), &["run", "--config", &site.file()]);
        assert_eq!(waiting.response(false).await.unwrap().status(), 200);
    });
}

#[test]
fn activated_sockets_are_handed_over_to_a_successor() {
    run(async {
        let site = Site::new().await;
        let held = sockets(&site);
        let old = Process::activated(clone(&held), &["run", "--config", &site.file()]);
        ready(&site).await;
        let new = Process::spawn(&["run", "--config", &site.file(), "--upgrade"], &[]);
        site.until("the socket is there", async || site.path("upgrade.sock").exists()).await;
        old.signal("QUIT");
        let (code, text) = end(old).await;
        assert_eq!(code, Some(0), "{text}");
        site.until("it serves", async || site.client().get("/").await.is_ok_and(|a| a.status() == 200)).await;
        assert!(new.output().contains("mte-relay listens on"), "{}", new.output());
    });
}

#[test]
fn a_socket_that_no_listener_can_use_is_an_error_that_names_it() {
    run(async {
        let site = Site::new().await;
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = stranger.local_addr().unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut cases: Vec<(OwnedFd, String)> = vec![
            (stranger.into(), format!("({address}), passed by systemd, matches no listener: add {address}")),
            (datagrams.into(), "is not a TCP socket that listens".to_owned()),
        ];
        // There is nothing to test on a machine without IPv6.
        if let Ok(both) = TcpListener::bind("[::]:0")
            && !SockRef::from(&both).only_v6().unwrap()
        {
            cases.push((both.into(), "add BindIPv6Only=ipv6-only".to_owned()));
        }
        for (socket, message) in cases {
            let process = Process::activated(vec![socket], &["run", "--config", &site.file()]);
            let (code, text) = end(process).await;
            assert_eq!(code, Some(78), "{text}");
            assert!(text.contains("socket 3 \\\"first\\\"") && text.contains(&message), "{message}: {text}");
        }
    });
}

#[test]
fn sockets_for_another_process_are_ignored() {
    run(async {
        let site = Site::new().await;
        let variables = [("LISTEN_FDS", "1"), ("LISTEN_PID", "1")];
        let process = Process::spawn(&["run", "--config", &site.file()], &variables);
        ready(&site).await;
        assert_eq!(site.client().get("/").await.unwrap().status(), 200);
        drop(process);
    });
}

#[test]
fn a_relay_whose_socket_stops_listening_ends_with_a_reason() {
    run(async {
        let site = Site::new().await;
        let held = sockets(&site);
        let process = Process::activated(clone(&held), &["run", "--config", &site.file()]);
        ready(&site).await;
        SockRef::from(&held[1]).shutdown(std::net::Shutdown::Both).unwrap();
        let (code, text) = end(process).await;
        assert_eq!(code, Some(71), "{text}");
        assert!(text.contains(&format!("127.0.0.1:{} has stopped listening", site.tls)), "{text}");
    });
}

#[test]
fn systemd_socket_activate_starts_the_relay_with_its_first_connection() {
    run(async {
        let tool = "/usr/bin/systemd-socket-activate";
        if !std::path::Path::new(tool).exists() {
            return skip("systemd-socket-activate is not installed");
        }
        let site = Site::new().await;
        let mut command = Command::new(tool);
        for port in [site.port, site.tls] {
            command.arg("-l").arg(format!("127.0.0.1:{port}"));
        }
        command.args(["--fdname=plain:tls", crate::harness::BINARY, "run", "--config", &site.file()]);
        let process = Process::of(command.env_clear());
        let listening = async || site.client().get("/").await.is_ok_and(|answer| answer.status() == 200);
        site.until("it serves", listening).await;
        ready(&site).await;
        process.signal("TERM");
        let (code, text) = end(process).await;
        assert_eq!(code, Some(0), "{text}");
    });
}
