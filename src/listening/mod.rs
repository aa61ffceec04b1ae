//! The listening sockets. The relay binds them itself, before anything else is started, so that the process ends with an
//! error if an address is in use; a service manager or a predecessor may have bound them already. Pingora gets duplicates
//! through its table of descriptors. The service behind them is supervised: if the listeners fail, the relay stops.
//!
//! A listener *accepts* while its socket listens and Pingora's accept loops run. The relay knows both without connecting
//! to itself.
//!
//! An IPv6 socket takes IPv6 connections only, whatever the system's default is: `0.0.0.0:443` and `[::]:443` are two
//! listeners.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `activation` | sockets that systemd passes |
//! | `supervised` | Pingora's service, supervised |

pub mod activation;
mod supervised;

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::sys::socket::{getsockopt, sockopt};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

pub(crate) use self::supervised::Supervised;
use crate::{config::Listener, lifecycle::Lifecycle};

/// Number of connections that wait to be accepted; Pingora raises it once it serves.
const BACKLOG: i32 = 1_024;
/// How often the sockets are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct CannotListen {
    /// The address.
    pub address: SocketAddr,
    /// The error of the operating system.
    #[source]
    pub error: io::Error,
}

impl CannotListen {
    pub(crate) fn at(address: SocketAddr) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { address, error }
    }
}

/// Why clients can no longer connect.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0} has stopped listening")]
    Socket(SocketAddr),
    #[error("a listener has stopped listening")]
    Unnamed,
    #[error("the listeners cannot be served: their thread ended with a panic")]
    Panicked,
    #[error("the listeners have stopped accepting connections")]
    Stopped,
}

/// The sockets of one relay's listeners, as long as it has them, and whether they are served.
#[derive(Debug, Default)]
pub struct Listening {
    sockets: Mutex<Vec<Arc<TcpListener>>>,
    served: AtomicBool,
}

impl Listening {
    /// The listeners' sockets in order, as passed to a successor. Empty once this relay stops accepting.
    pub fn sockets(&self) -> Vec<Arc<TcpListener>> {
        self.sockets.lock().clone()
    }

    fn hold(&self, sockets: Vec<TcpListener>) {
        *self.sockets.lock() = sockets.into_iter().map(Arc::new).collect();
    }

    fn serve(&self) {
        self.served.store(true, Ordering::Relaxed);
    }

    /// Closes the sockets: clients can connect as long as any process has one open.
    fn close(&self) {
        self.served.store(false, Ordering::Relaxed);
        self.sockets.lock().clear();
    }

    /// Whether a listener accepts connections, by its index in the configuration.
    pub fn is_accepting(&self, index: usize) -> bool {
        self.served.load(Ordering::Relaxed) && self.sockets.lock().get(index).is_some_and(|one| listens(one))
    }

    /// Ends the relay when a socket that is served no longer listens. Runs until dropped.
    pub(crate) async fn watch(&self, lifecycle: &Lifecycle) {
        let mut interval = tokio::time::interval(CHECK_INTERVAL);
        loop {
            interval.tick().await;
            let deaf = self.sockets.lock().iter().find(|socket| !listens(socket)).cloned();
            if let Some(socket) = deaf
                && self.served.load(Ordering::Relaxed)
            {
                lifecycle.fail(local_address(&socket).map_or(Lost::Unnamed, Lost::Socket));
            }
        }
    }
}

/// Whether the kernel completes connections to a socket.
fn listens(socket: &TcpListener) -> bool {
    getsockopt(socket, sockopt::AcceptConn).unwrap_or(false)
}

/// The address that a socket is bound to, in the form of a configuration: without the flow and scope of IPv6.
pub(crate) fn local_address(socket: &TcpListener) -> Option<SocketAddr> {
    Some(match socket.local_addr().ok()? {
        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0).into(),
        v4 @ SocketAddr::V4(_) => v4,
    })
}

/// A socket for each listener, in order: an `inherited` one with the same address, or else a new one.
///
/// # Errors
/// The address that cannot be bound.
pub(crate) fn open(
    listeners: &[Listener],
    mut inherited: Vec<TcpListener>,
) -> Result<Vec<TcpListener>, CannotListen> {
    let socket_for = |listener: &Listener| {
        let address = listener.address;
        match inherited.iter().position(|socket| local_address(socket) == Some(address)) {
            Some(index) => Ok(inherited.swap_remove(index)),
            None => bind(address).map_err(CannotListen::at(address)),
        }
    };
    listeners.iter().map(socket_for).collect()
}

/// Binds an address, which fails if another socket listens there. Clients cannot connect before [`listen`].
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted relay need not wait for its predecessor's last connections.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Lets clients connect; their connections wait until they are accepted. Fails if the address was taken since it was
/// bound.
fn listen(socket: &TcpListener) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    SockRef::from(socket).listen(BACKLOG)
}

/// Whether a socket takes connections of both families.
fn takes_both_families(socket: &TcpListener) -> bool {
    let any = |address: SocketAddr| matches!(address.ip(), IpAddr::V6(ip) if ip.is_unspecified());
    local_address(socket).is_some_and(any) && !SockRef::from(socket).only_v6().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: SocketAddr) -> Listener {
        Listener { address, tls: false, proxy_protocol: false }
    }

    #[test]
    fn both_families_listen_on_one_port_and_an_address_only_once() {
        let listening = |address| bind(address).and_then(|socket| listen(&socket).map(|()| socket));
        let any = listening("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = any.local_addr().unwrap().port();
        // There is nothing to test on a machine without IPv6.
        if let Ok(six) = listening(SocketAddr::new("::".parse().unwrap(), port)) {
            assert_eq!(six.local_addr().unwrap().port(), port);
            assert!(!takes_both_families(&six));
            assert!(listening(SocketAddr::new("::1".parse().unwrap(), port)).is_err());
        }
        assert!(listening(SocketAddr::new("127.0.0.1".parse().unwrap(), port)).is_err());
    }

    #[test]
    fn a_listener_takes_the_inherited_socket_with_its_address() {
        let (one, two) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [&two, &one].map(|socket| socket.local_addr().unwrap());
        let opened = open(&addresses.map(listener), vec![one, two]).unwrap();
        assert_eq!(opened.iter().map(|socket| socket.local_addr().unwrap()).collect::<Vec<_>>(), addresses);
    }

    #[test]
    fn a_listener_accepts_while_its_socket_listens_and_is_served() {
        let bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let [one, two] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let listening = Listening::default();
        let states = |listening: &Listening| [0, 1, 2, 3].map(|index| listening.is_accepting(index));
        let other = two.try_clone().unwrap();
        listening.hold(vec![bound, one, two]);
        assert_eq!(states(&listening), [false; 4]);
        listening.serve();
        assert_eq!(states(&listening), [false, true, true, false]);
        SockRef::from(&other).shutdown(std::net::Shutdown::Both).unwrap();
        assert_eq!(states(&listening), [false, true, false, false]);
        listening.close();
        assert_eq!(states(&listening), [false; 4]);
    }
}
