//! Upstreams: one that answers any request by its path, and others that do as they are told.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use mte_client::BoxError;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use super::{Authority, Digest, Pattern, Wire, digest};

/// What an upstream answers.
pub type Reply = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// A 200 with this body.
pub fn reply<B>(body: B) -> Reply
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Response::new(body.map_err(Into::into).boxed_unsync())
}

/// A request that arrived whole.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Digest,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct State {
    accepted: AtomicUsize,
    open: AtomicUsize,
    begun: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
}

/// An upstream on a free port.
pub struct Upstream {
    pub address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
}

impl Upstream {
    /// Gives every connection to `script`, with the number of connections before it.
    pub async fn raw<F, R>(script: F) -> Self
    where
        F: Fn(Wire, usize) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::accept("http", move |stream, index, _| script(Wire::new(stream), index)).await
    }

    /// Answers every request by `handler`; an error closes the connection.
    pub async fn serve<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply, BoxError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        Self::accept("http", move |stream, _, state| {
            let handler = handler.clone();
            serve_connection(stream, move |request| {
                state.begun.fetch_add(1, Ordering::SeqCst);
                handler(request)
            })
        })
        .await
    }

    /// Answers by the path: `/bytes/N` and `/stream/N` with N bytes, of known and of unknown length; `/status/N`
    /// with that status; anything else with the method, the target and the body's length.
    pub async fn standard() -> Self {
        Self::accept("http", |stream, _, state| {
            serve_connection(stream, move |request| standard(request, state.clone()))
        })
        .await
    }

    /// The same over TLS.
    pub async fn tls(authority: &Authority, name: &str) -> Self {
        let acceptor = authority.acceptor(name);
        Self::accept("https", move |stream, _, state| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve_connection(stream, move |request| standard(request, state.clone())).await;
                }
            }
        })
        .await
    }

    async fn accept<F, R>(scheme: &'static str, connection: F) -> Self
    where
        F: Fn(TcpStream, usize, Arc<State>) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let upstream = Self { address, scheme, state: state.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let index = state.accepted.fetch_add(1, Ordering::SeqCst);
                state.open.fetch_add(1, Ordering::SeqCst);
                let (running, state) = (connection(stream, index, state.clone()), state.clone());
                tokio::spawn(async move {
                    running.await;
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        upstream
    }

    /// As a tenant's `upstream` has it.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Requests of which at least the head came.
    pub fn begun(&self) -> usize {
        self.state.begun.load(Ordering::SeqCst)
    }

    /// Requests that the standard upstream got whole.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().clone()
    }

    /// The last of them.
    pub fn last(&self) -> Seen {
        self.state.seen.lock().last().cloned().expect("a request")
    }
}

async fn serve_connection<S, F, R>(stream: S, handler: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Result<Reply, BoxError>>,
{
    // How a connection ends is a matter of each test.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handler)).await;
}

async fn standard(request: Request<Incoming>, state: Arc<State>) -> Result<Reply, BoxError> {
    state.begun.fetch_add(1, Ordering::SeqCst);
    let (parts, body) = request.into_parts();
    let body = digest(body).await?;
    let seen = Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: body.clone(),
    };
    let summary = format!("{} {} {}", seen.method, seen.target, body.len);
    state.seen.lock().push(seen);
    let mut segments = parts.uri.path().split('/').skip(1);
    let (what, number) = (segments.next(), segments.next().and_then(|text| text.parse().ok()));
    Ok(match (what, number) {
        (Some("bytes"), Some(len)) => reply(Pattern::known(len)),
        (Some("stream"), Some(len)) => reply(Pattern::unknown(len)),
        (Some("status"), Some(code)) => {
            let mut reply = reply(http_body_util::Empty::new());
            *reply.status_mut() = u16::try_from(code)?.try_into()?;
            reply
        }
        _ => reply(http_body_util::Full::from(summary)),
    })
}
