//! Requests to upstreams and refused ones, on every route and between all HTTP versions.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `v4` | a client that seals as version 4 does: without `:method`, with or without a count |
//! | `fields` | header fields: which are sent to the upstream, in which form |
//! | `early` | upstreams that answer before the request is complete |
//! | `paths` | targets and methods that are refused |
//! | `errors` | what errors say, and whose allowance they use |
//! | `sealed` | what sealed headers bind, and which may be missing |

mod early;
mod errors;
mod fields;
mod paths;
mod sealed;
mod v4;

use v4::V4;
