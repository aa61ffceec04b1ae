//! TLS, HTTP/2, and host names that differ from the address.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

use super::server::Server;
use crate::{Builder, RelayClient};

async fn started() -> (Server, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["tenant.example".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (Server::start_with(Some(TlsAcceptor::from(Arc::new(config)))).await, certificate)
}

async fn saw(builder: Builder) -> String {
    let client = builder.build().unwrap();
    let response = client.post("/echo", vec![5; 200_000]).await.unwrap();
    let saw = response.headers()["x-saw"].to_str().unwrap().to_owned();
    assert_eq!(response.into_body().bytes(200_000).await.unwrap().len(), 200_000);
    saw
}

#[tokio::test]
async fn https_is_http_2_unless_it_is_switched_off() {
    let (server, certificate) = started().await;
    let builder = || {
        RelayClient::builder("https://tenant.example")
            .connect_to(server.address)
            .root_certificates(vec![certificate.clone()])
    };
    assert_eq!(saw(builder()).await, "POST /echo HTTP/2.0 200000");
    assert_eq!(saw(builder().http2(false)).await, "POST /echo HTTP/1.1 200000");
}

#[tokio::test]
async fn another_host_name_reaches_tls_and_the_binding() {
    let (server, certificate) = started().await;
    let url = format!("https://{}", server.address);
    let builder =
        RelayClient::builder(&url).host("Tenant.example").root_certificates(vec![certificate.clone()]);
    assert_eq!(saw(builder).await, "POST /echo HTTP/2.0 200000");
    let client = RelayClient::builder(&url).root_certificates(vec![certificate]).build().unwrap();
    let error = client.get("/").await.unwrap_err();
    assert!(error.is_connect() && error.report().contains("certificate"), "{}", error.report());
}

#[tokio::test]
async fn an_unknown_certificate_is_refused() {
    let (server, _) = started().await;
    let client = RelayClient::builder("https://tenant.example").connect_to(server.address).build().unwrap();
    let error = client.get("/").await.unwrap_err();
    assert!(error.is_connect() && error.report().contains("UnknownIssuer"), "{}", error.report());
}
