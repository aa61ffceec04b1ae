//! The options of an upstream, as plain types that a checked configuration fills. Knows no file and no units.

use std::{sync::Arc, time::Duration};

use http::header::InvalidHeaderValue;
use pingora_core::{
    protocols::ALPN,
    upstreams::peer::PeerOptions,
    utils::tls::{WrappedX509, parse_x509},
};
use rustls::pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};
use serde::{Deserialize, Serialize};

/// Requests over one HTTP/2 connection to an upstream at a time.
const MAX_H2_STREAMS: usize = 100;

/// How to connect to an upstream.
#[derive(Debug)]
pub struct UpstreamOptions {
    /// The tenant, so that no two tenants share a connection.
    pub tenant: String,
    /// Whether certificate and name are verified.
    pub verify: bool,
    /// The authorities to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The name to ask for and verify instead of the host.
    pub sni: Option<String>,
    /// Whether HTTP/2 is used.
    pub http2: Http2,
    /// Names are resolved again after this time.
    pub dns_refresh: Duration,
    /// Time limits.
    pub timeouts: PeerTimeouts,
    /// How a request's peer is chosen.
    pub balance: Balance,
    /// Active health checks.
    pub health: Option<HealthChecks>,
    /// Passive ejection.
    pub ejection: Ejection,
    /// Readiness fails while no peer is healthy.
    pub ready: bool,
}

/// Whether HTTP/2 is used to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Http2 {
    /// Where the upstream offers it in the TLS handshake.
    #[default]
    Auto,
    /// Always; without TLS as well, which the upstream must expect.
    Always,
    /// Never.
    Never,
}

/// How a request's peer is chosen, and then one of the peer's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in flight, by weight.
    LeastConnections,
    /// The same one for the same client id, as long as it is there.
    ConsistentHash,
}

/// Time limits of a connection to a peer.
#[derive(Debug, Clone, Copy)]
pub struct PeerTimeouts {
    /// Connecting, TLS included; resolving a name for the first time.
    pub connect: Duration,
    /// Waiting for bytes.
    pub read: Duration,
    /// Waiting to send bytes.
    pub write: Duration,
    /// Keeping an unused connection.
    pub idle: Duration,
}

/// Active health checks of every address of every peer.
#[derive(Debug, Clone)]
pub struct HealthChecks {
    /// A path that answers 200 to 399 when all is well; absent: a connection is enough.
    pub path: Option<String>,
    /// Between checks of one address.
    pub interval: Duration,
    /// One check may take this long.
    pub timeout: Duration,
    /// This many failures in a row make an address unhealthy.
    pub unhealthy_after: u32,
    /// This many successes in a row make it healthy again.
    pub healthy_after: u32,
}

/// Passive health, from the results of requests.
#[derive(Debug, Clone)]
pub struct Ejection {
    /// This many failed requests in a row eject an address; 0: never.
    pub failures: u32,
    /// For this long, twice as long each time again.
    pub time: Duration,
}

/// Why there is no upstream of these options.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The authorities are no PEM.
    #[error("ca_file is not PEM: {0}")]
    NotPem(#[source] pem::Error),
    /// There is no authority among them.
    #[error("ca_file holds no certificate")]
    NoCertificate,
    /// A peer's host is not valid in `Host`.
    #[error(transparent)]
    Host(#[from] InvalidHeaderValue),
}

/// The options of every connection, as Pingora has them.
///
/// # Errors
/// A certificate authority that is no PEM certificate.
pub(super) fn connection_options(options: &UpstreamOptions) -> Result<PeerOptions, OptionsError> {
    let mut peer = PeerOptions::new();
    peer.alpn = match options.http2 {
        Http2::Auto => ALPN::H2H1,
        Http2::Always => ALPN::H2,
        Http2::Never => ALPN::H1,
    };
    peer.max_h2_streams = MAX_H2_STREAMS;
    peer.verify_cert = options.verify;
    peer.verify_hostname = options.verify;
    peer.connection_timeout = Some(options.timeouts.connect);
    peer.total_connection_timeout = Some(options.timeouts.connect);
    peer.read_timeout = Some(options.timeouts.read);
    peer.write_timeout = Some(options.timeouts.write);
    peer.idle_timeout = Some(options.timeouts.idle);
    if let Some(pem) = &options.ca_pem {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .map(|der| der.map(|der| WrappedX509::new(der.to_vec(), parse_x509)))
            .collect::<Result<_, _>>()
            .map_err(OptionsError::NotPem)?;
        if certificates.is_empty() {
            return Err(OptionsError::NoCertificate);
        }
        peer.ca = Some(Arc::from(certificates));
    }
    Ok(peer)
}
