//! What the relay knows of one request, from its first hook to its last.

use std::{sync::Arc, time::Instant};

use mte_codec::{EncodeType, Numbers};
use mte_protocol::{SealedHeaders, client_id::ClientId};

use super::{body::RequestBody, error::Failure, response::ResponseBody};
use crate::{config::Config, domains::Tenant};

/// One request's state.
pub struct RequestContext {
    /// The configuration it began with.
    pub config: Arc<Config>,
    /// When it began.
    pub started: Instant,
    /// Its id: in the log, in error answers, sent upstream and back.
    pub request_id: String,
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
    /// Request body bytes as they arrived.
    pub body_received: u64,
    /// What went wrong, for the log.
    pub failure: Option<Failure>,
    /// Counts the request as in flight until it is dropped.
    pub in_flight: Option<super::InFlight>,
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
            tenant: None,
            host: String::new(),
            client: None,
            exchange: None,
            attempts: 0,
            body_received: 0,
            failure: None,
            in_flight: Some(in_flight),
        }
    }

    /// The signed client id, as it is answered.
    pub fn signed_client_id(&self) -> Option<&str> {
        self.client.as_ref().map(|(_, signed)| signed.as_str())
    }
}
