//! Why a connection failed before its first request: the kinds, each with its label for the log and the metrics.

use std::{io, time::Duration};

use pingora_core::BError;
use ppp::{v1, v2};

use super::connections;

/// Why a connection failed before its first request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// Its client network has reached its limit.
    #[error("the client network has as many connections as limits.connections_per_network allows")]
    NetworkFull,
    /// There is no trusted PROXY header.
    #[error(transparent)]
    ProxyHeader(#[from] ProxyHeaderError),
    /// There is no TLS connection.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A part was not complete in time.
    #[error("not complete within {limit:?}")]
    Late {
        /// The part.
        part: Part,
        /// The limit.
        limit: Duration,
    },
}

/// A part of a connection before HTTP.
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
    /// The reason as a label.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::NetworkFull => connections::Full::Network.cause(),
            Self::ProxyHeader(_) => Part::ProxyHeader.cause(),
            Self::Tls(_) => Part::Tls.cause(),
            Self::Late { part, .. } => part.cause(),
        }
    }

    /// Whether the client disconnected without sending anything. Load balancers do that to check whether a port is open, so it
    /// is not reported.
    pub(super) fn is_silent(&self) -> bool {
        matches!(
            self,
            Self::ProxyHeader(ProxyHeaderError::Read(ReadError::Silent))
                | Self::Tls(TlsError::Read(ReadError::Silent))
        )
    }
}

/// Why no more bytes can be read before HTTP begins.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The connection ended without a byte.
    #[error("the client disconnected without sending anything")]
    Silent,
    /// It ended before something was complete.
    #[error("the client disconnected before {0}")]
    Cut(&'static str),
    /// An error of the operating system.
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
    #[error("PROXY headers are accepted only from trusted_proxies")]
    Untrusted,
}

/// Why bytes are not a PROXY header.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("its line does not end")]
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
    #[error("the client hello is too large")]
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
    fn only_a_client_that_sent_nothing_is_silent() {
        let silent = [
            ProxyHeaderError::from(ReadError::Silent).into(),
            Refused::from(TlsError::from(ReadError::Silent)),
        ];
        assert!(silent.iter().all(Refused::is_silent));
        let cut = Refused::from(TlsError::from(ReadError::Cut("its client hello was complete")));
        assert!(!cut.is_silent());
        assert_eq!(
            (cut.cause(), cut.to_string()),
            ("tls", "the client disconnected before its client hello was complete".into())
        );
    }
}
