//! The end of a request: its metrics and its access line.

use pingora_core::{Error, ErrorSource};
use pingora_proxy::Session;

use super::{RequestContext, stage::Forwarded};
use crate::telemetry::{self, Access, Encrypted, Finished, Metrics, NO_TENANT, TraceId};

/// Counts a finished request and writes its line.
pub(super) fn finished(metrics: &Metrics, session: &Session, error: Option<&Error>, ctx: &RequestContext) {
    let downstream = session.as_downstream();
    let status = downstream.response_written().map_or(0, |response| response.status.as_u16());
    let (received, sent) = (downstream.body_bytes_read() as u64, downstream.body_bytes_sent() as u64);
    let [mut request, mut response] = [ctx.request_size, ctx.response_size];
    match ctx.exchange() {
        Some(exchange) => {
            request[0] += exchange.body.opened().unwrap_or(received);
            request[1] += received;
            response[1] += sent;
        }
        None => (request[0], response[0]) = (received, sent),
    }
    let finished = Finished {
        route: ctx.route,
        status,
        total: ctx.started.elapsed(),
        upstream: ctx.timing.upstream,
        overhead: ctx.timing.overhead,
        request,
        response,
    };
    match ctx.tenant() {
        Some(tenant) => tenant.metrics.finished(&finished),
        None => metrics.untenanted().finished(&finished),
    }
    if telemetry::access_is_logged() {
        telemetry::access(&access(session, error, ctx, status), &finished);
    }
}

fn access<'a>(
    session: &'a Session,
    error: Option<&Error>,
    ctx: &'a RequestContext,
    status: u16,
) -> Access<'a> {
    let (downstream, forwarded) = (session.as_downstream(), ctx.stage.on_its_way());
    Access {
        request_id: ctx.request_id.as_str(),
        trace_id: ctx.trace.as_ref().map(TraceId::as_str),
        tenant: ctx.tenant().map_or(NO_TENANT, |tenant| &*tenant.name),
        client_id: ctx.client().map(|client| client.id.to_string()),
        client_address: ctx.from.address_text(),
        method: downstream.req_header().method.as_str(),
        http2: downstream.is_http2(),
        encrypted: ctx.exchange().map(|exchange| Encrypted {
            encode_type: exchange.encode_type.name(),
            decode: ctx.timing.decode,
            encode: ctx.timing.encode,
        }),
        peer: forwarded
            .and_then(|forwarded| Some(forwarded.upstream_peer()?.origin.as_str()))
            .or(ctx.outbound_peer.as_deref()),
        peer_address: forwarded.and_then(Forwarded::peer_address),
        reused: forwarded.and_then(|forwarded| Some(forwarded.peer.as_ref()?.connected?.1)),
        attempts: forwarded.map_or(0, |forwarded| forwarded.attempts),
        cors_refused: ctx.refused_origin.as_deref(),
        closed: closed(error, ctx, status),
    }
}

/// Why a request ended.
fn closed(error: Option<&Error>, ctx: &RequestContext, status: u16) -> &'static str {
    match (&ctx.failure, error.map(Error::esource)) {
        (Some(failure), _) => failure.cause_of_end(status),
        (None, None) => "complete",
        (None, Some(ErrorSource::Downstream)) => "client_closed",
        (None, Some(ErrorSource::Upstream)) => "upstream_closed",
        (None, Some(_)) => "internal",
    }
}
