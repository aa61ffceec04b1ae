//! Connections: TCP to one address, TLS with a provider of our own choosing, HTTP/1.1 or HTTP/2 by ALPN.

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

use crate::{Error, error::BoxError};

/// Where and how to connect.
pub(crate) struct Plan {
    /// `http://host:port` of the TCP connection, whatever the request's URL says.
    pub(crate) dial: Uri,
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
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(plan.roots)?)
            .https_or_http()
            .enable_http1();
        let dialer = Dialer { http, dial: plan.dial };
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

/// Dials one address, whatever the request's URL says; names and TLS still follow the URL.
#[derive(Clone)]
struct Dialer {
    http: HttpConnector,
    dial: Uri,
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = <HttpConnector as Service<Uri>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(cx)
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        self.http.call(self.dial.clone())
    }
}
