//! The end of a request: it is counted, and has its one line in the log.

use std::time::Duration;

use pingora_core::{Error, ErrorSource};
use pingora_proxy::Session;

use super::{Finished, NO_TENANT};
use crate::{
    gateway::{RequestContext, error::Failure},
    relay::Shared,
};

/// The target of these lines.
pub(super) const TARGET: &str = "mte_relay::access";

/// Counts a finished request and writes its line.
pub fn finished(shared: &Shared, session: &Session, error: Option<&Error>, ctx: &RequestContext) {
    let downstream = session.as_downstream();
    let total = ctx.started.elapsed();
    let status = downstream.response_written().map_or(0, |response| response.status.as_u16());
    let (received, sent) = (downstream.body_bytes_read() as u64, downstream.body_bytes_sent() as u64);
    let [mut request, mut response] = [ctx.request_size, ctx.response_size];
    match &ctx.exchange {
        Some(exchange) => {
            request[0] += exchange.body.opened().unwrap_or(received);
            request[1] += received;
            response[1] += sent;
        }
        None => (request[0], response[0]) = (received, sent),
    }
    let (route, timing) = (ctx.route, &ctx.timing);
    let finished = Finished {
        route,
        status,
        total,
        upstream: timing.upstream,
        overhead: timing.overhead,
        request,
        response,
    };
    match &ctx.tenant {
        Some(tenant) => tenant.metrics.finished(&finished),
        None => shared.metrics.untenanted().finished(&finished),
    }
    if !log::log_enabled!(target: TARGET, log::Level::Info) {
        return;
    }
    let header = downstream.req_header();
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let encrypted = ctx.exchange.as_ref();
    log::info!(
        target: TARGET,
        request_id = ctx.request_id.as_str(),
        trace_id = ctx.trace.as_ref().map(super::TraceId::as_str),
        tenant = ctx.tenant.as_ref().map_or(NO_TENANT, |tenant| &*tenant.name),
        client_id = ctx.client.as_ref().map(|(client, _)| client.to_string()).as_deref(),
        client_address = ctx.from.address.map(|address| address.to_string()).as_deref(),
        method = header.method.as_str(),
        http = if downstream.is_http2() { "2" } else { "1.1" },
        route = route.name(),
        encode_type = encrypted.map(|exchange| exchange.encode_type.name()),
        status = status,
        total_ms = millis(total),
        upstream_ms = timing.upstream.map(millis),
        overhead_ms = timing.overhead.map(millis),
        decode_ms = encrypted.map(|_| millis(timing.decode)),
        encode_ms = encrypted.map(|_| millis(timing.encode)),
        request_bytes = request[0],
        request_encoded_bytes = encrypted.map(|_| request[1]),
        response_bytes = response[0],
        response_encoded_bytes = encrypted.map(|_| response[1]),
        peer = ctx.upstream_peer().map(|peer| peer.origin.as_str()),
        peer_address = ctx.peer_address().map(|address| address.to_string()).as_deref(),
        connection = ctx.peer.as_ref().and_then(|peer| peer.connected).map(|(_, reused)| if reused { "reused" } else { "new" }),
        attempts = Some(ctx.attempts).filter(|attempts| *attempts > 1),
        cors_refused = ctx.refused_origin.as_deref(),
        closed = closed(error, ctx, status);
        "request"
    );
}

/// Why a request ended.
fn closed(error: Option<&Error>, ctx: &RequestContext, status: u16) -> &'static str {
    match (&ctx.failure, error.map(Error::esource)) {
        // The head of the response was out.
        (Some(failure @ Failure::BadGateway(_)), _) if status != failure.status() => "upstream_closed",
        (Some(failure @ Failure::GatewayTimeout(_)), _) if status != failure.status() => "upstream_timeout",
        (Some(failure), _) => failure.cause(),
        (None, None) => "complete",
        (None, Some(ErrorSource::Downstream)) => "client_closed",
        (None, Some(ErrorSource::Upstream)) => "upstream_closed",
        (None, Some(_)) => "internal",
    }
}
