//! Compares the documentation with the relay: every metric, log field, cause and setting is in `docs/operations.md` or
//! `conf/full.yaml`, and every documented metric exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use mte_protocol::Status;
use mte_relay::config::{Config, Settings};
use serde_json::Value;

use crate::harness::{Authority, HOST, Setup, Upstream, Wire, eventually, free_port, run};

const PROTOCOL: &str = include_str!("../../docs/protocol.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const FULL: &str = include_str!("../../conf/full.yaml");

/// Names in backticks.
fn documented(text: &str) -> BTreeSet<&str> {
    // In tables and paragraphs alike: the text between two backticks of a line outside of code blocks.
    let mut names = BTreeSet::new();
    let mut code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if !code {
            names.extend(line.split('`').skip(1).step_by(2));
        }
    }
    names
}

/// A section of the document: from its heading to the next of the same depth or above.
fn section(heading: &str) -> &'static str {
    let start =
        OPERATIONS.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading:?}"));
    let rest = &OPERATIONS[start + heading.len() + 2..];
    let depth = heading.bytes().take_while(|b| *b == b'#').count();
    let ends = |(at, _): &(usize, &str)| {
        let hashes = rest[at + 1..].bytes().take_while(|b| *b == b'#').count();
        (1..=depth).contains(&hashes)
    };
    let end = rest.match_indices("\n#").find(ends).map_or(rest.len(), |(at, _)| at);
    &rest[..end]
}

/// A fenced block of a section.
fn block(section: &'static str, language: &str) -> &'static str {
    let (_, rest) = section.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("its end").0
}

/// The families of a text in Prometheus' format, with their types.
fn families(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Everything that looks like a metric of the relay.
fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = |word: &&str| word.starts_with("mte_relay_") || word.starts_with("process_");
    words.filter(ours).map(str::to_owned).collect()
}

/// The family of a series: a histogram has three.
fn family<'a>(series: &'a str, known: &BTreeMap<String, String>) -> &'a str {
    let parts = ["_bucket", "_sum", "_count"].into_iter().filter_map(|part| series.strip_suffix(part));
    let mut histograms = parts.filter(|name| known.get(*name).is_some_and(|kind| kind == "histogram"));
    histograms.next().unwrap_or(series)
}

/// String literals of a source file that could be labels.
fn labels(source: &str) -> BTreeSet<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let literals = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    let label = |text: &&str| {
        let mut bytes = text.bytes();
        let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        bytes.next().is_some_and(|b| b.is_ascii_lowercase()) && bytes.all(rest)
    };
    literals.filter(label).collect()
}

/// The metrics, from the admin listener, of a relay in which every metric has changed.
async fn exported() -> BTreeMap<String, String> {
    let upstream = Upstream::standard().await;
    let folder = tempfile::tempdir().unwrap();
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let relay = Setup::default()
        .top(&format!("admin: {{address: '{admin}'}}"))
        .tenant(HOST, &upstream.url(), "")
        .tenant("dead.test", "http://127.0.0.1:1", "pass_through_routes: [/plain]")
        .tenant(
            "fleet.test",
            &format!("{{peers: ['http://127.0.0.1:1', '{}'], ejection: {{failures: 1}}}}", upstream.url()),
            "pass_through_routes: [/plain]",
        )
        .tenant(
            "outbound.test",
            &upstream.url(),
            "outbound_token: 0123456789abcdef0123\noutbound_peers: [127.0.0.0/8]",
        )
        .tenant("tls.test", &upstream.url(), &Authority::new().settings(folder.path(), "tls.test", ""))
        .start()
        .await;
    relay.client().get("/").await.unwrap();
    let nothing_sealed = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\norigin: https://elsewhere.test\r\n\r\n");
    let nothing_sealed = relay.ask(&nothing_sealed).await;
    assert_eq!(nothing_sealed.status(), 569);
    let no_pairs = format!("POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 2\r\n\r\n[]");
    assert_eq!(relay.ask(&no_pairs).await.status(), 400);
    let no_upstream = relay.ask("GET /plain HTTP/1.1\r\nhost: dead.test\r\n\r\n").await;
    assert_eq!(no_upstream.status(), 502);
    for _ in 0..4 {
        let other_peer = relay.ask("GET /plain HTTP/1.1\r\nhost: fleet.test\r\n\r\n").await;
        assert_eq!(other_peer.status(), 200);
    }
    let no_peer = "GET / HTTP/1.1\r\nhost: outbound.test\r\nx-mte-outbound-token: 0123456789abcdef0123\r\n\
                   x-mte-upstream: http://127.0.0.1:1\r\n\r\n";
    assert_eq!(relay.ask(no_peer).await.status(), 502);
    assert_eq!(relay.ask("this is no HTTP\r\n\r\n").await.status(), 400);
    eventually("the refused connection is counted", || {
        relay.shared.metrics.text().contains("mte_relay_malformed_total{")
    })
    .await;
    eventually("the admin listener is there", || std::net::TcpStream::connect(admin).is_ok()).await;
    let mut wire = Wire::connect(admin).await;
    wire.send("GET / HTTP/1.1\r\nhost: another.test\r\n\r\n").await;
    assert_eq!(wire.response(false).await.unwrap().status(), 421);
    wire.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let answer = wire.response(false).await.unwrap();
    families(std::str::from_utf8(&answer.body).unwrap())
}

