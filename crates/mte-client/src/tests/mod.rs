//! A client against a relay made of the codec and the protocol's types: exchanges over sockets, and what a client refuses.

mod exchange;
mod headers;
mod refusal;
mod relay;
mod resend;
mod resolving;
mod server;
mod streams;
mod tls;
