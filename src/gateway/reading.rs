//! Reading a request body that is held in memory, within its deadline.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, header};
use pingora_core::{Error, ErrorType};
use pingora_proxy::Session;

use super::error::Failure;
use crate::{
    config::Timeouts,
    limits::{BodyDeadline, Gathered},
};

/// The length that a message states, if it can be read.
pub(crate) fn stated_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Checks the length of a request's body, as far as it is known, against `limits.max_body`.
///
/// # Errors
/// [`Failure::TooLarge`].
pub(crate) fn check_length(length: u64, max: Option<u64>) -> Result<(), Failure> {
    match max.filter(|max| length > *max) {
        Some(limit) => Err(Failure::TooLarge { what: "the request body", limit }),
        None => Ok(()),
    }
}

/// The next part of a body that is held in memory. Pingora's own time limit does not hold for HTTP/2, and starts over with
/// every byte.
///
/// # Errors
/// 408 once the client has taken too long, 400 for what cannot be read.
pub(crate) async fn read_body_part(
    session: &mut Session,
    deadline: &mut BodyDeadline,
) -> Result<Option<Bytes>, Failure> {
    let (began, limit) = (Instant::now(), deadline.remaining());
    let part = tokio::time::timeout(limit, session.as_downstream_mut().read_request_body()).await;
    let len = part.as_ref().ok().and_then(|part| part.as_ref().ok()?.as_ref()).map_or(0, Bytes::len);
    deadline.waited(began.elapsed(), len);
    match part {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(error)) => Err(unreadable(session, &error)),
        Err(_) => {
            session.as_downstream_mut().set_keepalive(None);
            Err(Failure::RequestTimeout)
        }
    }
}

/// Reads a whole body of up to so many bytes into memory; `what` names it in the error.
///
/// # Errors
/// As reading; [`Failure::TooLarge`], and [`Failure::Overloaded`] if the budget of `held` is used up.
pub(crate) async fn read_whole(
    session: &mut Session,
    timeouts: &Timeouts,
    (what, limit): (&'static str, u64),
    held: &mut Gathered,
) -> Result<Vec<u8>, Failure> {
    let mut deadline = BodyDeadline::gathered(timeouts);
    let mut body = Vec::new();
    loop {
        let Some(part) = read_body_part(session, &mut deadline).await? else { return Ok(body) };
        let len = body.len() + part.len();
        if len as u64 > limit {
            return Err(Failure::TooLarge { what, limit });
        }
        held.hold(len)?;
        body.extend_from_slice(&part);
    }
}

/// Why a request body cannot be read. Where its framing is lost, nothing that follows on the connection can be
/// separated from it: the connection is closed.
pub(crate) fn unreadable(session: &mut Session, error: &Error) -> Failure {
    session.as_downstream_mut().set_keepalive(None);
    match error.etype() {
        ErrorType::ReadTimedout => Failure::RequestTimeout,
        other => Failure::BadRequest(format!("the request body cannot be read: {}", other.as_str()).into()),
    }
}
