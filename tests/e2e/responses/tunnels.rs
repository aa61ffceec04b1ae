//! Connections that were upgraded to WebSockets.

use crate::harness::{HOST, Setup, Upstream, Wire, run};

const UPGRADE: &str = "upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
     sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Opens a tunnel over a relay whose upstream switches protocols, sends `hello` and then runs `then`; returns the remaining
/// bytes.
async fn tunnel<F, R>(then: F) -> Vec<u8>
where
    F: Fn(Wire) -> R + Send + Clone + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let upstream = Upstream::raw(move |mut wire, _| {
        let then = then.clone();
        async move {
            if wire.head().await.is_ok() {
                wire.send(format!("{SWITCHING}hello")).await;
                then(wire).await;
            }
        }
    })
    .await;
    let setup = Setup::default().top("timeouts: {read: 1s, idle: 1s}").tenant(
        HOST,
        &upstream.url(),
        "pass_through_routes: ['/socket']",
    );
    let relay = setup.start().await;
    let mut wire = relay.wire().await;
    wire.send(format!("GET /socket HTTP/1.1\r\nhost: {HOST}\r\n{UPGRADE}\r\n")).await;
    let head = wire.head().await.unwrap();
    assert_eq!(head.status(), 101);
    let mut bytes = Vec::new();
    while let Some(part) = wire.some().await {
        bytes.extend(part);
    }
    relay.settled().await;
    bytes
}

#[test]
fn a_tunnel_whose_upstream_resets_it_ends_without_a_byte_of_the_relays() {
    run(async {
        let bytes = tunnel(|wire| async move {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            wire.reset();
        })
        .await;
        assert_eq!(String::from_utf8_lossy(&bytes), "hello");
    });
}

#[test]
fn a_tunnel_that_is_idle_too_long_ends_without_a_byte_of_the_relays() {
    run(async {
        let bytes = tunnel(|mut wire| async move { while wire.some().await.is_some() {} }).await;
        assert_eq!(String::from_utf8_lossy(&bytes), "hello");
    });
}

#[test]
fn a_tunnel_that_its_upstream_closes_ends_without_a_byte_of_the_relays() {
    run(async {
        let bytes = tunnel(|_| async {}).await;
        assert_eq!(String::from_utf8_lossy(&bytes), "hello");
    });
}
