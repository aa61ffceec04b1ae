//! Clients that misbehave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use mte_client::{Body, wire::BodyPlan};
use mte_codec::Sealer;
use tokio::io::AsyncWriteExt;

use super::Trial;
use crate::harness::{HOST, Pattern, Session, Upstream, Wire, channel, eventually, reply, run};

/// A streamed upload whose first frames are sent and opened, and whose end is not sent yet.
async fn half_an_upload(trial: &Trial, session: &Session) -> (Wire, Sealer) {
    let head = session.seal_head(Request::post("/").body(()).unwrap(), BodyPlan::Unknown);
    let mut sealer = Sealer::new(head.body.as_ref().unwrap(), &mut rand::rng()).unwrap();
    let mut wire = trial.relay.wire().await;
    wire.send(session.head("POST", &head.path, &head.headers, "transfer-encoding: chunked\r\n")).await;
    for _ in 0..3 {
        let part = sealer.seal(&Pattern::bytes(65_536), false).unwrap();
        wire.chunk(&part).await;
    }
    (wire, sealer)
}

#[test]
fn a_client_that_disconnects_during_an_upload_leaves_no_complete_request() {
    run(async {
        for rudely in [false, true] {
            let trial = Trial::new(Upstream::standard().await, "").await;
            let session = Session::new(&trial.relay).await;
            let (wire, _) = half_an_upload(&trial, &session).await;
            eventually("the upload has begun", || trial.bad.begun() == 1).await;
            if rudely {
                wire.reset();
            } else {
                drop(wire);
            }
            trial.recovers().await;
            assert!(trial.bad.seen().is_empty());
        }
    });
}

#[test]
fn a_client_that_disconnects_before_the_first_frame_does_not_reach_the_upstream() {
    run(async {
        let trial = Trial::new(Upstream::standard().await, "").await;
        let session = Session::new(&trial.relay).await;
        for keep in [0, 10, 100, 1_000] {
            let sealed = session.seal(Request::post("/").body(Pattern::bytes(2_000)).unwrap());
            let bytes = session.bytes(&sealed);
            let cut = bytes.len() - sealed.body.len() + keep;
            let mut wire = trial.relay.wire().await;
            wire.send(&bytes[..cut]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(wire);
        }
        trial.recovers().await;
        assert_eq!(trial.bad.accepted(), 0);
    });
}

#[test]
fn a_client_that_disconnects_while_waiting_ends_its_request_upstream() {
    run(async {
        let bad = Upstream::serve(|_| async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(reply(Pattern::known(1)))
        })
        .await;
        let trial = Trial::new(bad, "").await;
        let session = Session::new(&trial.relay).await;
        let sealed = session.seal(Request::get("/").body(Bytes::new()).unwrap());
        let mut wire = trial.relay.wire().await;
        wire.send(session.bytes(&sealed)).await;
        eventually("the request is upstream", || trial.bad.begun() == 1).await;
        drop(wire);
        trial.recovers().await;
    });
}

#[test]
fn a_client_that_disconnects_during_a_response_ends_it_upstream() {
    run(async {
        let trial = Trial::new(Upstream::standard().await, "").await;
        let mut response = trial.relay.client().get("/stream/1000000000").await.unwrap().into_body();
        response.data().await.unwrap().unwrap();
        drop(response);
        trial.recovers().await;
    });
}

