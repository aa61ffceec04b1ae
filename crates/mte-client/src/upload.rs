//! Seals a request's body: as a whole if it is small, else frame by frame as it arrives.
//!
//! A body of known length is gathered into full frames, so that the length of the ciphertext is known before the first byte
//! goes. One of unknown length is sealed piece by piece, as it comes. Either way no more than a frame, and the piece
//! that the caller's body gave last, is held.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use mte_codec::{EncodeType, MAX_FRAME, Sealer, Slot, seal};

use crate::{
    Body, Error, Observer,
    observer::Chunk,
    wire::{BodyPlan, Part},
};

/// An observer, and the exchange that it observes.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) exchange: u64,
}

impl Watch {
    pub(crate) fn chunk(&self, plain_len: usize, wire_len: usize, last: bool) -> Chunk {
        Chunk { exchange: self.exchange, plain_len, wire_len, last }
    }
}

/// What is known of `body` before it is sealed.
pub(crate) fn plan(body: &Body) -> BodyPlan {
    match http_body::Body::size_hint(body).exact() {
        Some(0) => BodyPlan::None,
        Some(len) => BodyPlan::Known(len),
        None => BodyPlan::Unknown,
    }
}

/// Seals `body` for `slot`. A body of type MTE must be in memory.
pub(crate) fn seal_body(
    slot: &Slot,
    part: &Part,
    body: Body,
    watch: Option<Watch>,
) -> Result<WireBody, Error> {
    if let Some(bytes) = body.in_memory()
        && (bytes.len() <= MAX_FRAME || slot.encode_type == EncodeType::Mte)
    {
        let sealed: Bytes = seal::message(slot.clone(), bytes, &mut rand::rng())?.into();
        if let Some(watch) = watch {
            watch.observer.request_chunk(watch.chunk(bytes.len(), sealed.len(), true));
        }
        return Ok(WireBody::Whole(sealed));
    }
    let sealer = Sealer::new(slot, &mut rand::rng())?;
    let known = match (part.plain_len, part.wire_len) {
        (Some(announced), Some(wire_left)) => {
            Some(Known { announced, left: announced, wire_left, gathered: BytesMut::new() })
        }
        _ => None,
    };
    Ok(WireBody::Streamed(Box::new(Streamed {
        body,
        sealer,
        known,
        pending: Bytes::new(),
        stage: Stage::More,
        watch,
    })))
}

/// A body as hyper sends it.
pub(crate) enum WireBody {
    /// None.
    Empty,
    /// All at once.
    Whole(Bytes),
    /// As it comes.
    Streamed(Box<Streamed>),
}

pub(crate) struct Streamed {
    body: Body,
    sealer: Sealer,
    known: Option<Known>,
    /// What came from `body` and is not sealed yet.
    pending: Bytes,
    stage: Stage,
    watch: Option<Watch>,
}

#[derive(PartialEq, Eq)]
enum Stage {
    More,
    /// `body` has ended.
    Ended,
    /// The final frame is made, or something failed.
    Done,
}

/// A body whose length is known.
struct Known {
    announced: u64,
    /// Plaintext bytes that are not sealed yet.
    left: u64,
    /// Message bytes that are not sent yet.
    wire_left: u64,
    /// The beginning of the next frame.
    gathered: BytesMut,
}

impl Streamed {
    fn poll_sealed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        loop {
            let sealed = match &mut self.known {
                Some(known) => known.seal(&mut self.pending, &mut self.sealer, self.stage == Stage::Ended)?,
                None => seal_live(&mut self.pending, &mut self.sealer, self.stage == Stage::Ended)?,
            };
            if let Some(Sealed { plain_len, data, last }) = sealed {
                if last {
                    self.stage = Stage::Done;
                }
                if let Some(watch) = &self.watch {
                    watch.observer.request_chunk(watch.chunk(plain_len, data.len(), last));
                }
                return Poll::Ready(Ok(data));
            }
            match ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), cx)) {
                // Trailers have no place in a message.
                Some(frame) => self.pending = frame?.into_data().unwrap_or_default(),
                None => self.stage = Stage::Ended,
            }
        }
    }
}

struct Sealed {
    plain_len: usize,
    data: Bytes,
    last: bool,
}

/// Seals what there is, a frame at most.
fn seal_live(pending: &mut Bytes, sealer: &mut Sealer, ended: bool) -> Result<Option<Sealed>, Error> {
    if pending.is_empty() && !ended {
        return Ok(None);
    }
    let last = pending.is_empty();
    let part = pending.split_to(pending.len().min(MAX_FRAME));
    let data = sealer.seal(&part, last)?;
    Ok(Some(Sealed { plain_len: part.len(), data, last }))
}

impl Known {
    /// Seals the next full frame, or the last one once the body has ended; `None` if it takes more input.
    fn seal(
        &mut self,
        pending: &mut Bytes,
        sealer: &mut Sealer,
        ended: bool,
    ) -> Result<Option<Sealed>, Error> {
        let want = self.left.min(MAX_FRAME as u64) as usize;
        let last = self.left == want as u64;
        let have = self.gathered.len() + pending.len();
        if ended && have < want || last && have > want {
            let got = self.announced - self.left + have as u64;
            return Err(Error::BodyLength { announced: self.announced, got });
        }
        if have < want || last && !ended {
            self.gathered.extend_from_slice(pending);
            pending.clear();
            return Ok(None);
        }
        let missing = pending.split_to(want - self.gathered.len());
        let data = if self.gathered.is_empty() {
            // The usual case of a body in memory: nothing is gathered, so nothing is copied.
            sealer.seal(&missing, last)?
        } else {
            self.gathered.extend_from_slice(&missing);
            sealer.seal(&self.gathered, last)?
        };
        self.gathered.clear();
        self.left -= want as u64;
        self.wire_left -= data.len() as u64;
        Ok(Some(Sealed { plain_len: want, data, last }))
    }
}

impl http_body::Body for WireBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Streamed(streamed) if streamed.stage == Stage::Done => Poll::Ready(None),
            Self::Streamed(streamed) => {
                let sealed = ready!(streamed.poll_sealed(cx));
                if sealed.is_err() {
                    streamed.stage = Stage::Done;
                }
                Poll::Ready(Some(sealed.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(_) => false,
            Self::Streamed(streamed) => streamed.stage == Stage::Done,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Streamed(streamed) => match &streamed.known {
                Some(known) => SizeHint::with_exact(known.wire_left),
                None => SizeHint::default(),
            },
        }
    }
}
