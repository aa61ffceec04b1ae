//! Shutdown, and hand-over to a new process.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mte_client::{Body, BoxError, Error};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{Load, Site};
use crate::harness::{Process, channel, run};

type Sender = mpsc::Sender<Result<Bytes, BoxError>>;

#[test]
fn a_successor_takes_over_without_a_failed_request() {
    run(async { a_hand_over(Site::new().await).await });
}

#[test]
fn a_successor_takes_over_without_a_failed_request_to_an_http2_upstream() {
    run(async { a_hand_over(Site::http2().await).await });
}

async fn a_hand_over(site: Site) {
    let mut old = site.start().await;
    let clients = vec![site.client(), site.client(), site.tls_client(false), site.tls_client(true)];
    let load = Load::start(clients);
    load.more(50).await;
    let new = Process::spawn(&["run", "--config", &site.file(), "--upgrade"], &[]);
    let waits = async || new.output().contains("waiting at");
    site.until("the successor waits", waits).await;
    // The log line is written just before the socket is created.
    site.until("the socket is there", async || site.path("upgrade.sock").exists()).await;
    old.signal("QUIT");
    let taken = async || {
        site.get("/readyz").await.is_some_and(|answer| answer.status() == 200)
            && site
                .metric("mte_relay_requests_total{route=\"encrypted\",status=\"2xx\",tenant=\"tenant.test\"}")
                .await
                > 50.0
            && new.output().contains("mte_relay::access")
    };
    site.until("the successor serves", taken).await;
    let (code, text) = tokio::task::spawn_blocking(move || old.finish()).await.unwrap();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("a successor has the listeners") && text.contains("has stopped"), "{text}");
    load.more(50).await;
    load.finish().await;
}

/// A request that is under way until the sender is dropped.
async fn in_flight(site: &Site) -> (Sender, JoinHandle<Result<http::Response<Body>, Error>>) {
    let (sender, body) = channel();
    let client = site.client();
    client.pair().await.unwrap();
    let request = tokio::spawn(async move { client.post("/", Body::wrap(body)).await });
    sender.send(Ok("half".into())).await.unwrap();
    let counted = async || site.metric("mte_relay_requests_in_flight").await == 1.0;
    site.until("the request is in flight", counted).await;
    (sender, request)
}

#[test]
fn without_a_successor_the_process_keeps_serving() {
    run(async {
        let site = Site::new().await;
        let mut process = site.start().await;
        let client = site.client();
        client.get("/").await.unwrap();
        process.signal("QUIT");
        site.until("it says why", async || process.output().contains("no successor is waiting")).await;
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        assert!(process.runs());
        assert_eq!(site.json_of("/readyz").await["ready"], true);
    });
}

#[test]
fn a_successor_without_a_predecessor_gives_up_and_says_why() {
    run(async {
        let site = Site::new().await;
        let mut new = Process::spawn(&["run", "--config", &site.file(), "--upgrade"], &[]);
        let (code, text) = tokio::task::spawn_blocking(move || new.finish()).await.unwrap();
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("no process handed over its listeners"), "{text}");
    });
}

#[test]
fn on_sigterm_readiness_fails_requests_in_flight_finish_and_the_process_ends_at_once_when_idle() {
    run(async {
        let site = Site::new().await;
        let mut process = site.start().await;
        let (sender, request) = in_flight(&site).await;
        process.signal("TERM");
        let failing = async || site.get("/readyz").await.is_some_and(|answer| answer.status() == 503);
        site.until("readiness fails", failing).await;
        let why = site.json_of("/readyz").await;
        assert_eq!(why["draining"], true);
        assert!(why["not_ready_because"][0].as_str().unwrap().contains("draining"), "{why}");
        assert_eq!(site.get("/livez").await.unwrap().status(), 200);
        let refused = async || tokio::net::TcpStream::connect(("127.0.0.1", site.port)).await.is_err();
        site.until("new connections are refused", refused).await;
        assert!(process.runs());
        sender.send(Ok("done".into())).await.unwrap();
        drop(sender);
        let began = Instant::now();
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
        let (code, text) = tokio::task::spawn_blocking(move || process.finish()).await.unwrap();
        assert_eq!(code, Some(0), "{text}");
        assert!(began.elapsed() < Duration::from_secs(5), "it ends once nothing is in flight");
    });
}

#[test]
fn requests_that_outlast_the_drain_are_cut_and_counted_in_the_log() {
    run(async {
        let mut site = Site::new().await;
        site.top = "timeouts: {drain: 500ms}".into();
        site.write("");
        let mut process = site.start().await;
        let (sender, request) = in_flight(&site).await;
        process.signal("TERM");
        let (code, text) = tokio::task::spawn_blocking(move || process.finish()).await.unwrap();
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("1 requests were still in flight"), "{text}");
        assert!(request.await.unwrap().is_err());
        drop(sender);
    });
}
