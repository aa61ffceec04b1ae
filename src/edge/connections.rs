//! Limits connections, in total and by client network. Connections above the limit are closed before anything is read,
//! counted, and logged once a second at most.
//!
//! A client is identified by the remote address, or by the PROXY header. A trusted proxy that sends none is counted
//! in the total only: its clients cannot be distinguished before their requests.
//!
//! HTTP/2 carries many requests over one connection. The limit on connections also limits requests, so that the cost of
//! requests is bounded, whatever the version.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
use std::time::Instant;

use crate::{
    config::Limits,
    limits::{Counted, Tally},
    rate::Network,
};

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// All connections.
    All,
    /// Connections of one client network.
    Network,
}

impl Full {
    /// Its label.
    pub(super) fn cause(self) -> &'static str {
        match self {
            Self::All => "connection_limit",
            Self::Network => "network_limit",
        }
    }

    /// The setting of this limit.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::All => "limits.connections",
            Self::Network => "limits.connections_per_network",
        }
    }
}

/// The limit on requests in flight was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyRequests;

/// The connections of one relay.
#[derive(Debug)]
pub struct Connections {
    open: AtomicUsize,
    by_network: Arc<Tally<Network>>,
    /// Requests in flight by client network, of HTTP/2 only.
    requests_by_network: Arc<Tally<Network>>,
    /// The number of connections that the process has file descriptors for.
    descriptors: AtomicUsize,
    started: Instant,
    /// The second after which the last refusal was logged.
    logged: AtomicU64,
    unlogged: AtomicU64,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            open: AtomicUsize::new(0),
            by_network: Arc::default(),
            requests_by_network: Arc::default(),
            descriptors: AtomicUsize::new(usize::MAX),
            started: Instant::now(),
            logged: AtomicU64::new(0),
            unlogged: AtomicU64::new(0),
        }
    }
}

impl Connections {
    /// Sets how many connections the process has descriptors for.
    pub fn set_descriptor_limit(&self, limit: usize) {
        self.descriptors.store(limit, Ordering::Relaxed);
    }

    /// The limit on connections and on requests.
    fn max(&self, limits: &Limits) -> usize {
        limits.connections.min(self.descriptors.load(Ordering::Relaxed))
    }

    /// Counts an accepted connection; `None` if the limit is reached.
    pub(super) fn open(self: &Arc<Self>, limits: &Limits) -> Option<Slot> {
        let max = self.max(limits);
        let fits = |open: usize| (open < max).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Slot { connections: self.clone(), network: None })
    }

    /// Admits a request; `in_flight` is the number of requests in flight, including this one. A request over HTTP/2 is counted
    /// for its `network` until the returned guard is dropped; over HTTP/1.1, its connection is counted instead.
    ///
    /// # Errors
    /// [`TooManyRequests`].
    pub fn request(
        &self,
        network: Option<Network>,
        in_flight: usize,
        limits: &Limits,
    ) -> Result<Option<Counted<Network>>, TooManyRequests> {
        if in_flight > self.max(limits) {
            return Err(TooManyRequests);
        }
        let Some(network) = network else { return Ok(None) };
        let counted = self.requests_by_network.enter(network, limits.connections_per_network);
        counted.map(Some).ok_or(TooManyRequests)
    }

    /// Whether to log a refusal now, and how many were not logged before it.
    pub(super) fn log_refusal(&self) -> Option<u64> {
        let now = self.started.elapsed().as_secs() + 1;
        if self.logged.swap(now, Ordering::Relaxed) == now {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unlogged.swap(0, Ordering::Relaxed))
    }
}

/// One connection, counted until this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    network: Option<Counted<Network>>,
}

impl Slot {
    /// Counts it for its client's network as well; `false` if the network's limit is reached.
    #[must_use]
    pub(super) fn enter(&mut self, network: Network, limits: &Limits) -> bool {
        self.network = self.connections.by_network.enter(network, limits.connections_per_network);
        self.network.is_some()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_logged_once_a_second() {
        let connections = Connections::default();
        let logged: Vec<_> = (0..10_000).filter_map(|_| connections.log_refusal()).collect();
        assert!((1..100).contains(&logged.len()), "{logged:?}");
        assert_eq!(logged[0], 0);
    }
}
