//! One exchange with a peer. The client's body goes up while the response comes down, in one task: a session can be read or
//! written, not both at once, so a part is written before the next is read, and neither direction holds more than a part.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use mte_client::{Body, EncodeType, Error, RelayClient};
use pingora_core::ErrorType;
use pingora_proxy::Session;
use tokio::time::{Instant as Clock, sleep_until};

use super::{
    super::{Parts, answer, context::RequestContext, error::Failure},
    failure, response,
    upload::{Upload, Waiting},
};
use crate::{config::Timeouts, limits::Gathered, upstream::UpstreamUrl};

/// Why an exchange failed.
pub(super) enum Ended {
    /// The client or this relay.
    Here(Failure),
    /// The peer, or the way to it.
    Peer(Box<Error>),
    /// The peer was silent for too long.
    Silent(Duration),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Here(failure)
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Peer(Box::new(error))
    }
}

impl Ended {
    /// What is answered, and logged of this peer.
    pub(super) fn at(self, peer: &UpstreamUrl) -> Failure {
        match self {
            Self::Here(failure) => failure,
            Self::Peer(error) => failure::of(peer, &error),
            Self::Silent(limit) => Failure::PeerTimeout(format!("{peer}: no byte within {limit:?}")),
        }
    }
}

/// Sends a request, with the rest of its body, and passes the response on. If this is dropped, or fails, the exchange with
/// the peer is given up.
///
/// # Errors
/// Why there is no response, or why it is cut.
pub(super) async fn run(
    session: &mut Session,
    ctx: &mut RequestContext,
    parts: &Parts,
    (client, request): (&RelayClient, Request<Body>),
    (mut upload, encode_type): (Upload, EncodeType),
) -> Result<(), Ended> {
    let timeouts = ctx.config.timeouts;
    ctx.timing.upstream_began = Some(Instant::now());
    let response = await_head(session, &timeouts, &mut upload, client.send(request)).await?;
    ctx.timing.upstream = ctx.timing.upstream_began.map(|began| began.elapsed());

    let held = match encode_type {
        // The client holds it whole until it is verified.
        EncodeType::Mte => Some(hold(ctx, parts, &response)?),
        EncodeType::Mke => None,
    };
    let (head, follows) = response::head(session, ctx, &response).map_err(|error| internal(&error))?;
    let downstream = session.as_downstream_mut();
    let written = downstream.write_response_header(Box::new(head));
    within(timeouts.write, written).await?;
    if follows {
        pass_body(session, &timeouts, &mut upload, response.into_body()).await?;
    } else {
        within(timeouts.write, session.as_downstream_mut().finish_body()).await?;
    }
    drop(held);
    if !upload.is_whole() {
        // The peer did not want the rest.
        session.as_downstream_mut().set_keepalive(None);
        answer::drain(session).await;
    }
    Ok(())
}

/// Reserves memory for the response's body.
fn hold(ctx: &RequestContext, parts: &Parts, response: &Response<Body>) -> Result<Gathered, Failure> {
    let most = ctx.config.limits.max_mte_body;
    let stated = hyper::body::Body::size_hint(response.body()).exact();
    let mut held = ctx.gathered(parts);
    held.hold(
        stated.and_then(|stated| usize::try_from(stated).ok()).map_or(most, |stated| stated.min(most)),
    )?;
    Ok(held)
}

/// Passes the client's body on until the response's head is there.
async fn await_head(
    session: &mut Session,
    timeouts: &Timeouts,
    upload: &mut Upload,
    sending: impl Future<Output = Result<Response<Body>, Error>>,
) -> Result<Response<Body>, Ended> {
    let mut sending = std::pin::pin!(sending);
    loop {
        let (until, late) = deadline(timeouts, upload);
        tokio::select! {
            response = &mut sending => return Ok(response?),
            step = upload.advance(session) => step?,
            () = sleep_until(until) => return Err(late),
        }
    }
}

/// Passes the response's body on, part by part, and the rest of the client's body.
async fn pass_body(
    session: &mut Session,
    timeouts: &Timeouts,
    upload: &mut Upload,
    mut body: Body,
) -> Result<(), Ended> {
    loop {
        let (until, late) = deadline(timeouts, upload);
        tokio::select! {
            part = body.data() => {
                let last = part.is_none();
                let data = part.transpose()?.unwrap_or_else(Bytes::new);
                within(timeouts.write, session.as_downstream_mut().write_response_body(data, last)).await?;
                if last {
                    return Ok(());
                }
            }
            step = upload.advance(session) => step?,
            () = sleep_until(until) => return Err(late),
        }
    }
}

/// Until when something must happen, in either direction, and whose fault it is if nothing does.
fn deadline(timeouts: &Timeouts, upload: &Upload) -> (Clock, Ended) {
    let (limit, late) = match upload.waiting() {
        Waiting::ForPeer => (timeouts.write, Ended::Silent(timeouts.write)),
        Waiting::ForClient => (timeouts.read, Failure::RequestTimeout.into()),
        Waiting::No => (timeouts.read, Ended::Silent(timeouts.read)),
    };
    (Clock::now() + limit, late)
}

/// Writes to the client.
async fn within<T>(
    limit: Duration,
    writing: impl Future<Output = pingora_core::Result<T>>,
) -> Result<(), Ended> {
    let timed_out = || Failure::ClientTimeout(format!("it took nothing for {limit:?}"));
    match tokio::time::timeout(limit, writing).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if *error.etype() == ErrorType::WriteTimedout => Err(timed_out().into()),
        Ok(Err(error)) => Err(Failure::ClientClosed(crate::upstream::describe(&error)).into()),
        Err(_) => Err(timed_out().into()),
    }
}

fn internal(error: &pingora_core::Error) -> Failure {
    Failure::Internal(error.to_string())
}
