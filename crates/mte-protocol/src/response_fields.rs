//! Which response headers are always sealed, and which never (docs/protocol.md, section 4). The relay seals by these
//! rules, and our clients take nothing from the clear part that should have been sealed.
//!
//! Names are in lower case, as the `http` crate has them.

use crate::names::{X_MTE_RELAY, X_MTE_RELAY_EH};

/// They describe the plaintext body.
const REPRESENTATION: [&str; 16] = [
    "accept-ranges",
    "age",
    "cache-control",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-range",
    "content-type",
    "digest",
    "etag",
    "expires",
    "last-modified",
    "repr-digest",
    "vary",
];

/// Orders to single caches on the way, which they put before `cache-control`.
const CACHE_ORDERS: [&str; 4] = ["edge-control", "pragma", "surrogate-control", "x-accel-expires"];

/// Browsers and proxies act on these.
const VISIBLE: [&str; 8] = [
    "alt-svc",
    "date",
    "set-cookie",
    "strict-transport-security",
    "timing-allow-origin",
    "x-request-id",
    X_MTE_RELAY,
    X_MTE_RELAY_EH,
];
const VISIBLE_PREFIXES: [&str; 2] = ["access-control-", "cross-origin-"];

/// Whether a response header describes the plaintext body, so that it is sealed whatever the request asks for.
pub fn describes_body(name: &str) -> bool {
    REPRESENTATION.binary_search(&name).is_ok()
        || CACHE_ORDERS.contains(&name)
        || name.ends_with("-cache-control")
}

/// Whether a response header stays in the clear whatever the request asks for, since browsers or proxies act on it.
pub fn stays_clear(name: &str) -> bool {
    VISIBLE.contains(&name) || VISIBLE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_header_is_both_always_sealed_and_never() {
        assert!(REPRESENTATION.is_sorted(), "it is searched by halves");
        for name in REPRESENTATION.into_iter().chain(CACHE_ORDERS).chain(["cdn-cache-control"]) {
            assert!(describes_body(name) && !stays_clear(name), "{name}");
        }
        for name in VISIBLE.into_iter().chain(["access-control-max-age", "cross-origin-opener-policy"]) {
            assert!(stays_clear(name) && !describes_body(name), "{name}");
        }
        for name in ["location", "x-app", "server", "www-authenticate", "cross-origins", "access-control"] {
            assert!(!describes_body(name) && !stays_clear(name), "{name}");
        }
    }
}