/// An upstream that sends endlessly, and counts the bytes that were accepted.
async fn endless() -> (Upstream, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let upstream = Upstream::raw(move |mut wire: Wire, _| {
        let count = count.clone();
        async move {
            if wire.request().await.is_err() {
                return;
            }
            wire.send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
            let piece = vec![b'x'; 64 << 10];
            while wire.stream.write_all(&piece).await.is_ok() {
                count.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    (upstream, sent)
}

#[test]
fn a_client_that_stops_reading_stops_the_upstream_and_is_dropped_after_the_write_timeout() {
    run(async {
        let (bad, sent) = endless().await;
        let trial = Trial::new(bad, "timeouts: {write: 700ms}").await;
        let session = Session::new(&trial.relay).await;
        let sealed = session.seal(Request::get("/").body(Bytes::new()).unwrap());
        let mut wire = trial.relay.wire().await;
        wire.send(session.bytes(&sealed)).await;
        assert_eq!(wire.head().await.unwrap().status(), 200);
        // The bytes sent so far are in socket buffers, not in the relay.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let stuck = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(sent.load(Ordering::SeqCst), stuck, "the upstream is held back");
        assert!(stuck < 64 << 20, "{stuck} bytes");
        trial.relay.settled().await;
        while wire.some().await.is_some() {}
        drop(wire);
        trial.recovers().await;
    });
}

#[test]
fn an_upstream_that_stops_reading_stops_the_client_and_is_closed_after_the_timeouts() {
    run(async {
        let bad = Upstream::raw(|mut wire: Wire, _| async move {
            if wire.head().await.is_ok() {
                // Long enough that the relay gives up first.
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
        })
        .await;
        let trial = Trial::new(bad, "timeouts: {write: 500ms, read: 500ms}").await;
        let start = Instant::now();
        let client = trial.relay.client();
        let error = client.post("/", Body::wrap(Pattern::unknown(1 << 30))).await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        assert_eq!(error.relay_status(), Some(504), "{}", error.report());
        drop(client);
        trial.recovers().await;
    });
}

#[test]
fn a_request_that_arrives_byte_by_byte_is_served() {
    run(async {
        let trial = Trial::new(Upstream::standard().await, "").await;
        let session = Session::new(&trial.relay).await;
        let sealed = session.seal(Request::post("/slow").body("every byte of it".into()).unwrap());
        let mut wire = trial.relay.wire().await;
        for byte in session.bytes(&sealed) {
            wire.send([byte]).await;
            tokio::task::yield_now().await;
        }
        let response = wire.response(false).await.unwrap();
        let opened = sealed.opener.open(response.into_response()).unwrap();
        assert_eq!(opened.body(), "POST /slow 16");
    });
}

#[test]
fn a_large_body_in_small_pieces_arrives_complete() {
    run(async {
        let trial = Trial::new(Upstream::standard().await, "").await;
        let session = Session::new(&trial.relay).await;
        for chunked in [false, true] {
            let sealed = session.seal(Request::post("/slow").body(Pattern::bytes(200_000)).unwrap());
            let framing = match chunked {
                true => "transfer-encoding: chunked\r\n".to_owned(),
                false => format!("content-length: {}\r\n", sealed.body.len()),
            };
            let mut wire = trial.relay.wire().await;
            wire.send(session.head("POST", &sealed.path, &sealed.headers, &framing)).await;
            for piece in sealed.body.chunks(997) {
                match chunked {
                    true => wire.chunk(piece).await,
                    false => wire.send(piece).await,
                }
            }
            if chunked {
                wire.chunk(b"").await;
            }
            assert_eq!(wire.response(false).await.unwrap().status(), 200);
            assert_eq!(trial.bad.last().body, Pattern::digest(200_000));
        }
    });
}

#[test]
fn a_client_that_stops_sending_is_408_after_the_read_timeout() {
    run(async {
        let trial = Trial::new(Upstream::standard().await, "timeouts: {read: 300ms}").await;
        // Before its first frame has arrived ...
        let session = Session::new(&trial.relay).await;
        let sealed = session.seal(Request::post("/").body(Pattern::bytes(2_000)).unwrap());
        let bytes = session.bytes(&sealed);
        let mut wire = trial.relay.wire().await;
        wire.send(&bytes[..bytes.len() - 1_000]).await;
        let answer = wire.response(false).await.unwrap();
        assert_eq!((answer.status(), answer.json()["status"].as_u64()), (408, Some(408)));
        drop(wire);
        assert_eq!(trial.bad.accepted(), 0);
        // ... while it pairs ...
        let mut wire = trial.relay.wire().await;
        wire.send(format!("POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 9\r\n\r\n[")).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 408);
        drop(wire);
        // ... and in the middle of a stream, where the upstream has been silent for as long as the client.
        let (mut wire, _) = half_an_upload(&trial, &session).await;
        let answer = wire.response(false).await.unwrap();
        assert_eq!(answer.status(), 408, "{answer:?}");
        drop(wire);
        trial.recovers().await;
        assert!(trial.bad.seen().is_empty());
    });
}

#[test]
fn slow_streams_may_take_longer_than_the_timeouts_as_long_as_they_progress() {
    run(async {
        let bad = Upstream::serve(|request| async { Ok(reply(request.into_body())) }).await;
        let trial = Trial::new(bad, "timeouts: {read: 1s, write: 1s}").await;
        for mirrored in [true, false] {
            // In both directions at once, and then only upstream: the upstream sends nothing until the request has ended.
            let path = if mirrored { "/" } else { "/good" };
            let host = if mirrored { HOST } else { super::GOOD };
            let (pieces, body) = channel();
            let sending = tokio::spawn(async move {
                for _ in 0..6 {
                    pieces.send(Ok(Bytes::from_static(b"piece"))).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            });
            let client = trial.relay.builder(host).build().unwrap();
            let response = client.post(path, Body::wrap(body)).await.unwrap();
            let text = response.into_body().text(1_000).await.unwrap();
            sending.await.unwrap();
            assert_eq!(text, if mirrored { "piece".repeat(6) } else { "POST /good 30".into() });
        }
    });
}

#[test]
fn requests_that_are_not_http_are_refused_and_the_connection_is_closed() {
    run(async {
        let trial = Trial::new(Upstream::standard().await, "").await;
        for nonsense in [
            "complete nonsense\r\n\r\n".to_owned(),
            "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(),
            format!("POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: x\r\n\r\n"),
            format!(
                "POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n[]"
            ),
        ] {
            let mut wire = trial.relay.wire().await;
            wire.send(&nonsense).await;
            if let Ok(answer) = wire.response(false).await {
                assert_eq!(answer.status(), 400, "{nonsense:?}");
            }
            let closed = tokio::time::timeout(Duration::from_secs(8), wire.some()).await;
            assert_eq!(closed, Ok(None), "{nonsense:?}: the connection is closed");
        }
        trial.recovers().await;
    });
}

#[test]
fn a_connection_whose_framing_is_lost_serves_no_further_request() {
    run(async {
        let trial = Trial::with(Upstream::standard().await, "", "pass_through_routes: [/open]").await;
        let session = Session::new(&trial.relay).await;
        let sealed = session.seal(Request::post("/").body("x".into()).unwrap());
        let chunked = "transfer-encoding: chunked\r\n";
        let mut served = Vec::new();
        for head in [
            format!("POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\n{chunked}\r\n").into_bytes(),
            format!("POST /open HTTP/1.1\r\nhost: {HOST}\r\n{chunked}\r\n").into_bytes(),
            session.head("POST", &sealed.path, &sealed.headers, chunked),
        ] {
            let mut wire = trial.relay.wire().await;
            wire.send(&head).await;
            // This is not a valid chunk: the end of the body, and the start of the next request, are unknown.
            wire.send(format!("zz\r\nGET /api/mte-echo/hidden HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            let answer = wire.response(false).await.unwrap();
            let what = String::from_utf8_lossy(&head);
            assert_eq!(answer.status(), 400, "{what}");
            wire.send(format!("GET /api/mte-echo/next HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            if let Ok(further) = wire.response(false).await {
                served.push(format!("after {what}: {}", String::from_utf8_lossy(&further.body)));
            }
        }
        assert!(served.is_empty(), "{}", served.join("\n"));
        assert!(trial.bad.seen().is_empty());
    });
}

#[test]
fn a_request_hidden_behind_two_framings_does_not_reach_the_upstream() {
    run(async {
        let trial =
            Trial::with(Upstream::standard().await, "", "pass_through_routes: ['/open', '/hidden']").await;
        let mut wire = trial.relay.wire().await;
        wire.send(format!(
            "POST /open HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
             0\r\n\r\nGET /hidden HTTP/1.1\r\nhost: {HOST}\r\n\r\n"
        ))
        .await;
        let _ = wire.response(false).await;
        drop(wire);
        trial.relay.deserted().await;
        // If the body is read as chunks, the bytes after it are a second request. Relay and upstream must not disagree about
        // that.
        for seen in trial.bad.seen() {
            assert_eq!(seen.body.len, 0, "{seen:?}");
        }
    });
}
