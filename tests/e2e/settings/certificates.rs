//! Certificates that clients refuse, or will soon: warnings, a metric, the status page.

use std::net::SocketAddr;

use super::parse;
use crate::harness::{HOST, Setup, Wire, eventually, free_port, run};

/// Writes a self-signed certificate for `names`, valid from and until this many days from now.
fn write(folder: &std::path::Path, name: &str, names: &[&str], from: i64, until: i64) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params =
        rcgen::CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            .unwrap();
    let day = |days: i64| {
        let seconds =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        // `rcgen` takes calendar days.
        let date = jiff::Timestamp::from_second(seconds + days * 86_400).unwrap().to_string();
        let mut parts = date[..10].split('-').map(|part| part.parse::<i32>().unwrap());
        let (year, month, day) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        rcgen::date_time_ymd(year, month as u8, day as u8)
    };
    (params.not_before, params.not_after) = (day(from), day(until));
    let certificate = params.self_signed(&key).unwrap();
    let [crt, pem] =
        ["crt", "key"].map(|ending| folder.join(format!("{name}.{ending}")).display().to_string());
    std::fs::write(&crt, certificate.pem()).unwrap();
    std::fs::write(&pem, key.serialize_pem()).unwrap();
    format!("tls: {{certificate_file: {crt}, key_file: {pem}}}")
}

#[test]
fn a_certificate_that_clients_refuse_or_soon_will_causes_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    for (host, names, from, until, words) in [
        (HOST, &[HOST][..], -10, 100, ""),
        (HOST, &[HOST], -10, -1, "expired at "),
        (HOST, &[HOST], -10, 20, "expires within 30 days, at "),
        (HOST, &[HOST], 5, 100, "is not valid before "),
        (HOST, &["other.test"], -10, 100, "does not cover "),
        ("*.wild.test", &["*.wild.test"], -10, 100, ""),
        ("*.wild.test", &["www.wild.test"], -10, 100, "does not cover *.wild.test"),
        ("*", &["any.test"], -10, 100, ""),
        ("127.0.0.1", &["any.test"], -10, 100, ""),
    ] {
        let tls = write(folder.path(), "one", names, from, until);
        let text = format!(
            "domain_map: {{'{host}': {{upstream: http://a, client_id_secret: 7f3a9c5e1b2d4860f7e6d5c4b3a29180, {tls}}}}}\n"
        );
        let warnings =
            parse(&text, &[], folder.path()).unwrap_or_else(|problems| panic!("{problems}")).warnings;
        if words.is_empty() {
            assert_eq!(warnings, Vec::<String>::new(), "{host} {names:?}");
        } else {
            let place = "relay.yaml, line 1, column ";
            let key = format!(": domain_map.{host}.tls.certificate_file: {words}");
            assert!(
                warnings.len() == 1 && warnings[0].starts_with(place) && warnings[0].contains(&key),
                "{warnings:?}"
            );
        }
    }
}

#[test]
fn files_that_are_not_certificate_and_key_are_refused_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "one", &[HOST], -1, 100);
    write(folder.path(), "two", &[HOST], -1, 100);
    std::fs::write(folder.path().join("empty"), "").unwrap();
    std::fs::write(
        folder.path().join("text"),
        "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    for (tls, place, words) in [
        ("certificate_file: one.crt, key_file: two.key", "key_file", "is not the key of this certificate"),
        (
            "certificate_file: one.key, key_file: one.crt",
            "certificate_file",
            "holds no certificate in PEM form",
        ),
        ("certificate_file: one.crt, key_file: one.crt", "key_file", "holds no private key in PEM form"),
        (
            "certificate_file: empty, key_file: one.key",
            "certificate_file",
            "holds no certificate in PEM form",
        ),
        ("certificate_file: text, key_file: one.key", "certificate_file", "holds no certificate in PEM form"),
        ("certificate_file: none.crt, key_file: one.key", "certificate_file", "the file does not exist"),
        ("certificate_file: ., key_file: one.key", "certificate_file", "it is a folder"),
        ("certificate_file: one.crt", "key_file", "is missing: give a PEM file"),
        (
            "certificate_file: one.crt, key_file: one.key, client_ca_file: empty",
            "client_ca_file",
            "holds no certificate",
        ),
    ] {
        let text = format!("domain_map: {{a.test: {{upstream: http://a, tls: {{{tls}}}}}}}\n");
        let said = parse(&text, &[], folder.path()).unwrap_err().to_string();
        let key = format!("domain_map.a.test.tls.{place}: ");
        assert!(said.contains(&key) && said.contains(words) && said.lines().count() == 1, "{tls}: {said}");
    }
}

async fn get(admin: SocketAddr, path: &str) -> String {
    let mut wire = Wire::connect(admin).await;
    wire.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
    String::from_utf8(wire.response(false).await.unwrap().body.to_vec()).unwrap()
}

#[test]
fn a_certificates_expiry_is_a_metric_and_on_the_status_page() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let tls = write(folder.path(), "one", &[HOST], -10, 5);
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let relay = Setup::default()
            .top(&format!("admin: {{address: '{admin}'}}"))
            .tenant(HOST, "http://127.0.0.1:1", &tls)
            .tenant("plain.test", "http://127.0.0.1:1", "")
            .start()
            .await;
        let expected = relay
            .shared
            .config
            .load()
            .domains
            .find(HOST)
            .unwrap()
            .tls
            .as_ref()
            .unwrap()
            .certificate
            .not_after;
        eventually("the admin listener is there", || std::net::TcpStream::connect(admin).is_ok()).await;
        let metrics = get(admin, "/metrics").await;
        let series: Vec<_> = metrics
            .lines()
            .filter(|line| line.starts_with("mte_relay_certificate_expiry_timestamp_seconds{"))
            .collect();
        let line = format!(
            "mte_relay_certificate_expiry_timestamp_seconds{{tenant=\"{HOST}\"}} {}",
            expected.expect("a time")
        );
        assert_eq!(series, [line]);
        let status: serde_json::Value = serde_json::from_str(&get(admin, "/status.json").await).unwrap();
        let tenants = status["tenants"].as_array().unwrap();
        let shown = tenants.iter().find(|tenant| tenant["name"] == HOST).unwrap();
        assert_eq!(shown["certificate"]["expires"], expected.unwrap());
        assert_eq!(shown["certificate"]["state"], "soon");
        assert!(shown["certificate"]["why"].as_str().unwrap().starts_with("expires within 30 days"));
        assert_eq!(
            tenants.iter().find(|tenant| tenant["name"] == "plain.test").unwrap()["certificate"],
            serde_json::Value::Null
        );
        assert_eq!(tenants[0]["name"], HOST, "what needs attention comes first");
    });
}
