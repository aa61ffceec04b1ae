//! Watches the bytes between client and Pingora.
//!
//! Pingora has no deadline for a complete request head, and it responds to requests that it cannot parse without a hook or
//! a log line. This stream sits between Pingora and the connection: it closes the connection if a head takes too long, and
//! reports when a connection ends without a request. Of HTTP/2 frames, it reads only as much as that requires.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
    raw_connect::ProxyDigest,
    tls::{SslDigest, TlsRef},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::{
    connections::Slot,
    frames::{Heads, Refusals},
    request_line::RequestLine,
};
use crate::{config::Config, telemetry::Metrics};

/// A connection's request heads: shared between the stream and the gateway.
#[derive(Debug, Default)]
pub struct Head {
    /// Bytes received of the head that is awaited; `ARRIVED` once it is complete and the gateway has it.
    seen: AtomicU64,
    /// The status of a response that Pingora sent by itself.
    answered: AtomicU16,
    /// The request line has too many spaces, or a control character.
    stray_blank: AtomicBool,
}

const ARRIVED: u64 = u64::MAX;

impl Head {
    /// The head is complete: the gateway has the request.
    pub fn arrived(&self) {
        self.seen.store(ARRIVED, Ordering::Relaxed);
    }

    /// The request has ended: the next head is awaited.
    pub fn awaited(&self) {
        self.seen.store(0, Ordering::Relaxed);
        self.stray_blank.store(false, Ordering::Relaxed);
    }

    /// Whether the request line had too many spaces, or a control character, which Pingora has since percent-encoded.
    pub fn had_stray_blank(&self) -> bool {
        self.stray_blank.load(Ordering::Relaxed)
    }

    fn is_awaited(&self) -> bool {
        self.seen.load(Ordering::Relaxed) != ARRIVED
    }
}

/// Reports why a watched stream ended.
pub(super) struct Report {
    pub(super) metrics: Arc<Metrics>,
    pub(super) client: Option<SocketAddr>,
}

impl Report {
    /// Counts and logs a connection, or an HTTP/2 stream, that was refused before there was a request.
    pub(super) fn refused(&self, cause: &'static str, what: &str) {
        self.metrics.malformed.with_label_values(&[cause]).inc();
        let client = self.client.map(|client| client.to_string());
        log::info!(client = client.as_deref(), cause = cause; "refused before there was a request: {what}");
    }
}

/// A client's connection, watched.
pub(super) struct Watched {
    inner: Stream,
    head: Arc<Head>,
    proxy_digest: Arc<ProxyDigest>,
    socket_digest: Option<Arc<SocketDigest>>,
    limits: Limits,
    due: Due,
    deadline: Option<Pin<Box<Sleep>>>,
    timed_out: bool,
    /// A head exceeded the limit.
    too_large: bool,
    /// Nothing was received yet.
    silent: bool,
    /// The request line of the head that is awaited.
    line: RequestLine,
    /// The frames of an HTTP/2 connection.
    http2: Option<(Heads, Refusals)>,
    report: Report,
    /// Counts the connection as open.
    _slot: Slot,
}

/// How long a client may take to send a head, and how large the head may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Time limit for the first byte of the first head. Between requests, Pingora's own limit applies.
    pub(super) idle: Duration,
    /// Time limit for one complete head, from its first byte; with HTTP/2, also for the connection's preface.
    pub(super) head: Duration,
    /// Limit for the bytes of an unfinished HTTP/1.1 head. Pingora would buffer one mebibyte. The gateway responds to heads
    /// that are too large, so this is larger than its own limit.
    pub(super) head_bytes: u64,
}

impl Limits {
    /// The limits from the settings.
    pub(super) fn new(config: &Config) -> Self {
        // One read may return the end of a head together with a part of the body.
        const READ: u64 = 64 << 10;
        Self {
            idle: config.timeouts.idle,
            head: config.timeouts.headers,
            head_bytes: (config.limits.max_header_bytes as u64).saturating_mul(2).saturating_add(READ),
        }
    }
}

/// What the relay is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    FirstByte,
    /// The rest of a head, with its number on the connection: one head can follow another immediately.
    Head(u64),
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watched").field(&self.inner).finish()
    }
}

