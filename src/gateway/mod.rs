//! The Pingora adapter. `impl ProxyHttp` is a table of contents: each hook is a few lines that call a phase.
//!
//! It knows no cryptography and keeps no state of its own beside the request's [`RequestContext`]; pairs are
//! the store's, buffers the pool's, tenants the configuration's.

mod answer;
mod body;
mod client;
mod context;
mod control;
mod cors;
pub mod error;
mod finished;
mod forward;
mod request;
mod response;
mod route;
mod strict;
mod upstream;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::{Error, ErrorSource, ErrorType, Result, protocols::Digest, upstreams::peer::HttpPeer};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

pub use self::context::RequestContext;
use self::{
    client::Client,
    error::{Failure, Overload},
    route::Route,
};
use crate::{
    config::Config,
    edge::Connections,
    lifecycle::Lifecycle,
    limits::{BodyDeadline, GatherBudget, WorkQueue},
    pairs::{Owner, WatchedStore},
    pool::CodecPool,
    rate::{KeyedRate, Network, PairingRate},
    telemetry::{Metrics, RouteLabel, TraceId},
};

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

/// What the gateway works with.
pub struct Parts {
    /// The configuration; a request keeps the one it began with.
    pub config: Arc<ArcSwap<Config>>,
    /// The pairs.
    pub pairs: Arc<WatchedStore>,
    /// The codec pool.
    pub pool: Arc<CodecPool>,
    /// Limits how fast clients pair.
    pub pairing_rate: PairingRate,
    /// Cores for pairing.
    pub pairing_work: WorkQueue,
    /// Limits bodies held in memory.
    pub gathered: Arc<GatherBudget>,
    /// Limits connections, and requests over HTTP/2.
    pub connections: Arc<Connections>,
    /// Limits encrypted requests.
    pub request_rate: KeyedRate<Owner>,
    /// Limits encrypted requests that do not decode.
    pub failure_rate: KeyedRate<Network>,
    /// Requests in flight.
    pub in_flight: InFlightCounter,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether the relay is on its way down.
    pub lifecycle: Arc<Lifecycle>,
}

/// The gateway of one relay.
pub struct Gateway(Parts);

impl Gateway {
    /// A gateway over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// Charges a request that does not decode to the address it came from: its client id is on the wire for all to copy,
    /// and nobody shall be locked out by who copies it.
    fn charge(&self, ctx: &RequestContext, failure: Failure) -> Failure {
        let Some(address) = ctx.from.address.filter(|_| failure.is_suspicious()) else { return failure };
        let rate = ctx.config.limits.requests_per_second;
        match self.0.failure_rate.check(&address.into(), 1, rate) {
            Ok(()) => failure,
            Err(retry_after) => Failure::TooManyRequests { retry_after },
        }
    }

