//! The log's output: a bounded queue, and one thread that writes it to stdout.
//!
//! A reader of the log that is slow or has stopped loses lines but never delays requests: adding a line never waits for
//! stdout. Lines that do not fit are dropped and counted, and once lines can be written again, one of them says how many are
//! missing. The same applies if stdout is closed (EPIPE) or the disk behind it is full (ENOSPC).
//!
//! A request's line waits briefly for others, so that a busy relay does not make a system call for each. Any other line is
//! written at once, after the waiting ones, so lines stay in order.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use once_cell::sync::OnceCell;
use parking_lot::{Condvar, Mutex};

use super::line::Format;

/// How long a request's line waits at most for others.
const BATCH_DELAY: Duration = Duration::from_millis(50);
/// If more bytes than this are waiting, they are written immediately.
const BATCH_BYTES: usize = 64 << 10;
/// At most one line per this many bytes is accepted, so that short lines do not cost more than long ones.
const BYTES_PER_LINE: usize = 128;
/// The part of the queue that access lines leave free for warnings and errors: a quarter.
const OTHERS: usize = 4;
/// Buffers above this size are freed.
const KEPT_BYTES: usize = 1 << 20;
/// A reader that reads nothing for this long no longer delays the end of the process.
const FLUSH_STALL: Duration = Duration::from_secs(1);
/// A slow reader delays it at most this long.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// If stdout is non-blocking (set by another process) and would block, the next attempt is made after this time.
const RETRY: Duration = Duration::from_millis(10);

/// The process has one stdout, whatever the number of relays in it, and `log` has one logger.
static QUEUE: OnceCell<Queue> = OnceCell::new();

/// Starts the thread that writes, once in a process.
pub(super) fn start(format: Format, max_bytes: usize) -> &'static Queue {
    let mut first = false;
    let queue = QUEUE.get_or_init(|| {
        first = true;
        Queue::new(max_bytes)
    });
    if first {
        let writing = io::stdout().as_fd().try_clone_to_owned().and_then(|stdout| {
            let writer = Writer { queue, out: File::from(stdout), format, missing: 0, torn: false };
            std::thread::Builder::new().name("log".into()).spawn(move || writer.run())
        });
        if let Err(error) = writing {
            eprintln!("mte-relay: the log cannot be written: {error}");
        }
    }
    queue
}

/// Waits until the log is written, as long as its reader takes it, and for some seconds at most. Call it before the process
/// ends.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_STALL, FLUSH_LIMIT);
    }
}

/// Number of lines of this process that were dropped so far.
pub(super) fn dropped() -> u64 {
    QUEUE.get().map_or(0, |queue| queue.dropped.load(Ordering::Relaxed))
}

/// Lines waiting to be written.
pub(super) struct Queue {
    /// Maximum number of waiting bytes, plus one line: a line is never dropped because of its own size. The same amount again
    /// may be on its way to the reader.
    max_bytes: usize,
    waiting: Mutex<Waiting>,
    /// Signals that there is something to write.
    some: Condvar,
    /// Signals that everything is written.
    none: Condvar,
    /// Number of lines dropped since the start.
    dropped: AtomicU64,
    /// Increases with every successful write.
    writes: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: usize,
    /// Number of lines that did not fit after these.
    dropped: u64,
    /// Whether one of them must be written immediately.
    at_once: bool,
    /// Whether other lines are being written.
    writing: bool,
}

impl Waiting {
    fn is_due(&self) -> bool {
        self.at_once || self.bytes.len() >= BATCH_BYTES
    }
}

impl Queue {
    fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            waiting: Mutex::default(),
            some: Condvar::new(),
            none: Condvar::new(),
            dropped: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        }
    }

    /// Adds a line, or drops it. Never waits for the reader: the lock is held only while memory is copied or swapped.
    pub(super) fn add(&self, line: &[u8], at_once: bool) {
        let max = if at_once { self.max_bytes } else { self.max_bytes - self.max_bytes / OTHERS };
        let mut waiting = self.waiting.lock();
        if waiting.bytes.len() >= max || waiting.lines >= max / BYTES_PER_LINE {
            waiting.dropped += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (first, was_due) = (waiting.lines == 0, waiting.is_due());
        waiting.bytes.extend_from_slice(line);
        waiting.lines += 1;
        waiting.at_once |= at_once;
        let wake = first || (!was_due && waiting.is_due());
        drop(waiting);
        if wake {
            self.some.notify_one();
        }
    }

    /// Waits for lines and swaps them for an empty buffer; returns how many were dropped after them.
    fn take(&self, batch: &mut Vec<u8>) -> u64 {
        let mut waiting = self.waiting.lock();
        waiting.writing = false;
        if waiting.lines == 0 {
            self.none.notify_all();
        }
        self.some.wait_while(&mut waiting, |waiting| waiting.lines == 0);
        self.some.wait_while_for(&mut waiting, |waiting| !waiting.is_due(), BATCH_DELAY);
        std::mem::swap(batch, &mut waiting.bytes);
        (waiting.lines, waiting.at_once, waiting.writing) = (0, false, true);
        std::mem::take(&mut waiting.dropped)
    }

    fn flush(&self, stall: Duration, limit: Duration) {
        let end = Instant::now() + limit;
        let mut waiting = self.waiting.lock();
        waiting.at_once = true;
        self.some.notify_one();
        while (waiting.lines > 0 || waiting.writing) && Instant::now() < end {
            let before = self.writes.load(Ordering::Relaxed);
            let quiet = self.none.wait_for(&mut waiting, stall).timed_out();
            if quiet && self.writes.load(Ordering::Relaxed) == before {
                return;
            }
            waiting.at_once = true;
        }
    }
}

