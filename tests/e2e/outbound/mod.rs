//! Relay to relay: an application, relay A in outbound mode, relay B, and an upstream (docs/protocol.md, section 7).

mod exchanges;
mod failures;
mod fields;
mod loops;
mod memory;
mod peers;
mod refusals;
mod reload;
mod streams;
mod tap;
mod wire;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use mte_client::BoxError;
use mte_relay::config::{Config, ReloadState};
use tokio::net::TcpStream;

use self::tap::Tap;
use crate::harness::{HOST, Message, Relay, Setup, Upstream, free_port};

/// What the tests' relays take for their outbound mode.
const TOKEN: &str = "0a9d2c5e7b1f4860a9d2c5e7b1f4860a";
/// The tenant of relay A. Relay B's has the name of its address, as a peer's has that is reached without a name.
const APP: &str = "app.test";

/// Relay A, with lines at the top and of its tenant, and a wire to relay B that is listened to.
struct Chain {
    a: Relay,
    b: Relay,
    tap: Tap,
    upstream: Upstream,
}

/// What a tenant with outbound mode has in addition to `lines`.
fn outbound(lines: &str) -> String {
    format!("outbound_token: {TOKEN}\noutbound_pair_count: 2\n{lines}")
}

/// Allows peers on this machine.
const LOOPBACK: &str = "outbound_peers: [127.0.0.0/8]";

impl Chain {
    async fn new() -> Self {
        Self::with("", LOOPBACK, "").await
    }

    /// `top` is at the top of A's configuration, `a` and `b` are settings of the tenants.
    async fn with(top: &str, a: &str, b: &str) -> Self {
        Self::to(Upstream::standard().await, top, a, b).await
    }

    async fn to(upstream: Upstream, top: &str, a: &str, b: &str) -> Self {
        let b = Setup::default().tenant("*", &upstream.url(), b).start().await;
        let tap = Tap::new(b.address).await;
        let a = relay_a(top, a).start().await;
        Self { a, b, tap, upstream }
    }

    /// B's address, as A sees it.
    fn peer(&self) -> String {
        format!("http://{}", self.tap.address)
    }

    /// Header lines of an outbound request to B.
    fn lines(&self) -> String {
        lines(&self.peer())
    }

    /// Sends a request over a connection of its own: `head` is the request line and header lines, without those of `lines`.
    async fn ask(&self, head: &str, body: &str) -> Message {
        ask(&self.a, &self.peer(), head, body).await
    }

    /// A connection to stream over.
    async fn app(&self) -> App {
        App::connect(self.a.address, self.peer()).await
    }
}

/// A's configuration; nothing answers at its own upstream.
fn relay_a(top: &str, tenant: &str) -> Setup {
    Setup::default().top(top).tenant(APP, "http://127.0.0.1:1", &outbound(tenant))
}

fn lines(peer: &str) -> String {
    format!("host: {APP}\r\nx-mte-outbound-token: {TOKEN}\r\nx-mte-upstream: {peer}\r\n")
}

/// Sends an outbound request; `head` is its request line, and perhaps more lines.
async fn ask(relay: &Relay, peer: &str, head: &str, body: &str) -> Message {
    let (line, more) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut request = format!("{line}\r\n{}", lines(peer));
    for line in more.split("\r\n").filter(|line| !line.is_empty()) {
        request.push_str(&format!("{line}\r\n"));
    }
    if !body.is_empty() {
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    relay.ask(&format!("{request}\r\n{body}")).await
}

/// A relay whose names are looked up by `resolver`.
async fn start_resolving(setup: &Setup, resolver: mte_relay::upstream::Resolver) -> Relay {
    let mut reload_state = ReloadState::default();
    reload_state.resolver = resolver;
    let environment = BTreeMap::<&str, &str>::new();
    let text = setup.text(free_port());
    let config = Config::parse(&text, "test", Path::new("."), &environment, &Arc::new(reload_state));
    Relay::start(config.unwrap_or_else(|problems| panic!("{problems}"))).await
}

type Sent = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;

/// An application that streams.
struct App {
    sender: hyper::client::conn::http1::SendRequest<Sent>,
    peer: String,
}

impl App {
    async fn connect(relay: SocketAddr, peer: String) -> Self {
        let stream = TcpStream::connect(relay).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, peer }
    }

    /// Sends a request whose body comes as it comes.
    async fn send<B>(&mut self, method: &str, path: &str, body: B) -> Result<Response<Incoming>, hyper::Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", APP)
            .header("x-mte-outbound-token", TOKEN)
            .header("x-mte-upstream", &self.peer)
            .body(body.map_err(Into::into).boxed_unsync())
            .unwrap();
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}

/// The cause that the relay's tenant [`APP`] counted so often.
fn failures(relay: &Relay, cause: &str) -> usize {
    let series = format!("mte_relay_outbound_failures_total{{cause=\"{cause}\",tenant=\"{APP}\"}} ");
    let text = relay.shared.metrics.text();
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
}

/// Pairs that relay B has made.
fn pairs_made(b: &Relay) -> u64 {
    let prefix = "mte_relay_pair_events_total{event=\"created\"";
    let text = b.shared.metrics.text();
    let counts = text.lines().filter(|line| line.starts_with(prefix));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// The host of tests whose relay B has one tenant with a name.
const NAMED: &str = HOST;
