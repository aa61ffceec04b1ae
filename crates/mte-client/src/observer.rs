//! Hooks for observing what a client does: `-v` on the command line, the demo, tests.
//!
//! Events borrow what the client already has, so that nothing is built without an observer. They show
//! plaintext and what goes over the wire side by side, never a key.

use http::{HeaderMap, Method, StatusCode, Version};
use mte_codec::KemId;
use mte_protocol::SealedHeaders;

use crate::{Error, wire::Part};

/// Observes a client. Every method does nothing by default. They are called in the middle of an exchange:
/// be quick.
///
/// `exchange` counts the requests of a client, so that the events of several in flight can be distinguished; a repeated
/// request keeps its number.
pub trait Observer: Send + Sync {
    /// The relay gave a client id (docs/protocol.md, section 1).
    fn client_id(&self, _id: &str) {}
    /// Pairs were made (docs/protocol.md, section 2).
    fn paired(&self, _event: &Paired<'_>) {}
    /// A request is sealed and about to go (docs/protocol.md, section 3).
    fn request(&self, _event: &RequestEvent<'_>) {}
    /// A part of the request's body is sealed and about to go.
    fn request_chunk(&self, _event: Chunk) {}
    /// A response's head has come and, if it is sealed, its headers are open (docs/protocol.md, section 4).
    fn response(&self, _event: &ResponseEvent<'_>) {}
    /// A frame of the response's body is open.
    fn response_chunk(&self, _event: Chunk) {}
    /// The pair is dropped and the request is sent again (docs/protocol.md, section 5).
    fn retry(&self, _event: &Retry<'_>) {}
}

/// A pairing that succeeded.
#[derive(Debug)]
pub struct Paired<'a> {
    /// How many pairs.
    pub pairs: usize,
    /// Their key encapsulation.
    pub kem: KemId,
    /// Bytes of the pairing request's body.
    pub sent: usize,
    /// Bytes of its answer's body.
    pub received: usize,
    /// Why, if it is not the first.
    pub reason: Option<&'a str>,
}

/// A sealed request.
pub struct RequestEvent<'a> {
    /// Which exchange.
    pub exchange: u64,
    /// The method; it is not encoded.
    pub method: &'a Method,
    /// Path and query as the caller gave them.
    pub url: &'a str,
    /// Path and query on the wire.
    pub wire_path: &'a str,
    /// The authority, as in `Host`.
    pub authority: &'a str,
    /// The headers as the caller gave them.
    pub headers: &'a HeaderMap,
    /// The headers on the wire, but for those that HTTP itself adds.
    pub wire_headers: &'a HeaderMap,
    /// The plaintext of the sealed header map, JSON.
    pub header_map: &'a [u8],
    /// The pair used.
    pub pair: &'a str,
    /// The sealed parts.
    pub parts: &'a [Part],
}

/// A part of a body.
#[derive(Debug, Clone, Copy)]
pub struct Chunk {
    /// Which exchange.
    pub exchange: u64,
    /// Plaintext bytes.
    pub plain_len: usize,
    /// Bytes on the wire.
    pub wire_len: usize,
    /// Whether it ends the body.
    pub last: bool,
}

/// A response's head.
pub struct ResponseEvent<'a> {
    /// Which exchange.
    pub exchange: u64,
    /// The protocol it came by.
    pub version: Version,
    /// The status on the wire.
    pub status: StatusCode,
    /// The headers on the wire.
    pub wire_headers: &'a HeaderMap,
    /// What the sealed headers said; `None` for an error of the relay itself, which is in the clear.
    pub opened: Option<Opened<'a>>,
}

/// A response's sealed headers.
pub struct Opened<'a> {
    /// The sealed map.
    pub sealed: &'a SealedHeaders,
    /// The message that carried it; its place says whether a body follows.
    pub part: Part,
}

/// A request that is sent again.
pub struct Retry<'a> {
    /// Which exchange.
    pub exchange: u64,
    /// What the relay answered.
    pub error: &'a Error,
}
