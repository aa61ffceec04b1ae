//! The last ten minutes, sampled every two seconds into fixed rings: what the status page draws.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};

use super::readiness;
use crate::{
    domains::Tenant,
    relay::Shared,
    reload::seconds,
    telemetry::{Buckets, CODEC, Totals},
    upstream::Health,
};

/// Between samples.
const INTERVAL: Duration = Duration::from_secs(2);
/// Samples that are kept: ten minutes.
const KEPT: usize = 300;
/// Tenants that the page is told of: the busiest.
const MOST_TENANTS: usize = 50;

/// A ring of samples.
type Ring = VecDeque<Option<f32>>;

/// What is sampled of a tenant, and of all of them together.
#[derive(Debug, Default, Clone, Serialize)]
struct Series {
    requests_per_second: Ring,
    errors_per_second: Ring,
    refused_per_second: Ring,
    p50_ms: Ring,
    p99_ms: Ring,
    overhead_p99_ms: Ring,
    received_bytes_per_second: Ring,
    sent_bytes_per_second: Ring,
    pairs: Ring,
    pairings_per_second: Ring,
}

#[derive(Debug, Default, Clone, Serialize)]
struct Process {
    /// Cores in use.
    cpu: Ring,
    memory_bytes: Ring,
    in_flight: Ring,
    connections: Ring,
}

#[derive(Default)]
struct Inner {
    at: VecDeque<f64>,
    process: Process,
    total: Series,
    tenants: HashMap<Arc<str>, Series>,
    before: HashMap<Arc<str>, Totals>,
    /// CPU seconds, and when they were read.
    cpu: Option<(f64, Instant)>,
}

/// The last ten minutes.
pub struct History {
    inner: Mutex<Inner>,
    started: SystemTime,
    since: Instant,
}

impl Default for History {
    fn default() -> Self {
        Self { inner: Mutex::default(), started: SystemTime::now(), since: Instant::now() }
    }
}

fn push(ring: &mut Ring, value: Option<f64>) {
    if ring.len() == KEPT {
        ring.pop_front();
    }
    ring.push_back(value.map(|value| value as f32));
}

impl Series {
    /// Adds a sample of what happened between two readings.
    fn sample(&mut self, now: &Totals, before: &Totals, elapsed: f64) {
        let rate = |now: u64, before: u64| Some(now.saturating_sub(before) as f64 / elapsed);
        let millis =
            |now: &Buckets, before: &Buckets, q| now.quantile_since(before, q).map(|seconds| seconds * 1e3);
        push(&mut self.requests_per_second, rate(now.requests, before.requests));
        push(&mut self.errors_per_second, rate(now.errors, before.errors));
        push(&mut self.refused_per_second, rate(now.refused, before.refused));
        push(&mut self.p50_ms, millis(&now.duration, &before.duration, 0.5));
        push(&mut self.p99_ms, millis(&now.duration, &before.duration, 0.99));
        push(&mut self.overhead_p99_ms, millis(&now.overhead, &before.overhead, 0.99));
        push(&mut self.received_bytes_per_second, rate(now.received, before.received));
        push(&mut self.sent_bytes_per_second, rate(now.sent, before.sent));
        push(&mut self.pairs, Some(now.pairs as f64));
        push(&mut self.pairings_per_second, rate(now.created, before.created));
    }

    /// A tenant that came later has nothing for the time before.
    fn starting_at(length: usize) -> Self {
        let nothing: Ring = std::iter::repeat_n(None, length).collect();
        Self {
            requests_per_second: nothing.clone(),
            errors_per_second: nothing.clone(),
            refused_per_second: nothing.clone(),
            p50_ms: nothing.clone(),
            p99_ms: nothing.clone(),
            overhead_p99_ms: nothing.clone(),
            received_bytes_per_second: nothing.clone(),
            sent_bytes_per_second: nothing.clone(),
            pairs: nothing.clone(),
            pairings_per_second: nothing,
        }
    }
}

fn add(sum: &mut Totals, other: &Totals) {
    sum.requests += other.requests;
    sum.refused += other.refused;
    sum.errors += other.errors;
    sum.duration.add(&other.duration);
    sum.overhead.add(&other.overhead);
    sum.received += other.received;
    sum.sent += other.sent;
    sum.pairs += other.pairs;
    sum.created += other.created;
}

/// Samples until dropped.
pub async fn sample(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        let elapsed = last.elapsed().as_secs_f64().max(0.001);
        last = Instant::now();
        take(&shared, elapsed);
    }
}

