//! The metrics of one relay, named by Prometheus' conventions (docs/operations.md lists them).
//!
//! Label values are configured names only: tenants by their key in the domain map, never anything that a client sent. A
//! tenant's series are created when they first change: thousands of idle tenants cost nothing.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `families` | the metrics that have a tenant label |
//! | `series` | series that are created at their first change, and removed with their tenant |
//! | `tenant` | the metrics of one tenant |
//! | `buckets` | a histogram's counts, for the status page |

mod buckets;
mod families;
mod series;
mod tenant;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Registry};

use self::families::{Families, counters, options, registered};
pub use self::{
    buckets::Buckets,
    families::Peer,
    tenant::{Finished, Operation, RouteLabel, TenantMetrics, Totals},
};

/// The tenant label of requests that belong to no tenant.
pub const NO_TENANT: &str = "-";

/// All metrics.
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
    tenants: Mutex<HashMap<Arc<str>, Arc<TenantMetrics>>>,
    untenanted: Arc<TenantMetrics>,
    /// Requests in flight, of all tenants.
    pub in_flight: IntGauge,
    /// Client connections open.
    pub connections: IntGauge,
    /// TLS handshakes by result.
    pub handshakes: IntCounterVec,
    /// Connections refused before there was a request, by cause.
    pub malformed: IntCounterVec,
    /// Reloads by result.
    pub reloads: IntCounterVec,
    /// Whether the last reload succeeded.
    pub last_reload_successful: IntGauge,
    /// When the last successful reload was, in seconds since 1970.
    pub last_reload_success: Gauge,
    /// Requests that the admin listener refused, by cause.
    pub admin_refused: IntCounterVec,
    /// Log lines that were dropped.
    log_lines_dropped: IntCounter,
    /// Codec instances from the pool, and transient ones.
    pub pool: PoolMetrics,
    /// Whether the pair store is available.
    pub pair_store: PairStoreMetrics,
}

/// The pool's metrics.
#[derive(Debug, Clone)]
pub struct PoolMetrics {
    /// Instances taken from the pool.
    pub hits: IntCounter,
    /// Instances created because it was empty.
    pub misses: IntCounter,
    /// Instances that are ready.
    pub ready: IntGauge,
    /// Maximum number of instances kept.
    pub size: IntGauge,
}

/// The pair store's metrics.
#[derive(Debug, Clone)]
pub struct PairStoreMetrics {
    /// Whether it was available when it was last swept.
    pub available: IntGauge,
    /// Operations that failed because it was not.
    pub failures: IntCounter,
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    registered(registry, IntCounter::with_opts(options(name, help)))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::with_opts(options(name, help)))
}

impl Default for Metrics {
    #[rustfmt::skip] // One line per metric.
    fn default() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let families = Arc::new(Families::new(r));
        let last_reload_success = options("last_reload_success_timestamp_seconds", "When the configuration in use was loaded, in seconds since 1970.");
        let metrics = Self {
            in_flight: gauge(r, "requests_in_flight", "Requests in flight."),
            connections: gauge(r, "connections", "Client connections open."),
            handshakes: counters(r, "tls_handshakes_total", "TLS handshakes with clients: ok, failed.", &["result"]),
            malformed: counters(r, "malformed_total", "Connections refused before there was a request: not HTTP, header deadline, PROXY header, HTTP/2 fault.", &["cause"]),
            reloads: counters(r, "reloads_total", "Configurations loaded while running: ok, failed.", &["result"]),
            last_reload_successful: gauge(r, "last_reload_successful", "Whether the last reload succeeded (1) or failed (0)."),
            last_reload_success: registered(r, Gauge::with_opts(last_reload_success)),
            admin_refused: counters(r, "admin_refused_total", "Requests that the admin listener refused, by cause.", &["cause"]),
            log_lines_dropped: counter(r, "log_lines_dropped_total", "Log lines that were dropped because they were not read or could not be written."),
            pool: PoolMetrics {
                hits: counter(r, "pool_hits_total", "Codec instances taken from the pool."),
                misses: counter(r, "pool_misses_total", "Transient instances created because the pool was empty."),
                ready: gauge(r, "pool_ready", "Codec instances ready in the pool."),
                size: gauge(r, "pool_size", "Codec instances that the pool keeps."),
            },
            pair_store: PairStoreMetrics {
                available: gauge(r, "pair_store_available", "Whether the pair store is available (1) or not (0)."),
                failures: counter(r, "pair_store_failures_total", "Operations that failed because the pair store was unavailable."),
            },
            untenanted: Arc::new(TenantMetrics::new(families.clone(), NO_TENANT)),
            families,
            tenants: Mutex::default(),
            registry,
        };
        metrics.start();
        metrics
    }
}

