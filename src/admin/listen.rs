//! The admin listener's sockets and connections.
//!
//! It responds even when the relay's clients have used up all file descriptors: see [`Reserve`]. Connections are
//! short-lived, so that idle ones cannot use up the limit.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use super::{Admin, Transport, routes};
use crate::{descriptors, private_socket};

/// Time between attempts to bind an address that the predecessor still has.
const RETRY: Duration = Duration::from_millis(50);
/// Time limit for a request's head, and for the wait between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// After this time, a connection is closed once its request has been answered.
const LIFETIME: Duration = Duration::from_secs(60);
/// Time limit for that answer.
const LAST_ANSWER: Duration = Duration::from_secs(30);
/// Maximum number of connections on each of the two sockets; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// Time until the next attempt if not even a reserved descriptor is left.
const REST: Duration = Duration::from_millis(100);
/// How often it is logged that connections cannot be accepted.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// One of the two sockets.
enum Listener {
    Tcp(TcpListener),
    Socket(UnixListener),
}

/// A connection to one of them.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Listener {
    fn tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Self::Tcp)
    }

    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Transport)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                let transport = Transport::Tcp { client: client.ip(), local: stream.local_addr()?.ip() };
                Ok((Box::new(stream), transport))
            }
            Self::Socket(listener) => Ok((Box::new(listener.accept().await?.0), Transport::Socket)),
        }
    }
}

pub(super) async fn over_tcp(address: SocketAddr, required: bool, admin: &Arc<Admin>) {
    let hint = if required { "retrying" } else { "retrying; set admin.address to use another" };
    let bound = admin.bound.lock().take();
    let listener = match bound.map(Listener::tcp) {
        Some(Ok(listener)) => listener,
        _ => persistently(address, hint).await,
    };
    log::info!("the admin listener listens on {address}");
    serve(listener, admin).await;
}

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
enum NoAdminSocket {
    #[error("the admin socket cannot be created: {0}")]
    Make(#[from] private_socket::Error),
    #[error("the admin socket cannot be created: {0}")]
    Use(#[from] io::Error),
}

pub(super) async fn over_socket(path: &Path, admin: &Arc<Admin>) {
    let listener = loop {
        match private_socket::listen(path) {
            Ok(listener) => break listener,
            // A predecessor may still be there.
            Err(private_socket::Error::InUse(_)) => sleep(RETRY).await,
            Err(error) => return admin.parts.lifecycle.fail(NoAdminSocket::from(error)),
        }
    };
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => Listener::Socket(listener),
        Err(error) => return admin.parts.lifecycle.fail(NoAdminSocket::from(error)),
    };
    log::info!("the admin socket is {}", path.display());
    serve(listener, admin).await;
}

/// Listens as soon as that is possible: a predecessor may still be there.
async fn persistently(address: SocketAddr, hint: &str) -> Listener {
    let mut said = false;
    loop {
        match std::net::TcpListener::bind(address).and_then(Listener::tcp) {
            Ok(listener) => return listener,
            Err(error) if !said => {
                log::warn!("the admin listener cannot listen on {address}: {error}; {hint}");
                said = true;
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}

/// Accepts connections and serves them, until dropped.
async fn serve(listener: Listener, admin: &Arc<Admin>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut said: Option<Instant> = None;
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = loop {
            match listener.accept().await {
                // A reserved descriptor is released; the next attempt uses it.
                Err(error) if descriptors::are_exhausted(&error) && admin.reserve.release() => {}
                accepted => break accepted,
            }
        };
        match accepted {
            Ok((stream, transport)) => {
                tokio::spawn(connection(stream, transport, admin.clone(), place));
            }
            Err(error) => {
                if said.is_none_or(|at| at.elapsed() > SAID_EVERY) {
                    log::warn!("the admin listener cannot accept a connection: {error}");
                    said = Some(Instant::now());
                }
                sleep(REST).await;
                admin.reserve.fill();
            }
        }
    }
}

async fn connection(
    stream: Box<dyn Stream>,
    transport: Transport,
    admin: Arc<Admin>,
    _place: OwnedSemaphorePermit,
) {
    {
        let service = service_fn(|request| routes::answer(request, transport, &admin));
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let mut served = pin!(served);
        // Errors of a connection only concern its client.
        if timeout(LIFETIME, served.as_mut()).await.is_err() {
            served.as_mut().graceful_shutdown();
            let _ = timeout(LAST_ANSWER, served).await;
        }
    }
    // Its descriptor is free now.
    admin.reserve.fill();
}
