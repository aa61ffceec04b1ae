//! What is sent to an upstream (docs/protocol.md, section 3, "What is forwarded"): the only place that decides it, for
//! pass-through and encrypted requests, for HTTP/1.1 and HTTP/2 on either side.
//!
//! Pingora has already normalised upgrades, and later frames bodies that still have no length. This module never decides
//! whether a request may be forwarded: that has been checked before.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, uri::PathAndQuery};
use mte_protocol::{SealedHeaders, hop};
use pingora_core::{ErrorType, OrErr, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{
    body::RequestBody,
    context::RequestContext,
    error::Failure,
    stage::{Content, Exchange, Forwarded},
};
use crate::{domains::Tenant, upstream::Peer};

static HOST: HeaderName = header::HOST;
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The request's id, sent upstream and back.
pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request with no more header fields than this is copied without growing a map.
const MAX_USUAL_FIELDS: usize = 24;

/// Turns the client's request into the upstream's. `request` has the upstream's version already.
///
/// # Errors
/// A header that Pingora does not take; checked values do not cause one.
pub(crate) fn prepare(
    session: &mut Session,
    request: &mut RequestHeader,
    ctx: &RequestContext,
) -> Result<()> {
    let forwarded = ctx.stage.on_its_way();
    let Some((forwarded, peer)) =
        forwarded.and_then(|forwarded| Some((forwarded, forwarded.upstream_peer()?)))
    else {
        return Err(Failure::Internal("a request without a peer".into()).into());
    };
    let tenant = &forwarded.admitted.tenant;
    let rules = Rules::new(session, request, ctx, forwarded);
    let known = known_fields(ctx, tenant, peer)?;
    match &forwarded.content {
        Content::Encrypted(exchange) => *request = decrypted(request, exchange, &rules, known, tenant)?,
        Content::PassThrough => {
            let no_body = session.as_downstream_mut().is_body_empty();
            pass_through(request, no_body, &rules, known, tenant)?;
        }
    }
    Ok(())
}

/// The upstream's request of an encrypted one, built in one pass. The spelling of names is not kept, as Pingora does for
/// pass-through requests: most of them were sealed in lower case.
fn decrypted(
    request: &RequestHeader,
    exchange: &Exchange,
    rules: &Rules<'_>,
    known: KnownFields,
    tenant: &Tenant,
) -> Result<RequestHeader> {
    let mut parts = http::Request::new(()).into_parts().0;
    parts.method = request.method.clone();
    parts.version = request.version;
    parts.uri = exchange.target.parse().or_err(ErrorType::InternalError, "the checked target is no URI")?;

    let mut headers = HeaderMap::with_capacity(MAX_USUAL_FIELDS);
    for (name, value) in
        request.headers.iter().filter(|(name, value)| rules.forward_clear(name.as_str(), value))
    {
        headers.append(name.clone(), value.clone());
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    add_sealed(&mut headers, &exchange.headers, rules);
    if let Some((name, value)) =
        framing(request, exchange.body.length(), matches!(exchange.body, RequestBody::None))
    {
        headers.insert(name, value);
    }
    if let Some(cookie) = joined_cookies(&headers, request.version)? {
        headers.insert(header::COOKIE, cookie);
    }
    for (name, value) in known {
        match value {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(name)),
        }
    }
    for (name, value) in &tenant.headers {
        headers.insert(name.clone(), value.clone());
    }
    parts.headers = headers;
    Ok(parts.into())
}

/// Changes what must be changed of a request that is passed on.
fn pass_through(
    request: &mut RequestHeader,
    no_body: bool,
    rules: &Rules<'_>,
    known: KnownFields,
    tenant: &Tenant,
) -> Result<()> {
    let unwanted = request.headers.iter().filter(|(name, value)| !rules.forward_clear(name.as_str(), value));
    let names: Vec<HeaderName> = unwanted.map(|(name, _)| name.clone()).collect();
    for name in names {
        request.remove_header(&name);
    }
    // In absolute form so far.
    if !request.raw_path().starts_with(b"/") {
        let target = request.uri.path_and_query().cloned();
        request.set_uri(target.unwrap_or_else(|| PathAndQuery::from_static("/")).into());
    }
    // Pingora writes a body without a length in chunks; only an absent body has to be stated.
    if no_body
        && !request.headers.contains_key(header::CONTENT_LENGTH)
        && let Some((name, value)) = framing(request, None, true)
    {
        request.insert_header(name, value)?;
    }
    if let Some(cookie) = joined_cookies(&request.headers, request.version)? {
        request.insert_header(header::COOKIE, cookie)?;
    }
    for (name, value) in known {
        match value {
            Some(value) => request.insert_header(name, value)?,
            None => drop(request.remove_header(name)),
        }
    }
    for (name, value) in &tenant.headers {
        request.insert_header(name, value.clone())?;
    }
    Ok(())
}

/// A part of a body for Pingora. An empty part at the end would be written to an HTTP/1.1 upstream as a second last chunk,
/// which would begin the connection's next request: so it is dropped.
pub(crate) fn settle_part(part: &mut Option<Bytes>, end: bool) {
    if end && part.as_ref().is_some_and(Bytes::is_empty) {
        *part = None;
    }
}

/// What decides about one request's header fields.
struct Rules<'a> {
    /// The sealed part, if the request has one.
    sealed: Option<&'a SealedHeaders>,
    encrypted: bool,
    /// Whether the client bound its request: then most clear headers are ignored.
    bound: bool,
    /// Whether a trusted proxy passed the request on.
    trusted: bool,
    upgrade: bool,
    /// Whether the client speaks HTTP/1.0, which knows no `Expect`.
    http10: bool,
    to_http2: bool,
    tenant: &'a Tenant,
}

