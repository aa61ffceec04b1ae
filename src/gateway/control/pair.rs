//! Pairing: one KEM exchange per direction of every pair (docs/protocol.md, section 2; docs/codec.md,
//! sections 2 and 3). The answer leaves only after the state is stored.

use mte_codec::{
    EpochSecret, KemError, KemId, kem,
    schedule::{RootInputs, root},
};
use mte_protocol::{
    PairRequest, PairResponse,
    pairing::{Field, Nonce, PairingError, Problem, parse_request, write_response},
};
use pingora_proxy::Session;

use super::super::{
    Parts,
    context::RequestContext,
    error::{Failure, Overload},
    read_body_part,
};
use crate::{
    domains::Tenant,
    limits::{BodyDeadline, Gathered},
    pairs::{NewPair, Owner},
};

/// Pairs up to this many are made on the worker; more would hold up other requests.
const INLINE_PAIRS: usize = 4;

/// Room in a pairing body for one pair: two keys of the largest size in base64, three names, and JSON.
const BODY_PER_PAIR: usize = 8 << 10;

/// Makes the pairs that the request asks for; the JSON to answer. Cheap refusals come first: the rate before the body, the
/// rest of the rate before any key is looked at.
pub(super) async fn pair(
    session: &mut Session,
    ctx: &RequestContext,
    tenant: &Tenant,
    parts: &Parts,
) -> Result<Vec<u8>, Failure> {
    check_rate(ctx, parts, 1)?;
    let max = ctx.config.pairs.max_per_request;
    // Held until the pairs are made: what waits for a core counts as well.
    let mut held = ctx.gathered(parts);
    let body = read_body(session, ctx, max.saturating_mul(BODY_PER_PAIR), &mut held).await?;
    let requests = parse_request(&body, max).map_err(Failure::BadPairing)?;
    drop(body);
    check_rate(ctx, parts, requests.len().saturating_sub(1))?;

    let least = tenant.min_kem;
    let core = parts.pairing_work.core(requests.len()).await;
    let core = core.map_err(|_| Failure::Overloaded(Overload::KeyExchanges))?;
    let (responses, pairs) = if requests.len() <= INLINE_PAIRS {
        make_all(requests, least)
    } else {
        let made = tokio::task::spawn_blocking(move || make_all(requests, least)).await;
        made.map_err(|error| Failure::Internal(format!("pairing: {error}")))?
    }
    .map_err(Failure::BadPairing)?;
    drop((core, held));

    let (client, _) =
        ctx.client.as_ref().ok_or_else(|| Failure::Internal("pairing without a client".into()))?;
    let owner = Owner { tenant: tenant.id, client: *client };
    parts.pairs.create_all(owner, ctx.network(), pairs).await?;
    Ok(write_response(&responses))
}

/// Takes pairs from the allowance of the client's address.
fn check_rate(ctx: &RequestContext, parts: &Parts, count: usize) -> Result<(), Failure> {
    let Some(address) = ctx.from.address else { return Ok(()) };
    let rate = ctx.config.limits.pairs_per_second;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let checked = parts.pairing_rate.check(address, count, rate);
    checked.map_err(|retry_after| Failure::TooManyPairs { retry_after })
}

async fn read_body(
    session: &mut Session,
    ctx: &RequestContext,
    limit: usize,
    held: &mut Gathered,
) -> Result<Vec<u8>, Failure> {
    super::super::request::expect_continue(session).await?;
    let mut deadline = BodyDeadline::gathered(&ctx.config.timeouts);
    let mut body = Vec::new();
    loop {
        let Some(part) = read_body_part(session, &mut deadline).await? else { return Ok(body) };
        let len = body.len() + part.len();
        if len > limit {
            return Err(Failure::TooLarge { what: "the pairing request", limit: limit as u64 });
        }
        held.hold(len)?;
        body.extend_from_slice(&part);
    }
}

type Made = (Vec<PairResponse>, Vec<NewPair>);

fn make_all(requests: Vec<PairRequest>, least: KemId) -> Result<Made, PairingError> {
    let mut rng = rand::rng();
    let made = requests.into_iter().enumerate();
    made.map(|(index, request)| make(index, request, least, &mut rng))
        .collect::<Result<Vec<_>, _>>()
        .map(|made| made.into_iter().unzip())
}

fn make(
    index: usize,
    request: PairRequest,
    least: KemId,
    rng: &mut impl rand::CryptoRng,
) -> Result<(PairResponse, NewPair), PairingError> {
    // The client names things from its side: what it encodes, the relay decodes.
    let c2s = (Field::EncoderPublicKey, &request.encoder_public_key, &request.encoder_personalization);
    let s2c = (Field::DecoderPublicKey, &request.decoder_public_key, &request.decoder_personalization);
    let mut direction = |(field, key, personalization): (Field, &Vec<u8>, &String)| {
        let refuse = |problem| PairingError::field(index, field, problem);
        let id = KemId::from_key_len(key.len()).map_err(|_| refuse(Problem::InvalidKey))?;
        if !id.satisfies(least) {
            return Err(refuse(Problem::WeakKey { minimum: least.name() }));
        }
        let (ciphertext, entropy) = kem::encapsulate(key, rng).map_err(|error| match error {
            KemError::KeySize(_) | KemError::InvalidKey(_) | KemError::CiphertextSize { .. } => {
                refuse(Problem::InvalidKey)
            }
        })?;
        let nonce = Nonce::from_random(rand::Rng::next_u64(rng));
        let root = root(&entropy, &RootInputs::new(&nonce.to_string(), personalization));
        let root = root.map_err(|_| refuse(Problem::NotOpaque))?;
        Ok::<(Vec<u8>, Nonce, EpochSecret, KemId), PairingError>((ciphertext, nonce, root, id))
    };
    let (decoder_secret, decoder_nonce, decoder, decoder_kem) = direction(c2s)?;
    let (encoder_secret, encoder_nonce, encoder, encoder_kem) = direction(s2c)?;
    let response = PairResponse {
        pair_id: request.pair_id.clone(),
        encoder_nonce,
        encoder_secret,
        decoder_nonce,
        decoder_secret,
    };
    let pair =
        NewPair { pair_id: request.pair_id, decoder, decoder_kem, encoder, encoder_kem, relay_key: None };
    Ok((response, pair))
}
