//! An encrypted request, opened (docs/protocol.md, section 3).
//!
//! Everything that must hold before the upstream is contacted is decided here, in this order: the relay
//! header, the client id, the pair, the URL and the headers (each verified), the body's first part, the
//! bindings, and last the commit that spends the request's numbers.

use std::time::Instant;

use http::{Version, header};
use mte_codec::{
    EncodeType, EpochSecret, Expected, Numbers, OpenError, Place, Window,
    open::{self, Opened},
};
use mte_protocol::{
    RelayHeader, SealedHeaders, Status,
    client_id::{self, ClientId},
    names::{X_MTE_RELAY, X_MTE_RELAY_EH},
    origin_form,
    sealed_headers::normal_authority,
    text,
};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{
    Parts,
    body::{FirstPart, RequestBody},
    context::{Exchange, RequestContext},
    error::Failure,
    response_keys::{RESPONSE_MESSAGES, ResponseKeys},
};
use crate::{
    domains::{RequireSealedHeaders, Tenant},
    limits::BodyDeadline,
    pairs::{Commit, Owner, Snapshot, WatchedStore},
    telemetry::{Operation, TraceId},
};

/// Characters of a client id in the log.
const MAX_LOGGED_ID: usize = 64;

/// The one value of a header that may come once; `None` if it did not come.
///
/// # Errors
/// 400 if it came more than once, or is not visible ASCII.
pub fn single<'a>(request: &'a RequestHeader, name: &'static str) -> Result<Option<&'a str>, Failure> {
    let mut values = request.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Failure::BadRequest(format!("the header {name} is there more than once").into()));
    }
    let text =
        value.to_str().map_err(|_| Failure::BadRequest(format!("the header {name} is not ASCII").into()))?;
    Ok(Some(text))
}

/// Which messages a request has; they carry consecutive numbers in this order.
struct Shape {
    url: bool,
    headers: bool,
    body: bool,
    /// The flags announce one that is not there. Only a sender who could not know the count may do that.
    missing: bool,
}

impl Shape {
    /// The place of the message at `index`.
    fn place(&self, index: u8, raw: bool) -> Place {
        let count = u8::from(self.url) + u8::from(self.headers) + u8::from(self.body);
        let following = if self.missing { Place::UNKNOWN } else { count - 1 - index };
        if raw { Place::raw(index, following) } else { Place::text(index, following) }
    }
}