/// Writes the waiting lines.
struct Writer<W> {
    queue: &'static Queue,
    out: W,
    format: Format,
    /// Number of dropped lines that were not reported yet.
    missing: u64,
    /// Whether the last write ended in the middle of a line.
    torn: bool,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let dropped = self.queue.take(&mut batch);
            self.write(&batch, dropped);
            batch.clear();
            if batch.capacity() > KEPT_BYTES {
                batch = Vec::new();
            }
        }
    }

    /// Writes lines, after which some were dropped.
    fn write(&mut self, batch: &[u8], dropped: u64) {
        self.tell_missing();
        let lost = memchr::memchr_iter(b'\n', self.write_out(batch)).count() as u64;
        self.queue.dropped.fetch_add(lost, Ordering::Relaxed);
        self.missing += lost + dropped;
        if lost == 0 {
            self.tell_missing();
        }
    }

    /// Writes how many lines are missing here, if any.
    fn tell_missing(&mut self) {
        if self.missing == 0 || log::max_level() < log::Level::Warn {
            return;
        }
        let fields = [("dropped", self.missing)];
        let mut line = Vec::new();
        let record = log::Record::builder()
            .level(log::Level::Warn)
            .target(module_path!())
            .args(format_args!("lines are missing here: the reader of the log was too slow"))
            .key_values(&fields)
            .build();
        if self.format.write(&mut line, &record).is_ok() && self.write_out(&line).is_empty() {
            self.missing = 0;
        }
    }

    /// Writes as much as possible; returns the rest.
    fn write_out<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        if self.torn {
            match self.write_some(b"\n") {
                Some(1) => self.torn = false,
                _ => return bytes,
            }
        }
        let begun = bytes.len();
        while !bytes.is_empty() {
            match self.write_some(&bytes[..bytes.len().min(BATCH_BYTES)]) {
                Some(written) => bytes = &bytes[written..],
                None => {
                    self.torn = bytes.len() < begun;
                    return bytes;
                }
            }
        }
        bytes
    }

    /// One write, retried as long as it can succeed; `None` if it cannot.
    fn write_some(&mut self, bytes: &[u8]) -> Option<usize> {
        loop {
            match self.out.write(bytes) {
                Ok(0) => return None,
                Ok(written) => {
                    self.queue.writes.fetch_add(1, Ordering::Relaxed);
                    return Some(written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(RETRY),
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const MAX_BYTES: usize = 1 << 20;
    const MAX_LINES: usize = MAX_BYTES / BYTES_PER_LINE;

    /// A disk with space for this many bytes.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Disk {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().0.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (written, room) = &mut *self.0.lock();
            let some = bytes.len().min(*room);
            *room -= some;
            written.extend_from_slice(&bytes[..some]);
            if some == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(some) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer(disk: &Disk) -> Writer<Disk> {
        log::set_max_level(log::LevelFilter::Info);
        let queue = Box::leak(Box::new(Queue::new(MAX_BYTES)));
        Writer { queue, out: disk.clone(), format: Format::Json, missing: 0, torn: false }
    }

    #[test]
    fn lines_lost_to_a_full_disk_are_counted_and_the_next_line_starts_on_a_new_line() {
        let disk = Disk::default();
        let mut writer = writer(&disk);
        disk.0.lock().1 = 6;
        writer.write(b"one\ntwo\nthree\n", 0);
        assert_eq!(writer.queue.dropped.load(Ordering::Relaxed), 2, "two, which is torn, and three");
        writer.write(b"four\n", 0);
        assert_eq!(writer.queue.dropped.load(Ordering::Relaxed), 3);
        disk.0.lock().1 = 10_000;
        writer.write(b"five\n", 0);
        let text = disk.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines[0], lines[1], lines[3]), ("one", "tw", "five"), "{text}");
        assert!(lines[2].contains("lines are missing here") && lines[2].contains("\"dropped\":3"), "{text}");
    }

    #[test]
    fn lines_that_do_not_fit_are_dropped_and_counted_and_space_is_reserved_for_warnings() {
        let disk = Disk::default();
        disk.0.lock().1 = usize::MAX;
        let mut writer = writer(&disk);
        let queue = writer.queue;
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        for _ in 0..MAX_LINES {
            queue.add(&line, false);
        }
        let taken = MAX_LINES - MAX_LINES / OTHERS;
        assert_eq!(queue.dropped.load(Ordering::Relaxed) as usize, MAX_LINES - taken);
        queue.add(b"a warning\n", true);
        for _ in 0..MAX_LINES {
            queue.add(&line, true);
        }
        let in_memory = queue.waiting.lock().bytes.len();
        assert!(in_memory <= MAX_BYTES + line.len(), "{in_memory}");
        let mut batch = Vec::new();
        let dropped = queue.take(&mut batch);
        writer.write(&batch, dropped);
        let text = disk.text();
        assert!(text.contains("\na warning\n"));
        assert!(text.ends_with(&format!("\"dropped\":{dropped}}}\n")), "the last line says how many");
    }

    #[test]
    fn a_line_larger_than_the_queue_is_not_dropped_for_its_size() {
        let queue = Queue::new(MAX_BYTES);
        queue.add(&b"x".repeat(2 * MAX_BYTES), true);
        queue.add(b"one more\n", true);
        assert_eq!((queue.waiting.lock().lines, queue.dropped.load(Ordering::Relaxed)), (1, 1));
    }

    #[test]
    fn a_flush_ends_when_the_reader_reads_nothing() {
        let queue = Queue::new(MAX_BYTES);
        queue.add(b"a line that no thread writes\n", true);
        let began = Instant::now();
        queue.flush(Duration::from_millis(50), Duration::from_secs(60));
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
