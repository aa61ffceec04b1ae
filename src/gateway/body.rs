//! The request body: read as far as needed before the upstream is contacted, then opened frame by frame.
//!
//! # How this fits Pingora
//!
//! What `request_filter` reads of a body is lost to the proxy, unless Pingora's retry buffer kept it: 64 KiB
//! at most, and silently dropped beyond that. The proxy calls the body filter for a body that was read to its
//! end only if that buffer holds something. So: a body known to be small is read whole with the buffer on; of
//! a larger one the buffer is turned on only for the last 64 KiB; and of a body of unknown length the end is
//! left unread, which over HTTP/1.1 always comes as a separate read. The bytes themselves are taken from
//! here, not from the buffer; `replayed` counts what the buffer will deliver again.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mte_codec::{HEADER_LEN, OpenError, WipingBuffer};
use mte_session::server::{AdmittedBody, BodyError, BodyOpener};
use pingora_proxy::Session;

use super::{
    context::Timing,
    error::Failure,
    reading::{check_length, read_body_part, stated_length},
    stage::Forwarded,
};
use crate::{
    config::Limits,
    limits::{BodyDeadline, Gathered},
    pool::FrameBuffer,
};

/// What Pingora's retry buffer holds at most.
const RETRY_BUFFER: u64 = 64 << 10;
/// The most that one read returns over HTTP/2 (its default frame size).
const H2_READ: u64 = 16 << 10;

/// Processes a part of a request's body on its way to the upstream, on every route.
///
/// # Errors
/// More than `max` bytes, a part that comes after the response has ended, and one that does not verify.
pub(super) fn filter(
    session: &mut Session,
    forwarded: &mut Forwarded,
    (max, timing): (Option<u64>, &mut Timing),
    part: &mut Option<Bytes>,
    end: bool,
) -> Result<(), Failure> {
    let upgraded = session.was_upgraded();
    forwarded.body_received = session.as_downstream().body_bytes_read() as u64;
    if !upgraded {
        check_length(forwarded.body_received, max)?;
    }
    let began = Instant::now();
    forwarded.body_at = Some(began);
    if forwarded.response_ended && !upgraded {
        return Err(Failure::AnsweredEarly);
    }
    if let Some(exchange) = forwarded.exchange_mut() {
        let opened = exchange.body.filter(part, end);
        timing.decode += began.elapsed();
        opened.map_err(Failure::LateBody)?;
    }
    Ok(())
}

/// The body of an encrypted request.
pub enum RequestBody {
    /// There is none.
    None,
    /// Whole and opened: its length is known.
    Whole {
        /// The plaintext.
        data: Bytes,
        /// Bytes that the proxy will deliver although they are already opened.
        replayed: usize,
        /// Bytes that the proxy delivered in this attempt.
        brought: usize,
    },
    /// Opened as it arrives.
    Stream(Box<Stream>),
    /// Not encoded, which the tenant allows: forwarded as it is.
    Plain,
}

/// A body that is opened as it arrives.
pub struct Stream {
    opener: BodyOpener,
    frame_buffer: FrameBuffer,
    /// Opened, and not passed on yet.
    ready: Ready,
    /// Bytes that the proxy will deliver although they are already pushed.
    replayed: usize,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some((buffer, used)) = self.opener.take_buffer() {
            self.frame_buffer.restore(buffer, used);
        }
    }
}

/// Reads a body up to what must be known of it before the upstream is contacted.
pub(crate) struct FirstPart {
    /// The body's length, if the request states it.
    length: Option<u64>,
    http2: bool,
    read: u64,
    /// Bytes read since the retry buffer was turned on.
    buffered: Option<u64>,
    done: bool,
    /// Read, but not used yet: the first bytes, which showed that there is a body.
    held: Vec<Bytes>,
    max: Option<u64>,
    /// How long to wait for the client.
    deadline: BodyDeadline,
}

impl FirstPart {
    /// Nothing is read yet.
    ///
    /// # Errors
    /// [`Failure::TooLarge`] for a body whose stated length is above the limit.
    pub(crate) fn new(
        session: &mut Session,
        limits: &Limits,
        deadline: BodyDeadline,
    ) -> Result<Self, Failure> {
        let request = session.as_downstream().req_header();
        // Pingora drops a content-length next to transfer-encoding.
        let length = stated_length(&request.headers);
        let max = limits.max_body;
        check_length(length.unwrap_or_default(), max)?;
        let http2 = session.as_downstream().is_http2();
        let done = session.as_downstream_mut().is_body_done();
        Ok(Self { length, http2, read: 0, buffered: None, done, held: Vec::new(), max, deadline })
    }

