//! The plain request that goes to the upstream (docs/protocol.md, section 3, "Not forwarded").

use http::{HeaderName, HeaderValue, header, uri::PathAndQuery};
use mte_protocol::hop;
use pingora_core::{ErrorType, OrErr, Result};
use pingora_http::RequestHeader;

use super::context::RequestContext;
use crate::{domains::Tenant, upstream::Peer};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// What proxies say of the client beside these: a trusted one's is passed on, anybody else's is not.
const CLAIMS: [&str; 3] = ["forwarded", "x-real-ip", "x-forwarded-port"];
/// The request's id, sent upstream and back.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Turns the client's request into the upstream's.
///
/// # Errors
/// A header that Pingora does not take; checked values do not cause one.
pub fn prepare(
    request: &mut RequestHeader,
    ctx: &RequestContext,
    tenant: &Tenant,
    peer: &Peer,
) -> Result<()> {
    if let Some(exchange) = &ctx.exchange {
        remove(request, |name| hop::never_forwarded(name) || hop::overrides_request(name));
        request.remove_header(&header::EXPECT);
        let target =
            exchange.target.parse().or_err(ErrorType::InternalError, "the checked target is no URI")?;
        request.set_uri(target);
        let mine = |name: &str| !hop::never_forwarded(name) && !CLAIMS.contains(&name);
        for (name, value) in exchange.headers.iter().filter(|(name, _)| mine(name)) {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_bytes(value);
            if let (Ok(name), Ok(value)) = (name, value) {
                request.insert_header(name, value)?;
            }
        }
        request.insert_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))?;
        frame(request, exchange.body.length(), matches!(exchange.body, super::body::RequestBody::None))?;
    } else {
        // Hop-by-hop headers are Pingora's to handle here: it knows about upgrades.
        remove(request, |name| {
            hop::never_forwarded(name) && !hop::is_hop_by_hop(name) && name != "content-length"
        });
        // In absolute form so far.
        if !request.raw_path().starts_with(b"/") {
            let target = request.uri.path_and_query().cloned();
            request.set_uri(target.unwrap_or_else(|| PathAndQuery::from_static("/")).into());
        }
    }

    let host = if tenant.preserve_host { HeaderValue::from_str(&ctx.host).ok() } else { None };
    request.insert_header(header::HOST, host.unwrap_or_else(|| peer.host.clone()))?;
    match &ctx.from.forwarded_for {
        Some(chain) => request.insert_header(&X_FORWARDED_FOR, chain.as_str())?,
        None => drop(request.remove_header(&X_FORWARDED_FOR)),
    }
    if !ctx.from.behind_trusted {
        CLAIMS.iter().for_each(|name| drop(request.remove_header(*name)));
    }
    request.insert_header(&X_FORWARDED_HOST, ctx.host.as_str())?;
    request.insert_header(&X_FORWARDED_PROTO, HeaderValue::from_static(ctx.from.scheme()))?;
    request.insert_header(&X_REQUEST_ID, ctx.request_id.as_str())?;
    for (name, value) in &tenant.headers {
        request.insert_header(name.clone(), value.clone())?;
    }
    Ok(())
}

fn remove(request: &mut RequestHeader, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> =
        request.headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in names {
        request.remove_header(&name);
    }
}

/// The exact length where it is known, chunks where it is not.
fn frame(request: &mut RequestHeader, length: Option<u64>, no_body: bool) -> Result<()> {
    match length {
        Some(length) => request.insert_header(header::CONTENT_LENGTH, length.to_string())?,
        // A method that calls for a body says that there is none.
        None if no_body && matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") => {
            request.insert_header(header::CONTENT_LENGTH, "0")?;
        }
        None if no_body => {}
        // HTTP/2 frames bodies by itself and forbids this field.
        None if request.version == http::Version::HTTP_2 => {}
        None => request.insert_header(header::TRANSFER_ENCODING, "chunked")?,
    }
    Ok(())
}
