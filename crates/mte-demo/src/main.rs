//! `mte-demo`: a demo of the relay in one process. Two upstreams, a relay with two tenants, an eavesdropper between client
//! and relay, and a client that sends a few requests of every kind. Each scene shows what the client sent, what the
//! eavesdropper saw and what the upstream received, and checks that everything is as expected.
//!
//! | module | what it does |
//! | --- | --- |
//! | `demo` | starts and stops everything |
//! | `upstream`, `pages` | the servers behind the relay, and large bodies |
//! | `tap`, `recording`, `wire`, `follow` | the eavesdropper: forwards, records, searches, reads HTTP |
//! | `tamper` | what the eavesdropper does when it does more than listen |
//! | `scenes` | what is sent, shown and checked |
//! | `show`, `view` | screen output |
//! | `stay`, `page` | by hand, afterwards: on a terminal, and in a browser |
#![forbid(unsafe_code)]

mod demo;
mod events;
mod follow;
mod page;
mod pages;
mod recording;
mod scenes;
mod show;
mod stay;
mod tamper;
mod tap;
mod upstream;
mod view;
mod wire;

use std::{fmt, process::ExitCode};

use clap::Parser;

use self::{
    demo::Demo,
    scenes::Stage,
    show::{Screen, Style},
};

/// Run a demo of the relay: two upstreams, a relay with two tenants, a client, and what an eavesdropper sees.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Keep running afterwards, so that you can send requests yourself. This is the default on a terminal.
    #[arg(long)]
    stay: bool,
    /// The port that clients connect to, on 127.0.0.1; 0 selects a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// The port of the web page that is available afterwards, on 127.0.0.1; 0 selects a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    page_port: u16,
    /// Do not use colours, even on a terminal. Setting NO_COLOR does the same.
    #[arg(long)]
    no_color: bool,
}

/// Why the demo, or one of its scenes, failed.
#[derive(Debug)]
struct DemoError(String);

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for DemoError {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for DemoError {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<std::io::Error> for DemoError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<http::Error> for DemoError {
    fn from(error: http::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<mte_client::Error> for DemoError {
    fn from(error: mte_client::Error) -> Self {
        Self(error.report())
    }
}

/// Fails if a check failed.
fn main() -> ExitCode {
    mte_relay::tls::install_provider();
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("mte-demo: {trouble}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all checks passed.
fn run(cli: &Cli) -> Result<bool, DemoError> {
    let screen = Screen::new(cli.no_color);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut stage = runtime.block_on(async {
        let demo = Demo::start(cli.port, cli.page_port).await?;
        introduce(screen, &demo);
        Stage::new(screen, demo)
    })?;
    let begun = std::time::Instant::now();
    runtime.block_on(stage.play());
    let well = conclude(&stage, begun.elapsed().as_secs_f64());
    if cli.stay || show::is_terminal() {
        runtime.block_on(stay::stay(screen, &stage.demo))?;
    }
    // Connections that are still open must not keep the relay waiting for requests.
    runtime.shutdown_background();
    stage.demo.stop()?;
    Ok(well)
}

fn introduce(screen: Screen, demo: &Demo) {
    let title = format!("MTE Relay {}: client, relay and upstream in one process", env!("CARGO_PKG_VERSION"));
    screen.line(&screen.paint(Style::Bold, &title));
    screen.line("");
    let (client, wire) = (screen.paint(Style::Cyan, "client"), screen.paint(Style::Yellow, "eavesdropper"));
    let upstream = screen.paint(Style::Green, "upstreams");
    screen.line(&format!("    {client}  ---->  {wire}  ---->  relay  ---->  {upstream}"));
    let (tap, relay) = (demo.tap.address.port(), demo.relay.port());
    let (shop, bank) = (demo.shop.address.port(), demo.bank.address.port());
    screen.line(&format!(
        "                   :{tap:<16}    :{relay:<9}  :{shop} {} and :{bank} {}",
        demo::SHOP,
        demo::BANK
    ));
    screen.line("");
    screen.prose(
        "The eavesdropper sees what any party that ends TLS on the path would see: a proxy, a content delivery network, a load \
         balancer. Lines with > go to the upstream, lines with < come back.",
    );
}

/// The summary, and whether all checks held.
fn conclude(stage: &Stage, seconds: f64) -> bool {
    let screen = stage.screen;
    let (held, failed) = stage.outcome();
    screen.line("");
    screen.line(&screen.paint(Style::Bold, "What the eavesdropper learnt anyway"));
    screen.prose(
        "Methods, hosts, statuses, client and pair ids; when, how often and how much was sent (lengths are exact for MKE, and \
         in steps of 64 for MTE); response headers that were not requested sealed, above all set-cookie; everything \
         on pass-through routes. The relay itself sees everything, and its connection to the upstream needs its own \
         protection. docs/protocol.md, section 9, says what is protected and what is not.",
    );
    screen.line("");
    for what in failed {
        screen.failure(what);
    }
    let all = held + failed.len();
    let summary = match failed.len() {
        0 => screen.paint(Style::Green, &format!("All {all} checks hold ({seconds:.1} s).")),
        count => screen.paint(Style::Red, &format!("{count} of {all} checks do not hold ({seconds:.1} s).")),
    };
    screen.line(&summary);
    failed.is_empty()
}
