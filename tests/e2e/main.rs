//! End-to-end tests: a relay, upstreams and clients, over real sockets.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `streaming` | bodies: their sizes, lengths, rhythm and ends |
//! | `responses` | what a client is sent: framing, sealing, decoding, tunnels |
//! | `routing` | where requests go, what is forwarded, CORS |
//! | `requests` | what an upstream is sent and what is refused, on every route and between all HTTP versions |
//! | `smuggling` | requests that two readers could take for different ones |
//! | `edge` | what happens before a request: deadlines, PROXY headers, who is believed, rates |
//! | `failures` | upstreams and clients that misbehave, and limits |
//! | `upstreams` | several peers, how they are chosen, their health, HTTP/2 |
//! | `clients` | what our own client takes from a response that was changed on the way, and what it repeats |
//! | `concurrency` | many requests at once |
//! | `tls` | TLS listeners |
//! | `config` | configurations, and TLS towards upstreams |
//! | `settings` | what is refused and with which words, values that arrive as written, listeners, certificates |
//! | `cli` | the binary |
//! | `docs` | what the documentation says of metrics, logs and settings |
//! | `operations` | what operators do and see: reload, hand-over, admin listener, logs, metrics |
//! | `outbound` | relay to relay: exchanges, streams, peers that are refused or fail, loops |
//! | `limits` | what clients can make the relay spend |
//! | `pair_store` | what every pair store must do, and a relay whose store fails |
//! | `memory` | what a streamed body costs; of a release build |
//! | `secrets` | what is left of secrets in memory; of a release build |
//!
//! What the protocol itself refuses is tested in `tests/interop`, by another implementation of it.

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
mod smuggling;
mod streaming;
mod tls;
mod upstreams;
