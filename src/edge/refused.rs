//! Why a connection failed before its first request: the kinds, each with its label for the log and the metrics.

use std::{io, time::Duration};

use pingora_core::BError;
use ppp::{v1, v2};

use super::connections;

/// Why a connection failed before its first request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// Its client network has as many as it may.
    #[error("the client network has as many connections as limits.connections_per_network allows")]
    NetworkFull,
    /// There is no trusted PROXY header.
    #[error(transparent)]
    ProxyHeader(#[from] ProxyHeaderError),
    /// There is no TLS connection.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A part took too long.
    #[error("nothing whole within {limit:?}")]
    Late {
        /// Which.
        part: Part,
        /// The limit.
        limit: Duration,
    },
}

/// A part of what comes before HTTP.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    ProxyHeader,
    Tls,
}

impl Part {
    fn cause(self) -> &'static str {
        match self {
            Self::ProxyHeader => "proxy_header",
            Self::Tls => "tls",
        }
    }
}

impl Refused {
    /// Why, as a label.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::NetworkFull => connections::Full::Network.cause(),
            Self::ProxyHeader(_) => Part::ProxyHeader.cause(),
            Self::Tls(_) => Part::Tls.cause(),
            Self::Late { part, .. } => part.cause(),
        }
    }

    /// Whether the client disconnected without sending anything. Load balancers check whether a port is open: that is nothing
    /// to report.
    pub(super) fn is_silent(&self) -> bool {
        matches!(
            self,
            Self::ProxyHeader(ProxyHeaderError::Read(ReadError::Silent))
                | Self::Tls(TlsError::Read(ReadError::Silent))
        )
    }
}

/// Why nothing more can be read of what comes before HTTP.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The connection ended without a byte.
    #[error("the client disconnected without sending anything")]
    Silent,
    /// It ended before something was done.
    #[error("the client went away before {0}")]
    Cut(&'static str),
    /// The system says why.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Why there is no trusted PROXY header.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyHeaderError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the PROXY header is too large")]
    TooLarge,
    #[error("not a PROXY header: {0}")]
    Malformed(#[from] Malformed),
    #[error("a PROXY header is believed from trusted_proxies only")]
    Untrusted,
}

/// Why bytes are no PROXY header.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("its line has no end")]
    NoEnd,
    #[error("a part of its line is missing")]
    PartMissing,
    #[error(transparent)]
    Line(#[from] v1::BinaryParseError),
    #[error(transparent)]
    Binary(#[from] v2::ParseError),
}

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Buffer(io::Error),
    #[error("not a TLS client hello: {0}")]
    NotHello(#[source] rustls::Error),
    #[error("the client's hello is too large")]
    TooLarge,
    #[error("no certificate for {0:?}")]
    NoCertificate(Option<String>),
    #[error(transparent)]
    Handshake(#[from] BError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_said_nothing_is_silent() {
        let silent = [
            ProxyHeaderError::from(ReadError::Silent).into(),
            Refused::from(TlsError::from(ReadError::Silent)),
        ];
        assert!(silent.iter().all(Refused::is_silent));
        let cut = Refused::from(TlsError::from(ReadError::Cut("it said hello")));
        assert!(!cut.is_silent());
        assert_eq!(
            (cut.cause(), cut.to_string()),
            ("tls", "the client went away before it said hello".into())
        );
    }
}
