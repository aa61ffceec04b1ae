//! Configuration: the file and the environment are read into [`Settings`] as written, and checked into a [`Config`] that
//! is ready to use. All problems are reported together, not only the first.

mod checks;
mod env;
mod problems;
mod read;
mod reload_state;
mod secret;
mod settings;
mod substitute;
mod tree;
mod units;
mod upstream;

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mte_codec::{KemId, kem::UnknownKem};

pub use env::{Environment, ProcessEnvironment};
pub use problems::Problems;
pub use reload_state::{Files, ReloadState};
pub use secret::{MASK, Secret};
pub use settings::Settings;
pub use units::{HumanDuration, Size};
pub use upstream::{EjectionSettings, HealthSettings};

use self::{
    problems::{Findings, Place},
    read::{FromNode, Reader},
};
use crate::{
    domains::Domains,
    state_key::{StateKey, StateKeys},
    telemetry::Log,
    trusted::TrustedProxies,
};

/// The default address of the admin listener.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9_090));

/// The checked configuration. A request keeps using the one that it began with.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listeners: Vec<Listener>,
    /// The admin listener.
    pub admin: Admin,
    /// The socket over which a successor takes over the listeners.
    pub upgrade_socket: Option<PathBuf>,
    /// Worker threads.
    pub threads: usize,
    /// Logging.
    pub log: Log,
    /// Ready codec instances.
    pub pool_size: usize,
    /// Limits on pairs.
    pub pairs: Pairs,
    /// Where pairs are kept, if not in this process.
    pub redis: Option<Redis>,
    /// Limits on requests.
    pub limits: Limits,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Whether changes of its files are watched for.
    pub watch: bool,
    /// Proxies that are trusted to name the client.
    pub trusted_proxies: TrustedProxies,
    /// The tenants.
    pub domains: Domains,
    /// Warnings.
    pub warnings: Vec<String>,
    /// The files it was read from.
    pub files: Files,
    /// What it shares with its predecessors and successors.
    pub reload_state: Arc<ReloadState>,
    /// The settings as written, with defaults filled in, for display. Secrets in it print masked.
    pub settings: Settings,
}

/// Where the relay listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Address and port.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
}

/// The admin listener, as in `admin:` of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address and port.
    pub address: Option<SocketAddr>,
    /// Whether this address was configured: if so, the relay does not start without it.
    pub required: bool,
    /// Its names and addresses, in the form that [`crate::host::bare`] returns.
    pub hosts: Vec<String>,
    /// A Unix socket in addition.
    pub socket: Option<PathBuf>,
    /// The token required for changes.
    pub token: Option<Secret>,
}

/// Limits on pairs, as in `pairs:` of the file.
#[derive(Debug, Clone, Copy)]
pub struct Pairs {
    /// A pair not used for this time is dropped.
    pub idle_timeout: Duration,
    /// A pair never used is dropped after this time.
    pub unused_timeout: Duration,
    /// A pair is renewed at this age.
    pub max_age: Duration,
    /// Pairs of one client.
    pub max_per_client: usize,
    /// Pairs in one pairing request.
    pub max_per_request: usize,
    /// Pairs of one client network.
    pub max_per_network: usize,
    /// Pairs in total.
    pub max_total: usize,
    /// The largest fraction of the total that a tenant may keep while other tenants need room.
    pub tenant_share: f64,
}

/// A store of pairs that several relays share, as in `redis_url` and what belongs to it.
#[derive(Debug, Clone)]
pub struct Redis {
    /// Where it is, with user and password.
    pub url: Secret,
    /// Authorities to trust instead of the system's, as PEM.
    pub ca: Option<Vec<u8>>,
    /// How long a reply is waited for.
    pub timeout: Duration,
    /// Whether a server is used that may drop pairs.
    pub allow_eviction: bool,
    /// What seals pairs, if it is not each tenant's own secret.
    pub keys: Option<Arc<StateKeys>>,
}

impl Redis {
    /// Whether the same server is used in the same way.
    fn is_like(&self, other: &Self) -> bool {
        let ids = |redis: &Self| {
            redis.keys.as_ref().map(|keys| (keys.current.id(), keys.previous.as_ref().map(StateKey::id)))
        };
        (&self.url, &self.ca, self.timeout, self.allow_eviction, ids(self))
            == (&other.url, &other.ca, other.timeout, other.allow_eviction, ids(other))
    }
}

/// Limits on requests, as in `limits:` of the file. Sizes in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// All request header fields together.
    pub max_header_bytes: usize,
    /// Names of header fields in a request's head, and in its sealed headers.
    pub header_names: usize,
    /// A request body as it arrives; `None` is unlimited.
    pub max_body: Option<u64>,
    /// A body of encode type MTE.
    pub max_mte_body: usize,
    /// Bodies held in memory at once.
    pub gathered: usize,
    /// Client connections, and HTTP/2 requests in flight.
    pub connections: usize,
    /// The same for one client network.
    pub connections_per_network: usize,
    /// Pairs per second and client network; `None` is unlimited.
    pub pairs_per_second: Option<u32>,
    /// Requests per second and client id, and failed ones per client network; `None` is unlimited.
    pub requests_per_second: Option<u32>,
}

/// Time limits, as in `timeouts:` of the file.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Connecting to an upstream.
    pub connect: Duration,
    /// Waiting for bytes.
    pub read: Duration,
    /// Waiting to send bytes.
    pub write: Duration,
    /// Keeping an unused connection.
    pub idle: Duration,
    /// A TLS handshake, and then a request's header fields.
    pub headers: Duration,
    /// A body that is held in memory.
    pub body: Duration,
    /// Requests in flight on SIGTERM.
    pub drain: Duration,
}

