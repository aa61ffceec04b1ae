//! What the relay knows of one request, from its first hook to its last.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mte_codec::{EncodeType, Numbers, seal};
use mte_protocol::{SealedHeaders, client_id::ClientId};

use super::{body::RequestBody, client::Client, error::Failure, response::ResponseBody};
use crate::{
    config::Config,
    domains::Tenant,
    limits::{Counted, Gathered},
    rate::Network,
    relay::Shared,
    telemetry::{RouteLabel, TraceId},
    upstream::InUse,
};

/// One request's state.
pub struct RequestContext {
    /// The configuration it began with.
    pub config: Arc<Config>,
    /// When it began.
    pub started: Instant,
    /// Its id: in the log, in error answers, sent upstream and back.
    pub request_id: String,
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
    /// The peers that failed for it.
    pub tried: Vec<usize>,
    /// The peer that has it.
    pub peer: Option<AtPeer>,
    /// Request body bytes as they arrived.
    pub body_received: u64,
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
    /// What the response's body holds of it.
    pub response_gathered: Option<Gathered>,
}

/// A request at a peer.
pub struct AtPeer {
    /// The peer, by its index.
    pub index: usize,
    /// Whether the connection was reused, once there is one.
    pub reused: Option<bool>,
    _in_use: InUse,
}

impl AtPeer {
    /// Counts the request as in flight at the peer.
    pub fn new(index: usize, in_use: InUse) -> Self {
        Self { index, reused: None, _in_use: in_use }
    }
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
    /// The request body.
    pub body: RequestBody,
    /// The number of the request's first message, if the client bound the request: the response says it back.
    pub bound: Option<u64>,
    /// The response's numbers.
    pub numbers: Numbers,
    /// The fields of `x-mte-relay` that are echoed.
    pub pair_id: String,
    /// The seventh field.
    pub streaming: Option<String>,
    /// The response body, once the response began.
    pub response: ResponseBody,
}

impl RequestContext {
    /// A fresh context.
    pub fn new(config: Arc<Config>, in_flight: super::InFlight) -> Self {
        Self {
            config,
            started: Instant::now(),
            request_id: String::new(),
            trace: None,
            from: Client::default(),
            route: RouteLabel::None,
            tenant: None,
            host: String::new(),
            client: None,
            exchange: None,
            attempts: 0,
            tried: Vec::new(),
            peer: None,
            body_received: 0,
            failure: None,
            timing: Timing::default(),
            request_size: [0; 2],
            response_size: [0; 2],
            in_flight: Some(in_flight),
            stream: None,
            gathered: None,
            response_gathered: None,
        }
    }

    /// The network that it counts for.
    pub fn network(&self) -> Option<Network> {
        self.from.address.map(Network::from)
    }

    /// Room for a body in memory, within the relay's budget; nothing is taken yet.
    pub fn gathered(&self, shared: &Shared) -> Gathered {
        let tenant = self.tenant.as_ref().filter(|_| self.config.domains.are_several());
        shared.gathered.body(self.config.limits.gathered, tenant.map(|tenant| tenant.id), self.network())
    }

    /// Takes room for the response's body, of which there are `bytes` in all, if it is of type MTE: as much as it has
    /// when it is sealed.
    ///
    /// # Errors
    /// 503 if there is no more room.
    pub fn hold_response(&mut self, shared: &Shared, bytes: usize) -> Result<(), Failure> {
        if !self.exchange.as_ref().is_some_and(|exchange| exchange.encode_type == EncodeType::Mte) {
            return Ok(());
        }
        let mut held = match self.response_gathered.take() {
            Some(held) => held,
            None => self.gathered(shared),
        };
        // What is larger is refused for that.
        let bytes = bytes.min(self.config.limits.max_mte_body);
        let outcome = held.hold(seal::message_len(EncodeType::Mte, bytes));
        self.response_gathered = Some(held);
        Ok(outcome?)
    }

    /// The peer that has the request.
    pub fn upstream_peer(&self) -> Option<&crate::upstream::Peer> {
        self.tenant.as_ref()?.upstream.peers.get(self.peer.as_ref()?.index)
    }

    /// The signed client id, as it is answered.
    pub fn signed_client_id(&self) -> Option<&str> {
        self.client.as_ref().map(|(_, signed)| signed.as_str())
    }
}
