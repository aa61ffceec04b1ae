//! The relay's own routes (docs/protocol.md, section 2): hello, pairing, echo and the list of statuses.

mod pair;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::header;
use mte_protocol::{
    client_id::ClientId,
    control_client_id,
    names::{X_MTE_RELAY, echo_text},
    status::errors_json,
};
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use serde_json::json;

use super::{
    Parts,
    answer::{finish_response, send},
    context::RequestContext,
    encrypted::single,
    error::Failure,
    route::Route,
    stage::Identity,
};
use crate::domains::Tenant;

/// Answers the routes that need no tenant.
///
/// # Errors
/// What to answer instead.
pub(crate) async fn answer_without_tenant(
    session: &mut Session,
    ctx: &RequestContext,
    route: Route,
) -> Result<(), Failure> {
    let body = match route {
        Route::Errors => errors_json(),
        _ => {
            let path = session.as_downstream().req_header().uri.path();
            let echo = echo_text(path).flatten().map_or(json!(true), |text| json!(percent_decoded(text)));
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
            json!({ "echo": echo, "time": time }).to_string()
        }
    };
    respond(session, ctx, body.into_bytes()).await
}

/// Answers hello and pairing.
///
/// # Errors
/// What to answer instead.
pub(crate) async fn answer(
    session: &mut Session,
    ctx: &mut RequestContext,
    tenant: &Arc<Tenant>,
    route: Route,
    parts: &Parts,
) -> Result<(), Failure> {
    let client = identify(session, ctx, tenant)?;
    let body = match route {
        Route::Pair => pair::pair(session, ctx, (tenant, client), parts).await?,
        _ => Vec::new(),
    };
    respond(session, ctx, body).await
}

/// The client of a control request: the one it names, or a new one.
fn identify(session: &Session, ctx: &mut RequestContext, tenant: &Arc<Tenant>) -> Result<ClientId, Failure> {
    let value = single(session.as_downstream().req_header(), X_MTE_RELAY)?;
    let identified = match value.and_then(control_client_id) {
        None => {
            let id = ClientId::from_random(rand::random());
            Identity { id, signed: tenant.secrets.current.sign(id) }
        }
        Some(signed) => super::encrypted::identify(session, tenant, signed)?,
    };
    let id = identified.id;
    ctx.stage.identify(identified);
    Ok(id)
}

async fn respond(session: &mut Session, ctx: &RequestContext, body: Vec<u8>) -> Result<(), Failure> {
    let response = head(session, ctx, body.len());
    send(session, response, Bytes::from(body)).await?;
    Ok(())
}

fn head(session: &Session, ctx: &RequestContext, len: usize) -> Result<ResponseHeader> {
    let mut response = ResponseHeader::build_no_case(200, Some(10))?;
    if len > 0 {
        response.insert_header(header::CONTENT_TYPE, "application/json")?;
    }
    response.insert_header(header::CONTENT_LENGTH, len)?;
    response.insert_header(header::CACHE_CONTROL, "no-store")?;
    if let Some(signed) = ctx.signed_client_id() {
        response.insert_header(X_MTE_RELAY, signed)?;
    }
    finish_response(session, ctx, &mut response)?;
    Ok(response)
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
