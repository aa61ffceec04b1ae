//! A wire that is listened to: passes everything on, and keeps it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::harness::free_port;

/// A proxy for TCP on a free port.
pub(super) struct Tap {
    pub(super) address: SocketAddr,
    recorded: Arc<Mutex<Vec<u8>>>,
    accepted: Arc<AtomicUsize>,
}

impl Tap {
    pub(super) async fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", free_port())).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (recorded, accepted) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<AtomicUsize>::default());
        let (keep, count) = (recorded.clone(), accepted.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let keep = keep.clone();
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    near.set_nodelay(true).unwrap();
                    far.set_nodelay(true).unwrap();
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    tokio::join!(pass(near_in, far_out, &keep), pass(far_in, near_out, &keep));
                });
            }
        });
        Self { address, recorded, accepted }
    }

    /// Everything that has passed, in the pieces in which it came.
    pub(super) fn recorded(&self) -> Vec<u8> {
        self.recorded.lock().clone()
    }

    /// Whether this has passed.
    pub(super) fn saw(&self, text: impl AsRef<[u8]>) -> bool {
        let text = text.as_ref();
        memchr::memmem::find(&self.recorded(), text).is_some()
    }

    /// Connections so far.
    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// The most that is kept: more than the tests that search it send.
const MAX_RECORD: usize = 64 << 20;

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, record: &Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        let mut record = record.lock();
        if record.len() < MAX_RECORD {
            record.extend_from_slice(&buffer[..read]);
        }
    }
    let _ = to.shutdown().await;
}