impl Watched {
    pub(super) fn new(
        inner: Stream,
        head: Arc<Head>,
        proxy_digest: ProxyDigest,
        socket_digest: Option<Arc<SocketDigest>>,
        limits: Limits,
        report: Report,
        slot: Slot,
    ) -> Self {
        let http2 = matches!(inner.selected_alpn_proto(), Some(ALPN::H2));
        report.metrics.connections.inc();
        Self {
            inner,
            head,
            proxy_digest: Arc::new(proxy_digest),
            socket_digest,
            limits,
            due: Due::Nothing,
            deadline: None,
            timed_out: false,
            too_large: false,
            silent: true,
            line: RequestLine::default(),
            http2: http2.then(Default::default),
            report,
            _slot: slot,
        }
    }

    fn due(&self) -> Due {
        match &self.http2 {
            Some((heads, _)) => heads.awaited().map_or(Due::Nothing, Due::Head),
            None if !self.head.is_awaited() => Due::Nothing,
            None if self.silent => Due::FirstByte,
            None if self.head.seen.load(Ordering::Relaxed) > 0 => Due::Head(0),
            None => Due::Nothing,
        }
    }

    /// Ready once the client has taken too long.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.due();
        if due != self.due {
            let limit = match due {
                Due::Nothing => None,
                Due::FirstByte => Some(self.limits.idle),
                Due::Head(_) => Some(self.limits.head),
            };
            self.due = due;
            self.deadline = limit.map(|limit| Box::pin(tokio::time::sleep(limit)));
        }
        self.deadline.as_mut().map_or(Poll::Pending, |deadline| deadline.as_mut().poll(cx))
    }

    /// Inspects what is written: while a head is awaited, only Pingora itself writes.
    fn written(&mut self, part: &[u8]) {
        if let Some((_, refusals)) = &mut self.http2 {
            if let Some(what) = refusals.find(part) {
                self.report.refused("http2", what);
            }
        } else if self.head.is_awaited()
            && let Some(status) = part.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.first_chunk::<3>())
        {
            let status = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
            self.head.answered.store(status.unwrap_or_default(), Ordering::Relaxed);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.report.metrics.connections.dec();
        let (seen, status) =
            (self.head.seen.load(Ordering::Relaxed), self.head.answered.load(Ordering::Relaxed));
        if self.timed_out {
            let limit = self.limits.head;
            self.report.refused("header_timeout", &format!("no complete head within {limit:?}"));
            return;
        }
        if self.too_large {
            self.report.refused("header_bytes", &format!("no end of a head within {seen} bytes"));
            return;
        }
        if seen == ARRIVED || seen == 0 || self.http2.is_some() {
            return;
        }
        match status {
            0 => self
                .report
                .refused("incomplete", &format!("the connection ended after {seen} bytes of a head")),
            status => self.report.refused("malformed", &format!("not HTTP/1.1, answered with {status}")),
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.poll_deadline(cx).is_ready() {
            this.timed_out = matches!(this.due, Due::Head(_));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if this.http2.is_none()
            && this.head.is_awaited()
            && this.head.seen.load(Ordering::Relaxed) > this.limits.head_bytes
        {
            this.too_large = true;
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        this.silent &= read.is_empty();
        if let Some((heads, _)) = &mut this.http2 {
            if let Err(what) = heads.read(read) {
                this.report.refused("http2", &what.to_string());
            }
        } else if this.head.is_awaited() {
            if this.head.seen.fetch_add(read.len() as u64, Ordering::Relaxed) == 0 {
                this.line = RequestLine::default();
            }
            if this.line.read(read) {
                this.head.stray_blank.store(true, Ordering::Relaxed);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, data))?;
        self.written(&data[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, parts))?;
        let mut left = written;
        for part in parts {
            let len = part.len().min(left);
            self.written(&part[..len]);
            left -= len;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

impl UniqueID for Watched {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Watched {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Watched {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Watched {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(self.proxy_digest.clone())
    }
}

impl GetSocketDigest for Watched {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.socket_digest.clone().or_else(|| self.inner.get_socket_digest())
    }
}

#[async_trait]
impl Peek for Watched {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.inner.try_peek(buffer).await
    }
}
