//! Which headers stay behind (docs/protocol.md, section 3, "Not forwarded").
//!
//! These rules hold for the clear part and, after decoding, for the sealed header map. Names are compared
//! without regard to case and without copying.

use crate::names::{OUTBOUND_PREFIX, X_MTE_RELAY, X_MTE_RELAY_EH};

const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const OVERRIDES: [&str; 4] =
    ["x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"];

/// Whether a header belongs to one connection only (RFC 9110, section 7.6.1). What the `Connection` header
/// names is hop-by-hop as well: see [`connection_names`].
pub fn is_hop_by_hop(name: &str) -> bool {
    is_one_of(name, &HOP_BY_HOP)
}

/// The header names that a value of `Connection` makes hop-by-hop, as they stand there. Compare without
/// regard to case.
pub fn connection_names(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|name| name.trim_matches([' ', '\t'])).filter(|name| !name.is_empty())
}

/// Whether a request header is never forwarded to the upstream, sealed or not (docs/protocol.md, section 3):
/// hop-by-hop headers, `content-length` and `host` (both set anew), the relay's own headers, and pseudo-names
/// (`:...`).
pub fn never_forwarded(name: &str) -> bool {
    is_hop_by_hop(name)
        || name.starts_with(':')
        || is_one_of(name, &["content-length", "host", X_MTE_RELAY, X_MTE_RELAY_EH])
        || name.get(..OUTBOUND_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(OUTBOUND_PREFIX))
}

/// Whether a header overrides the method or the URL with some upstreams (docs/protocol.md, section 3). In the
/// clear part it is dropped, since anybody on the way could add it; sealed, it is the client's own wish and
/// passes.
pub fn overrides_request(name: &str) -> bool {
    is_one_of(name, &OVERRIDES)
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_are_never_forwarded_in_any_case() {
        for name in HOP_BY_HOP {
            assert!(is_hop_by_hop(name) && never_forwarded(&name.to_uppercase()), "{name}");
        }
    }

    #[test]
    fn the_relays_own_headers_are_never_forwarded() {
        for name in
            ["X-MTE-Relay", "x-mte-relay-eh", "x-mte-outbound-token", "X-Mte-Outbound-", "Host", ":method"]
        {
            assert!(never_forwarded(name) && !is_hop_by_hop(name), "{name}");
        }
    }

    #[test]
    fn ordinary_headers_are_forwarded() {
        for name in
            ["", "x-mte-outbound", "x-mte", "authorization", "cookie", "hosts", "accept", "x-é-outbound-abc"]
        {
            assert!(!never_forwarded(name) && !overrides_request(name), "{name}");
        }
    }

    #[test]
    fn headers_that_override_the_request_are_told_apart() {
        for name in ["X-HTTP-Method-Override", "x-method-override", "X-Original-URL", "x-rewrite-url"] {
            assert!(overrides_request(name) && !never_forwarded(name), "{name}");
        }
    }

    #[test]
    fn connection_names_headers() {
        assert!(connection_names(" close,\tX-Secret , ,").eq(["close", "X-Secret"]));
    }
}
