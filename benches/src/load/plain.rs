//! Requests in the clear.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    Exchange,
    client::{Client, Comparison},
};
use crate::{Result, scenario::Method};

pub(super) struct Plain {
    exchange: Exchange,
    head: String,
}

impl Plain {
    pub(super) fn new(exchange: Exchange, host: SocketAddr) -> Self {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {host}\r\n", exchange.method.name(), exchange.path);
        for (name, value) in Exchange::HEADERS {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if exchange.method == Method::Post {
            let len = exchange.body.len();
            head.push_str(&format!("content-type: application/json\r\ncontent-length: {len}\r\n"));
        }
        head.push_str("\r\n");
        Self { exchange, head }
    }

    pub(super) async fn once(&mut self, client: &mut Client) -> Result<Duration> {
        let begun = Instant::now();
        client.send(self.head.as_bytes(), &self.exchange.body).await?;
        let head = client.head().await?;
        if head.status != http::StatusCode::OK {
            let body = client.whole_body(&head).await?;
            return Err(head.refused(&body));
        }
        let mut comparison = Comparison::with(&self.exchange.answer);
        client.body(&head, |piece| comparison.piece(piece)).await?;
        comparison.end()?;
        Ok(begun.elapsed())
    }
}
