//! Where a tenant's requests go: the origin, its addresses as they resolve now, and how to connect to it.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use pingora_core::{
    protocols::ALPN,
    upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions},
    utils::tls::{WrappedX509, parse_x509},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::config::Timeouts;

/// An origin: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    tls: bool,
    host: String,
    port: u16,
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
            return Err(format!("{text:?} has a user name: send credentials with `headers` instead"));
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
    fn authority(&self) -> String {
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

/// How to connect to an upstream.
#[derive(Debug)]
pub struct UpstreamOptions {
    /// The tenant, so that no two tenants share a connection.
    pub tenant: String,
    /// Whether certificate and name are verified.
    pub verify: bool,
    /// The authorities to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The name to ask for and verify instead of the host.
    pub sni: Option<String>,
    /// Names are resolved again after this time.
    pub dns_refresh: Duration,
    /// Time limits.
    pub timeouts: Timeouts,
}

/// An upstream that cannot be reached because its name does not resolve.
#[derive(Debug, thiserror::Error)]
#[error("{host} does not resolve: {error}")]
pub struct ResolveError {
    host: String,
    error: std::io::Error,
}

/// A tenant's upstream.
pub struct Upstream {
    url: UpstreamUrl,
    /// The upstream's own `Host`.
    pub host: HeaderValue,
    /// `scheme://authority`, as it stands at the start of a `location` that points here.
    pub origin: String,
    sni: String,
    group_key: u64,
    options: PeerOptions,
    dns_refresh: Duration,
    resolved: Arc<ArcSwapOption<Resolved>>,
    resolving: Arc<AtomicBool>,
    next: AtomicUsize,
}

struct Resolved {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.origin).finish()
    }
}

impl Upstream {
    /// An upstream; nothing is resolved or connected yet.
    ///
    /// # Errors
    /// A certificate authority that is no PEM certificate, or a host that cannot stand in `Host`.
    pub fn new(url: UpstreamUrl, options: UpstreamOptions) -> Result<Self, String> {
        let host = HeaderValue::from_str(&url.authority()).map_err(|error| error.to_string())?;
        let sni = options.sni.clone().unwrap_or_else(|| url.host.clone());

        // Pingora's pool tells peers apart by address, name and this key, but not by authority or tenant.
        let mut hasher = DefaultHasher::new();
        (&options.tenant, options.verify, &options.ca_pem, &sni).hash(&mut hasher);
        let group_key = hasher.finish();

        let mut peer = PeerOptions::new();
        peer.alpn = ALPN::H1;
        peer.verify_cert = options.verify;
        peer.verify_hostname = options.verify;
        peer.connection_timeout = Some(options.timeouts.connect);
        peer.total_connection_timeout = Some(options.timeouts.connect);
        peer.read_timeout = Some(options.timeouts.read);
        peer.write_timeout = Some(options.timeouts.write);
        peer.idle_timeout = Some(options.timeouts.idle);
        if let Some(pem) = &options.ca_pem {
            let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
                .map(|der| der.map(|der| WrappedX509::new(der.to_vec(), parse_x509)))
                .collect::<Result<_, _>>()
                .map_err(|error| format!("ca_file is not PEM: {error}"))?;
            if certificates.is_empty() {
                return Err("ca_file holds no certificate".into());
            }
            peer.ca = Some(Arc::from(certificates));
        }
        let origin = url.to_string();
        Ok(Self {
            url,
            host,
            origin,
            sni,
            group_key,
            options: peer,
            dns_refresh: options.dns_refresh,
            resolved: Arc::default(),
            resolving: Arc::default(),
            next: AtomicUsize::new(0),
        })
    }

    /// The peer for one request: addresses are used in turn.
    ///
    /// # Errors
    /// [`ResolveError`] if the name does not resolve and never did.
    pub async fn peer(&self, upgrades: bool) -> Result<Box<HttpPeer>, ResolveError> {
        let address = self.address().await?;
        let mut peer = HttpPeer::new(address, self.url.tls, self.sni.clone());
        peer.group_key = self.group_key;
        peer.options = self.options.clone();
        if !upgrades {
            peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        }
        Ok(Box::new(peer))
    }

    async fn address(&self) -> Result<SocketAddr, ResolveError> {
        if let Some(resolved) = self.resolved.load().as_ref() {
            if resolved.at.elapsed() > self.dns_refresh && !self.resolving.swap(true, Ordering::Relaxed) {
                self.refresh();
            }
            return Ok(self.pick(resolved));
        }
        let resolved = Arc::new(resolve(&self.url).await?);
        let address = self.pick(&resolved);
        self.resolved.store(Some(resolved));
        Ok(address)
    }

    fn pick(&self, resolved: &Resolved) -> SocketAddr {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % resolved.addresses.len();
        resolved.addresses[index]
    }

    /// Resolves again while requests go on with what is known; a failure keeps the old addresses.
    fn refresh(&self) {
        let (url, resolved, resolving) = (self.url.clone(), self.resolved.clone(), self.resolving.clone());
        tokio::spawn(async move {
            match resolve(&url).await {
                Ok(fresh) => resolved.store(Some(Arc::new(fresh))),
                Err(error) => log::warn!("{error}; the addresses known so far stay in use"),
            }
            resolving.store(false, Ordering::Relaxed);
        });
    }
}

async fn resolve(url: &UpstreamUrl) -> Result<Resolved, ResolveError> {
    let host = url.host.trim_start_matches('[').trim_end_matches(']');
    let failed = |error| ResolveError { host: url.host.clone(), error };
    let addresses: Vec<_> = tokio::net::lookup_host((host, url.port)).await.map_err(failed)?.collect();
    if addresses.is_empty() {
        return Err(failed(std::io::Error::other("it has no address")));
    }
    Ok(Resolved { addresses, at: Instant::now() })
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
