//! The eavesdropper: a TCP tap between client and relay. It sees what a proxy or a content delivery network sees that
//! ends TLS. It forwards bytes, records them, searches all of them for secrets, and informs watchers of every message; on
//! order it also interferes.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc::UnboundedSender,
};

use crate::{
    follow::{Follower, Step},
    recording::Recording,
    tamper::{self, Action, Order},
    wire,
};

/// How many bytes of each body watchers get; of the rest they get the count.
const MAX_WATCHED: u64 = 4 << 10;
/// A replayed request is sent after this time,
const REPLAY_PAUSE: Duration = Duration::from_millis(100);
/// and the tap waits this long for its answer.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most that is read of that answer.
const MAX_REPLAY_ANSWER: usize = 64 << 10;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToRelay,
    ToClient,
}

/// What watchers get of a message.
#[derive(Debug, Clone)]
pub(crate) struct Passed {
    /// Messages are numbered in the order in which they begin.
    pub(crate) message: u64,
    pub(crate) direction: Direction,
    pub(crate) at: SystemTime,
    pub(crate) what: Piece,
}

/// What passed of a message, as it came.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// It begins. `answers`: the request that it answers.
    Head { head: Vec<u8>, answers: Option<u64> },
    /// This much of its body, and the first bytes if it is the beginning of the body.
    Body { len: usize, start: Vec<u8> },
    /// It is whole.
    End,
    /// The tap has interfered. `at`: the byte of the body that it changed.
    Tampered { order: Order, at: Option<usize> },
    /// It was sent a second time; what the relay answered then.
    Replayed { status: u16, body: Vec<u8> },
}

/// A tap that runs until its runtime ends.
pub(crate) struct Tap {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    relay: SocketAddr,
    messages: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    recording: Recording,
    order: Option<Order>,
    watchers: Vec<UnboundedSender<Passed>>,
}

impl Shared {
    /// What it guards is consistent after every step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, message: u64, direction: Direction, what: Piece) {
        let passed = Passed { message, direction, at: SystemTime::now(), what };
        self.lock().watchers.retain(|watcher| watcher.send(passed.clone()).is_ok());
    }
}

impl Tap {
    /// Listens on `address` and forwards to `relay`.
    pub(crate) async fn start(address: SocketAddr, relay: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { relay, messages: AtomicU64::new(0), state: Mutex::default() });
        let tapped = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => {
                        // Whatever ends a connection early, the client sees it end.
                        let shared = Arc::clone(&tapped);
                        tokio::spawn(async move {
                            let _ = forward(client, &shared).await;
                        });
                    }
                    // Out of file descriptors, say: it may get better.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// Forgets what was recorded, and looks for other secrets from now on.
    pub(crate) fn look_for(&self, secrets: &[&str]) {
        self.shared.lock().recording = Recording::new(secrets);
    }

    /// What was recorded since [`look_for`](Self::look_for), which ends with this.
    pub(crate) fn take(&self) -> Recording {
        std::mem::take(&mut self.shared.lock().recording)
    }

    /// When the first bytes after `since` went to the client, and how many they were.
    pub(crate) fn to_client_after(&self, since: Instant) -> Option<(Instant, usize)> {
        self.shared.lock().recording.to_client.piece_after(since)
    }

    /// Interferes once.
    pub(crate) fn order(&self, order: Order) {
        self.interfere(Some(order));
    }

    /// What to do with the next message that can be interfered with.
    pub(crate) fn interfere(&self, order: Option<Order>) {
        self.shared.lock().order = order;
    }

    /// Also reports every message to `watcher`.
    pub(crate) fn watch(&self, watcher: UnboundedSender<Passed>) {
        self.shared.lock().watchers.push(watcher);
    }
}

/// What both directions of a connection know of its last request.
#[derive(Default)]
struct Request {
    message: Option<u64>,
    is_head: bool,
    sealed: bool,
}

async fn forward(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let relay = TcpStream::connect(shared.relay).await?;
    client.set_nodelay(true)?;
    relay.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_relay, to_relay) = relay.into_split();
    let request = Mutex::new(Request::default());
    let pump = |direction| Pump { direction, shared, request: &request, message: 0, passed: 0 };
    tokio::try_join!(
        pump(Direction::ToRelay).run(from_client, to_relay),
        pump(Direction::ToClient).run(from_relay, to_client),
    )?;
    Ok(())
}

