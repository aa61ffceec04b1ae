//! Which peers are trusted to send the client's address: the same for PROXY headers and for `x-forwarded-*`.

use std::net::IpAddr;

use ipnet::IpNet;

/// The networks of the trusted proxies. Empty: no address is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Whether this address is trusted.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether no address is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().map(|network| network.trunc()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_trusts_no_address() {
        let none = TrustedProxies::default();
        for address in ["127.0.0.1", "::1", "10.0.0.1", "::ffff:127.0.0.1"] {
            assert!(!none.trusts(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_ipv4_address_is_the_same_over_an_ipv6_socket() {
        let proxies: TrustedProxies = ["10.0.0.7/8".parse().unwrap()].into_iter().collect();
        assert!(proxies.trusts("10.1.2.3".parse().unwrap()));
        assert!(proxies.trusts("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!proxies.trusts("11.0.0.1".parse().unwrap()));
    }
}
