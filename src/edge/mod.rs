//! The edge: what happens to a connection before HTTP begins.
//!
//! If the listener requires a PROXY header, it is read. On a TLS listener, the client's first message is read without
//! being consumed, the tenant that it names is looked up, and the handshake uses that tenant's configuration. The tenant is
//! stored with the connection; the gateway refuses requests for any other.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `proxy_protocol` | the PROXY header |
//! | `hello` | the server name in a TLS client hello |
//! | `request_line` | spaces in request lines that Pingora would escape |
//! | `connections` | the limits on connections |
//! | `verified_id` | the client id that verified last |
//! | `refused` | why a connection fails before its first request |
//! | `watch`, `frames` | deadlines for request heads, and Pingora's own refusals |

mod connections;
mod frames;
mod hello;
mod proxy_protocol;
mod refused;
mod request_line;
mod verified_id;
mod watch;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::HeaderValue;
use pingora_core::{
    apps::ServerApp,
    protocols::{
        GetSocketDigest, SocketDigest, Stream, UniqueID, l4::socket, l4::stream::Stream as TcpStream,
        raw_connect::ProxyDigest,
    },
    server::ShutdownWatch,
};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::io::AsyncReadExt;

pub use self::connections::{Connections, TooManyRequests};
use self::{
    connections::{Full, Slot},
    refused::{Part, ProxyHeaderError, ReadError, Refused, TlsError},
    verified_id::VerifiedId,
    watch::{Head, Limits, Report, Watched},
};
use crate::{
    config::{Config, Listener},
    domains::{Tenant, TenantId},
    lifecycle::LINGER,
    rate::Network,
    telemetry::Metrics,
};

/// What is known about a connection before its first request.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The result of its TLS handshake, if there was one.
    pub made_for: Option<MadeFor>,
    /// The remote address (from the PROXY header, if there was one), also as a header value.
    pub client: Option<(IpAddr, HeaderValue)>,
    /// The client network that its requests count for; `None` for a trusted proxy, which has many clients.
    pub network: Option<Network>,
    /// The state of its request heads.
    pub head: Arc<Head>,
    /// The client id that verified last.
    pub verified_id: Arc<VerifiedId>,
}

/// The result of a TLS handshake.
#[derive(Debug, Clone, Copy)]
pub struct MadeFor {
    /// The tenant whose configuration was used.
    pub tenant: TenantId,
    /// Whether the client had to show a certificate.
    pub certified: bool,
}

/// The connection that a request came over.
pub fn connection(session: &Session) -> Option<&Connection> {
    let digest = session.as_downstream().digest()?.proxy_digest.as_ref()?;
    digest.user_data.as_ref()?.downcast_ref()
}

/// Reads more bytes; `seen` are the ones before, and `awaited` describes what is missing if the connection ends here.
async fn more(
    stream: &mut TcpStream,
    part: &mut [u8],
    seen: &[u8],
    awaited: &'static str,
) -> Result<usize, ReadError> {
    match stream.read(part).await {
        // Port scanners often close with RST.
        Ok(0) | Err(_) if seen.is_empty() => Err(ReadError::Silent),
        Ok(0) => Err(ReadError::Cut(awaited)),
        Ok(read) => Ok(read),
        Err(error) => Err(error.into()),
    }
}

/// The application behind every listener: PROXY header and TLS if the listener uses them, then the gateway.
pub struct Edge<G> {
    gateway: Arc<G>,
    parts: Parts,
}

/// What the edge depends on.
pub struct Parts {
    /// The configuration in use.
    pub config: Arc<ArcSwap<Config>>,
    /// Where the relay listens.
    pub listeners: Vec<Listener>,
    /// Limits connections.
    pub connections: Arc<Connections>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

impl<G> Edge<G> {
    /// An edge in front of this gateway.
    pub fn new(gateway: G, parts: Parts) -> Self {
        Self { gateway: Arc::new(gateway), parts }
    }

    /// The listener that accepted a connection. One on all addresses of a family is found by its port.
    fn listener(&self, local: Option<SocketAddr>) -> Option<Listener> {
        let local = local?;
        let mut listeners = self.parts.listeners.iter().copied();
        listeners.clone().find(|listener| listener.address == local).or_else(|| {
            let any = |address: SocketAddr| {
                address.port() == local.port()
                    && address.is_ipv4() == local.is_ipv4()
                    && address.ip().is_unspecified()
            };
            listeners.find(|listener| any(listener.address))
        })
    }

