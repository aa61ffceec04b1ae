//! Rules that every store follows: the ages of a pair, and a tenant's share of a full store.

use std::time::Duration;

use crate::config;

/// The state of a pair by its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It can be used.
    Live,
    /// Older than `max_age`, but its client is still active and must be informed (559).
    Old,
    /// It counts as removed.
    Gone,
}

impl Age {
    /// The state of a pair at `now`; all times are from the store's clock.
    pub fn of(created: Duration, last_used: Option<Duration>, limits: &config::Pairs, now: Duration) -> Self {
        let (since, limit) = match last_used {
            Some(used) => (used, limits.idle_timeout),
            None => (created, limits.unused_timeout),
        };
        if now.saturating_sub(since) > limit {
            Self::Gone
        } else if now.saturating_sub(created) > limits.max_age {
            Self::Old
        } else {
            Self::Live
        }
    }
}

/// A tenant's share of the store, given the number of tenants with pairs, including the one that asks: an equal part, but
/// never more than `tenant_share` of the total.
///
/// A full store makes room as follows:
///
/// 1. A tenant below its share is never refused. Pairs of the tenant furthest above its own share are evicted: first those
///    never used, oldest first, then the least recently used. A tenant's pairs within its share are never evicted for another
///    tenant, nor for an attacker who pairs as another tenant's client.
/// 2. For a tenant that has its share or more, its own unused pairs are evicted. If there are none, pairing is refused (503):
///    client ids cost nothing, so new clients could otherwise displace active ones.
///
/// A client beyond `max_per_client` loses its own oldest pairs, never used ones first, and a client network beyond
/// `max_per_network` is refused more.
pub fn share(limits: &config::Pairs, holders: usize) -> usize {
    let equal = limits.max_total / holders.max(1);
    let most = (limits.max_total as f64 * limits.tenant_share) as usize;
    equal.min(most).max(1)
}
