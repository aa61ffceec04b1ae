//! The MTE Relay protocol, version 4, in types.
//!
//! What clients and relays say to each other around the codec's messages: the `x-mte-relay` header, signed
//! client ids, the pairing JSON, the sealed header map, the text form of messages, routes and status codes.
//! The specification is `docs/protocol.md`; every public item names the section that it implements.
//!
//! This crate parses, checks and writes. It opens no socket, reads no clock, makes no random bytes and seals
//! nothing: the caller provides those. Types borrow where they can: no step of a request allocates
//! without a reason.

#![forbid(unsafe_code)]

pub mod client_id;
pub mod hop;
pub mod names;
pub mod pairing;
mod path;
pub mod relay_header;
pub mod response_fields;
pub mod routes;
pub mod sealed_headers;
pub mod status;
pub mod target;
pub mod text;

pub use client_id::{ClientId, ClientIdSecret, InvalidClientId};
pub use mte_codec::EncodeType;
pub use pairing::{Nonce, PairRequest, PairResponse, PairingError};
pub use relay_header::{RelayHeader, RelayHeaderError, control_client_id, valid_opaque};
pub use routes::{RouteError, RoutePattern, RouteSet};
pub use sealed_headers::{ResponseHeaders, SealedHeaders, SealedHeadersError, SealedHeadersWriter};
pub use status::{ErrorBody, Status};
pub use target::{TargetError, check_clear, origin_form};
pub use text::TextError;

/// The examples of the README are tested as those of the documentation are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
