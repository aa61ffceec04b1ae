//! Shutdown: signals, drain, and the handover to a successor.
//!
//! SIGTERM: readiness fails, listeners close, requests in flight may finish, and the process ends as soon as there are
//! none. SIGINT: immediately. SIGQUIT: a successor that waits at `upgrade_socket` gets the listeners (see `handover`), and this
//! process drains as on SIGTERM; without one nothing happens. SIGHUP is handled by `reload`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::Instant,
};

use crate::{
    config::Config,
    gateway::InFlightCounter,
    handover,
    lifecycle::{LINGER, Lifecycle, Phase, notify_systemd},
    listening::Listening,
    telemetry::{self, Metrics},
};

/// How often a draining relay checks whether it may exit.
const TICK: Duration = Duration::from_millis(10);
/// Requests that were in transit when the listeners closed arrive within this time.
const LAST_ARRIVALS: Duration = Duration::from_millis(100);
/// Time limit for writing the rest of the responses.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
    /// When the sender sends a stop.
    Stopped(watch::Receiver<bool>),
}

impl Until {
    /// A relay that another part of this process stops.
    pub fn stopped() -> (Stop, Self) {
        let (sender, receiver) = watch::channel(false);
        (Stop(sender), Self::Stopped(receiver))
    }
}

/// Signals Pingora when to shut down.
pub(crate) struct Shutdown {
    until: tokio::sync::Mutex<Until>,
    parts: Arc<Parts>,
}

/// The parts that a shutdown stops, waits for, and hands over.
pub(crate) struct Parts {
    pub(crate) config: Arc<ArcSwap<Config>>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) in_flight: InFlightCounter,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) listening: Arc<Listening>,
    /// The socket over which a successor takes over the listeners.
    pub(crate) upgrade_socket: Option<PathBuf>,
}

impl Shutdown {
    pub(crate) fn new(until: Until, parts: Parts) -> Self {
        Self { until: tokio::sync::Mutex::new(until), parts: Arc::new(parts) }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Shutdown {
    async fn recv(&self) -> ShutdownSignal {
        match &mut *self.until.lock().await {
            Until::Stopped(stop) => {
                tokio::select! {
                    // An error means that the sender was dropped, which is a stop as well.
                    _ = stop.wait_for(|stop| *stop) => {}
                    () = self.parts.lifecycle.failed() => return ShutdownSignal::FastShutdown,
                }
                self.parts.lifecycle.enter(Phase::Draining);
                drained(&self.parts, self.parts.config.load().timeouts.drain).await;
                ShutdownSignal::FastShutdown
            }
            Until::Signal => match Signals::new() {
                Ok(signals) => by_signal(&self.parts, signals).await,
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

async fn by_signal(parts: &Arc<Parts>, mut signals: Signals) -> ShutdownSignal {
    loop {
        tokio::select! {
            () = parts.lifecycle.failed() => return ShutdownSignal::FastShutdown,
            _ = signals.interrupt.recv() => {
                parts.lifecycle.enter(Phase::Draining);
                log::info!("SIGINT: stopping at once");
                return ShutdownSignal::FastShutdown;
            }
            _ = signals.terminate.recv() => {
                let drain = parts.config.load().timeouts.drain;
                log::info!("SIGTERM: {} requests in flight may finish, within {drain:?}", parts.in_flight.get());
                leave(parts, Phase::Draining, LAST_ARRIVALS, signals);
                return ShutdownSignal::GracefulTerminate;
            }
            _ = signals.quit.recv() => match hand_over(parts).await {
                Ok(()) => {
                    log::info!("SIGQUIT: a successor has the listeners; requests in flight may finish");
                    leave(parts, Phase::HandingOver, LINGER + LAST_ARRIVALS, signals);
                    return ShutdownSignal::GracefulTerminate;
                }
                Err(why) => log::warn!("SIGQUIT: {why}; this process keeps serving"),
            }
        }
    }
}

/// Why this process keeps its listeners.
#[derive(Debug, thiserror::Error)]
enum NotHandedOver {
    #[error("there is no `upgrade_socket` in the configuration")]
    NoSocket,
    #[error(transparent)]
    Failed(#[from] handover::Error),
}

async fn hand_over(parts: &Arc<Parts>) -> Result<(), NotHandedOver> {
    let socket = parts.upgrade_socket.as_deref().ok_or(NotHandedOver::NoSocket)?;
    // Both are from the start: a reload does not change them.
    handover::send(socket, &parts.listening.sockets()).await?;
    Ok(())
}

/// Ends the process once no requests are in flight, but not before `least` has passed: Pingora itself would always wait for
/// its whole grace period.
fn leave(parts: &Arc<Parts>, phase: Phase, least: Duration, mut signals: Signals) {
    parts.lifecycle.enter(phase);
    notify_systemd(&[sd_notify::NotifyState::Stopping], phase == Phase::Draining);
    let parts = parts.clone();
    tokio::spawn(async move {
        let drain = parts.config.load().timeouts.drain;
        let all_done = async {
            tokio::time::sleep(least).await;
            drained(&parts, drain).await
        };
        tokio::select! {
            left = all_done => {
                if left > 0 {
                    log::warn!("{left} requests were still in flight after {drain:?}: they are cut off");
                } else {
                    written(&parts, drain.min(LAST_WORDS)).await;
                }
            }
            _ = signals.interrupt.recv() => log::info!("SIGINT: stopping at once"),
        }
        log::info!("mte-relay has stopped");
        telemetry::flush();
        std::process::exit(0);
    });
}

/// Waits until no requests are in flight, at most `limit`; returns how many are left.
async fn drained(parts: &Parts, limit: Duration) -> usize {
    wait(limit, || parts.in_flight.get() == 0).await;
    parts.in_flight.get()
}

/// Waits until every connection is closed, at most `limit`: over HTTP/2 a request ends when its response is handed to the
/// connection, which may not have written it yet.
async fn written(parts: &Parts, limit: Duration) {
    wait(limit, || parts.metrics.connections.get() == 0).await;
}

/// Waits until something holds, at most `limit`.
async fn wait(limit: Duration, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() && Instant::now() < deadline {
        tokio::time::sleep(TICK).await;
    }
}
