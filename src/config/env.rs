//! The environment variables of v4.5 (docs/protocol.md, section 8). They keep their
//! meaning, and override the file.

use std::collections::BTreeMap;

use super::{
    problems::{Findings, Place},
    read::{FromNode, Reader},
    settings::{ListenerSettings, Settings, TenantSettings},
    tree,
};

/// Where variables come from: the process, or a map in a test.
pub trait Environment {
    /// The variable's value, if it is set and not empty.
    fn get(&self, name: &str) -> Option<String>;

    /// Whether the variable's value is not UTF-8 text, so that `get` cannot return it.
    fn is_not_text(&self, _name: &str) -> bool {
        false
    }
}

/// The process's environment.
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn is_not_text(&self, name: &str) -> bool {
        matches!(std::env::var(name), Err(std::env::VarError::NotUnicode(_)))
    }
}

impl Environment for BTreeMap<&str, &str> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).map(|value| (*value).to_owned()).filter(|value| !value.is_empty())
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Variables that define the tenants,
const MAPS: [&str; 2] = ["UPSTREAM", "DOMAIN_MAP"];
/// that concern a single tenant,
const TENANT: [&str; 7] = [
    "CLIENT_ID_SECRET",
    "CORS_ORIGINS",
    "CORS_METHODS",
    "PASS_THROUGH_ROUTES",
    "MTE_ROUTES",
    "OUTBOUND_TOKEN",
    "HEADERS",
];
/// that concern the process,
const PROCESS: [&str; 6] = ["POOL_SIZE", "MAX_POOL_SIZE", "PORT", "DEBUG", "LOG_LEVEL", "REDIS_URL"];
/// that ask for features that this version does not have,
const LATER: [&str; 4] =
    ["BILLING_STRATEGY", "BILLING_PROVIDER", "BILLING_PRODUCT", "BILLING_REPORT_INTERVAL"];
/// and that this relay does not need. The order of all is that of docs/protocol.md.
const LICENCE: [&str; 2] = ["LICENSE_COMPANY", "LICENSE_KEY"];

/// Every variable that is read.
fn names() -> impl Iterator<Item = &'static str> {
    let process = PROCESS.into_iter().chain(LATER).chain(["AWS_REGION"]).chain(LICENCE);
    MAPS.into_iter().chain(TENANT).chain(process).chain(["MTE_RELAY_CONFIG"])
}

/// The environment, applied over the settings.
struct Overlay<'a> {
    env: &'a dyn Environment,
    settings: &'a mut Settings,
    problems: &'a mut Findings,
}

/// Applies the environment over the settings.
pub(super) fn apply(settings: &mut Settings, env: &dyn Environment, problems: &mut Findings) {
    let mut overlay = Overlay { env, settings, problems };
    for name in names().filter(|name| env.is_not_text(name)) {
        overlay.problem(name, "is not UTF-8 text");
    }
    overlay.process();
    overlay.domain_map();
    overlay.single_tenant();
    overlay.ignored();
}