#[test]
fn every_metric_is_documented_with_its_type_and_every_documented_one_exists() {
    run(async {
        let exported = exported().await;
        let rows: BTreeMap<_, _> = section("## Metrics")
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
                let name = cells.next()?.trim_end_matches('`');
                let kind = cells.next()?;
                (name.starts_with("mte_relay_") || name.starts_with("process_"))
                    .then(|| (name.to_owned(), kind.to_owned()))
            })
            .collect();
        assert_eq!(rows, exported, "the table of metrics, and what is exported");
        for name in mentioned(OPERATIONS) {
            assert!(
                exported.contains_key(family(&name, &exported)),
                "{name} is documented and does not exist"
            );
        }
    });
}

#[test]
fn the_example_of_relay_to_relay_can_be_used_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("relay.secret", "6f1c9a41"), ("outbound.token", "0b5d77e2")] {
        std::fs::write(folder.path().join(name), text.repeat(8)).unwrap();
    }
    let text = block(section("## Relay to relay"), "yaml");
    let environment = BTreeMap::<&str, &str>::new();
    let config = Config::parse(text, "example", folder.path(), &environment, &Arc::default());
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.warnings, [""; 0]);
    assert!(config.domains.tenants().all(|tenant| tenant.outbound.is_some()));
}

#[test]
fn the_alert_rules_parse_and_use_metrics_that_exist() {
    run(async {
        let exported = exported().await;
        let rules: Value = serde_yaml::from_str(block(section("### Alerts"), "yaml")).expect("YAML");
        let rules = rules["groups"][0]["rules"].as_array().expect("rules");
        assert!(rules.len() > 5);
        for rule in rules {
            let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("in {rule}")).to_owned();
            let (name, expression) = (text(&rule["alert"]), text(&rule["expr"]));
            assert!(["critical", "warning", "info"].contains(&&*text(&rule["labels"]["severity"])), "{name}");
            assert!(!text(&rule["annotations"]["summary"]).is_empty(), "{name}");
            assert!(!text(&rule["annotations"]["reason"]).is_empty(), "{name}");
            let count = |char| expression.matches(char).count();
            assert!(
                count('(') == count(')') && count('{') == count('}') && count('[') == count(']'),
                "{name}"
            );
            let used = mentioned(&expression);
            assert!(!used.is_empty() || expression.starts_with("up{"), "{name} watches nothing");
            for metric in used {
                assert!(exported.contains_key(family(&metric, &exported)), "{name}: {metric} does not exist");
            }
        }
    });
}

#[test]
fn every_field_of_the_access_line_is_documented() {
    let source = include_str!("../../src/telemetry/access.rs");
    let (_, line) = source.split_once("fn write(").expect("what writes the access line");
    let fields: BTreeSet<_> =
        line.lines().filter_map(|line| line.trim().strip_prefix("fields.")?.split('"').nth(1)).collect();
    assert!(fields.len() > 20, "{fields:?}");
    let rows: BTreeSet<_> = section("### The access line")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(rows, fields, "the table of fields, and what is written");
}

#[test]
fn fields_of_other_lines_are_documented() {
    let known = documented(section("## Logs"));
    for field in [
        "time", "level", "target", "message", "version", "codec", "threads", "tenants", "settings", "client",
        "cause",
    ] {
        assert!(known.contains(field), "{field}");
    }
}

#[test]
fn every_cause_is_documented() {
    let known = documented(OPERATIONS);
    for (file, source, at_least) in [
        ("gateway/error/mod.rs", include_str!("../../src/gateway/error/mod.rs"), 6),
        ("gateway/error/table.rs", include_str!("../../src/gateway/error/table.rs"), 25),
        ("upstream/fault.rs", include_str!("../../src/upstream/fault.rs"), 10),
        ("edge/refused.rs", include_str!("../../src/edge/refused.rs"), 2),
        ("edge/connections.rs", include_str!("../../src/edge/connections.rs"), 2),
        ("edge/watch.rs", include_str!("../../src/edge/watch.rs"), 4),
        ("gateway/finished.rs", include_str!("../../src/gateway/finished.rs"), 4),
        ("telemetry/metrics/tenant.rs", include_str!("../../src/telemetry/metrics/tenant.rs"), 10),
        ("admin/refusal.rs", include_str!("../../src/admin/refusal.rs"), 5),
    ] {
        let labels = labels(source);
        assert!(labels.len() >= at_least, "{file}: {labels:?}");
        for label in labels {
            assert!(known.contains(label), "{label} of {file} is not in docs/operations.md");
        }
    }
}

