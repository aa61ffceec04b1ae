//! Everything that runs: two upstreams, a relay with its tenants in front of them, and the tap in front of it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use mte_relay::{
    config::{Config, ReloadState},
    relay::{Relay, Stop, Until},
};

use crate::{DemoError, tap::Tap, upstream::Upstream};

/// One tenant's host.
pub(crate) const SHOP: &str = "shop.localhost";
/// The other's.
pub(crate) const BANK: &str = "bank.localhost";

/// The host that the page's requests name: every browser resolves it. Its upstream is the shop's.
pub(crate) const PAGE: &str = "127.0.0.1";

/// The relay must start, and stop, within this time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What runs.
pub(crate) struct Demo {
    pub(crate) shop: Upstream,
    pub(crate) bank: Upstream,
    pub(crate) tap: Arc<Tap>,
    pub(crate) relay: SocketAddr,
    /// Where the page will be.
    pub(crate) page: TcpListener,
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Demo {
    /// Starts all of it; clients find it at `port`, browsers the page at `page_port`; 0 takes a free one.
    pub(crate) async fn start(port: u16, page_port: u16) -> Result<Self, DemoError> {
        let (shop, bank) = (Upstream::start().await?, Upstream::start().await?);
        // Free a moment ago; the relay takes no port 0.
        let relay = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let tap = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let tap = Arc::new(Tap::start(tap, relay).await.map_err(|error| {
            DemoError::from(format!("cannot listen on {tap}: {error}; choose another --port"))
        })?);
        // The relay has to know its origin.
        let page = TcpListener::bind((Ipv4Addr::LOCALHOST, page_port)).map_err(|error| {
            DemoError::from(format!("cannot listen on port {page_port}: {error}; choose another --page-port"))
        })?;

        let text = configuration(relay, shop.address, bank.address, page.local_addr()?.port());
        // The demo is the same everywhere: nothing is read from the environment.
        let environment = BTreeMap::<&str, &str>::new();
        let config =
            Config::parse(&text, "the demo", Path::new(""), &environment, &Arc::new(ReloadState::default()))
                .map_err(|problems| DemoError::from(problems.to_string()))?;
        let value = Relay::new(config).bind().map_err(|error| error.to_string())?;
        let (stop, until) = Until::stopped();
        let thread = std::thread::Builder::new().name("relay".into()).spawn(move || value.run(until))?;
        let demo = Self { shop, bank, tap, relay, page, stop, thread };
        demo.wait().await?;
        Ok(demo)
    }

    async fn wait(&self) -> Result<(), DemoError> {
        let deadline = Instant::now() + TIMEOUT;
        while tokio::net::TcpStream::connect(self.relay).await.is_err() {
            if self.thread.is_finished() || Instant::now() > deadline {
                return Err("the relay did not start".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Stops the relay.
    pub(crate) fn stop(self) -> Result<(), DemoError> {
        self.stop.stop();
        let deadline = Instant::now() + TIMEOUT;
        while !self.thread.is_finished() {
            if Instant::now() > deadline {
                return Err("the relay did not stop".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.thread.join().map_err(|_| "the relay panicked".into())
    }
}

fn configuration(relay: SocketAddr, shop: SocketAddr, bank: SocketAddr, page: u16) -> String {
    let secret = || format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    format!(
        r#"
listeners:
  - address: "{relay}"
admin: {{address: none}}
threads: 2
domain_map:
  {SHOP}:
    upstream: "http://{shop}"
    client_id_secret: "{}"
    pass_through_routes: ["/public/*"]
  {BANK}:
    upstream: "http://{bank}"
    client_id_secret: "{}"
    require_binding: true
  "{PAGE}":
    upstream: "http://{shop}"
    client_id_secret: "{}"
    require_binding: true
    cors_origins: ["http://127.0.0.1:{page}", "http://localhost:{page}"]
"#,
        secret(),
        secret(),
        secret()
    )
}
