//! An encrypted request, opened (docs/protocol.md, section 3).
//!
//! The session (`mte_session::server`) checks what the protocol requires. This module provides its inputs, in this order: the
//! relay header, the client id, the pair, whether there is a body, the body's first part, and last the commit that spends the request's
//! numbers, all before the upstream is contacted.

use std::{sync::Arc, time::Instant};

use http::{Version, header};
use mte_codec::EncodeType;
use mte_protocol::client_id;
use mte_session::{
    server::{self, OpenedHead, OpenedRequest, Outer, PlainRequest, Policy, RequestError, RequestOpener},
    store::{PairError, Snapshot},
};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{
    Parts,
    body::{FirstPart, RequestBody},
    context::RequestContext,
    error::Failure,
    stage::{Exchange, Identity},
};
use crate::{
    config::Limits,
    domains::Tenant,
    edge,
    limits::BodyDeadline,
    pairs::Owner,
    telemetry::{Operation, TraceId},
};

/// Characters of a client id in the log.
const MAX_LOGGED_ID: usize = 64;

/// The value of a header that may occur only once; `None` if it is absent.
///
/// # Errors
/// 400 if it occurs more than once, or is not visible ASCII.
pub(crate) fn single<'a>(request: &'a RequestHeader, name: &'static str) -> Result<Option<&'a str>, Failure> {
    Ok(server::single(&request.headers, name)?)
}

/// Opens a request and spends its numbers. `ctx` has its tenant; its client is set here.
///
/// # Errors
/// What to answer instead of proxying.
pub(crate) async fn open(
    session: &mut Session,
    ctx: &mut RequestContext,
    tenant: &Arc<Tenant>,
    parts: &Parts,
) -> Result<Exchange, Failure> {
    let began = Instant::now();
    let policy = policy(tenant, &ctx.config.limits);
    let request = session.as_downstream().req_header();
    let relay = server::relay_header(&request.headers)?;
    let identified = identify(session, tenant, relay.client_id)?;
    let owner = Owner { tenant: tenant.id, client: identified.id };
    ctx.stage.identify(identified);

    let opener = RequestOpener::new(&relay, target(request), &request.headers, &policy)?;
    let snapshot = begin(parts, owner, &opener).await.map_err(RequestError::from)?;

    let deadline = BodyDeadline::gathered(&ctx.config.timeouts);
    let mut first_part = FirstPart::new(session, &ctx.config.limits, deadline)?;
    expect_continue(session).await?;
    let has_body = first_part.is_present(session).await?;
    let method = session.as_downstream().req_header().method.as_str();
    let outer = Outer { method, authority: &ctx.host, has_body };
    let head = open_head(parts, owner, &opener, snapshot, &outer, &policy).await?;
    note_head(ctx, &head);
    let (request, body) = open_body(session, ctx, parts, &mut first_part, head, has_body).await?;

    let committed = parts.pairs.commit(owner, request.pair_id(), request.commit()).await;
    let committed = committed.map_err(RequestError::from)?;
    tenant.metrics.codec(Operation::Open, request.messages().into());
    let request = request.accept(committed, &mut rand::rng())?;
    // Only now is it known that the client itself has sent this: another client cannot use up its allowance.
    let allowed = parts.request_rate.check(&owner, 1, ctx.config.limits.requests_per_second);
    allowed.map_err(|retry_after| Failure::TooManyRequests { retry_after })?;
    ctx.timing.client_wait = first_part.waited();
    ctx.timing.decode = began.elapsed().saturating_sub(first_part.waited());

    // From here on the numbers are spent.
    let request = request.plain()?;
    let path = request.target.split('?').next().unwrap_or_default();
    if tenant.mte_routes.as_ref().is_some_and(|routes| !routes.matches(path)) {
        return Err(Failure::NotFound);
    }
    Ok(exchange(request, body))
}

/// The pair as a request begins with it: possibly cached by the store, if the request can be opened a second time.
async fn begin(parts: &Parts, owner: Owner, opener: &RequestOpener) -> Result<Snapshot, PairError> {
    match opener.has_sealed_head() {
        true => parts.pairs.begin(owner, opener.pair_id()).await,
        false => parts.pairs.refresh(owner, opener.pair_id()).await,
    }
}

/// Opens URL and headers; a second time with the current pair if the first snapshot may have been outdated.
async fn open_head(
    parts: &Parts,
    owner: Owner,
    opener: &RequestOpener,
    snapshot: Snapshot,
    outer: &Outer<'_>,
    policy: &Policy,
) -> Result<OpenedHead, RequestError> {
    match opener.open(snapshot.clone(), outer, policy) {
        Err(error) if error.may_be_outdated() => {
            let now = parts.pairs.refresh(owner, opener.pair_id()).await?;
            if now.supersedes(&snapshot) { opener.open(now, outer, policy) } else { Err(error) }
        }
        opened => opened,
    }
}

/// What the tenant requires of encrypted requests.
fn policy(tenant: &Tenant, limits: &Limits) -> Policy {
    Policy {
        allow_plain_requests: tenant.allow_plain_requests,
        require_sealed_headers: tenant.require_sealed_headers,
        require_binding: tenant.require_binding,
        max_header_names: limits.header_names,
    }
}

