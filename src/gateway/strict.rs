//! Requests that Pingora accepts but the next parser may read differently: they are refused here, before
//! their tenant is known, and their connection is closed.
//!
//! Pingora itself answers what it cannot parse, differing lengths and hosts, and encodings that do not end in `chunked`;
//! if there is a length in addition to chunks, it drops the length (RFC 9112, section 6.3).

use http::{HeaderMap, Method, Version, header};
use mte_protocol::hop;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::error::Failure;

/// Checks a request's head.
///
/// # Errors
/// 400, or 405 for CONNECT and TRACE; the connection is closed after it.
pub(crate) fn check(session: &mut Session) -> Result<(), Failure> {
    let downstream = session.as_downstream();
    let request = downstream.req_header();
    let raw = downstream.as_http1().map(|http1| http1.get_headers_raw_bytes());
    let checked = if matches!(request.method, Method::CONNECT | Method::TRACE) {
        Err(Failure::MethodNotAllowed("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".into()))
    } else {
        match fault(request, raw.as_deref().unwrap_or_default()) {
            Some(fault) => Err(Failure::BadRequest(fault.into())),
            None => Ok(()),
        }
    };
    if checked.is_err() {
        session.as_downstream_mut().set_keepalive(None);
    }
    checked
}

/// What is wrong with a head, in words; `raw` is how it came, if it came as text.
fn fault(request: &RequestHeader, raw: &[u8]) -> Option<&'static str> {
    // A line may end so (RFC 9112, section 2.2), but not every parser accepts it as an end.
    let bare = |at: usize| at == 0 || raw[at - 1] != b'\r';
    if memchr::memchr_iter(b'\n', raw).any(bare) {
        return Some("a line of the head ends without a carriage return");
    }
    let mut lengths = request.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some() || !length.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Some("the content-length is not one number");
    }
    let mut encodings = request.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next()
        && (encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Some("the transfer-encoding is another one than chunked");
    }
    if let Some(fault) = connection_fault(&request.headers) {
        return Some(fault);
    }
    // In absolute form the authority has been compared with the Host already.
    let target = request.raw_path();
    let absolute =
        |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !target.starts_with(b"/") && !absolute(b"http://") && !absolute(b"https://") {
        return Some("the request target is no path");
    }
    None
}

/// What is wrong with `Connection`. Pingora would refuse the same, but only once there is a connection to the upstream.
fn connection_fault(headers: &HeaderMap) -> Option<&'static str> {
    /// Pingora's limit.
    const MAX_NAMES: usize = 9;
    let mut names = 0;
    for value in headers.get_all(header::CONNECTION) {
        let Ok(value) = value.to_str() else { return Some("the Connection field is not ASCII") };
        for name in hop::connection_names(value) {
            names += 1;
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Some("the Connection field names something that is no field name");
            }
            let protected = ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
            if protected.iter().any(|other| name.eq_ignore_ascii_case(other)) {
                return Some("the Connection field names a field that is not the connection's");
            }
        }
    }
    (names > MAX_NAMES).then_some("the Connection field names too many fields")
}

/// The requested path, without its query: exactly the bytes that are sent to a pass-through upstream.
///
/// # Errors
/// 400 for a target that two readers could take for different ones.
pub(crate) fn path<'a>(session: &Session, request: &'a RequestHeader) -> Result<&'a str, Failure> {
    if crate::edge::connection(session).is_some_and(|connection| connection.head.had_stray_blank()) {
        return Err(Failure::BadRequest("the request line has a space too many: percent-encode it".into()));
    }
    let raw = request.raw_path();
    // In absolute form, what follows the authority is what counts and is forwarded.
    let absolute = || request.uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes();
    let target = if raw.starts_with(b"/") { raw } else { absolute() };
    mte_protocol::check_clear(target)?;
    let target = std::str::from_utf8(target).unwrap_or_default();
    Ok(target.split('?').next().unwrap_or_default())
}

/// Removes an upgrade from a request that may not have one: only a WebSocket handshake on a pass-through route may. Pingora
/// treats every request with `Upgrade` as a handshake, whether `Connection` names it or not.
pub(crate) fn settle_upgrade(session: &mut Session, pass_through: bool) {
    let no_body = session.as_downstream_mut().is_body_empty();
    let request = session.as_downstream().req_header();
    let Some(upgrade) = request.headers.get(header::UPGRADE) else { return };
    let websocket = upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
        && request.headers.get_all(header::UPGRADE).iter().count() == 1;
    let asked = request.headers.get_all(header::CONNECTION).iter().any(|value| {
        let value = value.to_str().unwrap_or_default();
        hop::connection_names(value).any(|name| name.eq_ignore_ascii_case("upgrade"))
    });
    let handshake = request.method == Method::GET && request.version == Version::HTTP_11 && no_body;
    if !(pass_through && websocket && asked && handshake) {
        session.as_downstream_mut().req_header_mut().remove_header(&header::UPGRADE);
    }
}
