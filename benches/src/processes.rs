//! Child processes: started in a temporary directory, each in its own process group, and always stopped.
//!
//! [`Fleet`] stops them when it is dropped, also after a panic or Ctrl-C. If this process is killed, a small [`reap`] process
//! notices, kills the remaining processes and removes the directory.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::signal::{Signal, killpg},
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

use crate::Result;

/// A process must listen within this time.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// A process that still runs this long after SIGTERM is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(10);

/// Which CPUs a process runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CpuPlacement {
    /// On the CPUs of the load generator.
    Load,
    /// On a CPU that the load generator does not use.
    Proxy,
}

/// One CPU for the proxies, of which only one is active at a time, and the others for the load generator and the upstream.
struct Cpus {
    load: CpuSet,
    proxy: CpuSet,
}

impl Cpus {
    /// `None` if there is only one.
    fn split() -> Result<Option<Self>> {
        let mut load = sched_getaffinity(Pid::this())?;
        let own: Vec<usize> = (0..CpuSet::count()).filter(|cpu| load.is_set(*cpu) == Ok(true)).collect();
        let [_, .., last] = own[..] else { return Ok(None) };
        let mut proxy = CpuSet::new();
        load.unset(last)?;
        proxy.set(last)?;
        Ok(Some(Self { load, proxy }))
    }
}

/// All processes of a run.
pub(crate) struct Fleet {
    directory: PathBuf,
    processes: Vec<Process>,
    reaper: Reaper,
    cpus: Option<Cpus>,
}

impl Fleet {
    /// A fleet with only the reaper process. With `pin`, this process moves to the load generator's CPUs.
    pub(crate) fn new(pin: bool) -> Result<Self> {
        let cpus = if pin { Cpus::split()? } else { None };
        let directory = std::env::temp_dir().join(format!("mte-bench-{}", std::process::id()));
        std::fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let reaper = Reaper::start(&directory)?;
        let fleet = Self { directory, processes: Vec::new(), reaper, cpus };
        fleet.pin(CpuPlacement::Load)?;
        Ok(fleet)
    }

    /// The directory for configuration files and logs.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the proxies have their own CPU.
    pub(crate) fn pinned(&self) -> bool {
        self.cpus.is_some()
    }

    /// Starts a process and waits until it listens; its output is written to a file in the temporary directory.
    pub(crate) fn start(
        &mut self,
        name: &str,
        placement: CpuPlacement,
        address: SocketAddr,
        command: &mut Command,
    ) -> Result<()> {
        let log_file = self.directory().join(format!("{name}.log"));
        let log = File::create(&log_file)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A child inherits its CPUs, so none of its threads ever ran on others.
        self.pin(placement)?;
        let spawned = std::os::unix::process::CommandExt::process_group(command, 0).spawn();
        self.pin(CpuPlacement::Load)?;
        let child = spawned
            .map_err(|error| format!("{} cannot be started: {error}", command.get_program().display()))?;
        let group = Pid::from_raw(i32::try_from(child.id())?);
        self.processes.push(Process { child, group, members: vec![group] });
        self.reaper.watch(group)?;

        let Some(process) = self.processes.last_mut() else { return Err("no process".into()) };
        process.wait_until_it_listens(address).map_err(|error| {
            let log = std::fs::read_to_string(&log_file).unwrap_or_default();
            format!("{name} {error}; its log:\n{log}")
        })?;
        process.members = members(group)?;
        Ok(())
    }

    /// The most recently started process.
    pub(crate) fn last(&self) -> Option<Cpu> {
        let process = self.processes.last()?;
        Some(Cpu { leader: process.group, members: process.members.clone() })
    }

    /// The CPU time of all of them, and of this process.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let own = Pid::this();
        let others = self.processes.iter().flat_map(|process| process.members.iter().copied());
        Cpu { leader: own, members: others.chain([own]).collect() }.time()
    }

    fn pin(&self, placement: CpuPlacement) -> Result<()> {
        if let Some(cpus) = &self.cpus {
            let set = if placement == CpuPlacement::Load { &cpus.load } else { &cpus.proxy };
            sched_setaffinity(Pid::this(), set)?;
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for process in &mut self.processes {
            process.stop();
            self.reaper.forget(process.group);
        }
    }
}

/// One process, or a process group like that of nginx.
struct Process {
    child: Child,
    group: Pid,
    members: Vec<Pid>,
}

impl Process {
    fn wait_until_it_listens(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("stopped before it listened ({status})").into());
            }
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        Err(format!("does not listen on {address} after {START_TIMEOUT:?}").into())
    }

    fn stop(&mut self) {
        let _ = killpg(self.group, Signal::SIGTERM);
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        // Kills remaining processes of the group; usually there are none.
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// The current processes of a group.
fn members(group: Pid) -> Result<Vec<Pid>> {
    let mut members = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that has ended in the meantime is not a member.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if group_in(&stat) == Some(group.as_raw()) {
            members.push(Pid::from_raw(pid));
        }
    }
    Ok(members)
}

/// The process group in a line of `/proc/<pid>/stat`: the third field after the name, which may contain spaces.
fn group_in(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// The CPU time of a process, including all its threads, also those that have ended.
#[derive(Debug, Clone)]
pub(crate) struct Cpu {
    /// The process that was started.
    pub(crate) leader: Pid,
    members: Vec<Pid>,
}

impl Cpu {
    /// User and system time so far, as in `/proc/<pid>/stat`, but in nanoseconds instead of hundredths of a second.
    pub(crate) fn time(&self) -> Result<Duration> {
        let mut total = Duration::ZERO;
        for pid in &self.members {
            let time = clock_getcpuclockid(*pid).and_then(clock_gettime);
            total += Duration::from(time.map_err(|error| format!("a proxy is gone ({error})"))?);
        }
        Ok(total)
    }
}

/// A free loopback address.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The other end of [`reap`].
struct Reaper {
    child: Child,
    input: Option<ChildStdin>,
}

impl Reaper {
    fn start(directory: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("reap").arg(directory).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = std::os::unix::process::CommandExt::process_group(&mut command, 0).spawn()?;
        Ok(Self { input: child.stdin.take(), child })
    }

    fn watch(&mut self, group: Pid) -> Result<()> {
        let input = self.input.as_mut().ok_or("the reaper is gone")?;
        Ok(writeln!(input, "{group}")?)
    }

    fn forget(&mut self, group: Pid) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "-{group}");
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Reads process groups from stdin, one per line; a minus sign removes one. When the input ends, because the parent process
/// has finished or was killed, it kills the remaining groups and removes the directory.
pub(crate) fn reap(directory: &Path) {
    let mut groups: Vec<i32> = Vec::new();
    for line in BufReader::new(std::io::stdin()).lines().map_while(std::io::Result::ok) {
        match line.parse::<i32>() {
            Ok(group) if group > 1 => groups.push(group),
            Ok(gone) => groups.retain(|group| *group != -gone),
            Err(_) => {}
        }
    }
    for group in groups {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = std::fs::remove_dir_all(directory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_read_behind_a_name_with_spaces_and_brackets() {
        assert_eq!(group_in("17 (a ) b) S 1 42 42 0 -1"), Some(42));
        assert_eq!(group_in("17 (a"), None);
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let own = Cpu { leader: Pid::this(), members: vec![Pid::this()] };
        let before = own.time().unwrap();
        while own.time().unwrap() < before + Duration::from_millis(2) {
            std::hint::black_box((0..10_000).sum::<u64>());
        }
    }
}
