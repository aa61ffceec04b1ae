//! Bodies: their sizes, lengths, timing and ends.

mod ends;
mod heads;
mod lengths;

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use mte_client::{Body, EncodeType};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::harness::{HOST, Pattern, Relay, Upstream, channel, digest, event_stream, reply, run};

const SIZES: [u64; 6] = [0, 1, 65_535, 65_536, 65_537, 1 << 20];

#[test]
fn bodies_of_every_size_arrive_whole_in_both_directions() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        for encode_type in [EncodeType::Mke, EncodeType::Mte] {
            let client = relay.builder(HOST).encode_type(encode_type).build().unwrap();
            for size in SIZES {
                let bodies = [
                    ("bytes", Body::from(Pattern::bytes(size))),
                    ("stream", Body::wrap(Pattern::known(size))),
                    ("bytes", Body::wrap(Pattern::unknown(size))),
                ];
                for (kind, body) in bodies {
                    let response = client.post(format!("/{kind}/{size}"), body).await.unwrap();
                    assert_eq!(upstream.last().body, Pattern::digest(size), "{encode_type} {size} up");
                    let down = digest(response.into_body()).await.unwrap();
                    assert_eq!(down, Pattern::digest(size), "{encode_type} {size} down");
                }
            }
        }
        relay.settled().await;
    });
}

#[test]
fn sixty_four_mebibytes_of_known_length_arrive_whole() {
    run(sixty_four_mebibytes(Pattern::known(64 << 20), "stream"));
}

#[test]
fn sixty_four_mebibytes_of_unknown_length_arrive_whole() {
    run(sixty_four_mebibytes(Pattern::unknown(64 << 20), "bytes"));
}

async fn sixty_four_mebibytes(up: Pattern, down: &str) {
    let upstream = Upstream::standard().await;
    let relay = Relay::of(&upstream).await;
    let response = relay.client().post(format!("/{down}/{}", 64 << 20), Body::wrap(up)).await.unwrap();
    assert_eq!(upstream.last().body, Pattern::digest(64 << 20));
    assert_eq!(digest(response.into_body()).await.unwrap(), Pattern::digest(64 << 20));
}

#[test]
fn pass_through_bodies_arrive_unchanged_in_both_directions() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = crate::harness::Setup::default()
            .tenant(HOST, &upstream.url(), "pass_through_routes: ['/bytes/*', '/stream/*']")
            .start()
            .await;
        for size in SIZES {
            let body = Pattern::bytes(size);
            for path in [format!("/bytes/{size}"), format!("/stream/{size}")] {
                let mut wire = relay.wire().await;
                let head = format!("POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {size}\r\n\r\n");
                wire.send(&head).await;
                wire.send(&body).await;
                let response = wire.response(false).await.unwrap();
                assert_eq!(response.body, body, "{path}");
                assert_eq!(upstream.last().body, Pattern::digest(size), "{path}");
                assert_eq!(response.header("x-mte-relay"), None);
            }
        }
    });
}

#[test]
fn events_arrive_one_by_one() {
    run(async {
        let (events, answer) = event_stream();
        let upstream = Upstream::serve(move |_| std::future::ready(Ok(answer()))).await;
        let relay = Relay::of(&upstream).await;
        let response = relay.client().get("/events").await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        for number in 0..20 {
            // The next event is sent only after this one has arrived.
            let event = format!("data: {number}\n\n");
            events.send(Ok(event.clone().into())).await.unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), event);
        }
        drop(events);
        assert!(body.data().await.is_none());
    });
}

#[test]
fn a_large_response_of_known_length_arrives_piece_by_piece_too() {
    run(async {
        let (go, going) = mpsc::channel::<()>(1);
        let going = Arc::new(Mutex::new(Some(going)));
        let upstream = Upstream::raw(move |mut wire, _| {
            let mut going = going.lock().take().unwrap();
            async move {
                wire.request().await.unwrap();
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100005\r\n\r\nhello").await;
                going.recv().await;
                wire.send(Pattern::bytes(100_000)).await;
            }
        })
        .await;
        let relay = Relay::of(&upstream).await;
        let response = relay.client().get("/").await.unwrap();
        let mut body = response.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "hello");
        go.send(()).await.unwrap();
        assert_eq!(digest(body).await.unwrap(), Pattern::digest(100_000));
    });
}

#[test]
fn a_request_body_reaches_the_upstream_piece_by_piece() {
    run(async {
        let (arrived, mut arrivals) = mpsc::channel(1);
        let upstream = Upstream::serve(move |mut request: Request<hyper::body::Incoming>| {
            let arrived = arrived.clone();
            async move {
                while let Some(frame) = request.body_mut().frame().await {
                    arrived.send(frame?.into_data().unwrap()).await?;
                }
                Ok(reply(http_body_util::Full::from("all there")))
            }
        })
        .await;
        let relay = Relay::of(&upstream).await;
        let (pieces, body) = channel();
        let client = relay.client();
        let sending = tokio::spawn(async move { client.post("/upload", Body::wrap(body)).await });
        for number in 0..20 {
            let piece = Bytes::from(format!("piece {number}"));
            pieces.send(Ok(piece.clone())).await.unwrap();
            assert_eq!(arrivals.recv().await.unwrap(), piece);
        }
        drop(pieces);
        let response = sending.await.unwrap().unwrap();
        assert_eq!(response.into_body().text(100).await.unwrap(), "all there");
    });
}

#[test]
fn an_upstream_may_answer_while_the_request_is_still_coming() {
    run(async {
        // Both directions at once: every piece is returned before the next one is sent.
        let upstream = Upstream::serve(|request| async { Ok(reply(request.into_body())) }).await;
        let relay = Relay::of(&upstream).await;
        let (pieces, body) = channel();
        pieces.send(Ok("first".into())).await.unwrap();
        let response = relay.client().post("/mirror", Body::wrap(body)).await.unwrap();
        let mut body = response.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "first");
        for piece in ["second", "third"] {
            pieces.send(Ok(piece.into())).await.unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), piece);
        }
        drop(pieces);
        assert!(body.data().await.is_none());
    });
}
