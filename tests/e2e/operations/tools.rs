//! The relay with its operators' tools: curl, h2load, a browser.

use std::process::{Command, Output};

use super::{SECRET, Site};
use crate::harness::{HOST, output, run};

/// Runs a tool to its end.
async fn tool(name: &'static str, arguments: Vec<String>) -> Output {
    let run = move || {
        let output = Command::new(name).args(&arguments).output();
        output.unwrap_or_else(|error| panic!("{name}: {error}; `make test` installs it"))
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Site {
    /// A second tenant with its own certificate, created with `keygen`.
    async fn with_second(&mut self) {
        let keys = self.path("keys").display().to_string();
        let (code, printed, error) = output(&["keygen", "--out", &keys, "second.test"], &[]).await;
        assert_eq!(code, 0, "{error}");
        assert!(printed.contains("second.test"), "{printed}");
        self.tenant.push_str("\n    pass_through_routes: [/plain]");
        self.write(&format!(
            "  second.test:\n    upstream: '{}'\n    client_id_secret_file: keys/second.test.secret\n    \
             pass_through_routes: [/plain]\n    tls: {{certificate_file: keys/second.test.pem, key_file: keys/second.test.key}}\n",
            self.upstream.url()
        ));
        std::fs::write(self.path("ca.pem"), self.authority.pem()).unwrap();
    }

    /// curl's arguments for a TLS connection that requests `name` and sends `host`.
    fn curl(&self, ca: &str, name: &str, more: &[&str]) -> Vec<String> {
        let port = self.tls;
        let fixed = [
            "-sS".to_owned(),
            "--cacert".to_owned(),
            self.path(ca).display().to_string(),
            "--resolve".to_owned(),
            format!("{name}:{port}:127.0.0.1"),
            format!("https://{name}:{port}/plain"),
        ];
        fixed.into_iter().chain(more.iter().map(|text| (*text).to_owned())).collect()
    }
}

#[test]
fn curl_verifies_each_tenants_certificate_over_http1_and_http2_and_gets_421_for_the_other() {
    run(async {
        let mut site = Site::new().await;
        site.with_second().await;
        let _process = site.start().await;
        for (ca, name) in [("ca.pem", HOST), ("keys/ca.pem", "second.test")] {
            for version in ["--http1.1", "--http2"] {
                let shown = ["-w", " %{http_version} %{ssl_verify_result}", version];
                let answer = tool("curl", site.curl(ca, name, &shown)).await;
                let expected = if version == "--http2" { "GET /plain 0 2 0" } else { "GET /plain 0 1.1 0" };
                assert_eq!(stdout(&answer), expected, "{}", String::from_utf8_lossy(&answer.stderr));
            }
        }
        let crossed = ["-o", "/dev/null", "-w", "%{http_code}", "-H", "host: second.test"];
        assert_eq!(stdout(&tool("curl", site.curl("ca.pem", HOST, &crossed)).await), "421");
        let wrong = tool("curl", site.curl("ca.pem", "second.test", &[])).await;
        assert_eq!(wrong.status.code(), Some(60), "another authority's certificate");
        for version in ["1.2", "1.3"] {
            let only = [format!("--tlsv{version}"), "--tls-max".to_owned(), version.to_owned()];
            let only: Vec<_> = only.iter().map(String::as_str).collect();
            assert_eq!(
                stdout(&tool("curl", site.curl("ca.pem", HOST, &only)).await),
                "GET /plain 0",
                "TLS {version}"
            );
        }
    });
}

#[test]
fn h2load_gets_every_answer_over_http1_and_http2_while_the_relay_reloads() {
    run(async {
        let mut site = Site::new().await;
        site.with_second().await;
        let process = site.start().await;
        // Over HTTP/1.1, one request at a time: pipelining is not used in practice.
        for (protocol, streams) in [("--h1", "1"), ("--npn-list=h2", "4")] {
            let (url, to) = (
                format!("https://{HOST}:{}/plain", site.tls),
                format!("--connect-to=127.0.0.1:{}", site.tls),
            );
            let arguments = ["-n", "3000", "-c", "8", "-m", streams, &to, protocol, &url];
            let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
            let load = tokio::spawn(tool("h2load", arguments));
            while !load.is_finished() {
                process.signal("HUP");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            let printed = stdout(&load.await.unwrap());
            assert!(printed.contains("3000 succeeded, 0 failed, 0 errored, 0 timeout"), "{printed}");
            assert!(printed.contains("status codes: 3000 2xx"), "{printed}");
        }
    });
}

#[test]
fn check_reports_problems_settings_and_unreachable_upstreams_with_its_exit_code() {
    run(async {
        let site = Site::new().await;
        let file = site.file();
        let (code, settings, printed) = output(&["check", "--config", &file, "--connect"], &[]).await;
        assert_eq!(code, 0, "{printed}");
        assert!(settings.contains("client_id_secret: (masked)") && !settings.contains(SECRET), "{settings}");
        assert!(printed.contains("can be reached") && printed.contains("can be used"), "{printed}");
        site.write("  'dead.test': {upstream: 'http://127.0.0.1:1'}\n");
        let (code, _, printed) = output(&["check", "--config", &file, "--connect"], &[]).await;
        assert_eq!(code, 69, "{printed}");
        assert!(printed.contains("http://127.0.0.1:1 cannot be reached"), "{printed}");
        assert!(
            printed.contains("domain_map.dead.test.client_id_secret: is missing: a random one is used"),
            "{printed}"
        );
        site.write("  'wrong.test': {upstream: 'http://127.0.0.1:1', tls: {certificate_file: no.crt, key_file: no.key}}\n");
        let (code, _, printed) = output(&["check", "--config", &file], &[]).await;
        assert_eq!(code, 78, "{printed}");
        assert!(
            printed.contains("domain_map.wrong.test.tls.certificate_file")
                && printed.contains("tls.key_file"),
            "{printed}"
        );
        assert_eq!(output(&["check", "--config", "/does/not/exist.yaml"], &[]).await.0, 66);
    });
}

#[test]
fn keygen_keeps_existing_files_and_restricts_keys_to_their_owner() {
    run(async {
        use std::os::unix::fs::PermissionsExt;
        let site = Site::new().await;
        let keys = site.path("keys").display().to_string();
        assert_eq!(output(&["keygen", "--out", &keys, "a.test"], &[]).await.0, 0);
        let key = site.path("keys/a.test.key");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let before = std::fs::read(&key).unwrap();
        let (code, _, printed) = output(&["keygen", "--out", &keys, "a.test"], &[]).await;
        assert!(code == 73 && printed.contains("--force"), "{code} {printed}");
        assert_eq!(std::fs::read(&key).unwrap(), before);
        assert_eq!(output(&["keygen", "--out", &keys, "--force", "a.test"], &[]).await.0, 0);
        assert_ne!(std::fs::read(&key).unwrap(), before);
    });
}

/// Chromium draws the status page of a relay with traffic. It needs Node and Chromium; `make test` installs them.
#[test]
fn the_status_page_is_drawn_in_a_browser() {
    crate::harness::run_within(std::time::Duration::from_secs(300), async {
        let site = Site::new().await;
        let text = site.text(&format!(
            "  broken.test: {{client_id_secret: '{SECRET}', upstream: {{peers: ['http://127.0.0.1:1'], health: {{interval: 500ms}}}}}}\n"
        ));
        site.replace(&text.replace(&format!("  {HOST}:"), "  shop.test:"));
        let _process = site.start().await;
        let client = mte_client::RelayClient::builder(format!("http://127.0.0.1:{}", site.port));
        let load = super::Load::start(vec![client.host("shop.test").build().unwrap()]);
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/status-page");
        let admin = format!("http://127.0.0.1:{}/", site.admin);
        let run = move || {
            let mut npm = Command::new("npm");
            npm.args(["test", "--silent"]).current_dir(folder).env("MTE_RELAY_ADMIN", admin).output().unwrap()
        };
        let printed = tokio::task::spawn_blocking(run).await.unwrap();
        println!("{}", stdout(&printed));
        let errors = String::from_utf8_lossy(&printed.stderr);
        assert!(
            printed.status.success(),
            "{}{errors}\nscripts/setup test installs what this needs",
            stdout(&printed)
        );
        load.finish().await;
    });
}
