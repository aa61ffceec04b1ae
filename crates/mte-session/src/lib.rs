//! Both roles of the MTE Relay protocol, version 4, without a network.
//!
//! A session knows no socket, no clock, no runtime and no store. Its inputs and outputs are bytes and header
//! maps, and a pair's state is a value that the caller keeps. The relay's gateway, the client, and the tests that stand in
//! for a relay are all built from this crate. The protocol is `docs/protocol.md`, the format of messages `docs/codec.md`.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`client`] | the client's role: offer pairs, seal requests, open responses |
//! | [`server`] | the relay's role: open requests, spend their numbers, seal responses |
//! | [`pairing`] | the relay's side of a pairing: an offer in, an answer and new pairs out |
//! | [`store`] | what a request and a pair store exchange, and a pair's state with its stored form |
//!
//! A type exists only after the step that it proves. The relay's role is a chain:
//!
//! ```text
//! relay_header -> RequestOpener -> OpenedHead -> OpenedRequest -> AcceptedRequest -> PlainRequest -> ResponseSealer
//!                      |                |             |                |
//!                 a Snapshot       the body's      a Commit      the numbers
//!                 from the store   first bytes    for the store   are spent
//! ```

#![forbid(unsafe_code)]

mod body;
pub mod client;
pub mod pairing;
pub mod server;
pub mod store;

pub use body::{BodyError, BodyOpener};

/// The examples of the README are tests.
#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
