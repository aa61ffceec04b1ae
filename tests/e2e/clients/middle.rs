//! An attacker between client and relay: passes requests on, and changes what comes back.

use std::{io, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::harness::{Message, Wire};

/// A proxy for HTTP/1.1 on a free port.
pub(super) struct Middle {
    pub address: SocketAddr,
    passed: Arc<Mutex<Vec<Message>>>,
}

impl Middle {
    /// Changes every response to an encrypted request.
    pub(super) async fn new<F>(relay: SocketAddr, change: F) -> Self
    where
        F: Fn(&mut Message) + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passed = Arc::new(Mutex::new(Vec::new()));
        let (change, seen) = (Arc::new(change), Arc::clone(&passed));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (change, seen) = (Arc::clone(&change), Arc::clone(&seen));
                tokio::spawn(async move {
                    // How a connection ends does not matter here.
                    let _ = pass(Wire::new(stream), relay, &*change, &seen).await;
                });
            }
        });
        Self { address, passed }
    }

    /// The responses to encrypted requests, as the relay sent them.
    pub(super) fn passed(&self) -> Vec<Message> {
        self.passed.lock().clone()
    }
}

async fn pass(
    mut client: Wire,
    relay: SocketAddr,
    change: &(impl Fn(&mut Message) + Sync),
    seen: &Mutex<Vec<Message>>,
) -> io::Result<()> {
    let mut server = Wire::connect(relay).await;
    loop {
        let request = client.request().await?;
        let framed = !request.body.is_empty();
        server.send(bytes(&request, framed)).await;
        let head = request.start.starts_with("HEAD ");
        let mut response = server.response(head).await?;
        if !request.start.contains(" /api/mte-") {
            seen.lock().push(response.clone());
            change(&mut response);
        }
        let bodiless = head || matches!(response.status(), 204 | 304);
        client.send(bytes(&response, !bodiless)).await;
    }
}

/// The message with a `content-length`, or unchanged if it has no body.
fn bytes(message: &Message, framed: bool) -> Vec<u8> {
    let mut head = format!("{}\r\n", message.start);
    for (name, value) in &message.headers {
        let framing = name.eq_ignore_ascii_case("transfer-encoding")
            || framed && name.eq_ignore_ascii_case("content-length");
        if !framing {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if framed {
        head.push_str(&format!("content-length: {}\r\n", message.body.len()));
    }
    [head.as_bytes(), b"\r\n", &message.body].concat()
}