/// Opens a request and spends its numbers. `ctx` has its tenant; its client is set here.
///
/// # Errors
/// What to answer instead of proxying.
pub async fn open(
    session: &mut Session,
    ctx: &mut RequestContext,
    tenant: &Tenant,
    parts: &Parts,
) -> Result<Exchange, Failure> {
    let began = Instant::now();
    let (store, pool) = (&*parts.pairs, &parts.pool);
    let request = session.as_downstream().req_header();
    let value = single(request, X_MTE_RELAY)?.unwrap_or_default();
    let relay = RelayHeader::parse(value)?;
    let identified = identify(tenant, relay.client_id)?;
    let client = identified.0;
    ctx.client = Some(identified);

    let owner = Owner { tenant: tenant.id, client };
    let pair_id = relay.pair_id.to_owned();
    let streaming = relay.streaming.map(str::to_owned);
    let encode_type = relay.encode_type;
    let (url_flag, headers_flag, body_flag) = (relay.url_encoded, relay.headers_encoded, relay.body_encoded);

    let url = if url_flag { text::path_to_message(target(request))? } else { None };
    let sealed = sealed_headers_message(request, headers_flag)?;
    if url.is_none() && sealed.is_none() && !tenant.allow_plain_requests {
        return Err(Failure::relay(
            Status::RelayHeaderMissing,
            "neither the URL nor the headers are encoded",
        ));
    }
    let snapshot = store.begin(owner, &pair_id).await?;

    let deadline = BodyDeadline::gathered(&ctx.config.timeouts);
    let mut first_part = FirstPart::new(session, &ctx.config.limits, deadline)?;
    expect_continue(session).await?;
    let has_body = first_part.is_present(session).await?;
    let (has_url, has_headers) = (url.is_some(), sealed.is_some());
    let shape = Shape {
        url: has_url,
        headers: has_headers,
        body: body_flag && has_body,
        missing: url_flag && !has_url || headers_flag && !has_headers || body_flag && !has_body,
    };
    // Where anything is sealed, a body in the clear was put there by somebody else.
    if has_body && !body_flag && (shape.url || shape.headers) {
        return Err(Failure::decode("a body in the clear"));
    }

    require_sealed_headers(tenant, has_headers, false)?;

    let mut opening = Opening { snapshot: &snapshot, encode_type, first: None, index: 0 };
    let mut plain_url = None;
    if let Some(mut message) = url {
        let Opened { plaintext: opened, place, .. } = opening.message(shape.place(0, false), &mut message)?;
        require_sealed_headers(tenant, has_headers, place.following() == Place::UNKNOWN)?;
        ctx.request_size[0] += opened.len() as u64;
        // A header map that stood alone has the same place as a URL that stands alone; no URL begins like one.
        if opened.starts_with(b"{") {
            return Err(Failure::decode("a header map in the URL's place"));
        }
        plain_url = Some(opened.to_vec());
        ctx.request_size[1] += message.len() as u64;
    }
    let mut headers = SealedHeaders::default();
    if let Some(mut message) = sealed {
        let opened = opening.message(shape.place(opening.index, false), &mut message)?.plaintext;
        ctx.request_size[0] += opened.len() as u64;
        headers = SealedHeaders::parse_at_most(opened, ctx.config.limits.header_names)?;
        ctx.request_size[1] += message.len() as u64;
        // Who seals its headers may have sealed this one as well.
        let traceparent = headers.get("traceparent").and_then(TraceId::parse);
        ctx.trace = ctx.trace.or(traceparent);
    }
    let mut body = RequestBody::None;
    if shape.body {
        let expected = Expected { encode_type, place: shape.place(opening.index, true) };
        let header = first_part.header(session).await?;
        opening.number(header.number)?;
        body = match encode_type {
            EncodeType::Mke => {
                Box::pin(first_part.open_streamed(session, &snapshot, expected, pool.take())).await?
            }
            EncodeType::Mte => {
                let limit = ctx.config.limits.max_mte_body;
                let mut held = ctx.gathered(parts);
                let opened =
                    Box::pin(first_part.open_gathered(session, &snapshot, expected, limit, &mut held))
                        .await?;
                ctx.gathered = Some(held);
                opened
            }
        };
    } else if has_body {
        body = RequestBody::Plain;
    }

    let request = session.as_downstream().req_header();
    check_binding(request, &ctx.host, tenant, &headers)?;
    let stated = headers.get("content-length").map(parse_length).transpose()?;
    body.state_length(stated)?;

    let first = opening.first.unwrap_or_default();
    let numbers = commit(store, owner, &pair_id, &snapshot, first, u64::from(opening.index)).await?;
    let keys = ResponseKeys::new(&numbers, encode_type, &mut rand::rng());
    let keys = keys.map_err(|error| Failure::Internal(format!("the response's keys: {error}")))?;
    tenant.metrics.codec(Operation::Open, u64::from(opening.index));
    // Only now is it known that the client itself has sent this: nobody else can use up its allowance.
    let allowed = parts.request_rate.check(&owner, 1, ctx.config.limits.requests_per_second);
    allowed.map_err(|retry_after| Failure::TooManyRequests { retry_after })?;
    ctx.timing.client_wait = first_part.waited();
    ctx.timing.decode = began.elapsed().saturating_sub(first_part.waited());

    // From here on the numbers are spent, whatever comes.
    let target = match plain_url {
        Some(url) => origin_form(&url)?,
        None => origin_form(target(request).strip_prefix('/').unwrap_or_default().as_bytes())?,
    };
    let path = target.split('?').next().unwrap_or_default();
    if tenant.mte_routes.as_ref().is_some_and(|routes| !routes.matches(path)) {
        return Err(Failure::NotFound);
    }
    let bound = headers.method().is_some().then_some(first);
    Ok(Exchange {
        encode_type,
        target,
        response_headers: headers.response_headers(),
        headers,
        headers_sealed: has_headers,
        body,
        bound,
        keys: Some(keys),
        pair_id,
        streaming,
    })
}

/// The client of a signed id, and the form to answer with.
///
/// # Errors
/// 566; the log says why, and repeats as much of the id as is no signature.
pub fn identify(tenant: &Tenant, signed: &str) -> Result<(ClientId, String), Failure> {
    tenant.secrets.verify(signed).ok_or_else(|| {
        let id = client_id::without_signature(signed);
        let shown: String = id.chars().take(MAX_LOGGED_ID).collect();
        let why = match signed {
            "" => "absent",
            _ if client_id::is_well_formed(signed) => "not signed by this tenant",
            _ => "malformed",
        };
        Failure::relay(Status::ClientIdInvalid, format!("the client id {shown:?} is {why}"))
    })
}

/// Refuses a request whose header map may have been dropped on the way. `uncounted`: its URL does not say how many
/// messages follow.
fn require_sealed_headers(tenant: &Tenant, sealed: bool, uncounted: bool) -> Result<(), Failure> {
    let required = match tenant.require_sealed_headers {
        RequireSealedHeaders::Always => true,
        RequireSealedHeaders::Uncounted => uncounted,
        RequireSealedHeaders::Never => false,
    };
    if sealed || !required {
        return Ok(());
    }
    Err(Failure::decode(
        "no sealed headers, which require_sealed_headers asks for: they may have been dropped on the way",
    ))
}

