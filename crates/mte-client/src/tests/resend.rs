//! What a client does when the relay asks for a new pairing (docs/protocol.md, section 5).

use futures_util::stream;

use super::server::Server;
use crate::{Body, Error, NotRepeated, RelayClient, Resend};

fn note(error: &Error) -> &NotRepeated {
    match error {
        Error::Relay { note: Some(note), .. } => note,
        other => panic!("no note: {other}"),
    }
}

fn put(body: impl Into<Body>) -> http::Request<Body> {
    http::Request::put("/echo").body(body.into()).unwrap()
}

#[tokio::test]
async fn a_request_is_sent_again_under_a_new_pair() {
    for status in [559, 560, 561, 562, 563, 564, 567, 568] {
        let server = Server::start().await;
        let client = RelayClient::builder(server.url()).pairs(1).build().unwrap();
        client.get("/").await.unwrap();
        server.fail_with(&[status]);
        let response = client.send(put("once more")).await.unwrap();
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
async fn a_request_is_sent_at_most_twice() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).build().unwrap();
    server.fail_with(&[560, 560, 560]);
    let error = client.get("/").await.unwrap_err();
    assert_eq!(error.relay_status(), Some(560));
    assert_eq!((note(&error), error.code()), (&NotRepeated::Twice, "not-repeated"));
    assert_eq!(server.counts().2, 2);
}

#[tokio::test]
async fn a_stream_is_not_sent_again_and_the_error_says_so() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).build().unwrap();
    server.fail_with(&[560]);
    let body = Body::from_stream(stream::iter([Ok::<_, std::io::Error>("piece")]));
    let error = client.send(put(body)).await.unwrap_err();
    assert_eq!(note(&error), &NotRepeated::Stream);
    // The pair is dropped anyway.
    client.get("/").await.unwrap();
    assert_eq!(server.counts(), (1, 2, 2));
}

#[tokio::test]
async fn only_requests_of_idempotent_methods_are_sent_again() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).build().unwrap();
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        server.fail_with(&[560]);
        let request = http::Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
        assert_eq!(client.send(request).await.unwrap().status(), 200, "{method}");
    }
    for method in ["POST", "PATCH"] {
        let before = server.counts().2;
        server.fail_with(&[560]);
        let request = http::Request::builder().method(method).uri("/").body("x".into()).unwrap();
        let error = client.send(request).await.unwrap_err();
        assert_eq!((error.relay_status(), error.code()), (Some(560), "not-repeated"));
        assert_eq!(note(&error), &NotRepeated::Method(method.parse().unwrap()));
        let text = error.to_string();
        for part in [method, "is not idempotent", "find out whether it took effect", "allow resending always"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(server.counts().2, before + 1);
    }
    // The pair is dropped anyway, so the next request succeeds.
    client.post("/echo", "x").await.unwrap();
}

#[tokio::test]
async fn resending_can_be_allowed_always_and_never() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).resend(Resend::Always).build().unwrap();
    server.fail_with(&[562]);
    let response = client.post("/echo", "twice is fine").await.unwrap();
    assert_eq!(response.into_body().text(100).await.unwrap(), "twice is fine");

    let client = RelayClient::builder(server.url()).resend(Resend::Never).build().unwrap();
    server.fail_with(&[562]);
    assert_eq!(note(&client.get("/").await.unwrap_err()), &NotRepeated::Off);
}
