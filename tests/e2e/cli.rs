//! The binary: its commands, exit codes and signals.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use mte_client::RelayClient;

use crate::harness::{HOST, Pattern, Process, Relay, Setup, Upstream, channel, free_port, output, run};

fn client(port: u16) -> RelayClient {
    RelayClient::builder(format!("http://127.0.0.1:{port}")).host(HOST).pairs(1).build().unwrap()
}

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("relay.yaml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn run_serves_a_file_until_it_is_stopped() {
    run(async {
        let upstream = Upstream::standard().await;
        let folder = tempfile::tempdir().unwrap();
        for signal in ["TERM", "INT"] {
            let port = free_port();
            let file = write(folder.path(), &Setup::default().tenant(HOST, &upstream.url(), "").text(port));
            let mut relay = Process::start(&["run", "--config", &file], &[], port);
            assert_eq!(client(port).get("/").await.unwrap().status(), 200);
            relay.signal(signal);
            let (code, text) = relay.finish();
            assert_eq!(code, Some(0), "{signal}: {text}");
            assert!(text.contains("mte-relay starts") && text.contains("has stopped"), "{text}");
        }
    });
}

#[test]
fn the_environment_alone_is_enough_with_and_without_the_command() {
    run(async {
        let upstream = Upstream::standard().await;
        let (url, folder) = (upstream.url(), tempfile::tempdir().unwrap());
        for arguments in [&[][..], &["run"][..]] {
            let port = free_port().to_string();
            let environment =
                [("UPSTREAM", &*url), ("PORT", &*port), ("CLIENT_ID_SECRET", "s"), ("LICENSE_KEY", "k")];
            let number = port.parse().unwrap();
            let mut relay = Process::start(arguments, &environment, number);
            assert_eq!(client(number).get("/").await.unwrap().status(), 200);
            relay.signal("TERM");
            let (code, text) = relay.finish();
            assert_eq!(code, Some(0), "{text}");
            assert!(text.contains("LICENSE_KEY"), "{text}");
        }
        // The environment can also name the file.
        let port = free_port();
        let file = write(folder.path(), &Setup::default().tenant(HOST, &url, "").text(port));
        let _relay = Process::start(&[], &[("MTE_RELAY_CONFIG", &*file)], port);
        assert_eq!(client(port).get("/").await.unwrap().status(), 200);
    });
}

#[test]
fn a_wrong_configuration_is_78_with_every_problem_and_a_missing_one_66() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file =
            write(folder.path(), "pool_size: 0\ndomain_map: {a.test: {upstream: 'ftp://a'}, b.test: {}}\n");
        let (code, stdout, stderr) = output(&["run", "--config", &file], &[]).await;
        assert_eq!((code, &*stdout), (78, ""));
        for words in [&*file, "pool_size: ", "domain_map.a.test.upstream: ", "domain_map.b.test.upstream: "] {
            assert!(stderr.contains(words), "no {words:?} in {stderr}");
        }
        let file = write(folder.path(), "threads: 1\npool_sise: 5\n");
        let (code, _, stderr) = output(&["run", "--config", &file], &[]).await;
        assert_eq!(code, 78);
        assert!(stderr.contains("line 2") && stderr.contains("did you mean `pool_size`"), "{stderr}");
        let (code, _, stderr) = output(&["run", "--config", "/does/not/exist.yaml"], &[]).await;
        assert!(code == 66 && stderr.contains("/does/not/exist.yaml"), "{code} {stderr}");
        let (code, _, stderr) = output(&[], &[]).await;
        assert!(code == 78 && stderr.contains("UPSTREAM"), "{code} {stderr}");
    });
}

#[test]
fn a_port_in_use_is_71() {
    run(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), &Setup::default().tenant(HOST, "http://127.0.0.1:1", "").text(port));
        let (code, stdout, stderr) = output(&["run", "--config", &file], &[]).await;
        assert_eq!(code, 71, "{stdout}{stderr}");
        assert!(format!("{stdout}{stderr}").contains(&format!("127.0.0.1:{port}")), "{stdout}{stderr}");
    });
}

#[test]
fn a_command_that_does_not_exist_is_2() {
    run(async {
        assert_eq!(output(&["walk"], &[]).await.0, 2);
        assert_eq!(output(&["--version"], &[]).await.1, format!("mte-relay {}\n", env!("CARGO_PKG_VERSION")));
    });
}

#[test]
fn sigterm_lets_requests_in_flight_finish() {
    run(async {
        let (pieces, body) = channel();
        let body = std::sync::Arc::new(parking_lot::Mutex::new(Some(body)));
        let upstream = Upstream::serve(move |_| {
            let body = body.lock().take().unwrap();
            async { Ok(crate::harness::reply(body)) }
        })
        .await;
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = write(folder.path(), &Setup::default().tenant(HOST, &upstream.url(), "").text(port));
        let mut relay = Process::start(&["run", "--config", &file], &[], port);
        let mut response = client(port).get("/").await.unwrap().into_body();
        pieces.send(Ok("before".into())).await.unwrap();
        assert_eq!(response.data().await.unwrap().unwrap(), "before");
        relay.signal("TERM");
        tokio::time::sleep(Duration::from_millis(500)).await;
        pieces.send(Ok("after".into())).await.unwrap();
        assert_eq!(response.data().await.unwrap().unwrap(), "after");
        drop(pieces);
        assert!(response.data().await.is_none(), "the response is whole");
        let (code, text) = relay.finish();
        assert_eq!(code, Some(0), "{text}");
    });
}