#[test]
fn the_statuses_of_the_protocol_are_the_same_in_its_document_and_in_the_typescript_client() {
    let statuses: Vec<_> =
        Status::all().iter().map(|status| (status.code().to_string(), status.text().to_owned())).collect();
    let rows = PROTOCOL.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
    });
    let code = |text: &str| text.len() == 3 && text.starts_with('5') && text != "500";
    assert_eq!(rows.filter(|(status, _)| code(status)).collect::<Vec<_>>(), statuses, "docs/protocol.md");
    let names = include_str!("../../clients/js/packages/core/src/names.ts");
    let (_, list) = names.split_once("RELAY_STATUS_TEXT").expect("the list");
    let entry = |line: &str| {
        let (status, text) = line.trim().split_once(": \"")?;
        Some((status.to_owned(), text.strip_suffix("\",")?.to_owned()))
    };
    let listed: Vec<_> = list.lines().filter_map(entry).collect();
    assert_eq!(listed, statuses, "names.ts");
}

#[test]
fn every_admin_route_is_documented() {
    let known = documented(section("## Admin listener"));
    for route in labels_of_routes(include_str!("../../src/admin/routes.rs")) {
        let route = route.as_str();
        assert!(
            known.iter().any(|name| name.split_once(' ').is_some_and(|(_, path)| path == route)),
            "{route} is not in docs/operations.md"
        );
    }
}

fn labels_of_routes(source: &str) -> BTreeSet<String> {
    let literals = source.lines().flat_map(|line| line.split('"').skip(1).step_by(2));
    let routes: BTreeSet<_> = literals.filter(|text| text.starts_with('/')).map(str::to_owned).collect();
    assert!(routes.len() > 7, "{routes:?}");
    routes
}

fn written(text: &str) -> Settings {
    let environment = BTreeMap::from([("TENANT1_SECRET", "s")]);
    Settings::written(text, "test", &environment).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Settings with every key, as the code serialises them.
fn everything() -> Value {
    let settings = written(
        "listeners: [{}]\ndomain_map: {a.test: {upstream: {peers: [{url: 'http://a'}], health: {}}, tls: {}}}\n",
    );
    serde_json::to_value(settings).unwrap()
}

fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            found.insert(key.clone());
            keys(value, found);
        }),
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn every_setting_is_in_the_full_example() {
    let mut settings = BTreeSet::new();
    keys(&everything(), &mut settings);
    settings.remove("a.test");
    assert!(settings.len() > 70, "{settings:?}");
    for key in &settings {
        let begins = |line: &str| {
            let key = format!("{key}:");
            let written = line.trim_start_matches([' ', '#', '-', '{']);
            written.starts_with(&key) || line.contains(&format!(", {key}"))
        };
        assert!(FULL.lines().any(begins), "{key} is not in conf/full.yaml");
    }
}

#[test]
fn the_full_example_has_the_defaults_but_where_it_says_otherwise() {
    // A setting whose comment says so has an example value; the settings below it are compared separately.
    let compared = |value: &Value, indent: usize| {
        let example = |key: &str| {
            let begins = format!("{:indent$}{key}:", "");
            let line = FULL.lines().find(|line| line.starts_with(&begins));
            line.is_none_or(|line| line.contains("example") || line.contains("default"))
        };
        let mut map = value.as_object().unwrap().clone();
        map.retain(|key, value| {
            !example(key) && !matches!(&**key, "domain_map" | "upstream" | "health") && !value.is_null()
        });
        Value::from(map)
    };
    let (written, default) = (serde_json::to_value(written(FULL)).unwrap(), everything());
    let places = [
        ("", "", 0, 8),
        ("/domain_map/api.tenant1.test", "/domain_map/a.test", 4, 6),
        ("/domain_map/api.tenant1.test/upstream", "/domain_map/a.test/upstream", 6, 3),
        ("/domain_map/api.tenant1.test/upstream/health", "/domain_map/a.test/upstream/health", 8, 4),
    ];
    for (place, same, indent, at_least) in places {
        let mut written = compared(written.pointer(place).unwrap(), indent);
        if let Some(admin) = written.get_mut("admin") {
            // The example writes out the default address; if it is left out, the relay also starts if the address is in use.
            assert_eq!(admin["address"].take(), "127.0.0.1:9090");
        }
        assert!(written.as_object().unwrap().len() >= at_least, "{written}");
        for (key, value) in written.as_object().unwrap() {
            assert_eq!(value, &default.pointer(same).unwrap()[key], "{place} {key} in conf/full.yaml");
        }
    }
}
