//! Upstreams that answer before the request is complete. A part of the request is then left on their connection, so no other
//! request may be sent on it.

use std::time::Duration;

use crate::harness::{HOST, Setup, Upstream, Wire, eventually, run};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly";

/// Answers every head immediately, and treats the bytes after it as the next request, like some faulty servers.
async fn hasty() -> Upstream {
    Upstream::raw(|mut wire: Wire, _| async move {
        while wire.head().await.is_ok() {
            wire.send(ANSWER).await;
        }
    })
    .await
}

#[test]
fn a_connection_whose_upstream_answered_early_is_not_used_again() {
    run(async {
        for framing in ["content-length: 40", "transfer-encoding: chunked"] {
            let upstream = hasty().await;
            let relay = Setup::default()
                .tenant(HOST, &upstream.url(), "pass_through_routes: ['/open/*']")
                .start()
                .await;
            let mut attacker = relay.wire().await;
            attacker.send(format!("POST /open/a HTTP/1.1\r\nhost: {HOST}\r\n{framing}\r\n\r\n")).await;
            let early = attacker.response(false).await.unwrap();
            assert_eq!(early.text(), "early", "{framing}");
            // This upstream would treat the rest as a separate request.
            let smuggled = "GET /admin HTTP/1.1\r\nhost: evil.test\r\n\r\n";
            if framing.starts_with("content") {
                attacker.send(&smuggled[..40]).await;
            } else {
                attacker.chunk(smuggled.as_bytes()).await;
                attacker.send("0\r\n\r\n").await;
            }
            relay.settled().await;
            eventually("the upstream's connection is closed", || upstream.open() == 0).await;
            for _ in 0..3 {
                let answer = relay.ask(&format!("GET /open/b HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
                assert_eq!((answer.status(), answer.text()), (200, "early"), "{framing}");
            }
            assert!(upstream.accepted() > 1, "{framing}: a new connection");
        }
    });
}

#[test]
fn a_client_receives_a_complete_early_answer_while_it_is_still_sending() {
    run(async {
        let upstream = hasty().await;
        let relay =
            Setup::default().tenant(HOST, &upstream.url(), "pass_through_routes: ['/open/*']").start().await;
        let mut wire = relay.wire().await;
        let length = 8 << 20;
        wire.send(format!("POST /open/a HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {length}\r\n\r\n")).await;
        let (mut reading, mut writing) = wire.stream.split();
        let writer = async {
            let part = vec![b'x'; 64 << 10];
            for _ in 0..length / part.len() {
                if tokio::io::AsyncWriteExt::write_all(&mut writing, &part).await.is_err() {
                    return;
                }
            }
        };
        let reader = async {
            let mut answer = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer).await;
            answer
        };
        let (answer, ()) = tokio::join!(reader, writer);
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("early"), "{answer}");
        relay.settled().await;
    });
}

#[test]
fn a_connection_is_used_again_after_an_answer_to_a_whole_request() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay =
            Setup::default().tenant(HOST, &upstream.url(), "pass_through_routes: ['/open/*']").start().await;
        for round in 0..4 {
            let mut wire = relay.wire().await;
            let framing = ["content-length: 5", "transfer-encoding: chunked"][round % 2];
            wire.send(format!("POST /open/a HTTP/1.1\r\nhost: {HOST}\r\n{framing}\r\n\r\n")).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            if round % 2 == 0 {
                wire.send("hello").await;
            } else {
                wire.chunk(b"hello").await;
                wire.send("0\r\n\r\n").await;
            }
            assert_eq!(wire.response(false).await.unwrap().status(), 200);
            relay.settled().await;
        }
        assert_eq!(upstream.accepted(), 1);
    });
}
