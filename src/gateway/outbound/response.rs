//! The client's response, made of a peer's opened one.

use http::{Method, Response, StatusCode, header};
use hyper::body::Body as _;
use mte_client::Body;
use pingora_core::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::super::{
    answer::finish_response,
    context::RequestContext,
    response::{self, ClientVersion},
};

/// The head for the client, and whether a body follows.
///
/// # Errors
/// A header that Pingora does not take; those of an opened response do not cause one.
pub(super) fn head(
    session: &mut Session,
    ctx: &RequestContext,
    response: &Response<Body>,
) -> Result<(ResponseHeader, bool)> {
    let (status, body) = (response.status(), response.body());
    // What means something to clients of relays comes from this relay or not at all.
    let status = if response::means_a_pair(status) { StatusCode::BAD_GATEWAY } else { status };
    let mut head = ResponseHeader::build_no_case(status, Some(response.headers().len() + 8))?;
    for (name, value) in response.headers() {
        head.append_header(name.clone(), value.clone())?;
    }
    let client = ClientVersion::of(session);
    let to_head = session.as_downstream().req_header().method == Method::HEAD;
    let bodiless = response::is_bodiless(to_head, status);
    let length = body.size_hint().exact();
    let follows = !bodiless && length != Some(0);
    if !bodiless {
        match length {
            Some(length) => head.insert_header(header::CONTENT_LENGTH, length)?,
            None => drop(head.remove_header(&header::CONTENT_LENGTH)),
        }
    }
    client.frame(&mut head, follows, bodiless)?;
    // Over HTTP/1.0 such a body ends with the connection.
    if follows && length.is_none() && client == ClientVersion::Http10 {
        session.as_downstream_mut().set_keepalive(None);
    }
    rewrite_location(ctx, &mut head);
    finish_response(session, ctx, &mut head)?;
    Ok((head, follows))
}

/// A `location` that points at the peer is made to point at this relay: the client cannot speak to the peer.
fn rewrite_location(ctx: &RequestContext, head: &mut ResponseHeader) {
    if let Some(peer) = &ctx.outbound_peer {
        let own = format!("{}://{}", ctx.from.scheme(), ctx.host);
        response::rewrite_location(std::iter::once(peer.as_str()), &own, head);
    }
}
