//! One exchange with a relay, and its repetition after a new pairing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, request, uri::PathAndQuery};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use mte_codec::{EncodeType, KemId};
use mte_protocol::{
    control_client_id,
    names::{X_MTE_RELAY, X_MTE_RELAY_EH},
    status::code_requires_new_pair,
};

use crate::{
    Body, Builder, Error, Observer, Resend,
    builder::{check_options, normal},
    connect::Connector,
    download,
    error::{NoAnswer, NotRepeated},
    observer::{Opened, RequestEvent, ResponseEvent, Retry},
    pool::Pool,
    upload::{self, Watch, WireBody},
    wire::{self, Options, Pair},
};

/// The most that is read of an error in the clear.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// A client's settings.
pub(crate) struct Rules {
    pub(crate) pairs: usize,
    pub(crate) kem: KemId,
    pub(crate) resend: Resend,
    pub(crate) timeout: Duration,
}

/// The relay, as requests name it.
pub(crate) struct Relay {
    pub(crate) https: bool,
    /// What `Host` says, in normal form.
    pub(crate) authority: String,
    /// The authority of the relay's URL: another one only if the host was overridden.
    pub(crate) url_authority: String,
}

/// A client of one MTE relay. Clones share connections, client id and pairs.
#[derive(Clone)]
pub struct RelayClient {
    inner: Arc<Inner>,
    options: Arc<Options>,
}

/// What clones of a client share.
pub(crate) struct Inner {
    relay: Relay,
    pub(crate) rules: Rules,
    http: Client<Connector, WireBody>,
    pub(crate) pool: Pool,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    exchanges: AtomicU64,
}

impl RelayClient {
    /// Settings for a client of the relay at `relay_url`: `https://relay.example`, without a path.
    pub fn builder(relay_url: impl Into<String>) -> Builder {
        Builder::new(relay_url.into())
    }

    pub(crate) fn new(inner: Inner, options: Options) -> Self {
        Self { inner: Arc::new(inner), options: Arc::new(options) }
    }

    /// A client that seals its requests by other options. It shares connections, client id and pairs with this one.
    ///
    /// # Errors
    /// [`Error::Setting`], as [`Builder::build`].
    pub fn with_options(&self, options: Options) -> Result<Self, Error> {
        check_options(&options)?;
        Ok(Self { inner: Arc::clone(&self.inner), options: Arc::new(options) })
    }

    /// The signed client id (docs/protocol.md, section 1); `None` before the first pairing. Keep it, and give it to
    /// [`Builder::client_id`] later, to remain the same client.
    pub fn client_id(&self) -> Option<String> {
        self.inner.pool.client_id()
    }

    /// Pairs now rather than with the first request.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn pair(&self) -> Result<(), Error> {
        self.inner.take_pair(None).await.map(drop)
    }

    /// Sends a `GET`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn get(&self, url: impl AsRef<str>) -> Result<Response<Body>, Error> {
        self.send(plain_request(Method::GET, url.as_ref(), Body::empty())?).await
    }

    /// Sends a `POST`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn post(&self, url: impl AsRef<str>, body: impl Into<Body>) -> Result<Response<Body>, Error> {
        self.send(plain_request(Method::POST, url.as_ref(), body.into())?).await
    }

    /// Sends a request sealed, and opens its response. The URL is a path and query, or a full URL of this relay.
    ///
    /// An upstream's response is a response, whatever its status. `host` and `content-length` are set by the client;
    /// headers that belong to one connection are not sent. The response's body opens as it is read.
    ///
    /// # Errors
    /// [`Error::Relay`] for the relay's own answers, [`Error::Response`] for what does not verify, [`Error::Connect`],
    /// [`Error::Http`], and the errors of what was given.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let inner = &*self.inner;
        let (parts, mut body) = request.into_parts();
        inner.check_target(&parts.uri)?;
        if self.options.encode_type == EncodeType::Mte {
            // A message of this type is sealed whole (docs/codec.md, section 5).
            body = body.bytes(self.options.max_mte_body).await?.into();
        }
        let exchange = inner.exchanges.fetch_add(1, Ordering::Relaxed);
        let mut again = inner.copy_to_resend(&parts.method, &body);
        let mut reason = None;
        loop {
            let pair = inner.take_pair(reason.as_deref()).await?;
            let error = match inner.exchange(exchange, &pair, &self.options, &parts, body).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let Some(status) = error.relay_status().filter(|status| code_requires_new_pair(*status)) else {
                return Err(error);
            };
            inner.pool.drop_pair(&pair, status);
            match std::mem::replace(&mut again, Err(NotRepeated::Twice)) {
                Ok(copy) => body = copy,
                Err(note) => return Err(with_note(error, note)),
            }
            if let Some(observer) = &inner.observer {
                observer.retry(&Retry { exchange, error: &error });
            }
            reason = Some(error.to_string());
        }
    }
}

impl std::fmt::Debug for RelayClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayClient").field("relay", &self.inner.relay.authority).finish_non_exhaustive()
    }
}

fn plain_request(method: Method, url: &str, body: Body) -> Result<Request<Body>, Error> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = url
        .parse()
        .map_err(|_| Error::RequestUrl { url: url.to_owned(), reason: "it is not a URL; is it escaped?" })?;
    Ok(request)
}

fn with_note(error: Error, note: NotRepeated) -> Error {
    match error {
        Error::Relay { status, message, request_id, .. } => {
            Error::Relay { status, message, request_id, note: Some(note) }
        }
        other => other,
    }
}

