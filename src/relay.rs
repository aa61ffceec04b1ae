//! One relay, as a value: built from a configuration, run until it is stopped. Several can run in one process; there is no
//! global state.

use std::{
    net::TcpListener,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::FutureExt;
use parking_lot::Mutex;
use pingora_core::{
    apps::HttpServerOptions,
    listeners::ListenerConfig,
    protocols::{
        http::v2::server::{H2Options, default_h2_options},
        l4::stream::L4BufferSettings,
    },
    server::{RunArgs, Server, ShutdownWatch, configuration::ServerConf},
    services::{
        background::{BackgroundService, background_service},
        listening::Service,
    },
};
use pingora_proxy::http_proxy;

pub use crate::shutdown::{Stop, Until};
use crate::{
    admin::{self, History},
    config::{Config, Listener, Source},
    descriptors,
    edge::{self, Connections, Edge},
    gateway::{self, Gateway, InFlightCounter},
    handover,
    lifecycle::{self, Lifecycle, Phase},
    limits::{GatherBudget, WorkQueue},
    listening::{self, CannotListen, Listening, Supervised},
    pairs::{Outside, PairStore, RETRY_INTERVAL, SWEEP_INTERVAL, Unavailable, WatchedStore},
    pool::CodecPool,
    rate::{KeyedRate, PairingRate},
    reload::{self, Reloader, Reloads},
    shutdown::{self, Shutdown},
    telemetry::Metrics,
    upstream::{Upstream, health},
};

/// Bytes that are collected for one write to a client: a response's head and a small body are sent together.
/// Streamed bodies are still flushed part by part.
const WRITE_BUFFER: usize = 16 << 10;

/// The state that several parts of a relay share. No part sees all of it: each gets what it needs.
pub struct Shared {
    /// The configuration; a request keeps using the one that it began with.
    pub config: Arc<ArcSwap<Config>>,
    /// The listeners, from the configuration at the start.
    pub listeners: Vec<Listener>,
    /// Their sockets.
    pub listening: Arc<Listening>,
    /// The socket over which a successor takes them over, also from the start.
    pub upgrade_socket: Option<PathBuf>,
    /// The pairs.
    pub pairs: Arc<WatchedStore>,
    /// The codec pool.
    pub pool: Arc<CodecPool>,
    /// Limits bodies held in memory.
    pub gathered: Arc<GatherBudget>,
    /// Limits connections.
    pub connections: Arc<Connections>,
    /// Requests in flight.
    pub in_flight: InFlightCounter,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The relay's phase.
    pub lifecycle: Arc<Lifecycle>,
    /// The results of reloads.
    pub reloads: Arc<Mutex<Reloads>>,
    /// The samples of the last minutes, for the status page.
    pub history: Arc<History>,
}

impl health::Upstreams for Shared {
    fn each(&self, show: &mut dyn FnMut(&Arc<Upstream>)) {
        self.config.load().domains.tenants().for_each(|tenant| show(&tenant.upstream));
    }
}

impl Shared {
    fn for_gateway(&self, threads: usize) -> gateway::Parts {
        gateway::Parts {
            config: self.config.clone(),
            pairs: self.pairs.clone(),
            pool: self.pool.clone(),
            pairing_rate: PairingRate::default(),
            pairing_work: WorkQueue::new(threads),
            gathered: self.gathered.clone(),
            connections: self.connections.clone(),
            request_rate: KeyedRate::default(),
            failure_rate: KeyedRate::default(),
            in_flight: self.in_flight.clone(),
            metrics: self.metrics.clone(),
            lifecycle: self.lifecycle.clone(),
        }
    }

    fn for_edge(&self) -> edge::Parts {
        edge::Parts {
            config: self.config.clone(),
            listeners: self.listeners.clone(),
            connections: self.connections.clone(),
            metrics: self.metrics.clone(),
        }
    }

    fn for_reload(&self) -> reload::Parts {
        reload::Parts {
            config: self.config.clone(),
            pairs: self.pairs.clone(),
            metrics: self.metrics.clone(),
            reloads: self.reloads.clone(),
        }
    }

    fn for_shutdown(&self) -> shutdown::Parts {
        shutdown::Parts {
            config: self.config.clone(),
            lifecycle: self.lifecycle.clone(),
            in_flight: self.in_flight.clone(),
            metrics: self.metrics.clone(),
            listening: self.listening.clone(),
            upgrade_socket: self.upgrade_socket.clone(),
        }
    }

    /// The parts that the admin listener shows.
    pub fn for_admin(&self) -> Arc<admin::Parts> {
        Arc::new(admin::Parts {
            config: self.config.clone(),
            listeners: self.listeners.clone(),
            listening: self.listening.clone(),
            pairs: self.pairs.clone(),
            pool: self.pool.clone(),
            in_flight: self.in_flight.clone(),
            metrics: self.metrics.clone(),
            lifecycle: self.lifecycle.clone(),
            reloads: self.reloads.clone(),
            history: self.history.clone(),
        })
    }
}

/// A relay that is built, but not running yet.
pub struct Relay {
    shared: Arc<Shared>,
    source: Option<Source>,
    /// Sockets that another process bound.
    inherited: Vec<TcpListener>,
    /// A socket for each listener, once they are bound.
    bound: Option<Vec<TcpListener>>,
    /// The socket of the admin listener.
    admin: Option<TcpListener>,
}

impl Relay {
    /// Builds a relay with its pairs where the configuration says; nothing listens yet.
    pub fn new(config: Config) -> Self {
        let metrics = config.reload_state.metrics.pair_store.clone();
        let pairs = match &config.redis {
            None => WatchedStore::in_memory(config.pairs, metrics),
            Some(redis) => WatchedStore::in_redis(redis, config.pairs, metrics),
        };
        Self::over(config, pairs)
    }

    /// Builds a relay with its pairs in the store that `make` creates.
    pub fn with_store(config: Config, make: impl FnOnce(Outside) -> Arc<dyn PairStore>) -> Self {
        let pairs = WatchedStore::new(make, config.reload_state.metrics.pair_store.clone());
        Self::over(config, pairs)
    }

    fn over(config: Config, pairs: WatchedStore) -> Self {
        let metrics = config.reload_state.metrics.clone();
        metrics.last_reload_success.set(reload::seconds(std::time::SystemTime::now()));
        pairs.set_tenants(&config.domains);
        metrics.set_certificates(config.domains.certificates());
        let shared = Shared {
            listening: Arc::default(),
            listeners: config.listeners.clone(),
            upgrade_socket: config.upgrade_socket.clone(),
            pairs: Arc::new(pairs),
            pool: Arc::new(CodecPool::new(config.pool_size, metrics.pool.clone())),
            gathered: Arc::default(),
            connections: Arc::default(),
            in_flight: InFlightCounter::default(),
            metrics,
            lifecycle: Arc::default(),
            reloads: Arc::default(),
            history: Arc::default(),
            config: Arc::new(ArcSwap::from_pointee(config)),
        };
        Self { shared: Arc::new(shared), source: None, inherited: Vec::new(), bound: None, admin: None }
    }

    /// Enables reloads of the configuration from its source.
    pub fn reloading(self, source: Source) -> Self {
        Self { source: Some(source), ..self }
    }

    /// The state that its parts share, for a status page or a test.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Passes in sockets that another process bound: a listener with the same address uses one, others are closed.
    pub fn inheriting(self, sockets: Vec<TcpListener>) -> Self {
        Self { inherited: sockets, ..self }
    }

    /// Binds every listener, and the admin listener if its address was configured. Clients cannot connect before
    /// [`Self::run`], which binds the sockets that are not bound yet.
    ///
    /// # Errors
    /// The address that cannot be bound, and why.
    pub fn bind(mut self) -> Result<Self, CannotListen> {
        self.bound = Some(self.sockets()?);
        let config = self.shared.config.load();
        if let Some(address) = config.admin.address.filter(|_| config.admin.required) {
            self.admin = Some(TcpListener::bind(address).map_err(CannotListen::at(address))?);
        }
        drop(config);
        Ok(self)
    }

    /// A socket for each listener.
    fn sockets(&mut self) -> Result<Vec<TcpListener>, CannotListen> {
        let inherited = std::mem::take(&mut self.inherited);
        self.bound.take().map_or_else(|| listening::open(&self.shared.listeners, inherited), Ok)
    }

    /// Runs until it is stopped or cannot continue (`Lifecycle::failure`). Blocks; creates its own worker threads.
    pub fn run(self, until: Until) {
        let lifecycle = self.shared.lifecycle.clone();
        if let Err(error) = self.prepare() {
            log::error!("{error}; the relay does not start");
            return lifecycle.fail(error);
        }
        if let Err(error) = self.serve(until) {
            log::error!("{error}; the relay ends");
            lifecycle.fail(error);
        }
    }

    /// Takes over the listeners of a running relay, then runs until a signal.
    ///
    /// # Errors
    /// Why the listeners were not taken over.
    pub fn take_over(mut self, socket: &Path) -> Result<(), handover::Error> {
        let failed = |error| handover::Error::System { path: socket.to_owned(), error };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let received = runtime.block_on(handover::receive(socket))?;
        drop(runtime);
        self.inherited.splice(0..0, received);
        self.run(Until::Signal);
        Ok(())
    }

    /// Waits until the pair store can be used.
    fn prepare(&self) -> Result<(), Unavailable> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Unavailable::because(error.to_string()))?;
        runtime.block_on(self.shared.pairs.prepare())
    }

    fn serve(mut self, until: Until) -> Result<(), CannotListen> {
        let sockets = self.sockets()?;
        let config = self.shared.config.load_full();
        let signals = matches!(until, Until::Signal);
        reserve_descriptors(&self.shared.connections, config.limits.connections);
        let conf = ServerConf {
            threads: config.threads,
            // One worker needs no scheduler for several, and less CPU without it.
            work_stealing: config.threads > 1,
            // The relay itself waits for requests in flight, then exits (see `lifecycle`), before Pingora would.
            grace_period_seconds: Some(if signals { u64::from(u32::MAX) } else { 0 }),
            graceful_shutdown_timeout_seconds: Some(1),
            upstream_keepalive_pool_size: 512,
            ..ServerConf::default()
        };
        let mut server = Server::new_with_opt_and_conf(None, conf);
        server.bootstrap();

        let mut gateway =
            http_proxy(&server.configuration, Gateway::new(self.shared.for_gateway(config.threads)));
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(config.timeouts.idle);
        // The gateway refuses the method itself, so that this is logged and counted like other refusals.
        options.allow_connect_method_proxying = true;
        gateway.server_options = Some(options);
        gateway.h2_options = Some(http2(&config));
        let edge = Edge::new(gateway, self.shared.for_edge());
        let mut service = Service::new("gateway".into(), edge);
        for Listener { address, .. } in &config.listeners {
            let buffer = L4BufferSettings::default().write(WRITE_BUFFER);
            service.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(buffer));
        }
        let (listening, lifecycle) = (self.shared.listening.clone(), self.shared.lifecycle.clone());
        let ready = ready(self.shared.clone(), signals);
        let listeners = config.listeners.clone();
        server.add_service(Supervised::new(service, listeners, sockets, listening, lifecycle, ready));
        let reloader = self.source.map(|source| Arc::new(Reloader::new(source, self.shared.for_reload())));
        let admin = admin::Service::new(self.shared.for_admin(), reloader.clone(), self.admin);
        let mut admin = background_service("admin", admin);
        admin.threads = Some(1);
        server.add_service(admin);
        let upkeep = Upkeep { shared: self.shared.clone(), reloader, signals };
        let mut upkeep = background_service("upkeep", upkeep);
        upkeep.threads = Some(1);
        server.add_service(upkeep);
        let shutdown = Shutdown::new(until, self.shared.for_shutdown());
        server.run(RunArgs { shutdown_signal: Box::new(shutdown) });
        Ok(())
    }
}

