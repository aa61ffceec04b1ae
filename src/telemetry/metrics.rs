//! The metrics of one relay, in Prometheus' naming rules (docs/operations.md lists them).
//!
//! Labels are configured names only: tenants by their key in the domain map, never anything that a client sent. What a
//! request counts is resolved once per tenant, so that counting is an atomic addition.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

/// Seconds, for whole requests and upstreams.
const DURATIONS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Seconds, for the relay's own work: microseconds matter.
const OVERHEADS: [f64; 14] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.000_75, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1,
    1.0,
];

/// The label of what belongs to no tenant.
pub const NO_TENANT: &str = "-";

/// Ways through the relay, as labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteLabel {
    /// Hello, echo, the list of statuses, preflights.
    Control,
    /// Pairing.
    Pairing,
    /// Proxied as it is.
    PassThrough,
    /// Opened, proxied, sealed.
    Encrypted,
    /// Refused before a route could be told.
    None,
}

impl RouteLabel {
    const ALL: [Self; 5] = [Self::Control, Self::Pairing, Self::PassThrough, Self::Encrypted, Self::None];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Pairing => "pairing",
            Self::PassThrough => "pass_through",
            Self::Encrypted => "encrypted",
            Self::None => "none",
        }
    }
}

/// Status classes, as labels; the first is for requests that ended without a status.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

fn class(status: u16) -> usize {
    usize::from(status / 100).min(5)
}

/// Codec operations, as labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A message was opened.
    Open,
    /// A message was sealed.
    Seal,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    families: Families,
    tenants: Mutex<HashMap<Arc<str>, Arc<TenantMetrics>>>,
    /// Requests in flight, of all tenants.
    pub in_flight: IntGauge,
    /// Client connections open.
    pub connections: IntGauge,
    /// TLS handshakes by result.
    pub handshakes: IntCounterVec,
    /// What was refused before it was a request, by cause.
    pub malformed: IntCounterVec,
    /// Reloads by result.
    pub reloads: IntCounterVec,
    /// Whether the last reload succeeded.
    pub last_reload_successful: IntGauge,
    /// When the last one did, in seconds since 1970.
    pub last_reload_success: prometheus::Gauge,
    /// Codec instances from the pool, and transient ones.
    pub pool: PoolMetrics,
}

/// The pool's.
#[derive(Debug, Clone)]
pub struct PoolMetrics {
    /// Taken from the pool.
    pub hits: IntCounter,
    /// Made because it was empty.
    pub misses: IntCounter,
    /// Ready now.
    pub ready: IntGauge,
    /// Kept at most.
    pub size: IntGauge,
}

/// Metrics with a tenant label.
struct Families {
    requests: IntCounterVec,
    duration: HistogramVec,
    upstream_duration: HistogramVec,
    overhead: HistogramVec,
    bytes: IntCounterVec,
    operations: IntCounterVec,
    failures: IntCounterVec,
    pairs: IntGaugeVec,
    pair_events: IntCounterVec,
    pairing_refused: IntCounterVec,
    upstream_connections: IntCounterVec,
    upstream_failures: IntCounterVec,
    upstream_retries: IntCounterVec,
    peer_healthy: IntGaugeVec,
    peer_in_flight: IntGaugeVec,
    peer_ejections: IntCounterVec,
}

/// Defines and registers a metric. Names and labels are constants: an error would be a mistake in this file, which the
/// tests below would meet first.
macro_rules! register {
    ($registry:expr, histogram, $name:literal, $help:literal, $labels:expr, $buckets:expr) => {{
        let options = HistogramOpts::new(concat!("mte_relay_", $name), $help).buckets($buckets.to_vec());
        #[allow(clippy::expect_used)]
        let metric = HistogramVec::new(options, $labels).expect("a valid name and labels");
        let _ = $registry.register(Box::new(metric.clone()));
        metric
    }};
    ($registry:expr, $kind:ident, $name:literal, $help:literal $(, $labels:expr)?) => {{
        #[allow(clippy::expect_used)]
        let metric = $kind::new(Opts::new(concat!("mte_relay_", $name), $help) $(, $labels)?)
            .expect("a valid name and labels");
        let _ = $registry.register(Box::new(metric.clone()));
        metric
    }};
}

