//! File descriptors: the limit of this process, and a small reserve.
//!
//! Clients determine the number of connections. When they have used up all descriptors, the admin listener still responds:
//! it releases one descriptor of its reserve and accepts a connection with it.

use std::{io, os::fd::OwnedFd};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::Mutex;

/// With fewer, a busy relay soon runs out.
const MIN_DESCRIPTORS: u64 = 4_096;

/// Descriptors for each client connection: its own, and one to an upstream.
const PER_CONNECTION: u64 = 2;

/// Descriptors for listeners, the admin listener, files, name resolution, health checks, and unused connections to upstreams.
const OVERHEAD: u64 = 768;

/// Raises the limit of descriptors as far as allowed, and logs it. The soft limit, often 1024, exists for programs that
/// cannot handle more.
pub fn raise_limit() {
    let raised = raise();
    match raised {
        Ok((soft, hard)) if soft < hard => {
            log::info!(descriptors = hard; "the limit of file descriptors is raised from {soft} to {hard}");
        }
        Ok((_, hard)) => log::info!(descriptors = hard; "the limit of file descriptors is {hard}"),
        Err(error) => log::warn!("the limit of file descriptors cannot be raised: {error}"),
    }
    if raised.is_ok_and(|(_, hard)| hard < MIN_DESCRIPTORS) {
        log::warn!(
            "few file descriptors: a client's connection takes one, a proxied request one more; raise LimitNOFILE or ulimit -n"
        );
    }
}

/// Raises the soft limit to the hard one. Returns both limits as they were before.
fn raise() -> nix::Result<(u64, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok((soft, hard))
}

/// The number of connections that there are descriptors for; `None` if the limit is unknown. The relay limits connections
/// so that descriptors do not run out: without one, nothing can be accepted, resolved or read.
pub fn connection_capacity() -> Option<usize> {
    let limit = match raise() {
        Ok((_, hard)) => hard,
        Err(_) => getrlimit(Resource::RLIMIT_NOFILE).ok()?.0,
    };
    Some(capacity_of(limit))
}

fn capacity_of(descriptors: u64) -> usize {
    let spare = descriptors.saturating_sub(OVERHEAD.min(descriptors / 2));
    usize::try_from(spare / PER_CONNECTION).unwrap_or(usize::MAX).max(1)
}

/// Descriptors that this many connections need.
pub fn needed(connections: usize) -> u64 {
    (connections as u64).saturating_mul(PER_CONNECTION).saturating_add(OVERHEAD)
}

/// Whether a call failed because this process (EMFILE) or the system (ENFILE) has no descriptor left.
pub(crate) fn are_exhausted(error: &io::Error) -> bool {
    matches!(
        nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or_default()),
        nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE
    )
}

/// Reserved descriptors.
#[derive(Debug)]
pub(crate) struct Reserve {
    held: Mutex<Vec<OwnedFd>>,
    size: usize,
}

impl Reserve {
    /// Reserves this many, or as many as are available.
    pub(crate) fn new(size: usize) -> Self {
        let reserve = Self { held: Mutex::default(), size };
        reserve.fill();
        reserve
    }

    /// Releases one descriptor; false if none is left. Another thread may take it first.
    pub(crate) fn release(&self) -> bool {
        self.held.lock().pop().is_some()
    }

    /// Refills the reserve as far as possible.
    pub(crate) fn fill(&self) {
        let mut held = self.held.lock();
        while held.len() < self.size {
            // A pipe without a writer: it refers to nothing.
            match held.last().map_or_else(|| Ok(io::pipe()?.0.into()), OwnedFd::try_clone) {
                Ok(one) => held.push(one),
                Err(_) => return,
            }
        }
    }

    /// Releases some for work that opens files, until the guard is dropped.
    pub(crate) fn lend(&self, count: usize) -> Lent<'_> {
        (0..count).for_each(|_| {
            self.release();
        });
        Lent(self)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.held.lock().len()
    }
}

/// Descriptors released for some work; dropping this reserves them again.
pub(crate) struct Lent<'a>(&'a Reserve);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.fill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_descriptors_are_reserved_again() {
        let reserve = Reserve::new(4);
        assert_eq!(reserve.len(), 4);
        {
            let _lent = reserve.lend(9);
            assert_eq!((reserve.len(), reserve.release()), (0, false));
        }
        assert_eq!(reserve.len(), 4);
        assert!(reserve.release());
        reserve.fill();
        assert_eq!(reserve.len(), 4);
    }

    #[test]
    fn descriptors_are_left_for_what_is_no_connection() {
        assert_eq!(capacity_of(1_024), 256);
        assert_eq!(capacity_of(64), 16);
        assert_eq!(capacity_of(0), 1);
        assert_eq!(capacity_of(needed(20_000)), 20_000);
    }

    #[test]
    fn exhaustion_is_distinguished_from_other_errors() {
        for (number, exhausted) in [(24, true), (23, true), (104, false)] {
            assert_eq!(are_exhausted(&io::Error::from_raw_os_error(number)), exhausted, "{number}");
        }
        assert!(!are_exhausted(&io::ErrorKind::Other.into()));
    }
}
