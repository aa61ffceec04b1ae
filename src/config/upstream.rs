//! `upstream:` as written: one origin, a list of origins, or the long form with weights and health checks.

use serde::Serialize;

use super::{
    read::{FromNode, Reader, words},
    settings::{seconds, settings},
    tree::{Node, Value},
    units::HumanDuration,
};
use crate::upstream::{Balance, Ejection, HealthChecks};

/// Where a tenant's requests are sent, in the long form.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamSettings {
    /// The peers.
    pub peers: Vec<PeerSettings>,
    /// How a request's peer is chosen.
    pub balance: Balance,
    /// Active health checks; absent: none.
    pub health: Option<HealthSettings>,
    /// When a failing peer gets no requests for some time.
    pub ejection: EjectionSettings,
    /// Whether the relay is not ready while no peer is healthy.
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
        /// When a failing peer gets no requests for some time.
        ejection: EjectionSettings = EjectionSettings::default(),
        /// Whether the relay is not ready while no peer is healthy; needs health checks.
        ready: bool = false,
    }
}

settings! {
    /// Active health checks of every address of every peer.
    HealthSettings {
        /// A path to request; a status from 200 to 399 is healthy. Absent: a connection (with TLS, if used) is enough.
        path: Option<String> = None,
        /// Time between checks of an address.
        interval: HumanDuration = seconds(5),
        /// Time limit of one check.
        timeout: HumanDuration = seconds(2),
        /// Failures in a row that make an address unhealthy.
        unhealthy_after: u32 = 2,
        /// Successes in a row that make it healthy again.
        healthy_after: u32 = 1,
    }
}

settings! {
    /// Passive health checks, from the results of requests.
    EjectionSettings {
        /// Failed requests in a row that eject an address of a peer; 0: never. A failure is a connection that cannot be made,
        /// or a missing or broken response; not a status, and nothing that the client caused.
        failures: u32 = 5,
        /// How long an address is ejected. It doubles with each further ejection, up to ten times this. A tenant's only
        /// address is never ejected.
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
        /// Its share of the requests, relative to the other peers: 1 to 1000.
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
