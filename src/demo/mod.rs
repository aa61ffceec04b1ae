//! The demo.
/// Options.
#[derive(clap::Args)]
pub struct DemoArgs {}
/// Runs.
pub fn run(_: DemoArgs) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
