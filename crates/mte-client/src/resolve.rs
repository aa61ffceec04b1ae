//! Which addresses a client connects to.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    time::Duration,
};

use tokio::net::TcpStream;

use crate::BoxError;

/// The result of [`Resolve::resolve`].
pub type Resolving = Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, BoxError>> + Send>>;

/// Resolves the relay's host, and decides which of its addresses may be connected to.
///
/// A client that is told by others where to connect needs this (server-side request forgery): a name is resolved once for
/// each connection, and the addresses that were checked are the ones that are dialled, so an answer of the name service
/// that changes in between has no effect. Names stay as they are in TLS and in `Host`.
///
/// ```
/// # use std::{net::SocketAddr, sync::Arc};
/// use mte_client::{RelayClient, Resolve, Resolving};
///
/// /// Connects to addresses of the system's resolver, but not to loopback ones.
/// struct NotToItself;
///
/// impl Resolve for NotToItself {
///     fn resolve(&self, host: &str, port: u16) -> Resolving {
///         let host = host.to_owned();
///         Box::pin(async move {
///             let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
///             match found.iter().any(|address| address.ip().to_canonical().is_loopback()) {
///                 true => Err("it is this machine".into()),
///                 false => Ok(found),
///             }
///         })
///     }
/// }
///
/// let client = RelayClient::builder("https://relay.example").resolver(Arc::new(NotToItself)).build();
/// # client.unwrap();
/// ```
pub trait Resolve: Send + Sync {
    /// The addresses to try, in this order. Called for every new connection; `host` is a name, or an address without
    /// brackets. Nothing else is connected to.
    ///
    /// An error ends the attempt. Callers find it among the sources of [`Error::Connect`](crate::Error::Connect).
    fn resolve(&self, host: &str, port: u16) -> Resolving;
}

/// Connects to the first address that answers. Each has an equal part of the time limit, so that a silent one does not keep
/// the others from being tried.
pub(crate) async fn connect_first(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let part = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let connected = tokio::time::timeout(part, TcpStream::connect(address)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failed = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(failed)
}

/// A host without the brackets of an IPv6 address.
pub(crate) fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.filter(|inner| inner.parse::<IpAddr>().is_ok()).unwrap_or(host)
}
