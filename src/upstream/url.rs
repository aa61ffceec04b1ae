//! An upstream's origin, as it is written.

use std::{fmt, str::FromStr};

/// An origin: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// Whether it is `https`.
    pub tls: bool,
    /// The host, in lower case; an IPv6 literal has its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl FromStr for UpstreamUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: http::Uri = text
            .parse()
            .map_err(|error| format!("{text:?} is not a URL ({error}): write https://backend:8443"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("{text:?} does not begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| format!("{text:?} has no host"))?;
        if authority.as_str().contains('@') {
            return Err(format!("{text:?} has a user name: an upstream is scheme, host and port"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(format!(
                "{text:?} has a path: an upstream is an origin, paths come from the requests"
            ));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host: authority.host().to_ascii_lowercase(), port })
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
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused_with_a_reason() {
        for (wrong, word) in [
            ("backend:80", "http://"),
            ("ftp://a", "http://"),
            ("http://a/path", "path"),
            ("http://u:p@a", "user name"),
            ("http://a?q", "path"),
        ] {
            let error = wrong.parse::<UpstreamUrl>().unwrap_err();
            assert!(error.contains(word), "{wrong}: {error}");
        }
    }
}
