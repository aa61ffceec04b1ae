//! A request's attempts at peers: which peer, how long it took, and what follows when it fails.
//!
//! No request may be executed twice: a connection that could not be made is tried again, at another peer if there is one; what
//! was sent is sent again only if the request is idempotent, whole, and went over a connection that had been idle,
//! which is what a closed keep-alive connection looks like.

use std::{
    hash::{Hash, Hasher},
    net::IpAddr,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use http::header;
use mte_protocol::client_id::ClientId;
use pingora_core::{BError, Error, ErrorSource, ErrorType, upstreams::peer::HttpPeer};
use pingora_proxy::Session;

use super::{
    context::{RequestContext, Timing},
    error::Failure,
    stage::{AtPeer, Forwarded},
};
use crate::{
    telemetry::RequestId,
    upstream::{
        Choice, Failed, ResolveError, Upstream,
        fault::{Fault, Progress, RESOLVE, Sent, how_connecting_failed, label},
    },
};

/// Chooses the peer of a request's next attempt, and the address there.
///
/// # Errors
/// 503 if no peer is healthy, 502 if none of their names resolves.
pub(super) async fn choose(session: &Session, ctx: &mut RequestContext) -> Result<Box<HttpPeer>, Failure> {
    let RequestContext { stage, timing, from, request_id, .. } = ctx;
    let forwarded = stage.forwarded()?;
    let tenant = forwarded.admitted.tenant.clone();
    let upstream = &tenant.upstream;
    timing.upstream_began.get_or_insert_with(Instant::now);
    let upgrades = forwarded.exchange().is_none()
        && session.as_downstream().req_header().headers.contains_key(header::UPGRADE);
    loop {
        forwarded.attempts += 1;
        if forwarded.attempts > 1 {
            tenant.metrics.retried();
        }
        let next = next(upstream, forwarded, from.address).await;
        let (choice, resolved) = next.ok_or_else(|| no_upstream(upstream))?;
        let connection = upstream.connection(choice.peer, &choice.endpoint, upgrades);
        forwarded.peer = Some(AtPeer { choice, connected: None });
        let Err(error) = resolved else {
            return connection.ok_or_else(|| Failure::Internal("an address that is none".into()));
        };
        let why = error.to_string();
        failed(forwarded, request_id, Failed::Connecting, Some((RESOLVE, &why)));
        if forwarded.attempts > tenant.retries {
            return Err(Failure::BadGateway(why));
        }
    }
}

/// Whose requests go to the same peer.
enum Key {
    Client(ClientId),
    /// Of a request without a client id.
    Address(Option<IpAddr>),
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Client(client) => client.hash(state),
            Self::Address(address) => address.hash(state),
        }
    }
}

/// The next peer of the request; `None`: no peer is healthy.
async fn next(
    upstream: &Upstream,
    forwarded: &Forwarded,
    address: Option<IpAddr>,
) -> Option<(Choice, Result<(), ResolveError>)> {
    let key = match &forwarded.admitted.client {
        Some(client) => Key::Client(client.id),
        None => Key::Address(address),
    };
    let mut choice = upstream.choose(&key, &forwarded.tried)?;
    let resolved = upstream.resolve(&mut choice, &key, &forwarded.tried).await;
    Some((choice, resolved))
}

fn no_upstream(upstream: &Upstream) -> Failure {
    let why = upstream.peers.iter().find_map(|peer| peer.state.why());
    Failure::NoUpstream(why.map_or_else(|| "its health checks fail".to_owned(), |why| why.to_string()))
}

/// A connection to the peer was made.
pub(super) fn connected(forwarded: &mut Forwarded, reused: bool) {
    if let Some(peer) = &mut forwarded.peer {
        peer.connected = Some((Instant::now(), reused));
    }
    forwarded.admitted.tenant.metrics.connected(reused);
}

/// The head of the upstream's response has arrived.
pub(super) fn answered(forwarded: &Forwarded, timing: &mut Timing) {
    timing.upstream = timing.upstream_began.map(|began| began.elapsed());
    if let Some(peer) = &forwarded.peer {
        peer.choice.endpoint.succeeded();
    }
}

/// The head of the client's response is ready.
pub(super) fn head_is_ready(ctx: &mut RequestContext) {
    let waits = ctx.timing.upstream.unwrap_or_default() + ctx.timing.client_wait;
    ctx.timing.overhead = Some(ctx.started.elapsed().saturating_sub(waits));
}

