//! The operators' own listener. Never on a tenant's listener, and on a thread of its own.
//!
//! | route | what it is |
//! | --- | --- |
//! | `GET /` | the status page |
//! | `GET /status.json` | what the page draws: the last ten minutes |
//! | `GET /metrics` | metrics for Prometheus |
//! | `GET /livez` | 200 while the process works |
//! | `GET /readyz` | 200 if requests may be sent here, else 503; why, in JSON |
//! | `GET /config` | the effective settings as YAML, secrets masked |
//! | `GET /log-level`, `PUT /log-level` | the log's level, as text |
//! | `POST /reload` | reads the configuration again; what is wrong with it, if anything is |
//!
//! What is not GET or HEAD changes something and needs the admin token, or comes over the Unix socket.

mod history;
mod ready;
mod routes;

use std::{
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

pub use self::{
    history::{History, sample},
    ready::{Readiness, readiness},
};
use crate::{
    lifecycle::{Lifecycle, Phase},
    relay::Shared,
    reload::Reloader,
};

/// A successor waits this long between attempts at an address that its predecessor still has.
const RETRY: Duration = Duration::from_millis(50);
/// A request's head may take this long.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    /// Over TCP: changes need the token.
    Tcp,
    /// Over the Unix socket, whose mode says who may.
    Socket,
}

/// Serves until the relay hands over to a successor, which wants the address; or until dropped.
pub async fn serve(shared: Arc<Shared>, reloader: Option<Arc<Reloader>>) {
    let admin = shared.config.load().admin.clone();
    let tcp = async {
        if let Some(address) = admin.address {
            over_tcp(address, admin.required, &shared, &reloader).await;
        }
    };
    let socket = async {
        if let Some(path) = &admin.socket {
            over_socket(path, &shared, &reloader).await;
        }
    };
    let both = async { tokio::join!(tcp, socket) };
    tokio::select! {
        _ = both => {}
        () = handed_over(&shared.lifecycle) => {}
    }
}

/// A draining relay keeps telling that it drains; one that hands over lets its successor tell.
async fn handed_over(lifecycle: &Lifecycle) {
    lifecycle.leaving().await;
    if lifecycle.phase() != Phase::HandingOver {
        std::future::pending().await
    }
}

async fn over_tcp(
    address: SocketAddr,
    required: bool,
    shared: &Arc<Shared>,
    reloader: &Option<Arc<Reloader>>,
) {
    let mut told = false;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) => {
                if !told {
                    let hint =
                        if required { "trying on" } else { "trying on; admin.address chooses another" };
                    log::warn!("the admin listener cannot listen on {address}: {error}; {hint}");
                    told = true;
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    if told {
        log::info!("the admin listener listens on {address}");
    }
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connection(stream, Via::Tcp, shared, reloader),
            Err(error) => rest(&error).await,
        }
    }
}

async fn over_socket(path: &Path, shared: &Arc<Shared>, reloader: &Option<Arc<Reloader>>) {
    // What an earlier process left behind is nobody's; anything but a socket is somebody's.
    if path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket()) {
        let _ = std::fs::remove_file(path);
    }
    let listener = UnixListener::bind(path).and_then(|listener| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            let why = format!("the admin socket {} cannot be made: {error}", path.display());
            return shared.lifecycle.fail(why);
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connection(stream, Via::Socket, shared, reloader),
            Err(error) => rest(&error).await,
        }
    }
}

/// Out of file descriptors, most likely: they come back.
async fn rest(error: &std::io::Error) {
    log::warn!("the admin listener cannot accept a connection: {error}");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    via: Via,
    shared: &Arc<Shared>,
    reloader: &Option<Arc<Reloader>>,
) {
    let (shared, reloader) = (shared.clone(), reloader.clone());
    tokio::spawn(async move {
        let service = service_fn(|request| routes::answer(request, via, &shared, reloader.as_ref()));
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let served = std::pin::pin!(served);
        // A connection that ends badly is its client's affair.
        let _ = served.await;
    });
}