#[test]
fn sigterm_waits_no_longer_than_the_drain_timeout() {
    run(async {
        let upstream = Upstream::serve(|_| async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(crate::harness::reply(Pattern::known(1)))
        })
        .await;
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let setup = Setup::default().top("timeouts: {drain: 500ms}").tenant(HOST, &upstream.url(), "");
        let file = write(folder.path(), &setup.text(port));
        let mut relay = Process::start(&["run", "--config", &file], &[], port);
        let asking = tokio::spawn(async move { client(port).get("/").await.map(drop) });
        crate::harness::eventually("the request is upstream", || upstream.begun() == 1).await;
        let start = Instant::now();
        relay.signal("TERM");
        let (code, text) = relay.finish();
        assert_eq!(code, Some(0), "{text}");
        let took = start.elapsed();
        assert!(Duration::from_millis(400) < took && took < Duration::from_secs(4), "{took:?}");
        assert!(asking.await.unwrap().is_err());
    });
}

/// `mte-relay request` to this relay's tenant.
async fn request(address: SocketAddr, path: &str, arguments: &[&str]) -> (i32, String, String) {
    let (url, host) = (format!("http://{address}{path}"), format!("host: {HOST}"));
    let all = [&["request", &url, "-H", &host][..], arguments].concat();
    output(&all, &[]).await
}

async fn relay() -> (Relay, Upstream) {
    let upstream = Upstream::standard().await;
    (Relay::of(&upstream).await, upstream)
}

#[test]
fn request_prints_the_opened_response() {
    run(async {
        let (relay, upstream) = relay().await;
        let (code, stdout, stderr) = request(relay.address, "/a?b=c", &[]).await;
        assert_eq!((code, &*stdout, &*stderr), (0, "GET /a?b=c 0", ""));
        for (arguments, text) in [
            (&["-d", "hello"][..], "POST /a 5"),
            (&["-X", "PATCH", "-d", "hello", "--mte"], "PATCH /a 5"),
            (&["-X", "DELETE", "--kem", "x-wing"], "DELETE /a 0"),
            (&["--plain-url", "--encode-headers", "none"], "GET /a 0"),
        ] {
            let (code, stdout, stderr) = request(relay.address, "/a", arguments).await;
            assert_eq!((code, &*stdout), (0, text), "{arguments:?}: {stderr}");
        }
        let (_, stdout, _) = request(relay.address, "/a", &["-i", "-H", "x-own: 1"]).await;
        assert!(
            stdout.starts_with("HTTP/1.1 200 OK\r\n") && stdout.ends_with("\r\n\r\nGET /a 0"),
            "{stdout}"
        );
        assert_eq!(upstream.last().header("x-own"), Some("1"));
    });
}

#[test]
fn request_streams_files_up_and_down() {
    run(async {
        let (relay, upstream) = relay().await;
        let folder = tempfile::tempdir().unwrap();
        let (up, down) = (folder.path().join("up"), folder.path().join("down"));
        std::fs::write(&up, Pattern::bytes(1_000_000)).unwrap();
        let arguments = ["-T", up.to_str().unwrap(), "-o", down.to_str().unwrap()];
        let (code, stdout, stderr) = request(relay.address, "/stream/3000000", &arguments).await;
        assert_eq!((code, &*stdout, &*stderr), (0, "", ""));
        let seen = upstream.last();
        assert_eq!((&*seen.method, seen.body), ("PUT", Pattern::digest(1_000_000)));
        assert_eq!(std::fs::read(&down).unwrap(), Pattern::bytes(3_000_000));
    });
}

#[test]
fn request_shows_what_goes_over_the_wire() {
    run(async {
        let (relay, _) = relay().await;
        let arguments = ["-v", "-H", "authorization: Bearer token", "-d", "hello"];
        let (code, stdout, stderr) = request(relay.address, "/secret", &arguments).await;
        assert_eq!((code, &*stdout), (0, "POST /secret 5"));
        for words in ["x-mte-relay", "x-mte-relay-eh", "/secret"] {
            assert!(stderr.contains(words), "no {words:?} in {stderr}");
        }
    });
}

#[test]
fn request_exits_with_a_code_for_each_kind_of_failure() {
    run(async {
        let (relay, _) = relay().await;
        let code = async |path, arguments| request(relay.address, path, arguments).await.0;
        assert_eq!(code("/status/404", &[]).await, 0);
        assert_eq!(code("/status/404", &["--fail"]).await, 22);
        assert_eq!(code("/", &["-d", "@/does/not/exist"]).await, 66);
        assert_eq!(code("/", &["-H", "no colon"]).await, 2);
        assert_eq!(code("/", &["-o", "/does/not/exist"]).await, 74);
        let url = format!("http://{}/", relay.address);
        let (code, _, stderr) = output(&["request", &url], &[]).await;
        assert!(code == 69 && stderr.contains("421"), "{code} {stderr}");
        let url = format!("http://127.0.0.1:{}/", free_port());
        assert_eq!(output(&["request", &url], &[]).await.0, 7);
        let upstream = Upstream::standard().await;
        assert_eq!(output(&["request", &upstream.url()], &[]).await.0, 76, "an upstream is no relay");
    });
}

#[test]
fn request_fails_when_the_response_is_cut() {
    run(async {
        let upstream = Upstream::raw(|mut wire, _| async move {
            if wire.request().await.is_ok() {
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nonly this").await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
        .await;
        let relay = Relay::of(&upstream).await;
        let (code, stdout, stderr) = request(relay.address, "/", &[]).await;
        assert_eq!((code, &*stdout), (76, "only this"), "{stderr}");
    });
}
