//! The stages of a request. A stage holds what the previous steps have established; nothing can be accessed that is
//! not established yet.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use mte_codec::EncodeType;
use mte_protocol::{SealedHeaders, client_id::ClientId};
use mte_session::server::ResponseTicket;

use super::{body::RequestBody, error::Failure};
use crate::{
    domains::Tenant,
    upstream::{Choice, Peer, Tried},
};

/// The stages of a request. Each has all that those before it have.
pub enum Stage {
    /// Its head has arrived. It may turn out to be for no tenant.
    Received,
    /// Its host is a tenant's.
    Admitted(Admitted),
    /// It goes to the tenant's upstream.
    Forwarded(Forwarded),
}

/// A tenant's request.
pub struct Admitted {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// Who sends it, once that is known: on pass-through routes it never is.
    pub client: Option<Identity>,
}

/// A client whose id verified.
pub struct Identity {
    /// Its id.
    pub id: ClientId,
    /// The signed form to answer with.
    pub signed: String,
}

/// A request that is forwarded to the upstream, and its response.
pub struct Forwarded {
    /// Whose it is.
    pub admitted: Admitted,
    /// What is forwarded.
    pub content: Content,
    /// How often an upstream was tried.
    pub attempts: usize,
    /// What failed for it.
    pub tried: Tried,
    /// The peer that it was sent to.
    pub peer: Option<AtPeer>,
    /// Request body bytes as they arrived.
    pub body_received: u64,
    /// When the last of them came.
    pub body_at: Option<Instant>,
    /// The upstream's response has ended.
    pub response_ended: bool,
}

/// What is forwarded.
pub enum Content {
    /// The request as it came.
    PassThrough,
    /// What an encrypted request says.
    Encrypted(Box<Exchange>),
}

/// A request at a peer.
pub struct AtPeer {
    /// The peer and the address.
    pub choice: Choice,
    /// Since when there is a connection, and whether it was reused.
    pub connected: Option<(Instant, bool)>,
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

impl Stage {
    /// The request is this tenant's.
    pub fn admit(&mut self, tenant: Arc<Tenant>) {
        *self = Self::Admitted(Admitted { tenant, client: None });
    }

    /// The request's client is known.
    pub fn identify(&mut self, client: Identity) {
        if let Self::Admitted(admitted) = self {
            admitted.client = Some(client);
        }
    }

    /// The request goes to its tenant's upstream.
    pub fn forward(&mut self, content: Content) {
        let admitted = match std::mem::replace(self, Self::Received) {
            Self::Admitted(admitted) => admitted,
            other => {
                *self = other;
                return;
            }
        };
        *self = Self::Forwarded(Forwarded {
            admitted,
            content,
            attempts: 0,
            tried: Tried::default(),
            peer: None,
            body_received: 0,
            body_at: None,
            response_ended: false,
        });
    }

    /// The tenant and the client, as far as they are known.
    pub fn admitted(&self) -> Option<&Admitted> {
        match self {
            Self::Received => None,
            Self::Admitted(admitted) | Self::Forwarded(Forwarded { admitted, .. }) => Some(admitted),
        }
    }

    /// The request on its way, if it is.
    pub fn on_its_way(&self) -> Option<&Forwarded> {
        if let Self::Forwarded(forwarded) = self { Some(forwarded) } else { None }
    }

    /// The forwarded request, which exists in every hook after `request_filter`; Pingora's types do not say so.
    ///
    /// # Errors
    /// [`Failure::Internal`] before that.
    pub fn forwarded(&mut self) -> Result<&mut Forwarded, Failure> {
        if let Self::Forwarded(forwarded) = self {
            return Ok(forwarded);
        }
        Err(Failure::Internal("a request at the upstream that was not forwarded".into()))
    }
}

impl Forwarded {
    /// The encrypted exchange, if it is one.
    pub fn exchange(&self) -> Option<&Exchange> {
        if let Content::Encrypted(exchange) = &self.content { Some(exchange) } else { None }
    }

    /// The encrypted exchange, if it is one.
    pub fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        if let Content::Encrypted(exchange) = &mut self.content { Some(exchange) } else { None }
    }

    /// The peer that the request was sent to.
    pub fn upstream_peer(&self) -> Option<&Peer> {
        self.admitted.tenant.upstream.peers.get(self.peer.as_ref()?.choice.peer)
    }

    /// The address that the request was sent to, where the peer is a name.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.upstream_peer().filter(|peer| peer.state.is_name())?;
        self.peer.as_ref()?.choice.endpoint.address
    }

    /// Whether the whole request can be sent again.
    pub fn is_whole(&self) -> bool {
        self.exchange().is_none_or(|exchange| exchange.body.is_whole())
    }
}
