//! Which peers a tenant's outbound requests may go to.
//!
//! An entry of `outbound_peers` is an origin, an origin whose first label is a star, or a network. A peer must be admitted
//! by an entry, and then each of its addresses is checked: what is [`Kind::Forbidden`] and this relay's own listeners are
//! refused always, what is [`Kind::Private`] unless a network of the list has it. Without a list, every `https` peer with
//! public addresses is admitted.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    str::FromStr,
};

use ipnet::IpNet;

use super::address::{Kind, kind, unmapped};
use crate::upstream::{UpstreamUrl, UrlError};

/// An entry of `outbound_peers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerPattern {
    /// `https://relay.example:8443`.
    Origin(UpstreamUrl),
    /// `https://*.example`: one label in place of the star. Holds the origin without the star and its dot.
    Wildcard(UpstreamUrl),
    /// `10.0.0.0/8`: every peer all of whose addresses are in it.
    Network(IpNet),
}

/// Why a text is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Neither a URL nor a network.
    #[error(
        "is no origin, as in https://relay.example or https://*.example, and no network, as in 10.0.0.0/8"
    )]
    Unknown,
    /// An origin that is none.
    #[error("{0}")]
    Origin(#[from] UrlError),
    /// A star anywhere but in place of the first label of a name.
    #[error(
        "has a star in the wrong place: it stands for the first label of a name, as in https://*.example"
    )]
    Star,
    /// IPv4 written as IPv6.
    #[error("is an IPv4 network written as IPv6: write it as IPv4")]
    Mapped,
    /// A network of addresses that are always refused.
    #[error(
        "is a network of addresses that are never connected to (unspecified, link-local, multicast): leave it out"
    )]
    Forbidden,
}

impl FromStr for PeerPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if !text.contains("://") {
            let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            return Self::network(network.map_err(|_| PatternError::Unknown)?);
        }
        if !text.contains('*') {
            return Ok(Self::Origin(bare(text.parse()?)));
        }
        let plain = text.replacen("://*.", "://", 1);
        if plain.contains('*') {
            return Err(PatternError::Star);
        }
        let origin = bare(plain.parse()?);
        let is_address = origin.host.starts_with('[') || origin.host.parse::<IpAddr>().is_ok();
        if is_address { Err(PatternError::Star) } else { Ok(Self::Wildcard(origin)) }
    }
}

impl PeerPattern {
    fn network(network: IpNet) -> Result<Self, PatternError> {
        let network = network.trunc();
        let base = network.addr();
        if unmapped(base) != base {
            return Err(PatternError::Mapped);
        }
        // A wider network may hold others beside them: those are refused one by one.
        let last = network.broadcast();
        let inside = kind(base) == Kind::Forbidden && kind(last) == Kind::Forbidden;
        if inside && network.prefix_len() > 1 {
            Err(PatternError::Forbidden)
        } else {
            Ok(Self::Network(network))
        }
    }

    fn admits(&self, peer: &UpstreamUrl) -> bool {
        match self {
            Self::Origin(origin) => origin == peer,
            Self::Wildcard(origin) => {
                let label =
                    peer.host.strip_suffix(origin.host.as_str()).and_then(|rest| rest.strip_suffix('.'));
                (origin.tls, origin.port) == (peer.tls, peer.port)
                    && label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
            Self::Network(_) => false,
        }
    }
}

/// An origin without the dot that may stand at the end of a name: the name is the same in TLS and to other relays.
fn bare(mut origin: UpstreamUrl) -> UpstreamUrl {
    if origin.host.ends_with('.') {
        origin.host.pop();
    }
    origin
}

/// Why a peer is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No entry admits it.
    #[error("no entry of outbound_peers admits it")]
    NotListed,
    /// It is not TLS.
    #[error(
        "http:// is for peers that an entry of outbound_peers names with http://, and for loopback and private addresses in a network of the list"
    )]
    Plain,
    /// A private address that no network of the list has.
    #[error("{0} is not a public address: an entry of outbound_peers must name its network")]
    Private(IpAddr),
    /// An address that is always refused.
    #[error(
        "{0} is never connected to: it is unspecified, link-local, multicast or a cloud's metadata service"
    )]
    Forbidden(IpAddr),
    /// The relay's own listener.
    #[error("{0} is a listener of this relay")]
    Own(SocketAddr),
}

/// The peers of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerRules {
    patterns: Vec<PeerPattern>,
    /// Listeners of this relay.
    own: Vec<SocketAddr>,
}

impl PeerRules {
    /// The peers that these entries admit; every public one without an entry. `own` are this relay's listeners.
    pub fn new(patterns: Vec<PeerPattern>, own: Vec<SocketAddr>) -> Self {
        Self { patterns, own }
    }

