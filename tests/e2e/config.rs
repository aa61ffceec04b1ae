//! Configurations: what is accepted, what is refused and with which message, and TLS for connections to upstreams.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use mte_relay::config::{Config, Environment, Problems, ReloadState};

use crate::harness::{Authority, HOST, Setup, Upstream, run};

type Variables<'a> = BTreeMap<&'a str, &'a str>;

fn parse(text: &str, environment: &dyn Environment) -> Result<Config, Problems> {
    Config::parse(text, "relay.yaml", Path::new("."), environment, &Arc::new(ReloadState::default()))
}

fn accepted(text: &str, variables: &[(&str, &str)]) -> Config {
    let environment: Variables<'_> = variables.iter().copied().collect();
    parse(text, &environment).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let environment: Variables<'_> = variables.iter().copied().collect();
    let problems = parse(text, &environment).expect_err("a configuration that is wrong");
    problems.to_string().lines().map(str::to_owned).collect()
}

const TENANT: &str = "domain_map: {'*': {upstream: 'http://127.0.0.1:9000', client_id_secret: 0123456789abcdef0123456789abcdef}}\n";

/// An environment with exactly the variables that a text refers to as `${NAME}`.
struct ReferencedVariables(String);

impl Environment for ReferencedVariables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.contains(&format!("${{{name}}}")).then(|| "a value of the environment, long enough".to_owned())
    }
}

#[test]
fn the_examples_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let mut examples = 0;
    for entry in std::fs::read_dir(&folder).expect("there are examples in conf/") {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let config = Config::parse(
            &text,
            &name,
            &folder,
            &ReferencedVariables(text.clone()),
            &Arc::new(ReloadState::default()),
        );
        let config = config.unwrap_or_else(|problems| panic!("{name}:\n{problems}"));
        assert!(config.domains.tenants().count() > 0, "{name}");
        examples += 1;
    }
    assert!(examples > 0, "there are examples in conf/");
}

