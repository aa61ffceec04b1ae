//! How many pairs a client network may make per second.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use parking_lot::Mutex;

use crate::gateway::error::Failure;

/// The limiter is swept after this many pairings.
const SWEEP_EVERY: u64 = 1_024;

/// A rate limit per client network: /24 of IPv4, /56 of IPv6.
#[derive(Default)]
pub struct PairingRate {
    limiter: Mutex<Option<(u32, std::sync::Arc<DefaultKeyedRateLimiter<u128>>)>>,
    checks: AtomicU64,
}

/// The network of an address.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits() >> 8),
        IpAddr::V6(v6) => v6.to_bits() >> 72 | 1 << 127,
    }
}

impl PairingRate {
    /// Takes `pairs` from the network's allowance of `rate` per second with a burst of twice that.
    ///
    /// # Errors
    /// [`Failure::TooManyPairs`].
    pub fn check(&self, address: IpAddr, pairs: u32, rate: Option<u32>) -> Result<(), Failure> {
        let Some(rate) = rate.and_then(NonZeroU32::new) else { return Ok(()) };
        let Some(pairs) = NonZeroU32::new(pairs) else { return Ok(()) };
        let limiter = self.limiter(rate);
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            limiter.retain_recent();
        }
        match limiter.check_key_n(&network(address), pairs) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
                Err(Failure::TooManyPairs { retry_after: wait.as_secs() + 1 })
            }
            // More than the burst at once never fits.
            Err(_) => Err(Failure::TooManyPairs { retry_after: 60 }),
        }
    }

    fn limiter(&self, rate: NonZeroU32) -> std::sync::Arc<DefaultKeyedRateLimiter<u128>> {
        let mut current = self.limiter.lock();
        match &*current {
            Some((known, limiter)) if *known == rate.get() => limiter.clone(),
            _ => {
                let burst = NonZeroU32::new(rate.get().saturating_mul(2)).unwrap_or(rate);
                let limiter =
                    std::sync::Arc::new(RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)));
                *current = Some((rate.get(), limiter.clone()));
                limiter
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_a_burst_of_twice_its_rate_and_neighbours_share_it() {
        let limit = PairingRate::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(limit.check(address("192.0.2.1"), 20, Some(10)), Ok(()));
        assert!(limit.check(address("192.0.2.200"), 20, Some(10)).is_err());
        assert_eq!(limit.check(address("192.0.3.1"), 20, Some(10)), Ok(()));
        assert!(matches!(limit.check(address("::1"), 21, Some(10)), Err(Failure::TooManyPairs { .. })));
        assert_eq!(limit.check(address("192.0.2.1"), 1_000, None), Ok(()));
    }
}