/// Where a configuration comes from, so that it can be read again.
pub struct Source {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Box<dyn Environment + Send + Sync>,
}

impl Source {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// All [`Problems`] found.
    pub fn load(&self, reload_state: &Arc<ReloadState>) -> Result<Config, Problems> {
        let mut problems = Findings::default();
        let Some(path) = &self.file else {
            return Config::check(None, Path::new(""), &*self.environment, reload_state, problems);
        };
        let name = path.display().to_string();
        match problems.files.read(path).map(|bytes| String::from_utf8(bytes.to_vec())) {
            Ok(Ok(text)) => {
                let text = zeroize::Zeroizing::new(text);
                let base = path.parent().map(PathBuf::from).unwrap_or_default();
                return Config::check(
                    Some((&text, &name)),
                    &base,
                    &*self.environment,
                    reload_state,
                    problems,
                );
            }
            Ok(Err(_)) => problems.file(&name, "is not UTF-8 text: save it as UTF-8"),
            Err(error) => problems.file(&name, format!("cannot be read: {}", problems::reason(&error))),
        }
        Err(problems.into_problems())
    }
}

impl Config {
    /// Reads a configuration from text. Paths in it are relative to `base`; `name` is used in error messages.
    ///
    /// # Errors
    /// All [`Problems`] found.
    pub fn parse(
        text: &str,
        name: &str,
        base: &Path,
        env: &dyn Environment,
        reload_state: &Arc<ReloadState>,
    ) -> Result<Self, Problems> {
        Self::check(Some((text, name)), base, env, reload_state, Findings::default())
    }

    /// Checks a named text, with the environment applied over it.
    fn check(
        written: Option<(&str, &str)>,
        base: &Path,
        env: &dyn Environment,
        reload_state: &Arc<ReloadState>,
        mut problems: Findings,
    ) -> Result<Self, Problems> {
        let written = written.and_then(|(text, name)| Settings::of_yaml(text, name, env, &mut problems));
        let mut settings = written.unwrap_or_default();
        env::apply(&mut settings, env, &mut problems);
        let mut config = checks::check(settings, base, reload_state, &mut problems);
        if !problems.is_empty() {
            return Err(problems.into_problems());
        }
        (config.warnings, config.files) = (problems.warnings, problems.files);
        Ok(config)
    }

    /// The names of settings that differ from `old` and take effect only after a restart.
    pub fn needs_restart(&self, old: &Self) -> Vec<&'static str> {
        let differ = [
            ("listeners", self.listeners != old.listeners),
            ("admin", (&self.admin.address, &self.admin.socket) != (&old.admin.address, &old.admin.socket)),
            ("upgrade_socket", self.upgrade_socket != old.upgrade_socket),
            ("threads", self.threads != old.threads),
            ("pool_size", self.pool_size != old.pool_size),
            ("redis_url, or what belongs to it", !same_store(self.redis.as_ref(), old.redis.as_ref())),
            ("log.format", self.log.json != old.log.json),
            ("log.buffer", self.log.buffer != old.log.buffer),
            ("timeouts.idle (of HTTP/2 clients)", self.timeouts.idle != old.timeouts.idle),
            (
                "limits.max_header_bytes (of HTTP/2 clients)",
                self.limits.max_header_bytes > old.limits.max_header_bytes,
            ),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

fn same_store(one: Option<&Redis>, other: Option<&Redis>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_like(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// An unknown log level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of trace, debug, info, warning, error, panic, off")]
pub struct UnknownLevel(String);

/// A log level by its name in v4.5.
///
/// # Errors
/// [`UnknownLevel`], which lists the known levels.
pub fn parse_level(name: &str) -> Result<log::LevelFilter, UnknownLevel> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "trace" => log::LevelFilter::Trace,
        "debug" => log::LevelFilter::Debug,
        "info" => log::LevelFilter::Info,
        "warn" | "warning" => log::LevelFilter::Warn,
        "error" | "panic" => log::LevelFilter::Error,
        "off" => log::LevelFilter::Off,
        other => return Err(UnknownLevel(other.to_owned())),
    })
}

impl Settings {
    /// Reads settings as written, without checking whether they fit together. `None` if the text is not YAML.
    fn of_yaml(text: &str, name: &str, env: &dyn Environment, problems: &mut Findings) -> Option<Self> {
        problems.places.set_file(name.into());
        match tree::yaml(text) {
            Ok(node) => Self::from_node(&node, &mut Reader::new(name, "", Some(env), problems)),
            Err(tree::Malformed { at, what }) => {
                problems.add_all_unread(Place { source: name.into(), at }, what);
                None
            }
        }
    }

    /// The settings of a file with their defaults, unchecked: to describe or compare them.
    ///
    /// # Errors
    /// Keys that are not known and values of the wrong kind.
    pub fn written(text: &str, name: &str, env: &dyn Environment) -> Result<Self, Problems> {
        let mut problems = Findings::default();
        let settings = Self::of_yaml(text, name, env, &mut problems);
        settings.filter(|_| problems.is_empty()).ok_or_else(|| problems.into_problems())
    }
}

/// A minimum KEM, by name.
fn parse_kem(name: &str, place: &str, problems: &mut Findings) -> KemId {
    name.parse().unwrap_or_else(|error: UnknownKem| {
        problems.add(place, error.to_string());
        KemId::MlKem512
    })
}