/// Limits connections to the available file descriptors, and warns if there are too few.
fn reserve_descriptors(connections: &Connections, wanted: usize) {
    let Some(capacity) = descriptors::connection_capacity() else { return };
    connections.set_descriptor_limit(capacity);
    // Without a configured limit on connections, the descriptors are the limit.
    if capacity < wanted && wanted != usize::MAX {
        log::warn!(
            "limits.connections: there are file descriptors for {capacity} connections only, not for {wanted}: raise the limit \
             of open files (LimitNOFILE, ulimit -n) to {}, or lower limits.connections",
            descriptors::needed(wanted)
        );
    }
}

/// How many bytes of a response HTTP/2 buffers, for each request, while the client does not read it.
const H2_SEND_BUFFER: usize = 128 << 10;

/// Leaves `max_header_bytes` to the gateway, which logs its refusals: HTTP/2 counts 32 bytes more for every field.
fn http2(config: &Config) -> H2Options {
    const FIELDS: usize = 512;
    let most = config.limits.max_header_bytes.saturating_add(FIELDS * 32);
    let mut options = default_h2_options();
    options.max_header_list_size(u32::try_from(most).unwrap_or(u32::MAX));
    options.max_send_buffer_size(H2_SEND_BUFFER);
    options
}

/// The background work, on a separate thread.
struct Upkeep {
    shared: Arc<Shared>,
    reloader: Option<Arc<Reloader>>,
    /// Whether the relay handles this process's signals.
    signals: bool,
}

