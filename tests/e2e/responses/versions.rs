//! Framing, interim responses, hop-by-hop fields and trailers.

use std::time::Duration;

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use super::{answering, answering_once, plain, relay, relay_with};
use crate::harness::{Authority, End, HOST, Session, Setup, Transport, Upstream, reply, run};

#[test]
fn a_client_of_http_1_0_gets_neither_chunks_nor_interim_responses() {
    run(async {
        let upstream = answering(
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n\
             HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        )
        .await;
        let relay = relay(&upstream).await;
        for _ in 0..3 {
            let (answer, _) = plain(&relay, "/open/a", "HTTP/1.0").await;
            assert_eq!((answer.status(), answer.text(), answer.end), (200, "hello", End::Closed));
            assert_eq!(answer.header("transfer-encoding"), None);
            assert_eq!(answer.header("connection"), Some("close"));
        }
        relay.settled().await;
    });
}

#[test]
fn a_sealed_answer_reaches_a_client_of_http_1_0_without_chunks() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream).await;
        let session = Session::new(&relay).await;
        let sealed = session.seal(http::Request::get("/stream/100000").body(Default::default()).unwrap());
        let request = String::from_utf8(session.bytes(&sealed)).unwrap().replace("HTTP/1.1", "HTTP/1.0");
        let mut wire = relay.wire().await;
        wire.send(request.replacen("\r\n", "\r\nconnection: keep-alive\r\n", 1)).await;
        let answer = wire.response(false).await.unwrap();
        assert_eq!((answer.end, answer.header("transfer-encoding")), (End::Closed, None));
        let opened = sealed.opener.open(answer.into_response()).unwrap();
        assert_eq!(opened.body().len(), 100_000);
    });
}

#[test]
fn a_client_of_http_1_0_may_keep_its_connection_where_the_length_is_known() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream).await;
        let mut wire = relay.wire().await;
        for _ in 0..2 {
            let request = format!("GET /open/a HTTP/1.0\r\nhost: {HOST}\r\nconnection: keep-alive\r\n\r\n");
            wire.send(request).await;
            let answer = wire.response(false).await.unwrap();
            assert_eq!((answer.status(), answer.end), (200, End::Length));
        }
    });
}

