//! How much of the store each tenant has, and whose pairs are evicted when it is full.
//!
//! While there is room, a tenant may have more than its [`share`]. When there is none, a tenant below its share takes room
//! from the tenant that is furthest above its own.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::RwLock;

use super::super::share;
use crate::{config, domains::TenantId};

#[derive(Debug, Default)]
pub(super) struct Shares {
    live: AtomicUsize,
    /// Tenants that have pairs.
    holders: AtomicUsize,
    /// Number of pairs by tenant. Locked for writing only for a tenant's first pair.
    held: RwLock<HashMap<TenantId, Arc<AtomicUsize>>>,
}

impl Shares {
    /// Number of pairs of all tenants.
    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Number of pairs of one tenant.
    pub(super) fn of(&self, tenant: TenantId) -> usize {
        self.held.read().get(&tenant).map_or(0, |held| held.load(Ordering::Relaxed))
    }

    fn held(&self, tenant: TenantId) -> Arc<AtomicUsize> {
        if let Some(held) = self.held.read().get(&tenant) {
            return held.clone();
        }
        self.held.write().entry(tenant).or_default().clone()
    }

    /// Counts `count` more pairs of a tenant, if the store then has at most `max`; returns whether it did.
    pub(super) fn reserve(&self, tenant: TenantId, count: usize, max: usize) -> bool {
        let fits = |live: usize| live.checked_add(count).filter(|live| *live <= max);
        if self.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return false;
        }
        if count > 0 && self.held(tenant).fetch_add(count, Ordering::Relaxed) == 0 {
            self.holders.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Subtracts pairs that were removed.
    pub(super) fn release(&self, tenant: TenantId, count: usize) {
        self.live.fetch_sub(count, Ordering::Relaxed);
        if count > 0 && self.held(tenant).fetch_sub(count, Ordering::Relaxed) == count {
            self.holders.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The tenant to evict pairs from when the store is full: the one furthest above its share, and by how many pairs.
    /// `None` if the asking tenant already has its own share.
    ///
    /// This looks at every tenant that ever had pairs, once for all the pairs of a pairing request to a full store.
    pub(super) fn furthest_above_share(
        &self,
        asking: TenantId,
        limits: &config::Pairs,
    ) -> Option<(TenantId, usize)> {
        let own = self.held(asking).load(Ordering::Relaxed);
        let holders = self.holders.load(Ordering::Relaxed) + usize::from(own == 0);
        let share = share(limits, holders);
        if own >= share {
            return None;
        }
        let held = self.held.read();
        let (other, most) = held
            .iter()
            .map(|(tenant, held)| (*tenant, held.load(Ordering::Relaxed)))
            .max_by_key(|(_, held)| *held)?;
        (other != asking && most > share).then(|| (other, most - share))
    }
}
