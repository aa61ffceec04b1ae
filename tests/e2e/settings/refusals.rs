//! Invalid configurations and the exact error messages.

use super::{accepted, refused};

const TENANT: &str = "domain_map: {'*': {upstream: 'http://127.0.0.1:9000', client_id_secret: 0123456789abcdef0123456789abcdef}}\n";

/// The error messages for a configuration with a valid tenant and `lines`, without the file's name.
fn with(lines: &str) -> String {
    refused(&format!("{TENANT}{lines}"), &[]).replace("relay.yaml, ", "")
}

/// The same for a tenant `a.test` that has the settings `more`, on line 3.
fn tenant(more: &str) -> String {
    let text = format!(
        "domain_map:\n  a.test:\n    {{client_id_secret: 0123456789abcdef0123456789abcdef, {more}}}\n"
    );
    let said = refused(&text, &[]);
    said.lines().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect::<Vec<_>>().join("\n")
}

#[test]
fn values_of_the_wrong_type_are_refused_with_place_and_remedy() {
    for (lines, said) in [
        ("pool_sise: 5", "line 2, column 1: pool_sise: unknown key; did you mean `pool_size`?"),
        (
            "limits:\n  zzz: 5",
            "line 3, column 3: limits.zzz: unknown key; the keys here are max_header_bytes, header_names, max_body, max_mte_body, gathered, connections, connections_per_network, pairs_per_second, requests_per_second",
        ),
        ("threads: many", "line 2, column 10: threads: \"many\" is not a whole number"),
        ("threads: -1", "line 2, column 10: threads: \"-1\" is not a whole number"),
        ("threads: 1.5", "line 2, column 10: threads: \"1.5\" is not a whole number"),
        ("threads: \"2\"", "line 2, column 10: threads: must be a whole number: write 2 without quotes"),
        ("threads: [2]", "line 2, column 10: threads: is a list, but must be a whole number"),
        ("threads:", "line 2, column 8: threads: has no value: give a whole number, or remove the key"),
        (
            "limits: {pairs_per_second: 99999999999}",
            "line 2, column 28: limits.pairs_per_second: 99999999999 is too large: the maximum is 4294967295",
        ),
        ("limits: 5", "line 2, column 9: limits: must be a map: write `key: value` below it"),
        ("limits: [5]", "line 2, column 9: limits: is a list, but must be a map: write `key: value`"),
        (
            "trusted_proxies: 10.0.0.0/8",
            "line 2, column 18: trusted_proxies: must be a list: put the value into brackets, as in [one, two]",
        ),
        ("reload: {watch: yes}", "line 2, column 17: reload.watch: \"yes\" is neither true nor false"),
        (
            "timeouts: {read: 5 fortnights}",
            "line 2, column 18: timeouts.read: unknown unit \"fortnights\" in \"5 fortnights\": write 500ms, 30s, 10m or 24h",
        ),
        (
            "limits: {max_body: 10MB}",
            "line 2, column 20: limits.max_body: unknown unit \"MB\" in \"10MB\": write 4096, 64KiB, 1MiB or 2GiB",
        ),
        ("log: !secret {level: info}", "line 2, column 6: log: the tag !secret is not supported: remove it"),
        (
            "log:\n  level: info\n  level: debug",
            "line 4, column 3: log.level: this key is listed twice (first on line 3): keep one of the two",
        ),
        (
            "log: {<<: {level: info}}",
            "line 2, column 7: log.<<: merge keys are not supported: repeat the settings, or give one key an alias (`tls: *name`)",
        ),
        ("? [a]\n: b", "line 2, column 3: a key must be text, not a list or a map"),
    ] {
        assert_eq!(with(lines), said, "{lines}");
    }
}

