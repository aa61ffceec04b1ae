//! Handing the listeners over to a successor (`mte-relay run --upgrade`).
//!
//! Pingora's own handover shuts down whether it succeeded or not, keeps accepting in parallel to the successor for five
//! seconds, and lets any user connect to the successor's socket (mode 0666). Therefore this module sends and receives the
//! listening sockets. This process stops accepting as soon as the successor has them, and not before. Neither side
//! communicates with a process of another user, except root.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::TcpListener,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use tokio::{
    io::Interest,
    net::{UnixListener, UnixStream},
};

use crate::{
    listening::local_address,
    private_socket::{self, Untrusted},
};

/// How long a successor waits for its predecessor.
const WAIT: Duration = Duration::from_millis(5_800);
/// Time limit for each side once they are connected.
const EXCHANGE: Duration = Duration::from_secs(2);
/// Maximum number of sockets in one message (SCM_MAX_FD).
const MAX_SOCKETS: usize = 253;
/// Maximum length of their addresses: each is `[`, 39 bytes of IPv6, `%`, 10 of the scope, `]:`, 5 of the port and a space.
const MAX_BYTES: usize = MAX_SOCKETS * 64;

/// Why nothing was handed over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens at the path.
    #[error("no successor is waiting at {} (start it with `mte-relay run --upgrade`)", .0.display())]
    NoSuccessor(PathBuf),
    /// The other process belongs to another user.
    #[error("nothing is handed over to the process at {}: {why}", .path.display())]
    Untrusted {
        /// The path that it listens at.
        path: PathBuf,
        /// The reason.
        #[source]
        why: Untrusted,
    },
    /// This process has no listeners: it is not serving yet, or no longer.
    #[error("there are no listeners to hand over")]
    NoListeners,
    /// There are too many listeners.
    #[error("{0} listeners are too many to hand over: at most {MAX_SOCKETS} are possible")]
    TooMany(usize),
    /// No predecessor connected in time.
    #[error("no process handed over its listeners at {}: giving up", .0.display())]
    NoPredecessor(PathBuf),
    /// The successor's socket cannot be created.
    #[error("the upgrade socket cannot be created: {0}")]
    Socket(#[from] private_socket::Error),
    /// An error of the operating system.
    #[error("{}: {error}", .path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
}

/// Why nothing was taken over from a process.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    #[error(transparent)]
    System(#[from] io::Error),
    #[error("it sent nothing")]
    Silent,
    #[error("it did not send a socket for each address")]
    Incomplete,
    #[error("a socket does not have the address that was sent for it")]
    OtherAddress,
}

impl Error {
    fn system(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::System { path: path.to_owned(), error }
    }
}

