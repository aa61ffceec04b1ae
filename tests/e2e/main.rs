//! End-to-end tests: a relay, upstreams and clients, over real sockets.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `streaming` | bodies: their sizes, lengths, timing and ends |
//! | `responses` | responses to clients: framing, sealing, decoding, tunnels |
//! | `routing` | where requests go, what is forwarded, CORS |
//! | `requests` | requests to upstreams and refused ones, on every route and between all HTTP versions |
//! | `smuggling` | ambiguous requests (request smuggling) |
//! | `edge` | the edge, before a request: deadlines, PROXY headers, trusted proxies, rates |
//! | `failures` | upstreams and clients that misbehave, and limits |
//! | `upstreams` | several peers, how they are chosen, their health, HTTP/2 |
//! | `clients` | the client library: responses that were changed in transit, and repeated requests |
//! | `concurrency` | many requests at once |
//! | `tls` | TLS listeners |
//! | `config` | configurations, and TLS for connections to upstreams |
//! | `settings` | refused settings and their messages, values that are used as written, listeners, certificates |
//! | `cli` | the binary |
//! | `docs` | the documentation of metrics, logs and settings |
//! | `operations` | operation: reload, hand-over, admin listener, logs, metrics |
//! | `outbound` | relay to relay: exchanges, streams, peers that are refused or fail, loops |
//! | `limits` | limits on the resources that clients can use |
//! | `shared` | several relays that share their pairs in Redis |
//! | `pair_store` | the required behaviour of every pair store, and a relay whose store fails |
//! | `memory` | memory for a streamed body, with a release build |
//! | `secrets` | secrets in memory, with a release build |
//!
//! Refusals that the protocol requires are tested in `tests/interop`, with another implementation of it.

mod cli;
mod clients;
mod concurrency;
mod config;
mod docs;
mod edge;
mod failures;
mod harness;
mod limits;
mod memory;
mod operations;
mod outbound;
mod pair_store;
mod requests;
mod responses;
mod routing;
mod secrets;
mod settings;
mod shared;
mod smuggling;
mod streaming;
mod tls;
mod upstreams;
