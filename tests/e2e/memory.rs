//! Memory for a streamed body: a gibibyte in each direction must not grow a relay by more than a few buffers.
//!
//! The relay is a separate process, so that its memory can be measured, and a release build, so that this takes only seconds.

use std::time::Duration;

use mte_client::{Body, RelayClient};

use crate::harness::{
    HOST, Pattern, Process, Setup, Upstream, digest, free_port, release_binary, run_within,
};

const GIB: u64 = 1 << 30;
const MAX_GROWTH: u64 = 16 << 20;

#[test]
fn a_gibibyte_up_and_down_takes_no_more_memory_than_a_few_buffers() {
    let binary = release_binary();
    run_within(Duration::from_secs(300), async {
        let upstream = Upstream::standard().await;
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("relay.yaml");
        let setup = Setup::default().top("pool_size: 600").tenant(HOST, &upstream.url(), "");
        std::fs::write(&file, setup.text(port)).unwrap();
        let relay = Process::start_binary(binary, &["run", "--config", file.to_str().unwrap()], port);
        let start = relay.peak_memory();
        let url = format!("http://127.0.0.1:{port}");
        let client = RelayClient::builder(url).host(HOST).pairs(1).build().unwrap();

        // Smaller transfers first, so that memory of the first use and the allocator's reserve are allocated.
        let exchange = async |up: Pattern, down: &str, len: u64| {
            let response = client.post(format!("/{down}/{len}"), Body::wrap(up)).await.unwrap();
            digest(response.into_body()).await.unwrap()
        };
        const SOME: u64 = 96 << 20;
        exchange(Pattern::known(SOME), "stream", SOME).await;
        exchange(Pattern::unknown(SOME), "bytes", SOME).await;
        let before = relay.peak_memory();
        let expected = Pattern::digest(GIB);
        for (body, down) in [(Pattern::known(GIB), "stream"), (Pattern::unknown(GIB), "bytes")] {
            let got = exchange(body, down, GIB).await;
            assert_eq!(got, expected);
        }
        assert!(upstream.seen()[2..].iter().all(|seen| seen.body == expected));
        let growth = relay.peak_memory() - before;
        println!("peak {} KiB at the start, then {}, then {} more", start >> 10, before >> 10, growth >> 10);
        assert!(growth < MAX_GROWTH, "grown by {} KiB", growth >> 10);
    });
}
