//! The embedded upstream: an ordinary HTTP server that knows nothing of relays, and remembers what it received.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, SET_COOKIE},
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};

use super::pages::{Digested, Digesting, Pages};

/// Events of `/ticker`.
pub(super) const TICKS: usize = 5;
/// The pause between two of them.
pub(super) const TICK: Duration = Duration::from_millis(150);

/// One request as it came.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Digested,
}

/// What an upstream remembers.
#[derive(Default)]
struct Memory {
    received: Vec<Received>,
    /// The bodies it answered with.
    answered: Vec<Digested>,
    /// When events were sent.
    ticks: Vec<Instant>,
    watcher: Option<mpsc::UnboundedSender<Received>>,
}

/// A server on a free loopback port, until its runtime ends.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
}

impl Upstream {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let memory = Arc::new(Mutex::new(Memory::default()));
        let serving = Arc::clone(&memory);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                // Events are small and must not wait for one another.
                let _ = stream.set_nodelay(true);
                let memory = Arc::clone(&serving);
                let service = service_fn(move |request| answer(request, Arc::clone(&memory)));
                tokio::spawn(async move {
                    // A connection that breaks off is the relay's affair.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, memory })
    }

    /// What was received since the last time.
    pub(super) fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut lock(&self.memory).received)
    }

    /// What was answered since the last time; a stream once its end was sent.
    pub(super) fn take_answered(&self) -> Vec<Digested> {
        std::mem::take(&mut lock(&self.memory).answered)
    }

    /// When the event of this index was sent.
    pub(super) fn tick(&self, index: usize) -> Option<Instant> {
        lock(&self.memory).ticks.get(index).copied()
    }

    /// Also sends what is received to `watcher`.
    pub(super) fn watch(&self, watcher: mpsc::UnboundedSender<Received>) {
        lock(&self.memory).watcher = Some(watcher);
    }
}

/// What it guards is whole after every step.
fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, memory: Arc<Mutex<Memory>>) -> Result<Answer, hyper::Error> {
    let (parts, mut body) = request.into_parts();
    let mut digesting = Digesting::default();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            digesting.push(&data);
        }
    }
    let received = Received {
        target: parts.uri.path_and_query().map_or_else(|| "/".into(), ToString::to_string),
        method: parts.method,
        headers: parts.headers,
        body: digesting.finish(),
    };
    {
        let mut memory = lock(&memory);
        if let Some(watcher) = &memory.watcher {
            // Nobody watches any more: no matter.
            let _ = watcher.send(received.clone());
        }
        memory.received.push(received.clone());
    }
    Ok(route(&received, memory))
}

fn route(request: &Received, memory: Arc<Mutex<Memory>>) -> Answer {
    let path = request.target.split('?').next().unwrap_or_default();
    let whole = |status, kind, text: String| whole(status, kind, text, &memory);
    match (request.method.as_str(), path) {
        ("GET", "/accounts/4711") => {
            let text = json!({"holder": "Ada Lovelace", "balance": "1250.00 EUR"}).to_string();
            let mut answer = whole(StatusCode::OK, "application/json", text);
            answer.headers_mut().insert(SET_COOKIE, HeaderValue::from_static("theme=dark; Path=/"));
            answer
        }
        ("POST", "/transfers") => {
            let text = json!({"accepted": true, "reference": "T-2031"}).to_string();
            whole(StatusCode::CREATED, "application/json", text)
        }
        ("PUT", "/ledgers/2031") => {
            let text = json!({"bytes": request.body.len, "sha256": request.body.sha256}).to_string();
            whole(StatusCode::OK, "application/json", text)
        }
        ("GET", "/ledgers/2030") => {
            let query = request.target.split_once("?pages=").map_or("", |(_, count)| count);
            let sent = move |digested| lock(&memory).answered.push(digested);
            let pages = Pages::new(query.parse().unwrap_or(16).min(1 << 20), sent);
            streamed("application/octet-stream", pages.boxed_unsync())
        }
        ("GET", "/ticker") => {
            let (sender, receiver) = mpsc::channel(1);
            tokio::spawn(send_ticks(sender, memory));
            streamed("text/event-stream", Events(receiver).boxed_unsync())
        }
        ("GET", "/public/menu") => {
            whole(StatusCode::OK, "text/plain", "Today: lentil soup, bread, plum cake\n".into())
        }
        (method, _) => {
            let text =
                json!({"method": method, "target": request.target, "bytes": request.body.len}).to_string();
            whole(StatusCode::OK, "application/json", text)
        }
    }
}

fn whole(status: StatusCode, kind: &'static str, text: String, memory: &Mutex<Memory>) -> Answer {
    lock(memory).answered.push(Digested::of(text.as_bytes()));
    let mut answer = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn streamed(kind: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

async fn send_ticks(sender: mpsc::Sender<Bytes>, memory: Arc<Mutex<Memory>>) {
    lock(&memory).ticks.clear();
    for index in 0..TICKS {
        if index > 0 {
            tokio::time::sleep(TICK).await;
        }
        lock(&memory).ticks.push(Instant::now());
        let event = format!("data: plum cake {}.40 EUR\n\n", 3 + index);
        if sender.send(event.into()).await.is_err() {
            return;
        }
    }
}

/// A body of pieces that come when they come.
struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
