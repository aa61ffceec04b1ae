//! Reloads the configuration of a running relay: it is read, checked, and replaced as a whole or not at all.
//!
//! Requests in flight finish under the configuration that they began with. State that depends on the configuration and is
//! kept across reloads (pairs, health, metrics, TLS sessions) is carried over; see `config::ReloadState`.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use futures_util::{FutureExt, StreamExt};
use inotify::{EventStream, Inotify, WatchDescriptor, WatchMask};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};

use crate::{
    config::{Config, Files, Problems, Source},
    lifecycle::notify_systemd,
    pairs::WatchedStore,
    telemetry::{self, Metrics},
};

/// Changes within this time of each other count as one: editors and kubelets write in several steps.
const SETTLE: Duration = Duration::from_millis(200);
/// File systems without change notifications are polled this often.
const POLL: Duration = Duration::from_secs(30);

/// The results of the reloads so far.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    /// The last reload: when it was, and its problems if it failed.
    pub last: Option<(SystemTime, Result<(), Problems>)>,
    /// Number of successful reloads.
    pub succeeded: u64,
    /// Number of failed reloads.
    pub failed: u64,
}

/// The parts of the relay that a reload changes.
pub struct Parts {
    /// The configuration in use.
    pub config: Arc<ArcSwap<Config>>,
    /// The pairs: their limits change, and those of removed tenants are removed.
    pub pairs: Arc<WatchedStore>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The results of reloads.
    pub reloads: Arc<Mutex<Reloads>>,
}

/// Reloads one relay.
pub struct Reloader {
    source: Source,
    parts: Parts,
    /// Allows one reload at a time; holds the files of the last one.
    files: Mutex<Files>,
}

impl Reloader {
    /// A relay whose configuration came from `source`.
    pub fn new(source: Source, parts: Parts) -> Self {
        let files = parts.config.load().files.clone();
        Self { source, parts, files: Mutex::new(files) }
    }

    /// Reads the configuration again, and uses it if it has no problems. Blocks on files and on the pair store: call it on a
    /// thread where blocking is allowed.
    ///
    /// # Errors
    /// All problems; the relay continues unchanged.
    pub fn reload(&self) -> Result<(), Problems> {
        let mut files = self.files.lock();
        let reload_state = self.parts.config.load().reload_state.clone();
        let loaded = self.source.load(&reload_state);
        *files =
            loaded.as_ref().map_or_else(|problems| problems.files.clone(), |config| config.files.clone());
        let outcome = loaded.map(|config| adopt(&self.parts, config));
        if outcome.is_err() {
            // State created for the broken configuration is not needed.
            reload_state.retain(&self.parts.config.load().domains);
        }
        self.note(&outcome);
        outcome
    }

    fn note(&self, outcome: &Result<(), Problems>) {
        let metrics = &self.parts.metrics;
        let result = if outcome.is_ok() { "ok" } else { "failed" };
        metrics.reloads.with_label_values(&[result]).inc();
        metrics.last_reload_successful.set(outcome.is_ok().into());
        let mut reloads = self.parts.reloads.lock();
        let now = SystemTime::now();
        match outcome {
            Ok(()) => {
                reloads.succeeded += 1;
                metrics.last_reload_success.set(seconds(now));
                log::info!("configuration reloaded");
            }
            Err(problems) => {
                reloads.failed += 1;
                for problem in problems.to_string().lines() {
                    log::error!("configuration not reloaded, the old one stays in use: {problem}");
                }
            }
        }
        reloads.last = Some((now, outcome.clone()));
    }

    /// Reloads on SIGHUP (if `signals`), and when a file changes (if the configuration says so), until dropped.
    pub async fn run(self: Arc<Self>, signals: bool) {
        let mut hangup = signals.then(|| signal(SignalKind::hangup()).ok()).flatten();
        let mut watch = Watch::new();
        let mut poll = tokio::time::interval(POLL);
        loop {
            // Another reload may be reading files; this must not block the other branches.
            if let Some(files) = self.files.try_lock() {
                watch.follow(&files, self.parts.config.load().watch);
            }
            let asked = tokio::select! {
                Some(()) = async { hangup.as_mut()?.recv().await } => {
                    log::info!("SIGHUP: reading the configuration again");
                    true
                }
                () = watch.changed() => {
                    tokio::time::sleep(SETTLE).await;
                    watch.forget();
                    false
                }
                _ = poll.tick() => false,
            };
            let this = self.clone();
            let _ = tokio::task::spawn_blocking(move || {
                if asked || (this.parts.config.load().watch && this.files.lock().changed()) {
                    let reloading = [sd_notify::NotifyState::Reloading];
                    let monotonic = sd_notify::NotifyState::monotonic_usec_now();
                    notify_systemd(&reloading.into_iter().chain(monotonic).collect::<Vec<_>>(), signals);
                    // The result is in the log, the metrics and the status page.
                    let _ = this.reload();
                    notify_systemd(&[sd_notify::NotifyState::Ready], signals);
                }
            })
            .await;
        }
    }
}

