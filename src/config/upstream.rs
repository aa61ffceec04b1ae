//! `upstream:` as it is written: one origin, a list of them, or the long form with weights and health checks.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    settings::{seconds, settings},
    units::Span,
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
        interval: Span = seconds(5),
        /// One check may take this long.
        timeout: Span = seconds(2),
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
        time: Span = seconds(10),
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

/// One peer.
#[derive(Debug, Clone, Serialize)]
pub struct PeerSettings {
    /// Its origin.
    pub url: String,
    /// Its share of the requests.
    pub weight: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongPeer {
    url: String,
    #[serde(default = "one")]
    weight: u32,
}

const fn one() -> u32 {
    1
}

impl From<&str> for PeerSettings {
    fn from(url: &str) -> Self {
        Self { url: url.to_owned(), weight: one() }
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

impl<'de> Deserialize<'de> for PeerSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Peer;
        impl<'de> Visitor<'de> for Peer {
            type Value = PeerSettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an origin (https://backend:8443) or {url, weight}")
            }

            fn visit_str<E: de::Error>(self, url: &str) -> Result<PeerSettings, E> {
                Ok(url.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PeerSettings, A::Error> {
                let LongPeer { url, weight } = LongPeer::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PeerSettings { url, weight })
            }
        }
        deserializer.deserialize_any(Peer)
    }
}

impl<'de> Deserialize<'de> for UpstreamSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = UpstreamSettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an origin (https://backend:8443), a list of origins, or {peers, balance, health, ejection, ready}")
            }

            fn visit_str<E: de::Error>(self, url: &str) -> Result<UpstreamSettings, E> {
                Ok(url.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<UpstreamSettings, A::Error> {
                let mut peers = Vec::<PeerSettings>::new();
                while let Some(peer) = list.next_element()? {
                    peers.push(peer);
                }
                Ok(peers.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UpstreamSettings, A::Error> {
                Long::deserialize(MapAccessDeserializer::new(map)).map(Into::into)
            }
        }
        deserializer.deserialize_any(Forms)
    }
}
