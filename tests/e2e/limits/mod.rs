//! The resources that clients can use: time, connections, memory, pairs. After each attack, the relay serves the next good
//! request.

mod bodies;
mod connections;
mod gathered;
mod memory;
mod shares;

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Relay, Wire};

/// Generous, because the machine may be busy; but no client determines how long something takes.
const BOUND: Duration = Duration::from_secs(20);

/// Sends `part` repeatedly until there is a response; returns its status, and how long it took.
async fn trickle(wire: Wire, part: &[u8], pause: Duration) -> (u16, Duration) {
    let start = Instant::now();
    let (mut reader, mut writer) = wire.stream.into_split();
    let sending = async {
        loop {
            tokio::time::sleep(pause).await;
            if writer.write_all(part).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let reading = async {
        let mut head = [0; 12];
        match reader.read_exact(&mut head).await {
            Ok(_) => std::str::from_utf8(&head[9..]).unwrap().parse().unwrap(),
            Err(_) => 0,
        }
    };
    let status = tokio::select! {
        status = reading => status,
        () = sending => 0,
        () = tokio::time::sleep(BOUND) => 0,
    };
    (status, start.elapsed())
}

/// How many connections were refused for this reason.
fn refused(relay: &Relay, cause: &str) -> u64 {
    relay.shared.metrics.malformed.with_label_values(&[cause]).get()
}
