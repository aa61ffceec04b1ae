//! `mte-relay check`: a configuration, checked as a relay would check it, and shown as it would take effect.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use mte_relay::{
    config::{Carried, Config, HealthSettings},
    upstream::health,
};
use pingora_core::connectors::http::v2::Connector;

use crate::cli::{exit, explain, source};

/// Options of `check`.
#[derive(Args)]
pub struct CheckArgs {
    /// The configuration file (YAML). The environment's settings win over it.
    #[arg(long, short, value_name = "FILE", env = "MTE_RELAY_CONFIG")]
    config: Option<PathBuf>,
    /// Connect to every upstream as well, with TLS where it has it, and make its health check if there is one.
    #[arg(long)]
    connect: bool,
    /// Print nothing but problems and warnings.
    #[arg(long, short)]
    quiet: bool,
}

/// Checks. Exit codes: 0 all is well; 66 the file is not there; 69 an upstream cannot be reached; 78 the
/// configuration cannot be used.
pub fn run(args: CheckArgs) -> ExitCode {
    let source = source(args.config);
    let config = match source.load(&Arc::new(Carried::default())) {
        Ok(config) => config,
        Err(problems) => return explain(&source, &problems),
    };
    if !args.quiet {
        match serde_yaml::to_string(&config.settings) {
            Ok(text) => print!("# The settings as they take effect; secrets are masked.\n{text}"),
            Err(error) => eprintln!("mte-relay: the settings cannot be shown: {error}"),
        }
    }
    config.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    if args.connect && !connect(&config) {
        return ExitCode::from(exit::UNAVAILABLE);
    }
    if !args.quiet {
        eprintln!("the configuration can be used");
    }
    ExitCode::SUCCESS
}

/// Whether every upstream can be reached; tells about each.
fn connect(config: &Config) -> bool {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mte-relay: no runtime: {error}");
            return false;
        }
    };
    runtime.block_on(async {
        let connector = Connector::new(None);
        let mut well = true;
        for tenant in config.domains.tenants() {
            let upstream = &tenant.upstream;
            let just_connect = HealthSettings::default();
            let settings = upstream.health.as_ref().unwrap_or(&just_connect);
            for (index, peer) in upstream.peers.iter().enumerate() {
                let attempt = health::attempt(&connector, upstream, index, settings);
                let outcome = tokio::time::timeout(config.timeouts.connect, attempt).await;
                match outcome.unwrap_or_else(|_| Err("no answer in time".into())) {
                    Ok(()) => eprintln!("domain_map.{}: {} can be reached", tenant.name, peer.origin),
                    Err(why) => {
                        well = false;
                        eprintln!("domain_map.{}: {} cannot be reached: {why}", tenant.name, peer.origin);
                    }
                }
            }
        }
        well
    })
}
