//! Keeps the connection to Redis: makes it, looks at it, and makes another one when it is of no more use.

use std::{
    borrow::Cow,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisError, TlsCertificates, Value,
    aio::MultiplexedConnection,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{address::Address, keys, node::Common, server::NOT_EXECUTED};
use crate::config;

/// Between two looks at an idle connection.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// Between attempts to connect: the first and the longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));
/// The oldest version whose scripts can be told apart by their flags.
const LEAST_VERSION: u32 = 7;
/// Timeouts in a row that end a connection.
pub(super) const MAX_TIMEOUTS: usize = 3;

/// What a server is there for.
pub(super) enum Target {
    /// It is the server of `redis_url`: the only one, or any of a cluster.
    Seed,
    /// It has slots of a cluster. `probe` is the index of a key in one of them.
    Member { probe: String },
}

/// The state of the connection.
#[derive(Clone)]
pub(super) enum Link {
    /// The first attempt, or the first one after a connection was lost.
    Connecting,
    Up(Connection),
    /// The breaker is open: nothing is sent until a connection is there.
    Down(NodeError),
}

/// Why there is no connection.
#[derive(Debug, Clone)]
pub(super) enum NodeError {
    /// There may be one later.
    Unreachable(Cow<'static, str>),
    /// Somebody has to change something first.
    Unfit(Cow<'static, str>),
}

impl NodeError {
    fn unreachable(error: &RedisError) -> Self {
        Self::Unreachable(error.to_string().into())
    }

    /// What a server says that is reached.
    fn of_library(error: RedisError) -> Self {
        let loads = |error: &RedisError| error.code().is_some_and(|code| NOT_EXECUTED.contains(&code));
        match error.is_io_error() || error.is_connection_dropped() || loads(&error) {
            true => Self::unreachable(&error),
            false => Self::Unfit(error.to_string().into()),
        }
    }

    pub(super) fn why(&self) -> Cow<'static, str> {
        let (Self::Unreachable(why) | Self::Unfit(why)) = self;
        format!("Redis cannot be used: {why}").into()
    }
}

#[derive(Clone)]
pub(super) struct Connection {
    pub(super) id: usize,
    pub(super) redis: MultiplexedConnection,
    /// The server is one of a cluster.
    pub(super) cluster: bool,
    /// In a row.
    pub(super) timeouts: Arc<AtomicUsize>,
}

/// Where `redis_url` says that the server is.
pub(super) fn address(settings: &config::Redis) -> Result<Address, RedisError> {
    match settings.url.reveal().into_connection_info()?.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Ok(Address { host: host.clone(), port: *port })
        }
        _ => Err((redis::ErrorKind::InvalidClientConfig, "not a TCP address").into()),
    }
}

/// A client of the server at an address, which is otherwise as `redis_url` says.
pub(super) fn client(settings: &config::Redis, address: &Address) -> Result<Client, RedisError> {
    let info = settings.url.reveal().into_connection_info()?;
    let Address { host, port } = address.clone();
    let moved = match info.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    let info = info.set_addr(moved);
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(2));
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        .set_user_timeout(settings.timeout * MAX_TIMEOUTS as u32);
    let info = info.set_tcp_settings(tcp);
    match info.addr() {
        ConnectionAddr::TcpTls { .. } => {
            let certificates = TlsCertificates { client_tls: None, root_cert: settings.ca.clone() };
            Client::build_with_tls(info, certificates)
        }
        _ => Client::open(info),
    }
}

/// Keeps the connection.
pub(super) struct Keeper {
    pub(super) client: Client,
    pub(super) target: Target,
    pub(super) common: Arc<Common>,
    pub(super) link: watch::Sender<Link>,
    pub(super) broken: mpsc::UnboundedReceiver<usize>,
    pub(super) ids: usize,
}

