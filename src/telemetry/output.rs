//! Where JSON lines go: stdout. The line of every request waits a moment for others, so that a busy relay does not make a
//! system call for each; all other lines take those that wait with them, at once and in order.

use std::{
    cell::Cell,
    io::{self, Stdout, Write},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

/// How long a line waits at most.
const PATIENCE: Duration = Duration::from_millis(50);
/// With more bytes waiting, whoever adds a line writes: a reader that is slow holds up the relay, not its memory.
const MOST: usize = 64 << 10;

thread_local! {
    /// Whether the line that this thread writes next may wait.
    static MAY_WAIT: Cell<bool> = const { Cell::new(false) };
}

/// Says of this thread's next line whether it may wait.
pub(super) fn may_wait(may: bool) {
    MAY_WAIT.set(may);
}

/// Stdout, with lines that wait.
pub(super) struct Output(Arc<Lines>);

struct Lines {
    waiting: Mutex<Vec<u8>>,
    some: Condvar,
    /// Locked before `waiting`, so that lines stay in order; with room for the next ones.
    out: Mutex<(Stdout, Vec<u8>)>,
}

impl Output {
    /// Starts the thread that writes what waits.
    pub(super) fn start() -> Self {
        let lines = Arc::new(Lines {
            waiting: Mutex::default(),
            some: Condvar::new(),
            out: Mutex::new((io::stdout(), Vec::new())),
        });
        let writer = lines.clone();
        let started = std::thread::Builder::new().name("log".into()).spawn(move || writer.run());
        if let Err(error) = started {
            eprintln!("mte-relay: no thread for the log: {error}; lines may be late");
        }
        Self(lines)
    }
}

impl Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let waiting = self.0.add(line);
        if !MAY_WAIT.take() || waiting > MOST {
            self.0.write_out()?;
        }
        Ok(line.len())
    }

    /// Nothing: what may wait, waits.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn run(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            self.some.wait_while(&mut waiting, |waiting| waiting.is_empty());
            drop(waiting);
            std::thread::sleep(PATIENCE);
            // Whoever closed stdout does not want to know.
            let _ = self.write_out();
        }
    }

    /// Adds a line; how many bytes wait now.
    fn add(&self, line: &[u8]) -> usize {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            self.some.notify_one();
        }
        waiting.extend_from_slice(line);
        waiting.len()
    }

    fn write_out(&self) -> io::Result<()> {
        let (stdout, lines) = &mut *self.out.lock();
        std::mem::swap(lines, &mut *self.waiting.lock());
        let written = stdout.write_all(lines);
        lines.clear();
        written
    }
}
