//! The front door: what happens to a connection before HTTP begins.
//!
//! On a TLS listener the client's first message is read without being taken, the tenant it asks for is looked
//! up, and the handshake is made under that tenant's configuration. The tenant is remembered with the
//! connection; the gateway refuses requests for any other.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora_core::{
    apps::ServerApp,
    protocols::{
        GetProxyDigest, GetSocketDigest, Stream, l4::stream::Stream as TcpStream, raw_connect::ProxyDigest,
    },
    server::ShutdownWatch,
};
use pingora_http::ResponseHeader;
use pingora_proxy::{HttpProxy, Session};
use rustls::server::Acceptor as ClientHelloReader;
use tokio::io::AsyncReadExt;

use crate::{
    domains::{Tenant, TenantId},
    gateway::Gateway,
    relay::Shared,
};

/// A client's first message is never larger in earnest.
const MOST_HELLO: usize = 16 << 10;

/// What is known of a TLS connection before its first request.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// The tenant under whose configuration the handshake was made.
    pub tenant: TenantId,
}

/// The TLS connection that a request came over; `None` on a plain one.
pub fn connection(session: &Session) -> Option<Connection> {
    let digest = session.as_downstream().digest()?.proxy_digest.as_ref()?;
    digest.user_data.as_ref()?.downcast_ref().copied()
}

/// The application behind every listener: TLS where the listener wants it, then the gateway.
pub struct Edge {
    gateway: Arc<HttpProxy<Gateway>>,
    shared: Arc<Shared>,
    tls: HashSet<SocketAddr>,
}

impl Edge {
    /// A front door; `tls` holds the addresses of the TLS listeners.
    pub fn new(gateway: HttpProxy<Gateway>, shared: Arc<Shared>, tls: HashSet<SocketAddr>) -> Self {
        Self { gateway: Arc::new(gateway), shared, tls }
    }

    /// Whether a connection came to a TLS listener.
    fn wants_tls(&self, stream: &TcpStream) -> bool {
        let digest = stream.get_socket_digest();
        let local = digest.as_ref().and_then(|digest| digest.local_addr()?.as_inet().copied());
        let Some(local) = local else { return false };
        // A listener on every address is known by its port.
        self.tls.contains(&local)
            || self
                .tls
                .iter()
                .any(|listener| listener.port() == local.port() && listener.ip().is_unspecified())
    }

    async fn handshake(&self, mut stream: TcpStream) -> Result<Stream, String> {
        let name = server_name(&mut stream).await?;
        let config = self.shared.config.load();
        let tenant = config.domains.find(name.as_deref().unwrap_or_default());
        let (tenant, tls) = tenant
            .and_then(|tenant: &Arc<Tenant>| Some((tenant, tenant.tls.as_ref()?)))
            .ok_or_else(|| format!("no certificate for {name:?}"))?;
        let head = ResponseHeader::build_no_case(200, None).map_err(|error| error.to_string())?;
        let connection = Connection { tenant: tenant.id };
        stream.set_proxy_digest(ProxyDigest::new(Box::new(head), Some(Box::new(connection))));
        let stream = tls.acceptor.tls_handshake(stream).await.map_err(|error| error.to_string())?;
        Ok(Box::new(stream))
    }
}

/// The name in the client's first message, which stays unread.
async fn server_name(stream: &mut TcpStream) -> Result<Option<String>, String> {
    let mut seen = Vec::new();
    let mut reader = ClientHelloReader::default();
    loop {
        let mut part = [0; 2_048];
        let read = stream.read(&mut part).await.map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("the client went away before it said hello".into());
        }
        seen.extend_from_slice(&part[..read]);
        let mut rest = &part[..read];
        while !rest.is_empty() {
            reader.read_tls(&mut rest).map_err(|error| error.to_string())?;
            match reader.accept() {
                Ok(Some(hello)) => {
                    let name = hello.client_hello().server_name().map(str::to_owned);
                    stream.rewind(&seen);
                    return Ok(name);
                }
                Ok(None) => {}
                Err((error, _)) => return Err(format!("not a TLS client hello: {error}")),
            }
        }
        if seen.len() > MOST_HELLO {
            return Err("the client's hello is too large".into());
        }
    }
}

#[async_trait]
impl ServerApp for Edge {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        // A connection that is kept alive comes by again for every request; its handshake is behind it. What a
        // handshake needs is boxed, so that requests do not carry it about.
        let stream = if stream.as_any().is::<TcpStream>() {
            let tcp = stream.into_any().downcast::<TcpStream>().ok()?;
            if self.wants_tls(&tcp) {
                let limit: Duration = self.shared.config.load().timeouts.headers;
                let peer = tcp.get_socket_digest();
                match tokio::time::timeout(limit, Box::pin(self.handshake(*tcp))).await {
                    Ok(Ok(stream)) => stream,
                    failed => {
                        let why = match failed {
                            Ok(Err(why)) => why,
                            _ => format!("no handshake within {limit:?}"),
                        };
                        let peer =
                            peer.as_ref().and_then(|digest| digest.peer_addr()).map(ToString::to_string);
                        log::info!(client = peer.as_deref(); "TLS handshake failed: {why}");
                        return None;
                    }
                }
            } else {
                tcp
            }
        } else {
            stream
        };
        self.gateway.process_new(stream, shutdown).await
    }
}
