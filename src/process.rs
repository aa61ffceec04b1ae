//! Protects the process's secrets: no core dumps, and no debuggers of other users.
//!
//! Memory holds keys and plaintext while it is in use. A core dump would write all of it to a disk, or send it to a crash
//! reporter.

use std::io;

use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
};

/// Keeps the process's memory out of core dumps, and restricts `/proc/PID/mem` and `ptrace` to root.
///
/// Both are set: a crash handler in `core_pattern` ignores the limit, and a debugger that root attaches ignores
/// the flag.
///
/// # Errors
/// The kernel's, if core dumps may still be written.
pub fn keep_memory_private() -> io::Result<()> {
    prctl::set_dumpable(false)?;
    match setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        // A sandbox may refuse all changes of limits, but may have set this one already.
        Err(_) if matches!(getrlimit(Resource::RLIMIT_CORE), Ok((0, _))) => Ok(()),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_process_writes_no_core_and_cannot_be_read_by_its_own_user() {
        keep_memory_private().unwrap();
        assert_eq!(prctl::get_dumpable(), Ok(false));
        assert_eq!(getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
        keep_memory_private().unwrap();
    }
}
