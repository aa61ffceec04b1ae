//! The pairing route (docs/protocol.md, section 2): its limits, the thread that does the key exchanges, and the store. The
//! answer is sent only after the state is stored.

use mte_protocol::client_id::ClientId;
use mte_session::pairing::PairingRequest;
use pingora_proxy::Session;

use super::super::{
    Parts,
    context::RequestContext,
    encrypted::expect_continue,
    error::{Failure, Overload},
    reading::read_whole,
};
use crate::{domains::Tenant, pairs::Owner};

/// Pairs up to this many are made on the worker, in less than a millisecond; more would hold up other requests.
const INLINE_PAIRS: usize = 16;

/// Size of one pair in a pairing body: two keys of the largest size in base64, three names, and JSON.
const BODY_PER_PAIR: usize = 8 << 10;

/// Makes the requested pairs; returns the JSON to answer. Cheap refusals come first: the rate before the body, the
/// rest of the rate before any key is parsed.
pub(super) async fn pair(
    session: &mut Session,
    ctx: &RequestContext,
    (tenant, client): (&Tenant, ClientId),
    parts: &Parts,
) -> Result<Vec<u8>, Failure> {
    check_rate(ctx, parts, 1)?;
    let max = ctx.config.pairs.max_per_request;
    // Held until the pairs are made: requests waiting for a core count as well.
    let mut held = ctx.gathered(parts);
    expect_continue(session).await?;
    let limit = ("the pairing request", max.saturating_mul(BODY_PER_PAIR) as u64);
    let body = read_whole(session, &ctx.config.timeouts, limit, &mut held).await?;
    let request = PairingRequest::parse(&body, max).map_err(Failure::BadPairing)?;
    drop(body);
    let count = request.len();
    check_rate(ctx, parts, count.saturating_sub(1))?;

    let least = tenant.min_kem;
    let core = parts.pairing_work.core(count).await;
    let core = core.map_err(|_| Failure::Overloaded(Overload::KeyExchanges))?;
    let make = move || request.make(least, &mut rand::rng());
    let made = if count <= INLINE_PAIRS {
        make()
    } else {
        let made = tokio::task::spawn_blocking(make).await;
        made.map_err(|error| Failure::Internal(format!("pairing: {error}")))?
    }
    .map_err(Failure::BadPairing)?;
    drop((core, held));

    let owner = Owner { tenant: tenant.id, client };
    parts.pairs.create_all(owner, ctx.network(), made.pairs).await?;
    Ok(made.answer.to_json())
}

/// Takes pairs from the allowance of the client's address.
fn check_rate(ctx: &RequestContext, parts: &Parts, count: usize) -> Result<(), Failure> {
    let Some(address) = ctx.from.address else { return Ok(()) };
    let rate = ctx.config.limits.pairs_per_second;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let checked = parts.pairing_rate.check(address, count, rate);
    checked.map_err(|retry_after| Failure::TooManyPairs { retry_after })
}