/// A plain counter or gauge, made as the ones with labels are.
macro_rules! register_plain {
    ($registry:expr, $kind:ident, $name:literal, $help:literal) => {{
        #[allow(clippy::expect_used)]
        let metric = $kind::with_opts(Opts::new(concat!("mte_relay_", $name), $help)).expect("a valid name");
        let _ = $registry.register(Box::new(metric.clone()));
        metric
    }};
}

impl Default for Metrics {
    fn default() -> Self {
        use prometheus::Gauge;
        let registry = Registry::new();
        let r = &registry;
        let families = Families {
            requests: register!(
                r,
                IntCounterVec,
                "requests_total",
                "Requests by tenant, route and class of status.",
                &["tenant", "route", "status"]
            ),
            duration: register!(
                r,
                histogram,
                "request_duration_seconds",
                "From a request's head to its end, in seconds.",
                &["tenant", "route"],
                DURATIONS
            ),
            upstream_duration: register!(
                r,
                histogram,
                "upstream_duration_seconds",
                "From the choice of a peer to the head of its response, in seconds.",
                &["tenant"],
                DURATIONS
            ),
            overhead: register!(
                r,
                histogram,
                "overhead_seconds",
                "From a request's head to the head of its response, without the waiting for client and upstream, in seconds.",
                &["tenant"],
                OVERHEADS
            ),
            bytes: register!(
                r,
                IntCounterVec,
                "bytes_total",
                "Bytes of bodies, URLs and sealed headers by direction (request, response) and form (plain, encoded).",
                &["tenant", "direction", "form"]
            ),
            operations: register!(
                r,
                IntCounterVec,
                "codec_operations_total",
                "Messages opened and sealed.",
                &["tenant", "operation"]
            ),
            failures: register!(
                r,
                IntCounterVec,
                "codec_failures_total",
                "Requests that did not decode, by cause.",
                &["tenant", "cause"]
            ),
            pairs: register!(r, IntGaugeVec, "pairs", "Pairs that live now.", &["tenant"]),
            pair_events: register!(
                r,
                IntCounterVec,
                "pair_events_total",
                "Pairs created, expired, evicted.",
                &["tenant", "event"]
            ),
            pairing_refused: register!(
                r,
                IntCounterVec,
                "pairing_refused_total",
                "Pairing requests refused, by cause.",
                &["tenant", "cause"]
            ),
            upstream_connections: register!(
                r,
                IntCounterVec,
                "upstream_connections_total",
                "Connections that requests went over: new or reused.",
                &["tenant", "kind"]
            ),
            upstream_failures: register!(
                r,
                IntCounterVec,
                "upstream_failures_total",
                "Attempts at an upstream that failed, by cause.",
                &["tenant", "cause"]
            ),
            upstream_retries: register!(
                r,
                IntCounterVec,
                "upstream_retries_total",
                "Attempts after the first.",
                &["tenant"]
            ),
            peer_healthy: register!(
                r,
                IntGaugeVec,
                "upstream_healthy",
                "Whether a peer gets requests (1) or is unhealthy or ejected (0).",
                &["tenant", "peer"]
            ),
            peer_in_flight: register!(
                r,
                IntGaugeVec,
                "upstream_requests_in_flight",
                "Requests that a peer is working on.",
                &["tenant", "peer"]
            ),
            peer_ejections: register!(
                r,
                IntCounterVec,
                "upstream_ejections_total",
                "Peers ejected because requests to them failed.",
                &["tenant"]
            ),
        };
        let metrics = Self {
            in_flight: register_plain!(r, IntGauge, "requests_in_flight", "Requests in flight."),
            connections: register_plain!(r, IntGauge, "connections", "Client connections open."),
            handshakes: register!(
                r,
                IntCounterVec,
                "tls_handshakes_total",
                "TLS handshakes with clients: ok, failed.",
                &["result"]
            ),
            malformed: register!(
                r,
                IntCounterVec,
                "malformed_total",
                "Connections refused before there was a request: not HTTP, header deadline, PROXY header, HTTP/2 fault.",
                &["cause"]
            ),
            reloads: register!(
                r,
                IntCounterVec,
                "reloads_total",
                "Configurations loaded while running: ok, failed.",
                &["result"]
            ),
            last_reload_successful: register_plain!(
                r,
                IntGauge,
                "last_reload_successful",
                "Whether the last reload succeeded (1) or failed (0)."
            ),
            last_reload_success: register_plain!(
                r,
                Gauge,
                "last_reload_success_timestamp_seconds",
                "When the configuration in use was loaded, in seconds since 1970."
            ),
            pool: PoolMetrics {
                hits: register_plain!(
                    r,
                    IntCounter,
                    "pool_hits_total",
                    "Codec instances taken from the pool."
                ),
                misses: register_plain!(
                    r,
                    IntCounter,
                    "pool_misses_total",
                    "Transient instances made because the pool was empty."
                ),
                ready: register_plain!(r, IntGauge, "pool_ready", "Codec instances ready in the pool."),
                size: register_plain!(r, IntGauge, "pool_size", "Codec instances that the pool keeps."),
            },
            families,
            tenants: Mutex::default(),
            registry,
        };
        metrics.start();
        metrics
    }
}

