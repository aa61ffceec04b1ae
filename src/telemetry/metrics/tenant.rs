//! What is counted of one tenant. Its series are resolved once, so that counting is an atomic addition.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::{Buckets, Families};

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
    cors_refused: IntCounterVec,
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
    pub(super) fn new(families: &Families, name: Arc<str>) -> Self {
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
            cors_refused: families.cors_refused.clone(),
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

    /// Counts a request from an origin that is not allowed.
    pub fn cors_refused(&self) {
        self.cors_refused.with_label_values(&[&*self.name]).inc();
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
