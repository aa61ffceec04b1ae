//! How much CPU time other programs used during the run: results from a busy machine are rough, and the report says so.

use std::time::{Duration, Instant};

use crate::{Result, processes::Fleet};

/// Below this share of the CPUs, other programs are not reported.
const QUIET: f64 = 0.05;

/// A sample of the CPU time of the whole machine, and of this run.
pub(crate) struct CpuSample {
    at: Instant,
    /// Since the machine was started, in any unit.
    idle: u64,
    total: u64,
    cpus: usize,
    own: Duration,
}

impl CpuSample {
    pub(crate) fn now(fleet: &Fleet) -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let (idle, total) = idle_and_total(&stat).ok_or("/proc/stat has no line for all CPUs")?;
        let cpus = stat.lines().filter(|line| line.starts_with("cpu")).count() - 1;
        Ok(Self { at: Instant::now(), idle, total, cpus, own: fleet.cpu_time()? })
    }

    /// The share of the CPUs that others used between two samples: other programs, and other guests of the same host.
    fn others(&self, before: &Self) -> f64 {
        let total = self.total.saturating_sub(before.total).max(1) as f64;
        let busy = 1.0 - self.idle.saturating_sub(before.idle) as f64 / total;
        let time = (self.at - before.at).as_secs_f64() * self.cpus as f64;
        let own = self.own.saturating_sub(before.own).as_secs_f64() / time;
        (busy - own).max(0.0)
    }

    /// The notice for the report, if there is one.
    pub(crate) fn notice(&self, before: &Self) -> Option<String> {
        let others = self.others(before);
        (others > QUIET).then(|| {
            format!(
                "other work took {:.0} % of the CPUs meanwhile, so these figures are rough",
                others * 100.0
            )
        })
    }
}

/// The fourth and fifth figure of the first line count idle time; guests' time is within the first two.
fn idle_and_total(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let fields: Vec<u64> = fields.take(8).map(|field| field.parse().ok()).collect::<Option<_>>()?;
    Some((fields.get(3)? + fields.get(4)?, fields.iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_proc_stat_has_idle_and_total() {
        let stat = "cpu  10 20 30 400 50 6 7 8 1 2\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(idle_and_total(stat), Some((450, 531)));
        assert_eq!(idle_and_total("intr 1 2"), None);
    }

    #[test]
    fn other_cpu_time_is_neither_idle_nor_our_own() {
        let at = Instant::now();
        let before = CpuSample { at, idle: 1_000, total: 5_000, cpus: 2, own: Duration::ZERO };
        let after = CpuSample {
            at: at + Duration::from_secs(10),
            idle: 1_200,
            total: 7_000,
            cpus: 2,
            own: Duration::from_secs(14),
        };
        // 90 % busy on two CPUs for 10 s; this run used 14 s of the 20 s.
        assert!((after.others(&before) - 0.2).abs() < 1e-9);
        assert_eq!(after.notice(&before).unwrap().split_once(" %").unwrap().0, "other work took 20");
    }
}
