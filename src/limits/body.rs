//! How long a client may take to send a body that the relay holds in memory.
//!
//! Three limits apply at once: a time for the whole body, a time without a byte, and a minimum rate. The rate is an
//! allowance: it starts with the grace period, waiting uses it up, and every byte that arrives restores some, up to the
//! grace period. So a client cannot build up an allowance with a large first part and then send a byte per second.

use std::time::Duration;

use crate::config::Timeouts;

/// Bytes per second that a client must send once its grace period is used up.
pub(crate) const MIN_RATE: u32 = 1_024;

/// The grace period: how long the relay waits in total for a client that sends nothing, or less than [`MIN_RATE`].
const GRACE: Duration = Duration::from_secs(10);

/// The time that one body may still take. Only the time spent waiting for the client is counted.
#[derive(Debug, Clone)]
pub struct BodyDeadline {
    /// Time left for the rest of the body.
    total: Duration,
    /// Time limit without a byte.
    silence: Duration,
    /// Time left below the minimum rate.
    allowance: Duration,
    grace: Duration,
    waited: Duration,
}

impl BodyDeadline {
    /// The limits of a body that is read into memory before anything is done with it: `timeouts.body` for all of it,
    /// `timeouts.read` without a byte.
    pub fn gathered(timeouts: &Timeouts) -> Self {
        let grace = GRACE.min(timeouts.read);
        Self { total: timeouts.body, silence: timeouts.read, allowance: grace, grace, waited: Duration::ZERO }
    }

    /// How long the next bytes may take; zero if the time is up.
    pub fn remaining(&self) -> Duration {
        self.total.saturating_sub(self.waited).min(self.silence).min(self.allowance)
    }

    /// Counts a wait, and the bytes that it ended with.
    pub fn waited(&mut self, time: Duration, bytes: usize) {
        self.waited += time;
        let earned = Duration::from_secs(bytes as u64) / MIN_RATE;
        self.allowance = self.allowance.saturating_sub(time).saturating_add(earned).min(self.grace);
    }

    /// How long the relay has waited for the client so far.
    pub fn waited_in_all(&self) -> Duration {
        self.waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline(total: u64) -> BodyDeadline {
        let seconds = Duration::from_secs;
        let timeouts = Timeouts {
            connect: seconds(5),
            read: seconds(60),
            write: seconds(60),
            idle: seconds(60),
            headers: seconds(10),
            body: seconds(total),
            drain: seconds(30),
        };
        BodyDeadline::gathered(&timeouts)
    }

    /// How long a client lasts that sends `bytes` every `pause`.
    fn lasts(mut deadline: BodyDeadline, bytes: usize, pause: Duration) -> Duration {
        while deadline.remaining() > pause && deadline.waited_in_all() < Duration::from_secs(1_000) {
            deadline.waited(pause, bytes);
        }
        deadline.waited_in_all() + deadline.remaining()
    }

    #[test]
    fn a_slow_body_ends_with_its_grace_period_and_a_large_first_part_does_not_extend_it() {
        let pause = Duration::from_millis(600);
        let trickled = lasts(deadline(30), 1, pause);
        assert!((GRACE..GRACE + pause).contains(&trickled), "{trickled:?}");
        let mut generous = deadline(30);
        generous.waited(Duration::from_millis(5), 800_000);
        let trickled = lasts(generous, 1, pause);
        assert!((GRACE..GRACE + pause).contains(&trickled), "{trickled:?}");
    }

    #[test]
    fn a_client_above_the_minimum_rate_is_only_bound_by_the_total_timeout() {
        let pause = Duration::from_millis(500);
        assert_eq!(lasts(deadline(30), 2_048, pause), Duration::from_secs(30));
        assert_eq!(lasts(deadline(3), 1 << 20, pause), Duration::from_secs(3));
    }

    #[test]
    fn a_stall_within_the_grace_is_tolerated_once_bytes_have_arrived() {
        let mut deadline = deadline(1_000);
        for _ in 0..10 {
            assert!(deadline.remaining() > Duration::from_secs(8));
            deadline.waited(Duration::from_secs(8), 16 << 10);
        }
    }
}
