//! The server behind the proxies, in its own process. It does as little work as possible, so that the proxies are measured.
//!
//! `GET /bytes/N` returns the payload's first N bytes, for the sizes of the scenarios; `POST /upload` compares the body with
//! the payload and returns its length, so that a body corrupted by a proxy is not measured as a success.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};

use crate::{
    Result,
    http1::{Framing, MAX_HEADERS, Wire},
    payload,
    scenario::Size,
};

/// Only the content type of a response is sealed; other headers are in the clear.
const HEADERS: &str = "content-type: application/json\r\ncache-control: no-store\r\nserver: upstream\r\n";

/// The response of `POST /upload` to a body of `len` bytes.
pub(crate) fn receipt(len: usize) -> String {
    format!("{{\"received\":{len}}}")
}

/// Serves until the process is stopped.
pub(crate) fn serve(listen: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        let answers = Arc::new(Answers::new());
        loop {
            let (stream, _) = listener.accept().await?;
            let answers = answers.clone();
            tokio::spawn(async move {
                if let Err(error) = connection(stream, &answers).await {
                    eprintln!("connection: {error}");
                }
            });
        }
    })
}

/// All responses, ready to be sent.
struct Answers {
    payload: Bytes,
    downloads: Vec<(String, Vec<u8>)>,
}

impl Answers {
    fn new() -> Self {
        let payload = payload();
        let download =
            |size: Size| (format!("/bytes/{}", size.bytes()), answer("200 OK", &payload[..size.bytes()]));
        Self { downloads: Size::ALL.map(download).to_vec(), payload: payload.clone() }
    }

    fn download(&self, path: &str) -> Option<&[u8]> {
        self.downloads.iter().find(|(known, _)| known == path).map(|(_, answer)| answer.as_slice())
    }
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{HEADERS}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A request's path, and how its body is delimited.
struct Asked {
    path: Path,
    framing: Framing,
}

enum Path {
    Upload,
    Other(String),
}

async fn connection(stream: TcpStream, answers: &Answers) -> Result<()> {
    let mut wire = Wire::new(stream)?;
    while let Some(Asked { path, framing }) = head(&mut wire).await? {
        let (mut received, mut same) = (0, true);
        wire.body(framing, |piece| {
            let end = received + piece.len();
            same &= answers.payload.get(received..end) == Some(piece);
            received = end;
            Ok(())
        })
        .await?;
        match path {
            Path::Upload if same => {
                wire.send(&answer("200 OK", receipt(received).as_bytes()), &[]).await?;
            }
            Path::Upload => wire.send(&answer("400 Bad Request", b"not what was sent"), &[]).await?,
            Path::Other(path) => match answers.download(&path) {
                Some(answer) => wire.send(&[], answer).await?,
                None => wire.send(&answer("404 Not Found", b"no such path"), &[]).await?,
            },
        }
    }
    Ok(())
}

/// The next request's head; `None` if the connection ends instead.
async fn head(wire: &mut Wire) -> Result<Option<Asked>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(len) = request.parse(wire.unused())? {
            let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
            let path = if path == "/upload" { Path::Upload } else { Path::Other(path.to_owned()) };
            let framing = Framing::of(request.headers)?;
            wire.used(len);
            return Ok(Some(Asked { path, framing }));
        }
        if !wire.fill().await? {
            return if wire.unused().is_empty() {
                Ok(None)
            } else {
                Err("the connection ended within a head".into())
            };
        }
    }
}
