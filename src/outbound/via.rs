//! How a loop is found: every outbound request has an entry in `via` (RFC 9110, section 7.6.3), and one that comes back
//! with it is refused (RFC 8586 tells what happens otherwise).
//!
//! The entry's name is derived from the tenant's `client_id_secret`, so that all replicas of a deployment have the same, no
//! one else has it, and it says nothing about the relay.

use mte_protocol::client_id::ClientIdSecret;

/// What the name is derived for.
const PURPOSE: &str = "outbound via";

/// A tenant's name in `via`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    own: String,
    /// The name under the secret before, while a rotation is under way.
    previous: Option<String>,
}

impl Via {
    /// The name of a tenant with these secrets.
    pub fn new(tenant: &str, current: &ClientIdSecret, previous: Option<&ClientIdSecret>) -> Self {
        let tenant = tenant.to_ascii_lowercase();
        let name = |secret: &ClientIdSecret| format!("mte-{}", secret.public_name(PURPOSE, &tenant));
        Self { own: name(current), previous: previous.map(name) }
    }

    /// The entry of a request that came over this version of HTTP: `1.1` or `2`.
    pub fn entry(&self, version: &str) -> String {
        format!("{version} {}", self.own)
    }

    /// Whether a value of `via` has an entry of this tenant.
    pub fn is_in(&self, value: &[u8]) -> bool {
        let names = value.split(|byte| *byte == b',').filter_map(|entry| {
            entry.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).nth(1)
        });
        let ours = |name: &[u8]| {
            let is = |own: &String| name.eq_ignore_ascii_case(own.as_bytes());
            is(&self.own) || self.previous.as_ref().is_some_and(is)
        };
        names.into_iter().any(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> ClientIdSecret {
        ClientIdSecret::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn replicas_have_the_same_name_and_other_tenants_and_secrets_another() {
        let via = Via::new("a.test", &secret("one"), None);
        assert_eq!(via, Via::new("A.test", &secret("one"), None));
        for other in [Via::new("b.test", &secret("one"), None), Via::new("a.test", &secret("two"), None)] {
            assert!(!via.is_in(other.entry("1.1").as_bytes()));
        }
        let rotated = Via::new("a.test", &secret("two"), Some(&secret("one")));
        assert!(rotated.is_in(via.entry("1.1").as_bytes()));
        assert!(rotated.is_in(rotated.entry("2").as_bytes()));
    }

    #[test]
    fn an_entry_is_found_among_others() {
        let via = Via::new("a.test", &secret("one"), None);
        let name = via.entry("1.1").split_off(4);
        for value in [
            format!("1.1 {name}"),
            format!("HTTP/2 {name} (a comment)"),
            format!("1.0 fred, 1.1\t{name},1.1 other"),
            format!("2 {}", name.to_uppercase()),
        ] {
            assert!(via.is_in(value.as_bytes()), "{value}");
        }
        for value in [
            String::new(),
            "1.1 fred".into(),
            name.clone(),
            format!("1.1 x{name}"),
            format!("1.1 a ({name})"),
        ] {
            assert!(!via.is_in(value.as_bytes()), "{value}");
        }
    }
}