/// The request target as it stands in the request line.
fn target(request: &RequestHeader) -> &str {
    std::str::from_utf8(request.raw_path()).unwrap_or_default()
}

/// The sealed header map's message, if there is one.
///
/// # Errors
/// 562 if flag and header contradict each other: a flag flipped on the way never changes a meaning.
fn sealed_headers_message(request: &RequestHeader, flag: bool) -> Result<Option<Vec<u8>>, Failure> {
    match (single(request, X_MTE_RELAY_EH)?, flag) {
        (Some(""), _) | (None, false) => Ok(None),
        (Some(text), true) => Ok(Some(text::decode(text.as_bytes())?)),
        (Some(_), false) => Err(Failure::decode("sealed headers that the flags do not announce")),
        (None, true) => Err(Failure::decode("no sealed headers although the flags announce them")),
    }
}

/// Lets a client go on that waits for leave to send its body.
///
/// # Errors
/// 400 if the client is gone.
pub async fn expect_continue(session: &mut Session) -> Result<(), Failure> {
    let request = session.as_downstream().req_header();
    let expect = request.headers.get(header::EXPECT).filter(|_| request.version != Version::HTTP_10);
    if !expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Ok(());
    }
    let written = session.as_downstream_mut().write_continue_response().await;
    written
        .map_err(|error| Failure::BadRequest(format!("client went away: {}", error.etype().as_str()).into()))
}

/// The messages of one request, opened one after the other.
struct Opening<'a> {
    snapshot: &'a Snapshot,
    encode_type: EncodeType,
    /// The first message's number.
    first: Option<u64>,
    /// How many were opened.
    index: u8,
}

impl Opening<'_> {
    /// Opens a text message in place.
    fn message<'m>(&mut self, place: Place, message: &'m mut [u8]) -> Result<Opened<'m>, Failure> {
        let expected = Expected { encode_type: self.encode_type, place };
        let opened = open::message(&self.snapshot.decoder, expected, message)?;
        self.number(opened.number)?;
        Ok(opened)
    }

    /// Checks that the next message carries the next number, and one that is not taken: a replay costs no more than its
    /// first message, whatever body comes with it. The commit has the last word.
    fn number(&mut self, number: u64) -> Result<(), OpenError> {
        let first = *self.first.get_or_insert(number);
        if first.checked_add(self.index.into()) != Some(number) {
            return Err(OpenError::NotConsecutive);
        }
        self.snapshot.window.check(number)?;
        self.index += 1;
        Ok(())
    }
}

/// Checks what the client sealed about its request against the request that came.
fn check_binding(
    request: &RequestHeader,
    host: &str,
    tenant: &Tenant,
    headers: &SealedHeaders,
) -> Result<(), Failure> {
    if tenant.require_binding && (headers.method().is_none() || headers.authority().is_none()) {
        return Err(Failure::decode("this tenant requires :method and :authority in the sealed headers"));
    }
    if headers.method().is_some_and(|method| method != request.method.as_str()) {
        return Err(Failure::decode("the request's method is not the sealed one"));
    }
    if headers.authority().is_some_and(|authority| normal_authority(authority) != normal_authority(host)) {
        return Err(Failure::decode("the request's authority is not the sealed one"));
    }
    Ok(())
}

fn parse_length(value: &[u8]) -> Result<u64, Failure> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let length = digits.and_then(|text| text.parse().ok());
    length.ok_or_else(|| Failure::decode("the sealed content-length is not a number"))
}

/// Spends the request's numbers and reserves the response's.
async fn commit(
    store: &WatchedStore,
    owner: Owner,
    pair_id: &str,
    snapshot: &Snapshot,
    first: u64,
    count: u64,
) -> Result<Numbers, Failure> {
    // Tried on the snapshot first: the epochs to keep follow from it.
    let mut window: Window = snapshot.window.clone();
    window.commit(first, count).map_err(OpenError::from)?;
    let after = EpochSecret::index_of(snapshot.next_response + RESPONSE_MESSAGES);
    let encoder = (after > u64::from(snapshot.encoder.index())).then(|| snapshot.encoder.at(after)).flatten();
    let commit = Commit {
        generation: snapshot.generation,
        first,
        count,
        decoder: snapshot.decoder.advanced(&window),
        encoder,
        reserve: RESPONSE_MESSAGES,
    };
    let response = store.commit(owner, pair_id, commit).await?;
    Ok(Numbers::new(response, RESPONSE_MESSAGES, snapshot.encoder.clone()))
}
