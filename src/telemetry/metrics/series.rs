//! Series that are created at their first change, and removed with their tenant.
//!
//! An idle tenant has none, so that `/metrics` stays small with thousands of tenants. A series is looked up once, when it
//! is created; from then on, counting is an atomic addition.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// Removes a series.
type End = Box<dyn FnOnce() + Send>;

/// A tenant as the owner of its series.
pub(super) struct Owner {
    name: Arc<str>,
    /// Functions that remove its series; `None` once the tenant is removed.
    ends: Mutex<Option<Vec<End>>>,
}

impl Owner {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), ends: Mutex::new(Some(Vec::new())) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Creates a series. A request may finish after its tenant is removed: its counts are then not exported.
    fn begin<M: Labelled>(&self, family: &M::Family, labels: &[&'static str]) -> M {
        let mut ends = self.ends.lock();
        let Some(ends) = &mut *ends else { return M::unregistered() };
        let series = M::begin(family, &values(&self.name, labels));
        let (family, name, labels) = (family.clone(), self.name.clone(), labels.to_vec());
        ends.push(Box::new(move || M::end(&family, &values(&name, &labels))));
        series
    }

    /// Removes all series.
    pub(super) fn end(&self) {
        let ends = self.ends.lock().take();
        ends.into_iter().flatten().for_each(|end| end());
    }
}

/// The values of a series' labels: the tenant's name comes before all others.
fn values<'a>(name: &'a str, labels: &[&'a str]) -> Vec<&'a str> {
    std::iter::once(name).chain(labels.iter().copied()).collect()
}

/// A kind of metric that has labels.
pub trait Labelled: Sized + Send + Sync + 'static {
    /// All series of one name.
    type Family: Clone + Send + Sync + 'static;
    /// The series with these labels.
    fn begin(family: &Self::Family, labels: &[&str]) -> Self;
    /// Removes the series with these labels.
    fn end(family: &Self::Family, labels: &[&str]);
    /// A series that is not exported.
    fn unregistered() -> Self;
}

/// The name of series that are not exported. It is valid, so the constructors below do not fail.
const UNREGISTERED: &str = "unregistered";

macro_rules! labelled {
    ($metric:ident, $family:ident, $unregistered:expr) => {
        impl Labelled for $metric {
            type Family = $family;
            fn begin(family: &$family, labels: &[&str]) -> Self {
                family.with_label_values(labels)
            }
            fn end(family: &$family, labels: &[&str]) {
                // An error means that it was removed already.
                let _ = family.remove_label_values(labels);
            }
            #[allow(clippy::expect_used)]
            fn unregistered() -> Self {
                $unregistered.expect("a valid name")
            }
        }
    };
}

labelled!(IntCounter, IntCounterVec, IntCounter::new(UNREGISTERED, UNREGISTERED));
labelled!(IntGauge, IntGaugeVec, IntGauge::new(UNREGISTERED, UNREGISTERED));
labelled!(Histogram, HistogramVec, Histogram::with_opts(HistogramOpts::new(UNREGISTERED, UNREGISTERED)));

/// One series of a tenant, which is created at its first change.
pub struct Series<M: Labelled> {
    series: OnceLock<M>,
    family: M::Family,
    labels: Box<[&'static str]>,
    owner: Arc<Owner>,
}

impl<M: Labelled> Series<M> {
    pub(super) fn new(family: &M::Family, labels: &[&'static str], owner: &Arc<Owner>) -> Self {
        Self { series: OnceLock::new(), family: family.clone(), labels: labels.into(), owner: owner.clone() }
    }

    fn moved(&self) -> &M {
        self.series.get_or_init(|| self.owner.begin(&self.family, &self.labels))
    }

    /// The series, if it exists.
    pub(super) fn begun(&self) -> Option<&M> {
        self.series.get()
    }
}

impl Series<IntCounter> {
    /// Adds one.
    pub fn inc(&self) {
        self.moved().inc();
    }

    /// Adds a number; zero does not create the series.
    pub fn inc_by(&self, count: u64) {
        if count > 0 {
            self.moved().inc_by(count);
        }
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.begun().map_or(0, IntCounter::get)
    }
}

impl Series<IntGauge> {
    /// Adds one.
    pub fn inc(&self) {
        self.moved().inc();
    }

    /// Subtracts one.
    pub fn dec(&self) {
        self.moved().dec();
    }

    /// Adds a number.
    pub fn add(&self, count: i64) {
        self.moved().add(count);
    }

    /// Subtracts a number.
    pub fn sub(&self, count: i64) {
        self.moved().sub(count);
    }

    /// Sets the value; zero does not create the series.
    pub fn set(&self, value: i64) {
        if value != 0 || self.begun().is_some() {
            self.moved().set(value);
        }
    }

    /// The current value.
    pub fn get(&self) -> i64 {
        self.begun().map_or(0, IntGauge::get)
    }
}

impl Series<Histogram> {
    /// Adds an observation.
    pub(super) fn observe(&self, seconds: f64) {
        self.moved().observe(seconds);
    }
}

/// A tenant's counters of one family, by cause. Causes are constants of this program.
pub(super) struct ByCause {
    /// There are few, and they are searched only when something failed.
    begun: Mutex<Vec<(&'static str, IntCounter)>>,
    family: IntCounterVec,
    owner: Arc<Owner>,
}

impl ByCause {
    pub(super) fn new(family: &IntCounterVec, owner: &Arc<Owner>) -> Self {
        Self { begun: Mutex::default(), family: family.clone(), owner: owner.clone() }
    }

    pub(super) fn inc(&self, cause: &'static str) {
        let mut begun = self.begun.lock();
        match begun.iter().find(|(known, _)| *known == cause) {
            Some((_, counter)) => counter.inc(),
            None => {
                let counter: IntCounter = self.owner.begin(&self.family, &[cause]);
                counter.inc();
                begun.push((cause, counter));
            }
        }
    }
}
