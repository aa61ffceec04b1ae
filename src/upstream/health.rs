//! Active health checks: one loop for all tenants, which follows the configuration as it is now.

use std::{sync::Arc, time::Duration};

use pingora_core::{
    connectors::http::Connector, protocols::http::client::HttpSession, upstreams::peer::HttpPeer,
};
use pingora_http::RequestHeader;

use super::Upstream;
use crate::{config::HealthSettings, domains::Tenant, relay::Shared};

/// How often the loop looks for checks that are due.
const TICK: Duration = Duration::from_millis(100);

/// Checks every peer that is to be checked, until the future is dropped.
pub async fn run(shared: Arc<Shared>) {
    // A connector of its own: a check makes a new connection, as a client of the upstream would. It reads the system's
    // certificates, which takes a while: only if there is something to check.
    let mut connector = None;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        for tenant in shared.config.load().domains.tenants() {
            let Some(settings) = &tenant.upstream.health else { continue };
            for (index, peer) in tenant.upstream.peers.iter().enumerate() {
                if peer.state.take_check(settings.interval.0) {
                    let connector = connector.get_or_insert_with(|| Arc::new(Connector::new(None)));
                    tokio::spawn(check(connector.clone(), tenant.clone(), index));
                }
            }
        }
    }
}

async fn check(connector: Arc<Connector>, tenant: Arc<Tenant>, index: usize) {
    let Upstream { peers, health: Some(settings), .. } = &tenant.upstream else { return };
    let peer = &peers[index];
    let attempt = attempt(&connector, &tenant.upstream, index, settings);
    let outcome = tokio::time::timeout(settings.timeout.0, attempt).await;
    let outcome =
        outcome.unwrap_or_else(|_| Err(format!("no answer to the health check within {}", settings.timeout)));
    let why = outcome.as_ref().err().cloned();
    match peer.state.checked(settings, outcome) {
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
    let connection = upstream.connection(index, false).await.map_err(|error| error.to_string())?;
    let connected = connector.get_http_session(&*connection).await;
    let (mut session, _) = connected.map_err(|error| describe(&error))?;
    let Some(path) = &settings.path else { return Ok(()) };
    let status =
        ask(&mut session, &upstream.peers[index].host, path).await.map_err(|error| describe(&error))?;
    release(connector, session, &connection).await;
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

/// Closes an HTTP/1 connection; one of HTTP/2 is given back, since Pingora counts its streams.
async fn release(connector: &Connector, mut session: HttpSession, connection: &HttpPeer) {
    session.shutdown().await;
    if matches!(session, HttpSession::H2(_)) {
        connector.release_http_session(session, connection, Some(Duration::ZERO)).await;
    }
}

/// Pingora's error without its backtrace of contexts.
fn describe(error: &pingora_core::Error) -> String {
    let kind = error.etype().as_str();
    match &error.context {
        Some(context) => format!("{kind}: {}", context.as_str()),
        None => kind.to_owned(),
    }
}
