//! Requests with URL, headers and body sealed (docs/protocol.md, section 3); each connection has its own client id and
//! pair. Responses are opened and verified as they arrive.

use std::{
    io::Write,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mte_client::{KemId, wire};

use super::{
    Exchange,
    client::{Client, Comparison},
    pairing,
};
use crate::{Result, scenario::Method};

pub(super) struct Sealed {
    exchange: Exchange,
    authority: String,
    pair: Arc<wire::Pair>,
    options: wire::Options,
    /// The head of the current request.
    head: Vec<u8>,
}

impl Sealed {
    pub(super) async fn new(exchange: Exchange, relay: SocketAddr) -> Result<Self> {
        let mut client = Client::connect(relay).await?;
        let client_id = pairing::hello(&mut client, relay).await?;
        let offer = wire::Offer::new(1, KemId::MlKem768);
        let answer = pairing::pair(&mut client, relay, &client_id, &offer.to_json()).await?;
        let pair = offer.accept(&client_id, &answer)?.pop().ok_or("the relay made no pair")?;
        Ok(Self {
            exchange,
            authority: relay.to_string(),
            pair,
            options: wire::Options::default(),
            head: Vec::new(),
        })
    }

    fn seal(&mut self) -> Result<wire::SealedRequest> {
        let mut request =
            http::Request::builder().method(self.exchange.method.name()).uri(self.exchange.path.as_str());
        for (name, value) in Exchange::HEADERS {
            request = request.header(name, value);
        }
        if self.exchange.method == Method::Post {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(self.exchange.body.clone())?;
        let sealed = wire::seal(&self.pair, &self.options, &self.authority, request)?;

        self.head.clear();
        write!(self.head, "{} {} HTTP/1.1\r\nhost: {}\r\n", sealed.method, sealed.path, self.authority)?;
        for (name, value) in &sealed.headers {
            self.head.extend_from_slice(name.as_str().as_bytes());
            self.head.extend_from_slice(b": ");
            self.head.extend_from_slice(value.as_bytes());
            self.head.extend_from_slice(b"\r\n");
        }
        if !sealed.body.is_empty() {
            write!(self.head, "content-length: {}\r\n", sealed.body.len())?;
        }
        self.head.extend_from_slice(b"\r\n");
        Ok(sealed)
    }

    pub(super) async fn once(&mut self, client: &mut Client) -> Result<Duration> {
        let sealed = self.seal()?;
        let begun = Instant::now();
        client.send(&self.head, &sealed.body).await?;
        let head = client.head().await?;
        if let Err(error) = sealed_and_ok(&head) {
            let body = client.whole_body(&head).await?;
            return Err(wire::relay_error(head.status, &head.headers, &body).map_or(error, Into::into));
        }
        let mut opened = sealed.opener.open_head(head.status, &head.headers)?.body;
        let mut comparison = Comparison::with(&self.exchange.answer);
        client
            .body(&head, |piece| {
                opened.push(piece)?;
                while let Some(frame) = opened.next_frame()? {
                    comparison.piece(&frame.data)?;
                }
                Ok(())
            })
            .await?;
        // Fails unless the final frame was received.
        opened.finish()?;
        comparison.end()?;
        Ok(begun.elapsed())
    }
}

fn sealed_and_ok(head: &super::client::ResponseHead) -> Result<()> {
    let sealed = head.headers.contains_key(mte_protocol::names::X_MTE_RELAY_EH);
    if sealed && head.status == http::StatusCode::OK { Ok(()) } else { Err(head.refused(&[])) }
}
