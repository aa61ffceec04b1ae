//! The binary as a separate process.

use std::{
    io::{BufRead, BufReader, Read},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_mte-relay");

/// The binary, without this process's environment.
fn command(binary: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end; returns the exit code and the output on stdout and stderr.
pub(crate) async fn output(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = command(BINARY.as_ref(), arguments, environment);
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

/// A relay as a separate process. Its output is read continuously, so that it never waits for its reader.
pub(crate) struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Starts it and waits until it listens on `port`.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)], port: u16) -> Self {
        Self::spawn(arguments, environment).listening(port)
    }

    /// The same with another binary, without an environment.
    pub(crate) fn start_binary(binary: &Path, arguments: &[&str], port: u16) -> Self {
        Self::of(&mut command(binary, arguments, &[])).listening(port)
    }

    /// Starts it with a stdout that is not read here, and waits until it listens on `port`.
    pub(crate) fn start_writing_to(stdout: impl Into<Stdio>, arguments: &[&str], port: u16) -> Self {
        let mut command = command(BINARY.as_ref(), arguments, &[]);
        command.stdout(stdout);
        Self::of(&mut command).listening(port)
    }

    /// Starts it after a shell command such as `ulimit -n 100`, and waits until it listens on `port`.
    pub(crate) fn start_after(line: &str, arguments: &[&str], port: u16) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{line}; exec \"$0\" \"$@\""), BINARY]).args(arguments).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::of(&mut command).listening(port)
    }

    /// Starts it as systemd starts a service with sockets: they are its descriptors from 3 on, named "first" and "second". A
    /// shell moves them there from the streams, so there are two at most.
    pub(crate) fn activated(sockets: Vec<OwnedFd>, arguments: &[&str]) -> Self {
        let lines = [
            "",
            "exec 3<&0 0</dev/null; export LISTEN_FDNAMES=first",
            "exec 3<&0 0</dev/null 4>&2 2>/dev/null; export LISTEN_FDNAMES=first:second",
        ];
        let (count, line) = (sockets.len(), lines[sockets.len()]);
        let line = format!("{line}; export LISTEN_FDS={count} LISTEN_PID=$$; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &line, BINARY]).args(arguments).env_clear();
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut sockets = sockets.into_iter();
        sockets.next().map(|first| command.stdin(first));
        sockets.next().map(|second| command.stderr(second));
        Self::of(command.stdout(Stdio::piped()))
    }

    fn listening(mut self, port: u16) -> Self {
        let end = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if self.child.try_wait().unwrap().is_some() || Instant::now() > end {
                panic!("the relay does not listen: {:?}", self.finish());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self
    }

    /// Starts it.
    pub(crate) fn spawn(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::of(&mut command(BINARY.as_ref(), arguments, environment))
    }

    /// Starts a command that becomes it.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let stdout = child.stdout.take().map(|stdout| Box::new(stdout) as Box<dyn Read + Send>);
        let stderr = child.stderr.take().map(|stderr| Box::new(stderr) as Box<dyn Read + Send>);
        let readers = [stdout, stderr].into_iter().flatten().map(|stream| {
            let output = output.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream);
                let mut line = String::new();
                while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                    output.lock().push_str(&std::mem::take(&mut line));
                }
            })
        });
        Self { child, readers: readers.collect(), output }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    /// Its output so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().clone()
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Its log so far, if it writes JSON.
    pub(crate) fn log(&self) -> Vec<serde_json::Value> {
        let output = self.output();
        output
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Whether it is still running.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; returns the exit code and its output.
    pub(crate) fn finish(&mut self) -> (Option<i32>, String) {
        let end = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let _ = self.child.kill();
                panic!("the relay does not end: {}", self.output());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        (status.code(), self.output())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