#[test]
fn a_single_tenant_is_a_sufficient_configuration() {
    let config = accepted(TENANT, &[]);
    assert_eq!(config.listeners[0].address, "0.0.0.0:8080".parse().unwrap());
    assert_eq!((config.pool_size, config.limits.max_mte_body), (600, 1 << 20));
    assert_eq!((config.limits.max_body, config.limits.pairs_per_second), (None, Some(200)));
    assert_eq!(config.pairs.max_age.as_secs(), 86_400);
    assert!(config.threads > 0);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    for (text, unknown, line, nearest) in [
        (format!("{TENANT}pool_sise: 5\n"), "pool_sise", "line 2", "`pool_size`"),
        (format!("threads: 1\n{TENANT}listener: []\n"), "listener", "line 3", "`listeners`"),
        (format!("{TENANT}limits:\n  max_bodi: 5\n"), "max_bodi", "line 3", "`max_body`"),
        (format!("{TENANT}timeouts: {{reed: 5s}}\n"), "reed", "line 2", "`read`"),
        (
            "domain_map:\n  a.test:\n    upstream: http://b\n    cors_origin: [x]\n".to_owned(),
            "cors_origin",
            "line 4",
            "`cors_origins`",
        ),
    ] {
        let problems = refused(&text, &[]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        for word in ["relay.yaml", unknown, line, nearest] {
            assert!(problems[0].contains(word), "no {word}: {}", problems[0]);
        }
    }
}

#[test]
fn an_unknown_key_at_the_beginning_is_refused_with_its_line_too() {
    let problems = refused("pool_sise: 5\n", &[]);
    assert!(problems[0].contains("`pool_size`") && problems[0].contains("line 1"), "{problems:?}");
}

#[test]
fn a_key_unlike_any_other_gets_no_suggestion() {
    let problems = refused(&format!("{TENANT}zzz: 5\n"), &[]);
    assert!(problems[0].contains("zzz") && !problems[0].contains("did you mean"), "{problems:?}");
}

#[test]
fn every_problem_is_reported_at_once_and_with_its_place() {
    let text = "
listeners: [{address: nowhere}, {address: 127.0.0.1:80}, {address: 127.0.0.1:80}]
log: {level: loud, format: xml}
pool_size: 1001
pairs: {max_total: 0, min_kem: rsa}
domain_map:
  a.test: {}
  b.test: {upstream: 'ftp://b'}
  c.test: {upstream: 'http://c/path', client_id_secret: ''}
  d.test: {upstream: 'http://d', client_id_secret: '', cors_origins: ['*', app], cors_credentials: true}
  e.test: {upstream: 'http://e', client_id_secret_file: does/not/exist}
  f.test: {upstream: 'http://f', cors_origins: [app.test], pass_through_routes: ['~[']}
  g.test: {upstream: 'http://g', headers: {host: x, 'bad name': y}}
  'no host': {upstream: 'http://h'}
  I.test: {upstream: 'http://i'}
  i.test: {upstream: 'http://i'}
";
    let problems = refused(text, &[]);
    for (place, words) in [
        ("listeners[0].address", "0.0.0.0:8080"),
        ("listeners[2].address", "twice"),
        ("log.level", "loud"),
        ("log.format", "xml"),
        ("pool_size", "1000"),
        ("pairs.max_total", "at least 1"),
        ("pairs.min_kem", "rsa"),
        ("domain_map.a.test.upstream", "missing"),
        ("domain_map.b.test.upstream", "http://"),
        ("domain_map.c.test.upstream", "path"),
        ("domain_map.d.test.client_id_secret", "empty"),
        ("domain_map.d.test.cors_origins", "cors_credentials"),
        ("domain_map.e.test.client_id_secret_file", "does/not/exist"),
        ("domain_map.f.test.cors_origins", "app.test"),
        ("domain_map.f.test.pass_through_routes", "~["),
        ("domain_map.g.test.headers", "host"),
        ("domain_map.g.test.headers", "bad name"),
        ("domain_map.no host", "not a host"),
        ("domain_map.i.test", "twice"),
    ] {
        let found = problems
            .iter()
            .any(|problem| problem.contains(&format!(": {place}: ")) && problem.contains(words));
        assert!(found, "no problem at {place} with {words:?} in\n{}", problems.join("\n"));
    }
}

#[test]
fn invalid_yaml_is_refused_with_its_line() {
    let problems = refused("threads: 1\npool_size: [1\n", &[]);
    assert!(problems[0].contains("relay.yaml") && problems[0].contains("line"), "{problems:?}");
    let problems = refused("timeouts: {read: 5 fortnights}\n", &[]);
    assert!(problems[0].contains("fortnights") && problems[0].contains("10m"), "{problems:?}");
}

#[test]
fn without_a_tenant_there_is_nothing_to_run() {
    for text in ["", "# nothing\n", "threads: 2\n"] {
        let problems = refused(text, &[]);
        assert!(problems.iter().any(|problem| problem.contains("UPSTREAM")), "{problems:?}");
    }
}

#[test]
fn the_environment_of_v4_5_configures_one_tenant() {
    let config = accepted(
        "",
        &[
            ("UPSTREAM", "https://backend.internal:8443"),
            ("CLIENT_ID_SECRET", "0123456789abcdef0123456789abcdef"),
            ("CORS_ORIGINS", "https://app.test, https://*.apps.test"),
            ("CORS_METHODS", "GET,POST"),
            ("PASS_THROUGH_ROUTES", "/health, /public/*"),
            ("MTE_ROUTES", "/api/*"),
            ("HEADERS", r#"{"x-service-name": "mte-relay"}"#),
            ("PORT", "9090"),
            ("POOL_SIZE", "42"),
            ("LOG_LEVEL", "panic"),
            ("LICENSE_COMPANY", "Example"),
            ("LICENSE_KEY", "abc"),
        ],
    );
    assert_eq!(config.listeners[0].address, "0.0.0.0:9090".parse().unwrap());
    assert_eq!((config.pool_size, config.log.level), (42, log::LevelFilter::Error));
    let tenant = config.domains.find("any.test").expect("a default tenant");
    assert_eq!(tenant.upstream.peers[0].origin, "https://backend.internal:8443");
    assert!(tenant.cors.allows("https://app.test") && tenant.cors.allows("https://a.apps.test"));
    assert!(!tenant.cors.allows("https://other.test"));
    assert_eq!(tenant.cors.methods, "GET, POST, OPTIONS, HEAD");
    assert!(tenant.pass_through.matches("/public/a") && !tenant.pass_through.matches("/api/a"));
    assert!(tenant.mte_routes.as_ref().unwrap().matches("/api/a"));
    assert_eq!(
        (tenant.headers[0].0.as_str(), &tenant.headers[0].1),
        ("x-service-name", &"mte-relay".parse().unwrap())
    );
    let ignored =
        |name| config.warnings.iter().any(|warning| warning.contains(name) && warning.contains("ignored"));
    assert!(ignored("LICENSE_KEY") && ignored("LICENSE_COMPANY"), "{:?}", config.warnings);
    // The admin listener's default address uses that port.
    let admin =
        config.warnings.iter().filter(|warning| warning.contains("the admin listener is off")).count();
    assert_eq!((config.admin.address, admin), (None, 1));
    assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
}

#[test]
fn the_environment_of_v4_5_configures_many_tenants() {
    let map = r#"{
        "api.tenant1.test": {"upstream": "http://one:8080", "cors_origins": ["https://app.test"],
            "cors_methods": ["GET"], "client_id_secret": "0123456789abcdef0123456789abcdef",
            "pass_through_routes": ["/health"], "mte_routes": ["/api/*"], "headers": {"x-a": "b"}},
        "*.tenant2.test": {"upstream": "https://two"}
    }"#;
    let config = accepted("", &[("DOMAIN_MAP", map), ("MAX_POOL_SIZE", "7"), ("DEBUG", "true")]);
    assert_eq!(config.domains.find("api.tenant1.test").unwrap().upstream.peers[0].origin, "http://one:8080");
    assert_eq!(config.domains.find("a.tenant2.test").unwrap().upstream.peers[0].origin, "https://two");
    assert!(config.domains.find("other.test").is_none());
    assert_eq!((config.pool_size, config.log.level), (7, log::LevelFilter::Debug));
    let random = config.warnings.iter().filter(|warning| warning.contains("client_id_secret")).count();
    assert_eq!(random, 1, "{:?}", config.warnings);
}

#[test]
fn every_key_of_v4_5s_domain_map_is_accepted() {
    let map = r#"{"a.test": {"upstream": "http://one", "cors_origins": [], "cors_methods": [],
        "client_id_secret": "0123456789abcdef0123456789abcdef", "pass_through_routes": [], "mte_routes": [],
        "outbound_token": "0123456789abcdef", "headers": {}}}"#;
    accepted("", &[("DOMAIN_MAP", map)]);
}

