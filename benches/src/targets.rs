//! The proxies under test: how each is started, and with what configuration.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Result,
    processes::{Cpu, CpuPlacement, Fleet, free_address},
    scenario::{Scenario, Target},
};

/// A target that runs.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// The proxy; none for the upstream itself.
    pub(crate) cpu: Option<Cpu>,
}

/// Every target that the scenarios need.
pub(crate) struct Targets {
    direct: Running,
    nginx: Option<Running>,
    plain_pingora: Option<Running>,
    relay: Option<Running>,
    /// Notices for the reader of the report.
    pub(crate) notices: Vec<String>,
}

impl Targets {
    /// Starts the upstream and the proxies.
    pub(crate) fn start(fleet: &mut Fleet, scenarios: &[Scenario], log_level: &str) -> Result<Self> {
        let needed = |targets: &[Target]| scenarios.iter().any(|one| targets.contains(&one.target));
        let upstream = free_address()?;
        let own = std::env::current_exe()?;
        let mut command = Command::new(&own);
        fleet.start(
            "upstream",
            CpuPlacement::Load,
            upstream,
            command.arg("upstream").arg(upstream.to_string()),
        )?;
        let mut targets = Self {
            direct: Running { address: upstream, cpu: None },
            nginx: None,
            plain_pingora: None,
            relay: None,
            notices: Vec::new(),
        };
        if needed(&[Target::Nginx]) {
            match find_nginx() {
                Some(program) => targets.nginx = Some(nginx(fleet, &program, upstream)?),
                None => targets.notices.push(
                    "nginx is not installed and was left out (on Debian: apt-get install nginx-light)".into(),
                ),
            }
        }
        if needed(&[Target::PlainPingora]) {
            let address = free_address()?;
            let mut command = Command::new(&own);
            command.args(["plain-pingora".to_owned(), address.to_string(), upstream.to_string()]);
            targets.plain_pingora = Some(proxy(fleet, "plain-pingora", address, &mut command)?);
        }
        if needed(&[Target::PassThrough, Target::Mke]) {
            let program = relay_beside(&own)?;
            targets.relay = Some(relay(fleet, &program, upstream, log_level)?);
        }
        Ok(targets)
    }

    /// The address of this target; `None` if it was left out.
    pub(crate) fn get(&self, target: Target) -> Option<&Running> {
        match target {
            Target::Direct => Some(&self.direct),
            Target::Nginx => self.nginx.as_ref(),
            Target::PlainPingora => self.plain_pingora.as_ref(),
            Target::PassThrough | Target::Mke => self.relay.as_ref(),
        }
    }
}

fn proxy(fleet: &mut Fleet, name: &str, address: SocketAddr, command: &mut Command) -> Result<Running> {
    fleet.start(name, CpuPlacement::Proxy, address, command)?;
    Ok(Running { address, cpu: fleet.last() })
}

/// The relay's binary, which cargo builds into the same directory.
fn relay_beside(own: &Path) -> Result<PathBuf> {
    let program = own.with_file_name("mte-relay");
    if program.is_file() {
        return Ok(program);
    }
    Err(format!("{} is not there; build it first: cargo build --release", program.display()).into())
}

fn find_nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian installs it in a directory that is only in root's PATH.
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    directories.map(|directory| directory.join("nginx")).find(|program| program.is_file())
}

/// One worker, no buffering, connections kept open on both sides: the default behaviour of the Pingora proxies.
fn nginx(fleet: &mut Fleet, program: &Path, upstream: SocketAddr) -> Result<Running> {
    let address = free_address()?;
    let directory = fleet.directory().join("nginx");
    std::fs::create_dir(&directory)?;
    let config = format!(
        "\
daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_max_body_size 0;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream backend {{
        server {upstream};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"
    );
    let file = directory.join("nginx.conf");
    std::fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(&directory).arg("-c").arg(&file).args(["-e", "stderr"]);
    proxy(fleet, "nginx", address, &mut command)
}

/// One worker; everything else has its default, except the limit on pairing, which protects against exactly the load that is
/// measured here. The log is written to a file.
fn relay(fleet: &mut Fleet, program: &Path, upstream: SocketAddr, log_level: &str) -> Result<Running> {
    let address = free_address()?;
    let config = format!(
        "\
listeners:
  - address: {address}
threads: 1
log: {{level: {log_level}}}
limits:
  pairs_per_second: 0
domain_map:
  \"*\":
    upstream: http://{upstream}
    client_id_secret: a secret for this measurement alone
    pass_through_routes: [\"/bytes/*\", /upload]
"
    );
    let file = fleet.directory().join("relay.yaml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(program);
    // The caller's environment variables must not affect the measurement.
    command.env_clear().arg("run").arg("--config").arg(&file);
    proxy(fleet, "relay", address, &mut command)
}
