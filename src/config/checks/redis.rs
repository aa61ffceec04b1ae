//! Redis as the store of pairs: where it is, and what seals what goes there.

use std::{path::Path, sync::Arc};

use redis::{ConnectionAddr, IntoConnectionInfo};

use super::{
    super::{Redis, problems::Findings, secret::Secret, settings::Settings},
    secrets::{GOOD_LEN, given, look_at},
};
use crate::state_key::{StateKey, StateKeys};

const FORM: &str = "write redis://host:6379, rediss://user:password@host:6380/0 or the like";

/// The store, if there is one. What of it cannot be used is reported.
pub(super) fn check(settings: &Settings, base: &Path, problems: &mut Findings) -> Option<Redis> {
    let (url, file) = (settings.redis_url.as_ref(), settings.redis_url_file.as_deref());
    let url = given(problems, base, "redis_url", url, file);
    let keys = keys(settings, base, problems);
    let ca =
        settings.redis_ca_file.as_ref().and_then(|file| problems.read("redis_ca_file", &base.join(file)));
    let Some(url) = url else {
        for (name, given) in [
            ("redis_ca_file", settings.redis_ca_file.is_some()),
            ("state_key", keys.is_some()),
            ("redis_allow_eviction", settings.redis_allow_eviction),
        ] {
            if given {
                problems.warn(name, "does nothing without redis_url");
            }
        }
        return None;
    };
    let url = std::str::from_utf8(&url).unwrap_or_default().to_owned();
    check_url(&url, problems)?;
    Some(Redis {
        url: url.into(),
        ca: ca.map(|pem| pem.to_vec()),
        timeout: settings.redis_timeout.0,
        allow_eviction: settings.redis_allow_eviction,
        keys,
    })
}

/// Problems never show the URL: it may hold a password.
fn check_url(url: &str, problems: &mut Findings) -> Option<()> {
    const PLACE: &str = "redis_url";
    let Ok(info) = url.into_connection_info() else {
        problems.add(PLACE, format!("is not the address of a Redis server: {FORM}"));
        return None;
    };
    match info.addr() {
        ConnectionAddr::Tcp(..) => {}
        ConnectionAddr::TcpTls { insecure: false, .. } => {}
        ConnectionAddr::TcpTls { .. } => {
            problems.add(
                PLACE,
                "asks not to verify the server's certificate (#insecure): set redis_ca_file instead",
            );
            return None;
        }
        _ => {
            problems.add(PLACE, format!("is not a TCP address: {FORM}"));
            return None;
        }
    }
    Some(())
}

fn keys(settings: &Settings, base: &Path, problems: &mut Findings) -> Option<Arc<StateKeys>> {
    let (key, file) = (settings.state_key.as_ref(), settings.state_key_file.as_deref());
    let current = key_of(problems, base, "state_key", key, file);
    let (key, file) = (settings.state_key_previous.as_ref(), settings.state_key_previous_file.as_deref());
    let previous = key_of(problems, base, "state_key_previous", key, file);
    if current.is_none() && previous.is_some() {
        problems.add("state_key_previous", "is given without state_key: give the key that seals now as well");
    }
    Some(Arc::new(StateKeys { current: current?, previous }))
}

fn key_of(
    problems: &mut Findings,
    base: &Path,
    name: &str,
    key: Option<&Secret>,
    file: Option<&Path>,
) -> Option<StateKey> {
    let key = given(problems, base, name, key, file)?;
    if key.len() < GOOD_LEN {
        problems.add(
            name,
            format!(
                "has {} characters and needs at least {GOOD_LEN}: `mte-relay keygen` makes a secret",
                key.len()
            ),
        );
        return None;
    }
    look_at(&key, name, problems);
    StateKey::derive(&key).ok()
}
