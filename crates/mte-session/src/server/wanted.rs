//! Which headers of a response are sealed, and which stay in the clear (docs/protocol.md, section 4).

use http::{HeaderMap, HeaderName};
use mte_protocol::{
    ResponseHeaders, SealedHeaders, hop,
    names::{X_MTE_RELAY, X_MTE_RELAY_EH},
    response_fields,
};

/// Which response headers a request wants sealed.
pub struct Wanted {
    /// What its binding says.
    response_headers: ResponseHeaders,
    /// The sealed request headers: v4 clients have a response header sealed by sealing one of that name.
    request: SealedHeaders,
}

impl Wanted {
    /// What a request with these sealed headers wants.
    pub fn new(request: SealedHeaders) -> Self {
        Self { response_headers: request.response_headers(), request }
    }

    /// Whether a response header is sealed; `name` in lower case.
    pub fn seals(&self, name: &str) -> bool {
        if matches!(name, "set-cookie" | "content-length" | X_MTE_RELAY | X_MTE_RELAY_EH)
            || hop::is_hop_by_hop(name)
        {
            return false;
        }
        response_fields::describes_body(name)
            || self.asks(name)
            || self.response_headers.wants(name)
                && !(self.response_headers == ResponseHeaders::All && response_fields::stays_clear(name))
    }

    fn asks(&self, name: &str) -> bool {
        self.request.get(name).is_some()
    }

    /// The names of the headers to seal, each once.
    pub(super) fn select(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        headers.keys().filter(|name| self.seals(name.as_str())).cloned().collect()
    }

    /// Whether the client decodes bodies itself: it sealed the codings that it accepts.
    pub fn decodes_itself(&self) -> bool {
        self.asks("accept-encoding")
    }

    /// Whether the length of a body that does not follow (HEAD, 304) is sealed.
    pub(super) fn seals_length(&self) -> bool {
        matches!(self.response_headers, ResponseHeaders::All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(request: &str) -> Wanted {
        Wanted::new(SealedHeaders::parse(request.as_bytes()).expect("a map"))
    }

    #[test]
    fn headers_that_describe_the_body_are_always_sealed() {
        let wanted = wanted("{}");
        for name in ["content-type", "etag", "vary", "cdn-cache-control", "surrogate-control", "pragma"] {
            assert!(wanted.seals(name), "{name}");
        }
        assert!(!wanted.seals("x-app") && !wanted.seals("location"));
    }

    #[test]
    fn all_leaves_what_browsers_and_hops_must_see() {
        let wanted = wanted(r#"{":response-headers": "*"}"#);
        for name in
            ["set-cookie", "access-control-allow-origin", "cross-origin-opener-policy", "date", "alt-svc"]
        {
            assert!(!wanted.seals(name), "{name}");
        }
        for name in ["connection", "transfer-encoding", "content-length", "x-mte-relay", "x-mte-relay-eh"] {
            assert!(!wanted.seals(name), "{name}");
        }
        assert!(wanted.seals("x-app") && wanted.seals("location") && wanted.seals("server"));
    }

    #[test]
    fn named_headers_and_those_of_the_request_are_sealed() {
        let wanted = wanted(r#"{":response-headers": "x-app", "x-asked": "1"}"#);
        assert!(wanted.seals("x-app") && wanted.seals("x-asked") && !wanted.seals("x-other"));
        assert!(!wanted.seals("set-cookie"));
    }
}
