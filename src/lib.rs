//! The MTE Relay: an edge gateway that opens end-to-end encrypted HTTP requests, proxies them to a tenant's
//! upstream, and seals the responses as they stream back.
//!
//! `docs/architecture.md` describes the structure. In short: [`config`] becomes [`domains`], a
//! [`relay::Relay`] runs a [`gateway`] behind its [`edge`], which opens requests with pairs from the [`pairs`] store and
//! buffers from the [`pool`], and answers the control routes itself. Operators observe it through [`telemetry`] and
//! the [`admin`] listener. [`limits`] and [`rate`] bound the resources that clients can use. [`lifecycle`], [`reload`] and
//! [`shutdown`] start, change and stop it.
#![forbid(unsafe_code)]

pub mod admin;
pub mod certificate;
pub mod config;
pub mod descriptors;
pub mod domains;
pub mod edge;
pub mod gateway;
pub mod handover;
pub mod host;
pub mod lifecycle;
pub mod limits;
pub mod listening;
pub mod outbound;
pub mod pairs;
pub mod pool;
pub mod private_socket;
pub mod process;
pub mod rate;
pub mod relay;
pub mod reload;
pub mod shutdown;
pub mod state_key;
pub mod telemetry;
pub mod tls;
pub mod trusted;
pub mod upstream;
