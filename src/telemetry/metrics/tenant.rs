//! The metrics of one tenant. Its series are looked up once, so that counting is an atomic addition.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus::{Histogram, IntCounter, IntGauge};

use super::{
    Buckets, Families,
    series::{ByCause, Owner, Series},
};

/// Routes through the relay, as labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteLabel {
    /// Hello, echo, the list of statuses, preflights.
    Control,
    /// Pairing.
    Pairing,
    /// Proxied unchanged.
    PassThrough,
    /// Opened, proxied, sealed.
    Encrypted,
    /// Sealed, sent to another relay, opened.
    Outbound,
    /// Refused before the route was known.
    None,
}

impl RouteLabel {
    const ALL: [Self; 6] =
        [Self::Control, Self::Pairing, Self::PassThrough, Self::Encrypted, Self::Outbound, Self::None];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Pairing => "pairing",
            Self::PassThrough => "pass_through",
            Self::Encrypted => "encrypted",
            Self::Outbound => "outbound",
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

/// The metrics of one tenant. None of them is exported before its first change.
pub struct TenantMetrics {
    owner: Arc<Owner>,
    families: Arc<Families>,
    /// Live pairs.
    pub pairs: Series<IntGauge>,
    /// Pairs made.
    pub pairs_created: Series<IntCounter>,
    /// Pairs dropped because of their age.
    pub pairs_expired: Series<IntCounter>,
    /// Pairs dropped to make room.
    pub pairs_evicted: Series<IntCounter>,
    /// An idle tenant has none, because they take some kilobytes.
    traffic: OnceLock<Box<Traffic>>,
}

/// The metrics of a tenant's requests.
struct Traffic {
    requests: [[Series<IntCounter>; 6]; 6],
    duration: [Series<Histogram>; 6],
    upstream_duration: Series<Histogram>,
    overhead: Series<Histogram>,
    /// Plain and encoded bytes of requests and responses.
    bytes: [[Series<IntCounter>; 2]; 2],
    opened: Series<IntCounter>,
    sealed: Series<IntCounter>,
    failures: ByCause,
    pairing_refused: ByCause,
    outbound_failures: ByCause,
    cors_refused: Series<IntCounter>,
    connections_new: Series<IntCounter>,
    connections_reused: Series<IntCounter>,
    upstream_failures: ByCause,
    retries: Series<IntCounter>,
    ejections: Series<IntCounter>,
}

impl Traffic {
    fn new(families: &Families, owner: &Arc<Owner>) -> Self {
        let requests = |route: RouteLabel| {
            CLASSES.map(|class| Series::new(&families.requests, &[route.name(), class], owner))
        };
        let duration = |route: RouteLabel| Series::new(&families.duration, &[route.name()], owner);
        let bytes = |direction| {
            ["plain", "encoded"].map(|form| Series::new(&families.bytes, &[direction, form], owner))
        };
        let operation = |operation| Series::new(&families.operations, &[operation], owner);
        let connections = |kind| Series::new(&families.upstream_connections, &[kind], owner);
        Self {
            requests: RouteLabel::ALL.map(requests),
            duration: RouteLabel::ALL.map(duration),
            upstream_duration: Series::new(&families.upstream_duration, &[], owner),
            overhead: Series::new(&families.overhead, &[], owner),
            bytes: [bytes("request"), bytes("response")],
            opened: operation("open"),
            sealed: operation("seal"),
            failures: ByCause::new(&families.failures, owner),
            pairing_refused: ByCause::new(&families.pairing_refused, owner),
            outbound_failures: ByCause::new(&families.outbound_failures, owner),
            cors_refused: Series::new(&families.cors_refused, &[], owner),
            connections_new: connections("new"),
            connections_reused: connections("reused"),
            upstream_failures: ByCause::new(&families.upstream_failures, owner),
            retries: Series::new(&families.upstream_retries, &[], owner),
            ejections: Series::new(&families.peer_ejections, &[], owner),
        }
    }
}

impl std::fmt::Debug for TenantMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TenantMetrics").field(&self.owner.name()).finish()
    }
}

/// A finished request.
#[derive(Debug)]
pub struct Finished {
    /// Its route.
    pub route: RouteLabel,
    /// The status it was answered with; 0: none.
    pub status: u16,
    /// Time from its head to its end.
    pub total: Duration,
    /// Time until the head of the upstream's response, if there was one.
    pub upstream: Option<Duration>,
    /// The relay's own part of the time until the response's head.
    pub overhead: Option<Duration>,
    /// Plain and encoded bytes of the request.
    pub request: [u64; 2],
    /// Plain and encoded bytes of the response.
    pub response: [u64; 2],
}

