//! Thousands of idle tenants cost nothing.

use std::time::{Duration, Instant};

use super::{SECRET, Site};
use crate::harness::{HOST, run};

const TENANTS: usize = 10_000;

fn idle_tenants(count: usize) -> String {
    let tenant = |number| {
        format!("  t{number}.test: {{upstream: 'http://127.0.0.1:9', client_id_secret: '{SECRET}'}}\n")
    };
    (0..count).map(tenant).collect()
}

#[test]
fn the_metrics_of_ten_thousand_idle_tenants_are_small_and_fast_and_health_checks_do_not_wait() {
    run(async {
        let site = Site::new().await;
        site.write(&idle_tenants(TENANTS));
        let process = site.start().await;
        site.client().get("/").await.unwrap();
        let began = Instant::now();
        let text = site.text_of("/metrics").await;
        // Far more than it takes, even without optimisation, because test machines may be busy.
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(text.len() < 2_000_000, "{} bytes", text.len());
        assert!(!text.contains("t1.test"), "an idle tenant has no series");
        assert!(text.contains(&format!(
            "mte_relay_upstream_healthy{{peer=\"{}\",tenant=\"{HOST}\"}} 1",
            site.upstream.url()
        )));

        // Slow answers are built in parallel to health checks, however often they are requested.
        let asked = async {
            for path in ["/config", "/status.json", "/metrics", "/config", "/status.json"] {
                assert_eq!(site.get(path).await.unwrap().status(), 200, "{path}");
            }
        };
        let (mut slowest, mut checks) = (Duration::ZERO, 0);
        let mut asked = std::pin::pin!(asked);
        while tokio::time::timeout(Duration::from_millis(1), asked.as_mut()).await.is_err() {
            let began = Instant::now();
            assert_eq!(site.get("/livez").await.unwrap().status(), 200);
            slowest = slowest.max(began.elapsed());
            checks += 1;
        }
        assert!(checks > 0 && slowest < Duration::from_secs(2), "{checks} checks, {slowest:?}");

        // Tenants that are removed leave no series.
        site.write("");
        process.signal("HUP");
        let reloaded = async || site.metric("mte_relay_reloads_total{result=\"ok\"}").await >= 1.0;
        site.until("they are removed", reloaded).await;
        assert_eq!(site.json_of("/status.json").await["tenants"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn a_tenant_has_series_from_its_first_request_until_it_is_removed() {
    run(async {
        let site = Site::new().await;
        site.write(&idle_tenants(2));
        let process = site.start().await;
        // The expiry of a certificate is exported from the start.
        let series = async |name: &str| {
            let text = site.text_of("/metrics").await;
            let lines = text.lines().filter(|line| !line.starts_with("mte_relay_certificate_"));
            lines.filter(|line| line.contains(&format!("tenant=\"{name}\""))).count()
        };
        assert_eq!((series(HOST).await, series("t0.test").await), (0, 0));
        site.client().get("/").await.unwrap();
        let refused = site.builder("t0.test").build().unwrap().get("/").await;
        assert!(refused.is_err(), "nothing listens at its upstream");
        site.until("both are counted", async || series(HOST).await > 5 && series("t0.test").await > 5).await;
        assert_eq!(series("t1.test").await, 0);
        site.write("");
        process.signal("HUP");
        site.until("its series end", async || series("t0.test").await == 0).await;
        assert!(series(HOST).await > 5);
    });
}
