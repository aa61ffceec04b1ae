//! The command line.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Parser, Subcommand};
use mte_relay::{
    config::ReloadState,
    descriptors,
    listening::activation::Activated,
    process,
    relay::{Relay, Until},
    telemetry,
};

use crate::{
    configured::{explain, source},
    exit,
};

/// An edge gateway that decrypts end-to-end encrypted HTTP requests and proxies them to your upstreams.
#[derive(Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relay; also the default without a command. Without a configuration file, the environment alone
    /// configures it (UPSTREAM or DOMAIN_MAP).
    Run(RunArgs),
    /// Check a configuration: report all problems, and print the settings as they take effect, with secrets masked.
    Check(crate::check::CheckArgs),
    /// Generate secrets, a certificate authority and certificates, for testing.
    Keygen(crate::keygen::KeygenArgs),
    /// Send one encrypted request and print the response, similar to curl.
    Request(Box<crate::request::RequestArgs>),
}

#[derive(Args, Default)]
struct RunArgs {
    /// The configuration file (YAML). Settings in the environment override it.
    #[arg(long, short, value_name = "FILE", env = "MTE_RELAY_CONFIG")]
    config: Option<PathBuf>,
    /// Take over the listeners of the relay that is running with this configuration: start this one, then send the
    /// running one SIGQUIT. Needs `upgrade_socket`.
    #[arg(long)]
    upgrade: bool,
}

/// Does what the command line asks for.
pub(crate) fn run(cli: Cli) -> ExitCode {
    match cli.command {
        None => serve(std::env::var_os("MTE_RELAY_CONFIG").map(PathBuf::from), false),
        Some(Command::Run(args)) => serve(args.config, args.upgrade),
        Some(Command::Check(args)) => crate::check::run(args),
        Some(Command::Keygen(args)) => crate::keygen::run(args),
        Some(Command::Request(args)) => request(*args),
    }
}

fn request(args: crate::request::RequestArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mte-relay: cannot start worker threads: {error}");
            return ExitCode::from(exit::SYSTEM);
        }
    };
    runtime.block_on(crate::request::run(args)).unwrap_or_else(|error| {
        eprintln!("mte-relay: {error}");
        error.exit_code()
    })
}

fn serve(file: Option<PathBuf>, upgrade: bool) -> ExitCode {
    let code = start(file, upgrade);
    telemetry::flush();
    code
}

fn start(file: Option<PathBuf>, upgrade: bool) -> ExitCode {
    // Before any other thread is started.
    let activated = Activated::from_env();
    // Before any secret is in memory.
    let private = process::keep_memory_private();
    let source = source(file);
    // Logging starts once the configuration says how; its warnings are kept until then.
    let config = match source.load(&Arc::new(ReloadState::default())) {
        Ok(config) => config,
        Err(problems) => return explain(&source, &problems),
    };
    telemetry::init(&config.log);
    telemetry::log_panics();
    if let Err(error) = private {
        log::warn!("memory may be written to core dumps: {error}");
    }
    descriptors::raise_limit();
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    log::info!(
        version = env!("CARGO_PKG_VERSION"),
        codec = telemetry::CODEC,
        threads = config.threads,
        tenants = config.domains.tenants().count();
        "mte-relay starts"
    );
    // Secrets print masked.
    let settings = serde_json::to_string(&config.settings).unwrap_or_default();
    log::info!(settings = settings.as_str(); "effective settings");
    let activated = match activated.and_then(|activated| activated.claimed_by(&config.listeners)) {
        Ok(sockets) => sockets,
        Err(error) => {
            log::error!("{error}");
            return ExitCode::from(exit::CONFIG);
        }
    };
    let socket = config.upgrade_socket.clone();
    let relay = Relay::new(config).reloading(source).inheriting(activated);
    let shared = relay.shared();
    if upgrade {
        let Some(socket) = socket else {
            log::error!("--upgrade needs `upgrade_socket` in the configuration");
            return ExitCode::from(exit::CONFIG);
        };
        if let Err(error) = relay.take_over(&socket) {
            log::error!("{error}");
            return ExitCode::FAILURE;
        }
    } else {
        match relay.bind() {
            Ok(relay) => relay.run(Until::Signal),
            Err(error) => {
                log::error!("{error}");
                return ExitCode::from(exit::SYSTEM);
            }
        }
    }
    if shared.lifecycle.failure().is_some() {
        return ExitCode::from(exit::SYSTEM);
    }
    log::info!("mte-relay has stopped");
    ExitCode::SUCCESS
}
