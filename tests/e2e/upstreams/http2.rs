//! Encrypted requests between all versions of HTTP, with different ones for clients and upstreams.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use mte_client::{Body, EncodeType, RelayClient, wire::BodyPlan};
use mte_codec::Sealer;

use super::{read, status};
use crate::harness::{
    Authority, HOST, Pattern, Relay, Reply, Session, Setup, Transport, Upstream, channel, digest,
    event_stream, eventually, reply, run,
};

/// The protocol between the relay and its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// HTTP/1.1 in the clear.
    Plain,
    /// HTTP/1.1 over TLS: the upstream supports nothing else.
    Tls,
    /// HTTP/2 over TLS, by ALPN.
    Http2Tls,
    /// HTTP/2 in the clear, by configuration.
    Http2,
}

const LINKS: [Link; 4] = [Link::Plain, Link::Tls, Link::Http2Tls, Link::Http2];
const HTTP2_LINKS: [Link; 2] = [Link::Http2Tls, Link::Http2];

impl Link {
    fn transport(self, authority: &Authority) -> Transport {
        match self {
            Self::Plain | Self::Http2 => Transport::Plain,
            Self::Tls => Transport::Tls(authority.acceptor("localhost", &["http/1.1"])),
            Self::Http2Tls => Transport::Tls(authority.acceptor("localhost", &["h2", "http/1.1"])),
        }
    }

    fn version(self) -> Version {
        match self {
            Self::Plain | Self::Tls => Version::HTTP_11,
            Self::Http2Tls | Self::Http2 => Version::HTTP_2,
        }
    }
}

/// A relay with a TLS listener, and its upstream.
struct Bridge {
    relay: Relay,
    upstream: Upstream,
    authority: Authority,
    _folder: tempfile::TempDir,
}

impl Bridge {
    async fn standard(link: Link) -> Self {
        let authority = Authority::new();
        let upstream = Upstream::standard_over(link.transport(&authority)).await;
        Self::new(link, authority, upstream).await
    }

    async fn serve<F, R>(link: Link, handler: F) -> Self
    where
        F: Fn(Request<hyper::body::Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply, mte_client::BoxError>> + Send + 'static,
    {
        let authority = Authority::new();
        let upstream = Upstream::serve_over(link.transport(&authority), handler).await;
        Self::new(link, authority, upstream).await
    }

    async fn new(link: Link, authority: Authority, upstream: Upstream) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = authority.settings(folder.path(), HOST, "");
        let http2 = if link == Link::Http2 { "always" } else { "auto" };
        let tenant = format!(
            "{tls}\nupstream_tls: {{verify: false, http2: {http2}}}\npass_through_routes: ['/open/*']"
        );
        let setup = Setup::default().top("timeouts: {read: 2s}").tenant(HOST, &upstream.url(), &tenant);
        Self { relay: setup.start().await, upstream, authority, _folder: folder }
    }

    /// A client over TLS.
    fn client(&self, http2: bool, encode_type: EncodeType) -> RelayClient {
        RelayClient::builder(format!("https://{HOST}"))
            .connect_to(self.relay.tls.unwrap())
            .root_certificates(vec![self.authority.root()])
            .http2(http2)
            .encode_type(encode_type)
            .pairs(2)
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap()
    }
}

/// A body to send, its stated length if it has one, and its actual length.
fn bodies() -> Vec<(Body, Option<u64>, u64)> {
    let mut bodies = vec![(Body::empty(), Some(0), 0)];
    for size in [1, 10_000, 65_536, 1 << 20] {
        bodies.push((Pattern::bytes(size).into(), Some(size), size));
        bodies.push((Body::wrap(Pattern::known(size)), Some(size), size));
        bodies.push((Body::wrap(Pattern::unknown(size)), None, size));
    }
    bodies
}

