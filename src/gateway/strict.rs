//! What Pingora lets pass, and the next reader might take for something else: such requests are refused here, before
//! anything is known of their tenant, and their connection serves no other.
//!
//! Pingora itself answers what it cannot parse, differing lengths and hosts, and encodings that do not end in `chunked`;
//! of a length beside chunks it drops the length (RFC 9112, section 6.3).

use http::header;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::error::Failure;

/// Looks at a request's head.
///
/// # Errors
/// 400, or 405 for CONNECT; the connection is closed after it.
pub fn check(session: &mut Session) -> Result<(), Failure> {
    let downstream = session.as_downstream();
    let request = downstream.req_header();
    let raw = downstream.as_http1().map(|http1| http1.get_headers_raw_bytes());
    let checked = if request.method == http::Method::CONNECT {
        Err(Failure::MethodNotAllowed("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
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
    // A line may end so (RFC 9112, section 2.2), but not everybody takes it for an end.
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
    // In absolute form the authority has been compared with the Host already.
    let target = request.raw_path();
    let absolute =
        |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !target.starts_with(b"/") && !absolute(b"http://") && !absolute(b"https://") {
        return Some("the request target is no path");
    }
    None
}
