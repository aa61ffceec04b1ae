//! What the relay answers itself: failures, and the responses of its own routes.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::header;
use mte_protocol::{
    RelayHeader,
    names::{X_MTE_OUTBOUND_TOKEN, X_MTE_RELAY},
};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::{RequestContext, cors, encrypted, error::Failure, forward, response};
use crate::telemetry::RouteLabel;

/// What is left of an unwanted request body is read for this long before the connection is closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers a failure, unless a response has already begun; it is logged once, here.
pub(super) async fn fail(session: &mut Session, ctx: &mut RequestContext, failure: Failure) {
    let head = session.as_downstream().response_written();
    // In a tunnel (101) the bytes belong to another protocol: nothing is written into it.
    let upgraded = session.was_upgraded();
    let sent = head.map(|head| head.status).filter(|status| upgraded || !status.is_informational());
    let what = if sent.is_some() { "response broken off" } else { "request refused" };
    log::log!(
        failure.level(),
        request_id = ctx.request_id.as_str(),
        trace_id = ctx.trace.as_ref().map(crate::telemetry::TraceId::as_str),
        tenant = ctx.tenant().map(|tenant| &*tenant.name),
        status = sent.map_or(failure.status(), |sent| sent.as_u16()),
        cause = failure.cause();
        "{what}: {failure}"
    );
    if sent.is_none() {
        let body = failure.to_json(ctx.request_id.as_str());
        if let Err(error) = write_failure(session, ctx, &failure, body.into()).await {
            log::debug!(request_id = ctx.request_id.as_str(); "the client did not take the answer: {error}");
        }
    }
    if let Some(tenant) = ctx.tenant().filter(|_| failure.is_codec()) {
        tenant.metrics.codec_failed(failure.cause());
    }
    ctx.failure = Some(failure);
}

/// Whether a response has begun: then a failure can only cut it.
pub(super) fn has_begun(session: &Session) -> bool {
    session.as_downstream().response_written().is_some_and(|head| !head.status.is_informational())
}

async fn write_failure(
    session: &mut Session,
    ctx: &RequestContext,
    failure: &Failure,
    body: Bytes,
) -> Result<()> {
    let mut response = ResponseHeader::build_no_case(failure.status(), Some(10))?;
    response.insert_header(header::CONTENT_TYPE, "application/json")?;
    response.insert_header(header::CONTENT_LENGTH, body.len())?;
    response.insert_header(header::CACHE_CONTROL, "no-store")?;
    if let Some(value) = relay_header(session, ctx) {
        response.insert_header(X_MTE_RELAY, &*value)?;
    }
    if let Some(seconds) = failure.retry_after() {
        response.insert_header(header::RETRY_AFTER, seconds)?;
    }
    match failure {
        Failure::MethodNotAllowed(allowed) => response.insert_header(header::ALLOW, &**allowed)?,
        // A 401 has a challenge (RFC 9110, section 11.6.1).
        Failure::OutboundToken => response.insert_header(header::WWW_AUTHENTICATE, X_MTE_OUTBOUND_TOKEN)?,
        _ => {}
    }
    finish_response(session, ctx, &mut response)?;
    write(session, response, body).await
}

/// What an error says in `x-mte-relay` (docs/protocol.md, section 5): the pair that the request named, wherever the relay
/// gave up, else the client alone. A client id that does not verify is not repeated.
fn relay_header<'a>(session: &Session, ctx: &'a RequestContext) -> Option<Cow<'a, str>> {
    let alone = ctx.signed_client_id();
    if matches!(ctx.route, RouteLabel::Control | RouteLabel::Pairing | RouteLabel::Outbound) {
        return alone.map(Cow::Borrowed);
    }
    let named = || {
        let tenant = ctx.tenant()?;
        let value = encrypted::single(session.as_downstream().req_header(), X_MTE_RELAY).ok()??;
        let relay = RelayHeader::parse(value).ok()?;
        // A request that fails before its client is determined still has a client.
        let signed = match alone {
            Some(signed) => Cow::Borrowed(signed),
            None => tenant.secrets.verify(relay.client_id)?.1.into(),
        };
        Some(relay.error_value(&signed))
    };
    named().map(Cow::Owned).or(alone.map(Cow::Borrowed))
}

/// Ends a request whose response was complete first: the client's connection is drained for a short time, so that the client
/// gets to see the response.
pub(super) async fn drain(session: &mut Session) {
    let downstream = session.as_downstream_mut();
    downstream.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
    if let Err(error) = downstream.drain_request_body().await {
        log::debug!("the rest of a request could not be read: {error}");
    }
}

/// Adds what every response carries.
///
/// # Errors
/// A header that Pingora does not take; checked values do not cause one.
pub(crate) fn finish_response(
    session: &Session,
    ctx: &RequestContext,
    response: &mut ResponseHeader,
) -> Result<()> {
    response.insert_header(&forward::X_REQUEST_ID, ctx.request_id.to_header())?;
    if let Some(tenant) = ctx.tenant() {
        cors::decorate(&tenant.cors, session.as_downstream().req_header(), response)?;
        response::decorate(tenant, response);
    }
    Ok(())
}

/// Sends one of the relay's own responses. A client that has disconnected is no error here.
///
/// # Errors
/// A response that cannot be built.
pub(crate) async fn send(
    session: &mut Session,
    response: Result<ResponseHeader>,
    body: Bytes,
) -> Result<bool, Failure> {
    let response = response.map_err(|error| Failure::Internal(error.to_string()))?;
    if let Err(error) = write(session, response, body).await {
        log::debug!("the client did not take the answer: {error}");
    }
    Ok(true)
}

async fn write(session: &mut Session, response: ResponseHeader, body: Bytes) -> Result<()> {
    let downstream = session.as_downstream_mut();
    downstream.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
    let bodiless = body.is_empty()
        || downstream.req_header().method == http::Method::HEAD
        || response.status == http::StatusCode::NO_CONTENT;
    downstream.write_response_header(Box::new(response)).await?;
    if bodiless {
        downstream.finish_body().await?;
    } else {
        downstream.write_response_body(body, true).await?;
    }
    // What the client still sends is drained for a short time: closing immediately could lose the answer.
    downstream.drain_request_body().await
}