impl Metrics {
    /// What has a value from the start.
    fn start(&self) {
        let info = register!(
            self.registry,
            IntGaugeVec,
            "build_info",
            "Always 1: the versions are its labels.",
            &["version", "codec"]
        );
        info.with_label_values(&[env!("CARGO_PKG_VERSION"), super::CODEC]).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        let _ = self.registry.register(Box::new(process));
        for result in ["ok", "failed"] {
            self.reloads.with_label_values(&[result]).reset();
            self.handshakes.with_label_values(&[result]).reset();
        }
        self.last_reload_successful.set(1);
    }

    /// What is counted of a tenant.
    pub fn tenant(&self, name: &str) -> Arc<TenantMetrics> {
        let mut tenants = self.tenants.lock();
        if let Some(known) = tenants.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        let made = Arc::new(TenantMetrics::new(&self.families, name.clone()));
        tenants.insert(name, made.clone());
        made
    }

    /// What is counted of requests that belong to no tenant.
    pub fn nobody(&self) -> Arc<TenantMetrics> {
        self.tenant(NO_TENANT)
    }

    /// Forgets tenants that are no more: their series end.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.tenants.lock().retain(|name, _| {
            let keep = &**name == NO_TENANT || keep(name);
            if !keep {
                self.families.forget(name);
            }
            keep
        });
    }

    /// The state of the tenants' peers, as it is now.
    pub fn set_peers<'a>(&self, peers: impl Iterator<Item = (&'a str, &'a str, bool, usize)>) {
        self.families.peer_healthy.reset();
        self.families.peer_in_flight.reset();
        for (tenant, peer, healthy, in_flight) in peers {
            self.families.peer_healthy.with_label_values(&[tenant, peer]).set(healthy.into());
            self.families.peer_in_flight.with_label_values(&[tenant, peer]).set(in_flight as i64);
        }
    }

    /// All of it in Prometheus' text format.
    pub fn text(&self) -> String {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl Families {
    /// Removes every series of a tenant.
    fn forget(&self, tenant: &str) {
        let counters = [
            &self.requests,
            &self.bytes,
            &self.operations,
            &self.failures,
            &self.pair_events,
            &self.pairing_refused,
            &self.upstream_connections,
            &self.upstream_failures,
            &self.upstream_retries,
            &self.peer_ejections,
        ];
        for family in counters {
            for labels in series(family, tenant) {
                let _ = family.remove(&labels);
            }
        }
        for family in [&self.duration, &self.upstream_duration, &self.overhead] {
            for labels in series(family, tenant) {
                let _ = family.remove(&labels);
            }
        }
        for family in [&self.pairs, &self.peer_healthy, &self.peer_in_flight] {
            for labels in series(family, tenant) {
                let _ = family.remove(&labels);
            }
        }
    }
}

/// The labels of a tenant's series.
fn series(family: &impl Collector, tenant: &str) -> Vec<HashMap<&'static str, String>> {
    const NAMES: [&str; 10] =
        ["tenant", "route", "status", "direction", "form", "operation", "cause", "event", "kind", "peer"];
    let mut all = Vec::new();
    for metric in family.collect().iter().flat_map(|family| family.get_metric()) {
        let label = |pair: &prometheus::proto::LabelPair| {
            let name = NAMES.into_iter().find(|name| *name == pair.name())?;
            Some((name, pair.value().to_owned()))
        };
        let labels: HashMap<_, _> = metric.get_label().iter().filter_map(label).collect();
        if labels.get("tenant").is_some_and(|value| value == tenant) {
            all.push(labels);
        }
    }
    all
}

