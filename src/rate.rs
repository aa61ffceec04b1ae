//! Rate limits per key: a number per second, with a burst of [`BURST`] times that. Memory is bounded, whatever keys are used.

use std::{
    hash::Hash,
    net::IpAddr,
    num::{NonZeroU32, NonZeroU64},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use parking_lot::Mutex;

/// The allowance of this many seconds may be used at once.
pub const BURST: u32 = 2;

/// Keys whose allowance is full again are removed after this many checks.
const SWEEP_EVERY: u64 = 1_024;

/// Maximum number of keys that are remembered, about 100 bytes each. If more than these are over their rate at once, all are
/// forgotten: an attacker with that many networks is not stopped by a limit for each network, and memory matters more then.
const MAX_KEYS: usize = 1 << 16;

/// The time to wait, in seconds, that is returned if waiting does not help because more than the burst is requested.
const LONG: u64 = 60;

/// All networks of a site together may pair this many times as fast as one of them.
const NETWORKS_PER_SITE: u32 = 5;

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
    /// The seconds to wait.
    pub fn check(&self, key: &K, count: u32, rate: Option<u32>) -> Result<(), u64> {
        let (Some(rate), Some(count)) = (rate.and_then(NonZeroU32::new), NonZeroU32::new(count)) else {
            return Ok(());
        };
        let limiter = self.limiter(rate);
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep(&limiter);
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

    fn sweep(&self, limiter: &DefaultKeyedRateLimiter<K>) {
        limiter.retain_recent();
        if limiter.len() > MAX_KEYS {
            *self.limiter.lock() = None;
        } else {
            limiter.shrink_to_fit();
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

    /// Number of keys that are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.limiter.lock().as_ref().map_or(0, |(_, limiter)| limiter.len())
    }
}

/// How fast clients may pair: each network, and each site of IPv6 networks.
#[derive(Default)]
pub struct PairingRate {
    networks: KeyedRate<Network>,
    sites: KeyedRate<Site>,
}

impl PairingRate {
    /// Takes `count` pairs from the allowance of an address; `rate` is a network's, per second.
    ///
    /// # Errors
    /// The seconds to wait until the whole burst is available, because a request is refused before it is known how many pairs
    /// it asks for.
    pub fn check(&self, address: IpAddr, count: u32, rate: Option<u32>) -> Result<(), u64> {
        // A network that is refused takes nothing from its site, so it cannot use up the allowance of its neighbours.
        let network = self.networks.check(&address.into(), count, rate);
        let whole = network.and_then(|()| match Site::of(address) {
            Some(site) => {
                self.sites.check(&site, count, rate.map(|rate| rate.saturating_mul(NETWORKS_PER_SITE)))
            }
            None => Ok(()),
        });
        whole.map_err(|wait| wait.max(u64::from(BURST)))
    }
}

/// A client network: /24 of IPv4, /56 of IPv6. A client can use many addresses within one at no cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(NonZeroU64);

impl Network {
    /// As a number, for stores.
    pub fn as_number(self) -> u64 {
        self.0.get()
    }
}

const IPV4: NonZeroU64 = NonZeroU64::new(1 << 62).unwrap();
const IPV6: NonZeroU64 = NonZeroU64::new(1 << 63).unwrap();

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => IPV4 | u64::from(v4.to_bits() >> 8),
            IpAddr::V6(v6) => IPV6 | (v6.to_bits() >> 72) as u64,
        })
    }
}

/// A site: /48 of IPv6, which a single customer of a provider often has. IPv4 has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Site(u64);

impl Site {
    fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(Self((v6.to_bits() >> 80) as u64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network(text: &str) -> Network {
        address(text).into()
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

    #[test]
    fn networks_are_distinguished_and_an_ipv4_address_in_ipv6_is_an_ipv4_address() {
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.9"));
        assert_ne!(network("0.0.0.1"), network("::1"));
        assert_eq!(network("2001:db8:0:12ff::1"), network("2001:db8:0:1200:9::"));
        assert_ne!(network("2001:db8:0:1200::1"), network("2001:db8:0:1300::1"));
    }

    #[test]
    fn the_networks_of_an_ipv6_site_share_five_times_the_rate_of_one() {
        let rate = PairingRate::default();
        let of = |network: u32| address(&format!("2001:db8:7:{:x}::1", network << 8));
        for network in 0..5 {
            assert_eq!(rate.check(of(network), 20, Some(10)), Ok(()), "{network}");
            assert!(rate.check(of(network), 1, Some(10)).is_err(), "{network}");
        }
        assert!(rate.check(of(5), 20, Some(10)).is_err(), "the site's allowance is used up");
        assert_eq!(rate.check(address("2001:db8:8::1"), 20, Some(10)), Ok(()), "another site's is not");
    }

    #[test]
    fn the_table_of_keys_is_bounded_however_many_come() {
        let limit = KeyedRate::default();
        for key in 0..3 * MAX_KEYS {
            let _ = limit.check(&key, 2, Some(1));
        }
        assert!(limit.len() <= MAX_KEYS + SWEEP_EVERY as usize, "{}", limit.len());
    }
}
