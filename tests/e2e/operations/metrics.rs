//! Every metric changes when the event that it counts happens.

use std::{collections::BTreeMap, time::Duration};

use mte_client::Body;

use super::{SECRET, Site};
use crate::harness::{HOST, Wire, channel, free_port, run};

/// Metrics that do not change while a process runs.
const CONSTANT: [&str; 4] = [
    "mte_relay_certificate_expiry_timestamp_seconds",
    "mte_relay_build_info",
    "mte_relay_pool_size",
    "mte_relay_pair_store_available",
];

/// Metrics that change when the log is not read (see `blocked_log`), and when the pair store fails (see `pair_store`).
const FAULTS: [&str; 2] = ["mte_relay_log_lines_dropped_total", "mte_relay_pair_store_failures_total"];

/// Metrics in whole seconds: a short test may take less.
const CPU: &str = "process_cpu_seconds_total";

impl Site {
    /// The sum of each family's samples; of a histogram, how many there were.
    async fn families(&self) -> BTreeMap<String, f64> {
        let text = self.text_of("/metrics").await;
        let mut sums = BTreeMap::new();
        for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
            sums.insert(name.to_owned(), 0.0);
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            if let Some(sum) = sums.get_mut(name.strip_suffix("_count").unwrap_or(name)) {
                *sum += value.parse::<f64>().unwrap();
            }
        }
        sums
    }
}

#[test]
fn every_metric_changes() {
    run(async {
        let mut site = Site::new().await;
        site.top =
            "pool_size: 1\npairs: {max_per_client: 2, idle_timeout: 1s}\nreload: {watch: false}".into();
        let more = format!(
            "  fleet.test:\n    upstream: {{peers: ['http://127.0.0.1:{}', '{}'], ejection: {{failures: 1}}}}\n    \
             client_id_secret: {SECRET}\n",
            free_port(),
            site.upstream.url()
        );
        site.write(&more);
        let process = site.start().await;
        let mut moments = vec![site.families().await];

        // Two requests in flight: one has the only instance of the pool, the other creates its own.
        let client = site.client();
        client.pair().await.unwrap();
        let under_way: Vec<_> = (0..2)
            .map(|_| {
                let (sender, body) = channel();
                let client = client.clone();
                (sender, tokio::spawn(async move { client.post("/", Body::wrap(body)).await }))
            })
            .collect();
        for (sender, _) in &under_way {
            sender.send(Ok("half".into())).await.unwrap();
        }
        site.until("both are under way", async || site.metric("mte_relay_requests_in_flight").await == 2.0)
            .await;
        site.until("the upstream received both", async || {
            let peer = site.upstream.url();
            let series =
                format!("mte_relay_upstream_requests_in_flight{{peer=\"{peer}\",tenant=\"{HOST}\"}}");
            site.metric(&series).await == 2.0
        })
        .await;
        moments.push(site.families().await);
        for (sender, request) in under_way {
            drop(sender);
            assert_eq!(request.await.unwrap().unwrap().status(), 200);
        }

        let fleet = site.builder("fleet.test").build().unwrap();
        for _ in 0..4 {
            assert_eq!(fleet.get("/").await.unwrap().status(), 200, "another peer received it");
        }
        site.tls_client(true).get("/").await.unwrap();
        let id = client.client_id().unwrap();
        // More than a client may have: its first ones are evicted.
        site.builder(HOST).client_id(id).build().unwrap().pair().await.unwrap();
        for (request, status) in [
            (format!("POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 2\r\n\r\n[]"), 400),
            (format!("GET /x HTTP/1.1\r\nhost: {HOST}\r\nx-mte-relay: a.b,pair,1,1,0,0\r\n\r\n"), 566),
            ("this is no HTTP\r\n\r\n".to_owned(), 400),
        ] {
            let mut wire = Wire::connect(([127, 0, 0, 1], site.port).into()).await;
            wire.send(request).await;
            assert_eq!(wire.response(false).await.unwrap().status(), status);
        }
        let expired = format!("mte_relay_pair_events_total{{event=\"expired\",tenant=\"{HOST}\"}}");
        site.until("pairs expire", async || site.metric(&expired).await > 0.0).await;
        assert_eq!(site.admin("POST", "/reload", "", "").await.unwrap().status(), 401);
        moments.push(site.families().await);

        for (text, result) in [(more.as_str(), "ok"), ("  'broken.test': {upstream: 'ftp://x'}\n", "failed")]
        {
            // The time of a reload is in whole seconds.
            tokio::time::sleep(Duration::from_secs(1)).await;
            site.write(text);
            process.signal("HUP");
            let tried = format!("mte_relay_reloads_total{{result=\"{result}\"}}");
            site.until("the reload is attempted", async || site.metric(&tried).await == 1.0).await;
            moments.push(site.families().await);
        }

        for name in moments.last().unwrap().keys() {
            let values: Vec<_> =
                moments.iter().map(|moment| moment.get(name).copied().unwrap_or(0.0)).collect();
            if name.starts_with("process_") {
                // Values of the system, which may change or not.
                assert!(values[0] > 0.0 || name == CPU, "{name}");
                continue;
            }
            if FAULTS.contains(&&**name) {
                assert_eq!(values.last(), Some(&0.0), "{name}");
                continue;
            }
            let moved = values.iter().any(|value| *value != values[0]);
            let constant = CONSTANT.contains(&&**name);
            assert_eq!(moved, !constant, "{name}: {values:?}");
            assert!(!constant || values[0] > 0.0, "{name}");
        }
        for event in ["created", "expired", "evicted"] {
            let series = format!("mte_relay_pair_events_total{{event=\"{event}\",tenant=\"{HOST}\"}}");
            assert!(site.metric(&series).await > 0.0, "{event}");
        }
        for kind in ["new", "reused"] {
            let series = format!("mte_relay_upstream_connections_total{{kind=\"{kind}\",tenant=\"{HOST}\"}}");
            assert!(site.metric(&series).await > 0.0, "{kind}");
        }
    });
}
