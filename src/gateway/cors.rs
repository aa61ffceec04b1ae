//! What browsers are told (docs/protocol.md, section 6).

use http::{HeaderValue, header};
use mte_protocol::names::{X_MTE_RELAY, X_MTE_RELAY_EH};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::domains::Cors;

/// How long a browser may remember a preflight, in seconds: the most that the common ones take.
const MAX_AGE: &str = "7200";

/// The request's origin, if it may call.
fn allowed<'a>(cors: &Cors, request: &'a RequestHeader) -> Option<&'a HeaderValue> {
    let origin = request.headers.get(header::ORIGIN)?;
    origin.to_str().is_ok_and(|origin| cors.allows(origin)).then_some(origin)
}

/// Whether this is a browser's question before the real request.
pub fn is_preflight(request: &RequestHeader) -> bool {
    request.method == http::Method::OPTIONS
        && request.headers.contains_key(header::ORIGIN)
        && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight. An origin that is not allowed gets no CORS headers.
pub fn preflight(cors: &Cors, request: &RequestHeader) -> Result<ResponseHeader> {
    let mut response = ResponseHeader::build_no_case(204, Some(8))?;
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
pub fn decorate(cors: &Cors, request: &RequestHeader, response: &mut ResponseHeader) -> Result<()> {
    let upstream_exposed: Vec<_> =
        response.headers.get_all(header::ACCESS_CONTROL_EXPOSE_HEADERS).iter().cloned().collect();
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
