//! Where a Redis server is, as `redis_url` or a server of its cluster says.

use std::fmt;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Of a redirection's text, `host:port`; a server that does not say its host has that of `said_by`.
    pub(super) fn parse(text: &str, said_by: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self::of(host, port.parse().ok()?, said_by))
    }

    pub(super) fn of(host: &str, port: u16, said_by: &Self) -> Self {
        let host = if host.is_empty() || host == "?" { &said_by.host } else { host };
        Self { host: host.to_owned(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_name_hosts_addresses_or_only_a_port() {
        let asked = Address { host: "redis.internal".into(), port: 6379 };
        for (text, expected) in [
            ("10.0.0.2:7000", "10.0.0.2:7000"),
            ("node-2.internal:7000", "node-2.internal:7000"),
            ("fd00::2:7000", "fd00::2:7000"),
            (":7000", "redis.internal:7000"),
            ("?:7000", "redis.internal:7000"),
        ] {
            assert_eq!(Address::parse(text, &asked).unwrap().to_string(), expected);
        }
        assert_eq!(Address::parse("10.0.0.2", &asked), None);
        assert_eq!(Address::parse("10.0.0.2:x", &asked), None);
    }
}
