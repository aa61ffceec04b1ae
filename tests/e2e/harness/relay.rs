//! The relay under test: a value in this process, with its own threads.

use std::{
    collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, thread::JoinHandle, time::Duration,
};

use mte_client::{Builder, RelayClient};
use mte_relay::{
    config::{Config, ReloadState},
    relay::{Shared, Stop, Until},
};

use super::{HOST, Upstream, Wire, connections, eventually, free_port};

/// A configuration to start a relay with.
#[derive(Default)]
pub(crate) struct Setup {
    top: String,
    tenants: String,
    listeners: String,
}

impl Setup {
    /// Adds lines at the top level.
    pub(crate) fn top(mut self, lines: &str) -> Self {
        self.top.push_str(lines);
        self.top.push('\n');
        self
    }

    /// Adds settings of every listener: `key: value`, separated by commas.
    pub(crate) fn listeners(mut self, settings: &str) -> Self {
        self.listeners = format!(", {settings}");
        self
    }

    /// Adds a tenant.
    pub(crate) fn tenant(mut self, host: &str, upstream: &str, lines: &str) -> Self {
        self.tenants.push_str(&format!(
            "  {host:?}:\n    upstream: {upstream}\n    client_id_secret: a secret of tests, as long as it ought to be\n"
        ));
        for line in lines.lines() {
            self.tenants.push_str(&format!("    {}\n", line.trim_start()));
        }
        self
    }

    /// The configuration file of a relay on `port`, with an additional TLS listener if a tenant has a certificate.
    pub(crate) fn text(&self, port: u16) -> String {
        let more = &self.listeners;
        let mut text = format!("listeners:\n  - {{address: \"127.0.0.1:{port}\"{more}}}\n");
        if self.tenants.contains("tls: {certificate") {
            text.push_str(&format!("  - {{address: \"127.0.0.1:{}\", tls: true{more}}}\n", free_port()));
        }
        text.push_str("threads: 2\n");
        if !self.top.contains("admin:") {
            text.push_str("admin: {address: none}\n");
        }
        if !self.top.contains("pool_size") {
            text.push_str("pool_size: 8\n");
        }
        format!("{text}{}domain_map:\n{}", self.top, self.tenants)
    }

    /// Starts a relay.
    pub(crate) async fn start(&self) -> Relay {
        Relay::start(self.config(free_port())).await
    }

    /// The configuration of a relay on `port`.
    pub(crate) fn config(&self, port: u16) -> Config {
        let environment = BTreeMap::<&str, &str>::new();
        let text = self.text(port);
        let config =
            Config::parse(&text, "test", Path::new("."), &environment, &Arc::new(ReloadState::default()));
        config.unwrap_or_else(|problems| panic!("{problems}"))
    }
}

/// A relay that runs until it is dropped.
pub(crate) struct Relay {
    pub address: SocketAddr,
    /// The TLS listener's address, if there is one.
    pub tls: Option<SocketAddr>,
    pub shared: Arc<Shared>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// A relay with a single tenant, [`HOST`].
    pub(crate) async fn of(upstream: &Upstream) -> Self {
        Setup::default().tenant(HOST, &upstream.url(), "").start().await
    }

    pub(crate) async fn start(config: Config) -> Self {
        Self::run(mte_relay::relay::Relay::new(config)).await
    }

    pub(crate) async fn run(relay: mte_relay::relay::Relay) -> Self {
        let shared = relay.shared();
        let address = shared.listeners[0].address;
        let tls = shared.listeners.iter().find(|listener| listener.tls).map(|listener| listener.address);
        let (stop, until) = Until::stopped();
        let thread = std::thread::spawn(move || relay.run(until));
        let relay = Self { address, tls, shared, stop, thread: Some(thread) };
        eventually("the relay listens", || std::net::TcpStream::connect(address).is_ok()).await;
        eventually("the test connection is closed", || connections(address.port()) == 0).await;
        relay
    }

    /// Settings of a client of the tenant `host`, with one pair.
    pub(crate) fn builder(&self, host: &str) -> Builder {
        RelayClient::builder(format!("http://{}", self.address))
            .host(host)
            .pairs(1)
            .timeout(Duration::from_secs(10))
    }

    /// A client of the tenant [`HOST`].
    pub(crate) fn client(&self) -> RelayClient {
        self.builder(HOST).build().unwrap()
    }

    /// A connection for HTTP/1.1.
    pub(crate) async fn wire(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// Sends one plain request on a new connection and reads the response.
    pub(crate) async fn ask(&self, request: &str) -> super::Message {
        let mut wire = self.wire().await;
        wire.send(request).await;
        let bodiless = request.starts_with("HEAD");
        wire.response(bodiless).await.expect("an answer")
    }

    /// Waits until no request is in flight and every instance is back in the pool.
    pub(crate) async fn settled(&self) {
        let Shared { in_flight, pool, .. } = &*self.shared;
        eventually("no request is in flight", || in_flight.get() == 0).await;
        eventually("every instance is back in the pool", || pool.ready() == pool.size()).await;
    }

    /// Waits until no client has a connection.
    pub(crate) async fn deserted(&self) {
        self.settled().await;
        let port = self.address.port();
        eventually("no client is connected", || connections(port) == 0).await;
    }

    /// Stops it and waits until it has stopped.
    pub(crate) async fn stop(mut self) {
        self.stop.stop();
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.stop();
    }
}