    /// How long the relay waited for the client.
    pub(crate) fn waited(&self) -> Duration {
        self.deadline.waited_in_all()
    }

    /// Whether there is at least one byte of a body; reads until that is known.
    ///
    /// # Errors
    /// As reading.
    pub(crate) async fn is_present(&mut self, session: &mut Session) -> Result<bool, Failure> {
        if let Some(length) = self.length.filter(|_| !self.done) {
            return Ok(length > 0);
        }
        while self.held.is_empty() {
            match self.read_more(session).await? {
                Some(bytes) => self.held.push(bytes),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The next bytes, never empty; `None` at the end.
    async fn read(&mut self, session: &mut Session) -> Result<Option<Bytes>, Failure> {
        if !self.held.is_empty() {
            return Ok(Some(self.held.remove(0)));
        }
        self.read_more(session).await
    }

    async fn read_more(&mut self, session: &mut Session) -> Result<Option<Bytes>, Failure> {
        loop {
            if self.done {
                return Ok(None);
            }
            let keep = self.length.is_none_or(|length| length - self.read <= RETRY_BUFFER);
            let downstream = session.as_downstream_mut();
            if keep && self.buffered.is_none() {
                downstream.enable_retry_buffering();
                self.buffered = Some(0);
            }
            let bytes = read_body_part(session, &mut self.deadline).await?;
            let len = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
            self.read += len;
            if let Some(buffered) = &mut self.buffered {
                *buffered += len;
            }
            self.done = bytes.is_none() || session.as_downstream_mut().is_body_done();
            check_length(self.read, self.max)?;
            match bytes {
                Some(bytes) if bytes.is_empty() => {}
                other => return Ok(other),
            }
        }
    }

    /// What the proxy's body filter will be called with again.
    fn replayed(&self) -> usize {
        self.buffered.filter(|buffered| *buffered <= RETRY_BUFFER).unwrap_or(0) as usize
    }

    /// Whether another read could end the body with a retry buffer that overflowed, which only HTTP/2
    /// can do: then the rest is left to the body filter.
    fn must_stop(&self) -> bool {
        self.http2
            && self.length.is_none()
            && self.buffered.is_some_and(|buffered| buffered + H2_READ > RETRY_BUFFER)
    }

    /// The body's first bytes: the header of its message.
    ///
    /// # Errors
    /// As reading, and 562 for a body that ends before.
    pub(crate) async fn start(&mut self, session: &mut Session) -> Result<[u8; HEADER_LEN], Failure> {
        let mut start = [0; HEADER_LEN];
        let (mut filled, mut index) = (0, 0);
        loop {
            while let Some(bytes) = self.held.get(index) {
                let len = bytes.len().min(HEADER_LEN - filled);
                start[filled..filled + len].copy_from_slice(&bytes[..len]);
                (filled, index) = (filled + len, index + 1);
                if filled == HEADER_LEN {
                    return Ok(start);
                }
            }
            match self.read_more(session).await? {
                Some(bytes) => self.held.push(bytes),
                None => return Err(OpenError::Truncated.into()),
            }
        }
    }

    /// Opens a body of type MKE: whole if its stated length is small or its first frame is its last,
    /// otherwise its first frame.
    ///
    /// # Errors
    /// As reading and opening.
    pub(crate) async fn open_streamed(
        &mut self,
        session: &mut Session,
        body: AdmittedBody,
        mut frame_buffer: FrameBuffer,
    ) -> Result<RequestBody, Failure> {
        let whole = self.length.is_some_and(|length| length <= RETRY_BUFFER);
        // The limit is for type MTE.
        let opener = body.open(frame_buffer.lend(), 0);
        let mut stream = Stream { opener, frame_buffer, ready: Ready::default(), replayed: 0 };
        while whole || stream.opened_nothing() {
            if !whole && self.must_stop() {
                break;
            }
            let Some(bytes) = self.read(session).await? else { break };
            stream.push(&bytes)?;
        }
        for bytes in std::mem::take(&mut self.held) {
            stream.push(&bytes)?;
        }
        if self.done || stream.opener.is_whole() {
            stream.opener.finish()?;
            return Ok(self.whole(stream.ready.take()));
        }
        stream.replayed = self.replayed();
        Ok(RequestBody::Stream(Box::new(stream)))
    }

    /// Opens a body of type MTE, which is read whole (CODEC section 5).
    ///
    /// # Errors
    /// As reading and opening, [`Failure::TooLarge`], and [`Failure::Overloaded`] if the budget of `held` is used up.
    pub(crate) async fn open_gathered(
        &mut self,
        session: &mut Session,
        body: AdmittedBody,
        limit: usize,
        held: &mut Gathered,
    ) -> Result<RequestBody, Failure> {
        if self.length.is_some_and(|length| length > BodyOpener::max_gathered(limit) as u64) {
            return Err(BodyError::TooLarge { limit }.into());
        }
        let mut opener = body.open(BytesMut::new(), limit);
        while !(self.length.is_none() && opener.is_whole()) {
            let Some(bytes) = self.read(session).await? else { break };
            held.hold(opener.gathered_with(bytes.len())?)?;
            opener.push(&bytes)?;
        }
        let data = opener.finish()?.map(|frame| frame.data).unwrap_or_default();
        Ok(self.whole(data))
    }

    fn whole(&self, data: Bytes) -> RequestBody {
        RequestBody::Whole { data, replayed: self.replayed(), brought: 0 }
    }
}

impl Stream {
    fn push(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.opener.push(bytes)?;
        while let Some(frame) = self.opener.next_frame()? {
            self.ready.push(frame.data);
        }
        Ok(())
    }

    fn opened_nothing(&mut self) -> bool {
        self.opener.opened() == 0 && !self.opener.is_whole()
    }

    /// The plaintext of the next part of the body, as the proxy delivers it.
    fn filter(&mut self, bytes: &[u8], end: bool) -> Result<Bytes, BodyError> {
        let again = self.replayed.min(bytes.len());
        self.replayed -= again;
        self.push(&bytes[again..])?;
        if end {
            self.opener.finish()?;
        }
        Ok(self.ready.take())
    }
}

/// Plaintext on its way: one frame as it is, several joined.
#[derive(Default)]
struct Ready {
    one: Bytes,
    joined: WipingBuffer,
}

impl Ready {
    fn push(&mut self, frame: Bytes) {
        if self.one.is_empty() && self.joined.is_empty() {
            self.one = frame;
        } else {
            self.joined.extend_from_slice(&std::mem::take(&mut self.one));
            self.joined.extend_from_slice(&frame);
        }
    }

    fn take(&mut self) -> Bytes {
        if self.joined.is_empty() {
            std::mem::take(&mut self.one)
        } else {
            std::mem::take(&mut self.joined).into_bytes()
        }
    }
}

impl RequestBody {
    /// Bytes of plaintext so far; `None` for a body that is not encoded.
    pub fn opened(&self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Whole { data, .. } => Some(data.len() as u64),
            Self::Stream(stream) => Some(stream.opener.opened()),
            Self::Plain => None,
        }
    }

    /// The exact length for the upstream, where it is known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::None | Self::Plain => None,
            Self::Whole { data, .. } => Some(data.len() as u64),
            Self::Stream(stream) => stream.opener.length(),
        }
    }

    /// Begins another attempt: the proxy sends the body again.
    pub fn restart(&mut self) {
        if let Self::Whole { brought, .. } = self {
            *brought = 0;
        }
    }

    /// Whether the whole request can be sent again.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::None | Self::Whole { .. })
    }

    /// Replaces a part of the body, as the proxy delivers it, with its plaintext; an empty part means nothing yet.
    ///
    /// # Errors
    /// Why it does not verify.
    pub fn filter(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<(), BodyError> {
        match self {
            Self::None | Self::Plain => {}
            Self::Whole { data, replayed, brought } => {
                *brought += body.as_ref().map_or(0, Bytes::len);
                if *brought > *replayed {
                    return Err(OpenError::Trailing.into());
                }
                *body = Some(if end { data.clone() } else { Bytes::new() });
            }
            Self::Stream(stream) => {
                *body = Some(stream.filter(body.as_deref().unwrap_or_default(), end)?);
            }
        }
        Ok(())
    }
}
