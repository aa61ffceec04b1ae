//! Header and route names (docs/protocol.md, sections 1, 2 and 7), all in lower case.

/// The header of every relayed request and response (docs/protocol.md, section 1).
pub const X_MTE_RELAY: &str = "x-mte-relay";
/// Carries the sealed header map, as base64 text (docs/protocol.md, sections 3 and 4).
pub const X_MTE_RELAY_EH: &str = "x-mte-relay-eh";
/// Authenticates a pairing answer; a client's is never forwarded (docs/protocol.md, section 3).
pub const X_MTE_PAIR_AUTH: &str = "x-mte-pair-auth";

/// Names that begin so belong to the outbound role and are never forwarded (docs/protocol.md, sections 3 and
/// 7).
pub const OUTBOUND_PREFIX: &str = "x-mte-outbound-";
/// Proves the right to use a relay outbound (docs/protocol.md, section 7).
pub const X_MTE_OUTBOUND_TOKEN: &str = "x-mte-outbound-token";
/// The peer relay of an outbound request (docs/protocol.md, section 7).
pub const X_MTE_UPSTREAM: &str = "x-mte-upstream";
/// The encode type of an outbound request (docs/protocol.md, section 7).
pub const X_MTE_ENCODE_TYPE: &str = "x-mte-encode-type";
/// Which headers of an outbound request are sealed (docs/protocol.md, section 7).
pub const X_MTE_ENCODE_HEADERS: &str = "x-mte-encode-headers";
/// Whether the URL of an outbound request is sealed (docs/protocol.md, section 7).
pub const X_MTE_ENCODE_URL: &str = "x-mte-encode-url";

/// Answers `HEAD` and `GET` with a signed client id (docs/protocol.md, section 2).
pub const ROUTE_HELLO: &str = "/api/mte-relay";
/// Takes pairing requests by `POST` (docs/protocol.md, section 2).
pub const ROUTE_PAIR: &str = "/api/mte-pair";
/// The health check; it has an optional text below it, see [`echo_text`] (docs/protocol.md, section 2).
pub const ROUTE_ECHO: &str = "/api/mte-echo";
/// Lists the statuses of section 5 (docs/protocol.md, section 2).
pub const ROUTE_ERRORS: &str = "/api/mte-errors";

/// The outer content type of a sealed body (docs/protocol.md, sections 3 and 4).
pub const OCTET_STREAM: &str = "application/octet-stream";

/// Reads an echo route (docs/protocol.md, section 2): `None` if `path` is another route, `Some(None)` without
/// a text.
///
/// The text is everything after the slash, as in the path (still percent-encoded).
pub fn echo_text(path: &str) -> Option<Option<&str>> {
    match path.strip_prefix(ROUTE_ECHO)? {
        "" | "/" => Some(None),
        rest => rest.strip_prefix('/').map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_route_has_an_optional_text() {
        assert_eq!(echo_text("/api/mte-echo"), Some(None));
        assert_eq!(echo_text("/api/mte-echo/"), Some(None));
        assert_eq!(echo_text("/api/mte-echo/hi%20there"), Some(Some("hi%20there")));
        assert_eq!(echo_text("/api/mte-echoes"), None);
        assert_eq!(echo_text("/api/mte-pair"), None);
    }
}
