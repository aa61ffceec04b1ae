//! Active health checks: one loop for all tenants, which follows the configuration as it is now.

use std::{sync::Arc, time::Duration};

use pingora_core::{connectors::http::v2::Connector, protocols::http::client::HttpSession};
use pingora_http::RequestHeader;

use super::{Upstream, describe};
use crate::{config::HealthSettings, domains::Tenant, relay::Shared};

/// How often the loop looks for checks that are due.
const TICK: Duration = Duration::from_millis(100);

/// Checks every peer that is to be checked, until the future is dropped.
pub async fn run(shared: Arc<Shared>) {
    // A connector of its own. It reads the system's certificates, which takes a while: only if there is something to check.
    let mut connector = None;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        for tenant in shared.config.load().domains.tenants() {
            let Some(settings) = &tenant.upstream.health else { continue };
            for (index, peer) in tenant.upstream.peers.iter().enumerate() {
                if let Some(generation) = peer.state.take_check(settings.interval.0) {
                    let connector = connector.get_or_insert_with(|| Arc::new(Connector::new(None)));
                    tokio::spawn(check(connector.clone(), tenant.clone(), index, generation));
                }
            }
        }
    }
}

async fn check(connector: Arc<Connector>, tenant: Arc<Tenant>, index: usize, generation: u64) {
    let Upstream { peers, health: Some(settings), .. } = &tenant.upstream else { return };
    let peer = &peers[index];
    let attempt = attempt(&connector, &tenant.upstream, index, settings);
    let outcome = tokio::time::timeout(settings.timeout.0, attempt).await;
    let outcome =
        outcome.unwrap_or_else(|_| Err(format!("no answer to the health check within {}", settings.timeout)));
    let why = outcome.as_ref().err().cloned();
    match peer.state.checked(generation, settings, outcome) {
        Some(true) => log::info!(tenant = &*tenant.name, peer = peer.origin.as_str(); "upstream is healthy"),
        Some(false) => log::warn!(
            tenant = &*tenant.name, peer = peer.origin.as_str();
            "upstream is unhealthy: {}", why.unwrap_or_default()
        ),
        None => {}
    }
}

/// One check of one peer.
///
/// # Errors
/// Why it failed, in words.
pub async fn attempt(
    connector: &Connector,
    upstream: &Upstream,
    index: usize,
    settings: &HealthSettings,
) -> Result<(), String> {
    let mut connection = upstream.connection(index, false).await.map_err(|error| error.to_string())?;
    // A connection of its own, with HTTP/2 as well: one that is kept says nothing of whether others can be made.
    connection.options.max_h2_streams = 1;
    let connected = connector.new_http_session(&*connection).await;
    let mut session: HttpSession = connected.map_err(|error| describe(&error))?;
    let Some(path) = &settings.path else { return Ok(()) };
    let status =
        ask(&mut session, &upstream.peers[index].host, path).await.map_err(|error| describe(&error))?;
    session.shutdown().await;
    if (200..400).contains(&status) { Ok(()) } else { Err(format!("the health check got status {status}")) }
}

async fn ask(session: &mut HttpSession, host: &http::HeaderValue, path: &str) -> pingora_core::Result<u16> {
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(2))?;
    request.insert_header(http::header::HOST, host.clone())?;
    request.insert_header(http::header::USER_AGENT, "mte-relay health check")?;
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let status = session.response_header().map_or(0, |response| response.status.as_u16());
    while session.read_response_body().await?.is_some() {}
    Ok(status)
}
