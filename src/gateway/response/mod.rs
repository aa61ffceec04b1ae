//! The responses to clients, on every route and for every pair of HTTP versions (docs/protocol.md, section 4).
//!
//! `prepare` runs in Pingora's `response_filter`, where the request's context is available: it removes what belongs to the
//! upstream's connection and passes the rest to [`ResponseModule`]. The module frames and seals: only it is informed whether
//! the response ended with its head, and runs after all of Pingora's own changes. It never sees the relay's own answers
//! (`answer`).

mod decode;
mod headers;
mod seal;

use std::{any::Any, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use pingora_core::{
    Result,
    modules::http::{HttpModule, HttpModuleBuilder, Module},
};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

pub(crate) use self::seal::{Sealing, Sizes};
use super::{
    RequestContext,
    error::Failure,
    stage::{Content, Forwarded},
};
use crate::{domains::Tenant, limits::Gathered, telemetry::Operation};

/// Statuses that say something about a pair: clients repeat the request on them (docs/protocol.md, section 5).
const RELAY_STATUSES: std::ops::RangeInclusive<u16> = 559..=569;

/// How a response can be framed on the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientVersion {
    /// Neither chunks nor interim responses: a body without a length ends with the connection.
    Http10,
    Http11,
    Http2,
}

impl ClientVersion {
    pub(crate) fn of(session: &Session) -> Self {
        let downstream = session.as_downstream();
        if downstream.is_http2() {
            Self::Http2
        } else if downstream.req_header().version < Version::HTTP_11 {
            Self::Http10
        } else {
            Self::Http11
        }
    }

    /// Decides how the body is framed. Pingora has already framed it, without regard to the client's HTTP version.
    pub(crate) fn frame(self, response: &mut ResponseHeader, follows: bool, bodiless: bool) -> Result<()> {
        // An HTTP/1.0 upstream's version would contradict the chunks.
        response.set_version(Version::HTTP_11);
        response.remove_header(&header::TRANSFER_ENCODING);
        let stated = response.headers.contains_key(header::CONTENT_LENGTH);
        if !follows && !bodiless && !stated {
            response.insert_header(header::CONTENT_LENGTH, HeaderValue::from_static("0"))?;
        } else if follows && !stated && self == Self::Http11 {
            response.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
        }
        Ok(())
    }
}

/// Says before the upstream is contacted which interim responses the client is sent: none over HTTP/1.0, and none to an
/// encrypted request, since they cannot be sealed. Over HTTP/2 Pingora sends none at all.
pub(crate) fn refuse_interim(session: &mut Session, ctx: &RequestContext) {
    if ctx.exchange().is_some() || ClientVersion::of(session) == ClientVersion::Http10 {
        session.as_downstream_mut().set_ignore_info_resp(true);
    }
}

/// Whether nothing follows a response's head, as far as the head itself shows.
pub(crate) fn ends_with_head(method: &Method, response: &ResponseHeader) -> bool {
    is_bodiless(*method == Method::HEAD, response.status) || states_empty(response)
}

