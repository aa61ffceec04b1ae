//! The embedded upstream: an ordinary HTTP server that knows nothing of relays, and remembers what it received.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, SET_COOKIE},
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    events::Events,
    pages::{Digested, Digesting, Pages},
};

/// Events of `/ticker`.
pub(crate) const TICKS: usize = 5;
/// The pause between two of them.
pub(crate) const TICK: Duration = Duration::from_millis(150);

/// Watchers of a long body are informed after this many more bytes.
const PROGRESS: u64 = 1 << 20;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Which of this upstream's requests.
    pub(crate) number: u64,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Digested,
}

/// What watchers get.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// A request of which the body is still on its way; what there is of it.
    Receiving(Received),
    Received(Received),
    /// The answer to the request of this number begins.
    Answering {
        number: u64,
        status: StatusCode,
        kind: String,
    },
    /// An event of a stream was sent.
    Sent {
        number: u64,
        text: String,
    },
    /// The answer has ended, and this was its body.
    Answered {
        number: u64,
        body: Digested,
    },
}

/// What an upstream remembers. Once it is watched, it leaves remembering to its watchers.
#[derive(Default)]
struct Memory {
    requests: u64,
    received: Vec<Received>,
    /// The bodies it answered with.
    answered: Vec<Digested>,
    /// When events were sent.
    ticks: Vec<Instant>,
    watchers: Vec<mpsc::UnboundedSender<Seen>>,
}

impl Memory {
    fn publish(&mut self, seen: &Seen) {
        self.watchers.retain(|watcher| watcher.send(seen.clone()).is_ok());
    }

    fn received(&mut self, received: &Received) {
        self.publish(&Seen::Received(received.clone()));
        if self.watchers.is_empty() {
            self.received.push(received.clone());
        }
    }

    fn answered(&mut self, number: u64, body: Digested) {
        self.publish(&Seen::Answered { number, body: body.clone() });
        if self.watchers.is_empty() {
            self.answered.push(body);
        }
    }
}

/// A server on a free loopback port, until its runtime ends.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
}

impl Upstream {
    pub(crate) async fn start() -> io::Result<Self> {
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
                    // Broken connections are handled by the relay.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, memory })
    }

    /// What was received since the last time.
    pub(crate) fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut lock(&self.memory).received)
    }

    /// What was answered since the last time; a stream once its end was sent.
    pub(crate) fn take_answered(&self) -> Vec<Digested> {
        std::mem::take(&mut lock(&self.memory).answered)
    }

    /// When the event of this index was sent.
    pub(crate) fn tick(&self, index: usize) -> Option<Instant> {
        lock(&self.memory).ticks.get(index).copied()
    }

    /// Reports requests and answers to `watcher` from now on, and stores none.
    pub(crate) fn watch(&self, watcher: mpsc::UnboundedSender<Seen>) {
        lock(&self.memory).watchers.push(watcher);
    }
}

/// What it guards is consistent after every step.
fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, memory: Arc<Mutex<Memory>>) -> Result<Answer, hyper::Error> {
    let (parts, mut body) = request.into_parts();
    let number = {
        let mut memory = lock(&memory);
        memory.requests += 1;
        memory.requests
    };
    let mut received = Received {
        number,
        target: parts.uri.path_and_query().map_or_else(|| "/".into(), ToString::to_string),
        method: parts.method,
        headers: parts.headers,
        body: Digested::default(),
    };
    let mut digesting = Digesting::default();
    let mut due = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            digesting.push(&data);
            if digesting.len() > due {
                received.body = digesting.so_far();
                lock(&memory).publish(&Seen::Receiving(received.clone()));
                due = digesting.len() + PROGRESS;
            }
        }
    }
    received.body = digesting.finish();
    lock(&memory).received(&received);
    let answer = route(&received, Arc::clone(&memory));
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    lock(&memory).publish(&Seen::Answering { number, status: answer.status(), kind: kind.into() });
    Ok(answer)
}

fn route(request: &Received, memory: Arc<Mutex<Memory>>) -> Answer {
    let path = request.target.split('?').next().unwrap_or_default();
    let number = request.number;
    let whole = |status, kind, text: String| whole(number, status, kind, text, &memory);
    let parameter = |name| parameter(&request.target, name);
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
            let sent = move |digested| lock(&memory).answered(number, digested);
            let pages = Pages::new(parameter("pages").unwrap_or(16).min(1 << 20), sent);
            streamed("application/octet-stream", pages.boxed_unsync())
        }
        ("GET", "/ticker") => {
            let (sender, receiver) = mpsc::channel(1);
            let count = parameter("count").unwrap_or(TICKS as u64);
            let pause = parameter("pause").map_or(TICK, Duration::from_millis);
            tokio::spawn(send_ticks(sender, memory, number, count, pause));
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

/// A number in the query.
fn parameter(target: &str, name: &str) -> Option<u64> {
    let mut pairs = target.split_once('?')?.1.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(own, _)| *own == name)?.1.parse().ok()
}

fn whole(
    number: u64,
    status: StatusCode,
    kind: &'static str,
    text: String,
    memory: &Mutex<Memory>,
) -> Answer {
    lock(memory).answered(number, Digested::of(text.as_bytes()));
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

async fn send_ticks(
    sender: mpsc::Sender<Bytes>,
    memory: Arc<Mutex<Memory>>,
    number: u64,
    count: u64,
    pause: Duration,
) {
    lock(&memory).ticks.clear();
    let mut digesting = Digesting::default();
    for index in 0..count {
        if index > 0 {
            tokio::time::sleep(pause).await;
        }
        let text = format!("plum cake {}.40 EUR", 3 + index % 9);
        let event = Bytes::from(format!("data: {text}\nid: {index}\n\n"));
        digesting.push(&event);
        {
            let mut memory = lock(&memory);
            if memory.ticks.len() < TICKS {
                memory.ticks.push(Instant::now());
            }
            memory.publish(&Seen::Sent { number, text });
        }
        if sender.send(event).await.is_err() {
            break;
        }
    }
    lock(&memory).publish(&Seen::Answered { number, body: digesting.finish() });
}
