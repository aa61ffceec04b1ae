//! Which server has which slots: one server has all of them, a cluster's servers share them.
//!
//! The server of `redis_url` says whether there is a cluster, and is asked for nothing else then. A cluster is asked again every
//! few seconds, and when a server redirects or is lost.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use redis::Value;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    address::Address,
    keeper::{NodeError, Target},
    keys,
    node::{Common, Failed, Node},
};

/// Between two questions for the slots, if nothing gives a reason to ask.
const INTERVAL: Duration = Duration::from_secs(5);
/// The least time between two questions.
const PAUSE: Duration = Duration::from_millis(100);

const NO_SLOTS: &str = "the cluster has not said which server has which slots";

/// The slots of a cluster, in order; none if there is no cluster, or it has not been asked yet.
type Slots = Vec<Range>;

/// Slots that follow each other.
#[derive(Clone)]
pub(super) struct Range {
    first: u16,
    last: u16,
    node: Arc<Node>,
}

pub(super) struct Topology {
    /// The server of `redis_url`.
    seed: Arc<Node>,
    slots: watch::Sender<Arc<Slots>>,
    /// All servers that were named, by address.
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
    common: Arc<Common>,
}

impl Topology {
    pub(super) fn new(common: &Arc<Common>, address: Address) -> Arc<Self> {
        let seed = Arc::new(Node::new(common, address, Target::Seed));
        let (slots, _) = watch::channel(Arc::default());
        let topology = Arc::new(Self { seed, slots, nodes: Mutex::default(), common: common.clone() });
        let kept = Arc::downgrade(&topology);
        let common = common.clone();
        topology.common.runtime.spawn(async move {
            while let Some(topology) = kept.upgrade() {
                topology.refresh().await;
                drop(topology);
                tokio::time::sleep(PAUSE).await;
                let _ = tokio::time::timeout(INTERVAL, common.changed.notified()).await;
            }
        });
        topology
    }

    /// Whether the slots are shared between servers.
    pub(super) fn is_cluster(&self) -> bool {
        !self.slots.borrow().is_empty()
    }

    /// Waits until every server has been tried once.
    ///
    /// # Errors
    /// Why pairs cannot be kept there.
    pub(super) async fn tried(&self) -> Result<(), NodeError> {
        if !self.seed.tried().await?.cluster {
            return Ok(());
        }
        let deadline = Instant::now() + self.common.settings.timeout;
        let Some(slots) = self.known(deadline).await else {
            return Err(NodeError::Unreachable(NO_SLOTS.into()));
        };
        for range in slots.iter() {
            range.node.tried().await?;
        }
        Ok(())
    }

    /// The slots of a cluster, once they are known.
    async fn known(&self, deadline: Instant) -> Option<Arc<Slots>> {
        let mut slots = self.slots.subscribe();
        let known = timeout_at(deadline, slots.wait_for(|slots| !slots.is_empty())).await;
        known.ok().and_then(Result::ok).map(|slots| slots.clone())
    }

    /// The server that has a slot.
    pub(super) async fn node(&self, slot: u16, deadline: Instant) -> Result<Arc<Node>, Failed> {
        if !self.is_cluster() && !self.seed.connection(deadline).await?.cluster {
            return Ok(self.seed.clone());
        }
        let known = self.known(deadline).await.ok_or(Failed::NotExecuted(NO_SLOTS.into()))?;
        find(&known, slot).ok_or(Failed::NotExecuted("no server of the cluster has this slot".into()))
    }

    /// The server that has a slot once it is not `old` any longer.
    pub(super) async fn node_after(
        &self,
        old: &Node,
        slot: u16,
        deadline: Instant,
    ) -> Result<Arc<Node>, Failed> {
        self.common.changed.notify_one();
        let mut slots = self.slots.subscribe();
        let other = |slots: &Arc<Slots>| find(slots, slot).filter(|node| node.address != old.address);
        let changed = timeout_at(deadline, slots.wait_for(|slots| other(slots).is_some())).await;
        let node = changed.ok().and_then(Result::ok).and_then(|slots| other(&slots));
        node.ok_or(Failed::NotExecuted("no Redis server takes writes".into()))
    }

