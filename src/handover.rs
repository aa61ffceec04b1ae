//! Handing the listeners over to a successor (`mte-relay run --upgrade`).
//!
//! Pingora's own way shuts down whether the hand-over succeeded or not, keeps accepting beside the successor for five
//! seconds, and lets anybody connect to the successor's socket (mode 0666). So the listening sockets are sent and received
//! here. Only once the successor has them does this process stop accepting, at once. Neither side says a word to a process
//! of another user, root excepted.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsRawFd, RawFd},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, UnixAddr, getsockname, recvmsg, sendmsg,
};
use pingora_core::server::ListenFds;
use tokio::{
    io::Interest,
    net::{UnixListener, UnixStream},
};

use crate::{config::Listener, private_socket};

/// A successor waits this long for its predecessor.
const WAIT: Duration = Duration::from_millis(5_800);
/// Once connected, either side may take this long.
const EXCHANGE: Duration = Duration::from_secs(2);
/// Sockets that fit into one message (SCM_MAX_FD).
const MAX_SOCKETS: usize = 253;
/// Bytes that their addresses take at most: `[` 39 of IPv6 `%` 10 of the scope `]:` 5 of the port and a space.
const MAX_BYTES: usize = MAX_SOCKETS * 64;

/// Why nothing was handed over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing listens at the path.
    #[error("no successor waits at {} (start it with `mte-relay run --upgrade`)", .0.display())]
    NoSuccessor(PathBuf),
    /// The other process is another user's.
    #[error("nothing is handed over to the process at {}: {why}", .path.display())]
    Untrusted {
        /// Where it listens.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// One of this process's own listeners is not there.
    #[error("the listener {0} cannot be found")]
    NoListener(SocketAddr),
    /// There are too many.
    #[error("{0} listeners do not fit into a hand-over, {MAX_SOCKETS} do")]
    TooMany(usize),
    /// No predecessor came.
    #[error("nobody handed its listeners over at {}: giving up", .0.display())]
    NoPredecessor(PathBuf),
    /// The successor's socket cannot be made.
    #[error("the upgrade socket cannot be made: {0}")]
    Socket(#[from] private_socket::Error),
    /// The system says why.
    #[error("{}: {error}", .path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Error {
    fn system(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::System { path: path.to_owned(), error }
    }
}

/// Sends the listeners to the successor that waits at `path`.
///
/// # Errors
/// Why nothing was handed over; the listeners are still this process's.
pub async fn send(path: &Path, listeners: &[Listener]) -> Result<(), Error> {
    let failed = Error::system(path);
    let successor = match UnixStream::connect(path).await {
        Ok(successor) => successor,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(Error::NoSuccessor(path.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    // Of a listening socket the kernel names the user that listens: whoever took the path first cannot hide.
    private_socket::check_peer(&successor).map_err(|why| Error::Untrusted { path: path.to_owned(), why })?;
    let (mut names, mut sockets) = (Vec::new(), Vec::new());
    for Listener { address, .. } in listeners {
        names.push(address.to_string());
        sockets.push(find(*address).ok_or(Error::NoListener(*address))?);
    }
    if sockets.len() > MAX_SOCKETS {
        return Err(Error::TooMany(sockets.len()));
    }
    let names = names.join(" ");
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

/// One message: the addresses, separated by spaces, and in the same order the sockets. It is Pingora's format too.
fn transmit(successor: &UnixStream, names: &str, sockets: &[RawFd]) -> io::Result<()> {
    let control = [ControlMessage::ScmRights(sockets)];
    // A successor that is gone is an error, not a signal.
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(successor.as_raw_fd(), &[IoSlice::new(names.as_bytes())], &control, flags, None)?;
    Ok(())
}

/// This process's descriptor of the socket that listens on an address: the kernel's tables lead from the address to the
/// socket's inode, and from there to the descriptor.
fn find(address: SocketAddr) -> Option<RawFd> {
    use procfs::{net::TcpState, process::FDTarget};
    let entries = if address.is_ipv4() { procfs::net::tcp() } else { procfs::net::tcp6() }.ok()?;
    let listens = |state: &TcpState| *state == TcpState::Listen;
    let inodes: Vec<_> = entries
        .into_iter()
        .filter(|entry| entry.local_address == address && listens(&entry.state))
        .map(|entry| entry.inode)
        .collect();
    let own = procfs::process::Process::myself().ok()?.fd().ok()?;
    let matches = |target: &FDTarget| matches!(target, FDTarget::Socket(inode) if inodes.contains(inode));
    own.flatten().find(|info| matches(&info.target)).map(|info| info.fd)
}

/// Waits at `path` for the predecessor's listeners.
///
/// # Errors
/// Why there are none.
pub async fn receive(path: &Path) -> Result<Received, Error> {
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
    // What is left of it would be in nobody's way.
    let _ = std::fs::remove_file(path);
    received
}

/// Takes what one process sends.
async fn take(predecessor: &UnixStream) -> Result<Received, String> {
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
    received.await.map_err(|error| error.to_string())?.checked()
}

fn accept(predecessor: &UnixStream) -> io::Result<Received> {
    let mut names = vec![0; MAX_BYTES];
    let mut space = nix::cmsg_space!([RawFd; MAX_SOCKETS]);
    let mut parts = [IoSliceMut::new(&mut names)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(predecessor.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let (read, cut) = (message.bytes, message.flags.contains(MsgFlags::MSG_CTRUNC));
    let mut sockets = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(some) = part {
            sockets.extend(some);
        }
    }
    names.truncate(if cut { 0 } else { read });
    Ok(Received { names: String::from_utf8(names).unwrap_or_default(), sockets })
}

/// Listening sockets of a predecessor.
#[derive(Debug)]
pub struct Received {
    /// Their addresses, separated by spaces.
    names: String,
    sockets: Vec<RawFd>,
}

impl Received {
    /// Holds every socket against the address that it is said to have.
    fn checked(self) -> Result<Self, String> {
        let is_right = |(name, socket): (&str, &RawFd)| name.parse().ok() == local_address(*socket);
        let names = self.names.split_ascii_whitespace();
        let wrong = match (names.clone().count(), self.sockets.len()) {
            (0, 0) => "it said nothing",
            (names, sockets) if names != sockets => "it did not send a socket for each address",
            _ if !names.zip(&self.sockets).all(is_right) => "a socket has another address than was said",
            _ => return Ok(self),
        };
        self.sockets.into_iter().for_each(close);
        Err(wrong.into())
    }

    /// Puts the sockets that are wanted into Pingora's table, and closes the others.
    pub(crate) fn put_into(self, table: &ListenFds, listeners: &[Listener]) {
        let names = self.names.split_ascii_whitespace();
        for (address, socket) in names.filter_map(|name| name.parse().ok()).zip(self.sockets) {
            if listeners.iter().any(|listener| listener.address == address) {
                table.lock().add(address.to_string(), socket);
            } else {
                close(socket);
            }
        }
    }
}

fn close(socket: RawFd) {
    // It was ours alone: an error says that it is closed.
    let _ = nix::unistd::close(socket);
}

fn local_address(socket: RawFd) -> Option<SocketAddr> {
    let address = getsockname::<SockaddrStorage>(socket).ok()?;
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into());
    v4.or_else(|| {
        let v6 = SocketAddrV6::from(*address.as_sockaddr_in6()?);
        // The flow and the scope are not part of what was configured.
        Some(SocketAddr::new(IpAddr::V6(*v6.ip()), v6.port()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> (std::net::TcpListener, Listener) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, Listener { address, tls: false, proxy_protocol: false })
    }

    #[test]
    fn a_listener_is_found_by_its_address() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(any) else { continue };
            let address = listener.local_addr().unwrap();
            let _client = std::net::TcpStream::connect(address).unwrap();
            assert_eq!(find(address), Some(listener.as_raw_fd()), "{address}");
            drop(listener);
            assert_eq!(find(address), None);
        }
    }

    #[tokio::test]
    async fn listeners_that_are_sent_arrive_and_one_that_only_connects_is_no_predecessor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upgrade.sock");
        assert!(matches!(send(&path, &[]).await, Err(Error::NoSuccessor(_))));
        let (waiting, at) = (path.clone(), path.clone());
        let successor = tokio::spawn(async move { receive(&waiting).await });
        while UnixStream::connect(&at).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let ((first, one), (_second, two)) = (listener(), listener());
        send(&path, &[one, two]).await.unwrap();
        let received = successor.await.unwrap().unwrap();
        assert_eq!(received.names, format!("{} {}", one.address, two.address));
        assert_eq!(local_address(received.sockets[0]), Some(one.address));
        assert!(!path.exists());
        let table: ListenFds = std::sync::Arc::new(parking_lot::Mutex::new(pingora_core::server::Fds::new()));
        let socket = received.sockets[1];
        received.put_into(&table, &[two]);
        assert_eq!(table.lock().get(&two.address.to_string()), Some(&socket));
        assert!(table.lock().get(&one.address.to_string()).is_none());
        drop(first);
    }

    #[test]
    fn a_socket_with_another_address_than_was_said_is_refused() {
        let (socket, named) = listener();
        let fd = || std::os::fd::IntoRawFd::into_raw_fd(socket.try_clone().unwrap());
        let received = |names: &str| Received { names: names.into(), sockets: vec![fd()] }.checked();
        assert!(received(&named.address.to_string()).is_ok());
        for wrong in ["", "127.0.0.1:1", "not an address", &format!("{0} {0}", named.address)] {
            assert!(received(wrong).is_err(), "{wrong}");
        }
    }
}