/// What is counted of one tenant.
pub struct TenantMetrics {
    name: Arc<str>,
    requests: [[OnceLock<IntCounter>; 6]; 5],
    requests_family: IntCounterVec,
    duration: [Histogram; 5],
    upstream_duration: Histogram,
    overhead: Histogram,
    /// Plain and encoded, of requests and of responses.
    bytes: [[IntCounter; 2]; 2],
    opened: IntCounter,
    sealed: IntCounter,
    failures: IntCounterVec,
    /// Pairs that live now.
    pub pairs: IntGauge,
    /// Pairs made.
    pub pairs_created: IntCounter,
    /// Pairs dropped because of their age.
    pub pairs_expired: IntCounter,
    /// Pairs dropped to make room.
    pub pairs_evicted: IntCounter,
    pairing_refused: IntCounterVec,
    connections_new: IntCounter,
    connections_reused: IntCounter,
    upstream_failures: IntCounterVec,
    retries: IntCounter,
    ejections: IntCounter,
}

impl std::fmt::Debug for TenantMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TenantMetrics").field(&self.name).finish()
    }
}

/// A finished request.
#[derive(Debug)]
pub struct Finished {
    /// Which way it went.
    pub route: RouteLabel,
    /// The status it was answered with; 0: none.
    pub status: u16,
    /// From its head to its end.
    pub total: Duration,
    /// Until the upstream's head, if one came.
    pub upstream: Option<Duration>,
    /// The relay's own part of the time until the response's head.
    pub overhead: Option<Duration>,
    /// Plain and encoded bytes of the request.
    pub request: [u64; 2],
    /// Plain and encoded bytes of the response.
    pub response: [u64; 2],
}

impl TenantMetrics {
    fn new(families: &Families, name: Arc<str>) -> Self {
        let tenant = &*name;
        let bytes = |direction: &str| {
            ["plain", "encoded"].map(|form| families.bytes.with_label_values(&[tenant, direction, form]))
        };
        let event = |event: &str| families.pair_events.with_label_values(&[tenant, event]);
        let connections = |kind: &str| families.upstream_connections.with_label_values(&[tenant, kind]);
        Self {
            requests: Default::default(),
            requests_family: families.requests.clone(),
            duration: RouteLabel::ALL
                .map(|route| families.duration.with_label_values(&[tenant, route.name()])),
            upstream_duration: families.upstream_duration.with_label_values(&[tenant]),
            overhead: families.overhead.with_label_values(&[tenant]),
            bytes: [bytes("request"), bytes("response")],
            opened: families.operations.with_label_values(&[tenant, "open"]),
            sealed: families.operations.with_label_values(&[tenant, "seal"]),
            failures: families.failures.clone(),
            pairs: families.pairs.with_label_values(&[tenant]),
            pairs_created: event("created"),
            pairs_expired: event("expired"),
            pairs_evicted: event("evicted"),
            pairing_refused: families.pairing_refused.clone(),
            connections_new: connections("new"),
            connections_reused: connections("reused"),
            upstream_failures: families.upstream_failures.clone(),
            retries: families.upstream_retries.with_label_values(&[tenant]),
            ejections: families.peer_ejections.with_label_values(&[tenant]),
            name,
        }
    }