impl Metrics {
    /// Sets the metrics that have a value from the start.
    fn start(&self) {
        let info = options("build_info", "Always 1: the versions are its labels.");
        let info = registered(&self.registry, prometheus::IntGaugeVec::new(info, &["version", "codec"]));
        info.with_label_values(&[env!("CARGO_PKG_VERSION"), super::CODEC]).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        let _ = self.registry.register(Box::new(process));
        for result in ["ok", "failed"] {
            self.reloads.with_label_values(&[result]).reset();
            self.handshakes.with_label_values(&[result]).reset();
        }
        self.last_reload_successful.set(1);
    }

    /// The metrics of a tenant.
    pub fn tenant(&self, name: &str) -> Arc<TenantMetrics> {
        let mut tenants = self.tenants.lock();
        if let Some(known) = tenants.get(name) {
            return known.clone();
        }
        let made = Arc::new(TenantMetrics::new(self.families.clone(), name));
        tenants.insert(name.into(), made.clone());
        made
    }

    /// The metrics of requests that belong to no tenant.
    pub fn untenanted(&self) -> &TenantMetrics {
        &self.untenanted
    }

    /// Removes tenants that no longer exist, and their series.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.tenants.lock().retain(|name, metrics| {
            let keep = keep(name);
            if !keep {
                metrics.end();
            }
            keep
        });
    }

    /// Sets when the tenants' certificates expire; tenants without one have no series.
    pub fn set_certificates<'a>(&self, certificates: impl Iterator<Item = (&'a str, i64)>) {
        self.families.certificates.reset();
        for (tenant, until) in certificates {
            self.families.certificates.with_label_values(&[tenant]).set(until);
        }
    }

    /// All metrics in Prometheus' text format, except those of peers.
    pub fn text(&self) -> String {
        self.text_with(std::iter::empty())
    }

    /// All metrics in Prometheus' text format. With many busy tenants this is slow: do not call it on a thread that others wait
    /// for.
    pub fn text_with<'a>(&self, peers: impl Iterator<Item = Peer<'a>>) -> String {
        // Relays in one process share its log, so each reports all lines that it has dropped.
        let dropped = super::output::dropped();
        self.log_lines_dropped.inc_by(dropped.saturating_sub(self.log_lines_dropped.get()));
        let mut families = self.registry.gather();
        families.extend(families::peers(peers));
        prometheus::TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
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

    /// Changes every metric of a tenant.
    fn everything(tenant: &TenantMetrics) {
        tenant.finished(&request(200, 1));
        tenant.codec(Operation::Open, 2);
        tenant.codec_failed("replayed");
        tenant.pairing_refused("pairing_rate");
        tenant.pairs.add(2);
        tenant.pairs_created.inc_by(2);
        tenant.connected(true);
        tenant.retried();
        tenant.upstream_failed("connect", true);
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
    fn a_removed_tenant_has_no_series_and_others_keep_theirs() {
        let metrics = Metrics::default();
        for name in ["gone.test", "stays.test"] {
            everything(&metrics.tenant(name));
        }
        metrics.retain(|name| name == "stays.test");
        let text = metrics.text();
        assert!(!text.contains("gone.test"), "{text}");
        assert!(text.contains("mte_relay_codec_failures_total{cause=\"replayed\",tenant=\"stays.test\"} 1"));
    }

    #[test]
    fn a_request_that_ends_after_its_tenant_was_removed_creates_no_series() {
        let metrics = Metrics::default();
        let tenant = metrics.tenant("gone.test");
        tenant.finished(&request(200, 1));
        metrics.retain(|_| false);
        everything(&tenant);
        assert!(!metrics.text().contains("gone.test"), "{}", metrics.text());
        // A new tenant of the same name starts at zero.
        metrics.tenant("gone.test").retried();
        everything(&tenant);
        assert!(metrics.text().contains("mte_relay_upstream_retries_total{tenant=\"gone.test\"} 1"));
    }

    #[test]
    fn an_idle_tenant_has_no_series_and_unchanged_series_are_not_created() {
        let metrics = Metrics::default();
        let empty = metrics.text();
        let tenant = metrics.tenant("shop.test");
        assert_eq!((tenant.totals().requests, tenant.is_idle()), (0, true));
        tenant.codec(Operation::Open, 0);
        tenant.pairs.set(0);
        assert_eq!(metrics.text().lines().count(), empty.lines().count());
        tenant.finished(&Finished { request: [0, 0], response: [9, 0], ..request(200, 1) });
        let text = metrics.text();
        let bytes: Vec<_> = text.lines().filter(|line| line.starts_with("mte_relay_bytes_total")).collect();
        assert_eq!(
            bytes,
            ["mte_relay_bytes_total{direction=\"response\",form=\"plain\",tenant=\"shop.test\"} 9"]
        );
        assert!(!text.contains("route=\"pairing\"") && !tenant.is_idle());
    }

    #[test]
    fn ten_thousand_tenants_are_removed_in_time() {
        let metrics = Metrics::default();
        for number in 0..10_000 {
            metrics.tenant(&format!("t{number}.test")).retried();
        }
        let began = std::time::Instant::now();
        metrics.retain(|name| name == "t1.test");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(metrics.text().matches("tenant=").count(), 1);
    }
}
