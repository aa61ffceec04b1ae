//! The protocol without the network: pairing, sealing requests, opening responses.
//!
//! [`RelayClient`](crate::RelayClient) is these pieces around an HTTP client. They are public for load generators, which
//! bring their own sockets, and for tests, which tamper with what passes.
//!
//! ```
//! # fn relay(_: &[u8]) -> Vec<u8> { Vec::new() }
//! use mte_client::{KemId, wire};
//!
//! let offer = wire::Offer::new(1, KemId::MlKem768);
//! let answer = relay(&offer.to_json()); // POST /api/mte-pair
//! match offer.accept("client id of HEAD /api/mte-relay", &answer) {
//!     Ok(pairs) => {
//!         let request = http::Request::get("/orders/17").body(bytes::Bytes::new()).unwrap();
//!         let sealed = wire::seal(&pairs[0], &wire::Options::default(), "relay.example", request)?;
//!         assert!(sealed.headers.contains_key("x-mte-relay-eh"));
//!         // Send sealed.path, sealed.headers and sealed.body; then: sealed.opener.open(response)
//!     }
//!     Err(error) => println!("{error}"),
//! }
//! # Ok::<(), mte_client::Error>(())
//! ```

mod headers;
mod pair;
mod request;
mod response;
mod response_body;

use pair::Ticket;
pub use pair::{Offer, Pair};
pub use request::{
    BodyPlan, EncodeHeaders, Options, ResponseHeaders, SealedHead, SealedRequest, seal, seal_head,
};
pub use response::{OpenedHead, ResponseOpener, relay_error};
pub use response_body::{BodyOpener, OpenedFrame};

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

/// One sealed part, for those who watch: numbers and lengths, nothing secret.
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
