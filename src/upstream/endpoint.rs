//! The health of one address of a peer, from active checks and from requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{Ejection, HealthChecks, health::CheckError};

/// The maximum length of an ejection, as a multiple of the configured time.
const LONGEST_EJECTION: u32 = 10;

/// The health of an endpoint, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Its health checks succeed.
    Healthy,
    /// There is no result of a health check.
    Unchecked,
    /// Requests to it failed: it receives no requests for some time.
    Ejected,
    /// Its health checks fail.
    Unhealthy,
}

impl Health {
    /// Its name in metrics and on the status page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
        }
    }
}

/// One address of one peer of one tenant.
#[derive(Debug)]
pub struct Endpoint {
    /// The address; `None` for a name that is not resolved yet.
    pub address: Option<SocketAddr>,
    in_flight: AtomicUsize,
    checking: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The result of the checks: `None` before the first.
    healthy: Option<bool>,
    /// Number of checks in a row that contradict `healthy`.
    streak: u32,
    last_check: Option<Instant>,
    /// Number of failed requests in a row.
    failures: u32,
    ejected_until: Option<Instant>,
    /// Number of ejections in a row.
    ejections: u32,
    /// Why the last check or request failed.
    why: Option<Arc<str>>,
    /// Results of checks from an earlier generation are ignored.
    generation: u64,
}

impl Endpoint {
    /// A new endpoint; nothing is known about it yet.
    pub fn new(address: Option<SocketAddr>) -> Self {
        Self {
            address,
            in_flight: AtomicUsize::new(0),
            checking: AtomicBool::new(false),
            inner: Mutex::default(),
        }
    }

    /// Its current health.
    pub fn health(&self) -> Health {
        let inner = self.inner.lock();
        if inner.healthy == Some(false) {
            Health::Unhealthy
        } else if inner.ejected_until.is_some_and(|until| until > Instant::now()) {
            Health::Ejected
        } else if inner.healthy == Some(true) {
            Health::Healthy
        } else {
            Health::Unchecked
        }
    }

    /// Why it is unhealthy or ejected.
    pub fn why(&self) -> Option<Arc<str>> {
        self.inner.lock().why.clone()
    }

    /// Number of its requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts one more request until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InUse {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InUse(self.clone())
    }

    /// Records that a request was answered.
    pub fn succeeded(&self) {
        let mut inner = self.inner.lock();
        inner.failures = 0;
        if inner.ejected_until.is_some_and(|until| until <= Instant::now()) {
            (inner.ejected_until, inner.ejections) = (None, 0);
        }
    }

    /// Records a failed request; `true` if the endpoint is ejected because of it.
    pub fn failed(&self, ejection: &Ejection, why: &str) -> bool {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        inner.failures = inner.failures.saturating_add(1);
        inner.why = Some(why.into());
        let ejected = inner.ejected_until.is_some_and(|until| until > now);
        if ejection.failures == 0 || inner.failures < ejection.failures || ejected {
            return false;
        }
        inner.ejections = inner.ejections.saturating_add(1);
        let times = 1_u32.checked_shl(inner.ejections - 1).unwrap_or(LONGEST_EJECTION).min(LONGEST_EJECTION);
        inner.ejected_until = Some(now + ejection.time * times);
        // Until a request succeeds, a single failure after the ejection is enough for another one.
        inner.failures = ejection.failures - 1;
        true
    }

    /// Whether a check is due; the caller then runs it and reports to [`Endpoint::checked`] with the generation.
    pub fn take_check(&self, interval: Duration) -> Option<u64> {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        let due = inner.last_check.is_none_or(|last| now.duration_since(last) >= interval);
        if !due || self.checking.swap(true, Ordering::Relaxed) {
            return None;
        }
        inner.last_check = Some(now);
        Some(inner.generation)
    }

    /// Records that a check that was due could not be run.
    pub fn unchecked(&self) {
        self.checking.store(false, Ordering::Relaxed);
    }

    /// Records a check's outcome; returns whether it changed the health.
    pub fn checked(
        &self,
        generation: u64,
        settings: &HealthChecks,
        outcome: Result<(), &CheckError>,
    ) -> bool {
        self.checking.store(false, Ordering::Relaxed);
        let mut inner = self.inner.lock();
        if inner.generation != generation {
            return false;
        }
        let success = outcome.is_ok();
        match outcome {
            Err(why) => inner.why = Some(why.to_string().into()),
            Ok(()) if inner.ejected_until.is_none() => inner.why = None,
            Ok(()) => {}
        }
        if inner.healthy == Some(success) {
            inner.streak = 0;
            return false;
        }
        inner.streak += 1;
        let enough = if success { settings.healthy_after } else { settings.unhealthy_after };
        // The first check decides immediately: there is no earlier result.
        if inner.healthy.is_some() && inner.streak < enough {
            return false;
        }
        inner.streak = 0;
        inner.healthy = Some(success);
        if success {
            (inner.failures, inner.ejected_until, inner.ejections) = (0, None, 0);
        }
        true
    }

    /// Health checks were removed from the configuration: their result is cleared, and that of a running check is ignored.
    pub fn forget_checks(&self) {
        let mut inner = self.inner.lock();
        (inner.healthy, inner.streak) = (None, 0);
        inner.generation += 1;
    }
}

