//! The relay as a client of other relays (docs/protocol.md, section 7): who may use it so, which peers it connects to, how
//! loops are found, and the clients that it keeps.
//!
//! It knows no HTTP session: `gateway/outbound` translates requests and responses.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `token` | the token that authorizes a request |
//! | `address` | what kind of address a peer has |
//! | `peers` | the peers that are allowed |
//! | `via` | the name by which a loop is found |
//! | `clients` | one client for each peer, made on first use |

mod address;
mod clients;
mod peers;
mod token;
mod via;

use std::sync::Arc;

pub use self::{
    address::{Kind, kind, unmapped},
    clients::{ClientOptions, Clients, PeerError},
    peers::{PatternError, PeerPattern, PeerRules, Refused},
    token::Token,
    via::Via,
};

/// A tenant's outbound mode.
#[derive(Debug)]
pub struct Outbound {
    /// What authorizes a request.
    pub token: Token,
    /// How loops are found.
    pub via: Via,
    /// The clients of its peers; kept across reloads.
    pub clients: Arc<Clients>,
}
