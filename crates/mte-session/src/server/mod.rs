//! The relay's role: requests opened, their numbers spent, responses sealed (docs/protocol.md, sections 3 and 4).
//!
//! Each type exists only after the step that it proves:
//!
//! | type | what has happened | what is next |
//! | --- | --- | --- |
//! | `RelayHeader`, from [`relay_header`] | `x-mte-relay` is well formed | verify its client id |
//! | [`RequestOpener`] | the messages of URL and headers are decoded from their text | a [`Snapshot`](crate::store::Snapshot) of the pair |
//! | [`OpenedHead`] | URL and headers verified, places, numbers and bindings fit | the body's first bytes, if it has a sealed one |
//! | [`OpenedRequest`] | the body's number fits as well, and is not taken | commit the numbers to the store |
//! | [`AcceptedRequest`] | the numbers are spent, the response's keys are made | limits that count for the client itself |
//! | [`PlainRequest`] | the URL is a request target of the upstream | the upstream |
//! | [`ResponseSealer`] | | the response's head |
//! | [`BodySealer`] | the headers are sealed | the response's body |
//!
//! Nothing here reads or writes a connection, looks up a pair or reads the clock. Randomness is an argument.

mod body;
mod error;
mod keys;
mod open;
mod policy;
mod request;
mod respond;
mod wanted;

pub use self::{
    body::{AdmittedBody, PendingBody},
    error::{Binding, RequestError, ResponseError},
    keys::{RESPONSE_MESSAGES, ResponseKeys},
    open::{AcceptedRequest, OpenedHead, OpenedRequest, PlainRequest, RequestSizes},
    policy::{Policy, RequireSealedHeaders},
    request::{Outer, RequestOpener, relay_header, single},
    respond::{BodySealer, ResponseHead, ResponseSealer, ResponseTicket, SealedHead, WireLength},
    wanted::Wanted,
};
pub use crate::body::{BodyError, BodyOpener};
