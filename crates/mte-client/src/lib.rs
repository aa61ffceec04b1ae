//! A client for MTE Relay servers.
//!
//! A [`RelayClient`] pairs with a relay, seals what it sends and opens what it receives; the relay does the same on its
//! side and speaks plain HTTP to the service behind it. The protocol is `docs/protocol.md`, the format of the messages
//! `docs/codec.md`.
//!
//! ```no_run
//! # async fn example() -> Result<(), mte_client::Error> {
//! use mte_client::RelayClient;
//!
//! let client = RelayClient::builder("https://relay.example").build()?;
//!
//! // Path, query, headers and body travel sealed; pairing happens with the first request.
//! let response = client.get("/orders/17").await?;
//! println!("{}: {}", response.status(), response.into_body().text(1 << 20).await?);
//!
//! let request = http::Request::put("/orders/17")
//!     .header("content-type", "application/json")
//!     .body(r#"{"paid":true}"#.into())
//!     .unwrap();
//! client.send(request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The client takes from a response only what its sealed headers announce. A response that is not bound to its request,
//! or that was emptied, cut, exchanged or cached on the way, is an [`Error`]: either in place of the [`http::Response`] or
//! when its body is read. By default every header is sealed, but those that browsers and proxies act on
//! ([`Builder::response_headers`]). The relay's own errors travel in the clear and are [`Error::Relay`].
//!
//! The client repeats a request once where the relay asks for a new pairing, if its method is idempotent. A `POST` fails
//! with [`NotRepeated`] instead, since an attacker could have it executed twice ([`Resend`]).
//!
//! | module | what it does |
//! | --- | --- |
//! | [`wire`] | the protocol without the network: pairing, sealing, opening |
//! | `pool` | the client id and the pairs, made on first use, used in turn |
//! | `pairing` | asking the relay for both |
//! | `client` | one exchange, and its repetition after a new pairing |
//! | `upload`, `download` | bodies, sealed and opened as they pass |
//! | `resolve` | which addresses are connected to |
//! | `connect` | TCP, TLS, HTTP/2 |

#![forbid(unsafe_code)]

mod body;
mod builder;
mod client;
mod connect;
mod download;
mod error;
pub mod observer;
mod pairing;
mod pool;
mod resolve;
mod upload;

#[cfg(test)]
mod tests;

pub use body::Body;
pub use builder::{Builder, Resend};
pub use client::RelayClient;
pub use error::{BoxError, Error, NotRepeated};
pub use mte_codec::{EncodeType, KemId};
/// The protocol without the network: pairing, sealing requests, opening responses. Its errors convert to [`Error`].
pub use mte_session::client as wire;
pub use mte_session::client::{EncodeHeaders, ResponseError, ResponseHeaders};
pub use observer::Observer;
pub use resolve::{Resolve, Resolving};
pub use rustls::pki_types::CertificateDer;

/// The examples of the README are tested as those of the documentation are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
