//! The request command.
/// Options.
#[derive(clap::Args)]
pub struct RequestArgs {}
/// Runs.
pub fn run(_: RequestArgs) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