fn take(shared: &Shared, elapsed: f64) {
    let config = shared.config.load();
    let tenants = config.domains.tenants().map(|tenant| (tenant.name.clone(), tenant.metrics.totals()));
    let readings: HashMap<Arc<str>, Totals> = tenants.collect();
    let nobody = shared.metrics.nobody().totals();
    let process = process();

    let mut inner = shared.history.inner.lock();
    let inner = &mut *inner;
    let length = inner.at.len();
    if length == KEPT {
        inner.at.pop_front();
    }
    inner.at.push_back(seconds(SystemTime::now()));
    inner.tenants.retain(|name, _| readings.contains_key(name));

    // The total's own change is summed from the tenants', so that one that is gone does not turn it negative.
    let (mut total, mut total_before) = (Totals::default(), Totals::default());
    let nothing = Totals::default();
    for (name, now) in &readings {
        let before = inner.before.get(name).unwrap_or(&nothing);
        let fresh = || Series::starting_at(length.min(KEPT));
        inner.tenants.entry(name.clone()).or_insert_with(fresh).sample(now, before, elapsed);
        add(&mut total, now);
        add(&mut total_before, before);
    }
    add(&mut total, &nobody);
    add(&mut total_before, inner.before.get(crate::telemetry::NO_TENANT).unwrap_or(&nothing));
    inner.total.sample(&total, &total_before, elapsed);
    inner.before = readings;
    inner.before.insert(crate::telemetry::NO_TENANT.into(), nobody);

    let cpu = process.as_ref().and_then(|(cpu, _)| {
        let (before, at) = inner.cpu?;
        Some((cpu - before).max(0.0) / at.elapsed().as_secs_f64().max(0.001))
    });
    inner.cpu = process.as_ref().map(|(cpu, _)| (*cpu, Instant::now()));
    push(&mut inner.process.cpu, cpu);
    push(&mut inner.process.memory_bytes, process.map(|(_, memory)| memory));
    push(&mut inner.process.in_flight, Some(shared.in_flight.get() as f64));
    push(&mut inner.process.connections, Some(shared.metrics.connections.get() as f64));
}

/// CPU seconds and resident bytes of this process.
fn process() -> Option<(f64, f64)> {
    let stat = procfs::process::Process::myself().ok()?.stat().ok()?;
    let cpu = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    Some((cpu, (stat.rss * procfs::page_size()) as f64))
}

fn upstream(tenant: &Tenant) -> Vec<Value> {
    let peers = tenant.upstream.peers.iter().map(|peer| {
        let health = peer.state.health();
        let why = peer.state.why().filter(|_| matches!(health, Health::Unhealthy | Health::Ejected));
        json!({
            "url": peer.origin,
            "state": health.name(),
            "in_flight": peer.state.in_flight(),
            "why": why.as_deref(),
        })
    });
    peers.collect()
}

/// What the page draws.
pub(super) fn status_json(shared: &Shared) -> Vec<u8> {
    let readiness = readiness(shared);
    let config = shared.config.load();
    let history = &shared.history;
    let inner = history.inner.lock();
    let traffic = |tenant: &Tenant| -> f32 {
        inner
            .tenants
            .get(&tenant.name)
            .map_or(0.0, |series| series.requests_per_second.iter().flatten().sum())
    };
    let mut tenants: Vec<_> = config.domains.tenants().collect();
    tenants.sort_by(|a, b| traffic(b).total_cmp(&traffic(a)).then_with(|| a.name.cmp(&b.name)));
    let left_out = tenants.len().saturating_sub(MOST_TENANTS);
    tenants.truncate(MOST_TENANTS);
    // A tenant that came since the last sample has no series yet, and the page wants them all of one length.
    let empty = Series::starting_at(inner.at.len());
    let tenants: Vec<_> = tenants
        .into_iter()
        .map(|tenant| {
            let mut shown = json!(inner.tenants.get(&tenant.name).unwrap_or(&empty));
            shown["name"] = json!(&*tenant.name);
            shown["upstream"] = json!(upstream(tenant));
            shown
        })
        .collect();
    let shown = json!({
        "relay": {
            "version": env!("CARGO_PKG_VERSION"),
            "codec": CODEC,
            "started": seconds(history.started),
            "uptime_seconds": history.since.elapsed().as_secs_f64(),
            "ready": readiness.ready,
            "draining": readiness.draining,
            "not_ready_because": readiness.not_ready_because,
        },
        "interval_seconds": INTERVAL.as_secs(),
        "reload": readiness.reload,
        "process": inner.process,
        "samples": { "at": inner.at },
        "total": inner.total,
        "tenants": tenants,
        "tenants_left_out": left_out,
    });
    serde_json::to_vec(&shown).unwrap_or_default()
}
