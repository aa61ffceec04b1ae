//! The results as a table and as JSON.

use std::{fmt::Write, io::IsTerminal};

use serde::Serialize;

use crate::{
    scenario::{Group, Scenario, Target},
    stats::{Ratio, Slice, median},
};

/// The conditions of the measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
    pub(crate) connections: u16,
    /// Number of CPUs that the run could use.
    pub(crate) cpus: usize,
    /// Whether the proxies had their own CPU.
    pub(crate) pinned: bool,
    pub(crate) notices: Vec<String>,
}

/// All measurements of one scenario, one slice per round.
pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    pub(crate) slices: Vec<Slice>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    #[serde(skip)]
    scenario: Scenario,
    /// Medians over the rounds.
    median: Slice,
    /// Work per CPU-second as a share of plain Pingora's.
    ratio: Option<Ratio>,
    goal: Option<f64>,
    met: Option<bool>,
    rounds: Vec<Slice>,
}

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    setting: Setting,
    scenarios: Vec<Line>,
}

impl Report {
    pub(crate) fn new(setting: Setting, measured: &[Measured]) -> Self {
        let baseline = |group: Group| {
            let is_it =
                |one: &&Measured| one.scenario.group == group && one.scenario.target == Target::PlainPingora;
            measured.iter().find(is_it).map_or(&[][..], |one| one.slices.as_slice())
        };
        let line = |one: &Measured| {
            let goal = one.scenario.goal();
            let ratio = Ratio::new(&one.slices, baseline(one.scenario.group));
            Some(Line {
                id: one.scenario.id(),
                scenario: one.scenario,
                median: medians(&one.slices)?,
                ratio,
                goal,
                met: goal.zip(ratio).map(|(goal, ratio)| ratio.median >= goal),
                rounds: one.slices.clone(),
            })
        };
        Self { setting, scenarios: measured.iter().filter_map(line).collect() }
    }

    /// The table, for people.
    pub(crate) fn to_text(&self) -> String {
        let paint = Paint { on: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() };
        let mut out = format!(
            "{:24}{:>11}{:>8}{:>15}{:>10}{:>10}   {:<20}{}\n",
            "", "per s", "CPU", "per CPU-s", "p50 ms", "p99 ms", "of plain Pingora", "goal"
        );
        let mut group = None;
        for line in &self.scenarios {
            if group != Some(line.scenario.group) {
                group = Some(line.scenario.group);
                let _ = writeln!(out, "{}", paint.bold(&line.scenario.group.name()));
            }
            let _ = writeln!(out, "{}", line.to_text(&paint).trim_end());
        }
        let Setting { seconds, rounds, connections, cpus, pinned, notices } = &self.setting;
        let seats = if *pinned { "the proxies have one of them for themselves" } else { "shared by all" };
        let _ = write!(
            out,
            "\n\
             per s: requests (or pairs) per second. CPU: how busy the proxy was. per CPU-s: requests (or pairs) per second\n\
             of its CPU time; of plain Pingora: the same as a share of plain Pingora's, which the goals are about. Medians\n\
             of {rounds} rounds of {seconds} s (in brackets: where half of them lie), {connections} connections, {cpus} CPUs,\n\
             {seats}.\n\
             Every proxy has one worker thread; the relay logs to a file (--log-level).\n"
        );
        for notice in notices {
            let _ = writeln!(out, "{}", paint.bold(&format!("Note: {notice}.")));
        }
        out
    }
}

impl Line {
    fn to_text(&self, paint: &Paint) -> String {
        let Slice { per_second, per_cpu_second, cpu_share, p50_ms, p99_ms } = self.median;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let share = or_dash(cpu_share.map(|share| format!("{:.0} %", share * 100.0)));
        let per_cpu_second = or_dash(per_cpu_second.map(thousands));
        let ratio = match self.ratio {
            Some(_) if self.scenario.target == Target::PlainPingora => "1".into(),
            Some(Ratio { median, low, high }) => format!("{median:.2} ({low:.2}-{high:.2})"),
            None => String::new(),
        };
        let goal = match (self.goal, self.met) {
            (Some(goal), Some(true)) => format!("{goal:.2} {}", paint.green("met")),
            (Some(goal), Some(false)) => format!("{goal:.2} {}", paint.red("NOT MET")),
            _ => String::new(),
        };
        let name = self.scenario.name();
        let per_second = thousands(per_second);
        format!(
            "  {name:22}{per_second:>11}{share:>8}{per_cpu_second:>15}{p50_ms:>10.2}{p99_ms:>10.2}   {ratio:<20}{goal}"
        )
    }
}

/// The median of each figure separately.
fn medians(slices: &[Slice]) -> Option<Slice> {
    let of = |figure: fn(&Slice) -> f64| median(slices.iter().map(figure));
    let of_some = |figure: fn(&Slice) -> Option<f64>| median(slices.iter().filter_map(figure));
    Some(Slice {
        per_second: of(|slice| slice.per_second)?,
        per_cpu_second: of_some(|slice| slice.per_cpu_second),
        cpu_share: of_some(|slice| slice.cpu_share),
        p50_ms: of(|slice| slice.p50_ms)?,
        p99_ms: of(|slice| slice.p99_ms)?,
    })
}

/// A whole number with thousands separators.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Colours, on a terminal.
struct Paint {
    on: bool,
}

impl Paint {
    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn green(&self, text: &str) -> String {
        self.with("32", text)
    }

    fn red(&self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(&self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(id: &str, per_cpu_second: &[f64]) -> Measured {
        let slice = |per_cpu_second: &f64| Slice {
            per_second: 1_234.5,
            per_cpu_second: Some(*per_cpu_second),
            cpu_share: Some(0.5),
            p50_ms: 1.0,
            p99_ms: 2.0,
        };
        Measured { scenario: Scenario::find(id).unwrap(), slices: per_cpu_second.iter().map(slice).collect() }
    }

    fn report(measured: &[Measured]) -> Report {
        let setting = Setting {
            seconds: 1.0,
            rounds: 3,
            connections: 16,
            cpus: 2,
            pinned: true,
            notices: vec!["nginx is not there".into()],
        };
        Report::new(setting, measured)
    }

    #[test]
    fn goals_are_compared_with_the_median_ratio_of_the_same_group() {
        let report = report(&[
            measured("get-1mib-pingora", &[10.0, 10.0, 10.0]),
            measured("get-10kb-pingora", &[100.0, 100.0, 50.0]),
            measured("get-10kb-pass", &[94.0, 90.0, 50.0]),
            measured("get-10kb-mke", &[79.0, 81.0, 41.0]),
            measured("get-1kib-mke", &[1.0]),
        ]);
        let met: Vec<_> = report.scenarios.iter().map(|line| line.met).collect();
        assert_eq!(met, [None, None, Some(false), Some(true), None]);
        let text = report.to_text();
        assert!(text.contains("0.81 (0.80-0.81)") && text.contains("0.80 met"), "{text}");
        assert!(text.contains("0.95 NOT MET") && text.contains("Note: nginx is not there."), "{text}");
    }

    #[test]
    fn thousands_are_separated() {
        let texts = [0.4, 999.0, 1_000.0, 1_234_567.8].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,568"]);
    }
}