/// One direction of one connection.
struct Pump<'a> {
    direction: Direction,
    shared: &'a Arc<Shared>,
    request: &'a Mutex<Request>,
    /// The message that is passing, and how much of its body has.
    message: u64,
    passed: u64,
}

impl Pump<'_> {
    async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let mut follower = Follower::default();
        let mut buffer = vec![0; 64 << 10];
        let mut held = Vec::new();
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                follower.close(|step| self.step(step));
                to.write_all(&held).await?;
                return to.shutdown().await;
            }
            let part = &buffer[..read];
            let begins = follower.is_between();
            self.shared.lock().recording.push(self.direction, part);
            let answers_head = self.direction == Direction::ToClient && self.request().is_head;
            follower.push(part, answers_head, |step| self.step(step));
            let due = self.shared.lock().order.filter(|order| order.direction() == self.direction);
            let order = match due {
                Some(order) if begins || !held.is_empty() => order,
                _ => {
                    to.write_all(&std::mem::take(&mut held)).await?;
                    to.write_all(part).await?;
                    continue;
                }
            };
            held.extend_from_slice(part);
            let sealed = self.request().sealed;
            let action = tamper::carry_out(order, &mut held, sealed);
            if action == Action::Wait {
                continue;
            }
            if action != Action::Pass {
                self.shared.lock().order = None;
                let at = if let Action::ForwardChanged(at) = action { at } else { None };
                self.shared.publish(self.message, self.direction, Piece::Tampered { order, at });
            }
            match action {
                Action::Withhold => return Err(io::ErrorKind::ConnectionAborted.into()),
                Action::ForwardLast => {
                    to.write_all(&held).await?;
                    to.shutdown().await?;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Action::ForwardTwice(copy) => {
                    tokio::spawn(replay(copy, self.message, Arc::clone(self.shared)));
                }
                Action::Wait | Action::Pass | Action::ForwardChanged(_) => {}
            }
            to.write_all(&std::mem::take(&mut held)).await?;
        }
    }

    fn request(&self) -> MutexGuard<'_, Request> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the traffic, and informs watchers.
    fn step(&mut self, step: Step<'_>) {
        let what = match step {
            Step::Head(head) => {
                self.message = self.shared.messages.fetch_add(1, Ordering::Relaxed);
                self.passed = 0;
                Piece::Head { head: head.to_vec(), answers: self.begin(head) }
            }
            Step::Body(data) => {
                let room = MAX_WATCHED.saturating_sub(self.passed).min(data.len() as u64) as usize;
                self.passed += data.len() as u64;
                Piece::Body { len: data.len(), start: data[..room].to_vec() }
            }
            Step::End => Piece::End,
        };
        self.shared.publish(self.message, self.direction, what);
    }

    fn begin(&self, head: &[u8]) -> Option<u64> {
        let mut request = self.request();
        if self.direction == Direction::ToClient {
            return request.message;
        }
        if let Some(message) = wire::message(head) {
            *request = Request {
                message: Some(self.message),
                is_head: message.start.starts_with("HEAD "),
                sealed: tamper::is_sealed(&message),
            };
        }
        None
    }
}

/// Sends a request's bytes again, and reports the relay's answer.
async fn replay(bytes: Vec<u8>, message: u64, shared: Arc<Shared>) {
    tokio::time::sleep(REPLAY_PAUSE).await;
    let answer = tokio::time::timeout(REPLAY_TIMEOUT, exchange(shared.relay, &bytes)).await;
    let answer = answer.unwrap_or_else(|_| Ok(Vec::new())).unwrap_or_default();
    let (status, body) =
        wire::message(&answer).map_or((0, Vec::new()), |message| (message.status(), message.body));
    shared.publish(message, Direction::ToRelay, Piece::Replayed { status, body });
}

