//! Pairing (docs/protocol.md, section 2): a client id for each connection, then pairing requests without a pause. The relay
//! keeps a client's newest pairs.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::StatusCode;
use mte_client::{KemId, wire::Offer};
use mte_protocol::{
    control_client_id,
    names::{ROUTE_HELLO, ROUTE_PAIR, X_MTE_RELAY},
};

use super::client::Client;
use crate::{Result, scenario::PAIRS};

pub(super) struct Pairing {
    relay: SocketAddr,
    client_id: String,
}

impl Pairing {
    pub(super) async fn new(relay: SocketAddr) -> Result<Self> {
        let client_id = hello(&mut Client::connect(relay).await?, relay).await?;
        Ok(Self { relay, client_id })
    }

    pub(super) async fn once(&mut self, client: &mut Client) -> Result<Duration> {
        let offer = Offer::new(PAIRS, KemId::MlKem768);
        let body = offer.to_json();
        let begun = Instant::now();
        let answer = pair(client, self.relay, &self.client_id, &body).await?;
        let latency = begun.elapsed();
        let pairs = offer.accept(&self.client_id, &answer)?;
        if pairs.len() == PAIRS { Ok(latency) } else { Err("the relay did not make every pair".into()) }
    }
}

/// Requests a client id.
pub(super) async fn hello(client: &mut Client, relay: SocketAddr) -> Result<String> {
    let request = format!("GET {ROUTE_HELLO} HTTP/1.1\r\nhost: {relay}\r\n\r\n");
    client.send(request.as_bytes(), &[]).await?;
    let head = client.head().await?;
    let body = client.whole_body(&head).await?;
    if head.status != StatusCode::OK {
        return Err(head.refused(&body));
    }
    let value = head.headers.get(X_MTE_RELAY).ok_or("the relay gave no client id")?;
    let id = control_client_id(value.to_str()?).ok_or("the relay gave an empty client id")?;
    Ok(id.to_owned())
}

/// Sends an offer; returns the relay's response.
pub(super) async fn pair(
    client: &mut Client,
    relay: SocketAddr,
    client_id: &str,
    offer: &[u8],
) -> Result<Vec<u8>> {
    let request = format!(
        "POST {ROUTE_PAIR} HTTP/1.1\r\nhost: {relay}\r\n{X_MTE_RELAY}: {client_id}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        offer.len()
    );
    client.send(request.as_bytes(), offer).await?;
    let head = client.head().await?;
    let body = client.whole_body(&head).await?;
    if head.status == StatusCode::OK { Ok(body) } else { Err(head.refused(&body)) }
}