    /// Everything before HTTP. The caller boxes it, so that the request's future does not contain it.
    async fn admit(&self, mut tcp: TcpStream) -> Option<Stream> {
        let config = self.parts.config.load_full();
        let digest = tcp.get_socket_digest();
        let inet =
            |address: Option<&socket::SocketAddr>| address.and_then(|address| address.as_inet().copied());
        let local = digest.as_ref().and_then(|digest| inet(digest.local_addr()));
        let mut client = digest.as_ref().and_then(|digest| inet(digest.peer_addr()));
        let listener = self.listener(local)?;
        let Some(mut slot) = self.parts.connections.open(&config.limits) else {
            self.refuse(Full::All, client);
            return None;
        };
        if !listener.proxy_protocol && !enter(&mut slot, client, &config) {
            self.refuse(Full::Network, client);
            return None;
        }
        let limit = config.timeouts.headers;
        let mut socket_digest = None;
        let mut made_for = None;
        let mut part = if listener.proxy_protocol { Part::ProxyHeader } else { Part::Tls };

        let before_http = async {
            if listener.proxy_protocol {
                let named = believed(&mut tcp, client, &config).await?;
                if let Some((source, destination)) = named {
                    client = Some(source);
                    socket_digest = Some(Arc::new(named_digest(&tcp, source, destination)));
                }
                if !enter(&mut slot, client, &config) {
                    return Err(Refused::NetworkFull);
                }
            }
            part = Part::Tls;
            let stream: Stream = if listener.tls {
                let made = self.handshake(tcp, &config).await.map_err(Refused::from);
                let result = if made.is_ok() { "ok" } else { "failed" };
                if !made.as_ref().is_err_and(Refused::is_silent) {
                    self.parts.metrics.handshakes.with_label_values(&[result]).inc();
                }
                let (stream, what) = made?;
                made_for = Some(what);
                stream
            } else {
                Box::new(tcp)
            };
            Ok::<_, Refused>(stream)
        };
        let outcome = tokio::time::timeout(limit, before_http).await;
        let report = Report { metrics: self.parts.metrics.clone(), client };
        let stream = match outcome.unwrap_or(Err(Refused::Late { part, limit })) {
            Ok(stream) => stream,
            Err(Refused::NetworkFull) => {
                self.refuse(Full::Network, client);
                return None;
            }
            Err(why) if why.is_silent() => return None,
            Err(why) => {
                report.refused(why.cause(), &why.to_string());
                return None;
            }
        };
        let limits = Limits::new(&config);
        let head = Arc::new(Head::default());
        // Pingora carries the connection's data in the digest of a CONNECT proxy, which is otherwise unused.
        let response = ResponseHeader::build_no_case(200, None).ok()?;
        let network = counted_network(client, &config);
        let client = client.and_then(|client| {
            let ip = client.ip();
            Some((ip, HeaderValue::from_str(&ip.to_string()).ok()?))
        });
        let known = Connection { made_for, client, network, head: head.clone(), verified_id: Arc::default() };
        let proxy_digest = ProxyDigest::new(Box::new(response), Some(Box::new(known)));
        Some(Box::new(Watched::new(stream, head, proxy_digest, socket_digest, limits, report, slot)))
    }

    /// Counts a connection above the limit, and logs it at a limited rate.
    fn refuse(&self, full: Full, client: Option<SocketAddr>) {
        self.parts.metrics.malformed.with_label_values(&[full.cause()]).inc();
        let Some(more) = self.parts.connections.log_refusal() else { return };
        let client = client.map(|client| client.to_string());
        log::warn!(
            client = client.as_deref(), cause = full.cause();
            "connection refused: there are as many as {} allows; {more} more were refused since the last such line",
            full.setting()
        );
    }

    async fn handshake(&self, mut tcp: TcpStream, config: &Config) -> Result<(Stream, MadeFor), TlsError> {
        let name = hello::server_name(&mut tcp).await?;
        let tenant = match &name {
            Some(name) => config.domains.find(name),
            None => config.domains.default_tenant(),
        };
        let (tenant, tls) = tenant
            .and_then(|tenant: &Arc<Tenant>| Some((tenant, tenant.tls.as_ref()?)))
            .ok_or(TlsError::NoCertificate(name))?;
        let stream = tls.acceptor.tls_handshake(tcp).await?;
        Ok((Box::new(stream), MadeFor { tenant: tenant.id, certified: tls.client_certificates }))
    }
}

/// The network that a client is counted for; a trusted proxy is counted for none.
fn counted_network(client: Option<SocketAddr>, config: &Config) -> Option<Network> {
    let ip = client?.ip().to_canonical();
    let trusted = config.trusted_proxies.trusts(ip);
    (!trusted).then(|| ip.into())
}

/// Counts a connection for its client's network; `false` if the network's limit is reached.
fn enter(slot: &mut Slot, client: Option<SocketAddr>, config: &Config) -> bool {
    counted_network(client, config).is_none_or(|network| slot.enter(network, &config.limits))
}

/// Reads the PROXY header, if the peer is trusted to send one.
async fn believed(
    tcp: &mut TcpStream,
    other_end: Option<SocketAddr>,
    config: &Config,
) -> Result<proxy_protocol::Addresses, ProxyHeaderError> {
    // Read before the peer is checked: a load balancer that only checks whether the port is open is not refused.
    let named = proxy_protocol::read(tcp).await?;
    if !other_end.is_some_and(|address| config.trusted_proxies.trusts(address.ip())) {
        return Err(ProxyHeaderError::Untrusted);
    }
    Ok(named)
}

/// The socket's digest with the addresses that a PROXY header names.
fn named_digest(tcp: &TcpStream, source: SocketAddr, destination: SocketAddr) -> SocketDigest {
    let digest = SocketDigest::from_raw_fd(tcp.id());
    // The cells are empty: the addresses have not been requested yet.
    let _ = digest.peer_addr.set(Some(socket::SocketAddr::Inet(source)));
    let _ = digest.local_addr.set(Some(socket::SocketAddr::Inet(destination)));
    digest
}

#[async_trait]
impl<G: ServerApp + Send + Sync + 'static> ServerApp for Edge<G> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let tcp = stream.into_any().downcast::<TcpStream>().ok()?;
        let stream = Box::pin(self.admit(*tcp)).await?;
        self.gateway.process_new(stream, shutdown).await
    }

    /// The listeners are closed. Requests that arrive on their connections within a short time are answered; silent ones
    /// are closed afterwards.
    async fn cleanup(&self) {
        let end = tokio::time::Instant::now() + LINGER;
        while self.parts.metrics.connections.get() > 0 && tokio::time::Instant::now() < end {
            tokio::time::sleep(LINGER / 50).await;
        }
        self.gateway.cleanup().await;
    }
}
