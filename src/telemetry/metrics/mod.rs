//! The metrics of one relay, in Prometheus' naming rules (docs/operations.md lists them).
//!
//! Labels are configured names only: tenants by their key in the domain map, never anything that a client sent. What a
//! request counts is resolved once per tenant, so that counting is an atomic addition.

mod buckets;
mod tenant;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

pub use self::{
    buckets::Buckets,
    tenant::{Finished, Operation, RouteLabel, TenantMetrics, Totals},
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
    certificates: IntGaugeVec,
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
            certificates: register!(
                r,
                IntGaugeVec,
                "certificate_expiry_timestamp_seconds",
                "When the first certificate of a tenant's chain expires, in seconds since 1970.",
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

    /// Until when the tenants' certificates are valid; tenants without one have no series.
    pub fn set_certificates<'a>(&self, certificates: impl Iterator<Item = (&'a str, i64)>) {
        self.families.certificates.reset();
        for (tenant, until) in certificates {
            self.families.certificates.with_label_values(&[tenant]).set(until);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}
