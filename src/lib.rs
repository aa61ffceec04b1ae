//! The MTE Relay: an edge gateway that opens end-to-end encrypted HTTP requests, proxies them to a tenant's
//! upstream, and seals the responses as they stream back.
//!
//! `docs/architecture.md` describes the structure. In short: [`config`] becomes [`domains`], a
//! [`relay::Relay`] runs a [`gateway`] behind its [`edge`], which opens requests with pairs from the [`pairs`] store and
//! buffers from the [`pool`], and answers the control routes itself. Operators see it through [`telemetry`] and the
//! [`admin`] listener; what clients may make it spend is bounded by [`limits`] and [`rate`]; [`lifecycle`], [`reload`] and [`shutdown`] bring it up, change it, and take it down.
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
pub mod telemetry;
pub mod tls;
pub mod trusted;
pub mod upstream;
