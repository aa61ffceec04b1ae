//! `mte-relay check`: checks a configuration as the relay would, and prints the settings as they take effect.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use mte_relay::{
    config::{Config, ReloadState},
    domains::Tenant,
    pairs::redis,
    upstream::{Endpoint, health},
};
use pingora_core::connectors::http::v2::Connector;

use crate::{
    configured::{explain, source},
    exit,
};

/// Options of `check`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The configuration file (YAML). Settings in the environment override it.
    #[arg(long, short, value_name = "FILE", env = "MTE_RELAY_CONFIG")]
    config: Option<PathBuf>,
    /// Also connect to every upstream, with TLS if the upstream uses it, and run its health check if it has one; and to Redis, if
    /// pairs are stored there.
    #[arg(long)]
    connect: bool,
    /// Print only problems and warnings.
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the checks. Exit codes: 0 no problems; 66 the file does not exist; 69 an upstream cannot be reached, or Redis cannot be
/// used; 78 the configuration cannot be used.
pub(crate) fn run(args: CheckArgs) -> ExitCode {
    let source = source(args.config);
    let config = match source.load(&Arc::new(ReloadState::default())) {
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

/// Whether every upstream can be reached, and Redis used; prints the result for each.
fn connect(config: &Config) -> bool {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mte-relay: cannot start the runtime: {error}");
            return false;
        }
    };
    runtime.block_on(async {
        let connector = Connector::new(None);
        let mut all_reached = reach_redis(config).await;
        for tenant in config.domains.tenants() {
            for index in 0..tenant.upstream.peers.len() {
                all_reached &= reach(&connector, tenant, index, config.timeouts.connect).await;
            }
        }
        all_reached
    })
}

/// Whether pairs can be kept in Redis, if they are: address, certificate, user, version, eviction, and all that the scripts do.
async fn reach_redis(config: &Config) -> bool {
    let Some(settings) = &config.redis else { return true };
    match redis::try_out(settings).await {
        Ok(()) => eprintln!("redis_url: pairs can be kept there"),
        Err(ref why) => {
            eprintln!("redis_url: {why}");
            return false;
        }
    }
    true
}

/// Why a peer cannot be reached.
#[derive(Debug, thiserror::Error)]
enum Unreached {
    #[error("no answer in time")]
    Late,
    #[error(transparent)]
    Check(#[from] health::CheckError),
}

/// Whether a peer can be reached at one or more of its addresses; prints each address that cannot be reached.
async fn reach(connector: &Connector, tenant: &Tenant, index: usize, limit: Duration) -> bool {
    let upstream = &tenant.upstream;
    let peer = &upstream.peers[index];
    let path = upstream.health.as_ref().and_then(|health| health.path.as_deref());
    let attempt = async |endpoint: &Endpoint| -> Result<(), Unreached> {
        let attempt = health::attempt(connector, upstream, index, endpoint, path);
        Ok(tokio::time::timeout(limit, attempt).await.map_err(|_| Unreached::Late)??)
    };
    let cannot = |at: Option<SocketAddr>, why: Unreached| {
        let at = at.map(|address| format!(" at {address}")).unwrap_or_default();
        eprintln!("domain_map.{}: {}{at} cannot be reached: {why}", tenant.name, peer.origin);
    };
    // If the name is not resolved yet, the first attempt resolves it.
    if peer.state.is_name()
        && let Err(why) = attempt(&peer.state.endpoints()[0]).await
    {
        cannot(None, why);
        return false;
    }
    let mut reached = false;
    for endpoint in peer.state.endpoints() {
        match attempt(&endpoint).await {
            Ok(()) => reached = true,
            Err(why) => cannot(endpoint.address.filter(|_| peer.state.is_name()), why),
        }
    }
    if reached {
        eprintln!("domain_map.{}: {} can be reached", tenant.name, peer.origin);
    }
    reached
}
