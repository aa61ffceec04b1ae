//! A peer's request, made of the client's: what goes on and what does not (docs/protocol.md, section 7).

use http::{HeaderMap, HeaderValue, Request, Uri, Version, header, uri::PathAndQuery};
use mte_client::Body;
use mte_protocol::hop;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::super::{context::RequestContext, error::Failure, forward::X_REQUEST_ID};
use crate::outbound::Via;

/// Names that begin so are for this relay alone.
const OWN_PREFIX: &str = "x-mte-";

/// Refuses a request for another protocol: it cannot be sealed. An offer of HTTP/2 is none, some clients always make it.
///
/// # Errors
/// [`Failure::Upgrade`].
pub(super) fn refuse_upgrade(request: &RequestHeader) -> Result<(), Failure> {
    let protocols = request.headers.get_all(header::UPGRADE).iter();
    let other = |value: &HeaderValue| {
        let names = value.to_str().unwrap_or("?").split(',').map(str::trim);
        names.into_iter().any(|name| !name.is_empty() && !name.eq_ignore_ascii_case("h2c"))
    };
    if protocols.into_iter().any(other) { Err(Failure::Upgrade) } else { Ok(()) }
}

/// The request as the client of the peer seals it. What belongs to the connection is left out there.
///
/// # Errors
/// 400 for a target that is none.
pub(super) fn to_peer(
    session: &Session,
    ctx: &RequestContext,
    via: &Via,
    body: Body,
) -> Result<Request<Body>, Failure> {
    let head = session.as_downstream().req_header();
    let target = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from(target);
    let headers = request.headers_mut();
    for (name, value) in head.headers.iter().filter(|(name, _)| goes_on(name.as_str())) {
        headers.append(name, value.clone());
    }
    headers.insert(&X_REQUEST_ID, ctx.request_id.to_header());
    append_via(headers, via, head.version)?;
    Ok(request)
}

/// Whether a field goes to the peer. To the peer this relay is the client: it says nothing of who sent the request.
fn goes_on(name: &str) -> bool {
    let for_us =
        |name: &str| name.get(..OWN_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN_PREFIX));
    let hidden = || hop::hyphenated(name).is_some_and(|name| for_us(&name));
    !(for_us(name)
        || hidden()
        || hop::overrides_request(name)
        || hop::claims_client(name)
        || hop::shadows(name)
        || name == "expect")
}

fn append_via(headers: &mut HeaderMap, via: &Via, version: Version) -> Result<(), Failure> {
    let version = match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    let entry = HeaderValue::try_from(via.entry(version));
    headers.append(header::VIA, entry.map_err(|error| Failure::Internal(error.to_string()))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_this_relay_alone_does_not_go_on() {
        for name in [
            "x-mte-outbound-token",
            "x-mte-upstream",
            "x-mte-encode-type",
            "x-mte-relay",
            "x-mte-relay-eh",
            "x_mte_outbound_token",
            "X-Mte-Anything",
            "x-forwarded-for",
            "forwarded",
            "x-http-method-override",
            "expect",
        ] {
            assert!(!goes_on(name), "{name}");
        }
        for name in ["authorization", "cookie", "x-mte", "traceparent", "via", "range", "x_own"] {
            assert!(goes_on(name), "{name}");
        }
    }

    #[test]
    fn only_an_offer_of_http_2_is_no_upgrade() {
        for (value, refused) in [("h2c", false), ("websocket", true), ("h2c, websocket", true), ("", false)] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            request.insert_header(header::UPGRADE, value).unwrap();
            assert_eq!(
                refuse_upgrade(&request),
                if refused { Err(Failure::Upgrade) } else { Ok(()) },
                "{value}"
            );
        }
    }
}
