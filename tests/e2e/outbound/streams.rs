//! Bodies that stream: their rhythm, back pressure, and ends that come early.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Body, Frame};
use parking_lot::Mutex;

use super::{Chain, LOOPBACK};
use crate::harness::{End, Pattern, Upstream, channel, digest, event_stream, eventually, reply, run};

/// Between an event's leaving the upstream and its arrival at the application.
const LATE: Duration = Duration::from_millis(50);

#[test]
fn events_arrive_one_by_one_within_fifty_milliseconds() {
    run(async {
        let (events, answer) = event_stream();
        let upstream = Upstream::serve(move |_| std::future::ready(Ok(answer()))).await;
        let chain = Chain::to(upstream, "", LOOPBACK, "").await;
        let mut app = chain.app().await;
        let response = app.send("GET", "/events", Empty::new()).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        let mut delays = Vec::new();
        for number in 0..40 {
            // The next event does not exist before this one is there.
            let event = format!("data: {number}\n\n");
            let sent = Instant::now();
            events.send(Ok(event.clone().into())).await.unwrap();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), event);
            delays.push(sent.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(events);
        assert!(body.frame().await.is_none());
        delays.sort();
        println!("median {:?}, longest {:?}", delays[20], delays[39]);
        // One of forty may meet a machine that is busy with other tests.
        assert!(delays[38] < LATE, "{delays:?}");
    });
}

#[test]
fn parts_of_a_request_reach_the_upstream_as_they_come() {
    run(async {
        let (seen, mut parts) = tokio::sync::mpsc::unbounded_channel();
        let upstream = Upstream::serve(move |request| {
            let seen = seen.clone();
            async move {
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    let _ = seen.send(frame?.into_data().unwrap_or_default());
                }
                Ok(reply(Empty::new()))
            }
        })
        .await;
        let chain = Chain::to(upstream, "", LOOPBACK, "").await;
        let (sender, body) = channel();
        let mut app = chain.app().await;
        let answer = tokio::spawn(async move { app.send("POST", "/", body).await.unwrap() });
        for number in 0..10 {
            let part = format!("part {number}");
            sender.send(Ok(part.clone().into())).await.unwrap();
            assert_eq!(parts.recv().await.unwrap(), part);
        }
        drop(sender);
        assert_eq!(answer.await.unwrap().status(), 200);
    });
}

#[test]
fn both_directions_stream_at_once() {
    run(async {
        let upstream = Upstream::serve(|request| async { Ok(reply(request.into_body())) }).await;
        let chain = Chain::to(upstream, "", LOOPBACK, "").await;
        let (sender, body) = channel();
        let mut app = chain.app().await;
        sender.send(Ok("first".into())).await.unwrap();
        let mut answer = app.send("POST", "/", body).await.unwrap().into_body();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
        for number in 0..10 {
            let part = format!("part {number}");
            sender.send(Ok(part.clone().into())).await.unwrap();
            assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), part);
        }
        drop(sender);
        assert!(answer.frame().await.is_none());
        chain.a.settled().await;
    });
}

/// Counts what is taken of an endless body.
fn endless(
    taken: Arc<Mutex<u64>>,
) -> impl Body<Data = bytes::Bytes, Error = std::convert::Infallible> + Send {
    let piece = Pattern::bytes(64 << 10);
    StreamBody::new(futures_util::stream::repeat_with(move || {
        *taken.lock() += piece.len() as u64;
        Ok(Frame::data(piece.clone()))
    }))
}

/// What it stops at.
async fn settles(taken: &Mutex<u64>) -> u64 {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = *taken.lock();
        if now == before && now > 0 {
            return now;
        }
        before = now;
    }
}

/// Buffers of sockets on the way, and a few frames: far below what an unbounded buffer would take.
const HELD: u64 = 48 << 20;

#[test]
fn an_upstream_that_does_not_read_holds_up_the_application() {
    run(async {
        let upstream = Upstream::raw(|mut wire, _| async move {
            let _ = wire.head().await;
            tokio::time::sleep(Duration::from_secs(100)).await;
        })
        .await;
        let chain = Chain::to(upstream, "timeouts: {write: 3s}", LOOPBACK, "").await;
        let taken = Arc::new(Mutex::new(0));
        let (mut app, body) = (chain.app().await, endless(taken.clone()));
        let sending = tokio::spawn(async move { app.send("POST", "/", body).await });
        let held = settles(&taken).await;
        println!("{} KiB on the way", held >> 10);
        assert!(held < HELD, "{held}");
        // And not for ever.
        assert!(sending.await.unwrap().map_or(true, |answer| answer.status() == 504));
        assert_eq!(super::failures(&chain.a, "peer_timeout"), 1);
        chain.a.settled().await;
    });
}

