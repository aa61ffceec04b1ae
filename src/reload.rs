//! A new configuration for a running relay: read, checked, and swapped whole, or not at all.
//!
//! Requests in flight end under the configuration that they began with. What depends on the configuration and outlives
//! it (pairs, health, metrics, sessions of TLS) is carried over; see `config::Carried`.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{
    config::{Config, Files, Problems, Source},
    lifecycle::notify_systemd,
    relay::Shared,
    telemetry,
};

/// Changes that come within this time of each other are one: editors and kubelets write in several steps.
const SETTLE: Duration = Duration::from_millis(200);
/// File systems that tell nothing of changes are looked at this often.
const POLL: Duration = Duration::from_secs(30);

/// What came of the reloads so far.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    /// The last one: when, and what was wrong if it failed.
    pub last: Option<(SystemTime, Result<(), String>)>,
    /// How many succeeded.
    pub succeeded: u64,
    /// How many failed.
    pub failed: u64,
}

/// Reloads one relay.
pub struct Reloader {
    source: Source,
    shared: Arc<Shared>,
    /// One reload at a time; the files of the last.
    files: Mutex<Files>,
}

impl Reloader {
    /// A relay whose configuration came from `source`.
    pub fn new(source: Source, shared: Arc<Shared>) -> Self {
        let files = shared.config.load().files.clone();
        Self { source, shared, files: Mutex::new(files) }
    }

    /// Reads the configuration again and uses it, if nothing is wrong with it. Blocks on files.
    ///
    /// # Errors
    /// Everything that is wrong; the relay goes on as it was.
    pub fn reload(&self) -> Result<(), Problems> {
        let mut files = self.files.lock();
        let carried = self.shared.config.load().carried.clone();
        let loaded = self.source.load(&carried);
        *files =
            loaded.as_ref().map_or_else(|problems| problems.files.clone(), |config| config.files.clone());
        let outcome = loaded.map(|config| adopt(&self.shared, config));
        if outcome.is_err() {
            // What the broken one brought along is not needed.
            carried.retain(&self.shared.config.load().domains);
        }
        self.note(&outcome);
        outcome
    }

    fn note(&self, outcome: &Result<(), Problems>) {
        let metrics = &self.shared.metrics;
        let result = if outcome.is_ok() { "ok" } else { "failed" };
        metrics.reloads.with_label_values(&[result]).inc();
        metrics.last_reload_successful.set(outcome.is_ok().into());
        let mut reloads = self.shared.reloads.lock();
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
        reloads.last = Some((now, outcome.as_ref().map(|_| ()).map_err(ToString::to_string)));
    }

    /// Reloads on SIGHUP (if `signals`), and when a file changes (if the configuration says so), until dropped.
    pub async fn run(self: Arc<Self>, signals: bool) {
        let mut hangup = signals.then(|| signal(SignalKind::hangup()).ok()).flatten();
        let (changed, mut changes) = mpsc::channel(1);
        let mut watch = Watch::new(changed);
        let mut poll = tokio::time::interval(POLL);
        loop {
            watch.follow(&self.files.lock(), self.shared.config.load().watch);
            let asked = tokio::select! {
                Some(()) = async { hangup.as_mut()?.recv().await } => {
                    log::info!("SIGHUP: reading the configuration again");
                    true
                }
                Some(()) = changes.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    while changes.try_recv().is_ok() {}
                    false
                }
                _ = poll.tick() => false,
            };
            let this = self.clone();
            let _ = tokio::task::spawn_blocking(move || {
                if asked || (this.shared.config.load().watch && this.files.lock().changed()) {
                    let reloading = [sd_notify::NotifyState::Reloading];
                    let monotonic = sd_notify::NotifyState::monotonic_usec_now();
                    notify_systemd(&reloading.into_iter().chain(monotonic).collect::<Vec<_>>(), signals);
                    // What came of it is in the log, the metrics and the status page.
                    let _ = this.reload();
                    notify_systemd(&[sd_notify::NotifyState::Ready], signals);
                }
            })
            .await;
        }
    }
}

/// Puts a checked configuration to use.
fn adopt(shared: &Shared, config: Config) {
    let old = shared.config.load_full();
    let restart = config.needs_restart(&old);
    if !restart.is_empty() {
        log::warn!("changed, but used only after a restart: {}", restart.join(", "));
    }
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    if config.log.level != old.log.level {
        telemetry::set_level(config.log.level);
    }
    shared.pairs.set_limits(config.pairs);
    shared.pairs.set_tenants(&config.domains);
    let stays: HashSet<_> = config.domains.tenants().map(|tenant| tenant.id).collect();
    for tenant in config.domains.tenants().filter(|tenant| tenant.upstream.health.is_none()) {
        tenant.upstream.peers.iter().for_each(|peer| peer.state.forget_checks());
    }
    let config = Arc::new(config);
    shared.config.store(config.clone());
    config.carried.retain(&config.domains);
    for gone in old.domains.tenants().filter(|tenant| !stays.contains(&tenant.id)) {
        log::info!(tenant = &*gone.name; "tenant removed; its pairs go with it");
        shared.pairs.remove_tenant(gone.id);
    }
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Watches the folders of files: a file that is replaced, and Kubernetes' swap of a symbolic link, are seen there.
struct Watch {
    watcher: Option<RecommendedWatcher>,
    folders: HashSet<PathBuf>,
}

impl Watch {
    fn new(changed: mpsc::Sender<()>) -> Self {
        let tell = move |event: notify::Result<notify::Event>| {
            // A full channel has the news already. Being read is no change.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = changed.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(tell).inspect_err(|error| {
            log::warn!("files cannot be watched: {error}; changes are seen every {POLL:?}")
        });
        Self { watcher: watcher.ok(), folders: HashSet::new() }
    }

    /// Follows the files of now.
    fn follow(&mut self, files: &Files, watch: bool) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted = HashSet::new();
        if watch {
            for path in files.paths() {
                // Where the name is, and where what it points at is.
                let real = std::fs::canonicalize(path).ok();
                for path in [Some(path), real.as_deref()].into_iter().flatten() {
                    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                    wanted.insert(folder.unwrap_or(Path::new(".")).to_owned());
                }
            }
        }
        for gone in self.folders.difference(&wanted) {
            let _ = watcher.unwatch(gone);
        }
        let watched = |folder: &PathBuf| {
            let known = self.folders.contains(folder);
            known || watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()
        };
        wanted.retain(watched);
        self.folders = wanted;
    }
}
