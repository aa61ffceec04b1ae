//! Large header fields, and repeated fields.

use http::Request;
use http_body_util::Empty;
use mte_client::{Body, EncodeHeaders};

use crate::harness::{HOST, Relay, Session, Setup, Upstream, reply, run};

#[test]
fn large_header_fields_are_forwarded_sealed_and_in_the_clear() {
    run(async {
        let large = "x".repeat(30 << 10);
        let answer = large.clone();
        let upstream = Upstream::serve(move |request| {
            let fits = request.headers()["x-large"] == *answer;
            let mut reply = reply(Empty::new());
            reply.headers_mut().insert("x-large", answer.parse().unwrap());
            reply.headers_mut().insert("x-fits", fits.to_string().parse().unwrap());
            async { Ok(reply) }
        })
        .await;
        let relay = Relay::of(&upstream).await;
        for which in [EncodeHeaders::All, EncodeHeaders::None] {
            let client = relay.builder(HOST).encode_headers(which.clone()).build().unwrap();
            let request = Request::get("/").header("x-large", &large).body(Body::empty()).unwrap();
            let response = client.send(request).await.unwrap();
            assert_eq!(response.headers()["x-fits"], "true", "{which:?}");
            assert_eq!(response.headers()["x-large"], *large, "{which:?}");
        }
    });
}

#[test]
fn header_fields_above_the_limit_are_431() {
    run(async {
        let upstream = Upstream::standard().await;
        let setup =
            Setup::default().top("limits: {max_header_bytes: 16KiB}").tenant(HOST, &upstream.url(), "");
        let relay = setup.start().await;
        let client = relay.client();
        let with = |len| Request::get("/").header("x-large", "x".repeat(len)).body(Body::empty()).unwrap();
        assert_eq!(client.send(with(8 << 10)).await.unwrap().status(), 200);
        let error = client.send(with(20 << 10)).await.unwrap_err();
        assert_eq!(error.relay_status(), Some(431), "{error}");
        // Many small ones count like a large one, and so does the path.
        let lines: String = (0..200).map(|n| format!("x-{n:03}: {}\r\n", "x".repeat(90))).collect();
        let answer = relay.ask(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n{lines}\r\n")).await;
        assert_eq!((answer.status(), answer.json()["status"].as_u64()), (431, Some(431)));
        let path = "x".repeat(17 << 10);
        let answer = relay.ask(&format!("GET /{path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(answer.status(), 431);
        assert_eq!(upstream.begun(), 1);
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        relay.settled().await;
    });
}

#[test]
fn header_fields_without_end_do_not_fill_the_memory() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let mut wire = relay.wire().await;
        wire.send(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nx-endless: ")).await;
        let mut sent = 0_usize;
        let piece = vec![b'x'; 64 << 10];
        while tokio::io::AsyncWriteExt::write_all(&mut wire.stream, &piece).await.is_ok() {
            sent += piece.len();
            assert!(sent < 64 << 20, "the relay keeps reading");
        }
        drop(wire);
        relay.deserted().await;
        assert_eq!(relay.client().get("/").await.unwrap().status(), 200);
    });
}

#[test]
fn many_cookies_stay_separate_and_in_the_clear() {
    run(async {
        let cookies: Vec<_> = (0..50).map(|n| format!("c{n}=\"v, {n}\"; Path=/; HttpOnly")).collect();
        let answer = cookies.clone();
        let upstream = Upstream::serve(move |_| {
            let mut reply = reply(Empty::new());
            for cookie in &answer {
                reply.headers_mut().append("set-cookie", cookie.parse().unwrap());
            }
            async { Ok(reply) }
        })
        .await;
        let relay = Relay::of(&upstream).await;
        let request = Request::get("/").header("set-cookie", "asked for").body(Body::empty()).unwrap();
        let response = relay.client().send(request).await.unwrap();
        assert!(response.headers().get_all("set-cookie").iter().eq(&cookies));

        let session = Session::new(&relay).await;
        let sealed = session.seal(Request::get("/").body(Default::default()).unwrap());
        let mut wire = relay.wire().await;
        wire.send(session.bytes(&sealed)).await;
        let response = wire.response(false).await.unwrap();
        assert!(response.all("set-cookie").eq(&cookies));
    });
}

#[test]
fn repeated_fields_of_request_and_response_keep_all_their_values() {
    run(async {
        let upstream = Upstream::serve(|request| {
            let values: Vec<_> =
                request.headers().get_all("x-list").iter().map(|value| value.to_str().unwrap()).collect();
            let mut reply = reply(Empty::new());
            reply.headers_mut().insert("x-seen", values.join(", ").parse().unwrap());
            for value in ["d", "e"] {
                reply.headers_mut().append("x-list", value.parse().unwrap());
            }
            async { Ok(reply) }
        })
        .await;
        let relay = Relay::of(&upstream).await;
        for which in [EncodeHeaders::All, EncodeHeaders::None] {
            let client = relay.builder(HOST).encode_headers(which).build().unwrap();
            let request = Request::get("/").header("x-list", "a").header("x-list", "b, c");
            let response = client.send(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.headers()["x-seen"], "a, b, c");
            let values: Vec<_> =
                response.headers().get_all("x-list").iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(values.join(", "), "d, e");
        }
    });
}
