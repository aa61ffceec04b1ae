//! Upstreams that misbehave.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, Request};
use mte_client::{Body, Error};

use super::Trial;
use crate::harness::{HOST, Pattern, Setup, Upstream, Wire, free_port, run};

async fn get(trial: &Trial) -> Result<String, Error> {
    trial.relay.client().get("/").await?.into_body().text(1_000).await
}

#[test]
fn an_upstream_that_refuses_connections_is_502() {
    run(async {
        let relay = Setup::default()
            .tenant(HOST, &format!("http://127.0.0.1:{}", free_port()), "pass_through_routes: [/open]")
            .start()
            .await;
        for _ in 0..3 {
            let error = relay.client().post("/", Body::wrap(Pattern::known(1 << 20))).await.unwrap_err();
            assert_eq!(error.relay_status(), Some(502), "{error}");
        }
        let answer = relay.ask(&format!("GET /open HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!((answer.status(), answer.json()["status"].as_u64()), (502, Some(502)));
        relay.deserted().await;
    });
}

#[test]
fn an_upstream_whose_name_does_not_resolve_is_502() {
    run(async {
        let relay = Setup::default().tenant(HOST, "http://does-not-exist.invalid", "").start().await;
        let error = relay.client().get("/").await.unwrap_err();
        assert_eq!(error.relay_status(), Some(502), "{error}");
        relay.deserted().await;
    });
}

#[test]
fn an_upstream_that_accepts_no_connection_is_504_after_the_connect_timeout() {
    run(async {
        // The queue of a listener that never accepts fills up; the kernel then does not respond to new connections.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        loop {
            let connecting = tokio::net::TcpStream::connect(address);
            match tokio::time::timeout(Duration::from_millis(200), connecting).await {
                Ok(stream) => waiting.push(stream.unwrap()),
                Err(_) => break,
            }
        }
        let relay = Setup::default()
            .top("timeouts: {connect: 300ms}")
            .tenant(HOST, &format!("http://{address}"), "retries: 0")
            .start()
            .await;
        let start = Instant::now();
        let error = relay.client().get("/").await.unwrap_err();
        assert_eq!(error.relay_status(), Some(504), "{error}");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        relay.deserted().await;
    });
}

#[test]
fn an_upstream_that_does_not_answer_is_504_after_the_read_timeout() {
    run(async {
        let bad =
            Upstream::raw(|mut wire: Wire, _| async move { while wire.some().await.is_some() {} }).await;
        let trial = Trial::with(bad, "timeouts: {read: 300ms}", "pass_through_routes: [/open]").await;
        let start = Instant::now();
        assert_eq!(get(&trial).await.unwrap_err().relay_status(), Some(504));
        let answer = trial.relay.ask(&format!("GET /open HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(answer.status(), 504);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        trial.recovers().await;
    });
}

#[test]
fn an_upstream_that_stops_in_the_middle_of_a_body_cuts_the_response() {
    run(async {
        let bad = Upstream::raw(|mut wire: Wire, _| async move {
            wire.request().await.unwrap();
            wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
            while wire.some().await.is_some() {}
        })
        .await;
        let trial = Trial::new(bad, "timeouts: {read: 300ms}").await;
        let response = trial.relay.client().get("/").await.unwrap();
        let mut body = response.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "hello");
        assert!(body.data().await.unwrap().is_err());
        drop(body);
        trial.recovers().await;
    });
}

#[test]
fn an_upstream_that_resets_in_the_middle_of_a_body_cuts_the_response() {
    run(async {
        let bad = Upstream::raw(|mut wire: Wire, _| async move {
            wire.request().await.unwrap();
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nhello").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            wire.reset();
        })
        .await;
        let trial = Trial::new(bad, "").await;
        for _ in 0..5 {
            assert!(get(&trial).await.is_err());
        }
        trial.recovers().await;
    });
}

#[test]
fn an_upstream_that_does_not_send_http_is_502() {
    run(async {
        for garbage in [
            "",
            "\r\n",
            "complete nonsense\r\n\r\n",
            "SSH-2.0-OpenSSH_9.9\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
            "HTTP/1.1 99999 OK\r\n\r\n",
            "HTTP/9.9 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5",
            "HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        ] {
            let bad = Upstream::raw(move |mut wire: Wire, _| async move {
                if wire.request().await.is_ok() {
                    wire.send(garbage).await;
                }
            })
            .await;
            let trial = Trial::new(bad, "").await;
            let error = get(&trial).await.expect_err(garbage);
            assert_eq!(error.relay_status(), Some(502), "{garbage:?}: {}", error.report());
            trial.recovers().await;
        }
    });
}

#[test]
fn a_response_with_broken_chunks_never_looks_complete() {
    run(async {
        for chunks in ["zz\r\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n"] {
            let bad = Upstream::raw(move |mut wire: Wire, _| async move {
                if wire.request().await.is_ok() {
                    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                    wire.send(chunks).await;
                }
            })
            .await;
            let trial = Trial::new(bad, "").await;
            let opened = get(&trial).await;
            assert!(opened.is_err(), "{chunks:?}: {opened:?}");
            trial.recovers().await;
        }
    });
}

#[test]
fn response_headers_without_end_do_not_fill_the_memory() {
    run(async {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let bad = Upstream::raw(move |mut wire: Wire, _| {
            let count = count.clone();
            async move {
                if wire.request().await.is_err() {
                    return;
                }
                wire.send("HTTP/1.1 200 OK\r\nx-endless: ").await;
                let piece = vec![b'x'; 64 << 10];
                while count.load(Ordering::SeqCst) < 64 << 20
                    && tokio::io::AsyncWriteExt::write_all(&mut wire.stream, &piece).await.is_ok()
                {
                    count.fetch_add(piece.len(), Ordering::SeqCst);
                }
            }
        })
        .await;
        let trial = Trial::new(bad, "").await;
        assert_eq!(get(&trial).await.unwrap_err().relay_status(), Some(502));
        assert!(sent.load(Ordering::SeqCst) < 32 << 20);
        trial.recovers().await;
    });
}

/// An upstream that answers the first request of every connection, and closes it at the second one without a response.
async fn fickle() -> (Upstream, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    let upstream = Upstream::raw(move |mut wire: Wire, _| {
        let count = count.clone();
        async move {
            if wire.request().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
                wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
            if wire.request().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (upstream, requests)
}

#[test]
fn an_idempotent_request_on_a_kept_alive_connection_that_closes_is_sent_again() {
    run(async {
        for (method, body) in [
            (Method::GET, Body::empty()),
            (Method::PUT, Body::from("small")),
            (Method::DELETE, Body::empty()),
            (Method::PUT, Body::from(Pattern::bytes(60_000))),
        ] {
            let (bad, requests) = fickle().await;
            let trial = Trial::new(bad, "").await;
            let client = trial.relay.client();
            assert_eq!(client.get("/").await.unwrap().status(), 200);
            let request = Request::builder().method(method.clone()).uri("/").body(body).unwrap();
            let response = client.send(request).await;
            assert_eq!(response.unwrap_or_else(|error| panic!("{method}: {error}")).status(), 200);
            assert_eq!(requests.load(Ordering::SeqCst), 3, "{method}: two at the first connection");
            assert_eq!(trial.bad.accepted(), 2);
        }
    });
}

#[test]
fn a_post_on_a_kept_alive_connection_that_closes_is_not_sent_twice() {
    run(async {
        let (bad, requests) = fickle().await;
        let trial = Trial::new(bad, "").await;
        let client = trial.relay.client();
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        let error = client.post("/", "once").await.unwrap_err();
        assert_eq!(error.relay_status(), Some(502), "{error}");
        assert_eq!((requests.load(Ordering::SeqCst), trial.bad.accepted()), (2, 1));
        // On a new connection it succeeds.
        assert_eq!(client.post("/", "once").await.unwrap().status(), 200);
        assert_eq!((requests.load(Ordering::SeqCst), trial.bad.accepted()), (3, 2));
    });
}

#[test]
fn a_streamed_request_on_a_kept_alive_connection_that_closes_is_not_sent_twice() {
    run(async {
        let (bad, requests) = fickle().await;
        let trial = Trial::new(bad, "").await;
        let client = trial.relay.client();
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        let request = Request::put("/").body(Body::wrap(Pattern::unknown(1 << 20))).unwrap();
        let error = client.send(request).await.unwrap_err();
        assert_eq!(error.relay_status(), Some(502), "{error}");
        assert_eq!((requests.load(Ordering::SeqCst), trial.bad.accepted()), (2, 1));
    });
}

#[test]
fn an_idempotent_request_that_fails_on_a_new_connection_is_not_sent_again() {
    run(async {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        let bad = Upstream::raw(move |mut wire: Wire, _| {
            let count = count.clone();
            async move {
                if wire.request().await.is_ok() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
        .await;
        let trial = Trial::new(bad, "").await;
        assert_eq!(get(&trial).await.unwrap_err().relay_status(), Some(502));
        assert_eq!(requests.load(Ordering::SeqCst), 1);
        trial.recovers().await;
    });
}

#[test]
fn a_connection_that_the_upstream_closed_while_it_was_idle_is_not_used() {
    run(async {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        let bad = Upstream::raw(move |mut wire: Wire, _| {
            let count = count.clone();
            async move {
                if wire.request().await.is_ok() {
                    count.fetch_add(1, Ordering::SeqCst);
                    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                }
            }
        })
        .await;
        let trial = Trial::new(bad, "").await;
        let client = trial.relay.client();
        for round in 1..=5 {
            assert_eq!(client.post("/", "once").await.unwrap().status(), 200, "{round}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(requests.load(Ordering::SeqCst), round);
        }
    });
}

#[test]
fn connections_to_the_upstream_are_kept_and_used_again() {
    run(async {
        let upstream = Upstream::standard().await;
        let trial = Trial::new(upstream, "").await;
        let client = trial.relay.client();
        for path in ["/", "/bytes/100000", "/stream/100000", "/status/204", "/bytes/0", "/"] {
            let response = client.post(path, "x").await.unwrap();
            response.into_body().bytes(1 << 20).await.unwrap();
        }
        assert_eq!(trial.bad.accepted(), 1);
    });
}
