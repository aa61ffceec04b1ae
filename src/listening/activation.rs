//! Socket activation: systemd has bound the sockets and passes them at the start (sd_listen_fds(3)), `LISTEN_FDS` of them
//! from descriptor 3 on, for the process `LISTEN_PID`, with the names `LISTEN_FDNAMES`. Clients that connect while the
//! relay restarts wait in the sockets' queues.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use listenfd::ListenFd;

use super::{listens, local_address, takes_both_families};
use crate::config::Listener;

/// Why the sockets that systemd passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The environment contradicts itself.
    #[error("systemd's variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES cannot be used: {0}")]
    Environment(io::Error),
    /// A descriptor is not a listening TCP socket.
    #[error(
        "{0}, passed by systemd, is not a TCP socket that listens: the socket unit needs ListenStream= with Accept=no"
    )]
    NotListening(Name),
    /// A socket accepts IPv4 connections too.
    #[error(
        "{name} ({address}), passed by systemd, takes IPv4 connections too: add BindIPv6Only=ipv6-only to the socket unit"
    )]
    BothFamilies {
        /// The socket.
        name: Name,
        /// Its address.
        address: SocketAddr,
    },
    /// No listener has this socket's address.
    #[error(
        "{name} ({address}), passed by systemd, matches no listener: add {address} to `listeners`, or remove it from the socket unit"
    )]
    Unclaimed {
        /// The socket.
        name: Name,
        /// Its address.
        address: SocketAddr,
    },
}

/// A socket's name in messages: the number of its descriptor and `FileDescriptorName=`.
#[derive(Debug, Clone)]
pub struct Name(i32, String);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "socket {} {:?}", self.0, self.1)
    }
}

/// Sockets that systemd passed to this process.
#[derive(Debug, Default)]
pub struct Activated(Vec<(Name, SocketAddr, TcpListener)>);

impl Activated {
    /// Takes the sockets, and removes the variables from the environment: call this once, before there are other threads.
    ///
    /// # Errors
    /// A descriptor that was passed is not a usable listening socket.
    pub fn from_env() -> Result<Self, Error> {
        // Without LISTEN_PID, or with that of another process, no socket is for this process.
        let names = sd_notify::listen_fds_with_names().map_err(Error::Environment)?;
        if names.len() == 0 {
            return Ok(Self::default());
        }
        let mut passed = ListenFd::from_env();
        let sockets = names.enumerate().map(|(index, (descriptor, name))| {
            let name = Name(descriptor, name);
            let socket = passed.take_tcp_listener(index).ok().flatten().filter(listens);
            let address = socket.as_ref().and_then(local_address);
            let (Some(socket), Some(address)) = (socket, address) else {
                return Err(Error::NotListening(name));
            };
            if takes_both_families(&socket) {
                return Err(Error::BothFamilies { name, address });
            }
            Ok((name, address, socket))
        });
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// The sockets, if each of them has a listener's address.
    ///
    /// # Errors
    /// A socket matches no listener: clients that connect to it would never be served.
    pub fn claimed_by(self, listeners: &[Listener]) -> Result<Vec<TcpListener>, Error> {
        let sockets = self.0.into_iter().map(|(name, address, socket)| {
            let claimed = listeners.iter().any(|listener| listener.address == address);
            claimed.then_some(socket).ok_or(Error::Unclaimed { name, address })
        });
        sockets.collect()
    }
}