    /// The server at an address that a redirection names.
    pub(super) fn at(&self, address: Address, slot: u16) -> Arc<Node> {
        self.common.changed.notify_one();
        self.member(&mut self.nodes.lock(), address, slot)
    }

    fn member(&self, nodes: &mut HashMap<Address, Arc<Node>>, address: Address, slot: u16) -> Arc<Node> {
        // A key in one slot is searched for: only where there is a new server.
        let target = || Target::Member { probe: keys::probe_in(slot..=slot) };
        let node = || Arc::new(Node::new(&self.common, address.clone(), target()));
        nodes.entry(address.clone()).or_insert_with(node).clone()
    }

    /// Every server, with the key that it can be tried with.
    pub(super) fn all(&self) -> Vec<(Arc<Node>, String)> {
        let slots = self.slots.borrow();
        if slots.is_empty() {
            return vec![(self.seed.clone(), keys::probe_in(0..=keys::SLOTS - 1))];
        }
        let mut all: Vec<(Arc<Node>, String)> = Vec::new();
        for range in slots.iter() {
            if !all.iter().any(|(node, _)| Arc::ptr_eq(node, &range.node)) {
                all.push((range.node.clone(), keys::probe_in(range.first..=range.last)));
            }
        }
        all
    }

    /// Asks for the slots: the servers that have some, then that of `redis_url`.
    async fn refresh(&self) {
        let members = self.slots.borrow().iter().map(|range| range.node.clone()).collect::<Vec<_>>();
        let seed = self.seed.connected().filter(|seed| seed.cluster).map(|_| self.seed.clone());
        for node in members.into_iter().chain(seed) {
            if let Some(slots) = self.ask(&node).await {
                self.slots.send_replace(Arc::new(slots));
                let named = self.slots.borrow().clone();
                self.nodes.lock().retain(|_, node| named.iter().any(|range| Arc::ptr_eq(&range.node, node)));
                return;
            }
        }
    }

    async fn ask(&self, node: &Arc<Node>) -> Option<Slots> {
        let connection = node.connected()?;
        let deadline = Instant::now() + self.common.settings.timeout;
        let mut command = redis::cmd("CLUSTER");
        let reply = node.send(&connection, command.arg("SLOTS"), false, deadline).await.ok()?;
        let Value::Array(ranges) = reply else { return None };
        let mut nodes = self.nodes.lock();
        let mut slots: Slots = ranges
            .iter()
            .map(|range| {
                let (first, last, address) = range_of(range, &node.address)?;
                Some(Range { first, last, node: self.member(&mut nodes, address, first) })
            })
            .collect::<Option<_>>()?;
        slots.sort_by_key(|range| range.first);
        (!slots.is_empty()).then_some(slots)
    }
}

fn find(slots: &Slots, slot: u16) -> Option<Arc<Node>> {
    let after = slots.partition_point(|range| range.first <= slot);
    let range = slots[..after].last()?;
    (slot <= range.last).then(|| range.node.clone())
}

/// One element of the reply to CLUSTER SLOTS: the first and the last slot, and where their primary is.
fn range_of(value: &Value, said_by: &Address) -> Option<(u16, u16, Address)> {
    let slot = |value: &Value| match value {
        Value::Int(slot) => u16::try_from(*slot).ok(),
        _ => None,
    };
    let Value::Array(range) = value else { return None };
    let [first, last, Value::Array(primary), ..] = range.as_slice() else { return None };
    let [host, port, ..] = primary.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::Nil => "",
        _ => return None,
    };
    Some((slot(first)?, slot(last)?, Address::of(host, slot(port)?, said_by)))
}
