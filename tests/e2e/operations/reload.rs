//! A running relay uses a new configuration, or keeps the old one.

use std::net::SocketAddr;

use super::{Load, SECRET, Site};
use crate::harness::{HOST, Process, run};

/// Requests a reload and waits until it was attempted.
async fn reload(site: &Site, process: &Process) {
    let tried = async || {
        site.metric("mte_relay_reloads_total{result=\"ok\"}").await
            + site.metric("mte_relay_reloads_total{result=\"failed\"}").await
    };
    let before = tried().await;
    process.signal("HUP");
    site.until("the reload is attempted", async || tried().await > before).await;
}

#[test]
fn a_hundred_reloads_half_of_them_broken_fail_no_request_and_lose_no_pair() {
    run(async { a_hundred_reloads(Site::new().await).await });
}

#[test]
fn a_hundred_reloads_fail_no_request_to_an_http2_upstream() {
    run(async { a_hundred_reloads(Site::http2().await).await });
}

async fn a_hundred_reloads(mut site: Site) {
    site.top = "reload: {watch: false}".into();
    site.write("");
    let process = site.start().await;
    let mut clients = vec![site.client(), site.client()];
    clients.extend([site.tls_client(false), site.tls_client(true)]);
    for client in &clients {
        client.pair().await.unwrap();
    }
    let pairs = format!("mte_relay_pairs{{tenant=\"{HOST}\"}}");
    let created = format!("mte_relay_pair_events_total{{event=\"created\",tenant=\"{HOST}\"}}");
    let (pairs_before, created_before) = (site.metric(&pairs).await, site.metric(&created).await);
    let load = Load::start(clients);
    for round in 0..50 {
        let other = format!(
            "  'other{round}.test': {{upstream: 'http://127.0.0.1:9', client_id_secret: '{SECRET}'}}\n"
        );
        site.write(&other);
        reload(&site, &process).await;
        site.write("  'broken.test': {upstream: 'ftp://x'}\n");
        reload(&site, &process).await;
        load.more(4).await;
    }
    let done = load.finish().await;
    assert!(done > 200, "only {done} requests: no load");
    assert_eq!(site.metric("mte_relay_reloads_total{result=\"ok\"}").await, 50.0);
    assert_eq!(site.metric("mte_relay_reloads_total{result=\"failed\"}").await, 50.0);
    assert_eq!(site.metric(&pairs).await, pairs_before, "no pair is lost");
    assert_eq!(site.metric(&created).await, created_before, "no client had to pair again");
    assert!(!site.text_of("/metrics").await.contains("broken.test"), "a broken file leaves no series");
}

#[test]
fn a_broken_file_changes_nothing_and_is_reported_in_log_metric_and_readiness() {
    run(async {
        let site = Site::new().await;
        let process = site.start().await;
        site.write("  'broken.test': {upstream: 'ftp://x'}\n");
        reload(&site, &process).await;
        assert_eq!(site.metric("mte_relay_last_reload_successful").await, 0.0);
        let ready = site.json_of("/readyz").await;
        assert_eq!(ready["ready"], true, "it serves as before");
        assert_eq!(ready["reload"]["ok"], false);
        let error = ready["reload"]["error"].as_str().unwrap();
        assert!(error.contains("domain_map.broken.test.upstream") && error.contains("http://"), "{error}");
        assert_eq!(site.client().get("/").await.unwrap().status(), 200);
        let log = process.log();
        let reported = |line: &serde_json::Value| {
            line["level"] == "error" && line["message"].as_str().unwrap().contains("broken.test")
        };
        assert!(log.iter().any(reported), "{log:?}");
        site.write("");
        reload(&site, &process).await;
        assert_eq!(site.metric("mte_relay_last_reload_successful").await, 1.0);
        assert_eq!(site.json_of("/readyz").await["reload"]["ok"], true);
    });
}

#[test]
fn changes_take_effect_immediately_or_are_reported_to_need_a_restart() {
    run(async {
        let mut site = Site::new().await;
        let process = site.start().await;
        let client = site.client();
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        site.tenant =
            format!("client_id_secret: {SECRET}\n    mte_routes: [/only]\n    headers: {{x-tenant: new}}");
        site.top = "log: {level: debug}\npool_size: 7".into();
        let text = site.text("").replace("log: {format: json}\n", "");
        site.replace(&text.replace("level: debug", "level: debug, format: json"));
        reload(&site, &process).await;
        assert_eq!(client.get("/").await.unwrap_err().relay_status(), Some(404));
        let response = client.get("/only").await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-tenant"]),
            (200, &"new".parse().unwrap())
        );
        assert_eq!(site.text_of("/log-level").await, "debug\n");
        let restart = |line: &serde_json::Value| {
            line["message"]
                .as_str()
                .is_some_and(|message| message.contains("restart") && message.contains("pool_size"))
        };
        assert!(process.log().iter().any(restart), "{}", process.output());
    });
}

#[test]
fn a_removed_tenant_loses_its_pairs_and_a_new_one_is_served() {
    run(async {
        let mut site = Site::new().await;
        let process = site.start().await;
        let client = site.client();
        client.pair().await.unwrap();
        let text = site.text("").replace(&format!("  {HOST}:"), "  new.test:");
        site.replace(&text);
        reload(&site, &process).await;
        assert!(client.get("/").await.is_err(), "421");
        assert!(!site.text_of("/metrics").await.contains(&format!("mte_relay_pairs{{tenant=\"{HOST}\"}}")));
        site.tenant.push_str("\n    preserve_host: true");
        site.write("");
        reload(&site, &process).await;
        assert_eq!(client.get("/").await.unwrap().status(), 200, "it pairs again by itself");
    });
}

