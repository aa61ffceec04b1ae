//! A paired client without an HTTP client: its messages can be inspected, changed, and sent again.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use mte_client::{
    KemId,
    wire::{BodyPlan, Offer, Options, Pair, SealedHead, SealedRequest, seal, seal_head},
};

use super::{Message, Relay};

/// The host of the only tenant in most tests.
pub(crate) const HOST: &str = "tenant.test";

/// A client id with one pair.
pub(crate) struct Session {
    pub client_id: String,
    pub pair: Arc<Pair>,
    pub host: String,
    pub options: Options,
}

impl Session {
    /// Pairs with the tenant [`HOST`].
    pub(crate) async fn new(relay: &Relay) -> Self {
        Self::with(relay, HOST).await
    }

    /// Pairs with the tenant `host`.
    pub(crate) async fn with(relay: &Relay, host: &str) -> Self {
        let hello = relay.ask(&format!("HEAD /api/mte-relay HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        let client_id = hello.header("x-mte-relay").expect("a client id").to_owned();
        Self::paired(relay, host, client_id).await
    }

    /// Pairs once more, as the same client.
    pub(crate) async fn again(&self, relay: &Relay) -> Self {
        Self::paired(relay, &self.host, self.client_id.clone()).await
    }

    async fn paired(relay: &Relay, host: &str, client_id: String) -> Self {
        let offer = Offer::new(1, KemId::MlKem512);
        let answer = relay.ask(&pairing(host, &client_id, &offer)).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        let pair = offer.accept(&client_id, &answer.body).unwrap().remove(0);
        Self { client_id, pair, host: host.to_owned(), options: Options::default() }
    }

    /// Seals a whole request.
    pub(crate) fn seal(&self, request: Request<Bytes>) -> SealedRequest {
        seal(&self.pair, &self.options, &self.host, request).unwrap()
    }

    /// Seals all but the body.
    pub(crate) fn seal_head(&self, request: Request<()>, plan: BodyPlan) -> SealedHead {
        seal_head(&self.pair, &self.options, &self.host, &request.into_parts().0, plan).unwrap()
    }

    /// A sealed request as sent on the connection.
    pub(crate) fn bytes(&self, sealed: &SealedRequest) -> Vec<u8> {
        let framing = match sealed.body.len() {
            0 => String::new(),
            len => format!("content-length: {len}\r\n"),
        };
        let mut bytes = self.head(sealed.method.as_str(), &sealed.path, &sealed.headers, &framing);
        bytes.extend_from_slice(&sealed.body);
        bytes
    }

    /// A request's head as sent on the connection; `more` are header lines.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &http::HeaderMap, more: &str) -> Vec<u8> {
        let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n{more}", self.host).into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: ").as_bytes());
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// A pairing request as sent on the connection.
pub(crate) fn pairing(host: &str, client_id: &str, offer: &Offer) -> String {
    let body = String::from_utf8(offer.to_json()).unwrap();
    let len = body.len();
    format!(
        "POST /api/mte-pair HTTP/1.1\r\nhost: {host}\r\nx-mte-relay: {client_id}\r\ncontent-length: {len}\r\n\r\n{body}"
    )
}

impl Message {
    /// A response as a type of the `http` crate.
    pub(crate) fn into_response(self) -> http::Response<Bytes> {
        let mut response = http::Response::builder().status(self.status());
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        response.body(Bytes::from(self.body)).unwrap()
    }
}
