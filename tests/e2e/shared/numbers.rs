//! One client over several relays: every number once, one round trip a request.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Request;
use parking_lot::Mutex;

use super::{Site, sealed, send};
use crate::harness::{Relay, Session, Wire, run, run_within};

/// For what is done many times.
const LIMIT: Duration = Duration::from_secs(900);

const RELAYS: usize = 3;

/// How much is tried: as much as `make test-shared` does, or less.
fn size(all: usize, less: usize) -> usize {
    if std::env::var_os("MTE_RELAY_FULL_SIZE").is_some() { all } else { less }
}

#[test]
fn one_request_sent_to_three_relays_at_once_reaches_the_upstream_once_and_captured_ones_never_again() {
    let rounds = size(1_000, 200);
    run_within(LIMIT, async move {
        let site = Site::new(RELAYS).await;
        let session = Session::new(&site.relays[0]).await;
        let mut captured = Vec::new();
        for round in 1..=rounds {
            let request = sealed(&session);
            let [one, two, three] = [0, 1, 2].map(|relay| send(&site.relays[relay], &request));
            let (one, two, three) = tokio::join!(one, two, three);
            let mut statuses = [one, two, three];
            statuses.sort_unstable();
            assert_eq!((statuses, site.upstream.begun()), ([200, 562, 562], round));
            captured.push(request);
        }
        for (index, request) in captured.iter().enumerate() {
            for relay in &site.relays {
                assert_eq!(send(relay, request).await, 562, "{index}");
            }
        }
        assert_eq!(site.upstream.begun(), rounds);
    });
}

/// The number in a message's header.
fn number(message: &[u8]) -> u64 {
    u64::from_be_bytes(message[2..10].try_into().unwrap())
}

/// Numbers that were used, by direction.
#[derive(Default)]
struct Used {
    requests: Vec<u64>,
    responses: Vec<u64>,
}

/// Asserts that no number was used twice.
fn assert_distinct(numbers: &[u64], expected: usize) {
    let distinct = numbers.iter().collect::<BTreeSet<_>>().len();
    assert_eq!((numbers.len(), distinct), (expected, expected));
}

/// Sends requests to relays in turn, one after the other, and takes note of all numbers.
async fn send_in_turn(
    session: Arc<Session>,
    relays: Vec<SocketAddr>,
    turns: Range<usize>,
    used: Arc<Mutex<Used>>,
) {
    let mut wires = Vec::new();
    for address in relays {
        wires.push(Wire::connect(address).await);
    }
    for turn in turns {
        let request = Request::post("/").header("x-one", "1").body(Bytes::from_static(b"body"));
        let sealed = session.seal(request.unwrap());
        let wire = &mut wires[turn % RELAYS];
        wire.send(session.bytes(&sealed)).await;
        let answer = wire.response(false).await.unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        let headers = STANDARD.decode(answer.header("x-mte-relay-eh").unwrap()).unwrap();
        {
            let mut used = used.lock();
            used.requests.extend(sealed.parts.iter().map(|part| part.number));
            used.responses.extend([number(&headers), number(&answer.body)]);
        }
        sealed.opener.open(answer.into_response()).expect("it opens");
    }
}

#[test]
fn one_client_over_three_relays_is_never_refused_and_no_number_repeats_at_one_round_trip_a_request() {
    const IN_FLIGHT: usize = 32;
    let requests = size(50_000, 3_200) / IN_FLIGHT * IN_FLIGHT;
    run_within(LIMIT, async move {
        let site = Site::new(RELAYS).await;
        let session = Arc::new(Session::new(&site.relays[0]).await);
        // Every relay knows the pair.
        for relay in &site.relays {
            assert_eq!(send(relay, &sealed(&session)).await, 200);
        }
        let before = site.redis.calls();
        let used = Arc::new(Mutex::new(Used::default()));
        let relays: Vec<_> = site.relays.iter().map(|relay| relay.address).collect();
        let tasks = (0..IN_FLIGHT).map(|task| {
            let turns = task..task + requests / IN_FLIGHT;
            tokio::spawn(send_in_turn(session.clone(), relays.clone(), turns, used.clone()))
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let used = used.lock();
        assert_distinct(&used.requests, 3 * requests);
        assert_distinct(&used.responses, 2 * requests);
        // Each relay's own look at the server, every 5 s, is among them.
        let trips = (site.redis.calls() - before) as f64 / requests as f64;
        eprintln!("{requests} requests: {trips:.4} round trips each");
        assert!(trips <= 1.02, "{trips} round trips a request");
    });
}

/// Requests per second that a relay serves one client, with 32 of them in flight.
async fn throughput(relay: &Relay, requests: usize) -> f64 {
    let session = Arc::new(Session::new(relay).await);
    let began = Instant::now();
    let tasks = (0..32).map(|_| {
        let used = Arc::default();
        tokio::spawn(send_in_turn(session.clone(), vec![relay.address; RELAYS], 0..requests / 32, used))
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    requests as f64 / began.elapsed().as_secs_f64()
}

#[test]
fn pairs_in_redis_cost_at_most_four_fifths_of_the_throughput_that_pairs_in_memory_have() {
    let requests = size(32_000, 1_600);
    run_within(LIMIT, async move {
        let site = Site::new(1).await;
        let memory = Relay::of(&site.upstream).await;
        // In turn, so that neither has the quieter moments of this machine.
        let (mut in_redis, mut in_memory) = (0.0, 0.0);
        for _ in 0..4 {
            in_redis += throughput(&site.relays[0], requests / 4).await / 4.0;
            in_memory += throughput(&memory, requests / 4).await / 4.0;
        }
        let ratio = in_redis / in_memory;
        eprintln!("{in_redis:.0} requests/s in Redis, {in_memory:.0} in memory: {ratio:.2}");
        assert!(ratio > 0.2, "{ratio}");
    });
}

#[test]
fn a_pair_takes_at_most_500_bytes_and_a_commit_at_most_a_hundred_times_a_get() {
    run_within(LIMIT, async {
        let site = Site::new(1).await;
        let session = Session::new(&site.relays[0]).await;
        for _ in 0..500 {
            assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
        }
        let record = site.redis.records().remove(0);
        for _ in 0..500 {
            site.redis.record(&record);
        }
        let bytes: usize = site.redis.ask(&["MEMORY", "USAGE", &record]);
        assert!(bytes <= 500, "{bytes} bytes a pair");
        // GETs of the scripts are among these.
        let (commit, get) = (site.redis.cost("evalsha"), site.redis.cost("get"));
        eprintln!("{bytes} bytes a pair; {commit} us a commit, {get} us a GET");
        assert!(commit <= 100.0 * get, "{commit} us a commit, {get} us a GET");
    });
}

#[test]
fn a_relay_that_remembers_a_pair_which_was_made_again_looks_once_more() {
    run(async {
        let site = Site::new(2).await;
        let session = Session::new(&site.relays[0]).await;
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
        assert_eq!(send(&site.relays[1], &sealed(&session)).await, 200);
        // Another relay serves the client far beyond what the first remembers.
        for _ in 0..200 {
            assert_eq!(send(&site.relays[1], &sealed(&session)).await, 200);
        }
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
        // Forged under a pair that is known: refused, with one look and no more.
        let mut forged = sealed(&session);
        let at = forged.windows(2).position(|two| two == b"/A").unwrap_or(8) + 40;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(send(&site.relays[0], &forged).await, 562);
        assert_eq!(send(&site.relays[0], &sealed(&session)).await, 200);
    });
}
