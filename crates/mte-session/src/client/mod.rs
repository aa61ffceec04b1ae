//! The client's role: pairing, sealing requests, opening responses.
//!
//! The crate `mte-client` is these pieces around an HTTP client. Load generators use them with their own sockets, and tests
//! tamper with what passes in between.
//!
//! ```
//! # fn relay(_: &[u8]) -> Vec<u8> { Vec::new() }
//! use mte_codec::KemId;
//! use mte_session::client;
//!
//! let offer = client::Offer::new(1, KemId::MlKem768);
//! let answer = relay(&offer.to_json()); // POST /api/mte-pair
//! match offer.accept("client id of HEAD /api/mte-relay", &answer) {
//!     Ok(pairs) => {
//!         let request = http::Request::get("/orders/17").body(bytes::Bytes::new()).unwrap();
//!         let sealed = client::seal(&pairs[0], &client::Options::default(), "relay.example", request)?;
//!         assert!(sealed.headers.contains_key("x-mte-relay-eh"));
//!         // Send sealed.path, sealed.headers and sealed.body; then: sealed.opener.open(response)
//!     }
//!     Err(error) => println!("{error}"),
//! }
//! # Ok::<(), client::Error>(())
//! ```

mod body;
mod error;
mod headers;
mod pair;
mod request;
mod response;

pub use self::{
    body::{BodyOpener, OpenedFrame},
    error::{Error, PairingFailure, ResponseError},
    pair::{Offer, Pair},
    request::{
        BodyPlan, EncodeHeaders, Options, ResponseHeaders, SealedHead, SealedRequest, seal, seal_head,
    },
    response::{OpenedHead, ResponseOpener, relay_error},
};
use pair::Ticket;

use mte_codec::{EncodeType, Place};

/// Which part of a request or response a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// The path and query of a request.
    Url,
    /// The header map.
    Headers,
    /// The body.
    Body,
}

/// One sealed part, for observers: numbers and lengths, nothing secret.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// What it carries.
    pub kind: PartKind,
    /// Its message number (docs/codec.md, section 6).
    pub number: u64,
    /// Its place (docs/codec.md, section 4).
    pub place: Place,
    /// Its encode type.
    pub encode_type: EncodeType,
    /// Plaintext bytes, where that is known yet.
    pub plain_len: Option<u64>,
    /// Bytes of the message itself, before base64 and percent-encoding, where that is known yet.
    pub wire_len: Option<u64>,
}
