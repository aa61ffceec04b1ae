//! Both roles against each other in memory: no sockets, no clock, no runtime. The network between them loses, reorders,
//! duplicates, truncates and changes messages ([`network`]).

mod exchanges;
mod harness;
mod network;
mod refusals;
mod responses;
mod state;
mod windows;
