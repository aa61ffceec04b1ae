//! The listening sockets. The relay binds them itself, before anything else is started, so that an address that is taken
//! ends the process with a reason; Pingora takes them from its table of descriptors. What serves them is watched: a relay
//! without a listener does not stay half-alive.
//!
//! An IPv6 socket takes IPv6 connections only, whatever the system's default is: `0.0.0.0:443` and `[::]:443` are two
//! listeners.

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::IntoRawFd,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::FutureExt;
use pingora_core::{
    server::{ListenFds, RuntimeOpts, ShutdownWatch},
    services::{Service as PingoraService, listening::Service},
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::{config::Listener, edge::Edge, handover::Received, lifecycle::Lifecycle};

/// Connections that wait to be accepted; Pingora asks for more once it serves.
const BACKLOG: i32 = 1_024;

/// Which listeners have accepted a connection, by their index in the configuration.
#[derive(Debug)]
pub struct Listening(Vec<AtomicBool>);

impl Listening {
    pub(crate) fn new(listeners: usize) -> Self {
        Self(std::iter::repeat_with(AtomicBool::default).take(listeners).collect())
    }

    /// A listener has accepted a connection.
    pub(crate) fn accepts(&self, index: usize) {
        if let Some(accepts) = self.0.get(index)
            && !accepts.load(Ordering::Relaxed)
        {
            accepts.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a listener has.
    pub fn is_accepting(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|accepts| accepts.load(Ordering::Relaxed))
    }
}

/// Binds an address, which fails if another socket listens there. Clients cannot connect before [`listen`].
///
/// # Errors
/// The system's.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted relay need not wait for its predecessor's last connections.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Lets clients connect; their connections wait until they are accepted.
///
/// # Errors
/// The system's: the address was taken since it was bound.
fn listen(socket: TcpListener) -> io::Result<TcpListener> {
    SockRef::from(&socket).listen(BACKLOG)?;
    Ok(socket)
}

/// The service behind the listeners: binds what is not bound yet, and ends the relay if it cannot be served.
pub(crate) struct Supervised {
    service: Service<Edge>,
    listeners: Vec<Listener>,
    /// Bound before the start.
    bound: HashMap<SocketAddr, TcpListener>,
    /// Handed over by a predecessor.
    received: Option<Received>,
    lifecycle: Arc<Lifecycle>,
}

impl Supervised {
    pub(crate) fn new(
        service: Service<Edge>,
        listeners: Vec<Listener>,
        bound: HashMap<SocketAddr, TcpListener>,
        received: Option<Received>,
        lifecycle: Arc<Lifecycle>,
    ) -> Self {
        Self { service, listeners, bound, received, lifecycle }
    }

    /// Puts every listener into the table, unless a predecessor handed it over.
    fn fill(&mut self, table: &ListenFds) -> Result<(), String> {
        if let Some(received) = self.received.take() {
            received.put_into(table, &self.listeners);
        }
        for Listener { address, .. } in &self.listeners {
            let mut table = table.lock();
            let name = address.to_string();
            if table.get(&name).is_none() {
                let bound = self.bound.remove(address).map_or_else(|| bind(*address), Ok);
                let socket =
                    bound.and_then(listen).map_err(|error| format!("cannot listen on {address}: {error}"))?;
                table.add(name, socket.into_raw_fd());
            }
        }
        Ok(())
    }
}

#[async_trait]
impl PingoraService for Supervised {
    async fn start_service(&mut self, table: Option<ListenFds>, shutdown: ShutdownWatch, tasks: usize) {
        if let Some(table) = &table
            && let Err(why) = self.fill(table)
        {
            return self.lifecycle.fail(why);
        }
        let serving = self.service.start_service(table, shutdown.clone(), tasks);
        let served = AssertUnwindSafe(serving).catch_unwind().await;
        if served.is_err() {
            self.lifecycle.fail("the listeners cannot be served: their thread ended with a panic".to_owned());
        } else if !*shutdown.borrow() && !self.lifecycle.is_leaving() {
            self.lifecycle.fail("the listeners have stopped accepting connections".to_owned());
        }
    }

    fn name(&self) -> &str {
        PingoraService::name(&self.service)
    }

    fn threads(&self) -> Option<usize> {
        PingoraService::threads(&self.service)
    }

    fn runtime_opts_override(&self, global: &RuntimeOpts) -> Option<RuntimeOpts> {
        PingoraService::runtime_opts_override(&self.service, global)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        PingoraService::listen_addresses(&self.service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_listen_on_one_port_and_an_address_only_once() {
        let bind = |address| bind(address).and_then(listen);
        let any = bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = any.local_addr().unwrap().port();
        // A machine without IPv6 has nothing to show here.
        if let Ok(six) = bind(SocketAddr::new("::".parse().unwrap(), port)) {
            assert_eq!(six.local_addr().unwrap().port(), port);
            assert!(bind(SocketAddr::new("::1".parse().unwrap(), port)).is_err());
        }
        assert!(bind(SocketAddr::new("127.0.0.1".parse().unwrap(), port)).is_err());
    }

    #[test]
    fn a_listener_accepts_once_it_has() {
        let listening = Listening::new(2);
        listening.accepts(1);
        listening.accepts(7);
        assert_eq!([0, 1, 2].map(|index| listening.is_accepting(index)), [false, true, false]);
    }
}
