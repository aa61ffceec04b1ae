//! CORS: the headers that browsers get (docs/protocol.md, section 6).

use http::{HeaderValue, header};
use mte_protocol::names::{X_MTE_RELAY, X_MTE_RELAY_EH};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use super::forward;
use crate::{domains::Cors, telemetry::RequestId};

/// How long a browser may remember a preflight, in seconds: the most that the common ones take.
const MAX_AGE: &str = "7200";

/// Bytes of a refused origin in the log.
const MAX_LOGGED_ORIGIN: usize = 128;

/// The request's origin, if it may call.
fn allowed<'a>(cors: &Cors, request: &'a RequestHeader) -> Option<&'a HeaderValue> {
    let origin = request.headers.get(header::ORIGIN)?;
    origin.to_str().is_ok_and(|origin| cors.allows(origin)).then_some(origin)
}

/// An origin that the policy refuses, escaped and cut for a log. `own` is the relay's own, as the client sees it: a page
/// of the same origin needs no permission, and neither does a WebSocket, which CORS does not cover.
pub(crate) fn refused(cors: &Cors, request: &RequestHeader, own: (&str, &str)) -> Option<String> {
    let origin = request.headers.get(header::ORIGIN)?;
    let same = |origin: &str| {
        origin
            .split_once("://")
            .is_some_and(|(scheme, host)| scheme == own.0 && host.eq_ignore_ascii_case(own.1))
    };
    if origin.to_str().is_ok_and(same)
        || request.headers.contains_key(header::UPGRADE)
        || allowed(cors, request).is_some()
    {
        return None;
    }
    Some(
        origin
            .as_bytes()
            .iter()
            .take(MAX_LOGGED_ORIGIN)
            .copied()
            .flat_map(std::ascii::escape_default)
            .map(char::from)
            .collect(),
    )
}

/// Whether this is a browser's preflight request.
pub(crate) fn is_preflight(request: &RequestHeader) -> bool {
    request.method == http::Method::OPTIONS
        && request.headers.contains_key(header::ORIGIN)
        && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight. An origin that is not allowed gets no CORS headers.
pub(crate) fn preflight(cors: &Cors, request: &RequestHeader, id: &RequestId) -> Result<ResponseHeader> {
    let mut response = ResponseHeader::build_no_case(204, Some(8))?;
    response.insert_header(&forward::X_REQUEST_ID, id.to_header())?;
    response.append_header(header::VARY, "origin, access-control-request-headers")?;
    if let Some(origin) = allowed(cors, request) {
        allow(cors, origin, &mut response)?;
        response.insert_header(header::ACCESS_CONTROL_ALLOW_METHODS, cors.methods.clone())?;
        if let Some(headers) = request.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            response.insert_header(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone())?;
        }
        response.insert_header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)?;
    }
    Ok(response)
}

fn allow(cors: &Cors, origin: &HeaderValue, response: &mut ResponseHeader) -> Result<()> {
    response.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
    if cors.credentials {
        response.insert_header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true")?;
    }
    Ok(())
}

/// Puts the tenant's CORS headers in place of the upstream's; what the upstream exposes stays exposed.
pub(crate) fn decorate(cors: &Cors, request: &RequestHeader, response: &mut ResponseHeader) -> Result<()> {
    let upstream_exposed: Vec<_> =
        response.headers.get_all(header::ACCESS_CONTROL_EXPOSE_HEADERS).iter().cloned().collect();
    // Few upstreams have any of them.
    if response.headers.keys().any(|name| name.as_str().starts_with("access-control-")) {
        for name in [
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            header::ACCESS_CONTROL_ALLOW_METHODS,
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            header::ACCESS_CONTROL_MAX_AGE,
        ] {
            response.remove_header(&name);
        }
    }
    if !request.headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    response.append_header(header::VARY, "origin")?;
    if let Some(origin) = allowed(cors, request) {
        allow(cors, origin, response)?;
        let mut exposed = format!("{X_MTE_RELAY}, {X_MTE_RELAY_EH}");
        for more in upstream_exposed.iter().filter_map(|value| value.to_str().ok()) {
            exposed.push_str(", ");
            exposed.push_str(more);
        }
        response.insert_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed)?;
    }
    Ok(())
}