/// Records a connection that could not be made; returns whether to try again.
pub(super) fn failed_to_connect(ctx: &mut RequestContext, error: &Error) -> bool {
    let Ok(forwarded) = ctx.stage.forwarded() else { return false };
    let address = forwarded.peer.as_ref().and_then(|peer| peer.choice.endpoint.address);
    let fault = Fault::of_connecting(error, address);
    let why = (label(error.etype()), error.etype().as_str());
    failed(forwarded, &ctx.request_id, how_connecting_failed(error), (fault == Fault::Peer).then_some(why));
    forwarded.attempts <= forwarded.admitted.tenant.retries
}

/// Records a connection that failed with the request in flight. The returned error says what to answer, and
/// whether the request may be sent again, provided that the error came before any of it was processed.
pub(super) fn failed_while_proxying(
    session: &mut Session,
    ctx: &mut RequestContext,
    mut error: BError,
    reused: bool,
) -> BError {
    let Ok(forwarded) = ctx.stage.forwarded() else { return error };
    let read = ctx.config.timeouts.read;
    let progress = Progress {
        sent: sent(session, forwarded, read, &error),
        answered: ctx.timing.upstream.is_some(),
        tunnel: session.was_upgraded(),
        reused,
        connected: forwarded
            .peer
            .as_ref()
            .and_then(|peer| peer.connected)
            .map(|(at, _)| at.elapsed())
            .unwrap_or_default(),
    };
    let fault = Fault::of_serving(&error, &progress);
    if *error.esource() == ErrorSource::Upstream {
        let why = (label(error.etype()), error.etype().as_str());
        // After an idle connection was closed, the same address can be used again.
        if fault == Fault::Peer || !reused {
            failed(forwarded, &ctx.request_id, Failed::Serving, (fault == Fault::Peer).then_some(why));
        }
        if fault == Fault::Client {
            // The peer has waited for the missing bytes as long as the relay.
            return Failure::RequestTimeout.into();
        }
    }
    let downstream = session.as_downstream();
    if downstream.req_header().method.is_idempotent()
        && forwarded.is_whole()
        && !downstream.retry_buffer_truncated()
    {
        error.retry.decide_reuse(reused);
    } else {
        error.set_retry(false);
    }
    error
}

/// How much of the request has arrived from the client.
fn sent(session: &mut Session, forwarded: &Forwarded, timeout: Duration, error: &Error) -> Sent {
    let downstream = session.as_downstream_mut();
    if downstream.is_body_done() {
        return Sent::Whole;
    }
    // Over HTTP/2 the wait for the peer's answer ends even while a part of the body waits to be taken by it. What the client has
    // sent is buffered meanwhile, and can be read immediately. The request is over: nothing is lost.
    let quiet = forwarded.body_at.is_none_or(|at| at.elapsed() >= timeout / 2);
    let timed_out = *error.etype() == ErrorType::ReadTimedout && *error.esource() == ErrorSource::Upstream;
    if timed_out && quiet {
        let more = tokio::task::unconstrained(downstream.read_request_body()).now_or_never();
        if matches!(more, Some(Ok(_))) {
            return Sent::Held;
        }
    }
    Sent::Part
}

/// Records a failed attempt; `blamed` is why, as a label and in words, if it is the peer's fault.
fn failed(
    forwarded: &mut Forwarded,
    request_id: &RequestId,
    how: Failed,
    blamed: Option<(&'static str, &str)>,
) {
    let (tenant, Some(AtPeer { choice, .. })) = (&forwarded.admitted.tenant, &forwarded.peer) else { return };
    forwarded.tried.add(choice.peer, choice.endpoint.address, how);
    let Some((cause, why)) = blamed else { return };
    let ejected = tenant.upstream.failed(&choice.endpoint, why);
    tenant.metrics.upstream_failed(cause, ejected);
    if ejected {
        let origin = tenant.upstream.peers[choice.peer].origin.as_str();
        let address = choice.endpoint.address.map(|address| address.to_string());
        log::warn!(
            request_id = request_id.as_str(), tenant = &*tenant.name, peer = origin, address = address.as_deref();
            "upstream is ejected for a while: {why}"
        );
    }
}