#[test]
fn bodies_of_every_kind_arrive_between_all_versions_in_both_directions() {
    run(async {
        for link in LINKS {
            let bridge = Bridge::standard(link).await;
            for (http2, encode_type) in
                [(false, EncodeType::Mke), (true, EncodeType::Mke), (true, EncodeType::Mte)]
            {
                let client = bridge.client(http2, encode_type);
                for (number, (body, known, size)) in bodies().into_iter().enumerate() {
                    let what = format!("{link:?}, client http2 {http2}, {encode_type}, body {number}");
                    let kind = ["bytes", "stream"][number % 2];
                    let answer = client.post(format!("/{kind}/{size}"), body).await;
                    let answer = answer.unwrap_or_else(|error| panic!("{what}: {}", error.report()));
                    let down = digest(answer.into_body()).await;
                    let down = down.unwrap_or_else(|error| panic!("{what}: {}", error.report()));
                    assert_eq!(down, Pattern::digest(size), "{what}: down");
                    let seen = bridge.upstream.last();
                    assert_eq!(seen.body, Pattern::digest(size), "{what}: up");
                    assert_eq!(seen.version, link.version(), "{what}");
                    if let Some(length) = known {
                        assert_eq!(seen.header("content-length"), Some(&*length.to_string()), "{what}");
                    }
                    if link.version() == Version::HTTP_2 {
                        let forbidden = ["transfer-encoding", "connection", "keep-alive", "upgrade"];
                        assert!(forbidden.iter().all(|name| seen.header(name).is_none()), "{what}: {seen:?}");
                    }
                }
            }
            assert_eq!(bridge.upstream.accepted(), 1, "{link:?}: one connection, reused");
            bridge.relay.settled().await;
        }
    });
}

#[test]
fn methods_and_responses_without_a_body_work_between_all_versions() {
    run(async {
        for link in LINKS {
            let bridge = Bridge::standard(link).await;
            for http2 in [false, true] {
                let client = bridge.client(http2, EncodeType::Mke);
                for (method, path, expected, len) in [
                    ("GET", "/", 200, 7),
                    ("HEAD", "/bytes/1000", 200, 0),
                    ("DELETE", "/", 200, 10),
                    ("OPTIONS", "/", 200, 11),
                    ("GET", "/status/204", 204, 0),
                    ("GET", "/status/304", 304, 0),
                    ("GET", "/status/404", 404, 0),
                    ("GET", "/bytes/0", 200, 0),
                    ("GET", "/stream/0", 200, 0),
                ] {
                    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
                    let what = format!("{link:?}, client http2 {http2}: {method} {path}");
                    let answer = read(client.send(request).await).await;
                    let (status, body) = answer.unwrap_or_else(|error| panic!("{what}: {}", error.report()));
                    assert_eq!((status, body.len()), (expected, len), "{what}");
                    assert_eq!(bridge.upstream.last().header("content-length"), None, "{what}");
                }
            }
            bridge.relay.settled().await;
        }
    });
}

#[test]
fn events_arrive_one_by_one_between_all_versions() {
    run(async {
        for link in LINKS {
            for http2 in [false, true] {
                let (events, answer) = event_stream();
                let bridge = Bridge::serve(link, move |_| std::future::ready(Ok(answer()))).await;
                let response = bridge.client(http2, EncodeType::Mke).get("/events").await.unwrap();
                let mut body = response.into_body();
                for number in 0..10 {
                    // The next event is sent only after this one has arrived.
                    let event = format!("data: {number}\n\n");
                    events.send(Ok(event.clone().into())).await.unwrap();
                    assert_eq!(body.data().await.unwrap().unwrap(), event, "{link:?}, client http2 {http2}");
                }
                drop(events);
                assert!(body.data().await.is_none());
            }
        }
    });
}

#[test]
fn both_directions_stream_at_once_between_all_versions() {
    run(async {
        for link in LINKS {
            for http2 in [false, true] {
                let bridge = Bridge::serve(link, async |request| Ok(reply(request.into_body()))).await;
                let (pieces, body) = channel();
                pieces.send(Ok("first".into())).await.unwrap();
                let client = bridge.client(http2, EncodeType::Mke);
                let mut body = client.post("/mirror", Body::wrap(body)).await.unwrap().into_body();
                assert_eq!(body.data().await.unwrap().unwrap(), "first");
                for piece in ["second", "third"] {
                    pieces.send(Ok(piece.into())).await.unwrap();
                    assert_eq!(body.data().await.unwrap().unwrap(), piece, "{link:?}, client http2 {http2}");
                }
                drop(pieces);
                assert!(body.data().await.is_none(), "{link:?}, client http2 {http2}");
            }
        }
    });
}

