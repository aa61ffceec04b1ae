//! The metrics that have a tenant label: names, help and labels, each once.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector,
    proto::MetricFamily,
};

/// Bucket bounds in seconds, for whole requests and upstreams.
const DURATIONS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Bucket bounds in seconds, for the relay's own work: microseconds matter.
const OVERHEADS: [f64; 14] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.000_75, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1,
    1.0,
];

/// A metric's full name and its help text.
pub(super) fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("mte_relay_{name}"), help)
}

/// Registers a metric. Names and labels are constants: an error would be a mistake in this file or in `mod.rs`, which the
/// tests would find.
#[allow(clippy::expect_used)]
pub(super) fn registered<M: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<M>,
) -> M {
    let metric = made.expect("a valid name and labels");
    let _ = registry.register(Box::new(metric.clone()));
    metric
}

pub(super) fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(options(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(options(name, help), labels))
}

fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: [f64; 14],
) -> HistogramVec {
    let options = HistogramOpts::from(options(name, help)).buckets(buckets.to_vec());
    registered(registry, HistogramVec::new(options, labels))
}

/// Metrics with a tenant label. `TenantMetrics` has the series of one tenant.
pub(super) struct Families {
    pub(super) requests: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) upstream_duration: HistogramVec,
    pub(super) overhead: HistogramVec,
    pub(super) bytes: IntCounterVec,
    pub(super) operations: IntCounterVec,
    pub(super) failures: IntCounterVec,
    pub(super) pairs: IntGaugeVec,
    pub(super) pair_events: IntCounterVec,
    pub(super) pairing_refused: IntCounterVec,
    pub(super) outbound_failures: IntCounterVec,
    pub(super) cors_refused: IntCounterVec,
    pub(super) upstream_connections: IntCounterVec,
    pub(super) upstream_failures: IntCounterVec,
    pub(super) upstream_retries: IntCounterVec,
    pub(super) peer_ejections: IntCounterVec,
    /// Set for all tenants together, not by `TenantMetrics`.
    pub(super) certificates: IntGaugeVec,
}

impl Families {
    #[rustfmt::skip] // One line per metric.
    pub(super) fn new(r: &Registry) -> Self {
        Self {
            requests: counters(r, "requests_total", "Requests by tenant, route and class of status.", &["tenant", "route", "status"]),
            duration: histograms(r, "request_duration_seconds", "From a request's head to its end, in seconds.", &["tenant", "route"], DURATIONS),
            upstream_duration: histograms(r, "upstream_duration_seconds", "From the choice of a peer to the head of its response, in seconds.", &["tenant"], DURATIONS),
            overhead: histograms(r, "overhead_seconds", "From a request's head to the head of its response, without the time spent waiting for client and upstream, in seconds.", &["tenant"], OVERHEADS),
            bytes: counters(r, "bytes_total", "Bytes of bodies, URLs and sealed headers by direction (request, response) and form (plain, encoded).", &["tenant", "direction", "form"]),
            operations: counters(r, "codec_operations_total", "Messages opened and sealed.", &["tenant", "operation"]),
            failures: counters(r, "codec_failures_total", "Requests that did not decode, by cause.", &["tenant", "cause"]),
            pairs: gauges(r, "pairs", "Live pairs.", &["tenant"]),
            pair_events: counters(r, "pair_events_total", "Pairs created, expired, evicted.", &["tenant", "event"]),
            pairing_refused: counters(r, "pairing_refused_total", "Pairing requests refused, by cause.", &["tenant", "cause"]),
            outbound_failures: counters(r, "outbound_failures_total", "Outbound requests that failed, by cause.", &["tenant", "cause"]),
            cors_refused: counters(r, "cors_refused_total", "Requests from an origin that is not on the tenant's list.", &["tenant"]),
            upstream_connections: counters(r, "upstream_connections_total", "Upstream connections used for requests: new or reused.", &["tenant", "kind"]),
            upstream_failures: counters(r, "upstream_failures_total", "Failed upstream attempts, by cause.", &["tenant", "cause"]),
            upstream_retries: counters(r, "upstream_retries_total", "Upstream attempts after the first.", &["tenant"]),
            peer_ejections: counters(r, "upstream_ejections_total", "Peers ejected because requests to them failed.", &["tenant"]),
            certificates: gauges(r, "certificate_expiry_timestamp_seconds", "When the first certificate of a tenant's chain expires, in seconds since 1970.", &["tenant"]),
        }
    }
}

/// The state of a peer when the metrics are requested.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// Its origin.
    pub peer: &'a str,
    /// Whether it receives requests.
    pub healthy: bool,
    /// Number of its requests in flight; `None` leaves out the series.
    pub in_flight: Option<usize>,
}

/// The peers' families, created for one response, so that concurrent responses do not affect each other.
pub(super) fn peers<'a>(peers: impl Iterator<Item = Peer<'a>>) -> Vec<MetricFamily> {
    let labels = ["tenant", "peer"];
    let registry = Registry::new();
    let healthy = "Whether a peer receives requests (1), or is unhealthy or ejected (0).";
    let healthy = gauges(&registry, "upstream_healthy", healthy, &labels);
    let in_flight = "Requests in flight at a peer.";
    let in_flight = gauges(&registry, "upstream_requests_in_flight", in_flight, &labels);
    for peer in peers {
        let labels = [peer.tenant, peer.peer];
        healthy.with_label_values(&labels).set(peer.healthy.into());
        if let Some(count) = peer.in_flight {
            in_flight.with_label_values(&labels).set(count as i64);
        }
    }
    registry.gather()
}
