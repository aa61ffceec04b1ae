//! The client's body on its way to a peer: in memory where it must be or may have to be sent again, else part by part, each
//! read only once there is room for it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use mte_client::{Body, EncodeType};
use pingora_core::ErrorType;
use pingora_proxy::Session;
use tokio::sync::mpsc;

use super::super::{
    Parts,
    context::RequestContext,
    error::Failure,
    reading::{check_length, read_whole, stated_length, unreadable},
};

/// A body up to this length is held in memory, if its request may be sent again.
const SMALL: u64 = 64 << 10;

/// The client's side of a body.
pub(super) struct Upload {
    state: State,
    received: u64,
    max: Option<u64>,
}

enum State {
    /// Waits until the peer's side takes the part before.
    Full(mpsc::Sender<Part>),
    /// There is room for a part.
    Room(mpsc::OwnedPermit<Part>),
    /// The peer's side does not want more.
    Unwanted,
    /// All of it was read.
    Done,
}

/// What an upload waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The peer takes what it was sent.
    ForPeer,
    /// The client sends more.
    ForClient,
    /// Nothing.
    No,
}

impl Upload {
    /// The client's body, and the peer's side of it.
    ///
    /// # Errors
    /// 413 beyond `limits.max_body`, or `limits.max_mte_body` for type MTE; and as reading, for a body that is held in
    /// memory.
    pub(super) async fn begin(
        session: &mut Session,
        ctx: &mut RequestContext,
        parts: &Parts,
        encode_type: EncodeType,
    ) -> Result<(Self, Body), Failure> {
        let downstream = session.as_downstream_mut();
        let max = ctx.config.limits.max_body;
        if downstream.is_body_done() {
            return Ok((Self { state: State::Done, received: 0, max }, Body::empty()));
        }
        let request = downstream.req_header();
        let length = stated_length(&request.headers);
        check_length(length.unwrap_or_default(), max)?;
        let again = request.method.is_idempotent() && length.is_some_and(|length| length <= SMALL);
        if again || encode_type == EncodeType::Mte {
            let limit = match encode_type {
                EncodeType::Mte => ctx.config.limits.max_mte_body as u64,
                EncodeType::Mke => SMALL,
            };
            let (what, limit) = match max {
                Some(max) if max < limit => ("the request body", max),
                _ => ("the request body of type MTE", limit),
            };
            let mut held = ctx.gathered(parts);
            let body = read_whole(session, &ctx.config.timeouts, (what, limit), &mut held).await?;
            ctx.gathered = Some(held);
            return Ok((Self { state: State::Done, received: body.len() as u64, max }, Body::from(body)));
        }
        let (sender, receiver) = mpsc::channel(1);
        let upload = Self { state: State::Full(sender), received: 0, max };
        Ok((upload, Body::wrap(Passed { receiver, left: length, ended: false })))
    }

    /// What it waits for now.
    pub(super) fn waiting(&self) -> Waiting {
        match self.state {
            State::Full(_) => Waiting::ForPeer,
            State::Room(_) => Waiting::ForClient,
            State::Unwanted | State::Done => Waiting::No,
        }
    }

    /// Whether the client has sent all of it.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes the next step: waits for room, or reads a part. Once all was read, it waits for the client to go away. Can be
    /// dropped at any time without losing anything.
    ///
    /// # Errors
    /// 413 beyond the limit, and as reading.
    pub(super) async fn advance(&mut self, session: &mut Session) -> Result<(), Failure> {
        match &self.state {
            State::Full(sender) => {
                let room = sender.clone().reserve_owned().await;
                self.state = room.map_or(State::Unwanted, State::Room);
                Ok(())
            }
            State::Room(_) => self.read(session).await,
            State::Unwanted => std::future::pending().await,
            State::Done => match session.as_downstream_mut().read_body_or_idle(true).await {
                Ok(_) => std::future::pending().await,
                Err(error) => Err(gone(&error)),
            },
        }
    }

    async fn read(&mut self, session: &mut Session) -> Result<(), Failure> {
        let downstream = session.as_downstream_mut();
        let part = match downstream.is_body_done() {
            true => None,
            false => downstream.read_request_body().await.map_err(|error| match error.etype() {
                ErrorType::ConnectionClosed => gone(&error),
                _ => unreadable(session, &error),
            })?,
        };
        let last = part.is_none() || session.as_downstream_mut().is_body_done();
        let data = part.unwrap_or_default();
        self.received += data.len() as u64;
        check_length(self.received, self.max)?;
        let State::Room(permit) = std::mem::replace(&mut self.state, State::Done) else { return Ok(()) };
        let sender = permit.send(Part { data, last });
        if !last {
            self.state = State::Full(sender);
        }
        Ok(())
    }
}

/// The client has disconnected.
fn gone(error: &pingora_core::Error) -> Failure {
    Failure::ClientClosed(crate::upstream::describe(error))
}

/// A part of a body, and whether it is the last.
struct Part {
    data: Bytes,
    last: bool,
}

/// The peer's side of a body. If the client's side is dropped before the last part, it fails: what was cut is never taken
/// for a whole body, whatever the exchange is doing at that moment.
struct Passed {
    receiver: mpsc::Receiver<Part>,
    /// Bytes to come, if the request states its length.
    left: Option<u64>,
    ended: bool,
}

impl HttpBody for Passed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        while !self.ended {
            let Some(Part { data, last }) = ready!(self.receiver.poll_recv(cx)) else {
                self.ended = true;
                return Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())));
            };
            self.ended = last;
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn passed() -> (mpsc::Sender<Part>, Passed) {
        let (sender, receiver) = mpsc::channel(4);
        (sender, Passed { receiver, left: None, ended: false })
    }

    #[tokio::test]
    async fn a_body_ends_with_its_last_part_and_fails_without_one() {
        let (sender, body) = passed();
        for (data, last) in [("a", false), ("", false), ("b", true)] {
            sender.send(Part { data: data.into(), last }).await.ok().unwrap();
        }
        drop(sender);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");
        let (sender, body) = passed();
        sender.send(Part { data: "a".into(), last: false }).await.ok().unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    }
}