    /// Counts a finished request.
    pub fn finished(&self, request: &Finished) {
        let (route, class) = (request.route as usize, class(request.status));
        let labels = [&*self.name, request.route.name(), CLASSES[class]];
        let counter = &self.requests[route][class];
        counter.get_or_init(|| self.requests_family.with_label_values(&labels)).inc();
        self.duration[route].observe(request.total.as_secs_f64());
        if let Some(upstream) = request.upstream {
            self.upstream_duration.observe(upstream.as_secs_f64());
        }
        if let Some(overhead) = request.overhead {
            self.overhead.observe(overhead.as_secs_f64());
        }
        for (counters, bytes) in self.bytes.iter().zip([request.request, request.response]) {
            counters.iter().zip(bytes).for_each(|(counter, bytes)| counter.inc_by(bytes));
        }
    }

    /// Counts messages.
    pub fn codec(&self, operation: Operation, messages: u64) {
        match operation {
            Operation::Open => self.opened.inc_by(messages),
            Operation::Seal => self.sealed.inc_by(messages),
        }
    }

    /// Counts a request that did not decode.
    pub fn codec_failed(&self, cause: &'static str) {
        self.failures.with_label_values(&[&*self.name, cause]).inc();
    }

    /// Counts a pairing request that was refused.
    pub fn pairing_refused(&self, cause: &'static str) {
        self.pairing_refused.with_label_values(&[&*self.name, cause]).inc();
    }

    /// Counts a connection that a request goes over.
    pub fn connected(&self, reused: bool) {
        if reused { self.connections_reused.inc() } else { self.connections_new.inc() }
    }

    /// Counts an attempt at an upstream that failed.
    pub fn upstream_failed(&self, cause: &'static str, ejected: bool) {
        self.upstream_failures.with_label_values(&[&*self.name, cause]).inc();
        if ejected {
            self.ejections.inc();
        }
    }

    /// Counts an attempt after the first.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// What the status page samples, all since the start.
    pub fn totals(&self) -> Totals {
        let count = |classes: std::ops::Range<usize>| {
            let routes = self.requests.iter();
            routes
                .flat_map(|route| &route[classes.clone()])
                .filter_map(OnceLock::get)
                .map(IntCounter::get)
                .sum()
        };
        let sum = |counters: &[IntCounter; 2]| counters[0].get().max(counters[1].get());
        Totals {
            requests: count(0..6),
            refused: count(4..5),
            errors: count(5..6) + count(0..1),
            duration: Buckets::sum(self.duration[RouteLabel::PassThrough as usize..].iter().take(2)),
            overhead: Buckets::sum(std::iter::once(&self.overhead)),
            received: sum(&self.bytes[0]),
            sent: sum(&self.bytes[1]),
            pairs: self.pairs.get(),
            created: self.pairs_created.get(),
        }
    }
}

/// A tenant's counts since the start.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Those answered with 4xx.
    pub refused: u64,
    /// Those answered with 5xx, or not at all.
    pub errors: u64,
    /// Durations of proxied requests.
    pub duration: Buckets,
    /// The relay's own part.
    pub overhead: Buckets,
    /// Request bytes.
    pub received: u64,
    /// Response bytes.
    pub sent: u64,
    /// Pairs that live now.
    pub pairs: i64,
    /// Pairs made.
    pub created: u64,
}

/// A histogram's buckets: upper bounds and counts up to there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets(Vec<(f64, u64)>);

