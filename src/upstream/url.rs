//! An upstream's origin, as configured.

use std::{fmt, str::FromStr};

use crate::host::{self, HostError};

/// An origin: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// Whether it is `https`.
    pub tls: bool,
    /// The host, in lower case and ASCII; an IPv6 literal has its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a text is not an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No scheme, or one that is not supported.
    #[error("does not begin with http:// or https://: write https://backend:8443")]
    Scheme,
    /// A user name, perhaps with a password.
    #[error(
        "has a user name, but credentials are not supported here: an upstream is scheme, host and port, as in https://backend:8443"
    )]
    User,
    /// More than `/` after the host.
    #[error("has a path: an upstream is an origin, and paths come from the requests")]
    Path,
    /// A `?`.
    #[error("has a query (?): an upstream is an origin, as in https://backend:8443")]
    Query,
    /// A `#`.
    #[error("has a fragment (#): an upstream is an origin, as in https://backend:8443")]
    Fragment,
    /// The host or port.
    #[error("{0}: write https://backend:8443")]
    Host(#[source] HostError),
}

impl FromStr for UpstreamUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(UrlError::Scheme),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        if !matches!(behind, "" | "/") {
            let path_end = behind.find(['?', '#']);
            return Err(match path_end.map(|at| behind.as_bytes()[at]) {
                Some(b'#') => UrlError::Fragment,
                Some(_) => UrlError::Query,
                None => UrlError::Path,
            });
        }
        let (mut host, port) = host::parse(authority).map_err(UrlError::Host)?;
        // A trailing dot is kept: it prevents resolvers from trying search domains.
        if authority.split(':').next().is_some_and(|name| name.ends_with('.')) {
            host.push('.');
        }
        Ok(Self { tls, host, port: port.unwrap_or(if tls { 443 } else { 80 }) })
    }
}

impl UpstreamUrl {
    /// Host and port as `Host` has them: the default port left out.
    pub fn authority(&self) -> String {
        let default = if self.tls { 443 } else { 80 };
        if self.port == default { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_an_origin() {
        let url: UpstreamUrl = "https://Backend.internal".parse().unwrap();
        assert_eq!((url.to_string().as_str(), url.port), ("https://backend.internal", 443));
        let url: UpstreamUrl = "http://127.0.0.1:9000/".parse().unwrap();
        assert_eq!(url.authority(), "127.0.0.1:9000");
        let url: UpstreamUrl = "HTTP://B\u{fc}cher.internal.:8080".parse().unwrap();
        assert_eq!(url.authority(), "xn--bcher-kva.internal.:8080");
    }

    #[test]
    fn texts_that_are_not_exactly_an_origin_are_refused_with_a_reason() {
        for (wrong, error) in [
            ("backend:80", UrlError::Scheme),
            ("ftp://a", UrlError::Scheme),
            ("http://a/path", UrlError::Path),
            ("http://a\\path", UrlError::Path),
            ("http://u:p@a", UrlError::User),
            ("http://a?q", UrlError::Query),
            ("http://a/?q#f", UrlError::Query),
            ("http://a#f", UrlError::Fragment),
            ("http://a/#f", UrlError::Fragment),
            ("http://a#/b@c", UrlError::Fragment),
            ("http://", UrlError::Host(HostError::NotHost)),
            ("http:// a", UrlError::Host(HostError::NotHost)),
            ("http://a b", UrlError::Host(HostError::NotHost)),
            ("http://a:99999", UrlError::Host(HostError::Port)),
            ("http://a:65536", UrlError::Host(HostError::Port)),
            ("http://a:0", UrlError::Host(HostError::Port)),
            ("http://a:", UrlError::Host(HostError::Port)),
            ("http://a:+80", UrlError::Host(HostError::Port)),
            ("http://[::1", UrlError::Host(HostError::Brackets)),
            ("http://256.1.1.1", UrlError::Host(HostError::Ipv4)),
        ] {
            assert_eq!(wrong.parse::<UpstreamUrl>(), Err(error), "{wrong}");
        }
    }
}
