//! The line of a finished request.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::Finished;

/// The target of these lines.
pub(super) const TARGET: &str = "mte_relay::access";

/// What is logged of a finished request, beside what is counted.
#[derive(Debug)]
pub struct Access<'a> {
    /// Its id.
    pub request_id: &'a str,
    /// The trace it belongs to.
    pub trace_id: Option<&'a str>,
    /// Whose it was.
    pub tenant: &'a str,
    /// Who sent it, if that is known.
    pub client_id: Option<String>,
    /// From where.
    pub client_address: Option<IpAddr>,
    /// Its method.
    pub method: &'a str,
    /// Whether it came over HTTP/2.
    pub http2: bool,
    /// How it was encrypted, if it was.
    pub encrypted: Option<Encrypted>,
    /// The upstream's peer that had it.
    pub peer: Option<&'a str>,
    /// The peer's address, where the peer is a name.
    pub peer_address: Option<SocketAddr>,
    /// Whether the connection to it was used before, if there was one.
    pub reused: Option<bool>,
    /// How often a peer was tried.
    pub attempts: usize,
    /// An origin that the tenant's CORS policy refuses.
    pub cors_refused: Option<&'a str>,
    /// Why it ended.
    pub closed: &'static str,
}

/// The encrypted part of a request.
#[derive(Debug)]
pub struct Encrypted {
    /// How it was encoded.
    pub encode_type: &'static str,
    /// Opening messages took so long.
    pub decode: Duration,
    /// Sealing them.
    pub encode: Duration,
}

/// Whether these lines are written at all.
pub fn access_is_logged() -> bool {
    log::log_enabled!(target: TARGET, log::Level::Info)
}

/// Writes the line of a request.
pub fn access(access: &Access<'_>, finished: &Finished) {
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let encrypted = access.encrypted.as_ref();
    log::info!(
        target: TARGET,
        request_id = access.request_id,
        trace_id = access.trace_id,
        tenant = access.tenant,
        client_id = access.client_id.as_deref(),
        client_address = access.client_address.map(|address| address.to_string()).as_deref(),
        method = access.method,
        http = if access.http2 { "2" } else { "1.1" },
        route = finished.route.name(),
        encode_type = encrypted.map(|encrypted| encrypted.encode_type),
        status = finished.status,
        total_ms = millis(finished.total),
        upstream_ms = finished.upstream.map(millis),
        overhead_ms = finished.overhead.map(millis),
        decode_ms = encrypted.map(|encrypted| millis(encrypted.decode)),
        encode_ms = encrypted.map(|encrypted| millis(encrypted.encode)),
        request_bytes = finished.request[0],
        request_encoded_bytes = encrypted.map(|_| finished.request[1]),
        response_bytes = finished.response[0],
        response_encoded_bytes = encrypted.map(|_| finished.response[1]),
        peer = access.peer,
        peer_address = access.peer_address.map(|address| address.to_string()).as_deref(),
        connection = access.reused.map(|reused| if reused { "reused" } else { "new" }),
        attempts = Some(access.attempts).filter(|attempts| *attempts > 1),
        cors_refused = access.cors_refused,
        closed = access.closed;
        "request"
    );
}
