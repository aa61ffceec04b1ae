//! Which header fields stay behind (docs/protocol.md, section 3, "What is forwarded").
//!
//! The only list of every kind of field that is not simply passed on, for requests and responses, for the clear part and,
//! after decoding, for the sealed header map. Names are compared without regard to case. Nothing here inspects a value, and
//! nothing decides when a rule holds: the caller that forwards a message does.

use crate::names::{OUTBOUND_PREFIX, X_MTE_PAIR_AUTH, X_MTE_RELAY, X_MTE_RELAY_EH};

fn hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Fields that some server or framework takes for the method or the URL of a request.
fn overrides(name: &str) -> bool {
    matches!(
        name,
        "x-http-method"
            | "x-http-method-override"
            | "x-method-override"
            | "x-original-method"
            | "x-original-uri"
            | "x-original-url"
            | "x-override-url"
            | "x-rewrite-uri"
            | "x-rewrite-url"
            | "x-forwarded-method"
            | "x-forwarded-path"
            | "x-forwarded-uri"
            | "x-http-path-override"
    )
}

/// Fields in which proxies name the client, in addition to `x-forwarded-*`.
fn claims(name: &str) -> bool {
    matches!(
        name,
        "cf-connecting-ip"
            | "fastly-client-ip"
            | "forwarded"
            | "true-client-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-real-ip"
    )
}
const FORWARDED_PREFIX: &str = "x-forwarded-";

/// What a browser adds to a request by itself.
fn of_browsers(name: &str) -> bool {
    matches!(name, "accept-language" | "cookie" | "origin" | "priority" | "referer" | "user-agent")
}
const SEC_PREFIX: &str = "sec-";

/// What hops add to a request so that it can be followed.
fn of_traces(name: &str) -> bool {
    matches!(
        name,
        "b3" | "baggage"
            | "traceparent"
            | "tracestate"
            | "uber-trace-id"
            | "via"
            | "x-amzn-trace-id"
            | "x-cloud-trace-context"
            | "x-correlation-id"
            | "x-request-id"
    )
}
const B3_PREFIX: &str = "x-b3-";

/// Whether a field belongs to one connection only (RFC 9110, section 7.6.1), in both requests and responses. What the
/// `Connection` field names is hop-by-hop as well: see [`connection_names`].
pub fn is_hop_by_hop(name: &str) -> bool {
    in_lower_case(name, hop_by_hop)
}

/// The names that a value of `Connection` makes hop-by-hop, unchanged. Compare without regard to case.
pub fn connection_names(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|name| name.trim_matches([' ', '\t'])).filter(|name| !name.is_empty())
}

/// Whether a request header is never forwarded to the upstream, sealed or not: hop-by-hop headers, `content-length` and
/// `host` (the relay sets both), the relay's own headers, and pseudo-names (`:...`).
pub fn never_forwarded(name: &str) -> bool {
    is_hop_by_hop(name)
        || name.starts_with(':')
        || in_lower_case(name, |name| {
            matches!(name, "content-length" | "host" | X_MTE_RELAY | X_MTE_RELAY_EH | X_MTE_PAIR_AUTH)
        })
        || begins(name, OUTBOUND_PREFIX)
}

/// Whether a request header overrides the method or the URL with some upstreams. It is forwarded on no route and from no
/// part: routes, methods and bindings are checked against the request's own method and URL.
pub fn overrides_request(name: &str) -> bool {
    in_lower_case(name, overrides)
}

/// Whether a request header claims who the client is. Only a trusted proxy's claims are forwarded.
pub fn claims_client(name: &str) -> bool {
    in_lower_case(name, claims) || begins(name, FORWARDED_PREFIX)
}

/// Whether a request header makes a response partial or conditional (`range`, `if-*`). One that the client did not seal
/// could make a part of a body look like the whole.
pub fn makes_partial(name: &str) -> bool {
    name.eq_ignore_ascii_case("range") || begins(name, "if-")
}

/// Whether a header of the clear part counts beside sealed headers with `:method`: what a browser or a hop adds by
/// itself. The sender sealed everything else.
pub fn counts_in_the_clear(name: &str) -> bool {
    in_lower_case(name, |name| of_browsers(name) || of_traces(name))
        || claims_client(name)
        || begins(name, SEC_PREFIX)
        || begins(name, B3_PREFIX)
}

/// The name that CGI and its successors cannot distinguish from `name`: `_` written as `-`. `None` where there is no `_`.
pub fn hyphenated(name: &str) -> Option<String> {
    name.contains('_').then(|| name.replace('_', "-"))
}

/// Whether a request header with `_` in its name passes, at some upstream, for one that this module has a rule for, or
/// for `x-request-id`.
pub fn shadows(name: &str) -> bool {
    hyphenated(name).is_some_and(|name| {
        never_forwarded(&name)
            || overrides_request(&name)
            || claims_client(&name)
            || makes_partial(&name)
            || name.eq_ignore_ascii_case("x-request-id")
    })
}

fn begins(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Asks about a name in lower case, as nearly all names come already.
fn in_lower_case(name: &str, question: impl Fn(&str) -> bool) -> bool {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        question(&name.to_ascii_lowercase())
    } else {
        question(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_are_never_forwarded_in_any_case() {
        for name in ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"] {
            assert!(is_hop_by_hop(name) && never_forwarded(&name.to_uppercase()), "{name}");
        }
    }

    #[test]
    fn the_relays_own_headers_are_never_forwarded() {
        for name in [
            "X-MTE-Relay",
            "x-mte-relay-eh",
            "x-mte-outbound-token",
            "X-Mte-Outbound-",
            "x-mte-pair-auth",
            "Host",
            ":method",
        ] {
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
    fn headers_that_override_the_request_are_recognized() {
        for name in ["X-HTTP-Method-Override", "x-method-override", "X-Original-URL", "x-rewrite-url"] {
            assert!(overrides_request(name) && !never_forwarded(name), "{name}");
        }
    }

    #[test]
    fn names_with_underscores_that_stand_for_protected_headers_are_recognized() {
        for name in [
            "X_Forwarded_For",
            "x-forwarded_for",
            "x_real_ip",
            "x_http_method_override",
            "content_length",
            "transfer_encoding",
            "x_mte_relay",
            "x_request_id",
            "x_mte_outbound_token",
            "if_none_match",
        ] {
            assert!(shadows(name), "{name}");
        }
        for name in ["x-forwarded-for", "user_agent", "_", "x_custom", "xforwarded_for"] {
            assert!(!shadows(name), "{name}");
        }
    }

    #[test]
    fn with_a_bound_request_only_clear_headers_that_browsers_and_proxies_add_count() {
        for name in [
            "Cookie",
            "origin",
            "sec-fetch-mode",
            "Sec-CH-UA",
            "x-forwarded-for",
            "traceparent",
            "x-b3-traceid",
        ] {
            assert!(counts_in_the_clear(name), "{name}");
        }
        for name in [
            "authorization",
            "range",
            "if-match",
            "prefer",
            "content-type",
            "accept",
            "x-api-key",
            "se",
            "sec",
        ] {
            assert!(!counts_in_the_clear(name), "{name}");
        }
    }

    #[test]
    fn headers_that_make_a_response_partial_are_recognized() {
        assert!(makes_partial("Range") && makes_partial("If-Range") && makes_partial("if-none-match"));
        assert!(!makes_partial("ranges") && !makes_partial("i") && !makes_partial("if"));
    }

    #[test]
    fn connection_names_headers() {
        assert!(connection_names(" close,\tX-Secret , ,").eq(["close", "X-Secret"]));
    }
}
