//! State that is carried from one configuration to the next: a reload changes only what the file changes.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::{
    outbound::{ClientOptions, Clients},
    telemetry::Metrics,
    tls::TenantTls,
    upstream::{PeerState, Resolver, UpstreamUrl},
};

/// State kept across reloads. Each relay has its own; configurations of different relays share nothing.
#[derive(Default)]
pub struct ReloadState {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The resolver of upstream addresses.
    pub resolver: Resolver,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Health by tenant and origin.
    peers: HashMap<(String, String), Arc<PeerState>>,
    /// The secrets of tenants that have none in the configuration.
    random: HashMap<String, Zeroizing<Vec<u8>>>,
    /// TLS by tenant, with a digest of its files: if they are unchanged, the session cache is kept.
    tls: HashMap<String, ([u8; 32], TenantTls)>,
    /// The clients of outbound peers by tenant.
    outbound: HashMap<String, Arc<Clients>>,
}

impl std::fmt::Debug for ReloadState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReloadState").finish_non_exhaustive()
    }
}

impl ReloadState {
    /// The state of a tenant's peer.
    pub(super) fn peer(&self, tenant: &str, url: &UpstreamUrl) -> Arc<PeerState> {
        let key = (tenant.to_owned(), url.to_string());
        let fresh = || Arc::new(PeerState::new(url.clone(), self.resolver.clone()));
        self.inner.lock().peers.entry(key).or_insert_with(fresh).clone()
    }

    /// The random secret of a tenant without a configured one.
    pub(super) fn random_secret(&self, tenant: &str) -> Zeroizing<Vec<u8>> {
        let fresh = || Zeroizing::new(rand::random::<[u8; 32]>().to_vec());
        self.inner.lock().random.entry(tenant.to_owned()).or_insert_with(fresh).clone()
    }

    /// The tenant's previous TLS state, if it was made from the same files, or the result of `make`.
    pub(super) fn tls<E>(
        &self,
        tenant: &str,
        files: [u8; 32],
        make: impl FnOnce() -> Result<TenantTls, E>,
    ) -> Result<TenantTls, E> {
        if let Some((known, tls)) = self.inner.lock().tls.get(tenant)
            && *known == files
        {
            return Ok(tls.clone());
        }
        let made = make()?;
        self.inner.lock().tls.insert(tenant.to_owned(), (files, made.clone()));
        Ok(made)
    }

    /// The tenant's clients of outbound peers, with their pairs, if they were made of the same options, else new ones.
    pub(super) fn clients(&self, tenant: &str, options: ClientOptions) -> Arc<Clients> {
        let mut inner = self.inner.lock();
        let known = inner.outbound.get(tenant).filter(|known| known.are_made_of(&options));
        let clients = known.cloned().unwrap_or_else(|| Arc::new(Clients::new(options)));
        inner.outbound.insert(tenant.to_owned(), clients.clone());
        clients
    }

    /// Removes tenants and peers that are not in the current configuration.
    pub fn retain(&self, domains: &crate::domains::Domains) {
        let mut names = HashMap::new();
        for tenant in domains.tenants() {
            let origins = tenant.upstream.peers.iter().map(|peer| peer.origin.as_str());
            names.insert(&*tenant.name, origins.collect::<Vec<_>>());
        }
        let mut inner = self.inner.lock();
        inner.peers.retain(|(tenant, origin), _| {
            names.get(tenant.as_str()).is_some_and(|origins| origins.contains(&origin.as_str()))
        });
        inner.random.retain(|tenant, _| names.contains_key(tenant.as_str()));
        inner.tls.retain(|tenant, _| names.contains_key(tenant.as_str()));
        // Those in use, whatever a configuration that was refused would have had.
        let used = domains
            .tenants()
            .filter_map(|tenant| Some((tenant.name.to_string(), tenant.outbound.as_ref()?.clients.clone())));
        inner.outbound = used.collect();
        self.metrics.retain(|tenant| names.contains_key(tenant));
    }
}

/// The files that a configuration was read from, each with a digest of its content.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Files(Vec<(PathBuf, Option<[u8; 32]>)>);

impl Files {
    /// Reads a file, and records it whether it can be read or not.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self, path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
        let read = std::fs::read(path).map(Zeroizing::new);
        self.0.push((path.to_owned(), read.as_ref().ok().map(|bytes| digest(&[bytes]))));
        read
    }

    /// The paths of the files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }

    /// Whether any of them has changed.
    pub fn changed(&self) -> bool {
        self.0.iter().any(|(path, was)| {
            let now = std::fs::read(path).ok().map(Zeroizing::new);
            now.map(|bytes| digest(&[&bytes])) != *was
        })
    }
}

/// SHA-256 of parts, each prefixed with its length.
pub(super) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
