//! One relay, as a value: built from a configuration, run until it is told to stop. Two of them can live in
//! one process; nothing is global.

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::{
    apps::HttpServerOptions,
    listeners::ListenerConfig,
    protocols::l4::stream::L4BufferSettings,
    server::{
        RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch, configuration::ServerConf,
    },
    services::{
        background::{BackgroundService, background_service},
        listening::Service,
    },
};
use pingora_proxy::http_proxy;
use tokio::sync::watch;

use crate::{
    config::{Config, Listener},
    control::PairingRate,
    gateway::{Gateway, InFlightCounter},
    pairs::MemoryStore,
    pool::CodecPool,
    tls::Edge,
};

/// Bytes that are gathered for one write to a client: a response's head and a small body go out together.
/// What is streamed is flushed part by part all the same.
const WRITE_BUFFER: usize = 16 << 10;

/// What the parts of one relay share.
pub struct Shared {
    /// The configuration; a request keeps the one it began with.
    pub config: ArcSwap<Config>,
    /// The pairs.
    pub pairs: MemoryStore,
    /// The codec pool.
    pub pool: Arc<CodecPool>,
    /// Limits pairing.
    pub pairing_rate: PairingRate,
    /// Requests in flight.
    pub in_flight: InFlightCounter,
}

/// A relay that is built, and not running yet.
pub struct Relay {
    shared: Arc<Shared>,
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
    /// On SIGINT or SIGTERM.
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

impl Relay {
    /// Builds a relay; nothing listens yet.
    pub fn new(config: Config) -> Self {
        let shared = Shared {
            pairs: MemoryStore::new(config.pairs),
            pool: Arc::new(CodecPool::new(config.pool_size)),
            pairing_rate: PairingRate::default(),
            in_flight: InFlightCounter::default(),
            config: ArcSwap::from_pointee(config),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What its parts share: for a status page, or a test.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Checks that every address can be listened on, which Pingora would only find out by a panic.
    ///
    /// # Errors
    /// The address and why.
    pub fn check_listeners(&self) -> Result<(), (SocketAddr, std::io::Error)> {
        for Listener { address, .. } in &self.shared.config.load().listeners {
            std::net::TcpListener::bind(address).map_err(|error| (*address, error))?;
        }
        Ok(())
    }

    /// Runs until it is told to stop. Blocks; makes its own worker threads.
    pub fn run(self, until: Until) {
        let config = self.shared.config.load_full();
        let conf = ServerConf {
            threads: config.threads,
            // The wait for requests in flight is ours: see `Signals`.
            grace_period_seconds: Some(0),
            graceful_shutdown_timeout_seconds: Some(1),
            upstream_keepalive_pool_size: 512,
            ..ServerConf::default()
        };
        let mut server = Server::new_with_opt_and_conf(None, conf);
        server.bootstrap();
        let mut gateway = http_proxy(&server.configuration, Gateway::new(self.shared.clone()));
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(config.timeouts.idle);
        gateway.server_options = Some(options);
        let tls = config.listeners.iter().filter(|listener| listener.tls).map(|listener| listener.address);
        let edge = Edge::new(gateway, self.shared.clone(), tls.collect());
        let mut service = Service::new("gateway".into(), edge);
        for Listener { address, .. } in &config.listeners {
            let buffer = L4BufferSettings::default().write(WRITE_BUFFER);
            service.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(buffer));
        }
        server.add_service(service);
        server.add_service(background_service("pair sweeper", Sweeper(self.shared.clone())));
        let signals = Signals { until: tokio::sync::Mutex::new(until), shared: self.shared.clone() };
        server.run(RunArgs { shutdown_signal: Box::new(signals) });
    }
}

/// Drops pairs that are past their time.
struct Sweeper(Arc<Shared>);

#[async_trait]
impl BackgroundService for Sweeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut interval = tokio::time::interval(MemoryStore::SWEEP_INTERVAL);
        loop {
            tokio::select! {
                _ = interval.tick() => self.0.pairs.sweep(),
                _ = shutdown.changed() => return,
            }
        }
    }
}

/// Waits for the word to stop, then for requests in flight, then tells Pingora.
struct Signals {
    until: tokio::sync::Mutex<Until>,
    shared: Arc<Shared>,
}

impl Signals {
    async fn drain(&self) {
        let deadline = tokio::time::Instant::now() + self.shared.config.load().timeouts.drain;
        while self.shared.in_flight.get() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        use tokio::signal::unix::{SignalKind, signal};
        match &mut *self.until.lock().await {
            Until::Stopped(stop) => {
                // An error means that the other end is gone, which is a stop as well.
                let _ = stop.wait_for(|stop| *stop).await;
                self.drain().await;
                ShutdownSignal::FastShutdown
            }
            Until::Signal => {
                let (Ok(mut terminate), Ok(mut interrupt)) =
                    (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
                else {
                    log::error!("signals cannot be handled here; stopping");
                    return ShutdownSignal::FastShutdown;
                };
                tokio::select! {
                    _ = terminate.recv() => {
                        log::info!("SIGTERM: requests in flight may finish");
                        self.drain().await;
                    }
                    _ = interrupt.recv() => {}
                }
                ShutdownSignal::FastShutdown
            }
        }
    }
}
