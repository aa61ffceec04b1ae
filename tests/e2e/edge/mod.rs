//! The edge, before a request: deadlines, PROXY headers, trusted proxies, and rates.

mod deadlines;
mod proxy_protocol;
mod quiet;
mod trust;

use std::net::SocketAddr;

use tempfile::TempDir;
use tokio::{io::AsyncRead, io::AsyncReadExt, net::TcpStream};
use tokio_rustls::client::TlsStream;

use crate::harness::{Authority, HOST, Relay, Setup, Upstream};

/// A relay with a plain and a TLS listener.
struct EdgeRelay {
    relay: Relay,
    upstream: Upstream,
    authority: Authority,
    _files: TempDir,
}

impl EdgeRelay {
    async fn new(setup: Setup) -> Self {
        let upstream = Upstream::standard().await;
        let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
        let tls = authority.settings(files.path(), HOST, "");
        let lines = format!("pass_through_routes: ['/open', '/open/*']\n{tls}");
        let relay = setup.tenant(HOST, &upstream.url(), &lines).start().await;
        Self { relay, upstream, authority, _files: files }
    }

    fn tls_address(&self) -> SocketAddr {
        self.relay.tls.unwrap()
    }

    async fn tls(&self, http2: bool) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.tls_address()).await.unwrap();
        self.authority.handshake(stream, HOST, false, http2).await.unwrap()
    }

    /// How many connections were refused before there was a request, for this reason.
    fn malformed(&self, cause: &str) -> u64 {
        self.relay.shared.metrics.malformed.with_label_values(&[cause]).get()
    }

    /// The same for any reason.
    fn all_malformed(&self) -> f64 {
        let text = self.relay.shared.metrics.text();
        let lines = text.lines().filter(|line| line.starts_with("mte_relay_malformed_total"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// The bytes received until the connection ends, orderly or not.
async fn rest(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    rest
}
