//! The host that a request is for, and whether its connection may carry requests for it.

use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{encrypted::single, error::Failure};
use crate::domains::{Tenant, is_host};

/// The inbound host. HTTP/1.0 requests have none, which is accepted for health checks.
///
/// # Errors
/// 400 if there is none, or none that can be one.
pub(super) fn of(request: &RequestHeader) -> Result<Option<&str>, Failure> {
    let host = match request.uri.authority() {
        Some(authority) => authority.as_str(),
        None => match single(request, "host")? {
            Some(host) => host,
            None if request.version == http::Version::HTTP_10 => return Ok(None),
            None => return Err(Failure::BadRequest("the request has no Host".into())),
        },
    };
    if !is_host(host) {
        return Err(Failure::BadRequest("the Host is no host name with or without a port".into()));
    }
    Ok(Some(host))
}

/// A connection serves the tenant that its handshake was made for, and a tenant that requires client
/// certificates is served over no other.
///
/// # Errors
/// 421 over another connection.
pub(super) fn check_connection(session: &Session, tenant: &Tenant, host: &str) -> Result<(), Failure> {
    let strict = tenant.tls.as_ref().is_some_and(|tls| tls.client_certificates);
    let fits = match crate::edge::connection(session).and_then(|connection| connection.made_for) {
        Some(made_for) => made_for.tenant == tenant.id && (made_for.certified || !strict),
        None => !strict,
    };
    if fits { Ok(()) } else { Err(Failure::Misdirected(host.to_owned())) }
}
