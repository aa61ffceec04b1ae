//! The last ten minutes, sampled every two seconds into fixed rings: what the status page draws.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Parts, readiness};
use crate::{
    certificate::Standing,
    domains::Tenant,
    reload::seconds,
    telemetry::{Buckets, CODEC, Totals},
    upstream::{Endpoint, Health},
};

/// The interval between samples.
const INTERVAL: Duration = Duration::from_secs(2);
/// Samples that are kept: ten minutes.
const KEPT: usize = 300;
/// The number of tenants that the page shows: the busiest.
const MAX_TENANTS: usize = 50;

/// A ring of samples.
type Ring = VecDeque<Option<f32>>;

/// The samples of one tenant, or of all of them together.
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
    // Three decimals are all that is visible.
    ring.push_back(value.map(|value| ((value * 1e3).round() / 1e3) as f32));
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

    /// A tenant that was added later has no samples for the time before.
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

/// Takes samples until dropped.
pub async fn sample(parts: Arc<Parts>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        ticks.tick().await;
        let elapsed = last.elapsed().as_secs_f64().max(0.001);
        last = Instant::now();
        take(&parts, elapsed);
    }
}

fn take(parts: &Parts, elapsed: f64) {
    let config = parts.config.load();
    // Idle tenants have no rings: there may be thousands.
    let busy = config.domains.tenants().filter(|tenant| !tenant.metrics.is_idle());
    let readings: HashMap<Arc<str>, Totals> =
        busy.map(|tenant| (tenant.name.clone(), tenant.metrics.totals())).collect();
    let untenanted = parts.metrics.untenanted().totals();
    let process = process();

    let mut inner = parts.history.inner.lock();
    let inner = &mut *inner;
    let length = inner.at.len();
    if length == KEPT {
        inner.at.pop_front();
    }
    inner.at.push_back(seconds(SystemTime::now()));
    inner.tenants.retain(|name, _| readings.contains_key(name));

    // The change of the total is summed from the tenants', so that a removed one does not make it negative.
    let (mut total, mut total_before) = (Totals::default(), Totals::default());
    let nothing = Totals::default();
    for (name, now) in &readings {
        let before = inner.before.get(name).unwrap_or(&nothing);
        let fresh = || Series::starting_at(length.min(KEPT));
        inner.tenants.entry(name.clone()).or_insert_with(fresh).sample(now, before, elapsed);
        add(&mut total, now);
        add(&mut total_before, before);
    }
    add(&mut total, &untenanted);
    add(&mut total_before, inner.before.get(crate::telemetry::NO_TENANT).unwrap_or(&nothing));
    inner.total.sample(&total, &total_before, elapsed);
    inner.before = readings;
    inner.before.insert(crate::telemetry::NO_TENANT.into(), untenanted);

    let cpu = process.as_ref().and_then(|(cpu, _)| {
        let (before, at) = inner.cpu?;
        Some((cpu - before).max(0.0) / at.elapsed().as_secs_f64().max(0.001))
    });
    inner.cpu = process.as_ref().map(|(cpu, _)| (*cpu, Instant::now()));
    push(&mut inner.process.cpu, cpu);
    push(&mut inner.process.memory_bytes, process.map(|(_, memory)| memory));
    push(&mut inner.process.in_flight, Some(parts.in_flight.get() as f64));
    push(&mut inner.process.connections, Some(parts.metrics.connections.get() as f64));
}

/// CPU seconds and resident bytes of this process.
fn process() -> Option<(f64, f64)> {
    let stat = procfs::process::Process::myself().ok()?.stat().ok()?;
    let cpu = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    Some((cpu, (stat.rss * procfs::page_size()) as f64))
}

/// A peer, as the page shows it.
#[derive(Serialize)]
struct ShownPeer<'a> {
    url: &'a str,
    state: &'static str,
    in_flight: usize,
    why: Option<String>,
    /// Each address, where the peer is a name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<ShownAddress>,
}

/// One address of a peer, as the page shows it.
#[derive(Serialize)]
struct ShownAddress {
    address: Option<SocketAddr>,
    state: &'static str,
    in_flight: usize,
    why: Option<String>,
}

impl ShownAddress {
    fn new(endpoint: &Endpoint) -> Self {
        let health = endpoint.health();
        let why = endpoint.why().filter(|_| is_out(health)).map(|why| why.to_string());
        Self { address: endpoint.address, state: health.name(), in_flight: endpoint.in_flight(), why }
    }
}

