//! The one table of failures (docs/protocol.md, section 5; docs/operations.md, "Why a request was refused").

use std::{
    fmt,
    // As short as the lines need it.
    format_args as text,
};

use mte_protocol::{PairingError, Status};

use super::{Failure, Overload};

/// What is answered, counted and logged of a failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// The status code to answer.
    pub(super) status: u16,
    /// Why, as a label of metrics and logs.
    pub(super) cause: &'static str,
    /// The same if the response had begun: the client then sees a cut response.
    pub(super) cause_once_begun: &'static str,
    /// At which level it is logged: what the operator can fix is a warning or an error.
    pub(super) level: log::Level,
    /// The text for the client: enough to act on, and never why a decode failed.
    pub(super) client: fmt::Arguments<'a>,
    /// What the log says.
    pub(super) operator: fmt::Arguments<'a>,
    /// Seconds for `retry-after`, where waiting helps.
    pub(super) retry_after: Option<u64>,
    /// It is the codec's: the request did not open, or its pair could not be used.
    pub(super) codec: bool,
    /// It counts against the address that the request came from: the sender of such requests need not be the client that
    /// they name.
    pub(super) suspicious: bool,
}

/// A line of the table, with a text for the client and one for the operator.
fn row<'a>(
    status: u16,
    cause: &'static str,
    level: log::Level,
    client: fmt::Arguments<'a>,
    operator: fmt::Arguments<'a>,
) -> Row<'a> {
    Row {
        status,
        cause,
        cause_once_begun: cause,
        level,
        client,
        operator,
        retry_after: None,
        codec: false,
        suspicious: false,
    }
}

/// A line with the same text for both.
fn open_row<'a>(status: u16, cause: &'static str, level: log::Level, text: fmt::Arguments<'a>) -> Row<'a> {
    row(status, cause, level, text, text)
}

impl Row<'_> {
    fn once_begun(self, cause: &'static str) -> Self {
        Self { cause_once_begun: cause, ..self }
    }

    fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    fn codec(self) -> Self {
        Self { codec: true, ..self }
    }

    fn suspicious(self) -> Self {
        Self { suspicious: true, ..self }
    }
}

