//! Configuration: file and environment, read into [`Settings`] as written, checked into a [`Config`] that is
//! ready to use. Every problem is reported at once, not only the first.

mod checks;
mod env;
mod settings;
mod units;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use mte_codec::KemId;

pub use env::{Environment, ProcessEnvironment};
pub use settings::Settings;

use crate::domains::{Domains, TenantIds};

/// The checked configuration. A request keeps the one it began with.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listeners: Vec<Listener>,
    /// Worker threads.
    pub threads: usize,
    /// What is logged.
    pub log: Log,
    /// Ready codec instances.
    pub pool_size: usize,
    /// Limits on pairs.
    pub pairs: Pairs,
    /// Limits on requests.
    pub limits: Limits,
    /// Time limits.
    pub timeouts: Timeouts,
    /// The tenants.
    pub domains: Domains,
    /// What is not wrong, but should be known.
    pub warnings: Vec<String>,
}

/// Where the relay listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Address and port.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// The level; v4.5's `panic` logs what `error` does.
    pub level: log::LevelFilter,
    /// One JSON object a line, or for people; `None` decides by whether stdout is a terminal.
    pub json: Option<bool>,
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
    /// Pairs in all.
    pub max_total: usize,
}

/// Limits on requests, as in `limits:` of the file. Sizes in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// All request header fields together.
    pub max_header_bytes: usize,
    /// A request body as it arrives; `None` is unlimited.
    pub max_body: Option<u64>,
    /// A body of encode type MTE.
    pub max_mte_body: usize,
    /// Pairs per second and client network; `None` is unlimited.
    pub pairs_per_second: Option<u32>,
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
    /// A TLS handshake.
    pub headers: Duration,
    /// Requests in flight on SIGTERM.
    pub drain: Duration,
}

/// Everything that is wrong with a configuration, each with where it is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<(String, String)>, Vec<String>);

impl Problems {
    fn add(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.0.push((place.into(), what.into()));
    }

    /// Something that is no problem, but should be known.
    fn warn(&mut self, what: impl Into<String>) {
        self.1.push(what.into());
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (place, what)) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{place}: {what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Config {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// All [`Problems`] found.
    pub fn load(file: Option<&Path>, env: &dyn Environment, ids: &TenantIds) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).unwrap_or_else(|error| {
                problems.add(path.display().to_string(), format!("cannot be read: {error}"));
                String::new()
            }),
        };
        if !problems.0.is_empty() {
            return Err(problems);
        }
        let name = file.map_or_else(String::new, |path| path.display().to_string());
        let base = file.and_then(Path::parent).map(PathBuf::from).unwrap_or_default();
        Self::parse(&text, &name, &base, env, ids)
    }

    /// Reads a configuration from text. Paths in it are relative to `base`; `name` stands in error messages.
    ///
    /// # Errors
    /// All [`Problems`] found.
    pub fn parse(
        text: &str,
        name: &str,
        base: &Path,
        env: &dyn Environment,
        ids: &TenantIds,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let text = env::expand(text, env, &mut problems);
        let parsed = if text.trim().is_empty() {
            Ok(Settings::default())
        } else {
            serde_yaml::from_str::<Option<Settings>>(&text).map(Option::unwrap_or_default)
        };
        let mut settings = parsed.unwrap_or_else(|error| {
            problems.add(name, with_suggestion(&error.to_string()));
            Settings::default()
        });
        if problems.0.is_empty() {
            env::apply(&mut settings, env, &mut problems);
        }
        if !problems.0.is_empty() {
            return Err(problems);
        }
        let config = checks::check(settings, base, ids, &mut problems);
        match config {
            Some(mut config) if problems.0.is_empty() => {
                config.warnings = problems.1;
                Ok(config)
            }
            _ => Err(problems),
        }
    }
}

/// Adds the nearest known name to serde's "unknown field" message.
fn with_suggestion(message: &str) -> String {
    // The parser leaves the place out at the very beginning.
    let place = if message.contains(" at line ") { "" } else { " at line 1" };
    let message = &format!("{message}{place}");
    let mut names = message.split('`').skip(1).step_by(2);
    let suggestion = message.contains("unknown field").then(|| {
        let unknown = names.next()?;
        names
            .map(|name| (strsim::jaro_winkler(unknown, name), name))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name)
    });
    match suggestion.flatten() {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message.clone(),
    }
}

/// A least KEM, by name.
fn parse_kem(name: &str, place: &str, problems: &mut Problems) -> KemId {
    name.parse().unwrap_or_else(|error: String| {
        problems.add(place, error);
        KemId::MlKem512
    })
}