/// A tenant's certificate, as the page shows it.
#[derive(Serialize)]
struct ShownCertificate {
    /// In seconds since 1970.
    expires: Option<i64>,
    state: &'static str,
    why: Option<String>,
}

impl ShownCertificate {
    fn of(tenant: &Tenant) -> Option<Self> {
        let certificate = &tenant.tls.as_ref()?.certificate;
        let standing = certificate.standing(SystemTime::now());
        Some(Self {
            expires: certificate.not_after,
            state: standing.name(),
            why: certificate.describe(standing),
        })
    }
}

/// A tenant, as the page shows it.
#[derive(Serialize)]
struct ShownTenant<'a> {
    name: &'a str,
    upstream: Vec<ShownPeer<'a>>,
    certificate: Option<ShownCertificate>,
    #[serde(flatten)]
    series: &'a Series,
}

/// What the page draws. Serialised directly, not through `serde_json::Value`, which would turn the samples into doubles with
/// meaningless digits.
#[derive(Serialize)]
struct Shown<'a> {
    relay: Value,
    interval_seconds: u64,
    reload: Option<super::ready::LastReload>,
    process: &'a Process,
    samples: Samples<'a>,
    total: &'a Series,
    tenants: Vec<ShownTenant<'a>>,
    tenants_left_out: usize,
}

#[derive(Serialize)]
struct Samples<'a> {
    at: &'a VecDeque<f64>,
}

fn peers(tenant: &Tenant) -> Vec<ShownPeer<'_>> {
    let peers = tenant.upstream.peers.iter().map(|peer| {
        let health = peer.state.health();
        let why = peer.state.why().filter(|_| is_out(health)).map(|why| why.to_string());
        let endpoints = if peer.state.is_name() { peer.state.endpoints() } else { Vec::new() };
        let addresses = endpoints.iter().map(|endpoint| ShownAddress::new(endpoint)).collect();
        ShownPeer {
            url: &peer.origin,
            state: health.name(),
            in_flight: peer.state.in_flight(),
            why,
            addresses,
        }
    });
    peers.collect()
}

fn is_out(health: Health) -> bool {
    matches!(health, Health::Unhealthy | Health::Ejected)
}

/// What the page draws, as JSON.
pub(super) fn status_json(parts: &Parts) -> Vec<u8> {
    let readiness = readiness(parts);
    let config = parts.config.load();
    let history = &parts.history;
    let inner = history.inner.lock();
    // Tenants with an unavailable upstream or a certificate to renew come first, so that they are never left out. Then the
    // busiest.
    let now = SystemTime::now();
    let rank = |tenant: &Tenant| {
        let renew = tenant.tls.as_ref().is_some_and(|tls| tls.certificate.standing(now) != Standing::Good);
        let out = renew || tenant.upstream.peers.iter().any(|peer| is_out(peer.state.health()));
        let rates = inner.tenants.get(&tenant.name).map(|series| &series.requests_per_second);
        (out, rates.map_or(0.0, |rates| rates.iter().flatten().sum::<f32>()))
    };
    let mut tenants: Vec<_> = config.domains.tenants().map(|tenant| (rank(tenant), tenant)).collect();
    tenants.sort_by(|((a_out, a), a_tenant), ((b_out, b), b_tenant)| {
        b_out.cmp(a_out).then(b.total_cmp(a)).then_with(|| a_tenant.name.cmp(&b_tenant.name))
    });
    let left_out = tenants.len().saturating_sub(MAX_TENANTS);
    tenants.truncate(MAX_TENANTS);
    // An idle tenant, or one added since the last sample, has no series, but the page needs series of equal length.
    let empty = Series::starting_at(inner.at.len());
    let tenants = tenants.iter().map(|(_, tenant)| ShownTenant {
        name: &tenant.name,
        upstream: peers(tenant),
        certificate: ShownCertificate::of(tenant),
        series: inner.tenants.get(&tenant.name).unwrap_or(&empty),
    });
    let shown = Shown {
        relay: json!({
            "version": env!("CARGO_PKG_VERSION"),
            "codec": CODEC,
            "started": seconds(history.started),
            "uptime_seconds": history.since.elapsed().as_secs_f64(),
            "ready": readiness.ready,
            "draining": readiness.draining,
            "not_ready_because": readiness.not_ready_because,
        }),
        interval_seconds: INTERVAL.as_secs(),
        reload: readiness.reload,
        process: &inner.process,
        samples: Samples { at: &inner.at },
        total: &inner.total,
        tenants: tenants.collect(),
        tenants_left_out: left_out,
    };
    serde_json::to_vec(&shown).unwrap_or_default()
}