impl TenantMetrics {
    pub(super) fn new(families: Arc<Families>, name: &str) -> Self {
        let owner = Arc::new(Owner::new(name));
        let event = |event| Series::new(&families.pair_events, &[event], &owner);
        Self {
            pairs: Series::new(&families.pairs, &[], &owner),
            pairs_created: event("created"),
            pairs_expired: event("expired"),
            pairs_evicted: event("evicted"),
            traffic: OnceLock::new(),
            families,
            owner,
        }
    }

    fn traffic(&self) -> &Traffic {
        self.traffic.get_or_init(|| Box::new(Traffic::new(&self.families, &self.owner)))
    }

    /// Whether nothing was counted yet.
    pub fn is_idle(&self) -> bool {
        self.traffic.get().is_none() && self.pairs.begun().is_none()
    }

    /// Removes the tenant's series; what is counted from now on is not exported.
    pub(super) fn end(&self) {
        self.owner.end();
    }

    /// Counts a finished request.
    pub fn finished(&self, request: &Finished) {
        let traffic = self.traffic();
        let route = request.route as usize;
        traffic.requests[route][class(request.status)].inc();
        traffic.duration[route].observe(request.total.as_secs_f64());
        if let Some(upstream) = request.upstream {
            traffic.upstream_duration.observe(upstream.as_secs_f64());
        }
        if let Some(overhead) = request.overhead {
            traffic.overhead.observe(overhead.as_secs_f64());
        }
        for (counters, bytes) in traffic.bytes.iter().zip([request.request, request.response]) {
            counters.iter().zip(bytes).for_each(|(counter, bytes)| counter.inc_by(bytes));
        }
    }

    /// Counts messages.
    pub fn codec(&self, operation: Operation, messages: u64) {
        let traffic = self.traffic();
        match operation {
            Operation::Open => traffic.opened.inc_by(messages),
            Operation::Seal => traffic.sealed.inc_by(messages),
        }
    }

    /// Counts a request that did not decode.
    pub fn codec_failed(&self, cause: &'static str) {
        self.traffic().failures.inc(cause);
    }

    /// Counts a pairing request that was refused.
    pub fn pairing_refused(&self, cause: &'static str) {
        self.traffic().pairing_refused.inc(cause);
    }

    /// Counts an outbound request that failed.
    pub fn outbound_failed(&self, cause: &'static str) {
        self.traffic().outbound_failures.inc(cause);
    }

    /// Counts a request from an origin that is not allowed.
    pub fn cors_refused(&self) {
        self.traffic().cors_refused.inc();
    }

    /// Counts a connection used for a request.
    pub fn connected(&self, reused: bool) {
        let traffic = self.traffic();
        if reused { traffic.connections_reused.inc() } else { traffic.connections_new.inc() }
    }

    /// Counts a failed upstream attempt.
    pub fn upstream_failed(&self, cause: &'static str, ejected: bool) {
        let traffic = self.traffic();
        traffic.upstream_failures.inc(cause);
        if ejected {
            traffic.ejections.inc();
        }
    }

    /// Counts an upstream attempt after the first.
    pub fn retried(&self) {
        self.traffic().retries.inc();
    }

    /// The values that the status page samples, all since the start.
    pub fn totals(&self) -> Totals {
        let pairs =
            Totals { pairs: self.pairs.get(), created: self.pairs_created.get(), ..Totals::default() };
        let Some(traffic) = self.traffic.get() else { return pairs };
        let count = |classes: std::ops::Range<usize>| {
            traffic
                .requests
                .iter()
                .flat_map(|route| &route[classes.clone()])
                .map(Series::<IntCounter>::get)
                .sum()
        };
        let sum = |counters: &[Series<IntCounter>; 2]| counters[0].get().max(counters[1].get());
        let proxied = traffic.duration[RouteLabel::PassThrough as usize..].iter().take(3);
        Totals {
            requests: count(0..6),
            refused: count(4..5),
            errors: count(5..6) + count(0..1),
            duration: Buckets::sum(proxied.filter_map(Series::begun)),
            overhead: Buckets::sum(traffic.overhead.begun().into_iter()),
            received: sum(&traffic.bytes[0]),
            sent: sum(&traffic.bytes[1]),
            ..pairs
        }
    }
}

/// A tenant's counts since the start.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Requests answered with 4xx.
    pub refused: u64,
    /// Requests answered with 5xx, or not at all.
    pub errors: u64,
    /// Durations of proxied requests.
    pub duration: Buckets,
    /// Durations of the relay's own part.
    pub overhead: Buckets,
    /// Request bytes.
    pub received: u64,
    /// Response bytes.
    pub sent: u64,
    /// Live pairs.
    pub pairs: i64,
    /// Pairs made.
    pub created: u64,
}
