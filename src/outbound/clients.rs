//! The clients of a tenant's peers. Each is made on first use, and has its own connections, client id and pairs. Their
//! number is bounded, since requests name the peers: the one that was not used for the longest time goes first.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use mte_client::{BoxError, CertificateDer, RelayClient, Resolve, Resolving};
use parking_lot::Mutex;

use super::peers::{PeerRules, Refused};
use crate::upstream::{Resolver, UpstreamUrl};

/// A client that is not used for this time is dropped.
const IDLE: Duration = Duration::from_secs(600);

/// How the clients of a tenant are made.
pub struct ClientOptions {
    /// Which peers there may be.
    pub rules: Arc<PeerRules>,
    /// How many pairs each makes at a time.
    pub pairs: usize,
    /// Trusted instead of the public authorities, if there are any.
    pub roots: Vec<CertificateDer<'static>>,
    /// The time limit for connecting; a pairing may take twice that.
    pub connect: Duration,
    /// Resolves names.
    pub resolver: Resolver,
    /// How many clients are kept.
    pub capacity: usize,
}

/// Why there is no client for a peer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PeerError {
    /// The peer is not allowed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] mte_client::Error),
}

/// The clients of a tenant's peers.
pub struct Clients {
    options: ClientOptions,
    kept: Mutex<HashMap<String, Kept>>,
}

struct Kept {
    client: RelayClient,
    used: Instant,
}

impl Clients {
    /// None yet.
    pub fn new(options: ClientOptions) -> Self {
        Self { options, kept: Mutex::default() }
    }

    /// Whether these options would make the same clients. A relay has one resolver.
    pub fn are_made_of(&self, options: &ClientOptions) -> bool {
        let ClientOptions { rules, pairs, roots, connect, resolver: _, capacity } = &self.options;
        *rules == options.rules
            && *pairs == options.pairs
            && *roots == options.roots
            && *connect == options.connect
            && *capacity == options.capacity
    }

    /// The client of a peer. The peer's addresses are checked when it connects.
    ///
    /// # Errors
    /// [`Refused`] if the peer's origin shows that it is not allowed; an authority that cannot be used.
    pub fn client(&self, peer: &UpstreamUrl, now: Instant) -> Result<RelayClient, PeerError> {
        self.options.rules.check_origin(peer)?;
        let origin = peer.to_string();
        let mut kept = self.kept.lock();
        if let Some(known) = kept.get_mut(&origin) {
            known.used = now;
            return Ok(known.client.clone());
        }
        let client = self.make(peer, &origin)?;
        if kept.len() >= self.options.capacity {
            let oldest = kept.iter().min_by_key(|(_, one)| one.used).map(|(origin, _)| origin.clone());
            oldest.and_then(|oldest| kept.remove(&oldest));
        }
        kept.insert(origin, Kept { client: client.clone(), used: now });
        Ok(client)
    }

    fn make(&self, peer: &UpstreamUrl, origin: &str) -> Result<RelayClient, mte_client::Error> {
        let resolver = Checked {
            peer: peer.clone(),
            rules: self.options.rules.clone(),
            resolver: self.options.resolver.clone(),
        };
        RelayClient::builder(origin)
            .pairs(self.options.pairs)
            .root_certificates(self.options.roots.clone())
            .timeout(self.options.connect)
            .resolver(Arc::new(resolver))
            .build()
    }

    /// Drops the client of a peer that turned out not to be allowed.
    pub fn forget(&self, peer: &UpstreamUrl) {
        self.kept.lock().remove(&peer.to_string());
    }

    /// Drops clients that are not used.
    pub fn sweep(&self, now: Instant) {
        self.kept.lock().retain(|_, one| now.saturating_duration_since(one.used) < IDLE);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("rules", &self.options.rules).finish_non_exhaustive()
    }
}

/// Resolves a peer's name, and lets only addresses through that were checked.
struct Checked {
    peer: UpstreamUrl,
    rules: Arc<PeerRules>,
    resolver: Resolver,
}

impl Resolve for Checked {
    fn resolve(&self, host: &str, port: u16) -> Resolving {
        let lookup = self.resolver.lookup(host.to_owned(), port);
        let (peer, rules) = (self.peer.clone(), self.rules.clone());
        Box::pin(async move {
            let addresses = lookup.await.map_err(BoxError::from)?;
            rules.check_addresses(&peer, &addresses)?;
            Ok(addresses)
        })
    }
}

impl Refused {
    /// The refusal that made a request fail, if one did.
    pub fn of(error: &mte_client::Error) -> Option<Self> {
        let mut next = std::error::Error::source(error);
        while let Some(source) = next {
            if let Some(refused) = source.downcast_ref::<Self>() {
                return Some(*refused);
            }
            next = source.source();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(capacity: usize) -> Clients {
        Clients::new(ClientOptions {
            rules: Arc::default(),
            pairs: 1,
            roots: Vec::new(),
            connect: Duration::from_secs(1),
            resolver: Resolver::default(),
            capacity,
        })
    }

    fn peer(index: usize) -> UpstreamUrl {
        PeerRules::peer(&format!("https://relay{index}.example")).unwrap()
    }

    #[test]
    fn the_client_that_was_not_used_for_the_longest_time_goes_first() {
        let (clients, start) = (clients(3), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        for index in 0..3 {
            clients.client(&peer(index), at(index as u64)).unwrap();
        }
        clients.client(&peer(0), at(3)).unwrap();
        for index in 3..200 {
            clients.client(&peer(index), at(index as u64 + 1)).unwrap();
            assert!(clients.len() <= 3);
            if index == 3 {
                let kept = clients.kept.lock();
                assert!(
                    kept.contains_key("https://relay0.example")
                        && !kept.contains_key("https://relay1.example")
                );
            }
        }
    }

    #[test]
    fn idle_clients_are_dropped_and_refused_ones_forgotten() {
        let (clients, start) = (clients(3), Instant::now());
        clients.client(&peer(0), start).unwrap();
        clients.client(&peer(1), start + IDLE).unwrap();
        clients.sweep(start + IDLE);
        assert_eq!(clients.len(), 1);
        clients.forget(&peer(1));
        assert!(clients.is_empty());
        let plain = PeerRules::peer("http://relay.example").unwrap();
        assert!(matches!(clients.client(&plain, start), Err(PeerError::Refused(Refused::Plain))));
        assert!(clients.is_empty());
    }
}
