//! Secrets in the memory of a running relay: a pair's secrets exist once while they are needed, and not at all afterwards
//! (docs/codec.md, section 3). The tests read the memory of a release build, because the compiler decides where a moved value
//! is copied.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Empty, Full};
use mte_codec::KemId;
use tokio::sync::Notify;

use crate::harness::{
    HOST, KnownPair, Process, Setup, Upstream, Wire, channel, free_port, release_binary, reply, run_within,
    skip,
};

/// A value to search for in memory, with its name.
type Wanted = (String, [u8; 32]);

/// How often each secret occurs in a process's memory.
fn count(pid: u32, wanted: &[Wanted]) -> io::Result<Vec<usize>> {
    // Two bytes rule out most places; this build is not optimised.
    let mut begins = vec![false; 1 << 16];
    for (_, secret) in wanted {
        begins[usize::from(u16::from_le_bytes([secret[0], secret[1]]))] = true;
    }
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut counts = vec![0; wanted.len()];
    for range in written(pid)? {
        let mut part = vec![0; (range.end - range.start) as usize];
        // It may have been unmapped in the meantime.
        if memory.read_exact_at(&mut part, range.start).is_err() {
            continue;
        }
        for (at, pair) in part.windows(2).enumerate() {
            if begins[usize::from(u16::from_le_bytes([pair[0], pair[1]]))] {
                for ((_, secret), count) in wanted.iter().zip(&mut counts) {
                    *count += usize::from(part[at..].starts_with(secret));
                }
            }
        }
    }
    Ok(counts)
}

/// The memory that a process has written to: some mebibytes of the gibibyte that its allocator reserves.
fn written(pid: u32) -> io::Result<Vec<Range<u64>>> {
    let (pages, size) = (File::open(format!("/proc/{pid}/pagemap"))?, procfs::page_size());
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for line in std::fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let mut fields = line.split(' ');
        let (range, mode) = (fields.next().unwrap(), fields.next().unwrap());
        if !mode.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut entries = vec![0; ((end - start) / size * 8) as usize];
        pages.read_exact_at(&mut entries, start / size * 8)?;
        for (index, entry) in entries.as_chunks().0.iter().enumerate() {
            // The two highest bits: in memory, or swapped out.
            if u64::from_le_bytes(*entry) >> 62 == 0 {
                continue;
            }
            let at = start + index as u64 * size;
            match ranges.last_mut().filter(|last| last.end == at) {
                Some(last) => last.end += size,
                None => ranges.push(at..at + size),
            }
        }
    }
    Ok(ranges)
}

