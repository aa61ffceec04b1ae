//! A histogram's counts, and quantiles of the observations between two readings of it.

use prometheus::{Histogram, core::Collector};

/// A histogram's buckets: upper bounds and cumulative counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets(Vec<(f64, u64)>);

impl Buckets {
    pub(super) fn sum<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Self {
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

    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
        } else {
            self.0.iter_mut().zip(&other.0).for_each(|(own, other)| own.1 += other.1);
        }
    }

    /// The quantile, in seconds, of the observations since `before`; `None` if there were none. It is interpolated within a
    /// bucket; above the last bound, it is that bound.
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

    #[test]
    fn quantiles_cover_only_new_observations() {
        let options = prometheus::HistogramOpts::new("t", "t").buckets(vec![0.0025, 0.005, 1.0]);
        let histogram = Histogram::with_opts(options).unwrap();
        let now = || Buckets::sum(std::iter::once(&histogram));
        (0..100).for_each(|_| histogram.observe(0.7));
        let before = now();
        assert_eq!(before.quantile_since(&before, 0.5), None);
        (0..100).for_each(|_| histogram.observe(0.004));
        let median = now().quantile_since(&before, 0.5).unwrap();
        assert!((0.0025..=0.005).contains(&median), "{median}");
    }
}
