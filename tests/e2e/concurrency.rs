//! Many requests at once.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, Full};
use mte_client::{Body, EncodeType};

use crate::harness::{HOST, Pattern, Relay, Session, Setup, Upstream, channel, eventually, reply, run};

#[test]
fn thousands_of_requests_over_a_few_pairs_are_all_correct_and_distinct() {
    const REQUESTS: usize = 3_000;
    const AT_ONCE: usize = 64;
    run(async {
        let upstream = Upstream::serve(|request| async {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let mut text = format!("{} {} ", parts.method, parts.uri).into_bytes();
            text.extend_from_slice(&body);
            let mut reply = reply(Full::from(text));
            reply.headers_mut().insert("x-number", parts.headers["x-number"].clone());
            Ok(reply)
        })
        .await;
        let relay = Relay::of(&upstream).await;
        let client = relay.builder(HOST).pairs(3).build().unwrap();
        let one = |number: usize| {
            let client = client.clone();
            async move {
                let body = format!("body {number} {}", "x".repeat(number % 700));
                let request = Request::post(format!("/{number}")).header("x-number", number);
                let response = client.send(request.body(body.clone().into()).unwrap()).await.unwrap();
                assert_eq!(response.headers()["x-number"], *number.to_string());
                let text = response.into_body().text(10_000).await.unwrap();
                assert_eq!(text, format!("POST /{number} {body}"));
                number
            }
        };
        let done: HashSet<_> = stream::iter(0..REQUESTS).map(one).buffer_unordered(AT_ONCE).collect().await;
        assert_eq!(done.len(), REQUESTS);
        assert_eq!(upstream.begun(), REQUESTS, "nothing was sent twice");
        assert!(relay.shared.pairs.counts().created <= 9, "{:?}", relay.shared.pairs.counts());
        relay.settled().await;
    });
}

#[test]
fn of_a_request_and_its_copies_exactly_one_is_served() {
    const COPIES: usize = 12;
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let mut session = Session::new(&relay).await;
        for round in 0..20 {
            // Without a body, with one that is held in memory, with one that is streamed; and of both types.
            let body = [0, 2_000, 200_000][round % 3];
            session.options.encode_type = [EncodeType::Mke, EncodeType::Mte][round % 2];
            let request = Request::put(format!("/{round}")).body(Pattern::bytes(body)).unwrap();
            let sealed = session.seal(request);
            let bytes = session.bytes(&sealed);
            // All but the last byte first, so that the copies complete as close to each other as possible.
            let mut wires = Vec::new();
            for _ in 0..COPIES {
                let mut wire = relay.wire().await;
                wire.send(&bytes[..bytes.len() - 1]).await;
                wires.push(wire);
            }
            let last = &bytes[bytes.len() - 1..];
            let answers = wires.into_iter().map(|mut wire| async move {
                wire.send(last).await;
                wire.response(false).await.map(|answer| answer.status())
            });
            let answers = futures_util::future::join_all(answers).await;
            let won = answers.iter().filter(|answer| matches!(answer, Ok(200))).count();
            let lost = answers.iter().filter(|answer| matches!(answer, Ok(562))).count();
            assert_eq!((won, lost), (1, COPIES - 1), "{round}: {answers:?}");
            assert_eq!(upstream.begun(), round + 1);
        }
        relay.deserted().await;
    });
}

#[test]
fn an_exhausted_pool_makes_transient_instances_and_counts_them() {
    const UPLOADS: usize = 8;
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Setup::default().top("pool_size: 1").tenant(HOST, &upstream.url(), "").start().await;
        let pool = &relay.shared.pool;
        assert_eq!((pool.size(), pool.ready(), pool.transient()), (1, 1, 0));
        let client = relay.client();
        client.get("/").await.unwrap();
        client.post("/", "small").await.unwrap();
        assert_eq!((pool.ready(), pool.transient()), (1, 0), "one after the other needs no more than one");

        let mut uploads = Vec::new();
        for number in 0..UPLOADS {
            let (pieces, body) = channel();
            pieces.send(Ok(Pattern::bytes(65_536))).await.unwrap();
            let client = client.clone();
            let sending =
                tokio::spawn(async move { client.post(format!("/{number}"), Body::wrap(body)).await });
            uploads.push((pieces, sending));
        }
        eventually("all uploads have begun", || upstream.begun() == 2 + UPLOADS).await;
        assert_eq!((pool.ready(), pool.transient()), (0, UPLOADS as u64 - 1));
        for (number, (pieces, sending)) in uploads.into_iter().enumerate() {
            pieces.send(Ok(Bytes::from_static(b"end"))).await.unwrap();
            drop(pieces);
            let response = sending.await.unwrap().unwrap();
            let text = response.into_body().text(100).await.unwrap();
            assert_eq!(text, format!("POST /{number} 65539"));
        }
        relay.settled().await;
        assert_eq!((pool.ready(), pool.transient()), (1, UPLOADS as u64 - 1));
    });
}