#[test]
fn trailers_end_a_response_and_are_dropped_between_all_versions() {
    run(async {
        for link in LINKS {
            for http2 in [false, true] {
                let bridge = Bridge::serve(link, async |_| {
                    let mut trailers = HeaderMap::new();
                    trailers.insert("x-checksum", "abc".parse().unwrap());
                    let frames = [Frame::data(Bytes::from("hello")), Frame::trailers(trailers)];
                    let frames = futures_util::stream::iter(frames.map(Ok::<_, mte_client::BoxError>));
                    let mut reply = reply(StreamBody::new(frames));
                    reply.headers_mut().insert("trailer", "x-checksum".parse().unwrap());
                    Ok(reply)
                })
                .await;
                for round in 0..3 {
                    let answer = bridge.client(http2, EncodeType::Mke).get("/").await;
                    let (_, body) = read(answer).await.unwrap_or_else(|error| {
                        panic!("{link:?}, client http2 {http2}, round {round}: {}", error.report())
                    });
                    assert_eq!(body, "hello");
                }
                bridge.relay.settled().await;
            }
        }
    });
}

#[test]
fn a_request_body_that_fails_late_is_never_complete_at_an_http2_upstream() {
    run(async {
        for link in HTTP2_LINKS {
            let bridge = Bridge::standard(link).await;
            let session = Session::new(&bridge.relay).await;
            let head = session.seal_head(Request::put("/").body(()).unwrap(), BodyPlan::Unknown);
            let mut sealer = Sealer::new(head.body.as_ref().unwrap(), &mut rand::rng()).unwrap();
            let mut body = Vec::from(sealer.seal(&Pattern::bytes(1 << 20), true).unwrap());
            *body.last_mut().unwrap() ^= 1;
            let framing = format!("content-length: {}\r\n", body.len());
            let mut wire = bridge.relay.wire().await;
            wire.send(session.head("PUT", &head.path, &head.headers, &framing)).await;
            wire.send(&body).await;
            let answer = wire.response(false).await.unwrap();
            assert_eq!(answer.status(), 400, "{link:?}: {answer:?}");
            eventually("the upstream received its beginning", || bridge.upstream.begun() == 1).await;
            // The connection still works.
            let client = bridge.client(true, EncodeType::Mke);
            assert_eq!(status(&client, "POST", "/").await, 200);
            assert_eq!(bridge.upstream.seen().len(), 1, "{link:?}: only the valid one");
            bridge.relay.settled().await;
        }
    });
}

#[test]
fn a_response_aborted_by_an_http2_upstream_never_looks_complete() {
    run(async {
        for link in HTTP2_LINKS {
            for http2 in [false, true] {
                let bridge = Bridge::serve(link, async |request| {
                    if request.uri().path() == "/good" {
                        return Ok(reply(Full::from("good")));
                    }
                    let frames = [
                        Ok(Frame::data(Bytes::from("hello"))),
                        Err(mte_client::BoxError::from("broken off")),
                    ];
                    Ok(reply(StreamBody::new(futures_util::stream::iter(frames))))
                })
                .await;
                let client = bridge.client(http2, EncodeType::Mke);
                let opened = read(client.get("/").await).await;
                assert!(opened.is_err(), "{link:?}, client http2 {http2}: {opened:?}");
                assert_eq!(read(client.get("/good").await).await.unwrap(), (200, "good".into()));
                bridge.relay.settled().await;
            }
        }
    });
}

#[test]
fn an_http2_upstream_that_refuses_or_hangs_is_502_or_504_and_other_requests_continue() {
    run(async {
        for link in HTTP2_LINKS {
            let bridge = Bridge::serve(link, async |request| match request.uri().path() {
                "/refused" => Err("refused".into()),
                "/hang" => std::future::pending().await,
                _ => {
                    let pieces = futures_util::stream::unfold(0, async |number| {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        let piece = Ok::<_, mte_client::BoxError>(Frame::data(Bytes::from("piece ")));
                        (number < 6).then_some((piece, number + 1))
                    });
                    Ok(reply(StreamBody::new(Box::pin(pieces))))
                }
            })
            .await;
            let client = bridge.client(true, EncodeType::Mke);
            let tasks = ["/refused", "/hang", "/hang", "/slow"].map(|path| {
                let client = client.clone();
                tokio::spawn(async move { status(&client, "POST", path).await })
            });
            let mut statuses = Vec::new();
            for task in tasks {
                statuses.push(task.await.unwrap());
            }
            assert_eq!(statuses, [502, 504, 504, 200], "{link:?}");
            bridge.relay.settled().await;
        }
    });
}

