//! Parse the command line, build, run; nothing else.
#![forbid(unsafe_code)]

mod cli;
mod demo;
mod request;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    mte_relay::tls::install_provider();
    cli::run(cli::Cli::parse())
}
