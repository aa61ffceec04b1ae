//! A request before it is forwarded: its tenant, its client, its route, and whether it is allowed.

use std::sync::Arc;

use bytes::Bytes;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{
    Parts, answer,
    context::RequestContext,
    control, cors, encrypted,
    error::{Failure, Overload},
    host, outbound,
    route::Route,
    stage::Content,
    strict,
};
use crate::{config::Limits, domains::Tenant, telemetry::RouteLabel};

/// Handles a request up to the upstream; `Ok(true)` if it was answered here. Each route is boxed: a future is
/// as large as its largest branch, and Pingora moves it for every request.
///
/// # Errors
/// What to answer instead.
pub(super) async fn admit(
    session: &mut Session,
    ctx: &mut RequestContext,
    parts: &Parts,
) -> Result<bool, Failure> {
    count(session, ctx, parts)?;
    strict::check(session)?;
    let request = session.as_downstream().req_header();
    let host = host::of(request)?;
    // Known first, so that whatever is answered carries the tenant's CORS headers.
    let tenant = host.and_then(|host| ctx.config.domains.find(host)).cloned();
    ctx.host = host.unwrap_or_default().to_owned();
    if let Some(tenant) = &tenant {
        ctx.stage.admit(tenant.clone());
    }
    check_header_size(request, &ctx.config.limits)?;
    let path = strict::path(session, request)?;
    ctx.refused_origin = tenant.as_ref().and_then(|tenant| notice_origin(request, ctx, tenant));

    if let Some(tenant) = tenant.as_ref().filter(|_| cors::is_preflight(request)) {
        ctx.route = RouteLabel::Control;
        let answer = cors::preflight(&tenant.cors, request, &ctx.request_id);
        return Box::pin(answer::send(session, answer, Bytes::new())).await;
    }
    // Whatever its path: that is the peer's.
    let outbound = outbound::requested(tenant.as_deref(), request);
    let control = if outbound.is_some() { None } else { Route::control(&request.method, path)? };
    if let Some(route @ (Route::Echo | Route::Errors)) = control {
        ctx.route = RouteLabel::Control;
        // Health checks come for any host.
        Box::pin(control::answer_without_tenant(session, ctx, route)).await?;
        return Ok(true);
    }
    if host.is_none() {
        return Err(Failure::BadRequest("the request has no Host".into()));
    }
    let tenant = tenant.as_ref().ok_or_else(|| Failure::UnknownHost(ctx.host.clone()))?;
    host::check_connection(session, tenant, &ctx.host)?;
    let route = match (outbound, control) {
        (Some(_), _) => Route::Outbound,
        (None, Some(control)) => control,
        (None, None) => Route::of_tenant(tenant, path),
    };
    ctx.route = route.label();
    if let Some(outbound) = outbound {
        outbound::authorize(outbound, request).map_err(|failure| charge(ctx, parts, failure))?;
    }
    outbound::refuse_loop(tenant, &request.headers)?;
    if control.is_none() && !tenant.cors.allows_method(&request.method) {
        let allowed = tenant.cors.methods.to_str().unwrap_or_default();
        return Err(Failure::MethodNotAllowed(allowed.to_owned().into()));
    }
    take(session, ctx, route, tenant, parts).await
}

/// Handles a request on its route.
async fn take(
    session: &mut Session,
    ctx: &mut RequestContext,
    route: Route,
    tenant: &Arc<Tenant>,
    parts: &Parts,
) -> Result<bool, Failure> {
    let content = match route {
        Route::PassThrough => {
            strict::settle_upgrade(session, true);
            Content::PassThrough
        }
        Route::Encrypted => {
            strict::settle_upgrade(session, false);
            let opened = Box::pin(encrypted::open(session, ctx, tenant, parts)).await;
            let exchange = opened.map_err(|failure| charge(ctx, parts, failure))?;
            outbound::refuse_sealed_loop(tenant, &exchange)?;
            Content::Encrypted(Box::new(exchange))
        }
        Route::Outbound => {
            let Some(outbound) = &tenant.outbound else { return Err(Failure::NotFound) };
            Box::pin(outbound::serve(session, ctx, tenant, outbound, parts)).await?;
            return Ok(true);
        }
        route => {
            let answered = Box::pin(control::answer(session, ctx, tenant, route, parts)).await;
            if let (Route::Pair, Err(failure)) = (route, &answered) {
                tenant.metrics.pairing_refused(failure.cause());
            }
            return answered.map(|()| true);
        }
    };
    ctx.stage.forward(content);
    Ok(false)
}

/// Counts a request for its client network where its connection carries several; over HTTP/1.1 the connection is counted
/// already, and no shard of the networks needs to be locked.
fn count(session: &Session, ctx: &mut RequestContext, parts: &Parts) -> Result<(), Failure> {
    let shares = session.as_downstream().is_http2();
    let network = crate::edge::connection(session).and_then(|connection| connection.network);
    let counted =
        parts.connections.request(network.filter(|_| shares), parts.in_flight.get(), &ctx.config.limits);
    ctx.stream = counted.map_err(|_| Failure::Overloaded(Overload::Requests))?;
    Ok(())
}

/// Charges a request that does not decode to the address it came from: its client id is on the wire for all to copy,
/// and copying it must not lock out its owner.
fn charge(ctx: &RequestContext, parts: &Parts, failure: Failure) -> Failure {
    let Some(address) = ctx.from.address.filter(|_| failure.is_suspicious()) else { return failure };
    let rate = ctx.config.limits.requests_per_second;
    match parts.failure_rate.check(&address.into(), 1, rate) {
        Ok(()) => failure,
        Err(retry_after) => Failure::TooManyRequests { retry_after },
    }
}

/// Records an origin that is not allowed: its page will not see the answer, and its developer will ask why.
fn notice_origin(request: &RequestHeader, ctx: &RequestContext, tenant: &Tenant) -> Option<String> {
    let origin = cors::refused(&tenant.cors, request, (ctx.from.scheme(), &ctx.host))?;
    tenant.metrics.cors_refused();
    log::info!(
        request_id = ctx.request_id.as_str(), tenant = &*tenant.name, origin = origin.as_str();
        "CORS: this origin is not among the tenant's cors_origins: its pages do not get to see the answer"
    );
    Some(origin)
}

/// The limits of a request head, over both HTTP/1.1 and HTTP/2.
fn check_header_size(request: &RequestHeader, limits: &Limits) -> Result<(), Failure> {
    if request.headers.keys_len() > limits.header_names {
        return Err(Failure::TooManyHeaders { limit: limits.header_names });
    }
    let max = limits.max_header_bytes;
    let fields: usize =
        request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let size = fields + request.raw_path().len();
    if size > max { Err(Failure::HeadersTooLarge { size, limit: max }) } else { Ok(()) }
}
