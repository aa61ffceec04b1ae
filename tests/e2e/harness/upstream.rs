//! Upstreams: one that answers any request by its path, and others whose behaviour a test defines.

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
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use mte_client::BoxError;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tokio_rustls::TlsAcceptor;

use super::{Authority, Digest, Pattern, Wire, digest, free_port};

/// An upstream's response.
pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// A 200 with this body.
pub(crate) fn reply<B>(body: B) -> Reply
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Response::new(body.map_err(Into::into).boxed_unsync())
}

/// A stream of events: what sends them, and what answers the one request for it.
pub(crate) fn event_stream() -> (mpsc::Sender<Result<Bytes, BoxError>>, impl Fn() -> Reply) {
    let (events, body) = super::channel();
    let body = Mutex::new(Some(body));
    let answer = move || {
        let mut reply = reply(body.lock().take().expect("one request"));
        reply.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
        reply
    };
    (events, answer)
}

/// How an upstream can be reached.
#[derive(Clone)]
pub(crate) enum Transport {
    /// Cleartext: HTTP/1.1, or HTTP/2 if the first bytes say so.
    Plain,
    /// TLS, with the protocol that ALPN negotiated.
    Tls(TlsAcceptor),
}

/// A request that arrived completely.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The number of its connection.
    pub connection: usize,
    pub version: http::Version,
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Digest,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
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
pub(crate) struct Upstream {
    pub address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    /// Closes its listener and every connection when this is signalled.
    closing: watch::Sender<bool>,
}

impl Upstream {
    /// Passes every connection to `script`, with the number of connections before it.
    pub(crate) async fn raw<F, R>(script: F) -> Self
    where
        F: Fn(Wire, usize) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self::accept("http", move |stream, index, _| script(Wire::new(stream), index)).await
    }

    /// Answers every request by `handler`; an error closes the connection.
    pub(crate) async fn serve<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply, BoxError>> + Send + 'static,
    {
        Self::serve_over(Transport::Plain, handler).await
    }

    /// The same over any transport; over HTTP/2 an error resets the stream.
    pub(crate) async fn serve_over<F, R>(transport: Transport, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply, BoxError>> + Send + 'static,
    {
        Self::http(transport, move |request, _, _| handler(request)).await
    }

    /// Answers by the path: `/bytes/N` and `/stream/N` with N bytes, of known and of unknown length; `/status/N`
    /// with that status; anything else with the method, the target and the body's length.
    pub(crate) async fn standard() -> Self {
        Self::standard_over(Transport::Plain).await
    }

    /// The same over any transport.
    pub(crate) async fn standard_over(transport: Transport) -> Self {
        Self::http(transport, standard).await
    }

    /// The same over TLS, without HTTP/2.
    pub(crate) async fn tls(authority: &Authority, name: &str) -> Self {
        Self::standard_over(Transport::Tls(authority.acceptor(name, &["http/1.1"]))).await
    }

    async fn http<F, R>(transport: Transport, handler: F) -> Self
    where
        F: Fn(Request<Incoming>, usize, Arc<State>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply, BoxError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let scheme = if matches!(transport, Transport::Plain) { "http" } else { "https" };
        Self::accept(scheme, move |stream, index, state| {
            let (transport, handler) = (transport.clone(), handler.clone());
            let answer = move |request| {
                state.begun.fetch_add(1, Ordering::SeqCst);
                handler(request, index, state.clone())
            };
            async move {
                match transport {
                    Transport::Plain => serve_connection(stream, answer).await,
                    Transport::Tls(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve_connection(stream, answer).await;
                        }
                    }
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
        // Not a port that another test's upstream may get once this one is closed: requests still being sent to this one
        // must not arrive there.
        let listener = TcpListener::bind(("127.0.0.1", free_port())).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let (closing, closed) = watch::channel(false);
        let upstream = Self { address, scheme, state: state.clone(), closing };
        let accepting = {
            let closed = closed.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    stream.set_nodelay(true).unwrap();
                    let index = state.accepted.fetch_add(1, Ordering::SeqCst);
                    state.open.fetch_add(1, Ordering::SeqCst);
                    let (running, state) = (connection(stream, index, state.clone()), state.clone());
                    let closed = closed.clone();
                    tokio::spawn(async move {
                        until_closed(closed, running).await;
                        state.open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            }
        };
        tokio::spawn(until_closed(closed, accepting));
        upstream
    }

    /// Stops listening and aborts every connection.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        self.closing.closed().await;
    }

    /// Its origin for a tenant's `upstream`.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Number of connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Number of requests of which at least the head arrived.
    pub(crate) fn begun(&self) -> usize {
        self.state.begun.load(Ordering::SeqCst)
    }

    /// Requests that the standard upstream received completely.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().clone()
    }

    /// The last of these requests.
    pub(crate) fn last(&self) -> Seen {
        self.state.seen.lock().last().cloned().expect("a request")
    }
}

/// Runs until the future ends or the upstream is closed; an upstream that is only dropped continues as long as the runtime.
async fn until_closed(mut closed: watch::Receiver<bool>, running: impl Future<Output = ()>) {
    let closed = async {
        if closed.wait_for(|closed| *closed).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = running => {}
        () = closed => {}
    }
}

async fn serve_connection<S, F, R>(stream: S, handler: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R + Send + 'static,
    R: Future<Output = Result<Reply, BoxError>> + Send + 'static,
{
    let builder = auto::Builder::new(TokioExecutor::new());
    // How a connection ends depends on the test.
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(handler)).await;
}

async fn standard(
    request: Request<Incoming>,
    connection: usize,
    state: Arc<State>,
) -> Result<Reply, BoxError> {
    let (mut parts, body) = request.into_parts();
    let body = digest(body).await?;
    let target = match parts.version {
        // HTTP/2 sends scheme and authority separately from the target.
        http::Version::HTTP_2 => {
            let authority = parts.uri.authority().ok_or("no authority")?;
            parts.headers.insert("host", authority.as_str().parse()?);
            parts.uri.path_and_query().ok_or("no path")?.to_string()
        }
        _ => parts.uri.to_string(),
    };
    let seen = Seen {
        connection,
        version: parts.version,
        method: parts.method.to_string(),
        target,
        headers: parts.headers,
        body: body.clone(),
    };
    let summary = format!("{} {} {}", seen.method, seen.target, body.len);
    state.seen.lock().push(seen);
    let mut segments = parts.uri.path().split('/').skip(1);
    let (what, number) = (segments.next(), segments.next().and_then(|text| text.parse().ok()));
    let reply = match (what, number) {
        (Some("bytes"), Some(len)) => reply(Pattern::known(len)),
        (Some("stream"), Some(len)) => reply(Pattern::unknown(len)),
        (Some("status"), Some(code)) => {
            let mut reply = reply(http_body_util::Empty::new());
            *reply.status_mut() = u16::try_from(code)?.try_into()?;
            reply
        }
        _ => reply(http_body_util::Full::from(summary)),
    };
    if parts.method != http::Method::HEAD {
        return Ok(reply);
    }
    // Over HTTP/2, hyper does not leave out the body by itself.
    let length = reply.body().size_hint().exact();
    let mut reply =
        reply.map(|_| http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync());
    if let Some(length) = length {
        reply.headers_mut().insert("content-length", length.into());
    }
    Ok(reply)
}