    /// Everything up to the upstream; `Ok(true)` if the request was answered here. Each way is boxed: a future is
    /// as large as its largest way, and Pingora moves it for every request.
    async fn receive(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<bool, Failure> {
        // A lock of the client network's shard for HTTP/2; over HTTP/1.1 the connection is counted already.
        let shares = session.as_downstream().is_http2();
        let network = crate::edge::connection(session).and_then(|connection| connection.network);
        let in_flight = self.0.in_flight.get();
        let counted = self.0.connections.request(network.filter(|_| shares), in_flight, &ctx.config.limits);
        ctx.stream = counted.map_err(|_| Failure::Overloaded(Overload::Requests))?;
        strict::check(session)?;
        let request = session.as_downstream().req_header();
        let host = host(request)?;
        // Known first, so that whatever is answered carries the tenant's CORS headers.
        ctx.tenant = host.and_then(|host| ctx.config.domains.find(host)).cloned();
        ctx.host = host.unwrap_or_default().to_owned();
        check_header_size(request, &ctx.config.limits)?;
        let path = strict::path(session, request)?;

        let tenant = ctx.tenant.clone();
        ctx.refused_origin = tenant.as_ref().and_then(|tenant| notice_origin(request, ctx, tenant));
        if let Some(tenant) = tenant.as_ref().filter(|_| cors::is_preflight(request)) {
            ctx.route = RouteLabel::Control;
            let answer = cors::preflight(&tenant.cors, request).and_then(|mut answer| {
                answer.insert_header(&forward::X_REQUEST_ID, ctx.request_id.to_header())?;
                Ok(answer)
            });
            return Box::pin(answer::send(session, answer, Bytes::new())).await;
        }
        let control = Route::control(&request.method, path)?;
        if let Some(route @ (Route::Echo | Route::Errors)) = control {
            ctx.route = RouteLabel::Control;
            // Health checks come for any host.
            Box::pin(control::answer_without_tenant(session, ctx, route)).await?;
            return Ok(true);
        }
        if host.is_none() {
            return Err(Failure::BadRequest("the request has no Host".into()));
        }
        let tenant = tenant.ok_or_else(|| Failure::UnknownHost(ctx.host.clone()))?;
        check_connection(session, &tenant, &ctx.host)?;
        let route = control.unwrap_or_else(|| Route::of_tenant(&tenant, path));
        ctx.route = route.label();
        if control.is_none() && !tenant.cors.allows_method(&request.method) {
            let allowed = tenant.cors.methods.to_str().unwrap_or_default();
            return Err(Failure::MethodNotAllowed(allowed.to_owned().into()));
        }
        match route {
            Route::PassThrough => {
                strict::settle_upgrade(session, true);
                Ok(false)
            }
            Route::Encrypted => {
                strict::settle_upgrade(session, false);
                let opened = Box::pin(request::open(session, ctx, &tenant, &self.0)).await;
                let exchange = opened.map_err(|failure| self.charge(ctx, failure))?;
                ctx.exchange = Some(Box::new(exchange));
                Ok(false)
            }
            route => {
                let answered = Box::pin(control::answer(session, ctx, &tenant, route, &self.0)).await;
                if let (Route::Pair, Err(failure)) = (route, &answered) {
                    tenant.metrics.pairing_refused(failure.cause());
                }
                answered.map(|()| true)
            }
        }
    }
}

/// The inbound host. HTTP/1.0 knows none, which will do for a health check.
fn host(request: &RequestHeader) -> Result<Option<&str>, Failure> {
    let host = match request.uri.authority() {
        Some(authority) => authority.as_str(),
        None => match request::single(request, "host")? {
            Some(host) => host,
            None if request.version == http::Version::HTTP_10 => return Ok(None),
            None => return Err(Failure::BadRequest("the request has no Host".into())),
        },
    };
    if !crate::domains::is_host(host) {
        return Err(Failure::BadRequest("the Host is no host name with or without a port".into()));
    }
    Ok(Some(host))
}

/// Takes note of an origin that may not call: its page will not get to see the answer, and its developer will ask why.
fn notice_origin(
    request: &RequestHeader,
    ctx: &RequestContext,
    tenant: &crate::domains::Tenant,
) -> Option<String> {
    let origin = cors::refused(&tenant.cors, request, (ctx.from.scheme(), &ctx.host))?;
    tenant.metrics.cors_refused();
    log::info!(
        request_id = ctx.request_id.as_str(), tenant = &*tenant.name, origin = origin.as_str();
        "CORS: this origin is not among the tenant's cors_origins: its pages do not get to see the answer"
    );
    Some(origin)
}

/// A connection serves the tenant that its handshake was made for, and a tenant that asks for client
/// certificates is served over no other.
fn check_connection(session: &Session, tenant: &crate::domains::Tenant, host: &str) -> Result<(), Failure> {
    let strict = tenant.tls.as_ref().is_some_and(|tls| tls.client_certificates);
    let fits = match crate::edge::connection(session).and_then(|connection| connection.made_for) {
        Some(made_for) => made_for.tenant == tenant.id && (made_for.certified || !strict),
        None => !strict,
    };
    if fits { Ok(()) } else { Err(Failure::Misdirected(host.to_owned())) }
}

fn check_header_size(request: &RequestHeader, limits: &crate::config::Limits) -> Result<(), Failure> {
    if request.headers.keys_len() > limits.header_names {
        return Err(Failure::TooManyHeaders { limit: limits.header_names });
    }
    let max = limits.max_header_bytes;
    let fields: usize =
        request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let size = fields + request.raw_path().len();
    if size > max { Err(Failure::HeadersTooLarge { size, limit: max }) } else { Ok(()) }
}

/// The next part of a body that is held in memory. Pingora's own time limit does not hold for HTTP/2, and starts over with
/// every byte.
///
/// # Errors
/// 408 once the client has taken too long, 400 for what cannot be read.
pub async fn read_body_part(
    session: &mut Session,
    deadline: &mut BodyDeadline,
) -> Result<Option<Bytes>, Failure> {
    let (began, limit) = (Instant::now(), deadline.remaining());
    let part = tokio::time::timeout(limit, session.as_downstream_mut().read_request_body()).await;
    let len = part.as_ref().ok().and_then(|part| part.as_ref().ok()?.as_ref()).map_or(0, Bytes::len);
    deadline.waited(began.elapsed(), len);
    match part {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(error)) => Err(unreadable(session, &error)),
        Err(_) => {
            session.as_downstream_mut().set_keepalive(None);
            Err(Failure::RequestTimeout)
        }
    }
}

