//! The Pingora adapter. `impl ProxyHttp` is a table of contents: each hook is a few lines that call a phase.
//!
//! It knows no cryptography and keeps no state of its own beside the request's [`RequestContext`]; pairs are
//! the store's, buffers the pool's, tenants the configuration's.

mod body;
mod context;
mod cors;
pub mod error;
mod forward;
mod request;
mod response;
mod route;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, header};
use mte_protocol::names::X_MTE_RELAY;
use pingora_core::{Error, ErrorSource, ErrorType, Result, upstreams::peer::HttpPeer};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

pub use self::{
    context::RequestContext,
    request::{expect_continue, single},
    route::Route,
};
use self::{error::Failure, forward::Client};
use crate::{control, relay::Shared};

/// Requests in flight.
#[derive(Debug, Default, Clone)]
pub struct InFlightCounter(Arc<AtomicUsize>);

impl InFlightCounter {
    /// Counts one more until the guard is dropped.
    fn enter(&self) -> InFlight {
        self.0.fetch_add(1, Ordering::Relaxed);
        InFlight(self.0.clone())
    }

    /// How many there are.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One request in flight.
#[derive(Debug)]
pub struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is left of an unwanted request body is read for this long before the connection is closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The gateway of one relay.
pub struct Gateway {
    shared: Arc<Shared>,
}

impl Gateway {
    /// A gateway over a relay's shared parts.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Everything up to the upstream; `Ok(true)` if the request was answered here. Each way is boxed: a future is
    /// as large as its largest way, and Pingora moves it for every request.
    async fn receive(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<bool, Failure> {
        let request = session.as_downstream().req_header();
        ctx.host = host(request)?;
        // Known first, so that whatever is answered carries the tenant's CORS headers.
        ctx.tenant = ctx.config.domains.find(&ctx.host).cloned();
        check_header_size(request, ctx.config.limits.max_header_bytes)?;

        let path = request.uri.path();
        let tenant = ctx.tenant.clone();
        if let Some(tenant) = tenant.as_ref().filter(|_| cors::is_preflight(request))
            && !tenant.pass_through.matches(path)
        {
            let answer = cors::preflight(&tenant.cors, request);
            return Box::pin(send(session, answer, Bytes::new())).await;
        }
        let control = Route::control(&request.method, path)?;
        if let Some(route @ (Route::Echo | Route::Errors)) = control {
            // Health checks come for any host.
            Box::pin(control::answer_without_tenant(session, ctx, route)).await?;
            return Ok(true);
        }
        let tenant = tenant.ok_or_else(|| Failure::UnknownHost(ctx.host.clone()))?;
        check_connection(session, &tenant, &ctx.host)?;
        match control.unwrap_or_else(|| Route::of_tenant(&tenant, path)) {
            Route::PassThrough => Ok(false),
            Route::Encrypted => {
                let (store, pool) = (&self.shared.pairs, &self.shared.pool);
                let exchange = Box::pin(request::open(session, ctx, &tenant, store, pool)).await?;
                ctx.exchange = Some(Box::new(exchange));
                Ok(false)
            }
            route => {
                Box::pin(control::answer(session, ctx, &tenant, route, &self.shared)).await?;
                Ok(true)
            }
        }
    }

    /// Answers a failure, unless a response is under way already.
    async fn fail(&self, session: &mut Session, ctx: &mut RequestContext, failure: Failure) {
        log::log!(
            failure.level(),
            request_id = ctx.request_id.as_str(),
            tenant = ctx.tenant.as_ref().map(|tenant| &*tenant.name),
            status = failure.status();
            "request refused: {failure}"
        );
        if session.as_downstream().response_written().is_none_or(|head| head.status.is_informational()) {
            let body = failure.to_json(&ctx.request_id);
            if let Err(error) = self.write_failure(session, ctx, &failure, body.into()).await {
                log::debug!(request_id = ctx.request_id.as_str(); "the client did not take the answer: {error}");
            }
        }
        ctx.failure = Some(failure);
    }

    async fn write_failure(
        &self,
        session: &mut Session,
        ctx: &RequestContext,
        failure: &Failure,
        body: Bytes,
    ) -> Result<()> {
        let mut response = ResponseHeader::build_no_case(failure.status(), Some(10))?;
        response.insert_header(header::CONTENT_TYPE, "application/json")?;
        response.insert_header(header::CONTENT_LENGTH, body.len())?;
        response.insert_header(header::CACHE_CONTROL, "no-store")?;
        if let Some(signed) = ctx.signed_client_id() {
            response.insert_header(X_MTE_RELAY, signed)?;
        }
        if let Some(seconds) = failure.retry_after() {
            response.insert_header(header::RETRY_AFTER, seconds)?;
        }
        if let Failure::MethodNotAllowed(allowed) = failure {
            response.insert_header(header::ALLOW, *allowed)?;
        }
        finish_response(session, ctx, &mut response)?;
        write(session, response, body).await
    }
}

/// Adds what every response carries.
///
/// # Errors
/// A header that Pingora does not take; checked values do not cause one.
pub fn finish_response(session: &Session, ctx: &RequestContext, response: &mut ResponseHeader) -> Result<()> {
    response.insert_header(&forward::X_REQUEST_ID, ctx.request_id.as_str())?;
    if let Some(tenant) = &ctx.tenant {
        cors::decorate(&tenant.cors, session.as_downstream().req_header(), response)?;
        response::decorate(tenant, response);
    }
    Ok(())
}

/// Sends a whole response of the relay's own. A client that is gone is no error here.
///
/// # Errors
/// A response that cannot be built.
pub async fn send(
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
    // What the client still sends is read for a while: closing at once would take the answer back from it.
    downstream.drain_request_body().await
}

/// The inbound host.
fn host(request: &RequestHeader) -> Result<String, Failure> {
    if let Some(authority) = request.uri.authority() {
        return Ok(authority.as_str().to_owned());
    }
    let host = request::single(request, "host")?;
    host.map(str::to_owned).ok_or_else(|| Failure::BadRequest("the request has no Host".into()))
}

/// A connection serves the tenant that its handshake was made for, and a tenant that asks for client
/// certificates is served over no other.
fn check_connection(session: &Session, tenant: &crate::domains::Tenant, host: &str) -> Result<(), Failure> {
    let strict = tenant.tls.as_ref().is_some_and(|tls| tls.client_certificates);
    let fits = match crate::tls::connection(session) {
        Some(connection) => connection.tenant == tenant.id,
        None => !strict,
    };
    if fits { Ok(()) } else { Err(Failure::Misdirected(host.to_owned())) }
}

fn check_header_size(request: &RequestHeader, max: usize) -> Result<(), Failure> {
    let fields: usize =
        request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let size = fields + request.raw_path().len();
    if size > max { Err(Failure::HeadersTooLarge { size, limit: max }) } else { Ok(()) }
}

/// What is known of the client's connection.
pub fn client(session: &Session) -> Client {
    let downstream = session.as_downstream();
    Client {
        address: downstream.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip()),
        tls: downstream.digest().is_some_and(|digest| digest.ssl_digest.is_some()),
    }
}

/// Why a request body cannot be read. Where its framing is lost, nothing that follows on the connection can be
/// told apart from it: the connection is closed.
pub fn unreadable(session: &mut Session, error: &Error) -> Failure {
    session.as_downstream_mut().set_keepalive(None);
    match error.etype() {
        ErrorType::ReadTimedout => Failure::RequestTimeout,
        other => Failure::BadRequest(format!("the request body cannot be read: {}", other.as_str()).into()),
    }
}

/// What Pingora's error means to the client.
fn classify(error: &Error) -> Failure {
    if let Some(failure) = error.root_cause().downcast_ref::<Failure>() {
        return failure.clone();
    }
    let text = error.to_string();
    match (error.esource(), error.etype()) {
        (_, ErrorType::HTTPStatus(status)) if *status < 500 => Failure::BadRequest(text.into()),
        (
            ErrorSource::Upstream,
            ErrorType::ReadTimedout | ErrorType::ConnectTimedout | ErrorType::WriteTimedout,
        ) => Failure::GatewayTimeout(text),
        (ErrorSource::Upstream, _) => Failure::BadGateway(text),
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Failure::RequestTimeout,
        (ErrorSource::Downstream, _) => Failure::BadRequest("the client's connection failed".into()),
        _ => Failure::Internal(text),
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = RequestContext;

    fn new_ctx(&self) -> Self::CTX {
        RequestContext::new(self.shared.config.load_full(), self.shared.in_flight.enter())
    }

    fn init_downstream_modules(&self, _: &mut pingora_core::modules::http::HttpModules) {
        // None: Pingora's default is a compressor, and nothing here may be compressed after sealing.
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<()> {
        ctx.request_id = crate::telemetry::request_id();
        let timeouts = &ctx.config.timeouts;
        let downstream = session.as_downstream_mut();
        downstream.set_read_timeout(Some(timeouts.read));
        downstream.set_write_timeout(Some(timeouts.write));
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        match self.receive(session, ctx).await {
            Ok(answered) => Ok(answered),
            Err(failure) => {
                Box::pin(self.fail(session, ctx, failure)).await;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _: &mut Session, ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        ctx.attempts += 1;
        let tenant = tenant(ctx)?;
        let peer = tenant.upstream.peer(ctx.exchange.is_none()).await;
        peer.map_err(|error| Failure::BadGateway(error.to_string()).into_pingora())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        if let Some(exchange) = &mut ctx.exchange {
            exchange.body.restart();
        }
        let tenant = tenant(ctx)?;
        forward::prepare(request, ctx, &tenant, &client(session))
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        ctx.body_received = session.as_downstream().body_bytes_read() as u64;
        if ctx.config.limits.max_body.is_some_and(|max| ctx.body_received > max && !session.was_upgraded()) {
            let limit = ctx.config.limits.max_body.unwrap_or_default();
            return Err(Failure::TooLarge { what: "the request body", limit }.into_pingora());
        }
        let Some(exchange) = &mut ctx.exchange else { return Ok(()) };
        exchange.body.filter(body, end).map_err(|reason| Failure::LateBody(reason).into_pingora())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        if response.status.is_informational() {
            return Ok(());
        }
        let tenant = tenant(ctx)?;
        if response.headers.contains_key(header::LOCATION) {
            let origin = format!("{}://{}", if client(session).tls { "https" } else { "http" }, ctx.host);
            response::rewrite_location(&tenant.upstream, &origin, response);
        }
        let downstream = session.as_downstream();
        if let Some(exchange) = &mut ctx.exchange {
            let signed = ctx.client.as_ref().map_or("", |(_, signed)| signed.as_str());
            let method = &downstream.req_header().method;
            let max_mte = ctx.config.limits.max_mte_body;
            response::seal_head(exchange, method, signed, response, false, downstream.is_http2(), max_mte)
                .map_err(Failure::into_pingora)?;
        }
        finish_response(session, ctx, response)
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        if let Some(exchange) = ctx.exchange.as_mut().filter(|_| !session.was_upgraded()) {
            exchange.response.filter(body, end).map_err(Failure::into_pingora)?;
        }
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut HeaderMap,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Bytes>> {
        // After trailers no end of the body comes: this is where the final frame goes out.
        let mut last = None;
        if let Some(exchange) = ctx.exchange.as_mut().filter(|exchange| exchange.response.is_open()) {
            exchange.response.filter(&mut last, true).map_err(Failure::into_pingora)?;
        }
        Ok(last)
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Self::CTX,
        reused: bool,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("peer {}", peer._address));
        // Only what cannot happen twice: an idempotent request that is whole, on a connection that had been idle.
        let whole = ctx.exchange.as_ref().is_none_or(|exchange| exchange.body.is_whole());
        let safe = session.as_downstream().req_header().method.is_idempotent()
            && whole
            && !session.as_downstream().retry_buffer_truncated();
        if safe {
            error.retry.decide_reuse(reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Self::CTX,
        error: Box<Error>,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("peer {}", peer._address));
        let retries = ctx.tenant.as_ref().map_or(0, |tenant| tenant.retries);
        error.set_retry(ctx.attempts <= retries);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Self::CTX) -> FailToProxy {
        let failure = classify(error);
        let error_code = failure.status();
        session.as_downstream_mut().set_keepalive(None);
        self.fail(session, ctx, failure).await;
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _: &Session, _: &Self::CTX, _: &Error) -> bool {
        // `fail` has logged it, once and with the request's id.
        true
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Self::CTX) {
        crate::telemetry::access_line(session, ctx);
    }
}

/// The request's tenant, which every hook after `request_filter` has.
fn tenant(ctx: &RequestContext) -> Result<Arc<crate::domains::Tenant>> {
    ctx.tenant.clone().ok_or_else(|| Failure::Internal("a request without a tenant".into()).into_pingora())
}
