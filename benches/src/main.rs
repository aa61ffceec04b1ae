//! `make bench`: measures the relay's overhead against a plain Pingora proxy and nginx.
//!
//! | module | what it does |
//! | --- | --- |
//! | `scenario` | what is measured, and the project's goals |
//! | `targets` | the proxies and their configurations |
//! | `processes` | child processes: started, pinned, timed, always stopped |
//! | `plain_pingora` | the baseline |
//! | `upstream`, `http1` | the server behind the proxies |
//! | `load` | the requests, in the clear and sealed |
//! | `machine` | whether other programs used the CPUs |
//! | `stats`, `report`, `progress` | statistics, table, JSON |
#![forbid(unsafe_code)]

mod cli;
mod http1;
mod load;
mod machine;
mod plain_pingora;
mod processes;
mod progress;
mod report;
mod scenario;
mod stats;
mod targets;
mod upstream;

use std::{process::ExitCode, sync::LazyLock};

use bytes::Bytes;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{Cli, Options, Role},
    load::Load,
    machine::CpuSample,
    processes::Fleet,
    progress::Progress,
    report::{Measured, Report, Setting},
    scenario::{Scenario, Size},
    targets::Targets,
};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// The content of bodies: the same bytes at both ends, and not periodic, so that mixed-up frames are detected.
fn payload() -> &'static Bytes {
    static PAYLOAD: LazyLock<Bytes> = LazyLock::new(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..Size::Large.bytes()).map(|_| next()).collect()
    });
    &PAYLOAD
}

fn main() -> ExitCode {
    let Cli { role, options } = Cli::parse();
    let outcome = match role {
        Some(Role::Upstream { listen }) => upstream::serve(listen),
        Some(Role::PlainPingora { listen, upstream }) => plain_pingora::serve(listen, upstream),
        Some(Role::Reap { directory }) => {
            processes::reap(&directory);
            Ok(())
        }
        None if options.list => {
            Scenario::all().into_iter().for_each(|scenario| println!("{}", scenario.id()));
            Ok(())
        }
        None => bench(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mte-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the requested scenarios until they are done or interrupted. In any case, `fleet` stops every process.
fn bench(options: &Options) -> Result<()> {
    let scenarios = match (&options.hold, &options.only) {
        (Some(id), _) => {
            vec![Scenario::find(id).ok_or_else(|| format!("no scenario {id:?}; --list shows them"))?]
        }
        (None, Some(pattern)) => Scenario::matching(pattern),
        (None, None) => Scenario::all(),
    };
    if let Some(pattern) = &options.only
        && scenarios.is_empty()
    {
        return Err(format!("no scenario's id contains {pattern:?}; --list shows them").into());
    }
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut fleet = Fleet::new(!options.no_pin)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            reason = interrupted() => Err(reason),
            outcome = async {
                let targets = Targets::start(&mut fleet, &scenarios, &options.log_level)?;
                match options.hold {
                    Some(_) => hold(options, scenarios[0], &targets).await,
                    None => measure(options, cpus, &fleet, &scenarios, targets).await,
                }
            } => outcome,
        }
    })
}

/// Waits for a signal that ends the program.
async fn interrupted() -> Error {
    let on = |kind| signal(kind).map_err(Error::from);
    let (mut interrupt, mut terminate, mut hangup) =
        match (on(SignalKind::interrupt()), on(SignalKind::terminate()), on(SignalKind::hangup())) {
            (Ok(interrupt), Ok(terminate), Ok(hangup)) => (interrupt, terminate, hangup),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => return error,
        };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    "interrupted".into()
}

/// All scenarios in turn, round after round, then the table.
async fn measure(
    options: &Options,
    cpus: usize,
    fleet: &Fleet,
    scenarios: &[Scenario],
    targets: Targets,
) -> Result<()> {
    let (slice, rounds) = (options.slice(), options.rounds());
    let mut loads = Vec::new();
    let mut measured = Vec::new();
    for scenario in scenarios {
        // A target that was left out is named in the notices.
        let Some(target) = targets.get(scenario.target) else { continue };
        loads.push(Load::new(*scenario, target, options.connections.into()).await?);
        measured.push(Measured { scenario: *scenario, slices: Vec::with_capacity(rounds) });
    }
    let before = CpuSample::now(fleet)?;
    let mut progress = Progress::new(loads.len() * (rounds + 1), slice + load::RAMP);
    for round in 0..=rounds {
        let part = if round == 0 { "warm-up".to_owned() } else { format!("round {round} of {rounds}") };
        for (load, measured) in loads.iter_mut().zip(&mut measured) {
            progress.begin(&part, measured.scenario);
            let slice = load.slice(slice).await.inspect_err(|_| progress.end())?;
            if round > 0 {
                measured.slices.push(slice);
            }
        }
    }
    progress.end();

    let mut notices = targets.notices;
    notices.extend(CpuSample::now(fleet)?.notice(&before));
    let setting = Setting {
        seconds: slice.as_secs_f64(),
        rounds,
        connections: options.connections,
        cpus,
        pinned: fleet.pinned(),
        notices,
    };
    let report = Report::new(setting, &measured);
    print!("{}", report.to_text());
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        println!("All figures are in {}.", file.display());
    }
    Ok(())
}

/// Runs one scenario for some time, so that a profiler can be attached to the proxy.
async fn hold(options: &Options, scenario: Scenario, targets: &Targets) -> Result<()> {
    let target = targets.get(scenario.target).ok_or_else(|| targets.notices.join("; "))?;
    let mut load = Load::new(scenario, target, options.connections.into()).await?;
    let length = options.slice();
    println!("{}, {}, for {length:?} (Ctrl-C ends it)", scenario.group.name(), scenario.name());
    if let Some(cpu) = &target.cpu {
        println!("The proxy's process id is {0}: perf record -g -p {0}", cpu.leader);
    }
    let slice = load.slice(length).await?;
    println!("{:.0} per second, p50 {:.2} ms, p99 {:.2} ms", slice.per_second, slice.p50_ms, slice.p99_ms);
    if let Some(per_cpu_second) = slice.per_cpu_second {
        println!("{per_cpu_second:.0} per CPU-second of the proxy");
    }
    Ok(())
}