impl<'a> Rules<'a> {
    fn new(
        session: &Session,
        request: &RequestHeader,
        ctx: &RequestContext,
        forwarded: &'a Forwarded,
    ) -> Self {
        let exchange = forwarded.exchange();
        Self {
            sealed: exchange.filter(|exchange| exchange.headers_sealed).map(|exchange| &exchange.headers),
            encrypted: exchange.is_some(),
            bound: exchange.is_some_and(|exchange| exchange.bound),
            trusted: ctx.from.behind_trusted,
            upgrade: exchange.is_none() && request.headers.contains_key(header::UPGRADE),
            http10: session.as_downstream().req_header().version == Version::HTTP_10,
            to_http2: request.version == Version::HTTP_2,
            tenant: &forwarded.admitted.tenant,
        }
    }

    /// Whether a field of the clear part goes to the upstream.
    fn forward_clear(&self, name: &str, value: &HeaderValue) -> bool {
        if hop::never_forwarded(name) {
            return self.belongs_to_passed_request(name, value);
        }
        if hop::overrides_request(name) || hop::claims_client(name) && !self.trusted || self.shadows(name) {
            return false;
        }
        if name == "expect" && (self.encrypted || self.http10) {
            return false;
        }
        if self.bound {
            return hop::counts_in_the_clear(name);
        }
        self.sealed.is_none() || !hop::makes_partial(name)
    }

    /// Whether a field that is otherwise dropped is forwarded: pass-through requests need it for upgrades, lengths and HTTP/2
    /// trailers.
    fn belongs_to_passed_request(&self, name: &str, value: &HeaderValue) -> bool {
        match name {
            _ if self.encrypted => false,
            "content-length" => true,
            "connection" | "upgrade" => self.upgrade,
            // Response trailers pass. Pingora drops those of requests, and so does `trailer` go, which announces them.
            "te" => self.to_http2 && value.as_bytes().eq_ignore_ascii_case(b"trailers"),
            _ => false,
        }
    }

    /// Whether a field with `_` in its name passes, at some upstream, for one that the relay, the tenant or the client's
    /// sealed part sets.
    fn shadows(&self, name: &str) -> bool {
        // Such names are rare: allocating for them does not matter.
        let Some(hyphenated) = hop::hyphenated(name) else { return false };
        self.shadows_ours(name) || self.sealed.is_some_and(|sealed| sealed.get(&hyphenated).is_some())
    }

    /// Whether it passes for one that the relay or the tenant sets.
    fn shadows_ours(&self, name: &str) -> bool {
        let tenants = |name: String| self.tenant.headers.iter().any(|(other, _)| other.as_str() == name);
        hop::shadows(name) || hop::hyphenated(name).is_some_and(tenants)
    }

    /// Whether a field of the sealed part goes to the upstream.
    fn forward_sealed(&self, name: &str) -> bool {
        !hop::never_forwarded(name)
            && !hop::overrides_request(name)
            && !hop::claims_client(name)
            && !self.shadows_ours(name)
            && name != "expect"
    }
}

fn add_sealed(headers: &mut HeaderMap, sealed: &SealedHeaders, rules: &Rules<'_>) {
    let connection = sealed.get("connection").and_then(|value| std::str::from_utf8(value).ok());
    let named = |name: &str| {
        connection
            .is_some_and(|value| hop::connection_names(value).any(|other| other.eq_ignore_ascii_case(name)))
    };
    for (name, value) in sealed.iter().filter(|(name, _)| rules.forward_sealed(name) && !named(name)) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
        {
            headers.insert(name, value);
        }
    }
}

/// The field that frames a body: the exact length where it is known, chunks where it is not.
fn framing(request: &RequestHeader, length: Option<u64>, no_body: bool) -> Option<(HeaderName, HeaderValue)> {
    match length {
        Some(length) => Some((header::CONTENT_LENGTH, length.into())),
        // A method that calls for a body says that there is none (RFC 9110, section 8.6).
        None if no_body && matches!(request.method, Method::POST | Method::PUT | Method::PATCH) => {
            Some((header::CONTENT_LENGTH, HeaderValue::from_static("0")))
        }
        None if no_body => None,
        // HTTP/2 frames bodies by itself and forbids this field.
        None if request.version == Version::HTTP_2 => None,
        None => Some((header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
    }
}

/// HTTP/2 may split a cookie into several fields; HTTP/1.1 knows one (RFC 9113, section 8.2.3).
fn joined_cookies(headers: &HeaderMap, version: Version) -> Result<Option<HeaderValue>> {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if version == Version::HTTP_2 || cookies.next().is_none() || cookies.next().is_none() {
        return Ok(None);
    }
    let all: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&all.join(&b"; "[..]));
    joined.or_err(ErrorType::InternalError, "joined cookies").map(Some)
}

/// What the relay itself knows of the client and the host: it replaces what the request claims. `None` removes a field.
type KnownFields = [(&'static HeaderName, Option<HeaderValue>); 5];

fn known_fields(ctx: &RequestContext, tenant: &Tenant, peer: &Peer) -> Result<KnownFields> {
    let came_for = HeaderValue::from_str(&ctx.host).or_err(ErrorType::InternalError, "the checked host")?;
    let host = if tenant.preserve_host { came_for.clone() } else { peer.host.clone() };
    Ok([
        (&HOST, Some(host)),
        (&X_FORWARDED_FOR, ctx.from.forwarded_for.clone()),
        (&X_FORWARDED_HOST, Some(came_for)),
        (&X_FORWARDED_PROTO, Some(HeaderValue::from_static(ctx.from.scheme()))),
        (&X_REQUEST_ID, Some(ctx.request_id.to_header())),
    ])
}
