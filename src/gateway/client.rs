//! Who the client is, seen through the proxies in front.
//!
//! The connection's remote address is trusted first (or its PROXY header, see `edge`); only if that is a trusted
//! proxy is its `x-forwarded-for` used, and so on along the chain, from right to left.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_proxy::Session;

use crate::{telemetry::RequestId, trusted::TrustedProxies};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client of a request.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Its address.
    pub address: Option<IpAddr>,
    /// Whether it came over TLS, to the relay or to the first proxy.
    pub tls: bool,
    /// Whether the connection's peer is a trusted proxy.
    pub behind_trusted: bool,
    /// The chain to send upstream as `x-forwarded-for`.
    pub forwarded_for: Option<HeaderValue>,
}

impl Client {
    /// The client of a request that came over this session.
    pub fn of(session: &Session, trusted: &TrustedProxies) -> Self {
        let downstream = session.as_downstream();
        let other_end = crate::edge::connection(session).and_then(|connection| connection.client.as_ref());
        let tls = downstream.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        Self::seen(other_end, tls, &downstream.req_header().headers, trusted)
    }

    /// `other_end` is the connection's remote address, also as a header value.
    fn seen(
        other_end: Option<&(IpAddr, HeaderValue)>,
        tls: bool,
        headers: &HeaderMap,
        trusted: &TrustedProxies,
    ) -> Self {
        let Some((address, text)) = other_end else { return Self { tls, ..Self::default() } };
        let address = *address;
        if !trusted.trusts(address) {
            let forwarded_for = Some(text.clone());
            return Self { address: Some(address), tls, behind_trusted: false, forwarded_for };
        }
        let mut chain = String::new();
        for value in &headers.get_all(&X_FORWARDED_FOR) {
            // Bytes that are not text make only their own entry unreadable.
            chain.push_str(&String::from_utf8_lossy(value.as_bytes()));
            chain.push_str(", ");
        }
        let mut client = address;
        for hop in chain.rsplit(',').map(str::trim).filter(|hop| !hop.is_empty()) {
            // An entry that cannot be parsed was not written by a trusted proxy.
            let Some(hop) = parse(hop) else { break };
            client = hop;
            if !trusted.trusts(hop) {
                break;
            }
        }
        let proto = headers.get(&X_FORWARDED_PROTO).map(|value| value.as_bytes());
        let tls = match proto {
            Some(proto) if proto.eq_ignore_ascii_case(b"https") => true,
            Some(proto) if proto.eq_ignore_ascii_case(b"http") => false,
            _ => tls,
        };
        chain.push_str(&address.to_string());
        let forwarded_for = HeaderValue::from_str(&chain).ok();
        Self { address: Some(client), tls, behind_trusted: true, forwarded_for }
    }

    /// Its address as text.
    pub fn address_text(&self) -> Option<Cow<'_, str>> {
        match &self.forwarded_for {
            Some(alone) if !self.behind_trusted => alone.to_str().ok().map(Cow::Borrowed),
            _ => self.address.map(|address| address.to_string().into()),
        }
    }

    /// `https` or `http`, as the client saw it.
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The request's id: a trusted proxy's, or a fresh one.
    pub fn request_id(&self, headers: &HeaderMap) -> RequestId {
        let theirs = if self.behind_trusted { RequestId::of_trusted(headers) } else { None };
        theirs.unwrap_or_else(RequestId::fresh)
    }
}

/// An entry of `x-forwarded-for`: an address, perhaps with a port, an IPv6 literal perhaps in brackets.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.split(']').next());
    bare.unwrap_or(hop).parse().ok().or_else(|| Some(hop.parse::<std::net::SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(other_end: &str, headers: &[(&str, &str)], trusted: &[&str]) -> Client {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
        Client::seen(Some(&other_end_of(other_end)), false, &map, &trusted)
    }

    fn other_end_of(address: &str) -> (IpAddr, HeaderValue) {
        (address.parse().unwrap(), address.parse().unwrap())
    }

    #[test]
    fn an_untrusted_proxy_is_not_believed() {
        let client = seen(
            "192.0.2.1",
            &[("x-forwarded-for", "8.8.8.8"), ("x-forwarded-proto", "https")],
            &["10.0.0.0/8"],
        );
        assert_eq!(client.address, Some("192.0.2.1".parse().unwrap()));
        assert_eq!((client.forwarded_for, client.tls), (Some("192.0.2.1".parse().unwrap()), false));
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed_to_the_first_untrusted_address() {
        let headers = [
            ("x-forwarded-for", "1.1.1.1, 203.0.113.7"),
            ("x-forwarded-for", "10.0.0.9:4711"),
            ("x-forwarded-proto", "HTTPS"),
        ];
        let client = seen("10.0.0.1", &headers, &["10.0.0.0/8"]);
        assert_eq!(client.address, Some("203.0.113.7".parse().unwrap()));
        assert!(client.tls && client.behind_trusted);
        let chain = "1.1.1.1, 203.0.113.7, 10.0.0.9:4711, 10.0.0.1";
        assert_eq!(client.forwarded_for, Some(chain.parse().unwrap()));
    }

    #[test]
    fn an_unreadable_entry_ends_the_chain() {
        let client =
            seen("10.0.0.1", &[("x-forwarded-for", "203.0.113.7, unknown, 10.0.0.2")], &["10.0.0.0/8"]);
        assert_eq!(client.address, Some("10.0.0.2".parse().unwrap()));
        assert_eq!(seen("10.0.0.1", &[], &["10.0.0.0/8"]).address, Some("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        for text in ["::1", "[::1]", "[::1]:80"] {
            assert_eq!(parse(text), Some("::1".parse().unwrap()), "{text}");
        }
        assert_eq!(
            seen("::ffff:10.0.0.1", &[("x-forwarded-for", "8.8.8.8")], &["10.0.0.0/8"]).address,
            Some("8.8.8.8".parse().unwrap())
        );
    }

    #[test]
    fn an_entry_that_is_no_text_does_not_hide_its_neighbours() {
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR.clone(), HeaderValue::from_bytes(b"\xff, 203.0.113.7").unwrap());
        let trusted = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
        let client = Client::seen(Some(&other_end_of("10.0.0.1")), false, &headers, &trusted);
        assert_eq!(client.address, "203.0.113.7".parse().ok());
    }
}
