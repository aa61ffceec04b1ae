//! What a streamed body costs the two relays: a gibibyte up and down must not grow either by more than a few buffers.
//!
//! The relays are processes of their own, so that their memory can be measured; a release build, so that this takes seconds.

use std::time::{Duration, Instant};

use hyper::body::Body;

use super::{App, LOOPBACK, relay_a};
use crate::harness::{Pattern, Process, Setup, Upstream, digest, free_port, release_binary, run_within};

const GIB: u64 = 1 << 30;
const MAX_GROWTH: u64 = 16 << 20;

struct Measured {
    process: Process,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Measured {
    fn start(setup: &Setup) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("relay.yaml");
        std::fs::write(&file, setup.text(port)).unwrap();
        let process =
            Process::start_binary(release_binary(), &["run", "--config", file.to_str().unwrap()], port);
        Self { process, port, _folder: folder }
    }
}

#[test]
fn a_gibibyte_each_way_through_two_relays_takes_no_more_memory_than_a_few_buffers() {
    run_within(Duration::from_secs(600), async {
        let upstream = Upstream::standard().await;
        let b = Measured::start(&Setup::default().top("pool_size: 600").tenant("*", &upstream.url(), ""));
        let a = Measured::start(&relay_a("pool_size: 600", LOOPBACK));
        let peer = format!("http://127.0.0.1:{}", b.port);
        let mut app = App::connect(([127, 0, 0, 1], a.port).into(), peer).await;
        let expected = Pattern::digest(GIB);
        // Once in small, so that what is made on first use, and what the allocator keeps at hand, is there.
        warm(&mut app).await;
        let before = [a.process.peak_memory(), b.process.peak_memory()];
        let began = Instant::now();
        for (body, down) in [(Pattern::known(GIB), "stream"), (Pattern::unknown(GIB), "bytes")] {
            assert_eq!(exchange(&mut app, body, down, GIB).await, expected);
        }
        assert!(upstream.seen()[1..].iter().all(|seen| seen.body == expected));
        // The kernel counts pages per thread and adds them up now and then: a peak may read a little lower than before.
        let growth = [
            a.process.peak_memory().saturating_sub(before[0]),
            b.process.peak_memory().saturating_sub(before[1]),
        ];
        println!(
            "{:?} for 4 GiB; A grew by {} KiB, B by {} KiB",
            began.elapsed(),
            growth[0] >> 10,
            growth[1] >> 10
        );
        assert!(growth.iter().all(|growth| *growth < MAX_GROWTH), "{growth:?}");
    });
}

async fn warm(app: &mut App) {
    exchange(app, Pattern::unknown(32 << 20), "stream", 32 << 20).await;
}

async fn exchange<B>(app: &mut App, body: B, down: &str, len: u64) -> crate::harness::Digest
where
    B: Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<mte_client::BoxError>,
{
    let response = app.send("POST", &format!("/{down}/{len}"), body).await.unwrap();
    assert_eq!(response.status(), 200);
    digest(response.into_body()).await.unwrap()
}
