//! Bodies of any size that are generated without holding them in memory, and their digests.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
};

use aws_lc_rs::digest::{Context as Hash, SHA256};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame, SizeHint};
use mte_client::BoxError;
use tokio::sync::mpsc;

/// Size of one piece in bytes.
const PIECE: usize = 64 << 10;

static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(&mut next).take(PIECE).collect()
});

/// A body whose pieces are all different.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    left: u64,
    index: u64,
    known: bool,
}

impl Pattern {
    /// A body of known length.
    pub(crate) fn known(len: u64) -> Self {
        Self { left: len, index: 0, known: true }
    }

    /// A body of unknown length.
    pub(crate) fn unknown(len: u64) -> Self {
        Self { known: false, ..Self::known(len) }
    }

    fn piece(&mut self) -> Option<Bytes> {
        let len = self.left.min(PIECE as u64) as usize;
        if len == 0 {
            return None;
        }
        let mut piece = BytesMut::from(&NOISE[..len]);
        let mark = self.index.to_be_bytes();
        let marked = len.min(mark.len());
        piece[..marked].copy_from_slice(&mark[8 - marked..]);
        self.index += 1;
        self.left -= len as u64;
        Some(piece.freeze())
    }

    /// The whole body in memory.
    pub(crate) fn bytes(len: u64) -> Bytes {
        let mut pattern = Self::known(len);
        let mut all = BytesMut::new();
        while let Some(piece) = pattern.piece() {
            all.extend_from_slice(&piece);
        }
        all.freeze()
    }

    /// The digest of a body of this length.
    pub(crate) fn digest(len: u64) -> Digest {
        let mut pattern = Self::known(len);
        let mut digest = Digesting::default();
        while let Some(piece) = pattern.piece() {
            digest.add(&piece);
        }
        digest.finish()
    }
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.piece().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.known && self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.known { SizeHint::with_exact(self.left) } else { SizeHint::default() }
    }
}

/// A body with these pieces.
pub(crate) fn channel()
-> (mpsc::Sender<Result<Bytes, BoxError>>, impl Body<Data = Bytes, Error = BoxError> + Send + 'static) {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, BoxError>>(1);
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?.map(Frame::data), receiver))
    });
    (sender, StreamBody::new(stream))
}

/// Length and SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    pub len: u64,
    pub sha256: Vec<u8>,
}

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut digest = Digesting::default();
        digest.add(bytes);
        digest.finish()
    }
}

struct Digesting(Hash, u64);

impl Default for Digesting {
    fn default() -> Self {
        Self(Hash::new(&SHA256), 0)
    }
}

impl Digesting {
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
        self.1 += bytes.len() as u64;
    }

    fn finish(self) -> Digest {
        Digest { len: self.1, sha256: self.0.finish().as_ref().to_vec() }
    }
}

/// Reads a body to its end.
pub(crate) async fn digest<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Digest, B::Error> {
    let mut digest = Digesting::default();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            digest.add(&data);
        }
    }
    Ok(digest.finish())
}
