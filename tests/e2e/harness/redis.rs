//! Redis servers of these tests' own, on free ports of the loopback interface.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{FromRedisValue, Value};

use super::free_port;

/// Databases of the server that cases share.
const DATABASES: usize = 1_000;

/// A server. It ends when it is dropped.
pub(crate) struct RedisServer {
    pub(crate) port: u16,
    folder: tempfile::TempDir,
    options: Vec<String>,
    child: Child,
}

/// What starts a server; `scripts/setup test` installs it.
fn command(port: u16, options: &[String]) -> Vec<String> {
    let fixed = ["redis-server", "--bind", "127.0.0.1", "--appendonly", "no", "--port"];
    fixed.iter().map(ToString::to_string).chain([port.to_string()]).chain(options.iter().cloned()).collect()
}

fn wait_for(port: u16) {
    let end = Instant::now() + Duration::from_secs(20);
    while ask_at::<String>(port, &["PING"]).as_deref() != Ok("PONG") {
        assert!(Instant::now() < end, "redis-server does not start: is it installed?");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn ask_at<T: FromRedisValue>(port: u16, command: &[&str]) -> redis::RedisResult<T> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
    let mut asked = redis::cmd(command[0]);
    asked.arg(&command[1..]).query(&mut connection)
}

impl RedisServer {
    /// Starts a server that writes nothing to disk unless it is told to.
    pub(crate) fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixed = ["--save", "", "--dir", folder.path().to_str().unwrap()];
        let options: Vec<String> = fixed.iter().chain(options).map(ToString::to_string).collect();
        let port = free_port();
        let child = Self::spawn(port, &options);
        Self { port, folder, options, child }
    }

    fn spawn(port: u16, options: &[String]) -> Child {
        let command = command(port, options);
        let mut started = Command::new(&command[0]);
        let child = started.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.expect("redis-server is installed");
        wait_for(port);
        child
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends a command and reads the reply.
    pub(crate) fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        ask_at(self.port, command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// A field of INFO.
    pub(crate) fn info(&self, field: &str) -> String {
        let info: String = self.ask(&["INFO", "everything"]);
        let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field}")).to_owned()
    }

    /// How many scripts it has run.
    pub(crate) fn calls(&self) -> usize {
        self.info("cmdstat_evalsha").split(['=', ',']).nth(1).unwrap().parse().unwrap()
    }

    /// Microseconds that a command takes on average.
    pub(crate) fn cost(&self, command: &str) -> f64 {
        self.info(&format!("cmdstat_{command}")).split(['=', ',']).nth(5).unwrap().parse().unwrap()
    }

    /// The names of all pairs.
    pub(crate) fn records(&self) -> Vec<String> {
        self.ask(&["KEYS", "mte:{*}:*"])
    }

    /// A pair as it is stored.
    pub(crate) fn record(&self, name: &str) -> Vec<u8> {
        match self.ask(&["GET", name]) {
            Value::BulkString(record) => record,
            other => panic!("{name}: {other:?}"),
        }
    }

    pub(crate) fn set(&self, name: &str, record: &[u8]) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        redis::cmd("SET").arg(name).arg(record).arg("KEEPTTL").exec(&mut connection).unwrap();
    }

    /// The first digits of its replication id, which name its era.
    pub(crate) fn era(&self) -> String {
        self.info("master_replid")[..16].to_owned()
    }

    /// What it was started with.
    pub(crate) fn option(&self, name: &str) -> String {
        let at = self.options.iter().position(|option| option == name).unwrap();
        self.options[at + 1].clone()
    }

    /// Its dump, as SAVE has left it.
    pub(crate) fn dump(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    /// Kills it as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, with what is on its disk.
    pub(crate) fn restart(&mut self) {
        self.child = Self::spawn(self.port, &self.options);
    }

    /// Stops or continues its process.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that ends with this process: a shell ends it when its own stdin is closed.
pub(super) fn attached(port: u16, options: &[String]) -> Child {
    let folder = tempfile::tempdir().unwrap().keep();
    let fixed = ["--save", "", "--dir", folder.to_str().unwrap()].map(String::from);
    let options: Vec<String> = fixed.into_iter().chain(options.iter().cloned()).collect();
    let script = r#"folder=$1; shift; "$@" >/dev/null & cat >/dev/null; kill $!; wait; rm -rf "$folder""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(&folder).args(command(port, &options));
    let child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    wait_for(port);
    child
}

/// A database of its own on a server that all cases share.
pub(crate) fn redis_database() -> String {
    static SHARED: LazyLock<(u16, Child)> = LazyLock::new(|| {
        let port = free_port();
        (port, attached(port, &["--databases".into(), DATABASES.to_string()]))
    });
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let database = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(database < DATABASES, "each case has a database of its own");
    format!("redis://127.0.0.1:{}/{database}", SHARED.0)
}
