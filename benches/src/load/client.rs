//! One keep-alive connection to a target.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::net::TcpStream;

use crate::{
    Result,
    http1::{Framing, MAX_HEADERS, Wire},
};

/// A response's head. Its body must be read before the next request.
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    framing: Framing,
}

/// A connection.
pub(super) struct Client(Wire);

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self(Wire::new(TcpStream::connect(address).await?)?))
    }

    pub(super) async fn send(&mut self, head: &[u8], body: &[u8]) -> Result<()> {
        self.0.send(head, body).await
    }

    pub(super) async fn head(&mut self) -> Result<ResponseHead> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(len) = response.parse(self.0.unused())? {
                let head = ResponseHead {
                    status: StatusCode::from_u16(response.code.unwrap_or_default())?,
                    headers: header_map(response.headers)?,
                    framing: Framing::of(response.headers)?,
                };
                self.0.used(len);
                return Ok(head);
            }
            if !self.0.fill().await? {
                return Err("the connection ended before a response".into());
            }
        }
    }

    /// Reads the response's body and passes on each piece.
    pub(super) async fn body(
        &mut self,
        head: &ResponseHead,
        take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.0.body(head.framing, take).await
    }

    /// Reads the response's body, which is small.
    pub(super) async fn whole_body(&mut self, head: &ResponseHead) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.body(head, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        })
        .await?;
        Ok(body)
    }
}

impl ResponseHead {
    /// An error with the response received instead of 200.
    pub(super) fn refused(&self, body: &[u8]) -> crate::Error {
        format!("answered {}: {}", self.status, String::from_utf8_lossy(&body[..body.len().min(300)])).into()
    }
}

fn header_map(headers: &[httparse::Header<'_>]) -> Result<HeaderMap> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        map.append(HeaderName::from_bytes(header.name.as_bytes())?, HeaderValue::from_bytes(header.value)?);
    }
    Ok(map)
}

/// Compares a body that arrives in pieces with the expected one.
pub(super) struct Comparison<'a> {
    rest: &'a [u8],
}

impl<'a> Comparison<'a> {
    pub(super) fn with(expected: &'a [u8]) -> Self {
        Self { rest: expected }
    }

    pub(super) fn piece(&mut self, piece: &[u8]) -> Result<()> {
        self.rest = self.rest.strip_prefix(piece).ok_or("a response's body is not what was sent")?;
        Ok(())
    }

    pub(super) fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err("a response's body is too short".into()) }
    }
}