async fn exchange(relay: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(relay).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    while answer.len() < MAX_REPLAY_ANSWER
        && !wire::message(&answer).is_some_and(|message| message.whole)
        && stream.read_buf(&mut answer).await? > 0
    {}
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    /// A tap in front of a server that answers every connection's bytes with the same bytes.
    async fn echo() -> Tap {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = server.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        Tap::start("127.0.0.1:0".parse().unwrap(), relay).await.unwrap()
    }

    async fn send(tap: &Tap, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(tap.address).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn bytes_pass_unchanged_and_are_recorded_both_ways() {
        let tap = echo().await;
        tap.look_for(&["secret", "other"]);
        assert_eq!(send(&tap, b"a secret passes").await.unwrap(), b"a secret passes");
        let recording = tap.take();
        assert_eq!((recording.to_relay.total, recording.to_client.total), (15, 15));
        assert_eq!(recording.to_relay.start, b"a secret passes");
        assert_eq!(recording.found(), ["secret"]);
    }

    #[tokio::test]
    async fn a_withheld_request_never_arrives() {
        let tap = echo().await;
        tap.look_for(&[]);
        tap.order(Order::Withhold);
        let request = b"POST / HTTP/1.1\r\nx-mte-relay-eh: QQ==\r\ncontent-length: 2\r\n\r\nhi";
        assert!(send(&tap, request).await.map_or(true, |answer| answer.is_empty()));
        assert_eq!(tap.take().to_relay.start, request);
        assert_eq!(send(&tap, request).await.unwrap(), request, "the order counts once");
    }

    /// A sealed message, as request and as response.
    fn sealed(start: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "{start}\r\nx-mte-relay-eh: QQ==\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
            body.len()
        );
        [head.as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
    }

    /// A server that reads a request and gives `answer`, for as many connections as come.
    async fn answering(answer: Vec<u8>) -> Tap {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = server.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !wire::message(&request).is_some_and(|message| message.whole) {
                        stream.read_buf(&mut request).await.unwrap();
                    }
                    stream.write_all(&answer).await.unwrap();
                });
            }
        });
        Tap::start("127.0.0.1:0".parse().unwrap(), relay).await.unwrap()
    }

    #[tokio::test]
    async fn a_corrupted_response_differs_in_one_bit() {
        let message = sealed("HTTP/1.1 200 OK", &[0x5a; 40]);
        let tap = answering(message.clone()).await;
        tap.order(Order::CorruptResponse);
        let answer = send(&tap, &sealed("POST / HTTP/1.1", b"request")).await.unwrap();
        let changed: Vec<usize> = (0..message.len()).filter(|at| answer[*at] != message[*at]).collect();
        let body = memchr::memmem::find(&message, b"ZZZZ").unwrap();
        assert_eq!(changed, [body + 30]);
        assert_eq!(answer[changed[0]] ^ message[changed[0]], 1);
    }

    #[tokio::test]
    async fn watchers_are_informed_of_messages_and_of_what_was_done_to_them() {
        let tap = answering(sealed("HTTP/1.1 200 OK", b"answer")).await;
        let (sender, mut watched) = mpsc::unbounded_channel();
        tap.watch(sender);
        tap.order(Order::Replay);
        send(&tap, &sealed("POST / HTTP/1.1", b"request")).await.unwrap();
        let mut seen = Vec::new();
        while let Some(passed) = watched.recv().await {
            let replayed = matches!(passed.what, Piece::Replayed { .. });
            seen.push(match passed.what {
                Piece::Head { answers, .. } => format!("{} head {answers:?}", passed.message),
                Piece::Body { start, .. } => {
                    format!("{} {}", passed.message, String::from_utf8(start).unwrap())
                }
                Piece::End => format!("{} end", passed.message),
                Piece::Tampered { order, .. } => format!("{} {}", passed.message, order.name()),
                Piece::Replayed { status, body } => {
                    format!("{} again: {status} {}", passed.message, String::from_utf8(body).unwrap())
                }
            });
            if replayed {
                break;
            }
        }
        assert_eq!(
            seen,
            [
                "0 head None",
                "0 request",
                "0 end",
                "0 replay",
                "1 head Some(0)",
                "1 answer",
                "1 end",
                "0 again: 200 answer"
            ]
        );
    }
}
