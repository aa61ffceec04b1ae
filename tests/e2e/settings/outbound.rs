//! Settings of relay to relay: what is refused and with which words.

use super::{accepted, parse, refused};

const SECRET: &str = "upstream: 'http://127.0.0.1:9', client_id_secret: 0123456789abcdef0123456789abcdef";
const TOKEN: &str = "0a9d2c5e7b1f4860a9d2c5e7b1f4860a";

fn text(more: &str) -> String {
    format!("listeners: [{{address: '127.0.0.1:8080'}}]\ndomain_map:\n  a.test: {{{SECRET}, {more}}}\n")
}

#[test]
fn wrong_settings_are_refused_with_place_and_remedy() {
    for (more, key, words) in [
        ("outbound_token: short", "outbound_token", "has 5 characters and needs at least 16"),
        ("outbound_token: 'a token with blanks in it'", "outbound_token", "use letters and digits"),
        ("outbound_token: ''", "outbound_token", "is empty"),
        ("outbound_token: x, outbound_token_file: y", "outbound_token", "not both"),
        ("outbound_token_file: nowhere", "outbound_token_file", "cannot be read"),
        ("outbound_peers: [relay.example]", "outbound_peers[0]", "as in https://relay.example"),
        (
            "outbound_peers: ['https://a.example', 'https://a.*.example']",
            "outbound_peers[1]",
            "first label of a name",
        ),
        ("outbound_peers: ['https://a.example/path']", "outbound_peers[0]", "has a path"),
        ("outbound_peers: ['10.0.0.0/33']", "outbound_peers[0]", "no network"),
        ("outbound_peers: ['::ffff:10.0.0.0/104']", "outbound_peers[0]", "write it as IPv4"),
        ("outbound_peers: ['169.254.0.0/16']", "outbound_peers[0]", "never connected to"),
        ("outbound_peers: ['http://127.0.0.1:8080']", "outbound_peers[0]", "is a listener of this relay"),
        ("outbound_peers: ['http://127.0.0.1:9090']", "outbound_peers[0]", "is a listener of this relay"),
        ("outbound_pair_count: 0", "outbound_pair_count", "must be at least 1"),
        ("outbound_pair_count: 101", "outbound_pair_count", "must be at most 100"),
        ("outbound_ca_file: nowhere", "outbound_ca_file", "cannot be read"),
    ] {
        let said = refused(&text(more), &[]);
        assert!(
            said.contains(&format!("domain_map.a.test.{key}: ")) && said.contains(words),
            "{more}: {said}"
        );
        assert!(said.starts_with("relay.yaml, line 3, column "), "{said}");
    }
    let said = refused(&text("outbound_peers: ['https://user:hidden-word@a.example']"), &[]);
    assert!(said.contains("user name") && !said.contains("hidden-word"), "{said}");
}

#[test]
fn what_allows_more_than_it_may_seem_to_has_a_warning() {
    for (more, words) in [
        (format!("outbound_token: {TOKEN}"), "list the peers"),
        (format!("outbound_token: {TOKEN}, outbound_peers: ['0.0.0.0/0']"), "admits every peer"),
        (format!("outbound_token: {TOKEN}, outbound_peers: ['http://a.example']"), "use https://"),
        (format!("outbound_token: {TOKEN}, outbound_peers: ['http://*.a.example']"), "use https://"),
        (
            "outbound_token: changeme-changeme-changeme-changeme, outbound_peers: ['https://a.example']"
                .into(),
            "placeholder",
        ),
        (
            "outbound_token: 0a9d2c5e7b1f4860, outbound_peers: ['https://a.example']".into(),
            "use a longer one",
        ),
        ("outbound_peers: ['https://a.example']".into(), "has no effect without outbound_token"),
        (format!("outbound_token: {TOKEN}, outbound_peers: ['https://a.example']"), ""),
    ] {
        let warnings = accepted(&text(&more), &[]).warnings;
        match words {
            "" => assert_eq!(warnings, [""; 0], "{more}"),
            words => assert!(warnings.len() == 1 && warnings[0].contains(words), "{more}: {warnings:?}"),
        }
    }
    let random = format!(
        "domain_map: {{'*': {{upstream: 'http://a', outbound_token: {TOKEN}, outbound_peers: [10.0.0.1]}}}}"
    );
    let warnings = accepted(&random, &[]).warnings;
    assert!(
        warnings.iter().any(|warning| warning.contains("a loop through them is not found")),
        "{warnings:?}"
    );
}

#[test]
fn the_token_comes_from_file_environment_or_domain_map_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
    let map = format!(r#"{{"a.test": {{"upstream": "http://a", "outbound_token": "{TOKEN}"}}}}"#);
    let single = [("UPSTREAM", "http://a"), ("OUTBOUND_TOKEN", TOKEN)];
    for (text, variables) in [
        (text("outbound_token_file: token"), &[][..]),
        (text(&format!("outbound_token: {TOKEN}")), &[]),
        (String::new(), &[("DOMAIN_MAP", map.as_str())]),
        (String::new(), &single),
    ] {
        let config = parse(&text, variables, folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
        let tenant = config.domains.find("a.test").unwrap();
        let outbound = tenant.outbound.as_ref().expect("outbound mode");
        assert!(outbound.token.is(TOKEN.as_bytes()) && !outbound.token.is(b"other"));
        let shown = [
            format!("{config:?}"),
            serde_json::to_string(&config.settings).unwrap(),
            config.warnings.concat(),
        ];
        assert!(shown.iter().all(|shown| !shown.contains(TOKEN)));
    }
    let alone = refused("domain_map: {a.test: {upstream: 'http://a'}}", &[("OUTBOUND_TOKEN", TOKEN)]);
    assert!(alone.contains("OUTBOUND_TOKEN") && alone.contains("\"*\""), "{alone}");
}