impl Inner {
    pub(crate) fn new(
        relay: Relay,
        rules: Rules,
        connector: Connector,
        observer: Option<Arc<dyn Observer>>,
        client_id: Option<String>,
    ) -> Self {
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            // Sealed headers make one long header; the default would refuse what HTTP/1.1 takes.
            .http2_max_header_list_size(256 << 10)
            .build(connector);
        let pool = Pool::new(client_id);
        Self { relay, rules, http, pool, observer, exchanges: AtomicU64::new(0) }
    }

    fn check_target(&self, uri: &Uri) -> Result<(), Error> {
        let refused = |reason| Error::RequestUrl { url: uri.to_string(), reason };
        match (uri.scheme_str(), uri.authority()) {
            (None, None) => Ok(()),
            (Some(scheme), Some(authority)) => {
                let Relay { https, authority: own, url_authority } = &self.relay;
                let named = normal(authority, *https);
                if scheme != self.scheme() || named != *own && named != *url_authority {
                    return Err(refused("it is not a URL of this client's relay"));
                }
                Ok(())
            }
            _ => Err(refused("give a path that begins with a slash, or a whole URL")),
        }
    }

    /// The body to send a second time, or why there is none.
    fn copy_to_resend(&self, method: &Method, body: &Body) -> Result<Body, NotRepeated> {
        match self.rules.resend {
            Resend::Never => Err(NotRepeated::Off),
            Resend::Idempotent if !method.is_idempotent() => Err(NotRepeated::Method(method.clone())),
            Resend::Idempotent | Resend::Always => body.again().ok_or(NotRepeated::Stream),
        }
    }

    fn scheme(&self) -> &'static str {
        if self.relay.https { "https" } else { "http" }
    }

    fn watch(&self, exchange: u64) -> Option<Watch> {
        self.observer.clone().map(|observer| Watch { observer, exchange })
    }

    async fn exchange(
        &self,
        exchange: u64,
        pair: &Arc<Pair>,
        options: &Options,
        request: &request::Parts,
        body: Body,
    ) -> Result<Response<Body>, Error> {
        let authority = self.relay.authority.as_str();
        let watch = self.watch(exchange);
        let head = wire::seal_head(pair, options, authority, request, upload::plan(&body))?;
        let mut wire_request = self.wire_request(&request.method, &head.path)?;
        if let Some(Watch { observer, .. }) = &watch {
            observer.request(&RequestEvent {
                exchange,
                method: &request.method,
                url: request.uri.path_and_query().map_or("/", PathAndQuery::as_str),
                wire_path: &head.path,
                authority,
                headers: &request.headers,
                wire_headers: &head.headers,
                header_map: &head.header_map,
                pair: pair.id(),
                parts: &head.parts,
            });
        }
        if let (Some(slot), Some(part)) = (&head.body, head.parts.last()) {
            *wire_request.body_mut() = upload::seal_body(slot, part, body, watch.clone())?;
        }
        *wire_request.headers_mut() = head.headers;

        let response = self.call(wire_request).await?;
        let (mut parts, incoming) = response.into_parts();
        let tell = |opened| {
            if let Some(Watch { observer, .. }) = &watch {
                let http::response::Parts { version, status, headers: wire_headers, .. } = &parts;
                observer.response(&ResponseEvent {
                    exchange,
                    version: *version,
                    status: *status,
                    wire_headers,
                    opened,
                });
            }
        };
        if !parts.headers.contains_key(X_MTE_RELAY_EH) {
            tell(None);
            return Err(self.clear_error(parts.status, &parts.headers, incoming).await);
        }
        let opened = head.opener.open_head(parts.status, &parts.headers).inspect_err(|_| tell(None))?;
        tell(Some(Opened { sealed: &opened.sealed, part: opened.part }));
        let signed = parts.headers.get(X_MTE_RELAY).and_then(|value| control_client_id(value.to_str().ok()?));
        if let Some(signed) = signed.filter(|signed| pair.take_signature(signed)) {
            self.pool.take_signature(signed);
        }
        parts.headers = opened.headers;
        parts.extensions.clear();
        Ok(Response::from_parts(parts, download::open_body(incoming, opened.body, watch)))
    }

    /// What an answer without sealed headers says.
    pub(crate) async fn clear_error(&self, status: StatusCode, headers: &HeaderMap, body: Incoming) -> Error {
        let mut text = Bytes::new();
        if status.as_u16() >= 400 {
            let read = Limited::new(body, MAX_ERROR_BYTES).collect();
            // It is an error even without its text.
            if let Ok(Ok(read)) = tokio::time::timeout(self.rules.timeout, read).await {
                text = read.to_bytes();
            }
        }
        wire::relay_error(status, headers, &text)
            .map_or_else(|| Error::Pairing("an answer to a control request is sealed".into()), Error::from)
    }

    pub(crate) fn wire_request(&self, method: &Method, path: &str) -> Result<Request<WireBody>, Error> {
        let uri = Uri::builder()
            .scheme(self.scheme())
            .authority(self.relay.authority.as_str())
            .path_and_query(path)
            .build()
            .map_err(|_| Error::RequestUrl { url: path.to_owned(), reason: "it is too long" })?;
        let mut request = Request::new(WireBody::Empty);
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        Ok(request)
    }

    pub(crate) async fn call(&self, request: Request<WireBody>) -> Result<Response<Incoming>, Error> {
        self.http.request(request).await.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: legacy::Error) -> Error {
        let connect = error.is_connect();
        match Error::from_hyper(error) {
            Error::Http(source) if connect => Error::Connect { to: self.relay.authority.clone(), source },
            Error::Timeout { .. } if connect => {
                let source = Arc::new(NoAnswer(self.rules.timeout));
                Error::Connect { to: self.relay.authority.clone(), source }
            }
            other => other,
        }
    }
}
