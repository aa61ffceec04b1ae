//! Coming up and going down: readiness, signals, drain, and the hand-over to a successor.
//!
//! SIGTERM: readiness fails, listeners close, requests in flight may finish, and the process ends as soon as there are
//! none. SIGINT: at once. SIGQUIT: a successor that waits at `upgrade_socket` gets the listeners (see `handover`), and this
//! process leaves as on SIGTERM; without one nothing happens. SIGHUP is `reload`'s.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::Instant,
};

use crate::{handover, relay::Shared, telemetry};

/// Connections that are open when the listeners are given up may send one more request within this time; it is answered
/// with `connection: close`. Closing them at once would cut requests that are on their way.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// How often a leaving relay looks whether it may go.
const TICK: Duration = Duration::from_millis(10);
/// Requests that were on their way when the listeners closed are seen within this time.
const LAST_ARRIVALS: Duration = Duration::from_millis(100);
/// What was answered may take this long to be written.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Where a relay is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not listening yet.
    Starting,
    /// Serving.
    Running,
    /// Finishing what is in flight.
    Draining,
    /// The same, while a successor serves.
    HandingOver,
}

/// A relay's phase, for all of its parts.
#[derive(Debug)]
pub struct Lifecycle {
    phase: AtomicU8,
    /// Why it cannot go on, if that is so.
    failure: OnceLock<String>,
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
    /// Where it is now.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Running,
            2 => Phase::Draining,
            _ => Phase::HandingOver,
        }
    }

    /// Goes on to the next phase; a relay that is leaving does not come back.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    /// Whether it is about to go.
    pub fn is_leaving(&self) -> bool {
        self.phase() > Phase::Running
    }

    /// Ends the relay, which lacks what it needs: better no process than one that serves half of what it should.
    pub fn fail(&self, why: String) {
        if !self.is_leaving() && self.failure.set(why).is_ok() {
            self.changed.send_replace(());
        }
    }

    /// Why the relay had to end.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Waits until the relay has to end.
    async fn failed(&self) {
        let mut changed = self.changed.subscribe();
        while self.failure.get().is_none() {
            if changed.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
        log::error!("{}; the relay ends", self.failure().unwrap_or_default());
    }

    /// Waits until it is about to go.
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

/// Stops a relay that runs in this process.
#[derive(Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Lets requests in flight finish, then stops.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// When a relay stops.
pub enum Until {
    /// On signals; the process ends with the relay.
    Signal,
    /// When the other end says so.
    Stopped(watch::Receiver<bool>),
}

impl Until {
    /// A relay that another part of this process stops.
    pub fn stopped() -> (Stop, Self) {
        let (sender, receiver) = watch::channel(false);
        (Stop(sender), Self::Stopped(receiver))
    }
}

/// Tells Pingora when to shut down.
pub(crate) struct Shutdown {
    until: tokio::sync::Mutex<Until>,
    shared: Arc<Shared>,
}

impl Shutdown {
    pub(crate) fn new(until: Until, shared: Arc<Shared>) -> Self {
        Self { until: tokio::sync::Mutex::new(until), shared }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Shutdown {
    async fn recv(&self) -> ShutdownSignal {
        match &mut *self.until.lock().await {
            Until::Stopped(stop) => {
                tokio::select! {
                    // An error means that the other end is gone, which is a stop as well.
                    _ = stop.wait_for(|stop| *stop) => {}
                    () = self.shared.lifecycle.failed() => return ShutdownSignal::FastShutdown,
                }
                self.shared.lifecycle.enter(Phase::Draining);
                drained(&self.shared, self.shared.config.load().timeouts.drain).await;
                ShutdownSignal::FastShutdown
            }
            Until::Signal => match Signals::new() {
                Ok(signals) => by_signal(&self.shared, signals).await,
                Err(error) => {
                    log::error!("signals cannot be handled here: {error}; stopping");
                    ShutdownSignal::FastShutdown
                }
            },
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }
}

async fn by_signal(shared: &Arc<Shared>, mut signals: Signals) -> ShutdownSignal {
    loop {
        tokio::select! {
            () = shared.lifecycle.failed() => return ShutdownSignal::FastShutdown,
            _ = signals.interrupt.recv() => {
                shared.lifecycle.enter(Phase::Draining);
                log::info!("SIGINT: stopping at once");
                return ShutdownSignal::FastShutdown;
            }
            _ = signals.terminate.recv() => {
                let drain = shared.config.load().timeouts.drain;
                log::info!("SIGTERM: {} requests in flight may finish, within {drain:?}", shared.in_flight.get());
                leave(shared, Phase::Draining, LAST_ARRIVALS, signals);
                return ShutdownSignal::GracefulTerminate;
            }
            _ = signals.quit.recv() => match hand_over(shared).await {
                Ok(()) => {
                    log::info!("SIGQUIT: a successor has the listeners; requests in flight may finish");
                    leave(shared, Phase::HandingOver, LINGER + LAST_ARRIVALS, signals);
                    return ShutdownSignal::GracefulTerminate;
                }
                Err(why) => log::warn!("SIGQUIT: {why}; this process keeps serving"),
            }
        }
    }
}

async fn hand_over(shared: &Arc<Shared>) -> Result<(), String> {
    let Some(socket) = shared.upgrade_socket.clone() else {
        return Err("there is no `upgrade_socket` in the configuration".into());
    };
    // Both as at the start: a reload changes neither.
    handover::send(&socket, &shared.listening.sockets()).await.map_err(|error| error.to_string())
}

/// Ends the process once nothing is in flight any more, `least` from now or later: Pingora itself would sleep out its
/// whole grace period.
fn leave(shared: &Arc<Shared>, phase: Phase, least: Duration, mut signals: Signals) {
    shared.lifecycle.enter(phase);
    notify_systemd(&[sd_notify::NotifyState::Stopping], phase == Phase::Draining);
    let shared = shared.clone();
    tokio::spawn(async move {
        let drain = shared.config.load().timeouts.drain;
        let all_done = async {
            tokio::time::sleep(least).await;
            drained(&shared, drain).await
        };
        tokio::select! {
            left = all_done => {
                if left > 0 {
                    log::warn!("{left} requests were still in flight after {drain:?}: they are cut");
                } else {
                    written(&shared, drain.min(LAST_WORDS)).await;
                }
            }
            _ = signals.interrupt.recv() => log::info!("SIGINT: stopping at once"),
        }
        log::info!("mte-relay has stopped");
        telemetry::flush();
        std::process::exit(0);
    });
}

/// Waits until nothing is in flight, at most `limit`; how many requests are left.
async fn drained(shared: &Shared, limit: Duration) -> usize {
    wait(limit, || shared.in_flight.get() == 0).await;
    shared.in_flight.get()
}

/// Waits until every connection is closed, at most `limit`: over HTTP/2 a request ends when its response is handed to the
/// connection, which may not have written it yet.
async fn written(shared: &Shared, limit: Duration) {
    wait(limit, || shared.metrics.connections.get() == 0).await;
}

/// Waits until something holds, at most `limit`.
async fn wait(limit: Duration, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() && Instant::now() < deadline {
        tokio::time::sleep(TICK).await;
    }
}

/// Tells systemd, if it started this process (sd_notify(3)).
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
    fn a_relay_that_is_leaving_does_not_come_back() {
        let lifecycle = Lifecycle::default();
        lifecycle.enter(Phase::Running);
        assert!(!lifecycle.is_leaving());
        lifecycle.enter(Phase::Draining);
        lifecycle.enter(Phase::Running);
        assert_eq!(lifecycle.phase(), Phase::Draining);
    }
}
