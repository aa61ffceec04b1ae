//! Which addresses a client connects to, and options that differ between requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::server::Server;
use crate::{BoxError, EncodeHeaders, EncodeType, Error, RelayClient, Resolve, Resolving, wire::Options};

/// Answers the n-th question with the n-th answer, the last one again and again.
struct Script {
    answers: Vec<Result<Vec<SocketAddr>, Refused>>,
    asked: Mutex<Vec<(String, u16)>>,
    next: AtomicUsize,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("refused by the test")]
struct Refused;

impl Script {
    fn new(answers: Vec<Result<Vec<SocketAddr>, Refused>>) -> Arc<Self> {
        Arc::new(Self { answers, asked: Mutex::default(), next: AtomicUsize::new(0) })
    }
}

impl Resolve for Script {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        self.asked.lock().unwrap().push((host.to_owned(), port));
        let at = self.next.fetch_add(1, Ordering::Relaxed).min(self.answers.len() - 1);
        let answer = self.answers[at].clone().map_err(BoxError::from);
        Box::pin(async move { answer })
    }
}

fn dead() -> SocketAddr {
    // Port 1 refuses connections.
    "127.0.0.1:1".parse().unwrap()
}

#[tokio::test]
async fn the_resolver_is_asked_once_for_a_connection_and_its_addresses_are_tried_in_order() {
    let server = Server::start().await;
    let script = Script::new(vec![Ok(vec![dead(), server.address]), Err(Refused)]);
    let client = RelayClient::builder("http://relay.example:8443").resolver(script.clone()).build().unwrap();
    // Pairing and two requests over one connection.
    for _ in 0..2 {
        client.get("/").await.unwrap().into_body().bytes(100).await.unwrap();
    }
    assert_eq!(*script.asked.lock().unwrap(), [("relay.example".to_owned(), 8443)]);
    assert_eq!(server.shared.seen.wire_headers.lock().unwrap()["host"], "relay.example:8443");
}

#[tokio::test]
async fn a_refusal_is_found_among_the_sources_of_the_error_and_nothing_is_dialled() {
    let client = RelayClient::builder("http://127.0.0.1:1").resolver(Script::new(vec![Err(Refused)]));
    let error = client.build().unwrap().get("/").await.unwrap_err();
    assert!(error.is_connect(), "{}", error.report());
    let mut next = std::error::Error::source(&error);
    while let Some(source) = next {
        if source.is::<Refused>() {
            return;
        }
        next = source.source();
    }
    panic!("{}", error.report());
}

#[tokio::test]
async fn addresses_are_asked_about_too_and_a_name_without_any_is_an_error() {
    let script = Script::new(vec![Ok(Vec::new())]);
    let client = RelayClient::builder("http://[::1]:80").resolver(script.clone()).build().unwrap();
    let error = client.get("/").await.unwrap_err();
    assert!(error.is_connect() && error.report().contains("no address"), "{}", error.report());
    let client = RelayClient::builder("https://relay.example").connect_to(dead()).resolver(script.clone());
    client.build().unwrap().get("/").await.unwrap_err();
    let asked = script.asked.lock().unwrap();
    assert_eq!(*asked, [("::1".to_owned(), 80), ("127.0.0.1".to_owned(), 1)]);
}

#[tokio::test]
async fn options_differ_between_requests_over_one_pair() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).pairs(1).build().unwrap();
    client.get("/sealed").await.unwrap();
    assert!(!server.shared.seen.wire_path.lock().unwrap().contains("sealed"));
    let options = Options { encode_url: false, encode_type: EncodeType::Mte, ..Options::default() };
    client.with_options(options).unwrap().get("/clear").await.unwrap();
    assert_eq!(*server.shared.seen.wire_path.lock().unwrap(), "/clear");
    assert_eq!(server.counts(), (1, 1, 2));
    let host = EncodeHeaders::Only(vec![http::header::HOST]);
    let refused = client.with_options(Options { encode_headers: host, ..Options::default() });
    assert!(matches!(refused, Err(Error::Setting(_))), "{refused:?}");
}
