//! The progress of a run and the remaining time: one line that is rewritten on a terminal, otherwise a line per group.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::scenario::Scenario;

pub(crate) struct Progress {
    terminal: bool,
    begun: Instant,
    /// Number of slices of the whole run, and the estimated length of one.
    total: usize,
    estimate: Duration,
    done: usize,
    /// The title printed last.
    shown: String,
}

impl Progress {
    pub(crate) fn new(total: usize, estimate: Duration) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { terminal, begun: Instant::now(), total, estimate, done: 0, shown: String::new() }
    }

    /// A slice of this scenario begins.
    pub(crate) fn begin(&mut self, part: &str, scenario: Scenario) {
        let left = left(self.begun.elapsed(), self.done, self.total, self.estimate);
        let title = format!("{part}: {}", scenario.group.name());
        if self.terminal {
            let percent = self.done * 100 / self.total.max(1);
            eprint!("\r\x1b[K{percent:3} %  {title}, {}  ({left} left)", scenario.name());
            let _ = std::io::stderr().flush();
        } else if title != self.shown {
            eprintln!("{title} ({left} left)");
            self.shown = title;
        }
        self.done += 1;
    }

    /// Clears the line for other output.
    pub(crate) fn end(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}

/// The remaining time, extrapolated from the elapsed time, or from the estimate at first.
fn left(elapsed: Duration, done: usize, total: usize, estimate: Duration) -> String {
    let each = if done < 5 { estimate } else { elapsed / done as u32 };
    let seconds = (each * (total - done.min(total)) as u32).as_secs_f64().ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_time_moves_from_the_estimate_to_the_measured_time() {
        let second = Duration::from_secs(1);
        assert_eq!(left(Duration::ZERO, 0, 100, second), "1 min 40 s");
        assert_eq!(left(second * 100, 50, 60, second), "20 s");
        assert_eq!(left(second * 100, 100, 100, second), "0 s");
    }
}