#[test]
fn an_application_that_does_not_read_holds_up_the_upstream() {
    run(async {
        let taken = Arc::new(Mutex::new(0));
        let count = taken.clone();
        let upstream = Upstream::serve(move |_| {
            let body = endless(count.clone());
            async { Ok(reply(body)) }
        })
        .await;
        let chain = Chain::to(upstream, "", LOOPBACK, "").await;
        let mut app = chain.app().await;
        let response = app.send("GET", "/", Empty::new()).await.unwrap();
        let held = settles(&taken).await;
        println!("{} KiB on the way", held >> 10);
        assert!(held < HELD, "{held}");
        drop((response, app));
        chain.a.settled().await;
        eventually("the upstream is free", || chain.upstream.open() == 0).await;
    });
}

#[test]
fn an_application_that_goes_away_ends_the_exchange_everywhere() {
    run(async {
        // While its response is waited for,
        let upstream = Upstream::serve(|_| async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            Ok(reply(Empty::new()))
        })
        .await;
        let chain = Chain::to(upstream, "", LOOPBACK, "").await;
        let mut wire = chain.a.wire().await;
        wire.send(format!("GET / HTTP/1.1\r\n{}\r\n", chain.lines())).await;
        eventually("the upstream has it", || chain.upstream.begun() == 1).await;
        drop(wire);
        eventually("the upstream is free", || chain.upstream.open() == 0).await;
        chain.a.settled().await;
        assert_eq!(super::failures(&chain.a, "client_closed"), 1);

        // and while it sends a body, of either framing: a part is never taken for the whole.
        let (chain, mut begun) = (Chain::new().await, 0);
        for framing in ["transfer-encoding: chunked", "content-length: 500000"] {
            let mut wire = chain.a.wire().await;
            wire.send(format!("POST / HTTP/1.1\r\n{}{framing}\r\n\r\n", chain.lines())).await;
            let part = Pattern::bytes(200_000);
            if framing.starts_with('t') {
                wire.chunk(&part).await;
            } else {
                wire.send(&part).await;
            }
            begun += 1;
            eventually("the upstream has some of it", || chain.upstream.begun() == begun).await;
            drop(wire);
            chain.a.settled().await;
            chain.b.settled().await;
            eventually("the upstream is free", || chain.upstream.open() == 0).await;
        }
        assert!(chain.upstream.seen().is_empty(), "a cut body has arrived as a whole one");
    });
}

#[test]
fn an_upstream_that_breaks_off_cuts_the_response() {
    run(async {
        let upstream = Upstream::serve(|_| async {
            let (sender, body) = channel();
            tokio::spawn(async move {
                sender.send(Ok(Pattern::bytes(100_000))).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
                let _ = sender.send(Err("it breaks off".into())).await;
            });
            Ok(reply(body))
        })
        .await;
        let chain = Chain::to(upstream, "", LOOPBACK, "").await;
        let response = chain.ask("GET / HTTP/1.1", "").await;
        assert_eq!((response.status(), response.end), (200, End::Cut));
        assert_eq!(super::failures(&chain.a, "peer_closed"), 1);
        let response = chain.ask("GET / HTTP/1.0", "").await;
        // Nothing in HTTP/1.0 says that it is cut, but what is there is right.
        assert!(Pattern::bytes(100_000).starts_with(&response.body));
        chain.a.settled().await;
    });
}

#[test]
fn a_response_that_comes_before_the_request_is_whole_is_delivered() {
    run(async {
        let upstream = Upstream::raw(|mut wire, _| async move {
            while wire.head().await.is_ok() {
                wire.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\n\r\nenough").await;
                let _ = wire.some().await;
            }
        })
        .await;
        let chain = Chain::to(upstream, "", LOOPBACK, "").await;
        let (sender, body) = channel();
        let mut app = chain.app().await;
        sender.send(Ok(Pattern::bytes(100_000))).await.unwrap();
        let answer = app.send("POST", "/", body).await.unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "enoug");
        drop(sender);
        chain.a.settled().await;
    });
}

#[test]
fn a_client_that_stops_sending_is_408() {
    run(async {
        let chain = Chain::with("timeouts: {read: 1s}", LOOPBACK, "").await;
        let mut wire = chain.a.wire().await;
        wire.send(format!("POST / HTTP/1.1\r\n{}content-length: 100000\r\n\r\nbegun", chain.lines())).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 408);
        assert_eq!(super::failures(&chain.a, "request_timeout"), 1);
        assert!(chain.upstream.seen().is_empty());
    });
}

#[test]
fn many_exchanges_at_once_do_not_mix() {
    run(async {
        let chain = Arc::new(Chain::new().await);
        let exchanges = (0..32_u64).map(|index| {
            let chain = chain.clone();
            tokio::spawn(async move {
                let mut app = chain.app().await;
                for round in 0..4 {
                    let len = 10_000 + index * 1_000 + round;
                    let response =
                        app.send("PUT", &format!("/stream/{len}"), Pattern::unknown(len)).await.unwrap();
                    assert_eq!(digest(response.into_body()).await.unwrap(), Pattern::digest(len));
                }
            })
        });
        for exchange in exchanges.collect::<Vec<_>>() {
            exchange.await.unwrap();
        }
        assert_eq!(chain.upstream.seen().len(), 128);
        let bodies = chain.upstream.seen();
        assert!(bodies.iter().all(|seen| seen.target == format!("/stream/{}", seen.body.len)));
        chain.a.settled().await;
    });
}