/// Records what the log shows of URL and headers.
fn note_head(ctx: &mut RequestContext, head: &OpenedHead) {
    let sizes = head.sizes();
    ctx.request_size = [sizes.plain, sizes.encoded];
    // Who seals its headers may have sealed this one as well.
    ctx.trace = ctx.trace.or_else(|| head.headers().get("traceparent").and_then(TraceId::parse));
}

/// Opens a body as far as needed before the upstream is contacted.
async fn open_body(
    session: &mut Session,
    ctx: &mut RequestContext,
    parts: &Parts,
    first_part: &mut FirstPart,
    head: OpenedHead,
    has_body: bool,
) -> Result<(OpenedRequest, RequestBody), Failure> {
    let pending = match head {
        OpenedHead::Whole(request) => {
            return Ok((request, if has_body { RequestBody::Plain } else { RequestBody::None }));
        }
        OpenedHead::BodyFollows(pending) => pending,
    };
    let start = first_part.start(session).await?;
    let encode_type = pending.encode_type();
    let (request, body) = pending.admit(&start)?;
    let body = match encode_type {
        EncodeType::Mke => Box::pin(first_part.open_streamed(session, body, parts.pool.take())).await?,
        EncodeType::Mte => {
            let limit = ctx.config.limits.max_mte_body;
            let mut held = ctx.gathered(parts);
            let opened = Box::pin(first_part.open_gathered(session, body, limit, &mut held)).await?;
            ctx.gathered = Some(held);
            opened
        }
    };
    Ok((request, body))
}

fn exchange(request: PlainRequest, body: RequestBody) -> Exchange {
    let PlainRequest { target, headers, headers_sealed, response } = request;
    Exchange {
        encode_type: response.encode_type(),
        target,
        headers,
        headers_sealed,
        body,
        bound: response.is_bound(),
        response: Some(response),
    }
}

/// The client of a signed id, and the form to answer with.
///
/// # Errors
/// 566; the log says why, and shows the id without its signature.
pub(crate) fn identify(session: &Session, tenant: &Arc<Tenant>, signed: &str) -> Result<Identity, Failure> {
    let verified = match edge::connection(session) {
        Some(connection) => connection.verified_id.verify(tenant, signed),
        None => tenant.secrets.verify(signed),
    };
    verified.map(|(id, signed)| Identity { id, signed }).ok_or_else(|| {
        let id = client_id::without_signature(signed);
        let shown: String = id.chars().take(MAX_LOGGED_ID).collect();
        let why = if client_id::is_well_formed(signed) { "not signed by this tenant" } else { "malformed" };
        RequestError::ClientId(format!("the client id {shown:?} is {why}")).into()
    })
}

/// The request target exactly as in the request line.
fn target(request: &RequestHeader) -> &str {
    std::str::from_utf8(request.raw_path()).unwrap_or_default()
}

/// Sends `100 Continue` to a client that waits for it before it sends its body.
///
/// # Errors
/// 400 if the client has disconnected.
pub(crate) async fn expect_continue(session: &mut Session) -> Result<(), Failure> {
    let request = session.as_downstream().req_header();
    let expect = request.headers.get(header::EXPECT).filter(|_| request.version != Version::HTTP_10);
    if !expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Ok(());
    }
    let written = session.as_downstream_mut().write_continue_response().await;
    written
        .map_err(|error| Failure::BadRequest(format!("client went away: {}", error.etype().as_str()).into()))
}

#[cfg(test)]
mod tests {
    use mte_codec::{OpenError, SealError};
    use mte_protocol::{RelayHeaderError, SealedHeadersError, TargetError};
    use mte_session::{server::BodyError, store::Unavailable};

    use super::*;

    #[test]
    fn what_the_session_refuses_is_answered_with_the_status_that_the_session_names() {
        let errors = [
            RequestError::Repeated("x-mte-relay"),
            RequestError::NotAscii("x-mte-relay"),
            RelayHeaderError::Malformed("why").into(),
            RelayHeaderError::MissingPairId.into(),
            RequestError::ClientId("malformed".into()),
            RequestError::NothingSealed,
            RequestError::ClearBody,
            OpenError::NotAuthentic.into(),
            SealedHeadersError::NotAByte.into(),
            SealedHeadersError::TooMany(200).into(),
            BodyError::TooLarge { limit: 5 }.into(),
            BodyError::Length { expected: 1, got: 2 }.into(),
            TargetError::DotSegment.into(),
            PairError::NotFound.into(),
            PairError::Replaced.into(),
            PairError::Expired.into(),
            PairError::Exhausted.into(),
            PairError::Lost.into(),
            PairError::Unknown(Unavailable::because("no reply")).into(),
            PairError::Unavailable(Unavailable::because("no connection")).into(),
            RequestError::Keys(SealError::Crypto),
        ];
        for error in errors {
            let (status, text) = (error.status(), error.to_string());
            assert_eq!(Failure::from(error).status(), status, "{text}");
        }
    }
}