/// A relay's background work has ended.
#[derive(Debug, thiserror::Error)]
#[error("health checks and reloads ended with a panic")]
struct UpkeepPanicked;

#[async_trait]
impl BackgroundService for Upkeep {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let shared = &self.shared;
        let reloads = async {
            match &self.reloader {
                Some(reloader) => reloader.clone().run(self.signals).await,
                None => std::future::pending().await,
            }
        };
        let upkeep = async {
            tokio::join!(
                sweep(shared),
                health::run(&**shared),
                admin::sample(shared.for_admin()),
                reloads,
                shared.listening.watch(&shared.lifecycle),
            )
        };
        let upkeep = async {
            tokio::select! {
                _ = upkeep => {}
                _ = shutdown.changed() => {}
            }
        };
        if AssertUnwindSafe(upkeep).catch_unwind().await.is_err() {
            shared.lifecycle.fail(UpkeepPanicked);
        }
    }
}

/// Drops expired pairs, and clients of outbound peers that are not used.
async fn sweep(shared: &Shared) {
    loop {
        shared.pairs.sweep().await;
        for outbound in shared.config.load().domains.tenants().filter_map(|tenant| tenant.outbound.as_ref()) {
            outbound.clients.sweep(std::time::Instant::now());
        }
        let available = shared.pairs.unavailable().is_none();
        tokio::time::sleep(if available { SWEEP_INTERVAL } else { RETRY_INTERVAL }).await;
    }
}

/// Reports readiness once every listener accepts connections, in the log and to systemd.
fn ready(shared: Arc<Shared>, signals: bool) -> impl Fn() {
    move || {
        shared.lifecycle.enter(Phase::Running);
        let addresses = shared.listeners.iter().map(|listener| listener.address.to_string());
        log::info!("mte-relay listens on {}", addresses.collect::<Vec<_>>().join(", "));
        let main = sd_notify::NotifyState::MainPid(std::process::id());
        lifecycle::notify_systemd(&[sd_notify::NotifyState::Ready, main], signals);
    }
}
