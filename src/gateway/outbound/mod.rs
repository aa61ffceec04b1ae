//! Requests that go to another relay (docs/protocol.md, section 7): this relay is the client, seals the request, and answers
//! with the opened response.
//!
//! Pingora proxies to an upstream that it connects to itself, so these requests do not reach its proxy: `request_filter`
//! answers them, and `transfer` moves both bodies at once.
//!
//! | module | what it does |
//! | --- | --- |
//! | `options` | reads what the client asks for |
//! | `request` | makes the peer's request of the client's |
//! | `upload` | passes the client's body on |
//! | `transfer` | one exchange with a peer: both bodies, deadlines |
//! | `response` | makes the client's response of the peer's |
//! | `failure` | what is answered when a peer fails |

mod failure;
mod options;
mod request;
mod response;
mod transfer;
mod upload;

use std::time::Instant;

use http::{HeaderMap, header};
use mte_client::wire::Options;
use mte_protocol::names::X_MTE_OUTBOUND_TOKEN;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use self::{options::OutboundOptions, upload::Upload};
use super::{Parts, context::RequestContext, encrypted, error::Failure, stage::Exchange, strict};
use crate::{
    domains::Tenant,
    outbound::{Outbound, PeerError, Via},
};

/// The tenant's outbound mode, if a request asks for it. At other tenants the token is a header that is not forwarded.
pub(super) fn requested<'a>(tenant: Option<&'a Tenant>, request: &RequestHeader) -> Option<&'a Outbound> {
    let outbound = tenant?.outbound.as_ref()?;
    request.headers.contains_key(X_MTE_OUTBOUND_TOKEN).then_some(outbound)
}

/// Refuses a request that this tenant has sent to a peer before.
///
/// # Errors
/// [`Failure::Loop`].
pub(super) fn refuse_loop(tenant: &Tenant, headers: &HeaderMap) -> Result<(), Failure> {
    let Some(Outbound { via, .. }) = &tenant.outbound else { return Ok(()) };
    let mut values = headers.get_all(header::VIA).iter();
    if values.any(|value| via.is_in(value.as_bytes())) { Err(Failure::Loop) } else { Ok(()) }
}

/// The same for the sealed headers of an encrypted request.
///
/// # Errors
/// [`Failure::Loop`].
pub(super) fn refuse_sealed_loop(tenant: &Tenant, exchange: &Exchange) -> Result<(), Failure> {
    let via = tenant.outbound.as_ref().map(|outbound| &outbound.via);
    let value = exchange.headers.get(header::VIA.as_str());
    let ours = |via: &Via| value.is_some_and(|value| via.is_in(value));
    if via.is_some_and(ours) { Err(Failure::Loop) } else { Ok(()) }
}

/// Checks that a request may use the outbound mode.
///
/// # Errors
/// [`Failure::OutboundToken`], and 400 for a token that is there twice.
pub(super) fn authorize(outbound: &Outbound, request: &RequestHeader) -> Result<(), Failure> {
    let sent = encrypted::single(request, X_MTE_OUTBOUND_TOKEN)?;
    if sent.is_some_and(|sent| outbound.token.is(sent.as_bytes())) {
        Ok(())
    } else {
        Err(Failure::OutboundToken)
    }
}

/// Sends an authorized request to the peer that it names, and answers with what comes back.
///
/// # Errors
/// What to answer instead, or, once the response has begun, why it is cut.
pub(super) async fn serve(
    session: &mut Session,
    ctx: &mut RequestContext,
    tenant: &Tenant,
    outbound: &Outbound,
    parts: &Parts,
) -> Result<(), Failure> {
    let served = Box::pin(exchange(session, ctx, outbound, parts)).await;
    if let Err(failure) = &served {
        let status =
            session.as_downstream().response_written().map_or(failure.status(), |head| head.status.as_u16());
        tenant.metrics.outbound_failed(failure.cause_of_end(status));
    }
    served
}

async fn exchange(
    session: &mut Session,
    ctx: &mut RequestContext,
    outbound: &Outbound,
    parts: &Parts,
) -> Result<(), Failure> {
    let head = session.as_downstream().req_header();
    request::refuse_upgrade(head)?;
    let OutboundOptions { peer, encode_type, encode_url, encode_headers } = OutboundOptions::parse(head)?;
    ctx.outbound_peer = Some(peer.to_string());
    strict::settle_upgrade(session, false);

    let max_mte_body = ctx.config.limits.max_mte_body;
    let options = Options { encode_type, encode_url, encode_headers, max_mte_body, ..Options::default() };
    let client =
        outbound.clients.client(&peer, Instant::now()).and_then(|client| Ok(client.with_options(options)?));
    let client = client.map_err(|error| match error {
        PeerError::Refused(why) => failure::not_allowed(&peer, why),
        PeerError::Client(error) => failure::of(&peer, &error),
    })?;

    encrypted::expect_continue(session).await?;
    let (upload, body) = Upload::begin(session, ctx, parts, encode_type).await?;
    let request = request::to_peer(session, ctx, &outbound.via, body)?;
    let transferred = transfer::run(session, ctx, parts, (&client, request), (upload, encode_type)).await;
    transferred.map_err(|error| {
        let failure = error.at(&peer);
        if matches!(failure, Failure::PeerNotAllowed(_)) {
            outbound.clients.forget(&peer);
        }
        failure
    })
}
