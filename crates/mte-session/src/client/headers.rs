//! The headers of an opened response (docs/protocol.md, section 4): what was sealed, and of the clear part only what the
//! relay does not seal. A header that an attacker on the path adds in place of a sealed one is ignored.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH},
};
use mte_protocol::{
    SealedHeaders, hop,
    names::{X_MTE_RELAY, X_MTE_RELAY_EH},
    response_fields::{describes_body, stays_clear},
};

use super::ResponseHeaders;

/// What decides which clear headers count.
pub(super) struct ClearPart<'a> {
    /// What the request asked to be sealed.
    pub(super) response_headers: &'a ResponseHeaders,
    /// Headers that were sealed in the request.
    pub(super) sealed_names: &'a [HeaderName],
    pub(super) has_body: bool,
}

impl ClearPart<'_> {
    /// The sealed headers, and those of `outer` that count.
    pub(super) fn compose(&self, outer: &HeaderMap, sealed: &SealedHeaders) -> HeaderMap {
        let of_connection: Vec<&str> = outer
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(hop::connection_names)
            .collect();
        let of_the_hop = |name: &HeaderName| {
            let name = name.as_str();
            hop::is_hop_by_hop(name)
                || name == X_MTE_RELAY
                || name == X_MTE_RELAY_EH
                || of_connection.iter().any(|one| name.eq_ignore_ascii_case(one))
        };
        let mut headers = HeaderMap::with_capacity(outer.len());
        for (name, value) in outer {
            if !of_the_hop(name) && self.counts(name) {
                headers.append(name, value.clone());
            }
        }
        for (name, value) in sealed.iter() {
            let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
            else {
                continue;
            };
            if !hop::is_hop_by_hop(name.as_str()) {
                headers.insert(name, value);
            }
        }
        headers
    }

    fn counts(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        if stays_clear(text) {
            return true;
        }
        if describes_body(text) {
            return false;
        }
        let named = match self.response_headers {
            ResponseHeaders::All => return false,
            ResponseHeaders::Only(names) => names.contains(name),
        };
        // The outer length is the ciphertext's; without a body (HEAD, 304) it is the upstream's.
        let of_ciphertext = name == CONTENT_LENGTH && self.has_body;
        !(named || of_ciphertext || self.sealed_names.contains(name))
    }
}
