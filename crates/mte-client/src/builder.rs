//! Settings of a client.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Uri, header::HeaderName, uri::Authority};
use mte_codec::{EncodeType, KemId};
use mte_protocol::{hop, response_fields::stays_clear, valid_opaque};
use rustls::pki_types::CertificateDer;

use crate::{
    Error, Observer, RelayClient, Resolve,
    client::{Inner, Relay, Rules},
    connect::{self, Connector, Plan},
    wire::{EncodeHeaders, Options, ResponseHeaders},
};

/// Which requests may be sent a second time after the relay asked for a new pairing (docs/protocol.md, section 5).
///
/// A relay asks only before it contacts its upstream. But its answer is not authenticated: an attacker on the way can replace
/// the real answer by such an error after the request was executed, and so have it executed twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Resend {
    /// Any request.
    Always,
    /// Only requests whose method is idempotent: GET, HEAD, OPTIONS, PUT, DELETE.
    #[default]
    Idempotent,
    /// None.
    Never,
}

/// Builds a [`RelayClient`].
#[must_use]
pub struct Builder {
    relay_url: String,
    options: Options,
    pairs: usize,
    kem: KemId,
    resend: Resend,
    host: Option<String>,
    connect_to: Option<SocketAddr>,
    resolver: Option<Arc<dyn Resolve>>,
    roots: Vec<CertificateDer<'static>>,
    timeout: Duration,
    observer: Option<Arc<dyn Observer>>,
    http2: bool,
    client_id: Option<String>,
}

impl Builder {
    pub(crate) fn new(relay_url: String) -> Self {
        Self {
            relay_url,
            options: Options::default(),
            pairs: 5,
            kem: KemId::MlKem768,
            resend: Resend::default(),
            host: None,
            connect_to: None,
            resolver: None,
            roots: Vec::new(),
            timeout: Duration::from_secs(10),
            observer: None,
            http2: true,
            client_id: None,
        }
    }

    /// The encode type, MKE by default. With MTE, for short and highly sensitive data, bodies are held whole.
    pub fn encode_type(mut self, encode_type: EncodeType) -> Self {
        self.options.encode_type = encode_type;
        self
    }

    /// Whether path and query are sealed; they are by default.
    pub fn encode_url(mut self, encode: bool) -> Self {
        self.options.encode_url = encode;
        self
    }

    /// Which request headers are sealed; all are by default. See [`EncodeHeaders`] for what can stay in the clear.
    pub fn encode_headers(mut self, headers: EncodeHeaders) -> Self {
        self.options.encode_headers = headers;
        self
    }

    /// Which response headers come back sealed; by default all but those that browsers and proxies act on. Of what is
    /// sealed, a header in the clear never counts.
    pub fn response_headers(mut self, wanted: ResponseHeaders) -> Self {
        self.options.response_headers = wanted;
        self
    }

    /// The most plaintext bytes of a body of type MTE, sent or received; 1 MiB by default. Relays have a limit of
    /// their own.
    pub fn max_mte_body(mut self, bytes: usize) -> Self {
        self.options.max_mte_body = bytes;
        self
    }

    /// How many pairs are made at a time and used in turn, 1 to 100; 5 by default.
    pub fn pairs(mut self, pairs: usize) -> Self {
        self.pairs = pairs;
        self
    }

    /// The key encapsulation of pairings, ML-KEM-768 by default.
    pub fn kem(mut self, kem: KemId) -> Self {
        self.kem = kem;
        self
    }

    /// Which requests may be sent a second time; those of idempotent methods by default.
    pub fn resend(mut self, resend: Resend) -> Self {
        self.resend = resend;
        self
    }

    /// Addresses the relay by another name, `tenant.example` or `tenant.example:8443`: in `Host`, in TLS, and in what
    /// binds a request to its authority. The connection still goes where the relay's URL says.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Connects to this address, whatever the relay's URL says. Names stay as they are.
    pub fn connect_to(mut self, address: SocketAddr) -> Self {
        self.connect_to = Some(address);
        self
    }

    /// Resolves the relay's host, and decides which addresses may be connected to; without it, the system does. It is asked
    /// about addresses too, those of the URL and of [`connect_to`](Self::connect_to).
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Trusts these certificates instead of the public roots.
    pub fn root_certificates(mut self, roots: Vec<CertificateDer<'static>>) -> Self {
        self.roots = roots;
        self
    }

