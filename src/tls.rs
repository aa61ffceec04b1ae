//! TLS towards clients: which cryptography it uses, and each tenant's own configuration.
//!
//! Every tenant has a `ServerConfig` of its own, chosen by the name that the client asks for, with its own
//! memory of sessions: what one tenant asks of its clients cannot be skipped by resuming a session of another.

use std::sync::Arc;

use pingora_core::listeners::tls::Acceptor;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

/// The cryptography of every TLS connection: `aws-lc-rs`, with the post-quantum key exchange preferred.
fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1];
    CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() }
}

/// Makes it the process's choice. Must come before anything of Pingora, which would otherwise install its own;
/// a second call changes nothing.
pub fn install_provider() {
    // An error means that there is one already: this one, or an embedding program's choice.
    let _ = provider().install_default();
}

/// A tenant's certificate, key, and what it asks of its clients.
#[derive(Clone)]
pub struct TenantTls {
    pub(crate) acceptor: Arc<Acceptor>,
    /// Whether clients must show a certificate.
    pub client_certificates: bool,
}

impl std::fmt::Debug for TenantTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantTls")
            .field("client_certificates", &self.client_certificates)
            .finish_non_exhaustive()
    }
}

impl TenantTls {
    /// Checks PEM files: certificate chain, its key, and the authorities of client certificates if the
    /// tenant wants them.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn new(chain: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, String> {
        let chain = certificates(chain, "certificate_file")?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("key_file holds no key: {error}"))?;
        let provider = Arc::new(provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem, "client_ca_file")? {
                    roots.add(certificate).map_err(|error| format!("client_ca_file: {error}"))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder
                    .with_client_cert_verifier(verifier.map_err(|error| format!("client_ca_file: {error}"))?)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| format!("certificate_file and key_file do not make a pair: {error}"))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = Arc::new(Acceptor::from_server_config(Arc::new(config)));
        Ok(Self { acceptor, client_certificates: client_ca.is_some() })
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{what} is not PEM: {error}"))?;
    if certificates.is_empty() { Err(format!("{what} holds no certificate")) } else { Ok(certificates) }
}
