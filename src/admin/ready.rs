//! Readiness: whether this relay should receive requests, and if not, why.

use std::net::SocketAddr;

use serde::Serialize;

use super::Parts;
use crate::{
    lifecycle::Phase,
    reload::{Reloads, seconds},
};

/// The document at `/readyz`.
#[derive(Debug, Serialize)]
pub struct Readiness {
    /// Whether the relay should receive requests.
    pub ready: bool,
    /// The reasons if it should not.
    pub not_ready_because: Vec<String>,
    /// Whether it is shutting down.
    pub draining: bool,
    /// The last reload; a failed one does not make the relay unready, since it serves as before.
    pub reload: Option<LastReload>,
}

/// The last reload.
#[derive(Debug, Serialize)]
pub struct LastReload {
    /// When it was, in seconds since 1970.
    pub at: f64,
    /// Whether it succeeded.
    pub ok: bool,
    /// All its problems.
    pub error: Option<String>,
    /// Number of successful reloads so far.
    pub succeeded: u64,
    /// Number of failed reloads so far.
    pub failed: u64,
}

impl LastReload {
    fn of(reloads: &Reloads) -> Option<Self> {
        let (at, outcome) = reloads.last.as_ref()?;
        Some(Self {
            at: seconds(*at),
            ok: outcome.is_ok(),
            error: outcome.as_ref().err().map(ToString::to_string),
            succeeded: reloads.succeeded,
            failed: reloads.failed,
        })
    }
}

/// The listeners that accept no connections.
fn not_accepting(parts: &Parts) -> impl Iterator<Item = SocketAddr> {
    let listeners = parts.listeners.iter().enumerate();
    listeners.filter(|(index, _)| !parts.listening.is_accepting(*index)).map(|(_, listener)| listener.address)
}

/// The relay's current readiness.
pub fn readiness(parts: &Parts) -> Readiness {
    let mut why = Vec::new();
    match parts.lifecycle.phase() {
        Phase::Starting => {
            why.push("starting".to_owned());
            why.extend(
                not_accepting(parts).map(|address| format!("starting: {address} accepts no connections yet")),
            );
        }
        Phase::Running => {
            why.extend(not_accepting(parts).map(|address| format!("{address} accepts no connections")));
        }
        Phase::Draining => why.push("draining: shutting down".to_owned()),
        Phase::HandingOver => why.push("draining: a successor has taken over".to_owned()),
    }
    if let Some(failure) = parts.lifecycle.failure() {
        why.push(failure.to_string());
    }
    why.extend(parts.pairs.unavailable().map(|unavailable| unavailable.to_string()));
    for tenant in parts.config.load().domains.tenants() {
        if tenant.upstream.ready && !tenant.upstream.is_available() {
            why.push(format!("tenant {}: no healthy upstream", tenant.name));
        }
    }
    why.sort();
    let reload = LastReload::of(&parts.reloads.lock());
    Readiness {
        ready: why.is_empty(),
        not_ready_because: why,
        draining: parts.lifecycle.is_leaving(),
        reload,
    }
}