/// One request at an endpoint.
#[derive(Debug)]
pub struct InUse(Arc<Endpoint>);

impl std::ops::Deref for InUse {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::health_checks;

    fn state() -> Endpoint {
        Endpoint::new(Some(([127, 0, 0, 1], 1).into()))
    }

    #[test]
    fn the_first_check_decides_and_later_ones_must_agree_in_a_row() {
        let (state, settings) = (state(), health_checks());
        let refused = CheckError::Broken("refused".into());
        assert!(state.checked(0, &settings, Ok(())));
        assert!(!state.checked(0, &settings, Err(&refused)));
        assert!(!state.checked(0, &settings, Ok(())));
        assert!(!state.checked(0, &settings, Err(&refused)));
        assert_eq!(state.health(), Health::Healthy);
        assert!(state.checked(0, &settings, Err(&refused)));
        assert_eq!((state.health(), state.why().as_deref()), (Health::Unhealthy, Some("refused")));
        assert!(state.checked(0, &settings, Ok(())));
        assert_eq!((state.health(), state.why()), (Health::Healthy, None));
    }

    #[test]
    fn failures_in_a_row_eject_for_a_while_and_a_success_between_them_does_not_count() {
        let (state, settings) = (state(), Ejection { failures: 2, time: Duration::from_millis(20) });
        assert!(!state.failed(&settings, "reset"));
        state.succeeded();
        assert!(!state.failed(&settings, "reset"));
        assert!(state.failed(&settings, "reset"));
        assert_eq!(state.health(), Health::Ejected);
        std::thread::sleep(Duration::from_millis(25));
        assert_eq!(state.health(), Health::Unchecked);
    }

    #[test]
    fn the_first_failure_after_an_ejection_is_enough_for_another_until_a_request_succeeds() {
        let (state, settings) = (state(), Ejection { failures: 3, time: Duration::from_millis(1) });
        let fail = |times| (0..times).map(|_| state.failed(&settings, "reset")).collect::<Vec<_>>();
        let pause = || std::thread::sleep(Duration::from_millis(20));
        assert_eq!(fail(3), [false, false, true]);
        pause();
        assert_eq!(fail(1), [true]);
        pause();
        state.succeeded();
        assert_eq!(fail(3), [false, false, true]);
    }

    #[test]
    fn ejection_can_be_turned_off() {
        let (state, settings) = (state(), Ejection { failures: 0, time: Duration::from_secs(10) });
        assert!((0..100).all(|_| !state.failed(&settings, "reset")));
    }

    #[test]
    fn a_running_check_is_ignored_once_checks_are_removed() {
        let state = state();
        let settings = health_checks();
        let generation = state.take_check(Duration::ZERO).unwrap();
        state.forget_checks();
        let late = CheckError::Late(Duration::ZERO);
        assert!(!state.checked(generation, &settings, Err(&late)));
        assert_eq!(state.health(), Health::Unchecked);
        let generation = state.take_check(Duration::ZERO).expect("the next check is not held up");
        assert!(state.checked(generation, &settings, Err(&late)));
        assert_eq!(state.health(), Health::Unhealthy);
    }
}
