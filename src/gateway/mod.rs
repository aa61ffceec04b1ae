//! The Pingora adapter. `impl ProxyHttp` is a table of contents: each hook is a few lines that call a phase.
//!
//! It contains no cryptography and keeps no state besides the request's [`RequestContext`]; pairs belong to
//! the store, buffers to the pool, tenants to the configuration.

mod admission;
mod answer;
mod attempts;
mod body;
mod classify;
mod client;
mod context;
mod control;
mod cors;
mod encrypted;
pub mod error;
mod finished;
mod forward;
mod host;
mod in_flight;
mod outbound;
mod reading;
mod response;
mod route;
mod stage;
mod strict;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::{Error, ErrorSource, Result, protocols::Digest, upstreams::peer::HttpPeer};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use self::{client::Client, error::Failure};
pub use self::{
    context::RequestContext,
    in_flight::{InFlight, InFlightCounter},
};
use crate::{
    config::Config,
    edge::Connections,
    lifecycle::Lifecycle,
    limits::{GatherBudget, WorkQueue},
    pairs::{Owner, WatchedStore},
    pool::CodecPool,
    rate::{KeyedRate, Network, PairingRate},
    telemetry::{Metrics, TraceId},
};

/// What the gateway depends on.
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
    /// Whether the relay is shutting down.
    pub lifecycle: Arc<Lifecycle>,
}

/// The gateway of one relay.
pub struct Gateway(Parts);

impl Gateway {
    /// A gateway over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(parts)
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
            // Clients that see this do not send their next request to a relay that is shutting down.
            downstream.set_keepalive(None);
        }
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        match admission::admit(session, ctx, &self.0).await {
            Ok(answered) => {
                if !answered {
                    response::refuse_interim(session, ctx);
                }
                Ok(answered)
            }
            // Pingora ends a request well that is answered here: this one must not look whole.
            Err(failure) if answer::has_begun(session) => Err(failure.into()),
            Err(failure) => {
                Box::pin(answer::fail(session, ctx, failure)).await;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        Ok(attempts::choose(session, ctx).await?)
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
        attempts::connected(ctx.stage.forwarded()?, reused);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        if let Some(exchange) = ctx.stage.forwarded()?.exchange_mut() {
            exchange.body.restart();
        }
        forward::prepare(session, request, ctx)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        let limit = ctx.config.limits.max_body;
        body::filter(session, ctx.stage.forwarded()?, (limit, &mut ctx.timing), body, end)?;
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
        let forwarded = ctx.stage.forwarded()?;
        let method = &session.as_downstream().req_header().method;
        forwarded.response_ended = response::ends_with_head(method, response);
        attempts::answered(forwarded, &mut ctx.timing);
        let held = ctx.response_gathered(&self.0);
        response::prepare(session, ctx, response, held)?;
        attempts::head_is_ready(ctx);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        _: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        ctx.stage.forwarded()?.response_ended |= end;
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut http::HeaderMap,
        ctx: &mut Self::CTX,
    ) -> Result<Option<Bytes>> {
        ctx.stage.forwarded()?.response_ended = true;
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
        let error = attempts::failed_while_proxying(session, ctx, error, reused);
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
        let retry = attempts::failed_to_connect(ctx, &error);
        error.set_retry(retry);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Self::CTX) -> FailToProxy {
        let failure = classify::classify(error);
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
