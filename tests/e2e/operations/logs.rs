//! The log of a running relay.

use super::{SECRET, Site};
use crate::harness::{HOST, run};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The access lines so far.
fn access(log: &[serde_json::Value]) -> Vec<serde_json::Value> {
    log.iter().filter(|line| line["target"] == "mte_relay::access").cloned().collect()
}

#[test]
fn every_request_has_one_line_with_its_id_trace_and_durations() {
    run(async {
        let site = Site::new().await;
        let process = site.start().await;
        let client = site.client();
        let request = http::Request::post("/accounts?iban=DE89370400440532013000")
            .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
            .body("a body that must not be in the log".into());
        let response = client.send(request.unwrap()).await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        response.into_body().bytes(1_000).await.unwrap();
        let line = async || access(&process.log()).into_iter().find(|line| line["request_id"] == id);
        site.until("its line is written", async || line().await.is_some()).await;
        let line = line().await.unwrap();
        assert_eq!(site.upstream.last().header("x-request-id"), Some(&*id), "sent upstream");
        assert_eq!(
            site.upstream.last().header("traceparent").unwrap(),
            format!("00-{TRACE}-00f067aa0ba902b7-01")
        );
        for (field, value) in [
            ("level", "info"),
            ("trace_id", TRACE),
            ("tenant", HOST),
            ("client_address", "127.0.0.1"),
            ("method", "POST"),
            ("http", "1.1"),
            ("route", "encrypted"),
            ("encode_type", "MKE"),
            ("connection", "new"),
            ("closed", "complete"),
        ] {
            assert_eq!(line[field], value, "{field} in {line}");
        }
        assert_eq!(line["status"], 200);
        assert_eq!(line["peer"], site.upstream.url());
        assert_eq!(
            line["client_id"].as_str().unwrap(),
            client.client_id().unwrap().split('.').next().unwrap()
        );
        for field in ["total_ms", "upstream_ms", "overhead_ms", "decode_ms", "encode_ms"] {
            assert!(line[field].as_f64().is_some_and(|millis| millis > 0.0), "{field} in {line}");
        }
        let bytes = |field: &str| line[field].as_u64().unwrap();
        assert!(
            bytes("request_bytes") > 38 && bytes("request_encoded_bytes") >= bytes("request_bytes") + 3 * 46,
            "{line}"
        );
        assert!(bytes("response_encoded_bytes") >= bytes("response_bytes") + 2 * 46, "{line}");
        let log = process.output();
        for secret in [
            SECRET,
            "iban",
            "DE8937",
            "must not be in the log",
            client.client_id().unwrap().split('.').nth(1).unwrap(),
        ] {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    });
}

#[test]
fn a_refused_request_says_why_in_the_log_and_not_to_the_client() {
    run(async {
        let site = Site::new().await;
        let process = site.start().await;
        let mut wire = crate::harness::Wire::connect(([127, 0, 0, 1], site.port).into()).await;
        wire.send(format!("GET /x HTTP/1.1\r\nhost: {HOST}\r\nx-mte-relay: a.b,pair,1,1,0,0\r\n\r\n")).await;
        let answer = wire.response(false).await.unwrap();
        assert_eq!(answer.status(), 566);
        let id = answer.header("x-request-id").unwrap().to_owned();
        let of_request = |log: Vec<serde_json::Value>| {
            log.into_iter().filter(|line| line["request_id"] == id).collect::<Vec<_>>()
        };
        site.until("both lines are there", async || of_request(process.log()).len() == 2).await;
        let lines = of_request(process.log());
        assert_eq!(lines[0]["cause"], "client_id");
        assert_eq!((&lines[1]["closed"], &lines[1]["status"]), (&"client_id".into(), &566.into()));
        assert_eq!(
            site.metric(&format!("mte_relay_codec_failures_total{{cause=\"client_id\",tenant=\"{HOST}\"}}"))
                .await,
            1.0
        );
    });
}

#[test]
fn a_disconnected_client_is_distinguished_from_a_disconnected_upstream() {
    run(async {
        let site = Site::new().await;
        let process = site.start().await;
        for client in [site.client(), site.tls_client(false), site.tls_client(true)] {
            let before = process.log().len();
            let mut body = client.get("/stream/1000000000").await.unwrap().into_body();
            body.data().await.unwrap().unwrap();
            drop((body, client));
            let lines = || process.log().split_off(before);
            let done = async || access(&lines()).iter().any(|line| line["route"] == "encrypted");
            site.until("its line is written", done).await;
            let line = access(&lines()).pop().unwrap();
            assert_eq!((&line["status"], &line["closed"]), (&200.into(), &"client_closed".into()), "{line}");
            let other = lines().into_iter().find(|line| line["cause"] == "client_closed").expect("its line");
            assert_eq!((&other["status"], &other["level"]), (&200.into(), &"info".into()), "{other}");
            assert!(other["message"].as_str().unwrap().starts_with("response broken off"), "{other}");
        }
    });
}

#[test]
fn the_start_logs_versions_and_effective_settings() {
    run(async {
        let site = Site::new().await;
        let process = site.start().await;
        let log = process.log();
        let start = log.iter().find(|line| line["message"].as_str().unwrap().contains("starts")).unwrap();
        assert_eq!(
            (&start["version"], &start["codec"]),
            (&env!("CARGO_PKG_VERSION").into(), &"mte-open/1".into())
        );
        let settings = log.iter().find_map(|line| line["settings"].as_str()).unwrap();
        let settings: serde_json::Value = serde_json::from_str(settings).unwrap();
        assert_eq!(settings["domain_map"][HOST]["client_id_secret"], "(masked)");
        assert_eq!(settings["limits"]["max_header_bytes"], "64KiB");
    });
}

#[test]
fn a_shutdown_by_signal_loses_no_line() {
    run(async {
        for signal in ["TERM", "INT"] {
            let site = Site::new().await;
            let mut process = site.start().await;
            let client = site.client();
            for _ in 0..100 {
                assert_eq!(client.get("/").await.unwrap().status(), 200);
            }
            process.signal(signal);
            let (code, text) = tokio::task::spawn_blocking(move || process.finish()).await.unwrap();
            assert_eq!(code, Some(0));
            assert_eq!(text.matches("\"route\":\"encrypted\"").count(), 100, "{signal}");
            assert!(
                text.trim_end().ends_with("\"message\":\"mte-relay has stopped\"}"),
                "{signal}: the last line"
            );
        }
    });
}

#[test]
fn log_level_off_writes_nothing() {
    run(async {
        let site = Site::new().await;
        site.replace(&site.text("").replace("log: {format: json}", "log: {format: json, level: off}"));
        let process = site.start().await;
        site.client().get("/").await.unwrap();
        assert_eq!(process.output(), "");
    });
}
