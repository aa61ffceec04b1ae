//! Active health checks: one loop for all upstreams, which follows the configuration as it is now. Every address of every
//! peer is checked by itself.

use std::{fmt, sync::Arc, time::Duration};

use pingora_core::{BError, connectors::http::v2::Connector, protocols::http::client::HttpSession};
use pingora_http::RequestHeader;

use super::{Endpoint, Upstream, describe, fault::Fault};

/// How often the loop looks for checks that are due.
const TICK: Duration = Duration::from_millis(100);

/// The upstreams that there are now.
pub trait Upstreams {
    /// Shows each of them.
    fn each(&self, show: &mut dyn FnMut(&Arc<Upstream>));
}

/// Why a check did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckError {
    /// The endpoint is not well.
    Failed(String),
    /// The relay could not make the check: that says nothing of the endpoint.
    Unmade(String),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Failed(why) | Self::Unmade(why)) = self;
        f.write_str(why)
    }
}

/// Checks every endpoint that is to be checked, until the future is dropped.
pub async fn run(upstreams: &impl Upstreams) {
    // A connector of its own. It reads the system's certificates, which takes a while: only if there is something to check.
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
    let outcome = outcome.unwrap_or_else(|_| {
        Err(CheckError::Failed(format!("no answer to the health check within {:?}", settings.timeout)))
    });
    let why = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let verdict = match outcome {
        Ok(()) => endpoint.checked(generation, settings, Ok(())),
        Err(CheckError::Failed(why)) => endpoint.checked(generation, settings, Err(why)),
        Err(CheckError::Unmade(_)) => return endpoint.unchecked(),
    };
    let (tenant, peer) = (upstream.tenant.as_str(), upstream.peers[index].origin.as_str());
    let address = endpoint.address.map(|address| address.to_string());
    match verdict {
        Some(true) => log::info!(tenant, peer, address = address.as_deref(); "upstream is healthy"),
        Some(false) => {
            log::warn!(tenant, peer, address = address.as_deref(); "upstream is unhealthy: {why}");
        }
        None => {}
    }
}

/// One check of one endpoint of the peer at `index`; of a name that is not resolved yet, whether it resolves.
///
/// # Errors
/// Why it did not succeed.
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
        return resolved.map_err(|error| CheckError::Failed(error.to_string()));
    };
    // A connection of its own, with HTTP/2 as well: one that is kept says nothing of whether others can be made.
    connection.options.max_h2_streams = 1;
    let connected = connector.new_http_session(&*connection).await;
    let mut session: HttpSession =
        connected.map_err(|error| match Fault::of_connecting(&error, endpoint.address) {
            Fault::Relay => CheckError::Unmade(describe(&error)),
            _ => CheckError::Failed(describe(&error)),
        })?;
    let Some(path) = path else { return Ok(()) };
    let failed = |error: BError| CheckError::Failed(describe(&error));
    let status = ask(&mut session, &peer.host, path).await.map_err(failed)?;
    session.shutdown().await;
    if (200..400).contains(&status) {
        Ok(())
    } else {
        Err(CheckError::Failed(format!("the health check got status {status}")))
    }
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