impl Overlay<'_> {
    /// Reports a variable that cannot be used.
    fn problem(&mut self, variable: &str, what: impl Into<String>) {
        let place = Place { source: variable.into(), at: None };
        self.problems.add_at(place, what);
    }

    /// A variable's value, which replaces `setting`.
    fn take(&mut self, variable: &str, setting: &str) -> Option<String> {
        let value = self.env.get(variable)?;
        self.problems.places.set_variable(setting, variable);
        Some(value)
    }

    /// The variables that concern the process.
    fn process(&mut self) {
        if let Some(port) = self.take("PORT", "listeners") {
            match port.parse::<u16>() {
                Ok(port) if port > 0 => {
                    let address = format!("0.0.0.0:{port}");
                    self.settings.listeners = vec![ListenerSettings { address, ..Default::default() }];
                }
                _ => self.problem("PORT", format!("{port:?} is not a port number (1 to 65535)")),
            }
        }
        if let Some(level) = self.take("LOG_LEVEL", "log.level") {
            self.settings.log.level = level;
        }
        if self.env.get("DEBUG").is_some_and(|value| matches!(value.as_str(), "1" | "true" | "TRUE" | "True"))
        {
            self.settings.log.level = "debug".into();
        }
        if let Some(url) = self.take("REDIS_URL", "redis_url") {
            self.settings.redis_url = Some(url.into());
            self.settings.redis_url_file = None;
        }
        for variable in ["MAX_POOL_SIZE", "POOL_SIZE"] {
            let Some(size) = self.take(variable, "pool_size") else { continue };
            match size.parse() {
                Ok(size) => self.settings.pool_size = size,
                Err(_) => self.problem(variable, format!("{size:?} is not a whole number")),
            }
        }
    }

    /// The variables that define tenants.
    fn domain_map(&mut self) {
        let upstream = self.env.get("UPSTREAM");
        if let Some(json) = self.take("DOMAIN_MAP", "domain_map").map(zeroize::Zeroizing::new) {
            if upstream.is_some() {
                self.problem("UPSTREAM", "cannot be set together with DOMAIN_MAP: move it into the map");
            }
            self.settings.domain_map = self.json("DOMAIN_MAP", "domain_map", &json).unwrap_or_default();
        } else if let Some(upstream) = upstream {
            self.problems.places.set_variable("domain_map", "UPSTREAM");
            let upstream = Some(list(&upstream).into());
            let tenant = TenantSettings { upstream, ..Default::default() };
            self.settings.domain_map = BTreeMap::from([("*".to_owned(), tenant)]);
        }
    }

    /// A setting whose value is a variable's JSON.
    fn json<T: FromNode>(&mut self, variable: &str, setting: &str, json: &str) -> Option<T> {
        match tree::json(json) {
            Ok(node) => T::from_node(&node, &mut Reader::new(variable, setting, None, self.problems)),
            Err(tree::Malformed { at, what }) => {
                self.problems.add_unread(setting, Place { source: variable.into(), at }, what);
                None
            }
        }
    }

    /// Variables that concern a single tenant apply to the tenant `*`.
    fn single_tenant(&mut self) {
        let set: Vec<_> = TENANT.into_iter().filter(|name| self.env.get(name).is_some()).collect();
        if set.is_empty() {
            return;
        }
        let Some(mut tenant) = self.settings.domain_map.remove("*") else {
            let what = "is set without UPSTREAM or a tenant \"*\": set it per tenant in the domain map";
            return self.problem(&set.join(", "), what);
        };
        if let Some(secret) = self.take("CLIENT_ID_SECRET", "domain_map.*.client_id_secret") {
            tenant.client_id_secret = Some(secret.into());
            tenant.client_id_secret_file = None;
        }
        if let Some(token) = self.take("OUTBOUND_TOKEN", "domain_map.*.outbound_token") {
            tenant.outbound_token = Some(token.into());
            tenant.outbound_token_file = None;
        }
        for (variable, key, setting) in [
            ("CORS_ORIGINS", "cors_origins", &mut tenant.cors_origins),
            ("CORS_METHODS", "cors_methods", &mut tenant.cors_methods),
            ("PASS_THROUGH_ROUTES", "pass_through_routes", &mut tenant.pass_through_routes),
            ("MTE_ROUTES", "mte_routes", &mut tenant.mte_routes),
        ] {
            if let Some(value) = self.take(variable, &format!("domain_map.*.{key}")) {
                *setting = list(&value);
            }
        }
        if let Some(json) = self.take("HEADERS", "domain_map.*.headers").map(zeroize::Zeroizing::new) {
            tenant.headers = self.json("HEADERS", "domain_map.*.headers", &json).unwrap_or_default();
        }
        self.settings.domain_map.insert("*".to_owned(), tenant);
    }

    /// Variables that are known and have no effect.
    fn ignored(&mut self) {
        for name in LATER {
            let off = matches!(self.env.get(name).as_deref(), None | Some("eclypses_no_billing"));
            if !off {
                self.warn(name, "is set, but this version does not support it: it is ignored");
            }
        }
        for name in LICENCE {
            if self.env.get(name).is_some() {
                self.warn(name, "is set and ignored: this relay needs no licence key");
            }
        }
    }

    fn warn(&mut self, variable: &str, what: &str) {
        self.problems.warn_of(Place { source: variable.into(), at: None }, what);
    }
}
