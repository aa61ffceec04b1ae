//! The command line.

use std::{net::SocketAddr, num::ParseFloatError, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

/// Measure the relay against a plain Pingora proxy and nginx, in one run on this machine.
///
/// Everything runs on loopback. Only one proxy is measured at a time, in short alternating slices, so that all of them run
/// under the same conditions. See benches/README.md for how to read the table.
#[derive(Debug, Parser)]
#[command(
    name = "mte-bench",
    override_usage = "mte-bench [OPTIONS]",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) options: Options,
}

/// The roles in which the program starts itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// The server behind the proxies.
    #[command(hide = true)]
    Upstream { listen: SocketAddr },
    /// The baseline.
    #[command(hide = true)]
    PlainPingora { listen: SocketAddr, upstream: SocketAddr },
    /// Stops the processes of a run that was killed.
    #[command(hide = true)]
    Reap { directory: PathBuf },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds to measure each scenario in a round [default: 0.5; with --quick 0.3; with --hold 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Rounds; the table shows medians over them [default: 11; with --quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// A short run with rough figures
    #[arg(long)]
    quick: bool,
    /// Only scenarios whose id contains this, each with plain Pingora beside it
    #[arg(long, value_name = "PATTERN")]
    pub(crate) only: Option<String>,
    /// Print the ids of all scenarios
    #[arg(long)]
    pub(crate) list: bool,
    /// Keep one scenario running, so that a profiler can be attached to the proxy
    #[arg(long, value_name = "ID", conflicts_with_all = ["only", "rounds", "quick", "json"])]
    pub(crate) hold: Option<String>,
    /// Number of keep-alive connections that send requests
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) connections: u16,
    /// Write all figures to this file, round by round
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The relay's log level, to measure the cost of a log line per request
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = ["info", "warning", "off"])]
    pub(crate) log_level: String,
    /// Do not pin processes: let the proxies share all CPUs with the load generator
    #[arg(long)]
    pub(crate) no_pin: bool,
}

impl Options {
    /// The length of a slice.
    pub(crate) fn slice(&self) -> Duration {
        let default = match (self.hold.is_some(), self.quick) {
            (true, _) => Duration::from_secs(30),
            (false, true) => Duration::from_millis(300),
            (false, false) => Duration::from_millis(500),
        };
        self.seconds.unwrap_or(default)
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.map_or(if self.quick { 3 } else { 11 }, usize::from)
    }
}

/// Why a text is not a valid length of a slice.
#[derive(Debug, thiserror::Error)]
enum SecondsError {
    #[error("not a number of seconds")]
    NotNumber(#[from] ParseFloatError),
    #[error("must be from 0.05 to 86400")]
    OutOfRange,
}

fn seconds(text: &str) -> Result<Duration, SecondsError> {
    let seconds: f64 = text.parse()?;
    if (0.05..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(SecondsError::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn options(line: &str) -> Options {
        Cli::try_parse_from(line.split(' ')).unwrap().options
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn quick_and_hold_change_only_defaults() {
        assert_eq!(options("mte-bench").slice(), Duration::from_millis(500));
        assert_eq!(options("mte-bench --quick").rounds(), 3);
        let given = options("mte-bench --quick --rounds 7 --seconds 0.5");
        assert_eq!((given.rounds(), given.slice()), (7, Duration::from_millis(500)));
        assert_eq!(options("mte-bench --hold get-10kb-mke").slice(), Duration::from_secs(30));
        assert!(Cli::try_parse_from(["mte-bench", "--seconds", "0"]).is_err());
    }
}