#[test]
fn interim_responses_are_forwarded_on_pass_through_routes() {
    run(async {
        let upstream = answering(
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
        let relay = relay(&upstream).await;
        let mut wire = relay.wire().await;
        wire.send(format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        let hints = wire.response(false).await.unwrap();
        assert_eq!((hints.status(), hints.header("link")), (103, Some("</a.css>")));
        let answer = wire.response(false).await.unwrap();
        assert_eq!((answer.status(), answer.text()), (200, "ok"));
    });
}

#[test]
fn interim_responses_to_encrypted_requests_are_dropped() {
    run(async {
        for interim in ["102 Processing", "103 Early Hints", "199 Odd"] {
            let upstream = answering(format!(
                "HTTP/1.1 {interim}\r\nx-app: secret\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
            ))
            .await;
            let relay = relay(&upstream).await;
            let session = Session::new(&relay).await;
            let sealed = session.seal(http::Request::get("/").body(Default::default()).unwrap());
            let mut wire = relay.wire().await;
            wire.send(session.bytes(&sealed)).await;
            let answer = wire.response(false).await.unwrap();
            assert_eq!(answer.status(), 200, "{interim}: {answer:?}");
            let opened = sealed.opener.open(answer.into_response()).unwrap();
            assert_eq!(&opened.body()[..], b"ok");
        }
    });
}

#[test]
fn connection_fields_of_the_upstream_are_dropped() {
    run(async {
        let upstream = answering(
            "HTTP/1.1 200 OK\r\nconnection: keep-alive, X-Internal, content-length\r\nkeep-alive: timeout=5\r\n\
             proxy-connection: keep-alive\r\nx-internal: 10.0.0.7\r\nupgrade: h2c\r\ntrailer: x-end\r\n\
             content-length: 2\r\nx-app: 1\r\n\r\nok",
        )
        .await;
        let relay = relay(&upstream).await;
        let (answer, _) = plain(&relay, "/open/a", "HTTP/1.1").await;
        for name in ["keep-alive", "proxy-connection", "x-internal", "upgrade", "trailer"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_eq!((answer.text(), answer.header("x-app")), ("ok", Some("1")));
        let response = relay.client().get("/").await.unwrap();
        for name in ["keep-alive", "proxy-connection", "x-internal", "upgrade", "trailer"] {
            assert!(!response.headers().contains_key(name), "{name}");
        }
    });
}

#[test]
fn an_old_upstreams_answer_is_framed_for_its_client() {
    run(async {
        let upstream =
            answering_once("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nuntil closed").await;
        let relay = relay(&upstream).await;
        let (answer, _) = plain(&relay, "/open/a", "HTTP/1.1").await;
        assert!(answer.start.starts_with("HTTP/1.1 200"), "{}", answer.start);
        assert_eq!((answer.text(), answer.end), ("until closed", End::LastChunk));
        let upstream =
            answering("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok").await;
        let relay = super::relay(&upstream).await;
        let (answer, _) = plain(&relay, "/open/a", "HTTP/1.1").await;
        assert_eq!((answer.text(), answer.end), ("ok", End::Length));
    });
}

/// An upstream over HTTP/2 whose responses have trailers.
async fn with_trailers(authority: &Authority) -> Upstream {
    Upstream::serve_over(Transport::Tls(authority.acceptor("localhost", &["h2"])), |_| async {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames =
            [Ok::<_, std::convert::Infallible>(Frame::data("body".into())), Ok(Frame::trailers(trailers))];
        let mut reply = reply(StreamBody::new(futures_util::stream::iter(frames)));
        reply.headers_mut().insert("trailer", "grpc-status".parse().unwrap());
        Ok(reply)
    })
    .await
}

#[test]
fn trailers_are_forwarded_over_http_2_and_not_announced_otherwise() {
    run(async {
        let authority = Authority::new();
        let upstream = with_trailers(&authority).await;
        let folder = tempfile::tempdir().unwrap();
        let tls = authority.settings(folder.path(), HOST, "");
        let lines = format!("upstream_tls: {{verify: false}}\n{tls}");
        let relay = relay_with(&upstream, &lines).await;

        let (answer, _) = plain_tls(&relay, &authority).await;
        assert_eq!((answer.header("trailer"), answer.text()), (None, "body"));

        let stream = tokio::net::TcpStream::connect(relay.tls.unwrap()).await.unwrap();
        let stream = authority.handshake(stream, HOST, false, true).await.unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("https://{HOST}/open/a"));
        let response =
            sender.send_request(request.body(Full::<bytes::Bytes>::default()).unwrap()).await.unwrap();
        assert_eq!(response.headers()["trailer"], "grpc-status");
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), "body");
    });
}

async fn plain_tls(relay: &crate::harness::Relay, authority: &Authority) -> (crate::harness::Message, ()) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stream = tokio::net::TcpStream::connect(relay.tls.unwrap()).await.unwrap();
    let mut stream = authority.handshake(stream, HOST, false, false).await.unwrap();
    let request = format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    // Read like any other response: over a connection without TLS.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) =
        tokio::join!(crate::harness::Wire::connect(listener.local_addr().unwrap()), listener.accept());
    let (mut near, mut far) = (near, crate::harness::Wire::new(far.unwrap().0));
    far.send(&bytes).await;
    drop(far);
    (near.response(false).await.unwrap(), ())
}

#[test]
fn a_response_with_trailers_to_an_encrypted_request_is_complete() {
    run(async {
        let authority = Authority::new();
        let upstream = with_trailers(&authority).await;
        let setup = Setup::default().tenant(HOST, &upstream.url(), "upstream_tls: {verify: false}");
        let relay = setup.start().await;
        let client = relay.builder(HOST).timeout(Duration::from_secs(30)).build().unwrap();
        let response = client.get("/").await.unwrap();
        assert!(!response.headers().contains_key("trailer"));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "body");
    });
}
