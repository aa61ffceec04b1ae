//! Streamed bodies: in pieces, in order, cut off, too long, too short.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use mte_codec::{EncodeType, MAX_FRAME, OpenError, seal::message_len};
use tokio::sync::mpsc;

use super::server::Server;
use crate::{Body, Error, RelayClient, ResponseError};

async fn started() -> (Server, RelayClient) {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).pairs(1).build().unwrap();
    (server, client)
}

/// A stream whose pieces come from the test.
fn channel() -> (mpsc::UnboundedSender<Bytes>, Body) {
    let (sender, receiver) = mpsc::unbounded_channel::<Bytes>();
    let pieces = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), receiver))
    });
    (sender, Body::from_stream(pieces))
}

/// A body of a known length, in pieces that do not fit frames.
fn sized(announced: u64, pieces: Vec<usize>) -> Body {
    struct Sized(u64, std::vec::IntoIter<usize>);
    impl http_body::Body for Sized {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            let piece = self.1.next().map(|len| Ok(http_body::Frame::data(vec![1; len].into())));
            std::task::Poll::Ready(piece)
        }
        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(self.0)
        }
    }
    Body::wrap(Sized(announced, pieces.into_iter()))
}

async fn frames(server: &Server) -> Vec<usize> {
    let mut uploaded = server.shared.uploaded.lock().await;
    std::iter::from_fn(|| uploaded.try_recv().ok()).collect()
}

fn header(server: &Server, name: &str) -> Option<String> {
    let headers = server.shared.seen.wire_headers.lock().unwrap();
    headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_upload_is_sealed_as_it_arrives() {
    let (server, client) = started().await;
    let (sender, body) = channel();
    let request = tokio::spawn(async move { client.post("/upload", body).await });
    for piece in ["first", "and second"] {
        sender.send(piece.into()).unwrap();
        // The relay has opened this piece before the next one is sent.
        assert_eq!(server.shared.uploaded.lock().await.recv().await, Some(piece.len()));
    }
    drop(sender);
    let response = request.await.unwrap().unwrap();
    assert_eq!(response.into_body().text(100).await.unwrap(), "firstand second");
    assert_eq!(header(&server, "content-length"), None);
}

#[tokio::test]
async fn a_download_is_opened_as_it_arrives() {
    let (server, client) = started().await;
    let sender = server.live();
    let mut body = client.get("/live").await.unwrap().into_body();
    for piece in ["one", "two", "three"] {
        sender.send(piece.into()).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    drop(sender);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_cut_download_ends_with_an_error() {
    let (server, client) = started().await;
    let sender = server.live();
    let mut body = client.get("/live").await.unwrap().into_body();
    sender.send("one".into()).unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    sender.send(Bytes::new()).unwrap();
    let error = body.frame().await.unwrap().unwrap_err();
    let cut = matches!(error, Error::Http(_) | Error::Response(ResponseError::Body(OpenError::Truncated)));
    assert!(cut, "{error}");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_body_of_known_length_has_a_content_length_and_full_frames() {
    let (server, client) = started().await;
    let len = 2 * MAX_FRAME + 100;
    let bodies = [
        Body::from(vec![1; len]),
        sized(len as u64, vec![1, MAX_FRAME, 5, 60_000, len - MAX_FRAME - 60_006]),
    ];
    for body in bodies {
        let response = client.post("/upload", body).await.unwrap();
        assert_eq!(response.headers()["x-saw"], format!("POST /upload HTTP/1.1 {len}"));
        assert_eq!(response.into_body().bytes(len).await.unwrap().len(), len);
        assert_eq!(frames(&server).await, [MAX_FRAME, MAX_FRAME, 100]);
        let wire = message_len(EncodeType::Mke, len).to_string();
        assert_eq!(header(&server, "content-length"), Some(wire));
    }
}

#[tokio::test]
async fn a_reader_is_a_body() {
    let (server, client) = started().await;
    for (length, expected) in [
        (Some(100_000), vec![MAX_FRAME, 100_000 - MAX_FRAME]),
        (None, vec![MAX_FRAME, 100_000 - MAX_FRAME, 0]),
    ] {
        let reader = std::io::Cursor::new(vec![1; 100_000]);
        let response = client.post("/upload", Body::from_reader(reader, length)).await.unwrap();
        assert_eq!(response.into_body().bytes(100_000).await.unwrap().len(), 100_000);
        assert_eq!(frames(&server).await, expected);
    }
}

#[tokio::test]
async fn exact_multiples_of_a_frame_work() {
    let (server, client) = started().await;
    for (len, expected) in [(MAX_FRAME, vec![MAX_FRAME]), (2 * MAX_FRAME, vec![MAX_FRAME, MAX_FRAME])] {
        for body in [Body::from(vec![1; len]), sized(len as u64, vec![len / 2, len / 2])] {
            client.post("/upload", body).await.unwrap();
            assert_eq!(frames(&server).await, expected);
        }
    }
}

#[tokio::test]
async fn a_stream_that_turns_out_empty_is_one_empty_message() {
    let (server, client) = started().await;
    let (sender, body) = channel();
    drop(sender);
    let response = client.post("/upload", body).await.unwrap();
    assert_eq!(response.into_body().bytes(0).await.unwrap(), "");
    assert_eq!(frames(&server).await, [0]);
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_an_error() {
    let (_server, client) = started().await;
    for (announced, pieces) in
        [(10, vec![4, 4]), (10, vec![4, 8]), (100_000, vec![99_999]), (100_000, vec![100_001])]
    {
        let error = client.post("/upload", sized(announced, pieces)).await.unwrap_err();
        assert!(matches!(error, Error::BodyLength { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_failing_upload_is_the_callers_error() {
    let (_server, client) = started().await;
    let pieces = [Ok("piece"), Err(std::io::Error::other("the disk is gone"))];
    let error = client.post("/upload", Body::from_stream(stream::iter(pieces))).await.unwrap_err();
    assert!(matches!(error, Error::RequestBody(_)), "{error:?}");
    assert!(error.report().contains("the disk is gone"));
}

#[tokio::test]
async fn a_large_download_keeps_its_order_and_its_limit() {
    let (_server, client) = started().await;
    let body = client.get("/big").await.unwrap().into_body().bytes(3_000_000).await.unwrap();
    assert!(body.len() == 3_000_000 && body.iter().all(|byte| *byte == 7));
    let error = client.get("/big").await.unwrap().into_body().bytes(2_999_999).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 2_999_999 }));
}

#[tokio::test]
async fn a_stream_of_type_mte_is_gathered_and_sealed_whole() {
    let server = Server::start().await;
    let client =
        RelayClient::builder(server.url()).encode_type(EncodeType::Mte).max_mte_body(20).build().unwrap();
    let body = |pieces: Vec<&'static str>| {
        Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
    };
    let response = client.post("/upload", body(vec!["short ", "secret"])).await.unwrap();
    assert_eq!(response.into_body().text(100).await.unwrap(), "short secret");
    let error = client.post("/upload", body(vec!["a long secret", "a long secret"])).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 20 }));
    // Because it is held in memory, it can be sent again.
    server.fail_with(&[562]);
    let request = http::Request::put("/upload").body(body(vec!["again"])).unwrap();
    client.send(request).await.unwrap();
}
