//! The relay on a loopback port, with a few routes in place of an upstream.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use mte_codec::HEADER_LEN;
use mte_protocol::{ErrorBody, control_client_id};
use mte_session::server::{Outer, RequestError};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::TlsAcceptor;

use super::relay::{Opened, Relay, Reply};

/// A listening relay, and the requests that it received.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) hellos: AtomicUsize,
    pub(super) pairings: AtomicUsize,
    pub(super) requests: AtomicUsize,
    /// Of the last encrypted request.
    pub(super) wire_path: Mutex<String>,
    pub(super) wire_headers: Mutex<HeaderMap>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) relay: Relay,
    pub(super) seen: Seen,
    /// Statuses to answer encrypted requests with, in the clear, before anything else happens.
    pub(super) errors: Mutex<VecDeque<u16>>,
    /// Pairings to refuse with 503.
    pub(super) refuse_pairings: AtomicUsize,
    /// Plaintext lengths of the frames of `/upload`, as they are opened.
    frames: mpsc::UnboundedSender<usize>,
    pub(super) uploaded: tokio::sync::Mutex<mpsc::UnboundedReceiver<usize>>,
    /// Lets `/slow` answer.
    pub(super) go: tokio::sync::Notify,
    /// Pieces of the body of `/live`; it is cut off if the last one is empty.
    pub(super) live: Mutex<Option<mpsc::UnboundedReceiver<Bytes>>>,
}

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(super) async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (frames, uploaded) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            relay: Relay::new(),
            seen: Seen::default(),
            errors: Mutex::default(),
            refuse_pairings: AtomicUsize::new(0),
            frames,
            uploaded: uploaded.into(),
            go: tokio::sync::Notify::new(),
            live: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let shared = Arc::clone(&shared);
                        async move { Ok::<_, Infallible>(shared.answer(request).await) }
                    });
                    let http = auto::Builder::new(TokioExecutor::new());
                    let _ = match tls {
                        None => http.serve_connection(TokioIo::new(stream), service).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => http.serve_connection(TokioIo::new(stream), service).await,
                            Err(_) => Ok(()),
                        },
                    };
                });
            }
        });
        Self { address, shared }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn fail_with(&self, statuses: &[u16]) {
        self.shared.errors.lock().unwrap().extend(statuses);
    }

    /// (hellos, pairings, encrypted requests) so far.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let seen = &self.shared.seen;
        (seen.hellos.load(SeqCst), seen.pairings.load(SeqCst), seen.requests.load(SeqCst))
    }

    /// Sets the response of `/live`, piece by piece.
    pub(super) fn live(&self) -> mpsc::UnboundedSender<Bytes> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.shared.live.lock().unwrap() = Some(receiver);
        sender
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let known = request.headers().get("x-mte-relay").map(|value| value.to_str().unwrap().to_owned());
        let known = known.as_deref().and_then(control_client_id);
        let control = match request.uri().path() {
            "/api/mte-relay" => {
                assert_eq!(request.method(), Method::HEAD);
                self.seen.hellos.fetch_add(1, SeqCst);
                self.relay.hello(known).map(|id| (id, Vec::new()))
            }
            "/api/mte-pair" => {
                assert_eq!(request.method(), Method::POST);
                self.seen.pairings.fetch_add(1, SeqCst);
                let refuse = self.refuse_pairings.load(SeqCst) > 0;
                let id = self.relay.hello(known);
                let body = request.into_body().collect().await.unwrap().to_bytes();
                // Long enough for others to arrive while it is in progress.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                if refuse { Err(503) } else { id.map(|id| (id, self.relay.pair(&body))) }
            }
            _ => return self.encrypted(request).await.unwrap_or_else(error),
        };
        match control {
            Ok((id, body)) => Response::builder().header("x-mte-relay", id).body(whole(body.into())).unwrap(),
            Err(status) => error(status),
        }
    }

    async fn encrypted(&self, request: Request<Incoming>) -> Result<Answer, u16> {
        self.seen.requests.fetch_add(1, SeqCst);
        let (parts, mut incoming) = request.into_parts();
        *self.seen.wire_headers.lock().unwrap() = parts.headers.clone();
        let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
        *self.seen.wire_path.lock().unwrap() = path.clone();
        if let Some(status) = self.errors.lock().unwrap().pop_front() {
            return Err(status);
        }
        let host = parts.headers.get("host").map(|host| host.to_str().unwrap());
        let authority = host.or(parts.uri.authority().map(http::uri::Authority::as_str)).unwrap();
        let outer = Outer { method: parts.method.as_str(), authority, has_body: !incoming.is_end_stream() };
        let status = |error: RequestError| error.status();
        let begun = self.relay.open_head(&outer, &path, &parts.headers).map_err(status)?;
        let start = start(&mut incoming).await?;
        let mut opened = self.relay.accept(begun, &start).map_err(status)?;
        let body = self.receive(&mut opened, &start, incoming).await?;
        let header = |name: &str| {
            opened
                .sealed
                .get(name)
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .unwrap_or_default()
        };
        if opened.url == "/slow" {
            self.go.notified().await;
        }
        let reply = match opened.url.as_str() {
            "/live" => return Ok(self.stream(opened)),
            "/none" => Reply::without_body(204),
            "/missing" => Reply::new(404, "no such thing"),
            "/big" => Reply { body: Some(vec![vec![7; 50_000].into(); 60]), ..Reply::new(200, "") },
            url => {
                let mut reply = match parts.method {
                    Method::HEAD => Reply::without_body(200),
                    _ => Reply::new(200, body),
                };
                reply.headers.retain(|(name, _)| *name != "content-type");
                reply.headers.extend([
                    ("content-type", header("content-type")),
                    (
                        "x-saw",
                        format!("{} {url} {:?} {}", parts.method, parts.version, header("content-length")),
                    ),
                ]);
                reply
            }
        };
        let wire = self.relay.seal(opened, &reply);
        let pieces = wire.body.into_iter().map(|piece| Ok(Frame::data(piece)));
        let mut answer = Response::new(StreamBody::new(stream::iter(pieces)).boxed_unsync());
        if reply.body.is_none() {
            answer = Response::new(whole(Bytes::new()));
        }
        *answer.status_mut() = wire.status.try_into().unwrap();
        *answer.headers_mut() = wire.headers;
        Ok(answer)
    }

    /// Opens a body frame by frame, and returns the length of each.
    async fn receive(&self, opened: &mut Opened, start: &[u8], mut incoming: Incoming) -> Result<Bytes, u16> {
        let Some(mut opener) = opened.body.take() else { return Ok(Bytes::new()) };
        let mut plain = Vec::new();
        let mut part = Bytes::copy_from_slice(start);
        loop {
            opener.push(&part).map_err(|_| 413u16)?;
            while let Some(frame) = opener.next_frame().map_err(|_| 562u16)? {
                let _ = self.frames.send(frame.data.len());
                plain.extend_from_slice(&frame.data);
            }
            match incoming.frame().await {
                Some(frame) => part = frame.map_err(|_| 400u16)?.into_data().unwrap_or_default(),
                None => break,
            }
        }
        let last = opener.finish().map_err(|_| 400u16)?;
        plain.extend(last.into_iter().flat_map(|frame| frame.data));
        Ok(plain.into())
    }

    fn stream(&self, opened: Opened) -> Answer {
        let reply = Reply::new(200, "");
        let (wire, sealer) = self.relay.seal_head(opened, &reply);
        let sealer = sealer.unwrap();
        let pieces = self.live.lock().unwrap().take().expect("call Server::live first");
        let body = stream::unfold(Some((pieces, sealer)), async |state| {
            let (mut pieces, mut sealer) = state?;
            match pieces.recv().await {
                Some(piece) if piece.is_empty() => {
                    Some((Err(std::io::Error::other("the upstream died")), None))
                }
                Some(piece) => {
                    let sealed = sealer.seal(piece, false, &mut rand::rng()).unwrap();
                    Some((Ok(Frame::data(sealed)), Some((pieces, sealer))))
                }
                None => {
                    let sealed = sealer.seal(Bytes::new(), true, &mut rand::rng()).unwrap();
                    Some((Ok(Frame::data(sealed)), None))
                }
            }
        });
        let mut answer = Response::new(StreamBody::new(body).boxed_unsync());
        *answer.headers_mut() = wire.headers;
        answer
    }
}

/// The first bytes of a body: at least a message's header, if it is that long.
async fn start(incoming: &mut Incoming) -> Result<Vec<u8>, u16> {
    let mut start = Vec::new();
    while start.len() < HEADER_LEN {
        let Some(frame) = incoming.frame().await else { break };
        start.extend_from_slice(&frame.map_err(|_| 400u16)?.into_data().unwrap_or_default());
    }
    Ok(start)
}

fn whole(body: Bytes) -> UnsyncBoxBody<Bytes, std::io::Error> {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

fn error(status: u16) -> Answer {
    let body = ErrorBody { error: "refused\u{1b}[1m".into(), status, request_id: Some("r-17".into()) };
    let mut answer = Response::new(whole(body.to_json().into()));
    *answer.status_mut() = status.try_into().unwrap();
    answer
}
