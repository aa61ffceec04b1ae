//! Relays that are killed or paused while they serve requests: the upstream executes each request at most once.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use mte_client::{Body, RelayClient};
use parking_lot::Mutex;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::harness::{HOST, Process, RedisServer, Setup, Upstream, free_port, reply, run_within};

const RELAYS: usize = 3;
const CLIENTS: usize = 6;
/// For how long clients send requests.
const LOAD: Duration = Duration::from_secs(6);
/// Every other interruption kills a relay; the others pause one, for longer than a commit may take.
const PAUSE: Duration = Duration::from_millis(700);

/// How often the upstream executed each request, by method and the id in its path.
type Executed = Arc<Mutex<HashMap<String, usize>>>;

/// Takes a moment for each request, so that interruptions meet requests in flight.
async fn slow_upstream(executed: Executed) -> Upstream {
    Upstream::serve(move |request| {
        let executed = executed.clone();
        async move {
            let name = format!("{} {}", request.method(), request.uri().path());
            *executed.lock().entry(name).or_default() += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(reply(Full::new(Bytes::from_static(b"done"))))
        }
    })
    .await
}

/// A load balancer of connections: to the relays in turn, past those that do not accept any.
async fn balancer(relays: Vec<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let turn = Arc::new(AtomicUsize::new(0));
        while let Ok((mut client, _)) = listener.accept().await {
            let (relays, turn) = (relays.clone(), turn.clone());
            tokio::spawn(async move {
                for _ in 0..RELAYS {
                    let relay = relays[turn.fetch_add(1, Ordering::Relaxed) % RELAYS];
                    if let Ok(mut stream) = TcpStream::connect(relay).await {
                        let _ = copy_bidirectional(&mut client, &mut stream).await;
                        return;
                    }
                }
            });
        }
    });
    address
}

/// What became of one client's requests.
#[derive(Default)]
struct Outcome {
    done: Vec<String>,
    /// Requests that were reported as failed, and not repeated.
    reported: Vec<String>,
    /// Failed attempts of requests that were repeated.
    repeated: usize,
}

/// Whether a response came whole.
async fn answered(response: Result<http::Response<Body>, mte_client::Error>) -> bool {
    match response {
        Ok(response) => response.into_body().text(100).await.is_ok_and(|text| text == "done"),
        Err(_) => false,
    }
}

async fn load(client: RelayClient, number: usize, stop: Arc<AtomicBool>) -> Outcome {
    let mut outcome = Outcome::default();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let path = format!("/{number}/{turn}");
        if turn % 2 == 0 {
            let end = Instant::now() + Duration::from_secs(20);
            // Idempotent: sent again, under new numbers, until it is answered.
            while !answered(client.get(&path).await).await {
                outcome.repeated += 1;
                assert!(Instant::now() < end, "GET {path} is never answered");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome.done.push(format!("GET {path}"));
        } else {
            let posted = client.post(&path, Body::from("order")).await;
            let name = format!("POST {path}");
            if answered(posted).await { outcome.done.push(name) } else { outcome.reported.push(name) }
        }
    }
    outcome
}

#[test]
fn relays_killed_and_paused_under_load_let_the_upstream_execute_each_request_at_most_once() {
    run_within(Duration::from_secs(120), async {
        let executed = Executed::default();
        let (redis, upstream) = (RedisServer::start(&[]), slow_upstream(executed.clone()).await);
        let folder = tempfile::tempdir().unwrap();
        let ports: Vec<u16> = (0..RELAYS).map(|_| free_port()).collect();
        let start = |index: usize| {
            let file = folder.path().join(format!("{index}.yaml"));
            let setup = Setup::default().top(&format!("redis_url: {}", redis.url()));
            std::fs::write(&file, setup.tenant(HOST, &upstream.url(), "").text(ports[index])).unwrap();
            Process::start(&["run", "--config", file.to_str().unwrap()], &[], ports[index])
        };
        let mut relays: Vec<Process> = (0..RELAYS).map(start).collect();
        let addresses = ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port)));
        let balanced = balancer(addresses.collect()).await;

        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|number| {
            let client = RelayClient::builder(format!("http://{balanced}")).host(HOST).pairs(2);
            let client = client.timeout(Duration::from_secs(3)).build().unwrap();
            tokio::spawn(load(client, number, stop.clone()))
        });
        let clients: Vec<_> = clients.collect();
        let began = Instant::now();
        for turn in 0.. {
            tokio::time::sleep(Duration::from_millis(300)).await;
            if began.elapsed() > LOAD {
                break;
            }
            let index = turn % RELAYS;
            if turn % 2 == 0 {
                relays[index].signal("KILL");
                relays[index].finish();
                relays[index] = start(index);
            } else {
                relays[index].signal("STOP");
                tokio::time::sleep(PAUSE).await;
                relays[index].signal("CONT");
            }
        }
        stop.store(true, Ordering::Relaxed);
        let (mut done, mut reported, mut repeated) = (0, 0, 0);
        let mut answered = Vec::new();
        for client in clients {
            let outcome = client.await.unwrap();
            (done, reported) = (done + outcome.done.len(), reported + outcome.reported.len());
            repeated += outcome.repeated;
            answered.extend(outcome.done);
        }
        eprintln!("{done} requests done, {reported} POST reported, {repeated} attempts of GET repeated");
        assert!(done > 100 && reported + repeated > 0, "interruptions meet requests");
        let executed = executed.lock();
        let posts = executed.iter().filter(|(name, _)| name.starts_with("POST"));
        let twice: Vec<_> = posts.filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        assert!(answered.iter().all(|name| executed.contains_key(name)), "what is answered was executed");
        let gets: usize = executed.iter().filter(|(name, _)| name.starts_with("GET")).map(|(_, n)| n).sum();
        let answered_gets = answered.iter().filter(|name| name.starts_with("GET")).count();
        assert!(gets <= answered_gets + repeated, "{gets} of {answered_gets} and {repeated} repeated");
    });
}
