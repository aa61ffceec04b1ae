//! The total bytes of bodies held in memory: pairing requests, and requests and responses of type MTE.
//!
//! There is one budget for the relay. So that no client uses all of it, a client network may hold at most three times as
//! many bytes as are left: at most three quarters of the budget. The same applies to a tenant, if there are several.
//!
//! A body takes a [`Gathered`] and reports its size as it grows; dropping it returns the bytes. Bytes are taken in blocks,
//! so that a body that grows by small reads does not count them one by one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::Tally;
use crate::{domains::TenantId, rate::Network};

/// Bytes are taken in blocks of this size.
const BLOCK: usize = 16 << 10;

/// A holder may have this many times the bytes that are left.
const TIMES_FREE: usize = 3;

/// The budget is used up, in total or for this tenant or network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetFull;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    Tenant(TenantId),
    Network(Network),
}

/// The budget of one relay.
#[derive(Debug, Default)]
pub struct GatherBudget {
    used: AtomicUsize,
    holders: Tally<Holder>,
}

impl GatherBudget {
    /// A holder for one request and its response; holds nothing yet. `limit` is `limits.gathered`, in bytes. `tenant` is the
    /// tenant to count for, if there are several.
    pub fn body(
        self: &Arc<Self>,
        limit: usize,
        tenant: Option<TenantId>,
        network: Option<Network>,
    ) -> Gathered {
        Gathered {
            budget: self.clone(),
            limit,
            holders: [tenant.map(Holder::Tenant), network.map(Holder::Network)],
            taken: 0,
        }
    }

    /// Bytes held now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, holders: &[Option<Holder>; 2], bytes: usize, limit: usize) -> Result<(), BudgetFull> {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= limit);
        let used =
            self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| BudgetFull)?;
        let most = (limit - used - bytes).saturating_mul(TIMES_FREE);
        let refused = holders
            .iter()
            .position(|holder| holder.is_some_and(|holder| !self.holders.add(holder, bytes, most)));
        match refused {
            None => Ok(()),
            Some(index) => {
                self.give_back(&holders[..index], bytes);
                Err(BudgetFull)
            }
        }
    }

    fn give_back(&self, holders: &[Option<Holder>], bytes: usize) {
        holders.iter().flatten().for_each(|holder| self.holders.subtract(*holder, bytes));
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The bytes of the budget held by one body, or by a request's and its response's body, until this is dropped.
#[derive(Debug)]
pub struct Gathered {
    budget: Arc<GatherBudget>,
    limit: usize,
    holders: [Option<Holder>; 2],
    taken: usize,
}

impl Gathered {
    /// Makes sure that a total of `bytes` is reserved for this body.
    ///
    /// # Errors
    /// [`BudgetFull`]; what was taken before stays taken.
    pub fn hold(&mut self, bytes: usize) -> Result<(), BudgetFull> {
        if bytes <= self.taken {
            return Ok(());
        }
        let more = (bytes - self.taken).next_multiple_of(BLOCK);
        self.budget.take(&self.holders, more, self.limit)?;
        self.taken += more;
        Ok(())
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.budget.give_back(&self.holders, self.taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LIMIT: usize = 64 * BLOCK;

    fn network(index: u8) -> Option<Network> {
        Some(std::net::IpAddr::from(Ipv4Addr::new(192, 0, index, 1)).into())
    }

    /// How many blocks a body gets before it is refused.
    fn blocks(body: &mut Gathered) -> usize {
        (1..).find(|count| body.hold(count * BLOCK).is_err()).unwrap_or_default() - 1
    }

    #[test]
    fn one_network_has_three_quarters_and_leaves_the_rest_to_others() {
        let budget = Arc::new(GatherBudget::default());
        let mut first = budget.body(LIMIT, None, network(1));
        assert_eq!(blocks(&mut first), 48);
        let mut second = budget.body(LIMIT, None, network(2));
        assert_eq!(blocks(&mut second), 12);
        assert_eq!(budget.used(), 60 * BLOCK);
        drop((first, second));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_tenant_does_not_use_up_the_budget_of_others() {
        let budget = Arc::new(GatherBudget::default());
        let (a, b) = (Some(TenantId::of("a")), Some(TenantId::of("b")));
        // From many networks, each with a little.
        let all: Vec<_> = (0..64)
            .map(|index| {
                let mut body = budget.body(LIMIT, a, network(index));
                let _ = body.hold(BLOCK);
                body
            })
            .collect();
        assert_eq!(budget.used(), 48 * BLOCK);
        assert_eq!(budget.body(LIMIT, b, network(99)).hold(BLOCK), Ok(()));
        drop(all);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_body_that_does_not_fit_leaves_nothing_behind() {
        let budget = Arc::new(GatherBudget::default());
        assert_eq!(budget.body(LIMIT, None, None).hold(LIMIT + 1), Err(BudgetFull));
        assert_eq!(budget.body(LIMIT, None, network(1)).hold(LIMIT), Err(BudgetFull));
        assert_eq!(budget.used(), 0);
        assert_eq!(budget.body(LIMIT, None, None).hold(LIMIT), Ok(()));
    }
}
