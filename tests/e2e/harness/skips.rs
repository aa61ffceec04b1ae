//! Tests that cannot run on this machine. There should be none; `make test` lists them at its end.

use std::io::Write;

/// Reports that a test was skipped, and why: in the file that `MTE_RELAY_SKIPS` names, or else on stderr.
pub(crate) fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    match std::env::var_os("MTE_RELAY_SKIPS") {
        Some(file) => {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
            writeln!(file, "{test}: {reason}").unwrap();
        }
        None => eprintln!("skipped: {test}: {reason}"),
    }
}
