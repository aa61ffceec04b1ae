//! Settings as operators write them: which are refused and with which messages, which values are used as written, and that a
//! relay can run with every configuration that `check` accepts.

mod certificates;
mod outbound;
mod refusals;
mod start;
mod values;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use mte_relay::config::{Config, Problems, ReloadState};

/// Reads a configuration with these environment variables; paths in it are relative to `folder`.
fn parse(text: &str, variables: &[(&str, &str)], folder: &Path) -> Result<Config, Problems> {
    let environment: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Config::parse(text, "relay.yaml", folder, &environment, &Arc::new(ReloadState::default()))
}

fn accepted(text: &str, variables: &[(&str, &str)]) -> Config {
    parse(text, variables, Path::new("")).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn refused(text: &str, variables: &[(&str, &str)]) -> String {
    match parse(text, variables, Path::new("")) {
        Ok(_) => panic!("accepted:\n{text}\n{variables:?}"),
        Err(problems) => problems.to_string(),
    }
}
