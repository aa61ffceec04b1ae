//! Who has how much of the store, and who has to give way when it is full.
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
    /// Pairs by tenant. Locked for writing only for a tenant's first pair.
    held: RwLock<HashMap<TenantId, Arc<AtomicUsize>>>,
}

impl Shares {
    /// Pairs of all tenants.
    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Pairs of one tenant.
    pub(super) fn of(&self, tenant: TenantId) -> usize {
        self.held.read().get(&tenant).map_or(0, |held| held.load(Ordering::Relaxed))
    }

    fn held(&self, tenant: TenantId) -> Arc<AtomicUsize> {
        if let Some(held) = self.held.read().get(&tenant) {
            return held.clone();
        }
        self.held.write().entry(tenant).or_default().clone()
    }

    /// Counts `count` more pairs of a tenant, if the store then has at most `max`; whether it did.
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

    /// Counts pairs that are gone.
    pub(super) fn release(&self, tenant: TenantId, count: usize) {
        self.live.fetch_sub(count, Ordering::Relaxed);
        if count > 0 && self.held(tenant).fetch_sub(count, Ordering::Relaxed) == count {
            self.holders.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whom to take room from for a tenant that finds the store full: the tenant furthest above its share, and by how
    /// much it is. `None` if the asking tenant has its own share already.
    ///
    /// This looks at every tenant that ever had pairs, once for all the pairs of a pairing request to a full store.
    pub(super) fn debtor(&self, asking: TenantId, limits: &config::Pairs) -> Option<(TenantId, usize)> {
        let own = self.held(asking).load(Ordering::Relaxed);
        let holders = self.holders.load(Ordering::Relaxed) + usize::from(own == 0);
        let share = share(limits, holders);
        if own >= share {
            return None;
        }
        let held = self.held.read();
        let (debtor, most) = held
            .iter()
            .map(|(tenant, held)| (*tenant, held.load(Ordering::Relaxed)))
            .max_by_key(|(_, held)| *held)?;
        (debtor != asking && most > share).then(|| (debtor, most - share))
    }
}