#[test]
fn a_client_that_stops_sending_over_http2_is_answered_after_the_read_timeout() {
    run(async {
        for link in [Link::Plain, Link::Http2Tls] {
            let bridge = Bridge::standard(link).await;
            let client = bridge.client(true, EncodeType::Mke);
            client.pair().await.unwrap();
            // Without any of the body, and with a part of it that has already reached the upstream.
            for beginning in [0, 200_000] {
                let (pieces, body) = channel();
                if beginning > 0 {
                    pieces.send(Ok(Pattern::bytes(beginning))).await.unwrap();
                }
                let began = std::time::Instant::now();
                let error = client.post("/", Body::wrap(body)).await.unwrap_err();
                assert_eq!(error.relay_status(), Some(408), "{link:?}, {beginning}: {}", error.report());
                assert!(began.elapsed() < Duration::from_secs(8), "{link:?}: {:?}", began.elapsed());
                drop(pieces);
            }
            bridge.relay.settled().await;
        }
    });
}

#[test]
fn concurrent_requests_share_an_http2_connection() {
    run(async {
        for link in HTTP2_LINKS {
            let bridge = Bridge::standard(link).await;
            let client = bridge.client(true, EncodeType::Mke);
            assert_eq!(status(&client, "GET", "/").await, 200);
            let tasks: Vec<_> = (0..50)
                .map(|number: u64| {
                    let client = client.clone();
                    tokio::spawn(async move {
                        let size = number * 3_000;
                        let answer =
                            client.post(format!("/stream/{size}"), Body::wrap(Pattern::unknown(size)));
                        assert_eq!(
                            digest(answer.await.unwrap().into_body()).await.unwrap(),
                            Pattern::digest(size)
                        );
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(bridge.upstream.seen().len(), 51, "{link:?}");
            // Requests that need a connection at the same moment may each create one.
            let connections = bridge.upstream.accepted();
            assert!(connections <= 12, "{link:?}: {connections} connections");
        }
    });
}

#[test]
fn a_websocket_works_over_tls_even_if_the_upstream_prefers_http2() {
    run(async {
        for link in [Link::Tls, Link::Http2Tls] {
            let bridge = Bridge::serve(link, async |mut request: Request<hyper::body::Incoming>| {
                assert_eq!(request.version(), Version::HTTP_11);
                assert_eq!(request.headers()["upgrade"], "websocket");
                let upgrading = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut stream = hyper_util::rt::TokioIo::new(upgrading.await.unwrap());
                    let (mut reading, mut writing) = tokio::io::split(&mut stream);
                    tokio::io::copy(&mut reading, &mut writing).await.unwrap();
                });
                let mut reply = reply(http_body_util::Empty::<Bytes>::new());
                *reply.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
                reply.headers_mut().insert("connection", "upgrade".parse().unwrap());
                reply.headers_mut().insert("upgrade", "websocket".parse().unwrap());
                Ok(reply)
            })
            .await;
            let stream = bridge.authority.connect(bridge.relay.tls.unwrap(), HOST).await;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection.with_upgrades());
            let request = Request::get("/open/socket")
                .header("host", HOST)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .body(http_body_util::Empty::<Bytes>::new())
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 101, "{link:?}: {:?}", response.into_body().collect().await);
            let mut stream = hyper_util::rt::TokioIo::new(hyper::upgrade::on(response).await.unwrap());
            for size in [1, 1_000, 100_000] {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let (sent, mut back) = (Pattern::bytes(size), vec![0; size as usize]);
                let (mut reading, mut writing) = tokio::io::split(&mut stream);
                let (written, read) = tokio::join!(writing.write_all(&sent), reading.read_exact(&mut back));
                written.unwrap();
                read.unwrap();
                assert_eq!(sent, back, "{link:?}");
            }
            drop(stream);
            bridge.relay.settled().await;
        }
    });
}
