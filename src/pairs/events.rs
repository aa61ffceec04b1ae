//! Counts events of pairs: in total, and in the metrics of each tenant.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;

use super::store::{PairEvent, PairEvents};
use crate::{
    domains::{Domains, TenantId},
    telemetry::TenantMetrics,
};

/// The pairs that this relay created and removed, counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Live pairs; 0 if relays share the store.
    pub live: usize,
    /// Pairs created.
    pub created: u64,
    /// Pairs removed because of their age.
    pub expired: u64,
    /// Pairs evicted to make room.
    pub evicted: u64,
}

/// Counts events.
#[derive(Default)]
pub(super) struct Counters {
    /// Other relays use and remove the same pairs: how many are live is not known here, and not counted.
    shared: bool,
    /// Counts by event.
    totals: [AtomicU64; 4],
    tenants: RwLock<HashMap<TenantId, Arc<TenantMetrics>>>,
}

impl Counters {
    /// Counts the events of a store that several relays share.
    pub(super) fn shared() -> Self {
        Self { shared: true, ..Self::default() }
    }

    /// From now on, also counts the events of these tenants' pairs in their metrics.
    pub(super) fn set_tenants(&self, domains: &Domains) {
        let tenants = domains.tenants().map(|tenant| (tenant.id, tenant.metrics.clone()));
        *self.tenants.write() = tenants.collect();
    }

    fn total(&self, event: PairEvent) -> u64 {
        self.totals[event as usize].load(Ordering::Relaxed)
    }

    pub(super) fn counts(&self) -> Counts {
        let [created, expired, evicted] =
            [PairEvent::Created, PairEvent::Expired, PairEvent::Evicted].map(|event| self.total(event));
        let gone = expired + evicted + self.total(PairEvent::Removed);
        let live = if self.shared { 0 } else { created.saturating_sub(gone) as usize };
        Counts { live, created, expired, evicted }
    }
}

impl PairEvents for Counters {
    fn happened(&self, tenant: TenantId, event: PairEvent, count: usize) {
        self.totals[event as usize].fetch_add(count as u64, Ordering::Relaxed);
        let tenants = self.tenants.read();
        let Some(metrics) = tenants.get(&tenant) else { return };
        if !self.shared {
            let change = count as i64;
            metrics.pairs.add(if event == PairEvent::Created { change } else { -change });
        }
        match event {
            PairEvent::Created => metrics.pairs_created.inc_by(count as u64),
            PairEvent::Expired => metrics.pairs_expired.inc_by(count as u64),
            PairEvent::Evicted => metrics.pairs_evicted.inc_by(count as u64),
            PairEvent::Removed => {}
        }
    }
}
