//! The admin listener.

use super::{SECRET, Site, TOKEN};
use crate::harness::{HOST, run};

#[test]
fn health_is_shown_and_an_unhealthy_upstream_fails_readiness_only_for_tenants_with_ready() {
    run(async {
        let site = Site::new().await;
        let broken = |ready: bool| {
            format!(
                "  'broken.test':\n    client_id_secret: {SECRET}\n    upstream: {{peers: ['http://127.0.0.1:1'], \
                 health: {{path: /health, interval: 100ms}}, ready: {ready}}}\n"
            )
        };
        site.write(&broken(false));
        let process = site.start().await;
        assert_eq!(site.get("/livez").await.unwrap().status(), 200);
        let unhealthy = "mte_relay_upstream_healthy{peer=\"http://127.0.0.1:1\",tenant=\"broken.test\"} 0";
        site.until("it is found out", async || site.text_of("/metrics").await.contains(unhealthy)).await;
        assert_eq!(site.get("/readyz").await.unwrap().status(), 200);
        site.write(&broken(true));
        process.signal("HUP");
        site.until("readiness fails", async || site.get("/readyz").await.unwrap().status() == 503).await;
        let why = site.json_of("/readyz").await["not_ready_because"].to_string();
        assert!(why.contains("tenant broken.test: no healthy upstream"), "{why}");
    });
}

#[test]
fn settings_are_shown_with_every_secret_masked() {
    run(async {
        let mut site = Site::new().await;
        site.tenant.push_str("\n    headers: {authorization: Bearer of-the-upstream}");
        site.write("");
        let process = site.start().await;
        let shown = site.text_of("/config").await;
        for text in [&*shown, &*process.output()] {
            assert!(text.contains(HOST) && text.contains("(masked)"), "{text}");
            for secret in [SECRET, TOKEN, "of-the-upstream"] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
        assert!(shown.contains("idle_timeout: 30m"), "defaults are filled in: {shown}");
    });
}

#[test]
fn requests_that_make_changes_need_the_token_and_the_refusal_says_so() {
    run(async {
        let site = Site::new().await;
        let _process = site.start().await;
        let bearer = format!("authorization: Bearer {TOKEN}\r\n");
        let put =
            async |token: &str, level: &str| site.admin("PUT", "/log-level", token, level).await.unwrap();
        assert_eq!(put("", "debug").await.status(), 401);
        assert_eq!(put("authorization: Bearer wrong\r\n", "debug").await.status(), 401);
        assert_eq!(site.text_of("/log-level").await, "info\n");
        assert_eq!(put(&bearer, "warning").await.status(), 200);
        assert_eq!(site.text_of("/log-level").await, "warning\n");
        let wrong = put(&bearer, "loud").await;
        assert_eq!(wrong.status(), 400);
        assert!(
            String::from_utf8_lossy(&wrong.body).contains("trace, debug, info, warning, error, panic, off")
        );
        assert_eq!(site.admin("POST", "/reload", "", "").await.unwrap().status(), 401);
        assert_eq!(site.admin("POST", "/reload", &bearer, "").await.unwrap().status(), 200);
        assert_eq!(site.admin("GET", "/nothing", "", "").await.unwrap().status(), 404);
        assert_eq!(site.admin("DELETE", "/metrics", &bearer, "").await.unwrap().status(), 405);
    });
}

#[test]
fn the_unix_socket_needs_no_token_and_only_admits_its_owner() {
    run(async {
        use std::os::unix::fs::PermissionsExt;
        let site = Site::new().await;
        let text = site.text("").replace("admin: {", "admin: {socket: admin.sock, ");
        site.replace(&text);
        let _process = site.start().await;
        let socket = site.path("admin.sock");
        site.until("it is there", async || socket.exists()).await;
        let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let answer = std::process::Command::new("curl")
            .args([
                "-s",
                "-X",
                "PUT",
                "-d",
                "error",
                "--unix-socket",
                &socket.display().to_string(),
                "http://admin/log-level",
            ])
            .output();
        assert_eq!(String::from_utf8(answer.unwrap().stdout).unwrap(), "error\n");
    });
}

#[test]
fn the_admin_routes_are_on_no_tenant_listener() {
    run(async {
        let site = Site::new().await;
        let _process = site.start().await;
        let mut wire = crate::harness::Wire::connect(([127, 0, 0, 1], site.port).into()).await;
        wire.send("GET /metrics HTTP/1.1\r\nhost: tenant.test\r\n\r\n").await;
        assert_eq!(wire.response(false).await.unwrap().status(), 569);
    });
}

#[test]
fn the_last_minutes_are_sampled_for_every_tenant() {
    run(async {
        let site = Site::new().await;
        let _process = site.start().await;
        let client = site.client();
        for _ in 0..20 {
            client.get("/").await.unwrap();
        }
        let sum = async || {
            let status = site.json_of("/status.json").await;
            let rates = status["tenants"][0]["requests_per_second"].as_array().unwrap().clone();
            rates.iter().filter_map(serde_json::Value::as_f64).sum::<f64>()
        };
        site.until("the requests are in a sample", async || sum().await > 5.0).await;
        let status = site.json_of("/status.json").await;
        let samples = status["samples"]["at"].as_array().unwrap().len();
        let tenant = &status["tenants"][0];
        assert_eq!(tenant["name"], HOST);
        assert_eq!(tenant["upstream"][0]["state"], "unchecked");
        for (series, values) in tenant.as_object().unwrap().iter().filter(|(_, value)| value.is_array()) {
            assert!(series == "upstream" || values.as_array().unwrap().len() == samples, "{series}");
        }
        let last = |series: &str| {
            tenant[series].as_array().unwrap().iter().rev().find_map(serde_json::Value::as_f64)
        };
        assert_eq!(last("pairs"), Some(2.0));
        assert!(last("p50_ms").is_some_and(|p50| p50 > 0.0), "{tenant}");
        assert!(last("overhead_p99_ms").is_some_and(|p99| p99 > 0.0), "{tenant}");
    });
}