    /// The peer that a request names.
    ///
    /// # Errors
    /// Why the text is no origin.
    pub fn peer(text: &str) -> Result<UpstreamUrl, UrlError> {
        text.parse().map(bare)
    }

    /// Checks what is known of a peer before its name is resolved.
    ///
    /// # Errors
    /// Why no address of it would be allowed.
    pub fn check_origin(&self, peer: &UpstreamUrl) -> Result<(), Refused> {
        let by_network = self.patterns.iter().any(|pattern| matches!(pattern, PeerPattern::Network(_)));
        match (self.is_named(peer), self.patterns.is_empty()) {
            (true, _) => Ok(()),
            (false, true) if peer.tls => Ok(()),
            (false, true) => Err(Refused::Plain),
            (false, false) if by_network => Ok(()),
            (false, false) => Err(Refused::NotListed),
        }
    }

    /// Checks every address that a peer has.
    ///
    /// # Errors
    /// The first that is not allowed: then none is.
    pub fn check_addresses(&self, peer: &UpstreamUrl, addresses: &[SocketAddr]) -> Result<(), Refused> {
        let named = self.is_named(peer);
        addresses.iter().try_for_each(|address| self.check_address(peer, named, *address))
    }

    fn check_address(&self, peer: &UpstreamUrl, named: bool, address: SocketAddr) -> Result<(), Refused> {
        let ip = address.ip();
        let (bare, kind) = (unmapped(ip), kind(ip));
        if kind == Kind::Forbidden {
            return Err(Refused::Forbidden(ip));
        }
        if self.is_own(SocketAddr::new(bare, address.port())) {
            return Err(Refused::Own(address));
        }
        let in_network = self.patterns.iter().any(|pattern| match pattern {
            PeerPattern::Network(network) => network.contains(&bare),
            _ => false,
        });
        let private = kind == Kind::Private;
        if private && !in_network {
            return Err(Refused::Private(ip));
        }
        if !(named || in_network || self.patterns.is_empty()) {
            return Err(Refused::NotListed);
        }
        if !(peer.tls || named || in_network && private) {
            return Err(Refused::Plain);
        }
        Ok(())
    }

    fn is_named(&self, peer: &UpstreamUrl) -> bool {
        self.patterns.iter().any(|pattern| pattern.admits(peer))
    }

    /// Whether this relay listens at an address.
    fn is_own(&self, address: SocketAddr) -> bool {
        self.own.iter().any(|own| {
            own.port() == address.port()
                && (unmapped(own.ip()) == address.ip() || own.ip().is_unspecified() && is_local(address.ip()))
        })
    }
}

