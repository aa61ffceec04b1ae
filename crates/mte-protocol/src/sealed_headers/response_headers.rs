//! Which headers of a response its client wants sealed (docs/protocol.md, section 4): the value of
//! [`RESPONSE_HEADERS`](super::RESPONSE_HEADERS). What must stay in the clear anyway is not decided here.

use std::collections::BTreeSet;

use super::is_token;

/// What the client asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ResponseHeaders {
    /// Nothing: the names of the request's sealed headers ask for those of the response, as in every version 4.
    #[default]
    Asked,
    /// `*`: every header.
    All,
    /// These names, in lower case, in addition to those that v4 seals.
    Named(BTreeSet<Box<str>>),
}

impl ResponseHeaders {
    /// Reads the value: `*`, or lower-case names with commas between them; blanks around a name do not count.
    pub(super) fn parse(value: &str) -> Option<Self> {
        if value == "*" {
            return Some(Self::All);
        }
        let names = value.split(',').map(|name| name.trim_matches([' ', '\t']));
        names.map(|name| is_name(name).then(|| name.into())).collect::<Option<_>>().map(Self::Named)
    }

    pub(super) fn is_valid(value: &[u8]) -> bool {
        std::str::from_utf8(value).is_ok_and(|value| Self::parse(value).is_some())
    }

    /// Whether a header of this name, in lower case, is wanted sealed beyond what v4 seals anyway.
    pub fn wants(&self, name: &str) -> bool {
        match self {
            Self::Asked => false,
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "*" && name.bytes().all(|byte| is_token(byte) && !byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_all_and_a_list_is_those_it_names() {
        assert_eq!(ResponseHeaders::parse("*"), Some(ResponseHeaders::All));
        let named = ResponseHeaders::parse("etag, x-total,x-total").unwrap();
        assert!(named.wants("etag") && named.wants("x-total") && !named.wants("location"));
        assert!(ResponseHeaders::All.wants("location") && !ResponseHeaders::Asked.wants("etag"));
    }

    #[test]
    fn anything_but_a_list_of_lower_case_names_is_malformed() {
        for value in ["", ",", "etag,", "ETag", "etag;x", "e tag", "*,etag", "etag,*", ":status", "\u{e9}"] {
            assert_eq!(ResponseHeaders::parse(value), None, "{value:?}");
        }
    }
}
