//! The command line.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use mte_relay::{
    config::{Config, Problems, ProcessEnvironment},
    domains::TenantIds,
    relay::{Relay, Until},
    telemetry,
};

/// Exit codes of sysexits.h.
mod exit {
    /// The configuration is wrong (EX_CONFIG).
    pub(super) const CONFIG: u8 = 78;
    /// An address cannot be listened on (EX_OSERR).
    pub(super) const SYSTEM: u8 = 71;
}

/// An edge gateway that opens end-to-end encrypted HTTP requests and proxies them to your upstreams.
#[derive(Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = false)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relay. Without a file, the environment alone configures it (UPSTREAM or DOMAIN_MAP); this is
    /// also what happens without any command.
    Run(RunArgs),
    /// Send one encrypted request and print the response, much as curl does.
    Request(Box<crate::request::RequestArgs>),
    /// Show the relay at work: an upstream, a relay with two tenants, a client, and what an eavesdropper sees.
    Demo(crate::demo::DemoArgs),
}

#[derive(Args, Default)]
struct RunArgs {
    /// The configuration file (YAML). The environment's settings win over it.
    #[arg(long, short, value_name = "FILE", env = "MTE_RELAY_CONFIG")]
    config: Option<PathBuf>,
}

/// Does what the command line asks for.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        None => serve(std::env::var_os("MTE_RELAY_CONFIG").map(PathBuf::from).as_deref()),
        Some(Command::Run(args)) => serve(args.config.as_deref()),
        Some(Command::Request(args)) => request(*args),
        Some(Command::Demo(args)) => crate::demo::run(args),
    }
}

fn request(args: crate::request::RequestArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mte-relay: no worker threads: {error}");
            return ExitCode::from(exit::SYSTEM);
        }
    };
    runtime.block_on(crate::request::run(args)).unwrap_or_else(|error| {
        eprintln!("mte-relay: {error}");
        error.exit_code()
    })
}

fn serve(file: Option<&Path>) -> ExitCode {
    // Warnings of the configuration come before it says how to log.
    let config = match Config::load(file, &ProcessEnvironment, &TenantIds::default()) {
        Ok(config) => config,
        Err(problems) => return explain(file, &problems),
    };
    telemetry::init(&config.log);
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    log::info!(
        version = env!("CARGO_PKG_VERSION"),
        codec = "mte-open/1",
        threads = config.threads,
        tenants = config.domains.tenants().count();
        "mte-relay listens on {}",
        config.listeners.iter().map(|listener| listener.address.to_string()).collect::<Vec<_>>().join(", ")
    );
    let relay = Relay::new(config);
    if let Err((address, error)) = relay.check_listeners() {
        log::error!("cannot listen on {address}: {error}");
        return ExitCode::from(exit::SYSTEM);
    }
    relay.run(Until::Signal);
    log::info!("mte-relay has stopped");
    ExitCode::SUCCESS
}

fn explain(file: Option<&Path>, problems: &Problems) -> ExitCode {
    let what = file.map_or_else(|| "the environment".to_owned(), |file| file.display().to_string());
    eprintln!("mte-relay: the configuration in {what} cannot be used:\n{problems}");
    ExitCode::from(exit::CONFIG)
}