    /// The time limit for connecting; 10 seconds by default. A pairing, connecting included, may take twice that. Requests
    /// have no limit: wrap them in one where you need it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// An observer of the client's exchanges.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Whether to offer HTTP/2 over TLS; it is offered by default. Without TLS it is always HTTP/1.1.
    pub fn http2(mut self, http2: bool) -> Self {
        self.http2 = http2;
        self
    }

    /// Continues with an earlier signed client id, instead of asking for a new one.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// Makes the client. Nothing is connected yet; pairing happens with the first request.
    ///
    /// # Errors
    /// [`Error::Setting`], which names the setting and what is wrong with it.
    pub fn build(self) -> Result<RelayClient, Error> {
        let (relay, dial) = self.relay()?;
        if !(1..=100).contains(&self.pairs) {
            return Err(Error::Setting(format!("{} pairs: choose 1 to 100", self.pairs)));
        }
        if let Some(id) = &self.client_id
            && (!valid_opaque(id) || id == "null")
        {
            return Err(Error::Setting("the client id must be visible ASCII without a comma".into()));
        }
        check_options(&self.options)?;
        let connector = Connector::new(Plan {
            dial,
            resolver: self.resolver,
            roots: self.roots,
            http2: self.http2,
            timeout: self.timeout,
        })?;
        let rules = Rules { pairs: self.pairs, kem: self.kem, resend: self.resend, timeout: self.timeout };
        let inner = Inner::new(relay, rules, connector, self.observer, self.client_id);
        Ok(RelayClient::new(inner, self.options))
    }

    /// The relay as requests name it, and the URL to dial.
    fn relay(&self) -> Result<(Relay, Uri), Error> {
        let refused = |reason: &str| Error::Setting(format!("relay URL {:?}: {reason}", self.relay_url));
        let url: Uri = self.relay_url.parse().map_err(|_| refused("not a URL"))?;
        let https = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refused("it must begin with https:// or http://")),
        };
        let own = url.authority().ok_or_else(|| refused("it has no host"))?;
        if own.as_str().contains('@') {
            return Err(refused("user and password do not belong there"));
        }
        if url.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(refused("leave out the path: it belongs to the requests"));
        }
        let dial = match self.connect_to {
            Some(address) => connect::dial_address(address),
            None => {
                format!("http://{}:{}", own.host(), own.port_u16().unwrap_or(if https { 443 } else { 80 }))
            }
        };
        let dial = dial.parse().map_err(|_| refused("its host cannot be connected to"))?;
        let authority = match &self.host {
            None => own.clone(),
            Some(host) => host
                .parse()
                .ok()
                .filter(|_| !host.contains('@'))
                .ok_or_else(|| Error::Setting(format!("host {host:?} is not a host name")))?,
        };
        let relay = Relay { https, authority: normal(&authority, https), url_authority: normal(own, https) };
        Ok((relay, dial))
    }
}

/// Refuses options that no request could follow.
pub(crate) fn check_options(options: &Options) -> Result<(), Error> {
    if let EncodeHeaders::Only(names) = &options.encode_headers
        && let Some(name) = names.iter().find(|name| never_sealed(name))
    {
        return Err(Error::Setting(format!("header {name} belongs to the connection: it cannot be sealed")));
    }
    if let ResponseHeaders::Only(names) = &options.response_headers
        && let Some(name) = names.iter().map(HeaderName::as_str).find(|name| never_comes_sealed(name))
    {
        return Err(Error::Setting(format!(
            "response header {name} stays in the clear, since browsers or proxies act on it"
        )));
    }
    Ok(())
}

/// An authority as it is bound: lower-case host, default port left out (docs/protocol.md, section 3).
pub(crate) fn normal(authority: &Authority, https: bool) -> String {
    let host = authority.host().to_ascii_lowercase();
    match authority.port_u16() {
        Some(port) if port != if https { 443 } else { 80 } => format!("{host}:{port}"),
        _ => host,
    }
}

fn never_comes_sealed(name: &str) -> bool {
    stays_clear(name) || hop::is_hop_by_hop(name)
}

fn never_sealed(name: &HeaderName) -> bool {
    hop::never_forwarded(name.as_str())
}
