//! The environment variables that operators of v4.5 know (docs/protocol.md, section 8). They mean what they
//! meant, and win over the file.

use std::collections::BTreeMap;

use super::{
    Problems,
    settings::{ListenerSettings, Settings, TenantSettings},
};

/// Where variables come from: the process, or a map in a test.
pub trait Environment {
    /// The variable's value, if it is set and not empty.
    fn get(&self, name: &str) -> Option<String>;
}

/// The process's environment.
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}

impl Environment for BTreeMap<&str, &str> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).map(|value| (*value).to_owned()).filter(|value| !value.is_empty())
    }
}

/// Replaces `${NAME}` by the variable's value, but not in comments. A value that could change the file's
/// structure is refused.
pub(super) fn expand(text: &str, env: &dyn Environment, problems: &mut Problems) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (mut rest, comment) = line.split_at(comment_start(line));
        while let Some(start) = rest.find("${") {
            let Some(len) = rest[start..].find('}') else { break };
            let name = &rest[start + 2..start + len];
            out.push_str(&rest[..start]);
            match env.get(name) {
                Some(value) if value.contains(|c: char| c.is_control()) => {
                    problems.add(format!("${{{name}}}"), "its value has line breaks or control characters");
                }
                Some(value) => out.push_str(&value),
                None => problems.add(format!("${{{name}}}"), "this environment variable is not set"),
            }
            rest = &rest[start + len + 1..];
        }
        out.push_str(rest);
        out.push_str(comment);
    }
    out
}

/// Where a line's comment begins, or the line's length: a `#` outside of quotes, at the start or after a blank.
fn comment_start(line: &str) -> usize {
    let mut quote = None;
    let mut before = ' ';
    for (index, char) in line.char_indices() {
        match quote {
            None if char == '#' && before.is_whitespace() => return index,
            None if matches!(char, '"' | '\'') => quote = Some(char),
            Some(open) if char == open => quote = None,
            _ => {}
        }
        before = char;
    }
    line.len()
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Lays the environment over the settings.
pub(super) fn apply(settings: &mut Settings, env: &dyn Environment, problems: &mut Problems) {
    if let Some(port) = env.get("PORT") {
        match port.parse::<u16>() {
            Ok(port) => {
                settings.listeners =
                    vec![ListenerSettings { address: format!("0.0.0.0:{port}"), ..Default::default() }];
            }
            Err(_) => problems.add("PORT", format!("{port:?} is not a port number (1 to 65535)")),
        }
    }
    if let Some(level) = env.get("LOG_LEVEL") {
        settings.log.level = level;
    }
    if env.get("DEBUG").is_some_and(|value| matches!(value.as_str(), "1" | "true" | "TRUE" | "True")) {
        settings.log.level = "debug".into();
    }
    if let Some(size) = env.get("POOL_SIZE").or_else(|| env.get("MAX_POOL_SIZE")) {
        match size.parse() {
            Ok(size) => settings.pool_size = size,
            Err(_) => problems.add("POOL_SIZE", format!("{size:?} is not a number")),
        }
    }
    if let Some(json) = env.get("DOMAIN_MAP") {
        if env.get("UPSTREAM").is_some() {
            problems.add("UPSTREAM", "cannot be set together with DOMAIN_MAP: move it into the map");
        }
        match serde_json::from_str(&json) {
            Ok(map) => settings.domain_map = map,
            Err(error) => problems.add("DOMAIN_MAP", error.to_string()),
        }
    } else if let Some(upstream) = env.get("UPSTREAM") {
        settings.domain_map = BTreeMap::from([(
            "*".to_owned(),
            TenantSettings { upstream: Some(list(&upstream).into()), ..Default::default() },
        )]);
    }
    single_tenant(settings, env, problems);
    const LATER: [&str; 6] = [
        "REDIS_URL",
        "OUTBOUND_TOKEN",
        "BILLING_STRATEGY",
        "BILLING_PROVIDER",
        "BILLING_PRODUCT",
        "BILLING_REPORT_INTERVAL",
    ];
    for name in LATER {
        let off = matches!(env.get(name).as_deref(), None | Some("eclypses_no_billing"));
        if !off {
            problems
                .warn(format!("{name} is set, but this version cannot do what it asks for: it is ignored"));
        }
    }
    for name in ["LICENSE_COMPANY", "LICENSE_KEY"] {
        if env.get(name).is_some() {
            problems.warn(format!("{name} is set and ignored: this relay needs no licence key"));
        }
    }
}

/// The variables of a single tenant go to the tenant `*`.
fn single_tenant(settings: &mut Settings, env: &dyn Environment, problems: &mut Problems) {
    const NAMES: [&str; 6] =
        ["CLIENT_ID_SECRET", "CORS_ORIGINS", "CORS_METHODS", "PASS_THROUGH_ROUTES", "MTE_ROUTES", "HEADERS"];
    let set: Vec<_> = NAMES.into_iter().filter(|name| env.get(name).is_some()).collect();
    if set.is_empty() {
        return;
    }
    let Some(tenant) = settings.domain_map.get_mut("*") else {
        problems.add(
            set.join(", "),
            "given without UPSTREAM or a tenant \"*\": give it per tenant in the domain map",
        );
        return;
    };
    if let Some(secret) = env.get("CLIENT_ID_SECRET") {
        tenant.client_id_secret = Some(secret.into());
        tenant.client_id_secret_file = None;
    }
    if let Some(value) = env.get("CORS_ORIGINS") {
        tenant.cors_origins = list(&value);
    }
    if let Some(value) = env.get("CORS_METHODS") {
        tenant.cors_methods = list(&value);
    }
    if let Some(value) = env.get("PASS_THROUGH_ROUTES") {
        tenant.pass_through_routes = list(&value);
    }
    if let Some(value) = env.get("MTE_ROUTES") {
        tenant.mte_routes = list(&value);
    }
    if let Some(value) = env.get("HEADERS") {
        match serde_json::from_str(&value) {
            Ok(headers) => tenant.headers = headers,
            Err(error) => problems.add("HEADERS", format!("not a JSON object of strings: {error}")),
        }
    }
}
