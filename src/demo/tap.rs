//! The eavesdropper: a TCP tap between client and relay. It sees what a proxy or a content delivery network sees that
//! ends TLS. It forwards bytes, records them and looks for secrets in all of them; on order it also interferes.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc::UnboundedSender,
};

use super::{recording::Recording, wire};

/// A watcher gets so many bytes at a time: the head of a request.
const MOST_WATCHED: usize = 16 << 10;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToRelay,
    ToClient,
}

/// What the tap does beyond listening; once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Keep the next request, and cut the connection.
    Withhold,
    /// Flip one bit in the body of the next response.
    SpoilResponse,
}

impl Order {
    fn direction(self) -> Direction {
        match self {
            Self::Withhold => Direction::ToRelay,
            Self::SpoilResponse => Direction::ToClient,
        }
    }
}

/// A tap that runs until its runtime ends.
pub(super) struct Tap {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    recording: Recording,
    order: Option<Order>,
    watcher: Option<UnboundedSender<Vec<u8>>>,
}

/// What becomes of bytes that fell under an order.
enum Fate {
    /// More must come before the order can be carried out.
    Wait,
    /// They go on, as they are now.
    Go,
    /// They stay here, and the connection ends.
    Stay,
}

impl Tap {
    /// Listens on `address` and forwards to `relay`.
    pub(super) async fn start(address: SocketAddr, relay: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let tapped = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => {
                        // Whatever ends a connection early, the client sees it end.
                        let state = Arc::clone(&tapped);
                        tokio::spawn(async move {
                            let _ = forward(client, relay, &state).await;
                        });
                    }
                    // Out of file descriptors, say: it may get better.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                }
            }
        });
        Ok(Self { address, state })
    }

    /// Forgets what was recorded, and looks for other secrets from now on.
    pub(super) fn look_for(&self, secrets: &[&str]) {
        lock(&self.state).recording = Recording::new(secrets);
    }

    /// What was recorded since [`look_for`](Self::look_for), which ends with this.
    pub(super) fn take(&self) -> Recording {
        std::mem::take(&mut lock(&self.state).recording)
    }

    /// When the first bytes after `since` went to the client, and how many they were.
    pub(super) fn to_client_after(&self, since: Instant) -> Option<(Instant, usize)> {
        lock(&self.state).recording.to_client.piece_after(since)
    }

    /// Interferes once.
    pub(super) fn order(&self, order: Order) {
        lock(&self.state).order = Some(order);
    }

    /// Also sends to `watcher` what goes to the relay and may begin a request.
    pub(super) fn watch(&self, watcher: UnboundedSender<Vec<u8>>) {
        lock(&self.state).watcher = Some(watcher);
    }
}

/// What it guards is whole after every step.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn forward(client: TcpStream, relay: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    let relay = TcpStream::connect(relay).await?;
    client.set_nodelay(true)?;
    relay.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_relay, to_relay) = relay.into_split();
    tokio::try_join!(
        pump(from_client, to_relay, Direction::ToRelay, state),
        pump(from_relay, to_client, Direction::ToClient, state),
    )?;
    Ok(())
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    state: &Mutex<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut held = Vec::new();
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            to.write_all(&held).await?;
            return to.shutdown().await;
        }
        let part = &buffer[..read];
        let under_order = {
            let mut state = lock(state);
            state.recording.push(direction, part);
            if let (Direction::ToRelay, Some(watcher), b'A'..=b'Z') = (direction, &state.watcher, part[0]) {
                // Nobody watches any more: no matter.
                let _ = watcher.send(part[..part.len().min(MOST_WATCHED)].to_vec());
            }
            state.order.filter(|order| order.direction() == direction)
        };
        let Some(order) = under_order else {
            to.write_all(part).await?;
            continue;
        };
        held.extend_from_slice(part);
        match carry_out(order, &mut held) {
            Fate::Wait => continue,
            Fate::Go => to.write_all(&std::mem::take(&mut held)).await?,
            Fate::Stay => {}
        }
        lock(state).order = None;
        if order == Order::Withhold {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
}

fn carry_out(order: Order, held: &mut [u8]) -> Fate {
    let Some(message) = wire::message(held) else { return Fate::Wait };
    match order {
        Order::Withhold if message.whole => Fate::Stay,
        Order::Withhold => Fate::Wait,
        Order::SpoilResponse if !message.whole => Fate::Wait,
        Order::SpoilResponse => {
            spoil_body(held);
            Fate::Go
        }
    }
}

/// Flips a bit of the ciphertext in a whole message's body.
pub(super) fn spoil_body(message: &mut [u8]) {
    let Some(head) = memchr::memmem::find(message, b"\r\n\r\n").map(|end| end + 4) else { return };
    let chunked = wire::message(message).is_some_and(|message| message.header("transfer-encoding").is_some());
    let start =
        if chunked { wire::chunk(&message[head..]).map_or(head, |(start, _)| head + start) } else { head };
    if let Some(byte) = message.get_mut(start + mte_codec::HEADER_LEN + mte_codec::HEAD_LEN) {
        *byte ^= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let request = b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi";
        assert!(send(&tap, request).await.map_or(true, |answer| answer.is_empty()));
        assert_eq!(tap.take().to_relay.start, request);
        assert_eq!(send(&tap, request).await.unwrap(), request, "the order counts once");
    }

    #[tokio::test]
    async fn a_spoilt_response_differs_in_one_bit() {
        let tap = echo().await;
        tap.order(Order::SpoilResponse);
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n28\r\n";
        let message = [&head[..], &[0x5a; 40], b"\r\n0\r\n\r\n"].concat();
        let answer = send(&tap, &message).await.unwrap();
        let changed: Vec<usize> = (0..message.len()).filter(|at| answer[*at] != message[*at]).collect();
        assert_eq!(changed, [head.len() + 30]);
        assert_eq!(answer[changed[0]] ^ message[changed[0]], 1);
    }
}
