//! Connections: TCP to one host, TLS with a provider of our own choosing, HTTP/1.1 or HTTP/2 by ALPN.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::CertificateDer,
};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::{
    Error, Resolve,
    error::BoxError,
    resolve::{bare, connect_first},
};

/// Where and how to connect.
pub(crate) struct Plan {
    /// `http://host:port` of the TCP connection, whatever the request's URL says.
    pub(crate) dial: Uri,
    /// Resolves its host in place of the system.
    pub(crate) resolver: Option<Arc<dyn Resolve>>,
    /// Trusted instead of the public roots, if any.
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) http2: bool,
    pub(crate) timeout: Duration,
}

/// The URL that represents a TCP connection to `address`.
pub(crate) fn dial_address(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Opens every connection of a client, each within the time limit.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<Dialer>,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(plan: Plan) -> Result<Self, Error> {
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(plan.roots)?)
            .https_or_http()
            .enable_http1();
        let dialer = Dialer::new(plan.dial, plan.resolver, plan.timeout);
        let inner = if plan.http2 {
            builder.enable_http2().wrap_connector(dialer)
        } else {
            builder.wrap_connector(dialer)
        };
        Ok(Self { inner, timeout: plan.timeout })
    }
}

fn tls_config(roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let refused = |error: rustls::Error| Error::Setting(format!("TLS cannot be set up: {error}"));
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    if roots.is_empty() {
        return Ok(builder.with_webpki_roots().with_no_client_auth());
    }
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root).map_err(|error| Error::Setting(format!("a root certificate is not one: {error}")))?;
    }
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

/// aws-lc-rs with post-quantum key exchange first. It is passed to the connector and never becomes the process default.
fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    CryptoProvider {
        kx_groups: vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting<Stream>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let after = self.timeout;
        let connecting = self.inner.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(after, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(Error::Timeout { what: "connecting", after }.into()),
            }
        })
    }
}

/// Dials one host, whatever the request's URL says; names and TLS still follow the URL.
#[derive(Clone)]
enum Dialer {
    /// As the system resolves it.
    System { http: HttpConnector, dial: Uri },
    /// To addresses of the caller's choice.
    Chosen { resolver: Arc<dyn Resolve>, dial: Uri, timeout: Duration },
}

impl Dialer {
    fn new(dial: Uri, resolver: Option<Arc<dyn Resolve>>, timeout: Duration) -> Self {
        if let Some(resolver) = resolver {
            return Self::Chosen { resolver, dial, timeout };
        }
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        Self::System { http, dial }
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::System { http, .. } => http.poll_ready(cx).map_err(BoxError::from),
            Self::Chosen { .. } => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        match self {
            Self::System { http, dial } => {
                let connecting = http.call(dial.clone());
                Box::pin(async move { Ok(connecting.await?) })
            }
            Self::Chosen { resolver, dial, timeout } => {
                // `dial` always has a port.
                let (host, port) = (dial.host().unwrap_or_default(), dial.port_u16().unwrap_or_default());
                let (resolving, timeout) = (resolver.resolve(bare(host), port), *timeout);
                Box::pin(async move {
                    let addresses = resolving.await?;
                    Ok(TokioIo::new(connect_first(&addresses, timeout).await?))
                })
            }
        }
    }
}