#[test]
fn the_environment_overrides_the_file() {
    let file = format!("{TENANT}listeners: [{{address: 127.0.0.1:1}}]\npool_size: 5\nlog: {{level: info}}\n");
    let config = accepted(&file, &[("PORT", "2"), ("POOL_SIZE", "6"), ("LOG_LEVEL", "warning")]);
    assert_eq!(config.listeners[0].address.port(), 2);
    assert_eq!((config.pool_size, config.log.level), (6, log::LevelFilter::Warn));
    let config = accepted(&file, &[("UPSTREAM", "http://other"), ("CORS_ORIGINS", "")]);
    assert_eq!(config.domains.find("a").unwrap().upstream.peers[0].origin, "http://other");
}

#[test]
fn invalid_environment_variables_are_refused_by_name() {
    for (variables, name, words) in [
        (&[("UPSTREAM", "http://a"), ("DOMAIN_MAP", "{}")][..], "UPSTREAM", "DOMAIN_MAP"),
        (&[("DOMAIN_MAP", "{")], "DOMAIN_MAP, line 1", "ends too early"),
        (&[("DOMAIN_MAP", r#"{"a": {"upstram": "x"}}"#)], "DOMAIN_MAP", "upstram"),
        (&[("UPSTREAM", "http://a"), ("PORT", "70000")], "PORT", "65535"),
        (&[("UPSTREAM", "http://a"), ("POOL_SIZE", "many")], "POOL_SIZE", "number"),
        (&[("UPSTREAM", "http://a"), ("HEADERS", "a=b")], "HEADERS", "JSON"),
        (&[("UPSTREAM", "backend:80")], "upstream", "http://"),
        (&[("UPSTREAM", "http://a"), ("LOG_LEVEL", "loud")], "log.level", "loud"),
    ] {
        let problems = refused("", variables);
        let found = problems.iter().any(|problem| problem.contains(name) && problem.contains(words));
        assert!(found, "{name}: {problems:?}");
    }
    let problems = refused("domain_map: {a.test: {upstream: 'http://a'}}", &[("CORS_ORIGINS", "https://a")]);
    assert!(problems[0].contains("CORS_ORIGINS") && problems[0].contains("\"*\""), "{problems:?}");
}

#[test]
fn suspicious_but_valid_settings_cause_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("upgrade.sock").display().to_string();
    for (line, words, mode) in [
        (
            "pairs: {max_per_request: 300, max_per_client: 400}\nlimits: {pairs_per_second: 100}",
            "always refused",
            0o700,
        ),
        ("pairs: {max_per_request: 100, max_per_client: 50}", "one request can exceed that", 0o700),
        (&format!("upgrade_socket: '{socket}'"), "use one with mode 0700", 0o711),
        (&format!("upgrade_socket: '{socket}'"), "", 0o700),
        ("pairs: {max_per_request: 200}\nlimits: {pairs_per_second: 100}", "", 0o700),
    ] {
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = accepted(&format!("{TENANT}{line}\n"), &[]).warnings;
        match words {
            "" => assert_eq!(warnings, Vec::<String>::new(), "{line}"),
            words => assert!(warnings.len() == 1 && warnings[0].contains(words), "{line}: {warnings:?}"),
        }
    }
    let map = r#"{"a": {"upstream": "http://a", "client_id_secret": "0123456789abcdef0123456789abcdef", "min_kem": "ml-kem-512"}}"#;
    let warnings = accepted("pairs: {min_kem: ml-kem-768}", &[("DOMAIN_MAP", map)]).warnings;
    assert!(warnings[0].contains("applies to every tenant"), "{warnings:?}");
}

#[test]
fn names_in_the_file_are_replaced_from_the_environment() {
    let text = "pool_size: ${SIZE}\ndomain_map: {'${HOSTNAME}': {upstream: 'http://${BACKEND}:80'}}";
    let variables = [("SIZE", "9"), ("HOSTNAME", "a.test"), ("BACKEND", "one")];
    let config = accepted(text, &variables);
    assert_eq!(config.pool_size, 9);
    assert_eq!(config.domains.find("a.test").unwrap().upstream.peers[0].origin, "http://one");
    let problems = refused(text, &variables[..1]);
    for name in ["${HOSTNAME}", "${BACKEND}"] {
        assert!(problems.iter().any(|problem| problem.contains(name)), "{problems:?}");
    }
    // A value from the environment cannot add settings.
    let problems = refused(text, &[("SIZE", "9\nthreads: 5"), variables[1], variables[2]]);
    assert!(problems[0].contains("${SIZE}"), "{problems:?}");
}

#[test]
fn names_in_a_comment_are_not_replaced() {
    let text = format!("# Set ${{NOT_SET}} to change this.\n{TENANT}");
    accepted(&text, &[]);
}

#[test]
fn secrets_come_from_files_and_rotate() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("old"), "the old secret, 32 characters or more\n").unwrap();
        std::fs::write(folder.path().join("new"), "the new secret, 32 characters or more\n").unwrap();
        let upstream = Upstream::standard().await;
        let start = async |secrets: &str| {
            let text = format!(
                "listeners: [{{address: '127.0.0.1:{}'}}]\ndomain_map: {{{HOST}: {{upstream: '{}', {secrets}}}}}",
                crate::harness::free_port(),
                upstream.url()
            );
            let none = Variables::new();
            let config =
                Config::parse(&text, "test", folder.path(), &none, &Arc::new(ReloadState::default()));
            let config = config.unwrap_or_else(|problems| panic!("{problems}"));
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
            crate::harness::Relay::start(config).await
        };
        let old = start("client_id_secret_file: old").await;
        let client = old.client();
        client.pair().await.unwrap();
        let id = client.client_id().unwrap();
        for (secrets, verifies) in [
            ("client_id_secret: 'the old secret, 32 characters or more'", true),
            ("client_id_secret_file: new, client_id_secret_previous_file: old", true),
            ("client_id_secret_file: new", false),
        ] {
            let relay = start(secrets).await;
            let client = relay.builder(HOST).client_id(&id).build().unwrap();
            client.pair().await.unwrap();
            // An id that does not verify is replaced with a new one.
            assert_eq!(client.client_id().as_ref() == Some(&id), verifies, "{secrets}");
        }
        let text = "domain_map: {a: {upstream: 'http://a', client_id_secret: x, client_id_secret_file: y}}";
        assert!(refused(text, &[])[0].contains("not both"));
        let short = accepted("domain_map: {a: {upstream: 'http://a', client_id_secret: short}}", &[]);
        assert!(short.warnings[0].contains("shorter"), "{:?}", short.warnings);
    });
}

