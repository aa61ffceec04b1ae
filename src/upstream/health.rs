//! Active health checks: one loop for all upstreams, which uses the current configuration. Every address of every peer is
//! checked separately.

use std::{sync::Arc, time::Duration};

use pingora_core::{BError, connectors::http::v2::Connector, protocols::http::client::HttpSession};
use pingora_http::RequestHeader;

use super::{Endpoint, ResolveError, Upstream, describe, fault::Fault};

/// How often the loop starts the checks that are due.
const TICK: Duration = Duration::from_millis(100);

/// The current upstreams.
pub trait Upstreams {
    /// Calls a function for each upstream.
    fn each(&self, show: &mut dyn FnMut(&Arc<Upstream>));
}

/// Why a check failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CheckError {
    /// The name does not resolve.
    #[error(transparent)]
    Unresolved(#[from] ResolveError),
    /// There is no connection, or it broke, with Pingora's message.
    #[error("{0}")]
    Broken(String),
    /// There was no answer in time.
    #[error("no answer to the health check within {0:?}")]
    Late(Duration),
    /// The status of the response is not from 200 to 399.
    #[error("the health check got status {0}")]
    Status(u16),
    /// The relay could not run the check, which says nothing about the endpoint, with Pingora's message.
    #[error("{0}")]
    Unmade(String),
}

/// Runs the health checks of all endpoints until the future is dropped.
pub async fn run(upstreams: &impl Upstreams) {
    // A separate connector. Creating it reads the system's certificates, which is slow, so it is created only if needed.
    let mut connector = None;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        upstreams.each(&mut |upstream| {
            let Some(settings) = &upstream.health else { return };
            for index in 0..upstream.peers.len() {
                upstream.refresh(index);
                for endpoint in upstream.peers[index].state.endpoints() {
                    if let Some(generation) = endpoint.take_check(settings.interval) {
                        let connector = connector.get_or_insert_with(|| Arc::new(Connector::new(None)));
                        tokio::spawn(check(connector.clone(), upstream.clone(), index, endpoint, generation));
                    }
                }
            }
        });
    }
}

async fn check(
    connector: Arc<Connector>,
    upstream: Arc<Upstream>,
    index: usize,
    endpoint: Arc<Endpoint>,
    generation: u64,
) {
    let Some(settings) = &upstream.health else { return };
    let attempt = attempt(&connector, &upstream, index, &endpoint, settings.path.as_deref());
    let outcome = tokio::time::timeout(settings.timeout, attempt).await;
    let outcome = outcome.unwrap_or(Err(CheckError::Late(settings.timeout)));
    if matches!(outcome, Err(CheckError::Unmade(_))) {
        return endpoint.unchecked();
    }
    if !endpoint.checked(generation, settings, outcome.as_ref().copied()) {
        return;
    }
    let (tenant, peer) = (upstream.tenant.as_str(), upstream.peers[index].origin.as_str());
    let address = endpoint.address.map(|address| address.to_string());
    match outcome {
        Ok(()) => log::info!(tenant, peer, address = address.as_deref(); "upstream is healthy"),
        Err(why) => log::warn!(tenant, peer, address = address.as_deref(); "upstream is unhealthy: {why}"),
    }
}

/// One check of one endpoint of the peer at `index`; if the name is not resolved yet, checks whether it resolves.
///
/// # Errors
/// Why the check failed.
pub async fn attempt(
    connector: &Connector,
    upstream: &Upstream,
    index: usize,
    endpoint: &Endpoint,
    path: Option<&str>,
) -> Result<(), CheckError> {
    let peer = &upstream.peers[index];
    let Some(mut connection) = upstream.connection(index, endpoint, false) else {
        let resolved = peer.state.resolve(upstream.connect_limit()).await;
        return resolved.map_err(CheckError::from);
    };
    // A new connection, also with HTTP/2: an existing one does not show whether new ones can be made.
    connection.options.max_h2_streams = 1;
    let connected = connector.new_http_session(&*connection).await;
    let mut session: HttpSession =
        connected.map_err(|error| match Fault::of_connecting(&error, endpoint.address) {
            Fault::Relay => CheckError::Unmade(describe(&error)),
            _ => CheckError::Broken(describe(&error)),
        })?;
    let Some(path) = path else { return Ok(()) };
    let failed = |error: BError| CheckError::Broken(describe(&error));
    let status = ask(&mut session, &peer.host, path).await.map_err(failed)?;
    session.shutdown().await;
    if (200..400).contains(&status) { Ok(()) } else { Err(CheckError::Status(status)) }
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