/// Whether such a response has no body whatever it states (RFC 9110 section 6.4.1).
pub(crate) fn is_bodiless(head: bool, status: StatusCode) -> bool {
    head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn states_empty(response: &ResponseHeader) -> bool {
    response.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0")
}

/// Prepares an upstream's final response for the client, up to what [`ResponseModule`] does. `held` is the budget for a body
/// that is gathered.
///
/// # Errors
/// A header that Pingora does not take; checked values do not cause one.
pub(crate) fn prepare(
    session: &mut Session,
    ctx: &mut RequestContext,
    response: &mut ResponseHeader,
    held: Option<Gathered>,
) -> Result<()> {
    let client = ClientVersion::of(session);
    let trailers = response.version == Version::HTTP_2 && client == ClientVersion::Http2;
    headers::remove_hop_by_hop(response, trailers && ctx.exchange().is_none());
    if response.headers.contains_key(header::LOCATION) {
        let origin = format!("{}://{}", ctx.from.scheme(), ctx.host);
        let upstream = &ctx.stage.forwarded()?.admitted.tenant.upstream;
        rewrite_location(upstream.peers.iter().map(|peer| peer.origin.as_str()), &origin, response);
    }
    let bound = ctx.exchange().is_some_and(|exchange| exchange.bound);
    if means_a_pair(response.status) && !bound {
        log::info!(
            request_id = ctx.request_id.as_str(), tenant = ctx.tenant().map(|tenant| &*tenant.name),
            status = response.status.as_u16();
            "the upstream's status means something else to relay clients: answered with 502"
        );
        response.set_status(StatusCode::BAD_GATEWAY)?;
    }
    super::answer::finish_response(session, ctx, response)?;
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    let head = session.as_downstream().req_header().method == Method::HEAD;
    let Forwarded { admitted, content, .. } = ctx.stage.forwarded()?;
    let exchange = if let Content::Encrypted(exchange) = content { Some(exchange) } else { None };
    let sealing = exchange.and_then(|exchange| {
        let signed = admitted.client.as_ref().map(|client| client.signed.clone()).unwrap_or_default();
        let (request, max) = (std::mem::take(&mut exchange.headers), ctx.config.limits.max_mte_body);
        let sealer = exchange.response.take()?.sealer(request, signed, max);
        Some(Box::new(Sealing::new(sealer, head, max, held)))
    });
    if client == ClientVersion::Http10
        && (sealing.is_some() || !response.headers.contains_key(header::CONTENT_LENGTH))
    {
        session.as_downstream_mut().set_keepalive(None);
    }
    if let Some(module) = session.downstream_modules_ctx.get_mut::<ResponseModule>() {
        module.delivery = Some(Delivery { client, head, sealing });
    }
    Ok(())
}

/// Notes in the request's context, at its end, what the response took.
pub(crate) fn settle(session: &Session, ctx: &mut RequestContext) {
    let module = session.downstream_modules_ctx.get::<ResponseModule>();
    let Some(sealing) = module.and_then(|module| module.delivery.as_ref()?.sealing.as_ref()) else { return };
    let Sizes { map, map_encoded, body } = sealing.sizes;
    ctx.response_size = [map + body, map_encoded];
    ctx.timing.encode = sealing.head_took + sealing.body_took;
    if let Some(overhead) = &mut ctx.timing.overhead {
        *overhead += sealing.head_took;
    }
    if let Some(tenant) = ctx.tenant().filter(|_| sealing.messages > 0) {
        tenant.metrics.codec(Operation::Seal, sealing.messages);
    }
}

/// Whether clients of relays take a status for a message about their pair.
pub(crate) fn means_a_pair(status: StatusCode) -> bool {
    RELAY_STATUSES.contains(&status.as_u16())
}

/// A `location` that points at one of these origins is made to point at the relay.
pub(crate) fn rewrite_location<'a>(
    mut origins: impl Iterator<Item = &'a str>,
    relay_origin: &str,
    response: &mut ResponseHeader,
) {
    let Some(location) = response.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()) else {
        return;
    };
    let rest = |origin: &str| {
        let (start, rest) = location.split_at_checked(origin.len())?;
        let ends = rest.is_empty() || rest.starts_with(['/', '?', '#']);
        (start.eq_ignore_ascii_case(origin) && ends).then_some(rest)
    };
    let Some(rest) = origins.find_map(rest) else { return };
    if let Ok(value) = HeaderValue::from_str(&format!("{relay_origin}{rest}")) {
        let _ = response.insert_header(header::LOCATION, value);
    }
}

/// Adds the tenant's own headers.
pub(crate) fn decorate(tenant: &Tenant, response: &mut ResponseHeader) {
    for (name, value) in &tenant.headers {
        let _ = response.insert_header(name.clone(), value.clone());
    }
}

/// Pingora's module that frames and seals the responses of upstreams. It does nothing until [`prepare`] arms it.
#[derive(Default)]
pub(crate) struct ResponseModule {
    delivery: Option<Delivery>,
}

/// One response in progress.
struct Delivery {
    client: ClientVersion,
    /// Whether the request was a HEAD.
    head: bool,
    /// For an encrypted request.
    sealing: Option<Box<Sealing>>,
}

impl Delivery {
    fn head(&mut self, response: &mut ResponseHeader, ended: bool) -> Result<(), Failure> {
        let bodiless = is_bodiless(self.head, response.status);
        let follows = !(ended || bodiless || states_empty(response));
        if let Some(sealing) = &mut self.sealing {
            let began = Instant::now();
            sealing.head(response, follows)?;
            sealing.head_took = began.elapsed();
        }
        self.client.frame(response, follows, bodiless).map_err(|error| Failure::Internal(error.to_string()))
    }
}

#[async_trait]
impl HttpModule for ResponseModule {
    async fn response_header_filter(&mut self, response: &mut ResponseHeader, end: bool) -> Result<()> {
        if response.status.is_informational() {
            return Ok(());
        }
        let Some(delivery) = &mut self.delivery else { return Ok(()) };
        Ok(delivery.head(response, end)?)
    }

    fn response_body_filter(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<()> {
        let Some(sealing) = self.sealing() else { return Ok(()) };
        Ok(sealing.body(body, end)?)
    }

    fn response_trailer_filter(&mut self, _: &mut Option<Box<HeaderMap>>) -> Result<Option<Bytes>> {
        // After trailers there is no end-of-body call: the final frame is sent here.
        self.last_part(true)
    }

    fn response_done_filter(&mut self) -> Result<Option<Bytes>> {
        self.last_part(false)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl ResponseModule {
    fn sealing(&mut self) -> Option<&mut Sealing> {
        self.delivery.as_mut()?.sealing.as_deref_mut()
    }

    /// The last bytes of a sealed body, if any are left. `instead` of trailers, which cannot be sealed, an empty part is
    /// sent if nothing is left.
    fn last_part(&mut self, instead: bool) -> Result<Option<Bytes>> {
        let Some(sealing) = self.sealing() else { return Ok(None) };
        if !sealing.is_open() {
            return Ok(instead.then(Bytes::new));
        }
        let mut last = None;
        sealing.body(&mut last, true)?;
        Ok(last)
    }
}

/// Makes a [`ResponseModule`] for each request.
pub(crate) struct ResponseModuleBuilder;

impl HttpModuleBuilder for ResponseModuleBuilder {
    fn init(&self) -> Module {
        Box::new(ResponseModule::default())
    }
}