/// The status that a client gets from an upstream with a certificate for `name`, with these `upstream_tls` settings.
async fn over_tls(name: &str, settings: &str) -> Result<String, u16> {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let (own, foreign) = (folder.path().join("own.pem"), folder.path().join("foreign.pem"));
    std::fs::write(&own, authority.pem()).unwrap();
    std::fs::write(&foreign, other.pem()).unwrap();
    let upstream = Upstream::tls(&authority, name).await;
    let settings = settings
        .replace("OWN", &own.display().to_string())
        .replace("FOREIGN", &foreign.display().to_string());
    let url = format!("https://localhost:{}", upstream.address.port());
    let relay = Setup::default().tenant(HOST, &url, &format!("upstream_tls: {{{settings}}}")).start().await;
    let client = relay.client();
    let mut texts = Vec::new();
    // Twice: the result must be the same for the next connection or request.
    for _ in 0..2 {
        texts.push(match client.post("/tls", "hello").await {
            Ok(response) => Ok(response.into_body().text(100).await.unwrap()),
            Err(error) => Err(error.relay_status().expect("a status")),
        });
    }
    assert_eq!(texts[0], texts[1]);
    relay.settled().await;
    texts.remove(0)
}

#[test]
fn an_upstream_with_a_certificate_of_a_configured_authority_is_verified() {
    run(async {
        assert_eq!(over_tls("localhost", "ca_file: OWN").await, Ok("POST /tls 5".into()));
    });
}

