//! Reading a request body that is held in memory, within its deadline.

use std::time::Instant;

use bytes::Bytes;
use pingora_core::{Error, ErrorType};
use pingora_proxy::Session;

use super::error::Failure;
use crate::limits::BodyDeadline;

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

/// Why a request body cannot be read. Where its framing is lost, nothing that follows on the connection can be
/// separated from it: the connection is closed.
fn unreadable(session: &mut Session, error: &Error) -> Failure {
    session.as_downstream_mut().set_keepalive(None);
    match error.etype() {
        ErrorType::ReadTimedout => Failure::RequestTimeout,
        other => Failure::BadRequest(format!("the request body cannot be read: {}", other.as_str()).into()),
    }
}
