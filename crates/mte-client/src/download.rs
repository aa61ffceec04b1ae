//! Opens a response's body: each frame's plaintext as soon as its tag has verified.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use mte_codec::MAX_FRAME;

use crate::{
    Body, Error,
    upload::Watch,
    wire::{BodyOpener, OpenedFrame},
};

/// The plaintext of `incoming`.
pub(crate) fn open_body(incoming: Incoming, opener: BodyOpener, watch: Option<Watch>) -> Body {
    if opener.is_nothing() && incoming.is_end_stream() {
        return Body::empty();
    }
    let left = opener.length();
    Body::stream(Download { incoming, opener, pending: Bytes::new(), left, done: false, watch })
}

struct Download {
    incoming: Incoming,
    opener: BodyOpener,
    /// What came from `incoming` and is not pushed yet: the opener gets it in pieces, to hold about a frame.
    pending: Bytes,
    /// Plaintext bytes still to come, if that is known.
    left: Option<u64>,
    done: bool,
    watch: Option<Watch>,
}

impl Download {
    fn poll_opened(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if let Some(frame) = self.opener.next_frame()? {
                let data = self.deliver(frame);
                if !data.is_empty() {
                    return Poll::Ready(Ok(Some(data)));
                }
            } else if !self.pending.is_empty() {
                let piece = self.pending.split_to(self.pending.len().min(MAX_FRAME));
                self.opener.push(&piece)?;
            } else if self.done {
                return Poll::Ready(Ok(None));
            } else {
                match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                    // Trailers are not sealed, so they do not count.
                    Some(frame) => {
                        self.pending = frame.map_err(Error::from_hyper)?.into_data().unwrap_or_default();
                    }
                    None => {
                        self.done = true;
                        let last = self.opener.finish()?.map(|frame| self.deliver(frame));
                        return Poll::Ready(Ok(last.filter(|data| !data.is_empty())));
                    }
                }
            }
        }
    }

    fn deliver(&mut self, frame: OpenedFrame) -> Bytes {
        if let Some(watch) = &self.watch {
            watch.observer.response_chunk(watch.chunk(frame.data.len(), frame.wire_len, frame.last));
        }
        self.left = self.left.map(|left| left.saturating_sub(frame.data.len() as u64));
        frame.data
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let opened = ready!(self.poll_opened(cx));
        if opened.is_err() {
            self.done = true;
        }
        Poll::Ready(opened.transpose().map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
