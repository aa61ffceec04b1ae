//! Values are used as written, whether they come from the file, the environment or another file.

use mte_protocol::client_id::{ClientId, ClientIdSecret};
use mte_relay::config::Config;

use super::{accepted, parse, refused};
use crate::harness::{HOST, Process, Setup, free_port, output, run};

/// Whether the tenant `a.test` signs with `secret`.
fn signs_with(config: &Config, secret: &[u8]) -> bool {
    let client = ClientId::from_random([7; 16]);
    let own = &config.domains.find("a.test").expect("a tenant").secrets.current;
    own.sign(client) == ClientIdSecret::new(secret).unwrap().sign(client)
}

/// The ways to write a secret that comes from a variable.
const FORMS: [&str; 4] = ["${SEC}", "\"${SEC}\"", "'${SEC}'", "|-\n      ${SEC}"];

#[test]
fn a_variables_value_is_used_as_it_is() {
    for value in [
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "a # b",
        "#a",
        "&a",
        "*a",
        "a: b",
        "- a",
        "[a",
        "{a: b}",
        "'a",
        "\"a",
        "a\" #x",
        "%a",
        "@a",
        "`a",
        "!a",
        "|",
        ">",
        "a\nb",
        "a\n",
        "\n",
        "a\r\nb",
        "a\tb",
        " a ",
        "a\\nb",
        "\\",
        "0123",
        "0x10",
        "1e3",
        "true",
        "null",
        "~",
        "no",
        "${OTHER}",
        "$${OTHER}",
        "${",
        "---",
        "b\u{fc}cher",
        "a\u{feff}b",
    ] {
        for form in FORMS {
            let text =
                format!("domain_map:\n  a.test:\n    upstream: http://a\n    client_id_secret: {form}\n");
            let config = accepted(&text, &[("SEC", value), ("OTHER", "not this one")]);
            assert!(signs_with(&config, value.as_bytes()), "{form} with {value:?}");
        }
        // The variables of v4.5 are not changed either.
        let config = accepted("", &[("UPSTREAM", "http://a"), ("CLIENT_ID_SECRET", value)]);
        assert!(signs_with(&config, value.as_bytes()), "{value:?}");
        let map =
            serde_json::json!({"a.test": {"upstream": "http://a", "client_id_secret": value}}).to_string();
        assert!(
            signs_with(&accepted("", &[("DOMAIN_MAP", &map), ("OTHER", "x")]), value.as_bytes()),
            "{value:?}"
        );
    }
}

#[test]
fn text_without_quotes_is_not_taken_for_a_number() {
    for written in ["0123456789", "1e5", "0x1F", "true", "1.50", "2026-01-01", "+1", "on"] {
        let text = format!("domain_map:\n  a.test: {{upstream: http://a, client_id_secret: {written}}}\n");
        assert!(signs_with(&accepted(&text, &[]), written.as_bytes()), "{written}");
    }
}

#[test]
fn a_number_may_come_from_a_variable_and_a_dollar_can_be_escaped() {
    let text = "threads: ${N}\nreload: {watch: '${FLAG}'}\ntimeouts: {read: \"${TIME}\"}\n\
                domain_map: {a.test: {upstream: 'http://${HOST}:${N}', client_id_secret: 'a$${N}b${N}'}}\n";
    let config = accepted(text, &[("N", "7"), ("FLAG", "false"), ("TIME", "90s"), ("HOST", "b")]);
    assert_eq!((config.threads, config.watch, config.timeouts.read.as_secs()), (7, false, 90));
    let tenant = config.domains.find("a.test").unwrap();
    assert_eq!(tenant.upstream.peers[0].origin, "http://b:7");
    assert!(signs_with(&config, b"a${N}b7"));
}

#[test]
fn a_variable_that_is_not_set_is_refused_with_line_and_key_and_no_value_is_shown() {
    for (written, words) in [
        ("${NOT_SET}", "${NOT_SET}: this environment variable is not set or is empty"),
        ("${EMPTY}", "${EMPTY}: this environment variable is not set or is empty"),
        ("x${a-b}", "${a-b} is not the name of an environment variable"),
        ("x${N", "${ has no } after its name"),
    ] {
        let text =
            format!("domain_map:\n  a.test:\n    upstream: http://a\n    client_id_secret: '{written}'\n");
        let said = refused(&text, &[("EMPTY", ""), ("N", "1")]);
        let begin = format!("relay.yaml, line 4, column 23: domain_map.a.test.client_id_secret: {words}");
        assert!(said.starts_with(&begin), "{written}: {said}");
    }
    let said = refused("threads: ${N}\ndomain_map: {a.test: {upstream: http://a}}\n", &[("N", "a-secret")]);
    assert_eq!(
        said,
        "relay.yaml, line 1, column 10: threads: must be a whole number, but the value of ${N} is not"
    );
    // A key is a scalar too; keys that are equal after substitution are duplicates.
    let said = refused(
        "domain_map: {a.test: {upstream: http://a}, '${H}': {upstream: http://a}}\n",
        &[("H", "a.test")],
    );
    assert!(said.contains("domain_map.a.test: this key is listed twice"), "{said}");
    assert!(!refused("# ${NOT_SET}\nthreads: x\n", &[]).contains("NOT_SET"));
}

