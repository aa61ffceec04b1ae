//! The state of one request, from its first hook to its last.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mte_codec::EncodeType;

use super::{
    Parts,
    client::Client,
    error::Failure,
    stage::{Exchange, Identity, Stage},
};
use crate::{
    config::Config,
    domains::Tenant,
    limits::{Counted, Gathered},
    rate::Network,
    telemetry::{RequestId, RouteLabel, TraceId},
};

/// One request's state.
pub struct RequestContext {
    /// The configuration it began with.
    pub config: Arc<Config>,
    /// When it began.
    pub started: Instant,
    /// Its id: in the log, in error answers, sent upstream and back.
    pub request_id: RequestId,
    /// The trace it belongs to, if the client says so.
    pub trace: Option<TraceId>,
    /// Who sent it.
    pub from: Client,
    /// Its route.
    pub route: RouteLabel,
    /// The requested host, as the client wrote it; empty if there was none.
    pub host: String,
    /// Its stage.
    pub stage: Stage,
    /// The peer of an outbound request.
    pub outbound_peer: Option<String>,
    /// An origin that the tenant's CORS policy refuses, escaped and cut, for the log.
    pub refused_origin: Option<String>,
    /// What went wrong, for the log.
    pub failure: Option<Failure>,
    /// The duration of its parts.
    pub timing: Timing,
    /// Plain and encoded bytes of the request: URL and headers; bodies are added at the end.
    pub request_size: [u64; 2],
    /// The same for the response.
    pub response_size: [u64; 2],
    /// Counts the request as in flight until it is dropped.
    pub in_flight: Option<super::InFlight>,
    /// Counts it for its client network, if it shares its connection with others.
    pub stream: Option<Counted<Network>>,
    /// What its body holds of the budget for bodies in memory.
    pub gathered: Option<Gathered>,
}

/// The duration of a request's parts.
#[derive(Debug, Default)]
pub struct Timing {
    /// Waiting for the client's body before the upstream was contacted.
    pub client_wait: Duration,
    /// Opening messages.
    pub decode: Duration,
    /// Sealing messages.
    pub encode: Duration,
    /// When the upstream was first contacted.
    pub upstream_began: Option<Instant>,
    /// From there to the head of its response, all attempts together.
    pub upstream: Option<Duration>,
    /// From the request's head to the response's, without client and upstream.
    pub overhead: Option<Duration>,
}

impl RequestContext {
    /// A fresh context.
    pub fn new(config: Arc<Config>, in_flight: super::InFlight) -> Self {
        Self {
            config,
            started: Instant::now(),
            request_id: RequestId::NONE,
            trace: None,
            from: Client::default(),
            route: RouteLabel::None,
            host: String::new(),
            stage: Stage::Received,
            outbound_peer: None,
            refused_origin: None,
            failure: None,
            timing: Timing::default(),
            request_size: [0; 2],
            response_size: [0; 2],
            in_flight: Some(in_flight),
            stream: None,
            gathered: None,
        }
    }

    /// The network that it counts for.
    pub fn network(&self) -> Option<Network> {
        self.from.address.map(Network::from)
    }

    /// The relay's budget for a body in memory; nothing is reserved yet.
    pub fn gathered(&self, parts: &Parts) -> Gathered {
        let tenant = self.tenant().filter(|_| self.config.domains.are_several());
        parts.gathered.body(self.config.limits.gathered, tenant.map(|tenant| tenant.id), self.network())
    }

    /// The tenant, once the host is known.
    pub fn tenant(&self) -> Option<&Arc<Tenant>> {
        Some(&self.stage.admitted()?.tenant)
    }

    /// The client, once its id verified.
    pub fn client(&self) -> Option<&Identity> {
        self.stage.admitted()?.client.as_ref()
    }

    /// The encrypted exchange, if it is one that is forwarded.
    pub fn exchange(&self) -> Option<&Exchange> {
        self.stage.on_its_way()?.exchange()
    }

    /// The budget for the response's body, if it is held in memory: one of type MTE.
    pub fn response_gathered(&self, parts: &Parts) -> Option<Gathered> {
        let exchange = self.exchange()?;
        (exchange.encode_type == EncodeType::Mte).then(|| self.gathered(parts))
    }

    /// The signed client id, as it is answered.
    pub fn signed_client_id(&self) -> Option<&str> {
        self.client().map(|client| client.signed.as_str())
    }
}
