//! The configuration of a command: where it is read from, and the message if it cannot be used.

use std::{path::PathBuf, process::ExitCode};

use mte_relay::config::{Problems, ProcessEnvironment, Source};

use crate::exit;

/// Where the configuration comes from.
pub(crate) fn source(file: Option<PathBuf>) -> Source {
    Source { file, environment: Box::new(ProcessEnvironment) }
}

/// Prints what is wrong with a configuration.
pub(crate) fn explain(source: &Source, problems: &Problems) -> ExitCode {
    let what =
        source.file.as_ref().map_or_else(|| "the environment".to_owned(), |file| file.display().to_string());
    eprintln!("mte-relay: the configuration in {what} cannot be used:\n{problems}");
    let missing = source.file.as_ref().is_some_and(|file| !file.exists());
    ExitCode::from(if missing { exit::NO_INPUT } else { exit::CONFIG })
}
