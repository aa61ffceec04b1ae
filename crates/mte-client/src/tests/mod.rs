//! A client against a relay built from the codec and the protocol's types: exchanges over sockets, and responses that a
//! client refuses.

mod exchange;
mod headers;
mod refusal;
mod relay;
mod resend;
mod resolving;
mod server;
mod streams;
mod tls;
