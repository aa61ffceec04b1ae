//! The admin listener, for operators. Never on a tenant's listener, and on a separate thread.
//!
//! | route | what it is |
//! | --- | --- |
//! | `GET /` | the status page |
//! | `GET /status.json` | the data of the page: the last ten minutes |
//! | `GET /metrics` | metrics for Prometheus |
//! | `GET /livez` | 200 while the process runs |
//! | `GET /readyz` | 200 if the relay should receive requests, otherwise 503; the reasons, in JSON |
//! | `GET /config` | the effective settings as YAML, secrets masked |
//! | `GET /log-level`, `PUT /log-level` | the log's level, as text |
//! | `POST /reload` | reads the configuration again; answers with its problems, if there are any |
//!
//! Methods other than GET and HEAD change something: they need the admin token, or the Unix socket. Over TCP only requests
//! for one of the listener's own names are answered: a web page could make its own name resolve to this address.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `listen` | sockets and connections; descriptors in reserve |
//! | `refusal` | which requests are refused, and why |
//! | `guesses` | slows down clients that send wrong tokens |
//! | `routes` | the answers |
//! | `history`, `ready` | what the status page and `/readyz` show |

mod guesses;
mod history;
mod listen;
mod ready;
mod refusal;
mod routes;

use std::{
    net::{IpAddr, TcpListener},
    sync::Arc,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::{server::ShutdownWatch, services::background::BackgroundService};
use tokio::sync::Semaphore;

use self::guesses::Guesses;
pub use self::{
    history::{History, sample},
    ready::{Readiness, readiness},
};
use crate::{
    config::{Config, Listener},
    descriptors::Reserve,
    gateway::InFlightCounter,
    lifecycle::{Lifecycle, Phase},
    listening::Listening,
    pairs::WatchedStore,
    pool::CodecPool,
    reload::{Reloader, Reloads},
    telemetry::Metrics,
};

/// Descriptors reserved for the operators' connections and their requests.
const RESERVE: usize = 16;
/// Large answers that are built at the same time: further requests for them wait.
const LARGE_ANSWERS: usize = 2;

/// How a request was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    /// Over TCP: changes need the token.
    Tcp {
        /// The client's address.
        client: IpAddr,
        /// The address that it connected to.
        local: IpAddr,
    },
    /// Over the Unix socket, whose file mode restricts access.
    Socket,
}

/// The parts of the relay that the admin listener shows.
pub struct Parts {
    /// The configuration in use.
    pub config: Arc<ArcSwap<Config>>,
    /// Where the relay listens.
    pub listeners: Vec<Listener>,
    /// Whether its listeners accept connections.
    pub listening: Arc<Listening>,
    /// The pairs.
    pub pairs: Arc<WatchedStore>,
    /// The codec pool.
    pub pool: Arc<CodecPool>,
    /// Requests in flight.
    pub in_flight: InFlightCounter,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The relay's phase.
    pub lifecycle: Arc<Lifecycle>,
    /// The results of reloads.
    pub reloads: Arc<Mutex<Reloads>>,
    /// The samples of the last minutes.
    pub history: Arc<History>,
}

/// What the admin listener depends on.
struct Admin {
    parts: Arc<Parts>,
    reloader: Option<Arc<Reloader>>,
    /// Its socket, if it was bound before the start.
    bound: Mutex<Option<TcpListener>>,
    guesses: Mutex<Guesses>,
    reserve: Reserve,
    large_answers: Semaphore,
}

/// The admin listener as one of the process's services: nothing else runs on its thread.
pub struct Service(Arc<Admin>);

impl Service {
    /// The admin listener of a relay; without a socket that is `bound`, it binds its address when that is free.
    pub fn new(parts: Arc<Parts>, reloader: Option<Arc<Reloader>>, bound: Option<TcpListener>) -> Self {
        let settings = &parts.config.load().admin;
        let listens = settings.address.is_some() || settings.socket.is_some();
        Self(Arc::new(Admin {
            reserve: Reserve::new(if listens { RESERVE } else { 0 }),
            parts: parts.clone(),
            reloader,
            bound: Mutex::new(bound),
            guesses: Mutex::default(),
            large_answers: Semaphore::new(LARGE_ANSWERS),
        }))
    }
}

#[async_trait]
impl BackgroundService for Service {
    /// Serves until the relay hands over to a successor, which needs the address. A draining relay still responds, and
    /// reports that it is draining.
    async fn start(&self, _: ShutdownWatch) {
        let admin = &self.0;
        let settings = admin.parts.config.load().admin.clone();
        let tcp = async {
            if let Some(address) = settings.address {
                listen::over_tcp(address, settings.required, admin).await;
            }
        };
        let socket = async {
            if let Some(path) = &settings.socket {
                listen::over_socket(path, admin).await;
            }
        };
        tokio::select! {
            _ = async { tokio::join!(tcp, socket) } => {}
            () = handed_over(&admin.parts.lifecycle) => {}
        }
    }
}

/// A draining relay keeps reporting that it drains; one that hands over leaves that to its successor.
async fn handed_over(lifecycle: &Lifecycle) {
    lifecycle.leaving().await;
    if lifecycle.phase() != Phase::HandingOver {
        std::future::pending::<()>().await;
    }
}
