//! Certificates, for upstreams and for listeners.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// A certificate authority created for one test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate in the format of `ca_file`.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Its certificate as a client's root certificate.
    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate for `name`, and its key.
    pub(crate) fn issue(&self, name: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // Not the authority's own name: OpenSSL treats a certificate whose subject equals its issuer as self-signed.
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// Accepts connections with a certificate for `name`, and chooses the first of these protocols that is offered.
    pub(crate) fn acceptor(&self, name: &str, protocols: &[&str]) -> TlsAcceptor {
        let (certificate, key) = self.issue(name);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Writes a certificate for `name` to a folder; returns the tenant's `tls` setting with the files. `more` are further
    /// settings in it.
    pub(crate) fn settings(&self, folder: &Path, name: &str, more: &str) -> String {
        let (certificate, key) = self.issue(name);
        let [crt, pem] = ["crt", "key"].map(|ending| folder.join(format!("{name}.{ending}")));
        std::fs::write(&crt, certificate.pem()).unwrap();
        std::fs::write(&pem, key.serialize_pem()).unwrap();
        format!("tls: {{certificate_file: {}, key_file: {}{more}}}", crt.display(), pem.display())
    }

    /// A client's handshake over a connection: requests `name`, negotiates HTTP/2 or HTTP/1.1, and presents a certificate of
    /// this authority or none.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        name: &str,
        certificate: bool,
        http2: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = if certificate {
            let (own, key) = self.issue("client.test");
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            builder.with_client_auth_cert(vec![own.der().clone()], key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// A connection to `address` with a handshake for `name`, for HTTP/1.1.
    pub(crate) async fn connect(&self, address: SocketAddr, name: &str) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(address).await.unwrap();
        self.handshake(stream, name, false, false).await.unwrap()
    }
}
