//! A request on its way to a peer: which one, what it took, and what follows when it fails.
//!
//! Nothing may happen twice: a connection that could not be made is tried again, at another peer if there is one; what
//! was sent is sent again only if the request is idempotent, whole, and went over a connection that had been idle,
//! which is how a kept-alive connection's end looks.

use std::time::Instant;

use http::header;
use pingora_core::{Error, ErrorSource, ErrorType, upstreams::peer::HttpPeer};
use pingora_proxy::Session;

use super::{
    context::{AtPeer, RequestContext},
    error::Failure,
};

/// Chooses the peer of a request's next attempt.
///
/// # Errors
/// 503 if no peer is healthy, 502 if none of their names resolves.
pub(super) async fn choose(session: &Session, ctx: &mut RequestContext) -> Result<Box<HttpPeer>, Failure> {
    let tenant = ctx.tenant.clone().ok_or_else(|| Failure::Internal("a request without a tenant".into()))?;
    let upstream = &tenant.upstream;
    ctx.timing.upstream_began.get_or_insert_with(Instant::now);
    let upgrades =
        ctx.exchange.is_none() && session.as_downstream().req_header().headers.contains_key(header::UPGRADE);
    loop {
        ctx.attempts += 1;
        if ctx.attempts > 1 {
            tenant.metrics.retried();
        }
        let client = ctx.client.as_ref().map(|(client, _)| *client);
        let chosen = match client {
            Some(client) => upstream.choose(&client, &ctx.tried),
            None => upstream.choose(&ctx.from.address, &ctx.tried),
        };
        let index = chosen.ok_or_else(|| {
            let why = upstream.peers.iter().find_map(|peer| peer.state.why());
            Failure::NoUpstream(
                why.map_or_else(|| "its health checks fail".to_owned(), |why| why.to_string()),
            )
        })?;
        ctx.peer = Some(AtPeer::new(index, upstream.peers[index].state.enter()));
        match upstream.connection(index, upgrades).await {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                failed(ctx, "resolve", &error.to_string());
                if ctx.attempts > tenant.retries {
                    return Err(Failure::BadGateway(error.to_string()));
                }
            }
        }
    }
}

/// There is a connection to the peer.
pub(super) fn connected(ctx: &mut RequestContext, reused: bool) {
    if let Some(peer) = &mut ctx.peer {
        peer.reused = Some(reused);
    }
    if let Some(tenant) = &ctx.tenant {
        tenant.metrics.connected(reused);
    }
}

/// The head of the upstream's response is there.
pub(super) fn answered(ctx: &mut RequestContext) {
    ctx.timing.upstream = ctx.timing.upstream_began.map(|began| began.elapsed());
    if let Some(peer) = ctx.upstream_peer() {
        peer.state.succeeded();
    }
}

/// The head of the client's response is there.
pub(super) fn head_is_ready(ctx: &mut RequestContext) {
    let waits = ctx.timing.upstream.unwrap_or_default() + ctx.timing.client_wait;
    ctx.timing.overhead = Some(ctx.started.elapsed().saturating_sub(waits));
}

/// Takes note of a connection that could not be made; whether to try again.
pub(super) fn failed_to_connect(ctx: &mut RequestContext, error: &Error) -> bool {
    failed(ctx, label(error.etype()), error.etype().as_str());
    ctx.attempts <= ctx.tenant.as_ref().map_or(0, |tenant| tenant.retries)
}

/// Takes note of a connection that failed with the request under way; whether the request may go out once more,
/// provided that the error is one that comes before anything of it was acted upon.
pub(super) fn failed_while_proxying(
    session: &Session,
    ctx: &mut RequestContext,
    error: &Error,
    reused: bool,
) -> bool {
    // The end of an idle connection says nothing about the peer.
    if *error.esource() == ErrorSource::Upstream && !reused {
        failed(ctx, label(error.etype()), error.etype().as_str());
    }
    let whole = ctx.exchange.as_ref().is_none_or(|exchange| exchange.body.is_whole());
    let downstream = session.as_downstream();
    downstream.req_header().method.is_idempotent() && whole && !downstream.retry_buffer_truncated()
}

fn failed(ctx: &mut RequestContext, cause: &'static str, why: &str) {
    let (Some(tenant), Some(peer)) = (&ctx.tenant, &ctx.peer) else { return };
    let ejected = tenant.upstream.failed(peer.index, why);
    tenant.metrics.upstream_failed(cause, ejected);
    if ejected {
        let origin = tenant.upstream.peers[peer.index].origin.as_str();
        log::warn!(
            request_id = ctx.request_id.as_str(), tenant = &*tenant.name, peer = origin;
            "upstream is ejected for a while: {why}"
        );
    }
    if !ctx.tried.contains(&peer.index) {
        ctx.tried.push(peer.index);
    }
}

/// A failure's label in metrics.
fn label(kind: &ErrorType) -> &'static str {
    match kind {
        ErrorType::ConnectRefused => "connect_refused",
        ErrorType::ConnectTimedout => "connect_timeout",
        ErrorType::ConnectNoRoute | ErrorType::ConnectError | ErrorType::ConnectProxyFailure => "connect",
        ErrorType::TLSHandshakeFailure | ErrorType::TLSHandshakeTimedout | ErrorType::InvalidCert => "tls",
        ErrorType::ReadTimedout => "read_timeout",
        ErrorType::WriteTimedout => "write_timeout",
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError => "closed",
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::H2Error | ErrorType::InvalidH2 => {
            "protocol"
        }
        _ => "other",
    }
}
