//! What the relay knows of one request, from its first hook to its last.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mte_codec::EncodeType;
use mte_protocol::{SealedHeaders, client_id::ClientId};
use mte_session::server::ResponseTicket;

use super::{Parts, body::RequestBody, client::Client, error::Failure};
use crate::{
    config::Config,
    domains::Tenant,
    limits::{Counted, Gathered},
    rate::Network,
    telemetry::{RequestId, RouteLabel, TraceId},
    upstream::{Choice, Tried},
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
    /// Which way it goes.
    pub route: RouteLabel,
    /// Whose it is, once the host is known.
    pub tenant: Option<Arc<Tenant>>,
    /// The host it came for, as the client wrote it.
    pub host: String,
    /// The client, once its id verified: with the signed form to answer with.
    pub client: Option<(ClientId, String)>,
    /// The encrypted exchange, if it is one.
    pub exchange: Option<Box<Exchange>>,
    /// How often an upstream was tried.
    pub attempts: usize,
    /// What failed for it.
    pub tried: Tried,
    /// The peer that has it.
    pub peer: Option<AtPeer>,
    /// Request body bytes as they arrived.
    pub body_received: u64,
    /// When the last of them came.
    pub body_at: Option<Instant>,
    /// The upstream's response has ended.
    pub response_ended: bool,
    /// An origin that the tenant's CORS policy refuses, escaped and cut, for the log.
    pub refused_origin: Option<String>,
    /// What went wrong, for the log.
    pub failure: Option<Failure>,
    /// What its parts took.
    pub timing: Timing,
    /// Plain and encoded bytes of the request: URL and headers; bodies are added at the end.
    pub request_size: [u64; 2],
    /// Plain and encoded bytes of the response, likewise.
    pub response_size: [u64; 2],
    /// Counts the request as in flight until it is dropped.
    pub in_flight: Option<super::InFlight>,
    /// Counts it for its client network, if it shares its connection with others.
    pub stream: Option<Counted<Network>>,
    /// What its body holds of the budget for bodies in memory.
    pub gathered: Option<Gathered>,
}

/// A request at a peer.
pub struct AtPeer {
    /// The peer and the address.
    pub choice: Choice,
    /// Since when there is a connection, and whether it was reused.
    pub connected: Option<(Instant, bool)>,
}

/// What the parts of a request took.
#[derive(Debug, Default)]
pub struct Timing {
    /// Waiting for the client's body before the upstream was contacted.
    pub client_wait: Duration,
    /// Opening messages.
    pub decode: Duration,
    /// Sealing messages.
    pub encode: Duration,
    /// When the upstream was turned to.
    pub upstream_began: Option<Instant>,
    /// From there to the head of its response, all attempts together.
    pub upstream: Option<Duration>,
    /// From the request's head to the response's, without client and upstream.
    pub overhead: Option<Duration>,
}

/// The encrypted part of a request and its response.
pub struct Exchange {
    /// How this exchange is encoded.
    pub encode_type: EncodeType,
    /// The plain target: path and query.
    pub target: String,
    /// The sealed request headers.
    pub headers: SealedHeaders,
    /// Whether the request came with sealed headers, an empty map included.
    pub headers_sealed: bool,
    /// The request body.
    pub body: RequestBody,
    /// Whether the client bound its request to what travels in the clear.
    pub bound: bool,
    /// What the response is sealed with, until it begins.
    pub response: Option<ResponseTicket>,
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
            tenant: None,
            host: String::new(),
            client: None,
            exchange: None,
            attempts: 0,
            tried: Tried::default(),
            peer: None,
            body_received: 0,
            body_at: None,
            response_ended: false,
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

    /// Room for a body in memory, within the relay's budget; nothing is taken yet.
    pub fn gathered(&self, parts: &Parts) -> Gathered {
        let tenant = self.tenant.as_ref().filter(|_| self.config.domains.are_several());
        parts.gathered.body(self.config.limits.gathered, tenant.map(|tenant| tenant.id), self.network())
    }

    /// Room for the response's body, if it is held in memory: one of type MTE.
    pub fn response_gathered(&self, parts: &Parts) -> Option<Gathered> {
        let exchange = self.exchange.as_ref()?;
        (exchange.encode_type == EncodeType::Mte).then(|| self.gathered(parts))
    }

    /// The peer that has the request.
    pub fn upstream_peer(&self) -> Option<&crate::upstream::Peer> {
        self.tenant.as_ref()?.upstream.peers.get(self.peer.as_ref()?.choice.peer)
    }

    /// The address that has the request, where the peer is a name.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.upstream_peer().filter(|peer| peer.state.is_name())?;
        self.peer.as_ref()?.choice.endpoint.address
    }

    /// The signed client id, as it is answered.
    pub fn signed_client_id(&self) -> Option<&str> {
        self.client.as_ref().map(|(_, signed)| signed.as_str())
    }
}
