//! Logs, metrics, and request ids. Never logged: a secret, a key, a body, or a decoded URL's query.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `line` | the format of a log line: JSON, or for people |
//! | `output` | where lines go: a bounded queue and the thread that writes it |
//! | `access` | the access line of a request |
//! | `ids` | request ids, and the trace that a request belongs to |
//! | `metrics` | what is counted |

mod access;
mod ids;
mod line;
mod metrics;
mod output;

use std::{cell::RefCell, io::IsTerminal};

use once_cell::sync::OnceCell;

use self::line::Format;
pub use self::{
    access::{Access, Encrypted, access, access_is_logged},
    ids::{RequestId, TraceId},
    metrics::{
        Buckets, Finished, Metrics, NO_TENANT, Operation, PairStoreMetrics, Peer, PoolMetrics, RouteLabel,
        TenantMetrics, Totals,
    },
    output::flush,
};
/// The codec's name and version.
pub const CODEC: &str = "mte-open/1";

/// Options of the process's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The level; v4.5's `panic` logs what `error` does.
    pub level: log::LevelFilter,
    /// One JSON object per line, or text for people; `None`: text if stdout is a terminal.
    pub json: Option<bool>,
    /// Maximum size, in bytes, of lines waiting to be written.
    pub buffer: usize,
}

/// Starts logging to stdout.
pub fn init(log: &Log) {
    let terminal = std::io::stdout().is_terminal();
    let format = if log.json.unwrap_or(!terminal) {
        Format::Json
    } else {
        Format::Pretty { colours: terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) }
    };
    let mut filter = env_logger::Builder::new();
    // The level is `log`'s own and can change at run time: see `set_level`.
    filter.filter_level(log::LevelFilter::Trace);
    // Pingora's own lines are about its internals, and its errors are about clients and upstreams: what matters of them is
    // logged by the relay, once and with the request's id.
    for module in ["pingora", "pingora_core", "pingora_proxy", "pingora_pool", "h2", "rustls"] {
        filter.filter_module(module, log::LevelFilter::Off);
    }
    // Only Pingora reports this one: connections that cannot be accepted, most likely because file descriptors have run out.
    filter.filter_module("pingora_core::services::listening", log::LevelFilter::Error);
    let new = || Logger { filter: filter.build(), format, queue: output::start(format, log.buffer) };
    // A second relay in the process shares the first one's logger.
    if log::set_logger(LOGGER.get_or_init(new)).is_ok() {
        set_level(log.level);
    }
}

/// Writes the messages of panics to the log instead of stderr, which may have no reader either. For a process that only
/// runs a relay.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let location = panic.location().map(ToString::to_string);
        let backtrace = std::backtrace::Backtrace::capture();
        let captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
        let backtrace = captured.then(|| backtrace.to_string());
        let thread = std::thread::current();
        log::error!(
            thread = thread.name(), location = location.as_deref(), backtrace = backtrace.as_deref();
            "a bug in the relay, please report it: {}",
            text.unwrap_or("no message")
        );
    }));
}

/// Changes the level of this process's log.
pub fn set_level(level: log::LevelFilter) {
    log::set_max_level(level);
}

thread_local! {
    /// The line that this thread is writing; its memory is reused for the next one.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A line's buffer is freed if it is larger than this.
const KEPT_LINE: usize = 64 << 10;

/// `log` has one logger per process.
static LOGGER: OnceCell<Logger> = OnceCell::new();

/// The logger behind `log`: formats records on the calling thread, and leaves the writing to another.
struct Logger {
    filter: env_logger::Logger,
    format: Format,
    queue: &'static output::Queue,
}

impl Logger {
    /// Lets `write` format a line in this thread's buffer, and adds it to the queue.
    fn add(&self, at_once: bool, write: impl Fn(&mut Vec<u8>) -> std::io::Result<()>) {
        let add = |line: &mut Vec<u8>| {
            line.clear();
            // Writing to memory never fails; if a value cannot be formatted, the line is left out.
            if write(line).is_ok() {
                self.queue.add(line, at_once);
            }
        };
        let reused = LINE.try_with(|line| {
            let Ok(mut line) = line.try_borrow_mut() else { return false };
            add(&mut line);
            if line.capacity() > KEPT_LINE {
                *line = Vec::new();
            }
            true
        });
        // The thread is ending, or a value logs while it is being formatted.
        if !reused.unwrap_or(false) {
            add(&mut Vec::new());
        }
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.filter.matches(record) {
            return;
        }
        self.add(true, |line| self.format.write(line, record));
    }

    fn flush(&self) {
        flush();
    }
}
