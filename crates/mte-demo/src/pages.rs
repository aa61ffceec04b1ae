//! Large bodies, made as they are sent and never held, and a digest to compare them by.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};

/// How many bytes of a recorded body are kept.
const KEPT: usize = 64 << 10;
/// Bytes of a page.
pub(crate) const PAGE: u64 = 64 << 10;
/// The text on every page that the eavesdropper searches for.
pub(crate) const MARK: &str = "CONFIDENTIAL LEDGER";

/// A body that went by: its length, its digest and its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Digested {
    pub(crate) len: u64,
    /// SHA-256, in hexadecimal; empty while the body is not over.
    pub(crate) sha256: String,
    pub(crate) start: Bytes,
}

impl Digested {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut digesting = Digesting::default();
        digesting.push(bytes);
        digesting.finish()
    }

    /// The beginning, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.start).into_owned()
    }
}

/// A body going by.
pub(crate) struct Digesting {
    len: u64,
    context: digest::Context,
    start: BytesMut,
}

impl Default for Digesting {
    fn default() -> Self {
        Self { len: 0, context: digest::Context::new(&digest::SHA256), start: BytesMut::new() }
    }
}

impl Digesting {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.context.update(bytes);
        let room = KEPT.saturating_sub(self.start.len()).min(bytes.len());
        self.start.extend_from_slice(&bytes[..room]);
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// What went by until now.
    pub(crate) fn so_far(&self) -> Digested {
        Digested { len: self.len, sha256: String::new(), start: self.start.clone().freeze() }
    }

    pub(crate) fn finish(self) -> Digested {
        let sha256 = self.context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Digested { len: self.len, sha256, start: self.start.freeze() }
    }
}

/// A ledger of this many pages: each has its number, [`MARK`], and bytes that do not compress. Its size is not announced.
pub(crate) struct Pages {
    next: u64,
    count: u64,
    filler: Vec<u8>,
    digesting: Digesting,
    at_end: Option<Box<dyn FnOnce(Digested) + Send>>,
}

impl Pages {
    /// `at_end` learns what was sent when the last page goes.
    pub(crate) fn new(count: u64, at_end: impl FnOnce(Digested) + Send + 'static) -> Self {
        let mut filler = vec![0; PAGE as usize];
        rand::fill(&mut filler[..]);
        Self { next: 0, count, filler, digesting: Digesting::default(), at_end: Some(Box::new(at_end)) }
    }
}

impl Body for Pages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.next == self.count {
            return Poll::Ready(None);
        }
        self.next += 1;
        let head = format!("{MARK}, page {:>6} of {:>6}\n", self.next, self.count);
        let mut page = BytesMut::with_capacity(self.filler.len());
        page.extend_from_slice(head.as_bytes());
        page.extend_from_slice(&self.filler[head.len()..]);
        self.digesting.push(&page);
        if self.next == self.count
            && let Some(at_end) = self.at_end.take()
        {
            at_end(std::mem::take(&mut self.digesting).finish());
        }
        Poll::Ready(Some(Ok(Frame::data(page.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.count
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn the_digest_of_pages_matches_their_bytes() {
        let (sender, receiver) = mpsc::channel();
        let pages = Pages::new(3, move |digested| sender.send(digested).unwrap());
        let bytes = pages.collect().await.unwrap().to_bytes();
        let digested = receiver.recv().unwrap();
        assert_eq!(digested, Digested::of(&bytes));
        assert_eq!(digested.len, 3 * PAGE);
        assert!(digested.text().starts_with("CONFIDENTIAL LEDGER, page      1 of      3\n"));
    }
}
