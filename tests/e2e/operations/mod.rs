//! Operation of the relay with the real binary: reload, hand-over, the admin listener, logs and metrics.

mod activation;
mod admin;
mod admin_access;
mod blocked_log;
mod descriptors;
mod handover;
mod logs;
mod many_tenants;
mod metrics;
mod refusals;
mod reload;
mod sockets;
mod tools;
mod upstreams;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mte_client::{Builder, RelayClient};
use tokio::task::JoinHandle;

use crate::harness::{Authority, HOST, Message, Process, Transport, Upstream, Wire, free_port};

const SECRET: &str = "a secret of tests, as long as it ought to be";
const TOKEN: &str = "the admin token of tests";

/// A relay as operators run it: a file, a process, an admin listener, and a TLS listener besides the plain one.
struct Site {
    folder: tempfile::TempDir,
    upstream: Upstream,
    authority: Authority,
    port: u16,
    tls: u16,
    admin: u16,
    /// Lines of the tenant, besides its upstream and secret.
    tenant: String,
    /// Lines at the top level.
    top: String,
}

impl Site {
    async fn new() -> Self {
        Self::with(Authority::new(), Upstream::standard().await, "")
    }

    /// With an upstream that speaks HTTP/2.
    async fn http2() -> Self {
        let authority = Authority::new();
        let acceptor = authority.acceptor("localhost", &["h2"]);
        let upstream = Upstream::standard_over(Transport::Tls(acceptor)).await;
        Self::with(authority, upstream, "\n    upstream_tls: {verify: false}")
    }

    fn with(authority: Authority, upstream: Upstream, tenant: &str) -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
            upstream,
            authority,
            port: free_port(),
            tls: free_port(),
            admin: free_port(),
            tenant: format!("client_id_secret: {SECRET}{tenant}"),
            top: String::new(),
        };
        site.issue();
        site.write("");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate for the tenant; the name of its file and its key's is `tenant`.
    fn issue(&self) -> Vec<u8> {
        let (certificate, key) = self.authority.issue(HOST);
        // The key first: a reload between the two writes finds no matching pair, and tries again.
        std::fs::write(self.path("tenant.key"), key.serialize_pem()).unwrap();
        std::fs::write(self.path("tenant.crt"), certificate.pem()).unwrap();
        certificate.der().to_vec()
    }

    fn text(&self, more: &str) -> String {
        let Self { port, tls, admin, tenant, top, .. } = self;
        format!(
            "listeners: [{{address: '127.0.0.1:{port}'}}, {{address: '127.0.0.1:{tls}', tls: true}}]\n\
             admin: {{address: '127.0.0.1:{admin}', token: {TOKEN}}}\nthreads: 2\nlog: {{format: json}}\n\
             upgrade_socket: upgrade.sock\n{top}\ndomain_map:\n  {HOST}:\n    upstream: '{}'\n    \
             tls: {{certificate_file: tenant.crt, key_file: tenant.key}}\n    {tenant}\n{more}",
            self.upstream.url()
        )
    }

    /// Writes the file, with more lines at its end, in the way of an editor: a new file replaces the old one.
    fn write(&self, more: &str) {
        self.replace(&self.text(more));
    }

    fn replace(&self, text: &str) {
        std::fs::write(self.path("relay.yaml.new"), text).unwrap();
        std::fs::rename(self.path("relay.yaml.new"), self.path("relay.yaml")).unwrap();
    }

    fn file(&self) -> String {
        self.path("relay.yaml").display().to_string()
    }

    async fn start(&self) -> Process {
        let (file, port) = (self.file(), self.port);
        let process =
            tokio::task::spawn_blocking(move || Process::start(&["run", "--config", &file], &[], port));
        let process = process.await.unwrap();
        self.until("it is ready", async || {
            self.get("/readyz").await.is_some_and(|answer| answer.status() == 200)
        })
        .await;
        process
    }

    fn client(&self) -> RelayClient {
        self.builder(HOST).build().unwrap()
    }

    fn tls_client(&self, http2: bool) -> RelayClient {
        self.tls_builder(HOST).http2(http2).build().unwrap()
    }

    fn builder(&self, host: &str) -> Builder {
        let builder = RelayClient::builder(format!("http://127.0.0.1:{}", self.port)).host(host);
        builder.pairs(2).timeout(Duration::from_secs(10))
    }

    fn tls_builder(&self, host: &str) -> Builder {
        RelayClient::builder(format!("https://{host}"))
            .connect_to(SocketAddr::from(([127, 0, 0, 1], self.tls)))
            .root_certificates(vec![self.authority.root()])
            .pairs(2)
            .timeout(Duration::from_secs(10))
    }

    /// Sends a request to the admin listener; `None` if it is not listening.
    async fn admin(&self, method: &str, path: &str, more: &str, body: &str) -> Option<Message> {
        // Only once: in a hand-over, the process that responds now may end at any time.
        let mut wire = Wire::new(tokio::net::TcpStream::connect(("127.0.0.1", self.admin)).await.ok()?);
        let length = body.len();
        wire.send(format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n{body}"
        ))
        .await;
        wire.response(false).await.ok()
    }

    async fn get(&self, path: &str) -> Option<Message> {
        self.admin("GET", path, "", "").await
    }

    /// The text of a response. In a hand-over, the admin listener is unavailable for a moment.
    async fn text_of(&self, path: &str) -> String {
        for _ in 0..100 {
            if let Some(answer) = self.get(path).await {
                return String::from_utf8(answer.body.to_vec()).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no answer from the admin listener");
    }

    async fn json_of(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.text_of(path).await).unwrap()
    }

    /// A metric's value, by its name with its labels.
    async fn metric(&self, series: &str) -> f64 {
        let text = self.text_of("/metrics").await;
        let line =
            text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// Waits until a condition is true.
    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        while !holds().await {
            assert!(tokio::time::Instant::now() < end, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Encrypted requests without a pause, until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(clients: Vec<RelayClient>) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let tasks = clients.into_iter().enumerate().map(|(index, client)| {
            let (stop, done) = (stop.clone(), done.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    if let Err(failure) = one(&client, done.fetch_add(1, Ordering::Relaxed)).await {
                        failures.push(format!("client {index}: {failure}"));
                    }
                }
                failures
            })
        });
        Self { tasks: tasks.collect(), stop, done }
    }

    /// Number of requests so far.
    fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits for this many more requests.
    async fn more(&self, count: usize) {
        let goal = self.done() + count;
        while self.done() < goal {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Stops, and checks that none failed.
    async fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            assert_eq!(task.await.unwrap(), Vec::<String>::new());
        }
        self.done.load(Ordering::Relaxed)
    }
}

/// One request of several kinds.
async fn one(client: &RelayClient, number: usize) -> Result<(), String> {
    let response = match number % 3 {
        0 => client.get("/bytes/100").await,
        // A POST is not sent again if a successor does not have the pair.
        1 => client.send(http::Request::put("/").body("a body".into()).unwrap()).await,
        _ => client.get("/stream/100000").await,
    };
    let response = response.map_err(|error| error.report())?;
    let status = response.status();
    let body = response.into_body().bytes(1 << 20).await.map_err(|error| error.report())?;
    let len = [100, 7, 100_000][number % 3];
    if status == 200 && body.len() == len {
        Ok(())
    } else {
        Err(format!("{status} with {} bytes", body.len()))
    }
}
