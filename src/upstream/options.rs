//! The options of an upstream, as plain types that are set from a checked configuration.

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

/// Maximum number of concurrent requests over one HTTP/2 connection to an upstream.
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
    /// The server name (SNI) to request and verify instead of the host.
    pub sni: Option<String>,
    /// Whether HTTP/2 is used.
    pub http2: Http2,
    /// How often names are resolved again.
    pub dns_refresh: Duration,
    /// Time limits.
    pub timeouts: PeerTimeouts,
    /// How a request's peer is chosen.
    pub balance: Balance,
    /// Active health checks.
    pub health: Option<HealthChecks>,
    /// Passive ejection.
    pub ejection: Ejection,
    /// Whether the relay is not ready while no peer is healthy.
    pub ready: bool,
}

/// Whether HTTP/2 is used to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Http2 {
    /// If the upstream offers it in the TLS handshake.
    #[default]
    Auto,
    /// Always; also without TLS, which the upstream must support.
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
    /// The one with the fewest requests in flight, relative to its weight.
    LeastConnections,
    /// The same one for the same client id, as long as it is available.
    ConsistentHash,
}

/// Time limits of a connection to a peer.
#[derive(Debug, Clone, Copy)]
pub struct PeerTimeouts {
    /// Connecting, including TLS; resolving a name for the first time.
    pub connect: Duration,
    /// Waiting for bytes.
    pub read: Duration,
    /// Waiting to send bytes.
    pub write: Duration,
    /// Keeping an unused connection open.
    pub idle: Duration,
}

/// Active health checks of every address of every peer.
#[derive(Debug, Clone)]
pub struct HealthChecks {
    /// A path to request; a status from 200 to 399 is healthy. Absent: a connection is enough.
    pub path: Option<String>,
    /// Time between checks of an address.
    pub interval: Duration,
    /// Time limit of one check.
    pub timeout: Duration,
    /// Failures in a row that make an address unhealthy.
    pub unhealthy_after: u32,
    /// Successes in a row that make it healthy again.
    pub healthy_after: u32,
}

/// Passive health checks, from the results of requests.
#[derive(Debug, Clone)]
pub struct Ejection {
    /// Failed requests in a row that eject an address; 0: never.
    pub failures: u32,
    /// How long an address is ejected; it doubles with each further ejection.
    pub time: Duration,
}

/// Why these options are not valid.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The authorities are not PEM.
    #[error("ca_file is not PEM: {0}")]
    NotPem(#[source] pem::Error),
    /// The file has no certificate.
    #[error("ca_file holds no certificate")]
    NoCertificate,
    /// A peer's host is not valid in `Host`.
    #[error(transparent)]
    Host(#[from] InvalidHeaderValue),
}

/// The options of every connection, as Pingora has them.
///
/// # Errors
/// A certificate authority is not a PEM certificate.
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