/// Whether an address is this machine's: only then can a socket be bound to it.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(entries: &[&str]) -> PeerRules {
        let patterns = entries.iter().map(|entry| entry.parse().unwrap()).collect();
        PeerRules::new(patterns, vec!["127.0.0.1:8080".parse().unwrap(), "0.0.0.0:9443".parse().unwrap()])
    }

    fn verdict(rules: &PeerRules, peer: &str, addresses: &[&str]) -> Result<(), Refused> {
        let peer = PeerRules::peer(peer).unwrap();
        let addresses: Vec<_> =
            addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), peer.port)).collect();
        rules.check_origin(&peer).and_then(|()| rules.check_addresses(&peer, &addresses))
    }

    #[test]
    fn entries_are_origins_wildcards_and_networks() {
        for (text, error) in [
            ("relay.example", PatternError::Unknown),
            ("*.example", PatternError::Unknown),
            ("10.0.0.0/33", PatternError::Unknown),
            ("https://a.*.example", PatternError::Star),
            ("https://*example", PatternError::Star),
            ("https://*.*.example", PatternError::Star),
            ("https://*", PatternError::Star),
            ("https://*.10.0.0.1", PatternError::Star),
            ("https://*.[::1]", PatternError::Star),
            ("ftp://relay.example", PatternError::Origin(UrlError::Scheme)),
            ("https://relay.example/path", PatternError::Origin(UrlError::Path)),
            ("https://user@relay.example", PatternError::Origin(UrlError::User)),
            ("::ffff:10.0.0.0/104", PatternError::Mapped),
            ("64:ff9b::a00:0/104", PatternError::Mapped),
            ("169.254.0.0/16", PatternError::Forbidden),
            ("224.0.0.0/4", PatternError::Forbidden),
            ("fe80::/10", PatternError::Forbidden),
            ("fd00:ec2::254", PatternError::Forbidden),
        ] {
            assert_eq!(text.parse::<PeerPattern>(), Err(error), "{text}");
        }
        for text in
            ["https://*.example:8443", "HTTPS://Relay.Example.", "10.1.2.3/8", "::1", "0.0.0.0/0", "::/0"]
        {
            assert!(text.parse::<PeerPattern>().is_ok(), "{text}");
        }
    }

    #[test]
    fn without_a_list_https_peers_with_public_addresses_are_admitted() {
        let rules = rules(&[]);
        assert_eq!(verdict(&rules, "https://relay.example", &["1.1.1.1", "2606:4700::1"]), Ok(()));
        assert_eq!(verdict(&rules, "http://relay.example", &["1.1.1.1"]), Err(Refused::Plain));
        for bad in
            ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"]
        {
            let refused = Err(Refused::Private(bad.parse().unwrap()));
            assert_eq!(verdict(&rules, "https://relay.example", &["1.1.1.1", bad]), refused, "{bad}");
        }
        for bad in [
            "169.254.169.254",
            "0.0.0.0",
            "::",
            "fe80::1",
            "224.0.0.1",
            "fd00:ec2::254",
            "64:ff9b::a9fe:a9fe",
        ] {
            let refused = Err(Refused::Forbidden(bad.parse().unwrap()));
            assert_eq!(verdict(&rules, "https://relay.example", &[bad]), refused, "{bad}");
        }
    }

    #[test]
    fn an_origin_of_the_list_is_exact_and_a_star_is_one_label() {
        let rules =
            rules(&["https://relay.example", "https://*.partner.example:8443", "http://plain.example"]);
        for good in [
            "https://relay.example",
            "https://RELAY.example.:443",
            "https://a.partner.example:8443",
            "http://plain.example",
        ] {
            assert_eq!(verdict(&rules, good, &["1.1.1.1"]), Ok(()), "{good}");
        }
        for bad in [
            "https://other.example",
            "https://relay.example:8443",
            "http://relay.example",
            "https://a.relay.example",
            "https://partner.example:8443",
            "https://a.b.partner.example:8443",
            "https://a.partner.example",
            "https://apartner.example:8443",
            "https://plain.example",
        ] {
            assert_eq!(verdict(&rules, bad, &["1.1.1.1"]), Err(Refused::NotListed), "{bad}");
        }
        let private = Err(Refused::Private("10.0.0.1".parse().unwrap()));
        assert_eq!(verdict(&rules, "https://relay.example", &["1.1.1.1", "10.0.0.1"]), private);
    }

    #[test]
    fn a_network_of_the_list_admits_peers_by_their_addresses() {
        let rules = rules(&["10.0.0.0/8", "1.1.1.0/24", "https://relay.example", "127.0.0.1"]);
        for good in ["https://any.example:444", "http://any.example", "https://10.0.0.1"] {
            assert_eq!(
                verdict(&rules, good, &["10.0.0.1", "::ffff:10.2.0.1", "2002:a00:1::"]),
                Ok(()),
                "{good}"
            );
        }
        assert_eq!(verdict(&rules, "https://any.example", &["1.1.1.1"]), Ok(()));
        assert_eq!(verdict(&rules, "http://any.example", &["1.1.1.1"]), Err(Refused::Plain));
        assert_eq!(verdict(&rules, "https://any.example", &["10.0.0.1", "8.8.8.8"]), Err(Refused::NotListed));
        assert_eq!(verdict(&rules, "https://relay.example", &["10.0.0.1", "8.8.8.8"]), Ok(()));
        let private = Err(Refused::Private("192.168.0.1".parse().unwrap()));
        assert_eq!(verdict(&rules, "https://relay.example", &["192.168.0.1"]), private);
    }

    #[test]
    fn the_relay_itself_is_refused_whatever_the_list_says() {
        let rules = rules(&["0.0.0.0/0", "::/0", "http://127.0.0.1:8080"]);
        for own in ["http://127.0.0.1:8080", "http://127.0.0.1:9443"] {
            let ip = "127.0.0.1";
            assert!(matches!(verdict(&rules, own, &[ip]), Err(Refused::Own(_))), "{own}");
            assert!(matches!(verdict(&rules, own, &["::ffff:127.0.0.1"]), Err(Refused::Own(_))), "{own}");
        }
        assert_eq!(verdict(&rules, "http://127.0.0.1:8081", &["127.0.0.1"]), Ok(()));
        let forbidden = Err(Refused::Forbidden("169.254.1.1".parse().unwrap()));
        assert_eq!(verdict(&rules, "https://a.example", &["169.254.1.1"]), forbidden);
    }
}