impl Failure {
    /// The table: status, cause, level, the client's text, the operator's text. `read` gets a reference to a line: its texts
    /// borrow the failure's values and are written only where they are needed.
    #[rustfmt::skip]
    pub(super) fn row<T>(&self, read: impl FnOnce(Row<'_>) -> T) -> T {
        use log::Level::{Error, Info, Warn};
        match self {
            Self::UnknownHost(host) => read(row(421, "unknown_host", Info,
                text!("this relay serves no such host"),
                text!("no tenant for host {host:?}"))),
            Self::Misdirected(host) => read(row(421, "misdirected", Info,
                text!("this connection was not made for this host: open another one"),
                text!("host {host:?} over a connection that was not made for its tenant"))),
            Self::BadRequest(why) => read(open_row(400, "bad_request", Info, text!("{why}"))),
            Self::BadPairing(why) => read(row(PairingError::STATUS, "bad_pairing", Info,
                text!("{why}"),
                text!("pairing request refused: {why}"))),
            Self::NotFound => read(open_row(404, "no_route", Info, text!("no such route"))),
            Self::MethodNotAllowed(allowed) => read(row(405, "method", Info,
                text!("method not allowed here: use {allowed}"),
                text!("method not allowed"))),
            Self::PairExists(index) => read(row(409, "pair_exists", Info,
                text!("pair {index} has the id of a live pair: choose another pairId"),
                text!("pair {index} of the request has the id of a live pair"))),
            Self::TooLarge { what, limit } => read(open_row(413, "body_too_large", Info,
                text!("{what} is larger than {limit} bytes"))),
            Self::HeadersTooLarge { size, limit } => read(open_row(431, "headers_too_large", Info,
                text!("header fields of {size} bytes: the limit is {limit}"))),
            Self::TooManyHeaders { limit } => read(open_row(431, "headers_too_large", Info,
                text!("more than {limit} names of header fields"))),
            Self::TooManyPairs { retry_after } => read(row(429, "pairing_rate", Info,
                text!("too many pairs in too short a time: wait"),
                text!("too many pairs per second")).retry_after(*retry_after)),
            Self::TooManyRequests { retry_after } => read(row(429, "request_rate", Info,
                text!("too many requests in too short a time: wait"),
                text!("too many requests per second")).retry_after(*retry_after)),
            Self::StoreFull => read(row(503, "store_full", Warn,
                text!("no room for more pairs now: try again later"),
                text!("the pair store has no room for these pairs")).retry_after(30)),
            Self::StoreUnavailable(why) => read(row(503, "store_unavailable", Error,
                text!("pairs cannot be looked up now: keep yours and try again later"),
                text!("{why}")).retry_after(5)),
            Self::NetworkFull => read(row(429, "network_full", Info,
                text!("your network has too many pairs: try again later"),
                text!("the client network has as many pairs as pairs.max_per_network allows")).retry_after(60)),
            Self::Overloaded(Overload::Gathered) => read(row(503, "gathered", Warn,
                text!("the relay is busy: try again later"),
                text!("overloaded: the bodies held in memory have reached limits.gathered, or this client network's or tenant's part of it")).retry_after(1)),
            Self::Overloaded(Overload::KeyExchanges) => read(row(503, "pairing_queue", Warn,
                text!("the relay is busy: try again later"),
                text!("overloaded: too many pairs wait for their key exchange")).retry_after(1)),
            Self::Overloaded(Overload::Requests) => read(row(503, "too_many_requests", Warn,
                text!("the relay is busy: try again later"),
                text!("overloaded: as many requests are in flight as limits.connections allows, or limits.connections_per_network over HTTP/2")).retry_after(1)),
            Self::Relay { status: status @ Status::StateNotRead, cause, reason } => read(row(status.code(), cause, Error,
                text!("{}", status.text()),
                text!("{}: {reason}", status.text())).codec()),
            Self::Relay { status, cause, reason } => read(row(status.code(), cause, Info,
                text!("{}", status.text()),
                text!("{}: {reason}", status.text())).codec().suspicious()),
            Self::NoUpstream(why) => read(row(503, "no_upstream", Warn,
                text!("no upstream is available now: try again later"),
                text!("no healthy upstream: {why}")).retry_after(5)),
            Self::LateBody(why) => read(row(400, "late_body", Info,
                text!("the request body did not verify"),
                text!("body failed to verify after its first frame: {}", why.reason())).codec()),
            Self::AnsweredEarly => read(row(400, "answered_early", Info,
                text!("the response is whole"),
                text!("the upstream answered before the request was whole; the rest of the request is not sent"))),
            Self::BadGateway(why) => read(row(502, "bad_gateway", Warn,
                text!("the upstream could not be reached or did not answer properly"),
                text!("upstream: {why}")).once_begun("upstream_closed")),
            Self::GatewayTimeout(why) => read(row(504, "gateway_timeout", Warn,
                text!("the upstream did not answer in time"),
                text!("upstream timed out: {why}")).once_begun("upstream_timeout")),
            Self::OutboundToken => read(row(401, "outbound_token", Info,
                text!("x-mte-outbound-token is not the token of this host"),
                text!("wrong outbound token")).suspicious()),
            Self::PeerNotAllowed(why) => read(row(403, "peer_not_allowed", Info,
                text!("this peer is not allowed: its relay must be among the outbound peers of this one"),
                text!("peer not allowed: {why}"))),
            Self::Upgrade => read(open_row(501, "upgrade", Info,
                text!("an outbound request cannot change the protocol: leave out the Upgrade field"))),
            Self::Loop => read(row(508, "loop", Warn,
                text!("the request came back to a relay that had sent it on: check where the relays send their requests"),
                text!("a loop: this relay, or a replica of it, has sent the request to a peer before"))),
            Self::PeerUnreachable(why) => read(row(502, "peer_unreachable", Warn,
                text!("the peer relay cannot be reached"),
                text!("peer cannot be reached: {why}"))),
            Self::PeerRefused { status, may_have_run: true, why } => read(row(502, "peer_refused", Warn,
                text!("the peer relay answered {status}: the request was not sent again, find out whether it took effect"),
                text!("peer refused: {why}"))),
            Self::PeerRefused { status, may_have_run: false, why } => read(row(502, "peer_refused", Warn,
                text!("the peer relay refused the request: it answered {status}"),
                text!("peer refused: {why}"))),
            Self::PeerFailed(why) => read(row(502, "peer_failed", Warn,
                text!("the exchange with the peer relay failed"),
                text!("peer failed: {why}")).once_begun("peer_closed")),
            Self::PeerTimeout(why) => read(row(504, "peer_timeout", Warn,
                text!("the peer relay did not answer in time"),
                text!("peer timed out: {why}"))),
            Self::ClientClosed(why) => read(row(400, "client_closed", Info,
                text!("the client's connection failed"),
                text!("client: {why}"))),
            Self::ClientTimeout(why) => read(row(400, "client_timeout", Info,
                text!("the client's connection failed"),
                text!("client timed out while taking its response: {why}"))),
            Self::RequestTimeout => read(row(408, "request_timeout", Info,
                text!("the request body did not arrive in time"),
                text!("client timed out while sending its body"))),
            Self::Internal(why) => read(row(500, "internal", Error,
                text!("the relay failed"),
                text!("internal error: {why}"))),
        }
    }
}
