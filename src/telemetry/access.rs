//! The access line of a finished request.

use std::{borrow::Cow, net::SocketAddr, time::Duration};

use super::{Finished, LOGGER, line::Fields};

/// The target of these lines.
pub(super) const TARGET: &str = "mte_relay::access";

/// The values logged for a finished request, in addition to those that are counted.
#[derive(Debug)]
pub struct Access<'a> {
    /// Its id.
    pub request_id: &'a str,
    /// The trace it belongs to.
    pub trace_id: Option<&'a str>,
    /// The tenant.
    pub tenant: &'a str,
    /// The client, if known.
    pub client_id: Option<String>,
    /// The client's address.
    pub client_address: Option<Cow<'a, str>>,
    /// The HTTP method.
    pub method: &'a str,
    /// Whether it came over HTTP/2.
    pub http2: bool,
    /// The encrypted part, if there was one.
    pub encrypted: Option<Encrypted>,
    /// The upstream peer that it was sent to.
    pub peer: Option<&'a str>,
    /// The peer's address, where the peer is a name.
    pub peer_address: Option<SocketAddr>,
    /// Whether the connection to the peer was reused, if there was one.
    pub reused: Option<bool>,
    /// The number of upstream attempts.
    pub attempts: usize,
    /// The origin, if the tenant's CORS policy refuses it.
    pub cors_refused: Option<&'a str>,
    /// Why it ended.
    pub closed: &'static str,
}

/// The encrypted part of a request.
#[derive(Debug)]
pub struct Encrypted {
    /// How it was encoded.
    pub encode_type: &'static str,
    /// The time spent opening messages.
    pub decode: Duration,
    /// The time spent sealing messages.
    pub encode: Duration,
}

/// Whether these lines are written at all.
pub fn access_is_logged() -> bool {
    log::log_enabled!(target: TARGET, log::Level::Info)
}

/// Writes the line of a request. There is one for every request, so it bypasses `log`, whose fields have dynamic types.
pub fn access(access: &Access<'_>, finished: &Finished) {
    let Some(logger) = LOGGER.get() else { return };
    logger.add(false, |line| {
        logger.format.write_fields(line, (log::Level::Info, TARGET), &format_args!("request"), |fields| {
            write(fields, access, finished);
            Ok(())
        })
    });
}

fn write(fields: &mut Fields<'_>, access: &Access<'_>, finished: &Finished) {
    let encrypted = access.encrypted.as_ref();
    fields.text("request_id", access.request_id);
    fields.text("trace_id", access.trace_id);
    fields.text("tenant", access.tenant);
    fields.text("client_id", access.client_id.as_deref());
    fields.text("client_address", access.client_address.as_deref());
    fields.text("method", access.method);
    fields.text("http", if access.http2 { "2" } else { "1.1" });
    fields.text("route", finished.route.name());
    fields.text("encode_type", encrypted.map(|encrypted| encrypted.encode_type));
    fields.number("status", u64::from(finished.status));
    fields.millis("total_ms", finished.total);
    fields.millis("upstream_ms", finished.upstream);
    fields.millis("overhead_ms", finished.overhead);
    fields.millis("decode_ms", encrypted.map(|encrypted| encrypted.decode));
    fields.millis("encode_ms", encrypted.map(|encrypted| encrypted.encode));
    fields.number("request_bytes", finished.request[0]);
    fields.number("request_encoded_bytes", encrypted.map(|_| finished.request[1]));
    fields.number("response_bytes", finished.response[0]);
    fields.number("response_encoded_bytes", encrypted.map(|_| finished.response[1]));
    fields.text("peer", access.peer);
    fields.text("peer_address", access.peer_address.map(|address| address.to_string()).as_deref());
    fields.text("connection", access.reused.map(|reused| if reused { "reused" } else { "new" }));
    fields.number("attempts", Some(access.attempts as u64).filter(|attempts| *attempts > 1));
    fields.text("cors_refused", access.cors_refused);
    fields.text("closed", access.closed);
}
