//! Pingora's service behind the listeners: it gets the sockets, its start makes the relay ready, and its end stops
//! the relay.

use std::{
    future::poll_fn, net::TcpListener, os::fd::IntoRawFd, panic::AssertUnwindSafe, pin::pin, sync::Arc,
};

use async_trait::async_trait;
use futures_util::FutureExt;
use pingora_core::{
    server::{ListenFds, RuntimeOpts, ShutdownWatch},
    services::Service as PingoraService,
};

use super::{CannotListen, Listening, Lost, listen};
use crate::{config::Listener, lifecycle::Lifecycle};

/// The service, with its sockets.
pub(crate) struct Supervised<S> {
    service: S,
    listeners: Vec<Listener>,
    /// A socket for each listener, until the start.
    sockets: Vec<TcpListener>,
    listening: Arc<Listening>,
    lifecycle: Arc<Lifecycle>,
    /// Called once every listener accepts.
    ready: Box<dyn Fn() + Send + Sync>,
}

/// The sockets are closed when the service ends, whether it returns or is dropped.
struct Held<'a>(&'a Listening);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<S: PingoraService> Supervised<S> {
    pub(crate) fn new(
        service: S,
        listeners: Vec<Listener>,
        sockets: Vec<TcpListener>,
        listening: Arc<Listening>,
        lifecycle: Arc<Lifecycle>,
        ready: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { service, listeners, sockets, listening, lifecycle, ready: Box::new(ready) }
    }

    /// Lets clients connect, and puts a duplicate of every socket into Pingora's table.
    fn fill(&mut self, table: &ListenFds) -> Result<(), CannotListen> {
        let sockets = std::mem::take(&mut self.sockets);
        for (Listener { address, .. }, socket) in self.listeners.iter().zip(&sockets) {
            let duplicate = listen(socket).and_then(|()| socket.try_clone());
            let duplicate = duplicate.map_err(CannotListen::at(*address))?;
            table.lock().add(address.to_string(), duplicate.into_raw_fd());
        }
        self.listening.hold(sockets);
        Ok(())
    }
}

#[async_trait]
impl<S: PingoraService> PingoraService for Supervised<S> {
    async fn start_service(&mut self, table: Option<ListenFds>, shutdown: ShutdownWatch, tasks: usize) {
        if let Some(table) = &table
            && let Err(why) = self.fill(table)
        {
            return self.lifecycle.fail(why);
        }
        let Self { service, listening, lifecycle, ready, .. } = self;
        let _held = Held(listening);
        // Every socket is in the table, so Pingora has nothing to wait for before its accept loops run: when its future is
        // pending for the first time, they do. `unconstrained` keeps tokio's budget from making it pending earlier.
        let serving = service.start_service(table, shutdown.clone(), tasks);
        let mut serving = pin!(AssertUnwindSafe(tokio::task::unconstrained(serving)).catch_unwind());
        let mut starting = true;
        let serving = poll_fn(|context| {
            let polled = serving.as_mut().poll(context);
            if polled.is_pending() && std::mem::take(&mut starting) {
                listening.serve();
                ready();
            }
            polled
        });
        // The service ends some time after it has stopped accepting; until then no connection would be accepted.
        let mut stopping = shutdown.clone();
        let closing = async {
            let _ = stopping.wait_for(|stopping| *stopping).await;
            listening.close();
            std::future::pending::<()>().await;
        };
        let served = tokio::select! {
            served = serving => served,
            () = closing => return,
        };
        if served.is_err() {
            lifecycle.fail(Lost::Panicked);
        } else if !*shutdown.borrow() && !lifecycle.is_leaving() {
            lifecycle.fail(Lost::Stopped);
        }
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }

    fn runtime_opts_override(&self, global: &RuntimeOpts) -> Option<RuntimeOpts> {
        self.service.runtime_opts_override(global)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        self.service.listen_addresses()
    }
}