#[test]
fn an_upstream_with_a_certificate_of_an_unknown_authority_is_502() {
    run(async {
        assert_eq!(over_tls("localhost", "ca_file: FOREIGN").await, Err(502));
        assert_eq!(over_tls("localhost", "").await, Err(502));
    });
}

#[test]
fn an_upstream_with_a_certificate_for_another_name_is_502_unless_sni_names_it() {
    run(async {
        assert_eq!(over_tls("backend.test", "ca_file: OWN").await, Err(502));
        let sni = "ca_file: OWN, sni: backend.test";
        assert_eq!(over_tls("backend.test", sni).await, Ok("POST /tls 5".into()));
    });
}

#[test]
fn verification_of_the_upstream_can_be_switched_off_with_a_warning() {
    run(async {
        assert_eq!(over_tls("elsewhere.test", "verify: false").await, Ok("POST /tls 5".into()));
        let text = "domain_map: {a: {upstream: 'https://a', upstream_tls: {verify: false}}}";
        let config = accepted(text, &[]);
        assert!(
            config.warnings.iter().any(|warning| warning.contains("not verified")),
            "{:?}",
            config.warnings
        );
    });
}

#[test]
fn tenants_with_other_trust_do_not_share_a_connection() {
    run(async {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let pem = folder.path().join("ca.pem");
        std::fs::write(&pem, authority.pem()).unwrap();
        let upstream = Upstream::tls(&authority, "localhost").await;
        let url = format!("https://localhost:{}", upstream.address.port());
        let relay = Setup::default()
            .tenant("trusting.test", &url, "upstream_tls: {verify: false}")
            .tenant("knowing.test", &url, &format!("upstream_tls: {{ca_file: '{}'}}", pem.display()))
            .tenant("strict.test", &url, "")
            .start()
            .await;
        for (host, status) in
            [("trusting.test", 200), ("knowing.test", 200), ("strict.test", 502), ("knowing.test", 200)]
        {
            let got = match relay.builder(host).build().unwrap().get("/").await {
                Ok(response) => response.status().as_u16(),
                Err(error) => error.relay_status().unwrap(),
            };
            assert_eq!(got, status, "{host}");
        }
    });
}
