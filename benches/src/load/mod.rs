//! The load generator: keep-alive connections that each send one request after the other, each in its own task, all on one
//! thread. Every response is read to its end and compared with the expected one.

mod client;
mod pairing;
mod plain;
mod sealed;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::task::JoinSet;

use self::{client::Client, pairing::Pairing, plain::Plain, sealed::Sealed};
use crate::{
    Result, payload,
    scenario::{Group, Method, PAIRS, Scenario, Target},
    stats::Slice,
    targets::Running,
    upstream::receipt,
};

/// Requests before the measured time of a slice begins.
pub(crate) const RAMP: Duration = Duration::from_millis(100);
/// The requests in flight at a slice's end must be done after this time.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// The plain request of a group, and the response's body, whatever target it is sent to.
#[derive(Debug, Clone)]
struct Exchange {
    method: Method,
    path: String,
    body: Bytes,
    answer: Bytes,
}

impl Exchange {
    /// Header fields of every request, besides those that frame its body.
    const HEADERS: [(&'static str, &'static str); 3] = [
        ("accept", "application/json"),
        ("user-agent", "mte-bench"),
        ("authorization", "Bearer 2f6c1d6e0f8b4a579d1c3b7e5a908f42c6d1e0b3a5f7498"),
    ];

    fn new(method: Method, bytes: usize) -> Self {
        let part = payload().slice(..bytes);
        let (path, body, answer) = match method {
            Method::Get => (format!("/bytes/{bytes}?view=full"), Bytes::new(), part),
            Method::Post => ("/upload?view=full".to_owned(), part, receipt(bytes).into()),
        };
        Self { method, path, body, answer }
    }
}

/// Sends the requests of one connection. A worker lives as long as the run, its connection as long as a slice.
enum Worker {
    Plain(Plain),
    Sealed(Sealed),
    Pairing(Pairing),
}

impl Worker {
    /// Sends one request; returns how long it took, from the first byte sent to the last one read.
    async fn once(&mut self, client: &mut Client) -> Result<Duration> {
        match self {
            Self::Plain(plain) => plain.once(client).await,
            Self::Sealed(sealed) => sealed.once(client).await,
            Self::Pairing(pairing) => pairing.once(client).await,
        }
    }
}

/// The load of one scenario.
pub(crate) struct Load {
    scenario: Scenario,
    target: Running,
    workers: Vec<Worker>,
}

/// The phase of a slice.
struct Phase(AtomicU8);

impl Phase {
    const RAMP: u8 = 0;
    const MEASURE: u8 = 1;
    const STOP: u8 = 2;

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }
}

impl Load {
    /// Prepares the workers; for sealed requests each pairs with the relay.
    pub(crate) async fn new(scenario: Scenario, target: &Running, connections: usize) -> Result<Self> {
        let mut workers = Vec::with_capacity(connections);
        for _ in 0..connections {
            workers.push(match (scenario.group, scenario.target) {
                (Group::Pairing, _) => Worker::Pairing(Pairing::new(target.address).await?),
                (Group::Exchange(method, size), Target::Mke) => {
                    Worker::Sealed(Sealed::new(Exchange::new(method, size.bytes()), target.address).await?)
                }
                (Group::Exchange(method, size), _) => {
                    Worker::Plain(Plain::new(Exchange::new(method, size.bytes()), target.address))
                }
            });
        }
        Ok(Self { scenario, target: target.clone(), workers })
    }

    /// Runs one slice and measures it, except for its beginning.
    pub(crate) async fn slice(&mut self, length: Duration) -> Result<Slice> {
        let deadline = RAMP + length + LAST_REQUESTS;
        tokio::time::timeout(deadline, self.run(length))
            .await
            .map_err(|_| format!("requests are stuck after {LAST_REQUESTS:?}"))?
            .map_err(|error| format!("{}: {error}", self.scenario.id()).into())
    }

    async fn run(&mut self, length: Duration) -> Result<Slice> {
        let phase = Arc::new(Phase(AtomicU8::new(Phase::RAMP)));
        // If a slice fails, its workers are lost, and the run ends.
        let mut tasks = JoinSet::new();
        for worker in self.workers.drain(..) {
            tasks.spawn(work(worker, Client::connect(self.target.address).await?, phase.clone()));
        }
        wait(RAMP, &mut tasks).await?;
        let (cpu, begun) = (self.cpu_time()?, Instant::now());
        phase.set(Phase::MEASURE);
        wait(length, &mut tasks).await?;
        phase.set(Phase::STOP);
        let (cpu_after, time) = (self.cpu_time()?, begun.elapsed());

        let mut latencies = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let (worker, own) = done??;
            self.workers.push(worker);
            latencies.extend(own);
        }
        if latencies.is_empty() {
            return Err("no request was done in this time: take longer slices".into());
        }
        let cpu = cpu.zip(cpu_after).map(|(before, after)| (after - before).as_secs_f64());
        let units = if self.scenario.group == Group::Pairing { PAIRS as u64 } else { 1 };
        Ok(Slice::new(time.as_secs_f64(), cpu, units, latencies))
    }

    fn cpu_time(&self) -> Result<Option<Duration>> {
        self.target.cpu.as_ref().map(super::processes::Cpu::time).transpose()
    }
}

/// A worker's result: the worker itself, and its latencies in microseconds.
type Worked = Result<(Worker, Vec<u32>)>;

async fn work(mut worker: Worker, mut client: Client, phase: Arc<Phase>) -> Worked {
    let mut latencies = Vec::new();
    while phase.get() != Phase::STOP {
        let latency = worker.once(&mut client).await?;
        if phase.get() == Phase::MEASURE {
            latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        }
    }
    Ok((worker, latencies))
}

/// Waits, unless a worker fails before.
async fn wait(time: Duration, tasks: &mut JoinSet<Worked>) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        Some(done) = tasks.join_next() => match done? {
            Ok(_) => Err("a connection stopped before its time".into()),
            Err(error) => Err(error),
        },
    }
}