#[test]
fn a_secret_is_rotated_without_any_client_pairing_again() {
    run(async {
        let mut site = Site::new().await;
        let process = site.start().await;
        let client = site.client();
        client.get("/").await.unwrap();
        let before = client.client_id().unwrap();
        let created = format!("mte_relay_pair_events_total{{event=\"created\",tenant=\"{HOST}\"}}");
        let made = site.metric(&created).await;
        site.tenant = format!(
            "client_id_secret: the new secret, as long as it ought to be\n    client_id_secret_previous: {SECRET}"
        );
        site.write("");
        reload(&site, &process).await;
        for _ in 0..3 {
            assert_eq!(client.get("/").await.unwrap().status(), 200);
        }
        let after = client.client_id().unwrap();
        assert_eq!(before.split('.').next(), after.split('.').next(), "the same client");
        assert_ne!(before, after, "signed with the new secret");
        site.tenant = "client_id_secret: the new secret, as long as it ought to be".into();
        site.write("");
        reload(&site, &process).await;
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        assert_eq!(site.metric(&created).await, made, "no pair was created");
    });
}

#[test]
fn changed_files_are_noticed_kubernetes_symbolic_links_included() {
    run(async {
        let site = Site::new().await;
        // As the kubelet mounts a ConfigMap: relay.yaml -> ..data/relay.yaml, ..data -> a folder that is replaced.
        let mount = site.path("mount");
        let version = |name: &str, text: &str| {
            let folder = mount.join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("relay.yaml"), text).unwrap();
            std::os::unix::fs::symlink(name, mount.join("..data_tmp")).unwrap();
            std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        };
        let absolute = |text: String| {
            let folder = site.folder.path().display();
            text.replace("tenant.crt", &format!("{folder}/tenant.crt"))
                .replace("tenant.key", &format!("{folder}/tenant.key"))
        };
        version("..1", &absolute(site.text("")));
        std::os::unix::fs::symlink("..data/relay.yaml", mount.join("relay.yaml")).unwrap();
        let (file, port) = (mount.join("relay.yaml").display().to_string(), site.port);
        let _process = Process::start(&["run", "--config", &file], &[], port);
        site.until("it is ready", async || {
            site.get("/readyz").await.is_some_and(|ready| ready.status() == 200)
        })
        .await;
        version("..2", &absolute(site.text("  'second.test': {upstream: 'http://127.0.0.1:9'}\n")));
        site.until("the swap is noticed", async || site.text_of("/config").await.contains("second.test"))
            .await;
        // A file that the configuration names.
        let reloads = site.metric("mte_relay_reloads_total{result=\"ok\"}").await;
        site.issue();
        let more = async || site.metric("mte_relay_reloads_total{result=\"ok\"}").await > reloads;
        site.until("the certificate is noticed", more).await;
    });
}

#[test]
fn a_certificate_is_swapped_under_load_and_open_connections_stay() {
    run(async {
        let site = Site::new().await;
        let process = site.start().await;
        let load = Load::start(vec![site.tls_client(false), site.tls_client(true), site.tls_client(true)]);
        load.more(10).await;
        let connections = site.metric("mte_relay_connections").await;
        for _ in 0..5 {
            let expected = site.issue();
            // The watcher may have read the files between the two writes; a reload now reads both.
            reload(&site, &process).await;
            assert_eq!(site.certificate().await, expected);
            load.more(10).await;
        }
        assert!(site.metric("mte_relay_connections").await >= connections, "no connection was closed");
        load.finish().await;
    });
}

#[test]
fn a_connection_from_before_client_certificates_were_required_is_no_longer_served() {
    run(async {
        let mut site = Site::new().await;
        site.tenant.push_str("\n    pass_through_routes: [/plain]");
        site.write("");
        std::fs::write(site.path("ca.crt"), site.authority.pem()).unwrap();
        let process = site.start().await;
        let stream = site.authority.connect(SocketAddr::from(([127, 0, 0, 1], site.tls)), HOST).await;
        let stream = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut status = async || {
            let request = http::Request::get("/plain").header("host", HOST).body(String::new()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            let status = response.status();
            http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
            status
        };
        assert_eq!(status().await, 200);
        reload(&site, &process).await;
        assert_eq!(status().await, 200, "a reload that changes nothing closes nothing");
        let asks = site.text_with_client_ca();
        site.replace(&asks);
        reload(&site, &process).await;
        assert_eq!(status().await, 421);
    });
}

#[test]
fn an_empty_client_ca_file_is_an_error_and_not_the_same_as_none() {
    run(async {
        let site = Site::new().await;
        let process = site.start().await;
        std::fs::write(site.path("ca.crt"), "").unwrap();
        site.replace(&site.text_with_client_ca());
        reload(&site, &process).await;
        assert!(site.metric("mte_relay_reloads_total{result=\"failed\"}").await >= 1.0);
        assert_eq!(site.metric("mte_relay_reloads_total{result=\"ok\"}").await, 0.0);
    });
}

impl Site {
    /// The file, with a tenant that requires client certificates.
    fn text_with_client_ca(&self) -> String {
        self.text("").replace("key_file: tenant.key", "key_file: tenant.key, client_ca_file: ca.crt")
    }

    /// The certificate that a new connection is shown.
    async fn certificate(&self) -> Vec<u8> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.tls));
        let stream = self.authority.connect(address, HOST).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}
