//! Which headers of an upstream's response go no further (docs/protocol.md, section 4). Which of the others are sealed is the
//! session's to say.

use http::{HeaderName, StatusCode, header};
use mte_protocol::hop;
use pingora_http::ResponseHeader;

/// Digests of the encoded body: not valid for the decoded one.
const ENCODED_DIGESTS: [&str; 4] = ["content-digest", "content-md5", "digest", "repr-digest"];

/// Removes what belongs to the upstream's connection (RFC 9110 section 7.6.1): hop-by-hop fields, and what
/// `Connection` names. `trailers` says whether trailers can follow.
pub(crate) fn remove_hop_by_hop(response: &mut ResponseHeader, trailers: bool) {
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let named: Vec<HeaderName> = response
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(hop::connection_names)
        // Removing these because `Connection` names them would lose the end of the body.
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

/// Removes what is no longer valid once the body is decoded.
pub(crate) fn remove_encoding(response: &mut ResponseHeader) {
    response.remove_header(&header::CONTENT_ENCODING);
    response.remove_header(&header::CONTENT_LENGTH);
    for name in ENCODED_DIGESTS {
        response.remove_header(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
