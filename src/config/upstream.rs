//! `upstream:` as it is written: one origin, a list of them, or the long form with weights and health checks.

use serde::Serialize;

use super::{
    read::{FromNode, Reader, words},
    settings::{seconds, settings},
    tree::{Node, Value},
    units::HumanDuration,
};
use crate::upstream::{Balance, Ejection, HealthChecks};

/// Where a tenant's requests go, in its long form.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamSettings {
    /// The peers.
    pub peers: Vec<PeerSettings>,
    /// How a request's peer is chosen.
    pub balance: Balance,
    /// Active health checks, if there are any.
    pub health: Option<HealthSettings>,
    /// When a peer that fails is left alone for a while.
    pub ejection: EjectionSettings,
    /// Whether the relay is unready while no peer is healthy.
    pub ready: bool,
}

settings! {
    /// The long form.
    Long {
        /// The peers.
        peers: Vec<PeerSettings> = Vec::new(),
        /// How a request's peer is chosen: round_robin, least_connections, consistent_hash (on the client id).
        balance: Balance = Balance::RoundRobin,
        /// Active health checks; absent: none.
        health: Option<HealthSettings> = None,
        /// When a peer that fails is left alone for a while.
        ejection: EjectionSettings = EjectionSettings::default(),
        /// Readiness fails while no peer is healthy.
        ready: bool = false,
    }
}

settings! {
    /// Active health checks of every address of every peer.
    HealthSettings {
        /// A path that answers 200 to 399 when all is well; absent: a connection (with TLS if any) is enough.
        path: Option<String> = None,
        /// Between checks of an address.
        interval: HumanDuration = seconds(5),
        /// One check may take this long.
        timeout: HumanDuration = seconds(2),
        /// So many failures in a row make an address unhealthy.
        unhealthy_after: u32 = 2,
        /// So many successes in a row make it healthy again.
        healthy_after: u32 = 1,
    }
}

settings! {
    /// Passive health: what requests tell.
    EjectionSettings {
        /// So many failed requests in a row (no connection, no or a broken answer; not statuses; not what a client caused) eject an address of a peer; 0: never.
        failures: u32 = 5,
        /// For this long, twice as long each time again, at most ten times as long. A tenant's only address is never ejected.
        time: HumanDuration = seconds(10),
    }
}

impl From<&HealthSettings> for HealthChecks {
    fn from(written: &HealthSettings) -> Self {
        Self {
            path: written.path.clone(),
            interval: written.interval.0,
            timeout: written.timeout.0,
            unhealthy_after: written.unhealthy_after,
            healthy_after: written.healthy_after,
        }
    }
}

impl From<&EjectionSettings> for Ejection {
    fn from(written: &EjectionSettings) -> Self {
        Self { failures: written.failures, time: written.time.0 }
    }
}

words!(Balance {
    "round_robin" => Self::RoundRobin,
    "least_connections" => Self::LeastConnections,
    "consistent_hash" => Self::ConsistentHash,
});

/// One peer.
#[derive(Debug, Clone, Serialize)]
pub struct PeerSettings {
    /// Its origin.
    pub url: String,
    /// Its share of the requests.
    pub weight: u32,
}

settings! {
    /// A peer's long form.
    LongPeer {
        /// Its origin.
        url: String = String::new(),
        /// Its share of the requests.
        weight: u32 = 1,
    }
}

impl From<&str> for PeerSettings {
    fn from(url: &str) -> Self {
        Self { url: url.to_owned(), weight: 1 }
    }
}

impl From<Vec<PeerSettings>> for UpstreamSettings {
    fn from(peers: Vec<PeerSettings>) -> Self {
        Self::from(Long { peers, ..Long::default() })
    }
}

impl From<&str> for UpstreamSettings {
    fn from(url: &str) -> Self {
        Self::from(vec![PeerSettings::from(url)])
    }
}

impl From<Vec<String>> for UpstreamSettings {
    fn from(urls: Vec<String>) -> Self {
        Self::from(urls.iter().map(|url| url.as_str().into()).collect::<Vec<PeerSettings>>())
    }
}

impl From<Long> for UpstreamSettings {
    fn from(Long { peers, balance, health, ejection, ready }: Long) -> Self {
        Self { peers, balance, health, ejection, ready }
    }
}

impl FromNode for PeerSettings {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.value {
            Value::Map(_) => {
                let LongPeer { url, weight } = LongPeer::from_node(node, reader)?;
                Some(Self { url, weight })
            }
            _ => {
                Some(reader.text(node, "an origin (https://backend:8443) or {url, weight}")?.as_str().into())
            }
        }
    }
}

impl FromNode for UpstreamSettings {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.value {
            Value::Map(_) => Long::from_node(node, reader).map(Into::into),
            Value::List(_) => Vec::<PeerSettings>::from_node(node, reader).map(Into::into),
            Value::Scalar(..) => {
                let wanted = "an origin (https://backend:8443), a list of them, or {peers, balance, health, ejection, ready}";
                Some(reader.text(node, wanted)?.as_str().into())
            }
        }
    }
}