/// Sends the listeners' sockets to the successor that is waiting at `path`.
///
/// # Errors
/// Why nothing was handed over; the listeners are still this process's.
pub async fn send(path: &Path, sockets: &[Arc<TcpListener>]) -> Result<(), Error> {
    let failed = Error::system(path);
    let successor = match UnixStream::connect(path).await {
        Ok(successor) => successor,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(Error::NoSuccessor(path.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    // For a listening socket, the kernel reports the user of the listening process, even if it took the path first.
    private_socket::check_peer(&successor).map_err(|why| Error::Untrusted { path: path.to_owned(), why })?;
    if sockets.is_empty() {
        return Err(Error::NoListeners);
    }
    if sockets.len() > MAX_SOCKETS {
        return Err(Error::TooMany(sockets.len()));
    }
    let names = sockets.iter().filter_map(|socket| local_address(socket)).map(|address| address.to_string());
    let names = names.collect::<Vec<_>>().join(" ");
    let sockets: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
    let message = || transmit(&successor, &names, &sockets);
    in_time(async {
        loop {
            successor.writable().await?;
            match successor.try_io(Interest::WRITABLE, message) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
    })
    .await
    .map_err(failed)
}

async fn in_time<T>(exchange: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(EXCHANGE, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// One message: the addresses, separated by spaces, and the sockets in the same order. Pingora uses the same format.
fn transmit(successor: &UnixStream, names: &str, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // If the successor has exited, this is an error instead of a signal.
    sendmsg(successor, &[IoSlice::new(names.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits at `path` for the predecessor's listeners.
///
/// # Errors
/// Why no listeners were received.
pub async fn receive(path: &Path) -> Result<Vec<TcpListener>, Error> {
    let listener = UnixListener::from_std(private_socket::listen(path)?).map_err(Error::system(path))?;
    log::info!("waiting at {} for the predecessor: send it SIGQUIT within six seconds", path.display());
    let received = tokio::time::timeout(WAIT, async {
        loop {
            let (predecessor, _) = listener.accept().await.map_err(Error::system(path))?;
            match take(&predecessor).await {
                Ok(received) => return Ok(received),
                Err(why) => log::warn!("nothing is taken over from a process at {}: {why}", path.display()),
            }
        }
    });
    let received = received.await.unwrap_or_else(|_| Err(Error::NoPredecessor(path.to_owned())));
    // A leftover socket file does no harm.
    let _ = std::fs::remove_file(path);
    received
}

/// Receives the message of one process.
async fn take(predecessor: &UnixStream) -> Result<Vec<TcpListener>, Refused> {
    private_socket::check_peer(predecessor)?;
    let received = in_time(async {
        loop {
            predecessor.readable().await?;
            match predecessor.try_io(Interest::READABLE, || accept(predecessor)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    });
    received.await?.checked()
}

fn accept(predecessor: &UnixStream) -> io::Result<Received> {
    let mut names = vec![0; MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut names)];
    let message = recvmsg(predecessor, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = part {
            sockets.extend(some.map(TcpListener::from));
        }
    }
    names.truncate(message.bytes);
    let whole = !message.flags.contains(ReturnFlags::CTRUNC);
    Ok(Received { names: String::from_utf8(names).ok().filter(|_| whole), sockets })
}

/// A predecessor's message.
#[derive(Debug)]
struct Received {
    /// The sockets' addresses, separated by spaces; `None` if they are not text, or not all sockets fit.
    names: Option<String>,
    sockets: Vec<TcpListener>,
}

impl Received {
    /// The sockets, if each has the address that was sent for it.
    fn checked(self) -> Result<Vec<TcpListener>, Refused> {
        let is_right =
            |(name, socket): (&str, _)| name.parse().is_ok_and(|name| local_address(socket) == Some(name));
        let names = self.names.as_deref().ok_or(Refused::Incomplete)?.split_ascii_whitespace();
        match (names.clone().count(), self.sockets.len()) {
            (0, 0) => Err(Refused::Silent),
            (names, sockets) if names != sockets => Err(Refused::Incomplete),
            _ if !names.zip(&self.sockets).all(is_right) => Err(Refused::OtherAddress),
            _ => Ok(self.sockets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> Arc<TcpListener> {
        Arc::new(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    #[tokio::test]
    async fn listeners_are_received_and_a_process_that_only_connects_is_not_a_predecessor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upgrade.sock");
        assert!(matches!(send(&path, &[]).await, Err(Error::NoSuccessor(_))));
        let (waiting, at) = (path.clone(), path.clone());
        let successor = tokio::spawn(async move { receive(&waiting).await });
        while UnixStream::connect(&at).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(matches!(send(&path, &[]).await, Err(Error::NoListeners)));
        let sent = [listener(), listener()];
        send(&path, &sent).await.unwrap();
        let received = successor.await.unwrap().unwrap();
        let addresses = |sockets: &[TcpListener]| sockets.iter().map(local_address).collect::<Vec<_>>();
        assert_eq!(addresses(&received), sent.map(|socket| local_address(&socket)));
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_with_a_wrong_address_is_refused() {
        let socket = listener();
        let address = socket.local_addr().unwrap().to_string();
        let received = |names: Option<&str>| {
            let sockets = vec![socket.try_clone().unwrap()];
            Received { names: names.map(str::to_owned), sockets }.checked()
        };
        assert!(received(Some(&address)).is_ok());
        for wrong in ["127.0.0.1:1", "not-an-address"] {
            assert!(matches!(received(Some(wrong)), Err(Refused::OtherAddress)), "{wrong}");
        }
        for wrong in [None, Some(""), Some(&*format!("{address} {address}"))] {
            assert!(matches!(received(wrong), Err(Refused::Incomplete)), "{wrong:?}");
        }
        let nothing = Received { names: Some(String::new()), sockets: Vec::new() };
        assert!(matches!(nothing.checked(), Err(Refused::Silent)));
    }
}