impl Buckets {
    fn sum<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut sum: Vec<(f64, u64)> = Vec::new();
        for histogram in histograms {
            let families = histogram.collect();
            let Some(metric) = families.first().and_then(|family| family.get_metric().first()) else {
                continue;
            };
            for (index, bucket) in metric.get_histogram().get_bucket().iter().enumerate() {
                match sum.get_mut(index) {
                    Some(known) => known.1 += bucket.cumulative_count(),
                    None => sum.push((bucket.upper_bound(), bucket.cumulative_count())),
                }
            }
            let all = metric.get_histogram().get_sample_count();
            match sum.iter_mut().find(|(bound, _)| bound.is_infinite()) {
                Some(known) => known.1 += all,
                None => sum.push((f64::INFINITY, all)),
            }
        }
        Self(sum)
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
        } else {
            self.0.iter_mut().zip(&other.0).for_each(|(own, other)| own.1 += other.1);
        }
    }

    /// The quantile, in seconds, of what was observed since `before`; `None` if nothing was. Within a bucket it is
    /// interpolated; above the last bound it is that bound.
    pub fn quantile_since(&self, before: &Self, quantile: f64) -> Option<f64> {
        let count = |index: usize| {
            let was = before.0.get(index).map_or(0, |(_, count)| *count);
            self.0[index].1.saturating_sub(was)
        };
        let total = self.0.len().checked_sub(1).map(count).filter(|total| *total > 0)?;
        let wanted = quantile * total as f64;
        let (mut lower, mut below) = (0.0, 0);
        for index in 0..self.0.len() {
            let (bound, up_to) = (self.0[index].0, count(index));
            if up_to as f64 >= wanted {
                if bound.is_infinite() {
                    return Some(lower);
                }
                let inside = (up_to - below).max(1) as f64;
                return Some(lower + (bound - lower) * (wanted - below as f64) / inside);
            }
            (lower, below) = (if bound.is_finite() { bound } else { lower }, up_to);
        }
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(status: u16, millis: u64) -> Finished {
        Finished {
            route: RouteLabel::Encrypted,
            status,
            total: Duration::from_millis(millis),
            upstream: Some(Duration::from_millis(millis)),
            overhead: Some(Duration::from_micros(120)),
            request: [10, 56],
            response: [100, 146],
        }
    }

    #[test]
    fn requests_are_counted_by_route_and_class() {
        let metrics = Metrics::default();
        let tenant = metrics.tenant("shop.test");
        [200, 204, 404, 502, 0].into_iter().for_each(|status| tenant.finished(&request(status, 3)));
        let text = metrics.text();
        for line in [
            "mte_relay_requests_total{route=\"encrypted\",status=\"2xx\",tenant=\"shop.test\"} 2",
            "mte_relay_requests_total{route=\"encrypted\",status=\"none\",tenant=\"shop.test\"} 1",
            "mte_relay_bytes_total{direction=\"request\",form=\"encoded\",tenant=\"shop.test\"} 280",
            "mte_relay_overhead_seconds_bucket{tenant=\"shop.test\",le=\"0.0002\"} 5",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        let totals = tenant.totals();
        assert_eq!((totals.requests, totals.refused, totals.errors), (5, 1, 2));
    }

    #[test]
    fn a_tenant_that_is_gone_has_no_series_and_others_keep_theirs() {
        let metrics = Metrics::default();
        for name in ["gone.test", "stays.test"] {
            let tenant = metrics.tenant(name);
            tenant.finished(&request(200, 1));
            tenant.codec_failed("replayed");
            tenant.upstream_failed("connect", true);
        }
        metrics.retain(|name| name == "stays.test");
        let text = metrics.text();
        assert!(!text.contains("gone.test"), "{text}");
        assert!(text.contains("mte_relay_codec_failures_total{cause=\"replayed\",tenant=\"stays.test\"} 1"));
    }

    #[test]
    fn quantiles_are_of_what_came_since() {
        let metrics = Metrics::default();
        let tenant = metrics.tenant("t");
        (0..100).for_each(|_| tenant.finished(&request(200, 700)));
        let before = tenant.totals().duration;
        assert_eq!(before.quantile_since(&before, 0.5), None);
        (0..100).for_each(|_| tenant.finished(&request(200, 4)));
        let median = tenant.totals().duration.quantile_since(&before, 0.5).unwrap();
        assert!((0.0025..=0.005).contains(&median), "{median}");
    }
}
