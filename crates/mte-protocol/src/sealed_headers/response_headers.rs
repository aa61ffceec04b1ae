//! Which response headers a client wants sealed (docs/protocol.md, section 4).

/// The value of the binding `:response-headers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ResponseHeaders {
    /// The request does not say: a v4 client, which names them by its own sealed headers.
    #[default]
    Unstated,
    /// `*`: every one that browsers and proxies need not see.
    All,
    /// These, in lower case.
    Named(Vec<String>),
}

impl ResponseHeaders {
    /// Reads the binding's value: `*`, or lower-case header names separated by commas.
    pub fn parse(value: &str) -> Option<Self> {
        if value == "*" {
            return Some(Self::All);
        }
        let names = value.split(',').map(|name| name.trim_matches([' ', '\t']));
        names.map(|name| is_lower_case_name(name).then(|| name.to_owned())).collect::<Option<_>>().map(Self::Named)
    }
}

fn is_lower_case_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| super::is_token(byte) && !byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_means_all_and_a_list_names() {
        assert_eq!(ResponseHeaders::parse("*"), Some(ResponseHeaders::All));
        let named = ResponseHeaders::Named(vec!["etag".into(), "x-app".into()]);
        assert_eq!(ResponseHeaders::parse("etag, x-app"), Some(named));
    }

    #[test]
    fn what_is_no_list_of_lower_case_names_is_refused() {
        for value in ["", ",", "etag,", "ETag", "a b", "x-app,:status", "é"] {
            assert_eq!(ResponseHeaders::parse(value), None, "{value:?}");
        }
    }
}
