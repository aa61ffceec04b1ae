//! HTTP/1.1 byte by byte, on either end of a connection.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It cannot have a body.
    NoBody,
    /// At its `content-length`.
    Length,
    /// At its last chunk.
    LastChunk,
    /// Without either, at the end of the connection.
    Closed,
    /// Too early.
    Cut,
}

/// A request or a response.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub end: End,
}

impl Message {
    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status line")
    }

    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// All values of a header.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A connection.
pub(crate) struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::new(stream)
    }

    /// Sends bytes; a closed connection is noticed when the test reads.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Sends one chunk of a chunked body; an empty one is the last.
    pub(crate) async fn chunk(&mut self, data: &[u8]) {
        let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
        chunk.extend_from_slice(data);
        chunk.extend_from_slice(b"\r\n");
        self.send(&chunk).await;
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Reads the available bytes; `None` at the end, whether orderly or not.
    pub(crate) async fn some(&mut self) -> Option<Vec<u8>> {
        if self.buffer.is_empty() && !self.fill().await.unwrap_or(false) {
            return None;
        }
        Some(std::mem::take(&mut self.buffer))
    }

    /// Reads this many bytes.
    pub(crate) async fn exactly(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < len {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..len).collect())
    }

    async fn fill(&mut self) -> io::Result<bool> {
        let mut part = [0; 16 << 10];
        let read = self.stream.read(&mut part).await?;
        self.buffer.extend_from_slice(&part[..read]);
        Ok(read > 0)
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = self.buffer.drain(..end + 2).collect::<Vec<_>>();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads a head.
    pub(crate) async fn head(&mut self) -> io::Result<Message> {
        while !self.buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let start = self.line().await?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Message { start, headers, body: Vec::new(), end: End::NoBody })
    }

    /// Reads a request, complete or cut off.
    pub(crate) async fn request(&mut self) -> io::Result<Message> {
        let mut message = self.head().await?;
        let framed =
            message.header("content-length").is_some() || message.header("transfer-encoding").is_some();
        if framed {
            self.body(&mut message).await;
        }
        Ok(message)
    }

    /// Reads a response, complete or cut off. `bodiless` is for the response to a HEAD.
    pub(crate) async fn response(&mut self, bodiless: bool) -> io::Result<Message> {
        let mut message = self.head().await?;
        if !(bodiless || message.status() < 200 || matches!(message.status(), 204 | 304)) {
            self.body(&mut message).await;
        }
        Ok(message)
    }

    async fn body(&mut self, message: &mut Message) {
        let length = message.header("content-length").map(|text| text.parse::<usize>().unwrap());
        let chunked =
            message.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let read = match length {
            _ if chunked => self.chunks(&mut message.body).await.map(|()| End::LastChunk),
            Some(length) => self.up_to(length, &mut message.body).await.map(|()| End::Length),
            None => {
                let mut read = Ok(true);
                while let Ok(true) = read {
                    message.body.append(&mut self.buffer);
                    read = self.fill().await;
                }
                read.map(|_| End::Closed)
            }
        };
        message.end = read.unwrap_or(End::Cut);
    }

    async fn up_to(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let end = body.len() + length;
        loop {
            let part = self.buffer.len().min(end - body.len());
            body.extend(self.buffer.drain(..part));
            if body.len() == end {
                return Ok(());
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.up_to(size, body).await?;
            self.line().await?;
        }
    }
}
