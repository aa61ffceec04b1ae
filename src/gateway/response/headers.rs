//! Which header of a response goes where: sealed, in the clear, or nowhere (docs/protocol.md, section 4).

use http::{HeaderMap, HeaderName, StatusCode, header};
use mte_protocol::{
    ResponseHeaders, SealedHeaders, hop,
    names::{X_MTE_RELAY, X_MTE_RELAY_EH},
    response_fields,
};
use pingora_http::ResponseHeader;

/// Digests of the body as it was encoded: not true of the decoded one.
const ENCODED_DIGESTS: [&str; 4] = ["content-digest", "content-md5", "digest", "repr-digest"];

/// Which response headers a request wants sealed.
pub struct Wanted {
    /// What its binding says.
    pub response_headers: ResponseHeaders,
    /// The sealed request headers: v4 clients have a response header sealed by sealing one of that name.
    pub request: SealedHeaders,
}

impl Wanted {
    /// Whether a response header is sealed.
    fn seals(&self, name: &str) -> bool {
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
    pub fn select(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        headers.keys().filter(|name| self.seals(name.as_str())).cloned().collect()
    }

    /// Whether the client decodes bodies itself: it sealed the codings that it takes.
    pub fn decodes_itself(&self) -> bool {
        self.asks("accept-encoding")
    }

    /// Whether the length of a body that does not follow (HEAD, 304) is sealed.
    pub fn seals_length(&self) -> bool {
        matches!(self.response_headers, ResponseHeaders::All)
    }
}

/// Takes out what belongs to the upstream's connection (RFC 9110 section 7.6.1): hop-by-hop fields, and what
/// `Connection` names. `trailers` tells whether trailers can follow.
pub fn remove_hop_by_hop(response: &mut ResponseHeader, trailers: bool) {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let named: Vec<HeaderName> = response
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(hop::connection_names)
        // Whoever names these would have the end of the body lost.
        .filter(|name| !name.eq_ignore_ascii_case("content-length"))
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .collect();
    let hop: Vec<HeaderName> = response
        .headers
        .keys()
        .filter(|name| hop::is_hop_by_hop(name.as_str()))
        .filter(|name| !(trailers && **name == header::TRAILER))
        .cloned()
        .collect();
    for name in named.iter().chain(&hop) {
        response.remove_header(name);
    }
}

/// Takes out what is no longer true once the body is decoded.
pub fn remove_encoding(response: &mut ResponseHeader) {
    response.remove_header(&header::CONTENT_ENCODING);
    response.remove_header(&header::CONTENT_LENGTH);
    for name in ENCODED_DIGESTS {
        response.remove_header(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(response_headers: ResponseHeaders, request: &str) -> Wanted {
        let request = SealedHeaders::parse(request.as_bytes()).expect("a map");
        Wanted { response_headers, request }
    }

    #[test]
    fn what_describes_the_body_is_sealed_unasked() {
        let wanted = wanted(ResponseHeaders::Asked, "{}");
        for name in ["content-type", "etag", "vary", "cdn-cache-control", "surrogate-control", "pragma"] {
            assert!(wanted.seals(name), "{name}");
        }
        assert!(!wanted.seals("x-app") && !wanted.seals("location"));
    }

    #[test]
    fn all_leaves_what_browsers_and_hops_must_see() {
        let wanted = wanted(ResponseHeaders::All, "{}");
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
        let wanted = wanted(ResponseHeaders::Named(["x-app".into()].into()), r#"{"x-asked": "1"}"#);
        assert!(wanted.seals("x-app") && wanted.seals("x-asked") && !wanted.seals("x-other"));
        assert!(!wanted.seals("set-cookie"));
    }

    #[test]
    fn what_connection_names_goes_with_it() {
        let mut response = ResponseHeader::build(200, None).expect("a head");
        for (name, value) in [
            ("connection", "x-secret, Content-Length, keep-alive"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("trailer", "x-end"),
            ("content-length", "3"),
        ] {
            response.append_header(name, value).expect("a header");
        }
        remove_hop_by_hop(&mut response, false);
        let left: Vec<_> = response.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-length"]);
    }
}
