//! End-to-end tests: a relay, upstreams and clients, over real sockets.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `streaming` | bodies: their sizes, lengths, rhythm and ends |
//! | `routing` | where requests go, what is forwarded, CORS |
//! | `smuggling` | requests that two readers could take for different ones |
//! | `edge` | what happens before a request: deadlines, PROXY headers, who is believed, rates |
//! | `failures` | upstreams and clients that misbehave, and limits |
//! | `upstreams` | several peers, how they are chosen, their health, HTTP/2 |
//! | `concurrency` | many requests at once |
//! | `tls` | TLS listeners |
//! | `config` | configurations, and TLS towards upstreams |
//! | `settings` | what is refused and with which words, values that arrive as written, listeners, certificates |
//! | `cli` | the binary |
//! | `docs` | what the documentation says of metrics, logs and settings |
//! | `operations` | what operators do and see: reload, hand-over, admin listener, logs, metrics |
//! | `memory` | what a streamed body costs; needs a release build |
//!
//! What the protocol itself refuses is tested in `tests/interop`, by another implementation of it.

mod cli;
mod concurrency;
mod config;
mod docs;
mod edge;
mod failures;
mod harness;
mod memory;
mod operations;
mod routing;
mod settings;
mod smuggling;
mod streaming;
mod tls;
mod upstreams;
