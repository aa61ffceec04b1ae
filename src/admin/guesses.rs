//! Wrong tokens slow down the next ones, for each address and for all together.
//!
//! An address that has never sent a wrong token can always try once, however many others are guessing: an operator with
//! the right token is admitted. Many addresses mean one guess each; a token of 16 characters still cannot be guessed.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Wrong tokens in a row that an address may send without a wait, and the time after which it may send one more.
const OF_ADDRESS: Allowance = Allowance { free: 5.0, every: Duration::from_secs(12) };
/// The same, for all addresses together that have sent a wrong token.
const OF_ALL: Allowance = Allowance { free: 30.0, every: Duration::from_secs(2) };
/// Addresses that are remembered.
const MAX_ADDRESSES: usize = 4_096;

struct Allowance {
    free: f64,
    every: Duration,
}

/// The rest of an allowance.
#[derive(Clone, Copy)]
struct Left {
    count: f64,
    at: Instant,
}

impl Left {
    fn now(self, allowance: &Allowance, now: Instant) -> f64 {
        let back = now.saturating_duration_since(self.at).as_secs_f64() / allowance.every.as_secs_f64();
        (self.count + back).min(allowance.free)
    }

    /// The time until one attempt is allowed.
    fn wait(self, allowance: &Allowance, now: Instant) -> Duration {
        allowance.every.mul_f64((1.0 - self.now(allowance, now)).max(0.0))
    }

    /// Uses one attempt.
    fn take(before: Option<Self>, allowance: &Allowance, now: Instant) -> Self {
        let count = before.map_or(allowance.free, |left| left.now(allowance, now));
        Self { count: (count - 1.0).max(0.0), at: now }
    }
}

/// The result of checking a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The token is right.
    Right,
    /// The token is wrong.
    Wrong,
    /// The token was not checked because there were too many wrong ones. The time to wait.
    TooMany(Duration),
}

/// Recent wrong tokens.
#[derive(Default)]
pub(super) struct Guesses {
    addresses: HashMap<IpAddr, Left>,
    all: Option<Left>,
}

impl Guesses {
    /// Checks a token, unless its client has to wait.
    pub(super) fn look(&mut self, client: IpAddr, now: Instant, is_right: impl FnOnce() -> bool) -> Outcome {
        let client = client_prefix(client);
        let wait = self.wait(client, now);
        if !wait.is_zero() {
            return Outcome::TooMany(wait);
        }
        if is_right() {
            return Outcome::Right;
        }
        self.evict(now);
        let left = Left::take(self.addresses.get(&client).copied(), &OF_ADDRESS, now);
        self.addresses.insert(client, left);
        self.all = Some(Left::take(self.all, &OF_ALL, now));
        Outcome::Wrong
    }

    fn wait(&self, client: IpAddr, now: Instant) -> Duration {
        let Some(own) = self.addresses.get(&client) else { return Duration::ZERO };
        let all = self.all.map_or(Duration::ZERO, |all| all.wait(&OF_ALL, now));
        own.wait(&OF_ADDRESS, now).max(all)
    }

    fn evict(&mut self, now: Instant) {
        if self.addresses.len() < MAX_ADDRESSES {
            return;
        }
        self.addresses.retain(|_, left| left.now(&OF_ADDRESS, now) < OF_ADDRESS.free);
        if self.addresses.len() >= MAX_ADDRESSES {
            // The least recently used one.
            let oldest = self.addresses.iter().min_by_key(|(_, left)| left.at).map(|(address, _)| *address);
            oldest.map(|oldest| self.addresses.remove(&oldest));
        }
    }
}

/// The network that one client controls: for IPv6 a /64.
fn client_prefix(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + last).into()
    }

    #[test]
    fn an_address_that_guesses_is_refused_for_some_time_and_another_one_is_not() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(guesses.look(address(1), now, || false), Outcome::Wrong);
        }
        let too_many = guesses.look(address(1), now, || panic!("it must not be looked at"));
        assert_eq!(too_many, Outcome::TooMany(Duration::from_secs(12)));
        assert_eq!(guesses.look(address(2), now, || true), Outcome::Right);
        let later = now + Duration::from_secs(13);
        assert_eq!(guesses.look(address(1), later, || true), Outcome::Right);
    }

    #[test]
    fn each_of_many_guessing_addresses_has_one_guess_and_an_operator_is_admitted() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let mut looked_at = 0;
        for round in 0..3 {
            for client in 0..2_000 {
                match guesses.look(address(client), now, || false) {
                    Outcome::Wrong => looked_at += 1,
                    outcome => assert!(round > 0 && matches!(outcome, Outcome::TooMany(_))),
                }
            }
        }
        assert_eq!(looked_at, 2_000, "one for each address");
        assert_eq!(guesses.look(address(9_999), now, || true), Outcome::Right);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client_and_what_is_remembered_is_bounded() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        for host in 0..6u128 {
            let client = IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) + host));
            let outcome = guesses.look(client, now, || false);
            assert_eq!(outcome == Outcome::Wrong, host < 5, "{host}");
        }
        for client in 0..3 * MAX_ADDRESSES as u32 {
            let later = now + Duration::from_millis(client.into());
            guesses.look(address(client), later, || false);
            assert!(guesses.addresses.len() <= MAX_ADDRESSES);
        }
    }
}
