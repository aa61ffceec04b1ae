//! What operators see: logs, metrics, request ids. Never logged: a secret, a key, a body, or a decoded URL's query.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `line` | how a log line looks: one JSON object, or for people |
//! | `output` | where JSON lines go |
//! | `access` | the one line a request |
//! | `ids` | request ids, and the trace that a request belongs to |
//! | `metrics` | what is counted |

mod access;
mod ids;
mod line;
mod metrics;
mod output;

use std::io::IsTerminal;

pub use self::{
    access::finished,
    ids::{TraceId, request_id, trusted_request_id},
    metrics::{
        Buckets, Finished, Metrics, NO_TENANT, Operation, PoolMetrics, RouteLabel, TenantMetrics, Totals,
    },
};
use crate::config;

/// The codec's name and version.
pub const CODEC: &str = "mte-open/1";

/// Starts logging to stdout.
pub fn init(log: &config::Log) {
    let json = log.json.unwrap_or_else(|| !std::io::stdout().is_terminal());
    let mut builder = env_logger::Builder::new();
    // The level is `log`'s own and can change at run time: see `set_level`.
    builder.filter_level(log::LevelFilter::Trace).target(env_logger::Target::Stdout);
    // Pingora's own lines are about its inner workings, and its errors are about clients and upstreams: what matters of
    // them is logged here, once and with the request's id.
    for module in ["pingora", "pingora_core", "pingora_proxy", "pingora_pool", "h2", "rustls"] {
        builder.filter_module(module, log::LevelFilter::Off);
    }
    // But this one nobody else knows: connections that cannot be accepted, for want of file descriptors most likely.
    builder.filter_module("pingora_core::services::listening", log::LevelFilter::Error);
    if json {
        // There are no colours in it to be looked for and taken out.
        builder.write_style(env_logger::WriteStyle::Always).format(line::json);
        builder.target(env_logger::Target::Pipe(Box::new(output::Output::start())));
    } else {
        builder.format(line::pretty);
    }
    // A second relay in the process shares the first one's logger.
    if builder.try_init().is_ok() {
        set_level(log.level);
    }
}

/// Changes the level of this process's log.
pub fn set_level(level: log::LevelFilter) {
    log::set_max_level(level);
}
