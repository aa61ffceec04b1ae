//! Rules that every store keeps: how a pair stands in time, and how much of a full store is a tenant's.

use std::time::Duration;

use crate::config;

/// How a pair stands in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It is used.
    Live,
    /// Older than `max_age`, but its client is still active and must be informed (559).
    Old,
    /// As good as not there.
    Gone,
}

impl Age {
    /// The age of a pair at `now`; all times are of the store's one clock.
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

/// A tenant's share of the store if so many tenants have pairs, the one that asks included: an equal part, and never more than
/// `tenant_share` of all.
///
/// A full store makes room by it:
///
/// 1. A tenant below its share is never refused. The tenant furthest above its own share gives way: its pairs never used
///    first, oldest first, then those not used for longest. What a tenant has within its share is not taken: neither by another
///    tenant, nor by an attacker who pairs as another tenant's client.
/// 2. A tenant that has its share or more makes room among its own pairs never used. If there are none, pairing is refused
///    (503): client ids cost nothing, so new clients would otherwise push out those that are at work.
///
/// A client beyond `max_per_client` loses its own oldest pairs, never used ones first, and a client network beyond
/// `max_per_network` is refused more.
pub fn share(limits: &config::Pairs, holders: usize) -> usize {
    let equal = limits.max_total / holders.max(1);
    let most = (limits.max_total as f64 * limits.tenant_share) as usize;
    equal.min(most).max(1)
}