#[test]
fn invalid_yaml_is_one_problem_in_plain_words() {
    for (text, place, words) in [
        ("threads: 1\npool_size: [1\n", "line 3", "is not closed"),
        ("a: {b: c\n", "line 2", "is not closed"),
        ("a: 'b\nc: d\n", "line ", "quote is not closed"),
        ("threads: 1\n\tpool_size: 5\n", "line 2, column 1", "a tab is used"),
        ("a: b: c\n", "line 1", "put a value that contains one into quotes"),
        ("a: \"\\q\"\n", "line 1", "backslash"),
        ("a: *missing\n", "line 1", "needs its anchor"),
        ("threads: 1\n---\nthreads: 2\n", "line 3", "another YAML document begins here"),
        ("a: 1\n b: 2\n", "line 2", ""),
    ] {
        let said = refused(text, &[]);
        assert!(
            said.starts_with("relay.yaml, ") && said.contains(place) && said.contains(words),
            "{text:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{text:?}: {said}");
        for library in ["scalar", "parsing", "scanning", "serde", "invalid type", "expected", "indicator"] {
            assert!(!said.contains(library), "{text:?}: {said}");
        }
    }
    let deep = format!("a: {}", "[".repeat(10_000));
    assert!(refused(&deep, &[]).contains("nested deeper"));
}

#[test]
fn upstreams_that_are_not_an_origin_are_refused() {
    for (upstream, words) in [
        ("http://a:99999", "has a port that is not from 1 to 65535"),
        ("http://a:0", "has a port that is not from 1 to 65535"),
        ("http://a:", "has a port that is not from 1 to 65535"),
        ("http://a:+80", "has a port that is not from 1 to 65535"),
        ("http://a#f", "has a fragment (#)"),
        ("http://a/#f", "has a fragment (#)"),
        ("http://a?q=1", "has a query (?)"),
        ("http://a/b", "has a path"),
        ("http://", "is not a host"),
        ("http://1.2.3.400", "is not a host: it looks like an IPv4 address"),
        ("backend:80", "does not begin with http:// or https://"),
    ] {
        for (form, key) in [
            (format!("upstream: '{upstream}'"), "upstream"),
            (format!("upstream: ['{upstream}']"), "upstream[0]"),
            (format!("upstream: {{peers: ['{upstream}']}}"), "upstream.peers[0]"),
            (format!("upstream: {{peers: [{{url: '{upstream}', weight: 2}}]}}"), "upstream.peers[0].url"),
        ] {
            let said = tenant(&form);
            let begin = format!("domain_map.a.test.{key}: {upstream:?} {words}");
            assert!(said.starts_with(&begin) && said.lines().count() == 1, "{form}: {said}");
        }
    }
    let said = tenant("upstream: 'http://user:a-password@a'");
    assert!(said.contains("has a user name") && !said.contains("a-password"), "{said}");
}

#[test]
fn duplicate_hosts_are_reported_in_any_spelling() {
    for (first, second) in [
        ("a.test", "A.TEST"),
        ("a.test", "a.test."),
        ("a.test:8080", "A.test.:8080"),
        ("*.a.test", "*.A.test."),
        ("bücher.test", "xn--bcher-kva.test"),
        ("BÜCHER.test", "bücher.test"),
        ("[::1]", "[0:0:0:0:0:0:0:1]"),
    ] {
        let text = format!("domain_map:\n  '{first}': {{upstream: http://a}}\n  '{second}': {{}}\n");
        let said = refused(&text, &[]);
        assert!(said.contains("this host is listed twice, also as "), "{first} {second}: {said}");
    }
    for wildcard in ["*:8080", "*.a.test:8080"] {
        let said = refused(&format!("domain_map: {{'{wildcard}': {{upstream: http://a}}}}"), &[]);
        assert!(said.contains("has a * and a port"), "{wildcard}: {said}");
    }
    accepted(
        "domain_map: {a.test: {upstream: http://a}, 'a.test:8080': {upstream: http://a}, '*.test': {upstream: http://a}}",
        &[],
    );
}