/// Why a request body cannot be read. Where its framing is lost, nothing that follows on the connection can be
/// told apart from it: the connection is closed.
fn unreadable(session: &mut Session, error: &Error) -> Failure {
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
    let text = crate::upstream::describe(error);
    match (error.esource(), error.etype()) {
        (_, ErrorType::HTTPStatus(status)) if *status < 500 => {
            Failure::BadRequest("the request cannot be served".into())
        }
        (
            ErrorSource::Upstream,
            ErrorType::ReadTimedout | ErrorType::ConnectTimedout | ErrorType::WriteTimedout,
        ) => Failure::GatewayTimeout(text),
        (ErrorSource::Upstream, _) => Failure::BadGateway(text),
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Failure::RequestTimeout,
        (ErrorSource::Downstream, ErrorType::WriteTimedout) => Failure::ClientTimeout(text),
        (ErrorSource::Downstream, _) => Failure::ClientClosed(text),
        _ => Failure::Internal(text),
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = RequestContext;

    fn new_ctx(&self) -> Self::CTX {
        RequestContext::new(self.0.config.load_full(), self.0.in_flight.enter())
    }

    fn init_downstream_modules(&self, modules: &mut pingora_core::modules::http::HttpModules) {
        // In place of Pingora's default, a compressor: nothing may be compressed after sealing.
        modules.add_module(Box::new(response::ResponseModuleBuilder));
    }

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<()> {
        if let Some(connection) = crate::edge::connection(session) {
            connection.head.arrived();
        }
        let headers = &session.as_downstream().req_header().headers;
        ctx.trace = headers.get("traceparent").and_then(|value| TraceId::parse(value.as_bytes()));
        ctx.from = Client::of(session, &ctx.config.trusted_proxies);
        ctx.request_id = ctx.from.request_id(headers);
        let timeouts = &ctx.config.timeouts;
        let downstream = session.as_downstream_mut();
        downstream.set_read_timeout(Some(timeouts.read));
        downstream.set_write_timeout(Some(timeouts.write));
        if downstream.get_keepalive().is_some() {
            downstream.set_keepalive(Some(timeouts.idle.as_secs().max(1)));
        }
        if self.0.lifecycle.is_leaving() {
            // Clients that know do not send their next request to a relay that is about to go.
            downstream.set_keepalive(None);
        }
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        match self.receive(session, ctx).await {
            Ok(answered) => {
                if !answered {
                    response::refuse_interim(session, ctx);
                }
                Ok(answered)
            }
            Err(failure) => {
                Box::pin(answer::fail(session, ctx, failure)).await;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        upstream::choose(session, ctx).await.map_err(Failure::into_pingora)
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: std::os::unix::io::RawFd,
        _: Option<&Digest>,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        upstream::connected(ctx, reused);
        Ok(())
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
        let peer = ctx.upstream_peer().ok_or_else(|| Failure::Internal("no peer".into()).into_pingora())?;
        forward::prepare(session, request, ctx, &tenant, peer)
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
        let began = Instant::now();
        ctx.body_at = Some(began);
        if ctx.response_ended && !session.was_upgraded() {
            return Err(Failure::AnsweredEarly.into_pingora());
        }
        if let Some(exchange) = &mut ctx.exchange {
            let opened = exchange.body.filter(body, end);
            ctx.timing.decode += began.elapsed();
            opened.map_err(|reason| Failure::LateBody(reason).into_pingora())?;
        }
        forward::settle_part(body, end);
        Ok(())
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
        ctx.response_ended = response::ends_with_head(&session.as_downstream().req_header().method, response);
        upstream::answered(ctx);
        let held = ctx.response_gathered(&self.0);
        response::prepare(session, ctx, &tenant, response, held)?;
        upstream::head_is_ready(ctx);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        _: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        ctx.response_ended |= end;
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut http::HeaderMap,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Bytes>> {
        ctx.response_ended = true;
        Ok(None)
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Self::CTX,
        reused: bool,
    ) -> Box<Error> {
        let error = error.more_context(format!("peer {}", peer._address));
        let error = upstream::failed_while_proxying(session, ctx, error, reused);
        // With an HTTP/2 upstream a plain error would only be logged, and the client left waiting.
        if *error.esource() == ErrorSource::Unset { error.into_down() } else { error }
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Self::CTX,
        error: Box<Error>,
    ) -> Box<Error> {
        let mut error = error.more_context(format!("peer {}", peer._address));
        let retry = upstream::failed_to_connect(ctx, &error);
        error.set_retry(retry);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Self::CTX) -> FailToProxy {
        let failure = classify(error);
        let error_code = failure.status();
        session.as_downstream_mut().set_keepalive(None);
        if failure == Failure::AnsweredEarly {
            answer::drain(session).await;
            ctx.failure = Some(failure);
        } else {
            answer::fail(session, ctx, failure).await;
        }
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _: &Session, _: &Self::CTX, _: &Error) -> bool {
        // `fail` has logged it, once and with the request's id.
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Self::CTX) {
        response::settle(session, ctx);
        finished::finished(&self.0.metrics, session, error, ctx);
        if let Some(connection) = crate::edge::connection(session) {
            connection.head.awaited();
        }
    }
}

/// The request's tenant, which every hook after `request_filter` has.
fn tenant(ctx: &RequestContext) -> Result<Arc<crate::domains::Tenant>> {
    ctx.tenant.clone().ok_or_else(|| Failure::Internal("a request without a tenant".into()).into_pingora())
}
