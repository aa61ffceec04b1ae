//! What a client does when the relay asks for a new pairing (docs/protocol.md, section 5).

use futures_util::stream;

use super::server::Server;
use crate::{Body, Error, RelayClient, Resend};

fn note(error: &Error) -> &'static str {
    match error {
        Error::Relay { note: Some(note), .. } => note,
        other => panic!("no note: {other}"),
    }
}

#[tokio::test]
async fn a_request_is_sent_again_under_a_new_pair() {
    for status in [559, 560, 561, 562, 563, 564, 567, 568] {
        let server = Server::start().await;
        let client = RelayClient::builder(server.url()).pairs(1).build().unwrap();
        client.get("/").await.unwrap();
        server.fail_with(&[status]);
        let response = client.post("/echo", "once more").await.unwrap();
        assert_eq!(response.into_body().text(100).await.unwrap(), "once more");
        assert_eq!(server.counts(), (1, 2, 3), "{status}");
    }
}

#[tokio::test]
async fn a_relay_that_lost_its_pairs_costs_one_pairing() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).pairs(4).build().unwrap();
    client.get("/").await.unwrap();
    server.shared.relay.forget_pairs();
    for _ in 0..8 {
        client.get("/").await.unwrap();
    }
    assert_eq!(server.counts(), (1, 2, 10));
}

#[tokio::test]
async fn other_statuses_drop_one_pair_only() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).pairs(4).build().unwrap();
    client.get("/").await.unwrap();
    server.fail_with(&[562]);
    client.get("/").await.unwrap();
    assert_eq!(server.counts(), (1, 1, 3));
}

#[tokio::test]
async fn a_refused_client_id_is_replaced() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).build().unwrap();
    client.get("/").await.unwrap();
    let id = client.client_id();
    server.fail_with(&[566]);
    client.get("/").await.unwrap();
    assert_ne!(client.client_id(), id);
    assert_eq!(server.counts(), (2, 2, 3));
}

#[tokio::test]
async fn it_is_sent_twice_at_most() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).build().unwrap();
    server.fail_with(&[560, 560, 560]);
    let error = client.get("/").await.unwrap_err();
    assert_eq!(error.relay_status(), Some(560));
    assert!(note(&error).contains("twice"));
    assert_eq!(server.counts().2, 2);
}

#[tokio::test]
async fn a_stream_is_not_sent_again_and_the_error_says_so() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).build().unwrap();
    server.fail_with(&[560]);
    let body = Body::from_stream(stream::iter([Ok::<_, std::io::Error>("piece")]));
    let error = client.post("/echo", body).await.unwrap_err();
    assert!(note(&error).contains("stream"), "{error}");
    // The pair is gone all the same.
    client.get("/").await.unwrap();
    assert_eq!(server.counts(), (1, 2, 2));
}

#[tokio::test]
async fn resending_can_be_limited() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).resend(Resend::Idempotent).build().unwrap();
    server.fail_with(&[562]);
    client.get("/").await.unwrap();
    server.fail_with(&[562]);
    assert!(note(&client.post("/", "x").await.unwrap_err()).contains("idempotent"));

    let client = RelayClient::builder(server.url()).resend(Resend::Never).build().unwrap();
    server.fail_with(&[562]);
    assert!(note(&client.get("/").await.unwrap_err()).contains("off"));
}
