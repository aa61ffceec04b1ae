//! Resolves names to addresses. It caches nothing: [`super::PeerState`] keeps the results.

use std::{fmt, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use super::UpstreamUrl;

/// The result of a lookup.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Resolves the addresses of a host and port. The default is the system: hosts file and DNS.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Fn(String, u16) -> Lookup + Send + Sync>);

impl Default for Resolver {
    fn default() -> Self {
        Self::new(|host, port| {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver other than the system's.
    pub fn new(lookup: impl Fn(String, u16) -> Lookup + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// Looks a host up, once: a name, or an address without brackets. No address comes twice.
    pub fn lookup(&self, host: String, port: u16) -> Lookup {
        let found = (self.0)(host, port);
        Box::pin(async move {
            let mut addresses = Vec::new();
            for address in found.await? {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            Ok(addresses)
        })
    }

    /// The addresses of an origin: at least one, without duplicates.
    ///
    /// # Errors
    /// [`ResolveError`] if there is no answer within `limit`, or none with an address.
    pub(super) async fn resolve(
        &self,
        url: &UpstreamUrl,
        limit: Duration,
    ) -> Result<Vec<SocketAddr>, ResolveError> {
        let failed = |error| ResolveError { host: url.host.clone(), error: Arc::new(error) };
        let late = |_| failed(io::Error::other(format!("no answer within {limit:?}")));
        let lookup = self.lookup(url.host.clone(), url.port);
        let addresses = tokio::time::timeout(limit, lookup).await.map_err(late)?.map_err(failed)?;
        if addresses.is_empty() {
            return Err(failed(io::Error::other("it has no address")));
        }
        Ok(addresses)
    }
}

/// A name that does not resolve.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{host} does not resolve: {error}")]
pub struct ResolveError {
    host: String,
    error: Arc<io::Error>,
}
