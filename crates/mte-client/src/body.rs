//! Bodies of requests and responses, in plaintext.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use mte_codec::MAX_FRAME;
use tokio::io::{AsyncRead, ReadBuf};

use crate::{
    Error,
    error::{BoxError, Cause},
};

/// A plaintext body: bytes in memory, or a stream.
///
/// A body in memory can be sent again if the relay asks for a new pairing (docs/protocol.md, section 5); a stream
/// cannot. A response's body yields each frame's plaintext as soon as its tag has verified, and ends without an error only
/// if the message's final frame did: a cut body can never be taken for a whole one.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes(Bytes),
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error> + Send>>),
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Any other body. If its exact size is known, the request has a `content-length`. Trailers are not sent.
    pub fn wrap<B>(body: B) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::empty();
        }
        Self::stream(Wrapped(Box::pin(body)))
    }

    /// A body of unknown size, sealed piece by piece as the pieces come.
    pub fn from_stream<S, D, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<D, E>> + Send + 'static,
        D: Into<Bytes> + 'static,
        E: Into<BoxError> + 'static,
    {
        Self::wrap(StreamBody::new(stream.map(|item| item.map(|data| Frame::data(data.into())))))
    }

    /// What a reader gives, in pieces of up to 64 KiB. With `length`, what it must give exactly, the request has a
    /// `content-length`.
    pub fn from_reader<R>(reader: R, length: Option<u64>) -> Self
    where
        R: AsyncRead + Send + 'static,
    {
        if length == Some(0) {
            return Self::empty();
        }
        Self::stream(Reading { reader: Some(Box::pin(reader)), left: length })
    }

    pub(crate) fn stream(body: impl http_body::Body<Data = Bytes, Error = Error> + Send + 'static) -> Self {
        Self(Kind::Stream(Box::pin(body)))
    }

    /// The bytes of a body in memory; empty for none.
    pub(crate) fn in_memory(&self) -> Option<&Bytes> {
        static EMPTY: Bytes = Bytes::new();
        match &self.0 {
            Kind::Empty => Some(&EMPTY),
            Kind::Bytes(bytes) => Some(bytes),
            Kind::Stream(_) => None,
        }
    }

    /// The same body again, if it is in memory.
    pub(crate) fn again(&self) -> Option<Self> {
        self.in_memory().cloned().map(Self::from)
    }

    /// The next piece of the body; `None` at its end. The same as `frame` of `http_body_util::BodyExt`, without trailers.
    ///
    /// # Errors
    /// Whatever keeps the body from opening. Nothing comes after an error.
    pub async fn data(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match self.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    Err(_trailers) => continue,
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond `limit` bytes, and whatever keeps the body from opening.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut all = BytesMut::new();
        while let Some(data) = self.data().await {
            let data = data?;
            if data.len() > limit - all.len() {
                return Err(Error::TooLarge { limit });
            }
            if all.is_empty() && http_body::Body::is_end_stream(&self) {
                return Ok(data);
            }
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }

    /// Reads the whole body as UTF-8.
    ///
    /// # Errors
    /// [`Error::NotText`], and those of [`bytes`](Self::bytes).
    pub async fn text(self, limit: usize) -> Result<String, Error> {
        String::from_utf8(self.bytes(limit).await?.into()).map_err(|_| Error::NotText)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::Bytes(bytes) })
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Bytes(_) => false,
            Kind::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => stream.size_hint(),
        }
    }
}

/// A caller's body with our data and errors. (The adapters of http-body-util lose the size.)
struct Wrapped<B>(Pin<Box<B>>);

impl<B> http_body::Body for Wrapped<B>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.0.as_mut().poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
            Err(error) => Err(Error::RequestBody(Cause::from(error.into()))),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A reader as a body.
struct Reading<R> {
    reader: Option<Pin<Box<R>>>,
    left: Option<u64>,
}

impl<R: AsyncRead> http_body::Body for Reading<R> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(reader) = &mut self.reader else { return Poll::Ready(None) };
        let mut piece = vec![0; MAX_FRAME];
        let mut buffer = ReadBuf::new(&mut piece);
        if let Err(error) = ready!(reader.as_mut().poll_read(cx, &mut buffer)) {
            self.reader = None;
            return Poll::Ready(Some(Err(Error::RequestBody(Cause::from(BoxError::from(error))))));
        }
        let read = buffer.filled().len();
        if read == 0 {
            self.reader = None;
            return Poll::Ready(None);
        }
        piece.truncate(read);
        self.left = self.left.map(|left| left.saturating_sub(read as u64));
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.reader.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Empty => f.write_str("Body(empty)"),
            Kind::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Kind::Stream(_) => f.write_str("Body(stream)"),
        }
    }
}
