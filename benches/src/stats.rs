//! Computes the figures of the table from single requests.

use serde::Serialize;

/// The measurements of one scenario in one slice of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Slice {
    /// Requests, or pairs, per second of elapsed time.
    pub(crate) per_second: f64,
    /// Requests, or pairs, per second of the proxy's CPU time; `None` without a proxy.
    pub(crate) per_cpu_second: Option<f64>,
    /// Share of the time that the proxy used a CPU.
    pub(crate) cpu_share: Option<f64>,
    /// Milliseconds, from the first byte sent to the last one read.
    pub(crate) p50_ms: f64,
    /// The same.
    pub(crate) p99_ms: f64,
}

impl Slice {
    /// `latencies` has one entry per request, in microseconds, each of which did `units` of work (a request, or some
    /// pairs).
    pub(crate) fn new(seconds: f64, cpu_seconds: Option<f64>, units: u64, mut latencies: Vec<u32>) -> Self {
        latencies.sort_unstable();
        let done = latencies.len() as f64 * units as f64;
        let millis = |share| f64::from(percentile(&latencies, share)) / 1e3;
        Self {
            per_second: done / seconds,
            per_cpu_second: cpu_seconds.map(|cpu| done / cpu),
            cpu_share: cpu_seconds.map(|cpu| cpu / seconds),
            p50_ms: millis(0.50),
            p99_ms: millis(0.99),
        }
    }
}

/// The smallest value that at least `share` of the sorted values do not exceed; 0 without values.
fn percentile(sorted: &[u32], share: f64) -> u32 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// The middle value, or the mean of the two in the middle; `None` without values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    quantile(&sorted(values), 0.5)
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The quantile `share` of sorted values, interpolated between two neighbours if necessary.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = (sorted.len().checked_sub(1)? as f64) * share;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

/// The share of the baseline's work per CPU-second, compared round by round, because conditions are similar within a round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    /// Half of the rounds lie between these two.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    /// `None` unless both were measured in at least one round, with their CPU time.
    pub(crate) fn new(slices: &[Slice], baseline: &[Slice]) -> Option<Self> {
        let ratio = |(own, yard): (&Slice, &Slice)| Some(own.per_cpu_second? / yard.per_cpu_second?);
        let ratios = sorted(slices.iter().zip(baseline).filter_map(ratio));
        Some(Self {
            median: quantile(&ratios, 0.50)?,
            low: quantile(&ratios, 0.25)?,
            high: quantile(&ratios, 0.75)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(per_cpu_second: Option<f64>) -> Slice {
        Slice { per_second: 1.0, per_cpu_second, cpu_share: None, p50_ms: 0.0, p99_ms: 0.0 }
    }

    #[test]
    fn the_median_is_the_middle_of_any_order() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [10.0, 20.0, 30.0, 40.0];
        assert_eq!(
            [0.0, 0.25, 0.5, 1.0].map(|share| quantile(&values, share)),
            [Some(10.0), Some(17.5), Some(25.0), Some(40.0)]
        );
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u32> = (1..=200).collect();
        assert_eq!((percentile(&values, 0.50), percentile(&values, 0.99)), (100, 198));
        assert_eq!((percentile(&[7], 0.50), percentile(&[7], 0.99)), (7, 7));
        assert_eq!(percentile(&[], 0.99), 0);
    }

    #[test]
    fn a_slice_counts_units_per_second_and_per_cpu_second() {
        let slice = Slice::new(2.0, Some(0.5), 5, vec![3_000, 1_000, 2_000, 4_000]);
        assert_eq!((slice.per_second, slice.per_cpu_second), (10.0, Some(40.0)));
        assert_eq!((slice.cpu_share, slice.p50_ms, slice.p99_ms), (Some(0.25), 2.0, 4.0));
        assert_eq!(Slice::new(1.0, None, 1, vec![1]).per_cpu_second, None);
    }

    #[test]
    fn ratios_pair_the_rounds() {
        // The machine was half as fast in the second round; the ratio is not affected.
        let own = [80.0, 40.0, 90.0, 70.0, 60.0].map(Some).map(slice);
        let yard = [100.0, 50.0, 100.0, 100.0, 100.0].map(Some).map(slice);
        assert_eq!(Ratio::new(&own, &yard), Some(Ratio { median: 0.8, low: 0.7, high: 0.8 }));
        assert_eq!(Ratio::new(&[slice(None)], &yard), None);
    }
}
