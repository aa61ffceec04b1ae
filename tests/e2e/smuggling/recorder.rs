//! An upstream that records every byte it receives, and parses them strictly by RFC 9112: anything ambiguous is a fault, not
//! a request.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::harness::{HOST, Upstream, Wire};

/// A request without ambiguities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// One connection: all its bytes, and the requests in them.
#[derive(Debug, Default, Clone)]
struct Connection {
    bytes: Vec<u8>,
    read: usize,
    fault: Option<&'static str>,
    closed: bool,
}

/// Bytes that are not a complete request.
pub(super) struct Rest {
    pub bytes: Vec<u8>,
    /// The fault, if more bytes could not complete them to a request.
    pub fault: Option<&'static str>,
    /// Whether the relay has closed the connection.
    pub closed: bool,
}

/// All received bytes, and the requests in the order in which they were completed.
#[derive(Default)]
struct Record {
    connections: Vec<Connection>,
    requests: Vec<Recorded>,
}

/// The upstream.
pub(super) struct Recorder {
    pub upstream: Upstream,
    record: Arc<Mutex<Record>>,
}

impl Recorder {
    pub(super) async fn new() -> Self {
        let record = Arc::new(Mutex::new(Record::default()));
        let shared = record.clone();
        let upstream = Upstream::raw(move |mut wire: Wire, _| {
            let record = shared.clone();
            async move {
                let index = {
                    let connections = &mut record.lock().connections;
                    connections.push(Connection::default());
                    connections.len() - 1
                };
                while let Some(part) = wire.some().await {
                    let arrived = {
                        let Record { connections, requests } = &mut *record.lock();
                        let before = requests.len();
                        connections[index].receive(&part, requests);
                        requests.len() - before
                    };
                    for _ in 0..arrived {
                        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                    }
                }
                record.lock().connections[index].closed = true;
            }
        })
        .await;
        Self { upstream, record }
    }

    /// All requests so far, from all connections.
    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.record.lock().requests.clone()
    }

    /// The bytes so far that are not a complete request, of each connection.
    pub(super) fn rest(&self) -> Vec<Rest> {
        let rest = |connection: &Connection| {
            let (bytes, closed) = (connection.bytes[connection.read..].to_vec(), connection.closed);
            (!bytes.is_empty()).then_some(Rest { bytes, fault: connection.fault, closed })
        };
        self.record.lock().connections.iter().filter_map(rest).collect()
    }

    /// Discards the rest: bytes after it are parsed separately.
    pub(super) fn forget_rest(&self) {
        for connection in &mut self.record.lock().connections {
            (connection.read, connection.fault) = (connection.bytes.len(), None);
        }
    }
}

impl Connection {
    /// Adds the requests that are now complete.
    fn receive(&mut self, part: &[u8], requests: &mut Vec<Recorded>) {
        self.bytes.extend_from_slice(part);
        while self.fault.is_none() {
            match request(&self.bytes[self.read..]) {
                Ok(Some((request, len))) => {
                    self.read += len;
                    requests.push(request);
                }
                Ok(None) => break,
                Err(fault) => self.fault = Some(fault),
            }
        }
    }
}

type Read<T> = Result<Option<(T, usize)>, &'static str>;

fn require(holds: bool, fault: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(fault) }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// The request that these bytes begin with, and its length.
fn request(bytes: &[u8]) -> Read<Recorded> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is not UTF-8")?;
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default();
    let parts: Vec<_> = start.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else { return Err("the request line") };
    require(is_token(method), "the method")?;
    require(target.starts_with('/') || (method, target) == ("OPTIONS", "*"), "the form of the target")?;
    require(target.bytes().all(|b| b.is_ascii_graphic()), "the target's characters")?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a header line without a colon")?;
        require(is_token(name), "a header's name")?;
        require(value.chars().all(|c| c == '\t' || !c.is_control()), "a control character")?;
        headers.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let all = |wanted: &str| {
        headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    require(all("host").len() == 1, "not one Host")?;
    require(
        all("http2-settings").is_empty() && !all("upgrade").concat().contains("h2"),
        "an upgrade to HTTP/2",
    )?;
    let body = match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => Some((Vec::new(), 0)),
        ([length], []) => {
            require(!length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()), "the length's digits")?;
            let length: usize = length.parse().map_err(|_| "the length's size")?;
            bytes.get(end + 4..end + 4 + length).map(|body| (body.to_vec(), length))
        }
        ([], ["chunked"]) => chunks(&bytes[end + 4..])?,
        _ => return Err("two framings"),
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    Ok(body.map(|(body, len)| (Recorded { method, target, headers, body }, end + 4 + len)))
}

fn chunks(bytes: &[u8]) -> Read<Vec<u8>> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(end) = bytes[at..].windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size = &bytes[at..at + end];
        require(!size.is_empty() && size.iter().all(u8::is_ascii_hexdigit), "a chunk's size")?;
        let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or("a chunk's size")?;
        at += end + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else { return Ok(None) };
        require(chunk.ends_with(b"\r\n"), "a chunk's end")?;
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

#[test]
fn the_recorder_accepts_nothing_ambiguous() {
    let good = format!("POST /a HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(request(good.as_bytes()).unwrap().unwrap().1, good.len());
    let chunked = format!("POST /a HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n");
    let whole = format!("{chunked}2\r\nok\r\n0\r\n\r\n");
    assert_eq!(request(whole.as_bytes()).unwrap().unwrap().0.body, b"ok");
    assert_eq!(request(&whole.as_bytes()[..whole.len() - 1]), Ok(None));
    for wrong in [
        good.replace("content-length: 2", "content-length: 2\r\ncontent-length: 2"),
        good.replace("content-length: 2", "content-length: 2, 2"),
        good.replace("content-length: 2", "content-length: +2"),
        good.replace("content-length: 2", "transfer-encoding: identity, chunked"),
        good.replace("host", "content-length: 2\r\ntransfer-encoding: chunked\r\nhost"),
        good.replace("content-length:", "content-length :"),
        good.replace("/a", "http://a/"),
        good.replace("/a", "/a b"),
        good.replace("/a HTTP/1.1", "/a HTTP/1.0"),
        good.replace("host: ", "x: a\rb\r\nhost: "),
        good.replace("host: ", "x: a\nb: c\r\nhost: "),
        good.replace("host: ", "x: a\r\n b\r\nhost: "),
        good.replace("host", "x"),
        good.replace("host", "upgrade: h2c\r\nhost"),
        format!("{chunked}0x2\r\nok\r\n0\r\n\r\n"),
        format!("{chunked}2;a=b\r\nok\r\n0\r\n\r\n"),
        format!("{chunked}2\r\nokay0\r\n\r\n"),
    ] {
        assert!(request(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
