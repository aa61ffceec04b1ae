//! Responses to clients, on every route and over every pair of HTTP versions: framing, sealing, decoding.

mod decoding;
mod sealing;
mod tunnels;
mod versions;

use bytes::Bytes;
use http::Request;

use crate::harness::{HOST, Message, Relay, Session, Setup, Upstream, Wire};

/// A relay whose tenant has the pass-through route `/open/*`.
async fn relay(upstream: &Upstream) -> Relay {
    relay_with(upstream, "").await
}

/// The same with further settings of the tenant.
async fn relay_with(upstream: &Upstream, lines: &str) -> Relay {
    let lines = format!("pass_through_routes: ['/open/*']\n{lines}");
    Setup::default().tenant(HOST, &upstream.url(), &lines).start().await
}

/// An upstream that answers every request on a connection with these bytes.
async fn answering(answer: impl Into<Vec<u8>>) -> Upstream {
    let answer = answer.into();
    Upstream::raw(move |mut wire: Wire, _| {
        let answer = answer.clone();
        async move {
            while wire.request().await.is_ok() {
                wire.send(&answer).await;
            }
        }
    })
    .await
}

/// An upstream that answers one request per connection with these bytes, and closes it.
async fn answering_once(answer: impl Into<Vec<u8>>) -> Upstream {
    let answer = answer.into();
    Upstream::raw(move |mut wire: Wire, _| {
        let answer = answer.clone();
        async move {
            if wire.request().await.is_ok() {
                wire.send(&answer).await;
            }
        }
    })
    .await
}

/// The response to a sealed GET, as received on the connection.
async fn sealed_get(relay: &Relay, session: &Session, path: &str) -> Message {
    sealed(relay, session, Request::get(path).body(Bytes::new()).unwrap()).await
}

async fn sealed(relay: &Relay, session: &Session, request: Request<Bytes>) -> Message {
    let head = request.method() == http::Method::HEAD;
    let mut wire = relay.wire().await;
    wire.send(session.bytes(&session.seal(request))).await;
    wire.response(head).await.expect("an answer")
}

/// The response to a plain GET over this version of HTTP/1, and the rest of the connection.
async fn plain(relay: &Relay, path: &str, version: &str) -> (Message, Vec<u8>) {
    let mut wire = relay.wire().await;
    wire.send(format!("GET {path} {version}\r\nhost: {HOST}\r\nconnection: close\r\n\r\n")).await;
    let answer = wire.response(false).await.expect("an answer");
    let mut rest = Vec::new();
    while let Some(part) = wire.some().await {
        rest.extend(part);
    }
    (answer, rest)
}