#[test]
fn a_duplicate_key_is_refused_at_any_depth_of_file_and_variable() {
    let one = r#""a.test": {"upstream": "http://a"}"#;
    for (map, path) in [
        (format!("{{{one}, {one}}}"), "domain_map.a.test"),
        (
            r#"{"a.test": {"upstream": "http://a", "upstream": "http://b"}}"#.to_owned(),
            "domain_map.a.test.upstream",
        ),
        (
            r#"{"a.test": {"upstream": {"peers": [{"url": "http://a", "url": "http://b"}]}}}"#.to_owned(),
            "domain_map.a.test.upstream.peers[0].url",
        ),
        (
            r#"{"a.test": {"upstream": "http://a", "headers": {"x": "1", "x": "2"}}}"#.to_owned(),
            "domain_map.a.test.headers.x",
        ),
    ] {
        let what = "this key is listed twice";
        let said = refused("", &[("DOMAIN_MAP", &map)]);
        assert_eq!(said, format!("DOMAIN_MAP: {path}: {what}: keep one of the two"));
        let said = refused(&format!("domain_map: {map}"), &[]);
        assert!(said.contains(&format!(" {path}: {what} (first on line 1): keep")), "{said}");
    }
    let said = refused("", &[("UPSTREAM", "http://a"), ("HEADERS", r#"{"x": "1", "x": "2"}"#)]);
    assert_eq!(said, "HEADERS: domain_map.*.headers.x: this key is listed twice: keep one of the two");
}

#[test]
fn variables_are_refused_by_their_names_in_plain_words() {
    for (name, value, said) in [
        (
            "DOMAIN_MAP",
            "{",
            "DOMAIN_MAP, line 1, column 1: domain_map: the JSON ends too early: a bracket or quote is not closed",
        ),
        (
            "DOMAIN_MAP",
            "{'a': 1}",
            "DOMAIN_MAP, line 1, column 2: domain_map: a key must be in double quotes",
        ),
        ("DOMAIN_MAP", "[]", "DOMAIN_MAP: domain_map: is a list, but must be a map: write `key: value`"),
        (
            "DOMAIN_MAP",
            r#"{"a.test": {"upstrem": "http://a"}}"#,
            "DOMAIN_MAP: domain_map.a.test.upstrem: unknown key; did you mean `upstream`?",
        ),
        (
            "DOMAIN_MAP",
            r#"{"a.test": {"upstream": "http://a", "retries": "2", "client_id_secret": 12345}}"#,
            "DOMAIN_MAP: domain_map.a.test.retries: must be a whole number: write 2 without quotes\n\
             DOMAIN_MAP: domain_map.a.test.client_id_secret: must be text: put it into double quotes",
        ),
        (
            "DOMAIN_MAP",
            r#"{"a.test": {"upstream": "http://a:99999"}}"#,
            "DOMAIN_MAP: domain_map.a.test.upstream: \"http://a:99999\" has a port that is not from 1 to 65535: write https://backend:8443",
        ),
        ("PORT", "0", "PORT: \"0\" is not a port number (1 to 65535)"),
        ("PORT", "65536", "PORT: \"65536\" is not a port number (1 to 65535)"),
        ("POOL_SIZE", "9999", "POOL_SIZE: pool_size: 9999 is too many: must be at most 1000"),
        (
            "LOG_LEVEL",
            "loud",
            "LOG_LEVEL: log.level: \"loud\" is not one of trace, debug, info, warning, error, panic, off",
        ),
    ] {
        let text = if name == "DOMAIN_MAP" { "" } else { TENANT };
        assert_eq!(refused(text, &[(name, value)]), said, "{name}={value}");
    }
    let said = refused("", &[("UPSTREAM", "ftp://a")]);
    assert!(
        said.starts_with("UPSTREAM: domain_map.*.upstream: \"ftp://a\" does not begin with http://"),
        "{said}"
    );
}

#[test]
fn structural_and_other_problems_are_reported_together_in_the_order_of_the_file() {
    let text = "\
threads: many
pool_size: 0
listeners: [{address: nowhere}]
domain_map:
  a.test:
    upstrem: http://a
  b.test:
    upstream: {peers: [1, ftp://b]}
    cors_origin: [x]
";
    let said = refused(text, &[]);
    let places: Vec<_> =
        said.lines().map(|line| line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ")).collect();
    assert_eq!(
        places,
        [
            "relay.yaml, line 1, column 10: threads",
            "relay.yaml, line 2, column 12: pool_size",
            "relay.yaml, line 3, column 23: listeners[0].address",
            "relay.yaml, line 6, column 5: domain_map.a.test.upstrem",
            "relay.yaml, line 8, column 24: domain_map.b.test.upstream.peers[0]",
            "relay.yaml, line 8, column 27: domain_map.b.test.upstream.peers[1]",
            "relay.yaml, line 9, column 5: domain_map.b.test.cors_origin",
        ],
        "{said}"
    );
}

#[test]
fn addresses_that_cannot_be_listened_on_together_are_refused() {
    for (addresses, refused_one) in [
        (
            &["0.0.0.0:8080", "127.0.0.1:8080"][..],
            Some("listeners[1].address: 127.0.0.1:8080 and 0.0.0.0:8080 (listeners[0]) overlap"),
        ),
        (
            &["127.0.0.1:8080", "0.0.0.0:8080"],
            Some("listeners[1].address: 0.0.0.0:8080 and 127.0.0.1:8080 (listeners[0]) overlap"),
        ),
        (
            &["[::]:8080", "[::1]:8080", "0.0.0.0:8080"],
            Some("listeners[1].address: [::1]:8080 and [::]:8080 (listeners[0]) overlap"),
        ),
        (&["127.0.0.1:8080", "127.0.0.1:8080"], Some("listeners[1].address: 127.0.0.1:8080 is listed twice")),
        (&["127.0.0.1:0"], Some("listeners[0].address: \"127.0.0.1:0\" has port 0")),
        (
            &["127.0.0.1:65536"],
            Some("listeners[0].address: \"127.0.0.1:65536\" is not an IP address and port"),
        ),
        (&["localhost:80"], Some("listeners[0].address: \"localhost:80\" is not an IP address and port")),
        (
            &["[::ffff:127.0.0.1]:80"],
            Some("listeners[0].address: \"[::ffff:127.0.0.1]:80\" is an IPv4 address: write 127.0.0.1:80"),
        ),
        (&["0.0.0.0:8080", "[::]:8080"], None),
        (&["127.0.0.1:8080", "[::]:8080", "[fe80::1%1]:8081", "127.0.0.2:8080"], None),
    ] {
        let list: Vec<_> = addresses.iter().map(|address| format!("{{address: '{address}'}}")).collect();
        let text = format!("{TENANT}admin: {{address: none}}\nlisteners: [{}]\n", list.join(", "));
        match refused_one {
            None => drop(accepted(&text, &[])),
            Some(words) => {
                let said = refused(&text, &[]);
                assert!(said.contains(words) && said.lines().count() == 1, "{addresses:?}: {said}");
            }
        }
    }
}

#[test]
fn the_admin_listener_is_never_on_a_listeners_port() {
    for (listener, admin, shared) in [
        ("0.0.0.0:8080", "127.0.0.1:8080", true),
        ("127.0.0.1:8080", "0.0.0.0:8080", true),
        ("127.0.0.1:8080", "127.0.0.1:8080", true),
        ("[::]:8080", "127.0.0.1:8080", true),
        ("0.0.0.0:8080", "[::]:8080", true),
        ("127.0.0.2:8080", "127.0.0.1:8080", false),
        ("127.0.0.1:8080", "127.0.0.1:8081", false),
    ] {
        let text = format!("{TENANT}admin: {{address: '{admin}'}}\nlisteners: [{{address: '{listener}'}}]\n");
        if shared {
            let said = refused(&text, &[]);
            assert!(
                said.contains("admin.address: ") && said.contains("use another port"),
                "{admin} {listener}: {said}"
            );
        } else {
            accepted(&text, &[]);
        }
    }
    assert!(with("admin: {address: '127.0.0.1:0'}").contains("has port 0"));
    // A default address that was not configured only causes a warning.
    let config = accepted(&format!("{TENANT}listeners: [{{address: '0.0.0.0:9090'}}]\n"), &[]);
    assert_eq!(config.admin.address, None);
    assert!(config.warnings[0].contains("the admin listener is off"), "{:?}", config.warnings);
}

#[test]
fn a_tls_listener_without_any_certificate_is_refused() {
    let said = with("listeners: [{address: '127.0.0.1:8443', tls: true}]");
    assert!(said.starts_with("line 2, column 46: listeners[0].tls: no tenant has a certificate"), "{said}");
}

#[test]
fn times_of_zero_and_absurd_numbers_are_refused() {
    for setting in [
        "timeouts.connect",
        "timeouts.read",
        "timeouts.write",
        "timeouts.idle",
        "timeouts.headers",
        "timeouts.drain",
        "pairs.idle_timeout",
        "pairs.unused_timeout",
        "pairs.max_age",
    ] {
        let (group, key) = setting.split_once('.').unwrap();
        for (value, words) in [
            ("0", "must not be 0"),
            ("0ms", "must not be 0"),
            ("99999h", "is too long: must be at most 8760h"),
        ] {
            let said = with(&format!("{group}: {{{key}: {value}}}"));
            assert!(
                said.contains(&format!(": {setting}: ")) && said.contains(words),
                "{setting} {value}: {said}"
            );
        }
    }
    for (lines, words) in [
        ("dns_refresh: 0", "dns_refresh: must not be 0"),
        ("dns_refresh: 1ms", "dns_refresh: 1ms is too short: must be at least 100ms"),
        ("threads: 100000", "threads: 100000 is too many: must be at most 1024"),
        ("pool_size: 0", "pool_size: 0 is too few: must be at least 1"),
        ("pairs: {max_total: 99999999999}", "pairs.max_total: 99999999999 is too many"),
        ("limits: {max_header_bytes: 0}", "limits.max_header_bytes: 0 is too small: must be at least 1KiB"),
        (
            "limits: {max_header_bytes: 1GiB}",
            "limits.max_header_bytes: 1GiB is too large: must be at most 512KiB",
        ),
        ("limits: {max_mte_body: 0}", "limits.max_mte_body: 0 is too small: must be at least 1"),
        ("limits: {pairs_per_second: 4000000000}", "limits.pairs_per_second: 4000000000 is too many"),
    ] {
        let said = with(lines);
        assert!(said.contains(words), "{lines}: {said}");
    }
    for (more, words) in [
        ("upstream: http://a, retries: 100000", "domain_map.a.test.retries: 100000 is too many"),
        ("upstream: {peers: [http://a], health: {timeout: 0}}", "upstream.health.timeout: must not be 0"),
        (
            "upstream: {peers: [http://a], health: {interval: 1ms}}",
            "upstream.health.interval: 1ms is too short",
        ),
        (
            "upstream: {peers: [http://a], health: {healthy_after: 0}}",
            "upstream.health.healthy_after: 0 is too few",
        ),
        ("upstream: {peers: [http://a], ejection: {time: 0}}", "upstream.ejection.time: must not be 0"),
        ("upstream: https://a, upstream_tls: {sni: ''}", "upstream_tls.sni: \"\" is not a host name"),
        ("upstream: http://a, cors_origins: ['https://b:99999']", "has a port that is not from 1 to 65535"),
    ] {
        let said = tenant(more);
        assert!(said.contains(words), "{more}: {said}");
    }
    // For limits, 0 means unlimited.
    accepted(&format!("{TENANT}limits: {{max_body: 0, pairs_per_second: 0, requests_per_second: 0}}\n"), &[]);
}

#[test]
fn too_many_listeners_and_too_long_socket_paths_are_refused() {
    let listeners = |count: u16| {
        let all: Vec<_> = (1..=count).map(|port| format!("{{address: '127.0.0.1:{port}'}}")).collect();
        format!("{TENANT}listeners: [{}]\n", all.join(", "))
    };
    accepted(&listeners(32), &[]);
    assert!(refused(&listeners(33), &[]).contains("listeners: has 33 listeners: at most 32 are possible"));
    let long = "x".repeat(200);
    for (lines, key) in [
        (format!("upgrade_socket: /tmp/{long}"), "upgrade_socket"),
        (format!("admin: {{socket: /tmp/{long}}}"), "admin.socket"),
    ] {
        let said = with(&lines);
        assert!(
            said.contains(&format!("{key}: the path has 205 bytes; a Unix socket's has at most 107")),
            "{said}"
        );
    }
    assert!(with("admin: {socket: /tmp}").contains("admin.socket: /tmp is a folder"));
}