#[test]
fn streams_in_both_directions_do_not_block_each_other() {
    const STREAMS: u64 = 12;
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let client = relay.builder(HOST).pairs(2).build().unwrap();
        let one = |number| {
            let client = client.clone();
            async move {
                let (up, down) = (500_000 + number * 1_111, 700_000 - number * 1_111);
                let response =
                    client.post(format!("/stream/{down}"), Body::wrap(Pattern::unknown(up))).await.unwrap();
                let digest = crate::harness::digest(response.into_body()).await.unwrap();
                assert_eq!(digest, Pattern::digest(down));
                up
            }
        };
        let sent = futures_util::future::join_all((0..STREAMS).map(one)).await;
        let seen = upstream.seen();
        for up in sent {
            assert!(seen.iter().any(|seen| seen.body == Pattern::digest(up)), "{up}");
        }
        relay.settled().await;
    });
}

#[test]
fn many_clients_pair_at_the_same_time() {
    const CLIENTS: usize = 40;
    run(async {
        let upstream = Upstream::standard().await;
        let top = "limits: {pairs_per_second: 0}";
        let relay = Setup::default().top(top).tenant(HOST, &upstream.url(), "").start().await;
        let ids = Arc::new(parking_lot::Mutex::new(HashSet::new()));
        let fine = Arc::new(AtomicUsize::new(0));
        let clients = (0..CLIENTS).map(|_| {
            let client = relay.builder(HOST).pairs(5).build().unwrap();
            let (ids, fine) = (ids.clone(), fine.clone());
            tokio::spawn(async move {
                assert_eq!(client.get("/").await.unwrap().status(), 200);
                ids.lock().insert(client.client_id().unwrap());
                fine.fetch_add(1, Ordering::SeqCst);
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        assert_eq!((fine.load(Ordering::SeqCst), ids.lock().len()), (CLIENTS, CLIENTS));
        assert_eq!(relay.shared.pairs.counts().live, CLIENTS * 5);
        relay.deserted().await;
    });
}

#[test]
fn two_relays_in_one_process_share_nothing() {
    run(async {
        let upstream = Upstream::standard().await;
        let setup = Setup::default().tenant(HOST, &upstream.url(), "");
        let (first, second) = (setup.start().await, setup.start().await);
        first.client().get("/").await.unwrap();
        assert_eq!((first.shared.pairs.counts().live, second.shared.pairs.counts().live), (1, 0));
        first.stop().await;
        assert_eq!(second.client().get("/").await.unwrap().status(), 200);
    });
}

#[test]
fn a_relay_that_is_stopped_finishes_what_is_in_flight() {
    run(async {
        let (pieces, body) = channel();
        let body = Arc::new(parking_lot::Mutex::new(Some(body)));
        let upstream = Upstream::serve(move |_| {
            let body = body.lock().take().unwrap();
            async { Ok(reply(body)) }
        })
        .await;
        let relay = Relay::of(&upstream).await;
        let response = relay.client().get("/").await.unwrap();
        let mut body = response.into_body();
        pieces.send(Ok("before".into())).await.unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), "before");
        let stopping = tokio::spawn(relay.stop());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        pieces.send(Ok("after".into())).await.unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), "after");
        assert!(!stopping.is_finished());
        drop(pieces);
        assert!(body.data().await.is_none());
        stopping.await.unwrap();
    });
}
