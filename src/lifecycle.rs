//! The lifecycle of a relay: its phase, and why it failed. The transitions are in `shutdown`.

use std::{
    error::Error,
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// Connections that are open when the listeners close may send one more request within this time; it is answered
/// with `connection: close`. Closing them immediately would cut off requests that are already sent.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// The phase of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not listening yet.
    Starting,
    /// Serving.
    Running,
    /// Finishing requests in flight.
    Draining,
    /// The same, while a successor serves.
    HandingOver,
}

/// Why a relay cannot continue: an error of the failed part.
type Defect = Box<dyn Error + Send + Sync>;

/// A relay's phase, shared by all of its parts.
#[derive(Debug)]
pub struct Lifecycle {
    phase: AtomicU8,
    /// Why it cannot continue, if it failed.
    failure: OnceLock<Defect>,
    changed: watch::Sender<()>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            failure: OnceLock::new(),
            changed: watch::channel(()).0,
        }
    }
}

impl Lifecycle {
    /// The current phase.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Running,
            2 => Phase::Draining,
            _ => Phase::HandingOver,
        }
    }

    /// Enters the next phase; a relay that is shutting down does not return to an earlier one.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    /// Whether it is shutting down.
    pub fn is_leaving(&self) -> bool {
        self.phase() > Phase::Running
    }

    /// Stops the relay after a fatal failure: a service manager can restart a process that has ended, but not one that only
    /// partly works.
    pub fn fail(&self, why: impl Error + Send + Sync + 'static) {
        if !self.is_leaving() && self.failure.set(Box::new(why)).is_ok() {
            self.changed.send_replace(());
        }
    }

    /// Why the relay failed.
    pub fn failure(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.failure.get().map(AsRef::as_ref)
    }

    /// Waits until the relay fails.
    pub(crate) async fn failed(&self) {
        let mut changed = self.changed.subscribe();
        while self.failure.get().is_none() {
            if changed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
        if let Some(why) = self.failure() {
            log::error!("{why}; the relay ends");
        }
    }

    /// Waits until it is shutting down.
    pub async fn leaving(&self) {
        let mut changed = self.changed.subscribe();
        while !self.is_leaving() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl PartialOrd for Phase {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (*self as u8).partial_cmp(&(*other as u8))
    }
}

/// Notifies systemd, if it started this process (sd_notify(3)).
pub(crate) fn notify_systemd(state: &[sd_notify::NotifyState<'_>], condition: bool) {
    if condition
        && std::env::var_os("NOTIFY_SOCKET").is_some()
        && let Err(error) = sd_notify::notify(state)
    {
        log::warn!("systemd cannot be notified: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_shuts_down_does_not_return_to_an_earlier_phase() {
        let lifecycle = Lifecycle::default();
        lifecycle.enter(Phase::Running);
        assert!(!lifecycle.is_leaving());
        lifecycle.enter(Phase::Draining);
        lifecycle.enter(Phase::Running);
        assert_eq!(lifecycle.phase(), Phase::Draining);
    }
}