impl Keeper {
    pub(super) async fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            let limit = self.common.settings.timeout.max(Duration::from_secs(1));
            let late = |_| Err(NodeError::Unreachable("it did not answer in time".into()));
            let made = timeout(limit, self.connect()).await.unwrap_or_else(late);
            match made {
                Ok(connection) => {
                    pause = PAUSES.0;
                    self.link.send_replace(Link::Up(connection.clone()));
                    self.common.changed.notify_one();
                    self.watch(&connection).await;
                    // One attempt is waited for; if it fails, the breaker is open.
                    self.link.send_replace(Link::Connecting);
                }
                Err(error) => {
                    self.link.send_replace(Link::Down(error));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
            if self.link.is_closed() {
                return;
            }
        }
    }

    async fn connect(&mut self) -> Result<Connection, NodeError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.common.settings.timeout))
            .set_response_timeout(None);
        let mut redis = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(NodeError::of_library)?;
        let info: String = redis::cmd("INFO").query_async(&mut redis).await.map_err(NodeError::of_library)?;
        let cluster = field(&info, "cluster_enabled") == Some("1");
        self.check_info(&info)?;
        match &self.target {
            // Any server of a cluster can say its slots.
            Target::Seed if cluster => {}
            Target::Seed => self.try_scripts(&mut redis, &keys::probe_in(0..=keys::SLOTS - 1)).await?,
            Target::Member { probe } => self.try_scripts(&mut redis, probe).await?,
        }
        self.ids += 1;
        Ok(Connection { id: self.ids, redis, cluster, timeouts: Arc::default() })
    }

    /// Loads the scripts, and tries all that they do.
    async fn try_scripts(&self, redis: &mut MultiplexedConnection, probe: &str) -> Result<(), NodeError> {
        for script in self.common.scripts.all() {
            let load = redis::cmd("SCRIPT").arg("LOAD").arg(&script.text).clone();
            let _: Value = load.query_async(redis).await.map_err(NodeError::of_library)?;
        }
        let keys = keys::probed(probe);
        let mut trial = redis::cmd("EVALSHA");
        trial.arg(&self.common.scripts.probe.sha1).arg(keys.len()).arg(&keys);
        match trial.query_async::<Value>(redis).await {
            // The slot has moved meanwhile: the server says so to every command, and can be used for its other slots.
            Err(error) if matches!(error.code(), Some("MOVED" | "ASK" | "TRYAGAIN")) => Ok(()),
            tried => tried.map(drop).map_err(NodeError::of_library),
        }
    }

    /// Whether this is a server that pairs can be trusted to.
    fn check_info(&self, info: &str) -> Result<(), NodeError> {
        let field = |name| field(info, name);
        let is_seed = matches!(self.target, Target::Seed) && field("cluster_enabled") == Some("1");
        if field("role") != Some("master") && !is_seed {
            return Err(NodeError::Unreachable("it is a replica".into()));
        }
        let version = field("redis_version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < LEAST_VERSION) {
            let why = format!("it is of version {version:?}: use {LEAST_VERSION}.0 or newer");
            return Err(NodeError::Unfit(why.into()));
        }
        let policy = field("maxmemory_policy").unwrap_or("noeviction");
        if policy != "noeviction" && !self.common.settings.allow_eviction {
            let why = format!(
                "its maxmemory-policy is {policy}, so it may drop pairs at any time: set noeviction, or redis_allow_eviction"
            );
            return Err(NodeError::Unfit(why.into()));
        }
        Ok(())
    }

    /// Waits until a connection is of no more use.
    async fn watch(&mut self, connection: &Connection) {
        let mut redis = connection.redis.clone();
        let mut missed = 0;
        while missed < 2 {
            tokio::select! {
                broken = self.broken.recv() => {
                    if broken.is_none_or(|id| id == connection.id) {
                        return;
                    }
                }
                () = tokio::time::sleep(PING_INTERVAL) => {
                    let ping = redis::cmd("PING");
                    match timeout(self.common.settings.timeout, redis.send_packed_command(&ping)).await {
                        Ok(Ok(_)) => missed = 0,
                        Ok(Err(_)) => return,
                        Err(_) => missed += 1,
                    }
                }
            }
        }
    }
}

/// A field of INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}
