//! Names to addresses: asynchronously, and again from time to time while requests go on with what is known.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;

use super::UpstreamUrl;

/// A name that does not resolve.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{host} does not resolve: {error}")]
pub struct ResolveError {
    host: String,
    error: Arc<std::io::Error>,
}

impl ResolveError {
    fn new(url: &UpstreamUrl, error: std::io::Error) -> Self {
        Self { host: url.host.clone(), error: Arc::new(error) }
    }
}

/// The addresses of one origin.
#[derive(Debug)]
pub struct Addresses {
    url: UpstreamUrl,
    known: Arc<ArcSwapOption<Resolved>>,
    resolving: Arc<AtomicBool>,
    /// Of the requests that come before anything is known, one asks and the others wait for it.
    first: tokio::sync::Mutex<()>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Resolved {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl Addresses {
    /// Nothing is resolved yet.
    pub fn new(url: UpstreamUrl) -> Self {
        Self {
            url,
            known: Arc::default(),
            resolving: Arc::default(),
            first: tokio::sync::Mutex::default(),
            next: AtomicUsize::new(0),
        }
    }

    /// The next address, in turn. What is older than `refresh` is resolved again in the background.
    ///
    /// # Errors
    /// [`ResolveError`] if the name does not resolve within `limit` and never did.
    pub async fn next(&self, refresh: Duration, limit: Duration) -> Result<SocketAddr, ResolveError> {
        if let Some(resolved) = self.known.load().as_ref() {
            if resolved.at.elapsed() > refresh && !self.resolving.swap(true, Ordering::Relaxed) {
                self.refresh();
            }
            return Ok(self.pick(resolved));
        }
        let late =
            |_| ResolveError::new(&self.url, std::io::Error::other(format!("no answer within {limit:?}")));
        let resolved = tokio::time::timeout(limit, self.first()).await.map_err(late)??;
        Ok(self.pick(&resolved))
    }

    async fn first(&self) -> Result<Arc<Resolved>, ResolveError> {
        let _asking = self.first.lock().await;
        if let Some(resolved) = self.known.load_full() {
            return Ok(resolved);
        }
        let resolved = Arc::new(resolve(&self.url).await?);
        self.known.store(Some(resolved.clone()));
        Ok(resolved)
    }

    fn pick(&self, resolved: &Resolved) -> SocketAddr {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % resolved.addresses.len();
        resolved.addresses[index]
    }

    fn refresh(&self) {
        let (url, known, resolving) = (self.url.clone(), self.known.clone(), self.resolving.clone());
        tokio::spawn(async move {
            match resolve(&url).await {
                Ok(fresh) => known.store(Some(Arc::new(fresh))),
                Err(error) => {
                    log::warn!("{error}; the addresses known so far stay in use");
                    // Until it is time to ask again.
                    known.rcu(|old| {
                        let addresses = old.as_ref()?.addresses.clone();
                        Some(Arc::new(Resolved { addresses, at: Instant::now() }))
                    });
                }
            }
            resolving.store(false, Ordering::Relaxed);
        });
    }
}

async fn resolve(url: &UpstreamUrl) -> Result<Resolved, ResolveError> {
    let host = url.host.trim_start_matches('[').trim_end_matches(']');
    let failed = |error| ResolveError::new(url, error);
    let addresses: Vec<_> = tokio::net::lookup_host((host, url.port)).await.map_err(failed)?.collect();
    if addresses.is_empty() {
        return Err(failed(std::io::Error::other("it has no address")));
    }
    Ok(Resolved { addresses, at: Instant::now() })
}
