//! TLS listeners: the client's server name selects the tenant, and only that tenant is served over the connection.

use hyper_util::rt::TokioIo;
use mte_client::RelayClient;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::{Authority, Relay, Setup, Upstream, run};

/// A relay with two tenants that have a certificate each, of which `bank.test` requires client certificates, and a third
/// without TLS.
struct TlsTenants {
    relay: Relay,
    authority: Authority,
    _files: tempfile::TempDir,
}

impl TlsTenants {
    async fn new() -> Self {
        let upstream = Upstream::standard().await;
        let authority = Authority::new();
        let files = tempfile::tempdir().unwrap();
        let ca = files.path().join("ca.crt");
        std::fs::write(&ca, authority.pem()).unwrap();
        let mut setup = Setup::default();
        for (host, more) in
            [("shop.test", String::new()), ("bank.test", format!(", client_ca_file: {}", ca.display()))]
        {
            let tls = authority.settings(files.path(), host, &more);
            setup = setup.tenant(host, &upstream.url(), &format!("pass_through_routes: [/plain]\n{tls}"));
        }
        setup = setup.tenant("open.test", &upstream.url(), "");
        // The upstream lives as long as the runtime.
        std::mem::forget(upstream);
        Self { relay: setup.start().await, authority, _files: files }
    }

    fn client(&self, host: &str, http2: bool) -> RelayClient {
        RelayClient::builder(format!("https://{host}"))
            .connect_to(self.relay.tls.unwrap())
            .root_certificates(vec![self.authority.root()])
            .http2(http2)
            .pairs(1)
            .build()
            .unwrap()
    }

    /// A connection that requests `name`, with or without a client certificate.
    async fn connect(
        &self,
        name: &str,
        certificate: bool,
        http2: bool,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.relay.tls.unwrap()).await?;
        self.authority.handshake(stream, name, certificate, http2).await
    }

    /// The status of `GET /plain` for `host` over such a connection; an error if the connection is refused.
    async fn status(&self, name: &str, host: &str, certificate: bool) -> Result<u16, String> {
        let stream = self.connect(name, certificate, false).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        let request = http::Request::get("/plain").header("host", host).body(String::new()).unwrap();
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        Ok(response.status().as_u16())
    }
}

#[test]
fn encrypted_requests_work_over_http1_and_http2_with_bodies_of_every_kind() {
    run(async {
        let tenants = TlsTenants::new().await;
        for http2 in [false, true] {
            let client = tenants.client("shop.test", http2);
            for size in [0, 1, 10_000, 65_536, 1_000_000] {
                let body = vec![b'x'; size];
                let response = client.post("/", body).await.unwrap();
                let text = response.into_body().text(1_000).await.unwrap();
                assert_eq!(text, format!("POST / {size}"), "http2: {http2}");
            }
        }
        tenants.relay.settled().await;
    });
}

#[test]
fn the_handshake_is_post_quantum_if_the_client_supports_it() {
    run(async {
        let tenants = TlsTenants::new().await;
        let stream = tenants.connect("shop.test", false, true).await.unwrap();
        let (_, connection) = stream.get_ref();
        let group = connection.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
        assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
    });
}

#[test]
fn a_connection_serves_the_tenant_of_its_server_name_and_no_other() {
    run(async {
        let tenants = TlsTenants::new().await;
        assert_eq!(tenants.status("shop.test", "shop.test", false).await, Ok(200));
        assert_eq!(tenants.status("shop.test", "bank.test", false).await, Ok(421));
        assert_eq!(tenants.status("shop.test", "open.test", false).await, Ok(421));
        assert!(tenants.status("open.test", "open.test", false).await.is_err(), "it has no certificate");
        assert!(tenants.status("unknown.test", "shop.test", false).await.is_err());
    });
}

#[test]
fn a_tenant_that_requires_client_certificates_is_not_served_without_one() {
    run(async {
        let tenants = TlsTenants::new().await;
        assert!(tenants.status("bank.test", "bank.test", false).await.is_err());
        assert_eq!(tenants.status("bank.test", "bank.test", true).await, Ok(200));
        let plain = tenants.relay.ask("GET /plain HTTP/1.1\r\nhost: bank.test\r\n\r\n").await;
        assert_eq!(plain.status(), 421);
        let plain = tenants.relay.ask("GET /plain HTTP/1.1\r\nhost: shop.test\r\n\r\n").await;
        assert_eq!(plain.status(), 200);
    });
}

#[test]
fn anything_but_tls_ends_the_connection_and_the_next_one_is_served() {
    run(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let tenants = TlsTenants::new().await;
        let mut stream = TcpStream::connect(tenants.relay.tls.unwrap()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        // Closed or reset: in either case there is no HTTP response.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP"));
        assert_eq!(tenants.status("shop.test", "shop.test", false).await, Ok(200));
    });
}