#[test]
fn only_a_byte_order_mark_and_one_line_break_are_removed_from_a_secrets_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = "domain_map: {a.test: {upstream: http://a, client_id_secret_file: secret}}\n";
    for (file, secret) in [
        (&b"abc"[..], &b"abc"[..]),
        (b"abc\n", b"abc"),
        (b"abc\r\n", b"abc"),
        (b"abc\n\n", b"abc\n"),
        (b"  abc \n", b"  abc "),
        (b"\xef\xbb\xbfabc\n", b"abc"),
        (b"a: b # ${C}\n", b"a: b # ${C}"),
        (b"\xff\x00\xfe\n", b"\xff\x00\xfe"),
    ] {
        std::fs::write(folder.path().join("secret"), file).unwrap();
        let config = parse(text, &[], folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(signs_with(&config, secret), "{file:?}");
        let blank =
            secret.first().unwrap().is_ascii_whitespace() || secret.last().unwrap().is_ascii_whitespace();
        let warned = config.warnings.iter().any(|warning| warning.contains("begins or ends with a space"));
        assert_eq!(warned, blank, "{:?}", config.warnings);
    }
    std::fs::write(folder.path().join("secret"), "\n").unwrap();
    assert!(parse(text, &[], folder.path()).unwrap_err().to_string().contains("is empty"));
}

#[test]
fn a_byte_order_mark_is_ignored_and_aliases_repeat_values() {
    let config = accepted(
        "\u{feff}domain_map:\n  a.test: &same {upstream: http://a, retries: 2}\n  b.test: *same\n",
        &[],
    );
    assert_eq!(config.domains.find("b.test").unwrap().retries, 2);
    assert_eq!(config.domains.tenants().count(), 2);
}

#[test]
fn placeholders_cause_a_warning_in_every_setting() {
    let examples = [include_str!("../../../conf/full.yaml"), include_str!("../../../conf/minimal.yaml")];
    let mut secrets: Vec<_> = examples
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.trim().strip_prefix("client_id_secret: "))
        .filter(|secret| !secret.starts_with("${"))
        .collect();
    assert!(secrets.len() >= 3, "{secrets:?}");
    secrets.extend([
        "changeme",
        "secret",
        "your-secret-here",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "CHANGE_ME",
    ]);
    for secret in secrets {
        let tenant = format!("domain_map: {{a.test: {{upstream: http://a, client_id_secret: {secret}}}}}\n");
        let warnings = accepted(&tenant, &[]).warnings.join("\n");
        assert!(
            warnings.contains("domain_map.a.test.client_id_secret: looks like a placeholder"),
            "{secret}: {warnings}"
        );
    }
    let good =
        "domain_map: {a.test: {upstream: http://a, client_id_secret: 7f3a9c5e1b2d4860f7e6d5c4b3a29180}}\n";
    assert_eq!(accepted(good, &[]).warnings, Vec::<String>::new());
    let admin = accepted(&format!("{good}admin: {{token: changeme-changeme-changeme}}\n"), &[]);
    assert!(
        admin.warnings.join("\n").contains("admin.token: looks like a placeholder"),
        "{:?}",
        admin.warnings
    );
}

#[test]
fn a_variable_that_is_not_text_is_refused_and_not_ignored() {
    use std::os::unix::ffi::OsStrExt;
    let value = std::ffi::OsStr::from_bytes(b"\xff\xfe secret");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mte-relay"));
    command.args(["check", "--quiet"]).env_clear().env("UPSTREAM", "http://a").env("CLIENT_ID_SECRET", value);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("CLIENT_ID_SECRET: is not UTF-8 text"), "{said}");
}

#[test]
fn warnings_are_in_the_log_at_the_start_and_in_the_output_of_check() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let setup = Setup::default().listeners("proxy_protocol: true").tenant(HOST, "http://127.0.0.1:1", "");
        let file = folder.path().join("relay.yaml").display().to_string();
        std::fs::write(&file, setup.text(port)).unwrap();
        let words = "listeners[0].proxy_protocol: trusted_proxies is empty, so no PROXY header is trusted";
        let (code, _, said) = output(&["check", "--quiet", "--config", &file], &[]).await;
        assert!(code == 0 && said.contains("warning: ") && said.contains(words), "{said}");
        let process = Process::start(&["run", "--config", &file], &[], port);
        let warned =
            |line: &serde_json::Value| line["message"].as_str().is_some_and(|text| text.contains(words));
        assert!(
            process.log().iter().any(|line| line["level"] == "warning" && warned(line)),
            "{}",
            process.output()
        );
    });
}
