//! TLS for connections from clients: the cryptography, and each tenant's configuration.
//!
//! Every tenant has its own `ServerConfig`, chosen by the client's server name (SNI), with its own
//! session store: one tenant's requirements on its clients cannot be bypassed by resuming a session of another tenant.

use std::sync::Arc;

use pingora_core::listeners::tls::Acceptor;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

use crate::certificate::CertificateFacts;

/// The cryptography of every TLS connection: `aws-lc-rs`, which prefers the post-quantum key exchange.
fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1];
    CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() }
}

/// Installs it as the process default. Call this before using Pingora, which would otherwise install its own; a second
/// call has no effect.
pub fn install_provider() {
    // An error means that one is installed already: this one, or one chosen by an embedding program.
    let _ = provider().install_default();
}

/// Why PEM files cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file holds no certificate that can be read.
    #[error("holds no certificate in PEM form (-----BEGIN CERTIFICATE-----) that can be read")]
    NoCertificate(TlsFile),
    /// `key_file` holds no private key that can be read.
    #[error("holds no private key in PEM form (-----BEGIN PRIVATE KEY-----) that can be read")]
    NoKey,
    /// The key does not belong to the certificate.
    #[error(
        "is not the key of this certificate: certificate_file must begin with the tenant's own certificate"
    )]
    OtherKey,
    /// The certificate or key is of a kind that cannot be used for TLS.
    #[error(
        "this certificate or its key cannot be used for TLS: use RSA of 2048 bits or more, ECDSA or Ed25519"
    )]
    Unusable,
}

/// The files of a tenant's TLS, by the names of their settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFile {
    /// `certificate_file`.
    Certificate,
    /// `client_ca_file`.
    ClientCa,
}

impl TlsError {
    /// The setting with the error, below `tls`.
    pub fn setting(self) -> &'static str {
        match self {
            Self::NoCertificate(TlsFile::ClientCa) => "client_ca_file",
            Self::NoCertificate(TlsFile::Certificate) | Self::Unusable => "certificate_file",
            Self::NoKey | Self::OtherKey => "key_file",
        }
    }
}

/// A tenant's certificate, key, and requirements on clients.
#[derive(Clone)]
pub struct TenantTls {
    pub(crate) acceptor: Arc<Acceptor>,
    /// Whether clients must present a certificate.
    pub client_certificates: bool,
    /// Facts about the certificate chain.
    pub certificate: Arc<CertificateFacts>,
}

impl std::fmt::Debug for TenantTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantTls")
            .field("client_certificates", &self.client_certificates)
            .finish_non_exhaustive()
    }
}

impl TenantTls {
    /// Checks PEM files: the certificate chain, its key, and the authorities of client certificates if the tenant requires
    /// them.
    ///
    /// # Errors
    /// What is wrong, and with which file.
    pub fn new(chain: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, TlsError> {
        let chain = certificates(chain, TlsFile::Certificate)?;
        let facts = Arc::new(CertificateFacts::of(&chain));
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
        let provider = Arc::new(provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|_| TlsError::Unusable)?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let unreadable = TlsError::NoCertificate(TlsFile::ClientCa);
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem, TlsFile::ClientCa)? {
                    roots.add(certificate).map_err(|_| unreadable)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|_| unreadable)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::OtherKey,
            rustls::Error::InvalidCertificate(_) => TlsError::NoCertificate(TlsFile::Certificate),
            _ => TlsError::Unusable,
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = Arc::new(Acceptor::from_server_config(Arc::new(config)));
        Ok(Self { acceptor, client_certificates: client_ca.is_some(), certificate: facts })
    }
}

fn certificates(pem: &[u8], file: TlsFile) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NoCertificate(file))?;
    if certificates.is_empty() { Err(TlsError::NoCertificate(file)) } else { Ok(certificates) }
}
