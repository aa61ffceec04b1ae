//! Rate limits per key: so many per second, with a burst of [`BURST`] times that.

use std::{
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use parking_lot::Mutex;

/// So many seconds' allowance may be used at once.
pub const BURST: u32 = 2;

/// Keys that have their whole allowance back are forgotten after so many checks.
const SWEEP_EVERY: u64 = 1_024;

/// What nobody can wait for: more than the burst at once.
const LONG: u64 = 60;

/// A rate limit for each key. The rate comes with every check, so that a reload changes it.
pub struct KeyedRate<K: Hash + Eq + Clone> {
    limiter: Mutex<Option<(u32, Arc<DefaultKeyedRateLimiter<K>>)>>,
    checks: AtomicU64,
}

impl<K: Hash + Eq + Clone> Default for KeyedRate<K> {
    fn default() -> Self {
        Self { limiter: Mutex::new(None), checks: AtomicU64::new(0) }
    }
}

impl<K: Hash + Eq + Clone> KeyedRate<K> {
    /// Takes `count` from the key's allowance of `rate` per second; `None` is unlimited.
    ///
    /// # Errors
    /// Seconds to wait.
    pub fn check(&self, key: &K, count: u32, rate: Option<u32>) -> Result<(), u64> {
        let (Some(rate), Some(count)) = (rate.and_then(NonZeroU32::new), NonZeroU32::new(count)) else {
            return Ok(());
        };
        let limiter = self.limiter(rate);
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            limiter.retain_recent();
        }
        match limiter.check_key_n(key, count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => {
                let now = governor::clock::DefaultClock::default().now();
                Err(until.wait_time_from(now).as_secs() + 1)
            }
            Err(_) => Err(LONG),
        }
    }

    fn limiter(&self, rate: NonZeroU32) -> Arc<DefaultKeyedRateLimiter<K>> {
        let mut current = self.limiter.lock();
        match &*current {
            Some((known, limiter)) if *known == rate.get() => limiter.clone(),
            _ => {
                let burst = NonZeroU32::new(rate.get().saturating_mul(BURST)).unwrap_or(rate);
                let limiter = Arc::new(RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)));
                *current = Some((rate.get(), limiter.clone()));
                limiter
            }
        }
    }
}

/// A client network: /24 of IPv4, /56 of IPv6. Addresses within one cost a client nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(u128);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => u128::from(v4.to_bits() >> 8),
            IpAddr::V6(v6) => v6.to_bits() >> 72 | 1 << 127,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_network_has_a_burst_of_twice_its_rate_and_neighbours_share_it() {
        let limit = KeyedRate::default();
        assert_eq!(limit.check(&network("192.0.2.1"), 20, Some(10)), Ok(()));
        assert!(limit.check(&network("192.0.2.200"), 20, Some(10)).is_err());
        assert_eq!(limit.check(&network("192.0.3.1"), 20, Some(10)), Ok(()));
        assert_eq!(limit.check(&network("::1"), 21, Some(10)), Err(LONG));
        assert_eq!(limit.check(&network("192.0.2.1"), 1_000, None), Ok(()));
    }
}