/// Expects this many copies of each secret; a request's copies are wiped shortly after its response.
#[track_caller]
fn expect(pid: u32, wanted: &[Wanted], copies: usize, when: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let counts = count(pid, wanted).unwrap();
        if counts.iter().all(|count| *count == copies) {
            return;
        }
        if Instant::now() > end {
            let wrong = wanted.iter().zip(counts).filter(|(_, count)| *count != copies);
            let wrong: Vec<_> = wrong.map(|((name, _), count)| format!("{name}: {count}")).collect();
            panic!("{when}, expected {copies} of each: {}", wrong.join(", "));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn entropies(pairs: &[KnownPair]) -> Vec<Wanted> {
    let both = pairs.iter().enumerate().flat_map(|(index, pair)| {
        let names = ["c2s", "s2c"].map(|direction| format!("the entropy {direction} of pair {index}"));
        names.into_iter().zip(pair.entropies)
    });
    both.collect()
}

fn epochs(index: usize, pair: &KnownPair, epochs: impl IntoIterator<Item = u64> + Clone) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (direction, root) in ["c2s", "s2c"].into_iter().zip(&pair.roots) {
        for epoch in epochs.clone() {
            let name = format!("epoch {epoch} {direction} of pair {index}");
            wanted.push((name, *root.at(epoch).unwrap().as_bytes()));
        }
    }
    wanted
}

/// Requests whose duration the test controls.
#[derive(Default)]
struct Gates {
    events: Notify,
    answer: Notify,
}

async fn upstream(gates: Arc<Gates>) -> Upstream {
    Upstream::serve(move |request| {
        let gates = gates.clone();
        async move {
            match request.uri().path() {
                "/events" => {
                    let (sender, body) = channel();
                    tokio::spawn(async move {
                        for event in ["data: first\n\n", "data: second\n\n"] {
                            let _ = sender.send(Ok(Bytes::from_static(event.as_bytes()))).await;
                            gates.events.notified().await;
                        }
                    });
                    return Ok(reply(body.boxed_unsync()));
                }
                "/slow" => gates.answer.notified().await,
                "/upload" => drop(request.into_body().collect().await?),
                "/nothing" => return Ok(reply(Empty::<Bytes>::new().map_err(|never| match never {}))),
                _ => {}
            }
            Ok(reply(Full::from("an answer").map_err(|never| match never {})))
        }
    })
    .await
}

#[test]
fn the_secrets_of_past_epochs_are_nowhere_in_memory() {
    let binary = release_binary();
    run_within(Duration::from_secs(300), async {
        let gates = Arc::new(Gates::default());
        let upstream = upstream(gates.clone()).await;
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("relay.yaml");
        std::fs::write(&file, Setup::default().tenant(HOST, &upstream.url(), "").text(port)).unwrap();
        let relay = Process::start_binary(binary, &["run", "--config", file.to_str().unwrap()], port);
        let (pid, address) = (relay.id(), ([127, 0, 0, 1], port).into());
        if let Err(error) = count(pid, &[]) {
            skip(&format!("the memory of a relay can only be read by root: {error}"));
            return;
        }

        // One pair is created on a worker, ten on the blocking pool, whose copies are on other stacks.
        for (pairs, kem) in [(1, KemId::MlKem768), (5, KemId::XWing), (10, KemId::MlKem1024)] {
            let mut pairs = KnownPair::make(address, pairs, kem).await;
            expect(pid, &entropies(&pairs), 0, "right after pairing");
            let roots: Vec<_> =
                pairs.iter().enumerate().flat_map(|(index, pair)| epochs(index, pair, [0])).collect();
            expect(pid, &roots, 1, "right after pairing");

            let pair = &mut pairs[0];
            let mut streams = Streams::begin(address, pair).await;
            let [mut one, mut other] = [Wire::connect(address).await, Wire::connect(address).await];
            while pair.epoch() < 20 {
                pair.get(&mut one, "/").await;
                pair.get(&mut other, "/nothing").await;
            }
            let left = epochs(0, pair, [0, 1, 2, 3]);
            expect(pid, &left, 0, "after 20 epochs, with streams from epoch 0 that continue");
            // The responses are equally far: two numbers each, like their requests.
            expect(pid, &epochs(0, pair, [pair.epoch()]), 1, "in the current epoch");
            // Only some of them: there are hundreds.
            let keys = pair.message_keys.iter().enumerate().step_by(16);
            let keys: Vec<_> =
                keys.map(|(index, key)| (format!("the key of message {index}"), *key)).collect();
            expect(pid, &keys, 0, "once their messages are opened");

            streams.end(&gates).await;
            expect(pid, &left, 0, "after the streams have ended");
            expect(pid, &entropies(&pairs), 0, "at the end");
        }
    });
}

/// Exchanges of epoch 0 that continue.
struct Streams {
    events: Wire,
    upload: Wire,
    sealer: mte_codec::Sealer,
    slow: Wire,
}

impl Streams {
    /// Begins a response that never ends, a request that never ends, and one whose answer does not begin.
    async fn begin(address: std::net::SocketAddr, pair: &mut KnownPair) -> Self {
        let mut events = Wire::connect(address).await;
        events.send(pair.request(&Method::GET, "/events", false).0).await;
        assert_eq!(events.head().await.unwrap().status(), 200);
        events.some().await.expect("the first event");

        let mut upload = Wire::connect(address).await;
        let (head, sealer) = pair.request(&Method::POST, "/upload", true);
        let mut sealer = sealer.unwrap();
        upload.send(head).await;
        upload.chunk(&sealer.seal(&[7; 100_000], false).unwrap()).await;

        let mut slow = Wire::connect(address).await;
        slow.send(pair.request(&Method::GET, "/slow", false).0).await;
        Self { events, upload, sealer, slow }
    }

    /// Ends them, and checks that they still work.
    async fn end(&mut self, gates: &Gates) {
        gates.events.notify_one();
        self.events.some().await.expect("the second event");
        gates.events.notify_one();
        self.upload.chunk(&self.sealer.seal(b"the end", true).unwrap()).await;
        self.upload.send("0\r\n\r\n").await;
        assert_eq!(self.upload.response(false).await.unwrap().status(), 200);
        gates.answer.notify_one();
        assert_eq!(self.slow.response(false).await.unwrap().status(), 200);
    }
}

#[test]
fn a_running_relay_writes_no_core_dump() {
    run_within(Duration::from_secs(60), async {
        let upstream = Upstream::standard().await;
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("relay.yaml");
        std::fs::write(&file, Setup::default().tenant(HOST, &upstream.url(), "").text(port)).unwrap();
        let relay = Process::start(&["run", "--config", file.to_str().unwrap()], &[], port);
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", relay.id())).unwrap();
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let cores: Vec<_> = cores.split_whitespace().collect();
        assert_eq!(cores[4..], ["0", "0", "bytes"]);
        // The files in /proc of a process that is not dumpable belong to root.
        let owner = std::fs::metadata(format!("/proc/{}/environ", relay.id())).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 0);
    });
}