/// Applies a checked configuration. Blocks on the pair store if a tenant was removed.
fn adopt(parts: &Parts, config: Config) {
    let old = parts.config.load_full();
    let restart = config.needs_restart(&old);
    if !restart.is_empty() {
        log::warn!("changed, but used only after a restart: {}", restart.join(", "));
    }
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    if config.log.level != old.log.level {
        telemetry::set_level(config.log.level);
    }
    parts.pairs.set_limits(config.pairs);
    parts.pairs.set_tenants(&config.domains);
    let stays: HashSet<_> = config.domains.tenants().map(|tenant| tenant.id).collect();
    let config = Arc::new(config);
    parts.config.store(config.clone());
    // From now on, no new health checks of removed tenants begin.
    for tenant in config.domains.tenants().filter(|tenant| tenant.upstream.health.is_none()) {
        tenant.upstream.peers.iter().for_each(|peer| peer.state.forget_checks());
    }
    config.reload_state.retain(&config.domains);
    parts.metrics.set_certificates(config.domains.certificates());
    for gone in old.domains.tenants().filter(|tenant| !stays.contains(&tenant.id)) {
        match Handle::current().block_on(parts.pairs.remove_tenant(gone.id)) {
            Ok(()) => log::info!(tenant = &*gone.name; "tenant removed; its pairs go with it"),
            Err(why) => {
                log::warn!(tenant = &*gone.name; "tenant removed; its pairs stay until they expire: {why}");
            }
        }
    }
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Watches the folders of files: a file that is replaced, and Kubernetes' swap of a symbolic link, are seen there.
struct Watch {
    events: Option<EventStream<[u8; 4_096]>>,
    folders: HashMap<PathBuf, WatchDescriptor>,
}

impl Watch {
    /// Events that change a file or the target of its name. Not every write: a log in the same folder is written all the time.
    const CHANGES: WatchMask = WatchMask::CLOSE_WRITE
        .union(WatchMask::MOVE)
        .union(WatchMask::CREATE)
        .union(WatchMask::DELETE)
        .union(WatchMask::ATTRIB)
        .union(WatchMask::DELETE_SELF)
        .union(WatchMask::MOVE_SELF);

    fn new() -> Self {
        let events = Inotify::init().and_then(|inotify| inotify.into_event_stream([0; 4_096]));
        let events = events.inspect_err(|error| {
            log::warn!("files cannot be watched: {error}; changes are seen every {POLL:?}");
        });
        Self { events: events.ok(), folders: HashMap::new() }
    }

    /// Watches the current files; a folder that was replaced is a different one, though its name is the same.
    fn follow(&mut self, files: &Files, watch: bool) {
        let Some(events) = &self.events else { return };
        let mut wanted = HashSet::new();
        if watch {
            for path in files.paths() {
                // The folder of the name, and the folder of its target.
                let real = std::fs::canonicalize(path).ok();
                for path in [Some(path), real.as_deref()].into_iter().flatten() {
                    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                    wanted.insert(folder.unwrap_or(Path::new(".")).to_owned());
                }
            }
        }
        let mut watches = events.watches();
        for (_, gone) in self.folders.extract_if(|folder, _| !wanted.contains(folder)) {
            // An error means that the folder was removed, and the watch with it.
            let _ = watches.remove(gone);
        }
        for folder in wanted {
            if let Ok(watch) = watches.add(&folder, Self::CHANGES) {
                self.folders.insert(folder, watch);
            }
        }
    }

    /// Waits until something happens in one of the folders.
    async fn changed(&mut self) {
        let Some(events) = &mut self.events else { return std::future::pending().await };
        if let Some(Ok(_)) = events.next().await {
            return;
        }
        log::warn!("files are no longer watched; changes are seen every {POLL:?}");
        self.events = None;
    }

    /// Discards the events so far.
    fn forget(&mut self) {
        let Some(events) = &mut self.events else { return };
        while let Some(Some(Ok(_))) = events.next().now_or_never() {}
    }
}
