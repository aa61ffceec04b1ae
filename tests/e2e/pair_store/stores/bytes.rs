//! A store that keeps only bytes behind a mutex: every operation reads all of them and writes all of them. It shares no code
//! with the memory store except the rules and states for every store.

use std::{collections::HashMap, time::Duration};

use mte_relay::{
    config,
    domains::TenantId,
    pairs::{
        Age, Commit, Committed, CreateError, NewPair, Outside, Owner, PairError, PairEvent, PairState,
        PairStore, Reply, Snapshot, Unavailable, at_once, share,
    },
    rate::Network,
};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

/// A pair as stored. Times are in milliseconds.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    tenant: [u8; 16],
    client: [u8; 16],
    id: String,
    network: Option<u64>,
    created: u64,
    last_used: Option<u64>,
    state: Vec<u8>,
}

impl Record {
    fn is_of(&self, owner: Owner) -> bool {
        self.tenant == *owner.tenant.as_bytes() && self.client == *owner.client.as_bytes()
    }

    fn age(&self, limits: &config::Pairs, now: Duration) -> Age {
        let time = Duration::from_millis;
        Age::of(time(self.created), self.last_used.map(time), limits, now)
    }

    fn state(&self) -> PairState {
        PairState::from_bytes(&self.state).expect("it was written by a store")
    }

    /// The order of eviction: unused pairs first, then the least recently used.
    fn order(&self) -> (bool, u64) {
        self.last_used.map_or((false, self.created), |used| (true, used))
    }
}

/// The events of a change, with their tenants.
type Events = Vec<([u8; 16], PairEvent)>;

pub(crate) struct BytesStore {
    bytes: Mutex<Vec<u8>>,
    limits: RwLock<config::Pairs>,
    outside: Outside,
    /// The ids of tenants that had pairs, for their events.
    tenants: Mutex<HashMap<[u8; 16], TenantId>>,
}

impl BytesStore {
    pub(crate) fn new(limits: config::Pairs, outside: Outside) -> Self {
        Self {
            bytes: Mutex::new(b"[]".to_vec()),
            limits: RwLock::new(limits),
            outside,
            tenants: Mutex::default(),
        }
    }

    /// Reads all records, applies `change`, and writes them back unless it fails.
    fn change<T, E>(
        &self,
        change: impl FnOnce(&mut Vec<Record>, &mut Events) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut bytes = self.bytes.lock();
        let mut records = serde_json::from_slice(&bytes).unwrap();
        let mut events = Events::new();
        let outcome = change(&mut records, &mut events)?;
        *bytes = serde_json::to_vec(&records).unwrap();
        let tenants = self.tenants.lock();
        for (tenant, event) in events {
            self.outside.events.happened(tenants[&tenant], event, 1);
        }
        Ok(outcome)
    }

    fn now(&self) -> Duration {
        (self.outside.now)()
    }

    fn create(&self, owner: Owner, network: Option<Network>, pairs: Vec<NewPair>) -> Result<(), CreateError> {
        let (limits, now) = (*self.limits.read(), self.now());
        self.tenants.lock().insert(*owner.tenant.as_bytes(), owner.tenant);
        let network = network.map(Network::as_number);
        self.change(|records, events| {
            let of_network = records.iter().filter(|record| record.network == network).count();
            if network.is_some() && of_network + pairs.len() > limits.max_per_network {
                return Err(CreateError::NetworkFull);
            }
            let live = |record: &&Record| record.is_of(owner) && record.age(&limits, now) == Age::Live;
            let taken = |new: &NewPair| records.iter().filter(live).any(|old| old.id == new.pair_id);
            if let Some(index) = pairs.iter().position(taken) {
                return Err(CreateError::Exists(index));
            }
            drop_own(records, events, owner, pairs.len(), &limits, now);
            make_room(records, events, *owner.tenant.as_bytes(), pairs.len(), &limits)?;
            for pair in pairs {
                let (id, created) = (pair.pair_id.clone(), now.as_millis() as u64);
                let state = PairState::new(pair, (self.outside.generation)(), created).to_bytes().to_vec();
                let (tenant, client) = (*owner.tenant.as_bytes(), *owner.client.as_bytes());
                records.push(Record { tenant, client, id, network, created, last_used: None, state });
                events.push((tenant, PairEvent::Created));
            }
            Ok(())
        })
    }

    fn snapshot(&self, owner: Owner, pair_id: &str) -> Result<Snapshot, PairError> {
        let (limits, now) = (*self.limits.read(), self.now());
        self.change(|records, _| {
            let record = find(records, owner, pair_id).ok_or(PairError::NotFound)?;
            match record.age(&limits, now) {
                Age::Live => Ok(record.state().snapshot()),
                Age::Old => Err(PairError::Expired),
                Age::Gone => Err(PairError::NotFound),
            }
        })
    }

    fn spend(&self, owner: Owner, pair_id: &str, commit: Commit) -> Result<Committed, PairError> {
        let now = self.now();
        self.change(|records, _| {
            let record = find(records, owner, pair_id).ok_or(PairError::NotFound)?;
            let mut state = record.state();
            let committed = state.commit(commit)?;
            record.state = state.to_bytes().to_vec();
            record.last_used = Some(now.as_millis() as u64);
            Ok(committed)
        })
    }

    /// Removes the records that `gone` selects; returns how many.
    fn drop_where(&self, event: PairEvent, gone: impl Fn(&Record) -> bool) -> Result<usize, Unavailable> {
        self.change(|records, events| {
            let dropped: Vec<_> = records.extract_if(.., |record| gone(record)).collect();
            events.extend(dropped.iter().map(|record| (record.tenant, event)));
            Ok(dropped.len())
        })
    }
}

fn find<'a>(records: &'a mut [Record], owner: Owner, pair_id: &str) -> Option<&'a mut Record> {
    records.iter_mut().find(|record| record.is_of(owner) && record.id == pair_id)
}

/// Removes an owner's expired pairs, and its oldest beyond its limit.
fn drop_own(
    records: &mut Vec<Record>,
    events: &mut Events,
    owner: Owner,
    count: usize,
    limits: &config::Pairs,
    now: Duration,
) {
    let dead = |record: &Record| record.is_of(owner) && record.age(limits, now) != Age::Live;
    let dead = records.extract_if(.., |record| dead(record));
    events.extend(dead.map(|record| (record.tenant, PairEvent::Evicted)));
    let own = records.iter().filter(|record| record.is_of(owner)).count();
    for _ in 0..own.min((own + count).saturating_sub(limits.max_per_client)) {
        evict(records, events, |record| record.is_of(owner));
    }
}

/// Makes room for pairs of a tenant: see [`share`].
fn make_room(
    records: &mut Vec<Record>,
    events: &mut Events,
    tenant: [u8; 16],
    count: usize,
    limits: &config::Pairs,
) -> Result<(), CreateError> {
    while records.len() + count > limits.max_total {
        let mut held = HashMap::from([(tenant, 0)]);
        records.iter().for_each(|record| *held.entry(record.tenant).or_default() += 1);
        let share = share(limits, held.len());
        let (debtor, most) = held.iter().max_by_key(|(_, held)| **held).ok_or(CreateError::Full)?;
        let evicted = if held[&tenant] < share && *most > share {
            evict(records, events, |record| record.tenant == *debtor)
        } else {
            evict(records, events, |record| record.tenant == tenant && record.last_used.is_none())
        };
        if !evicted {
            return Err(CreateError::Full);
        }
    }
    Ok(())
}

/// Evicts the first of those that `which` allows; returns whether there was one.
fn evict(records: &mut Vec<Record>, events: &mut Events, which: impl Fn(&Record) -> bool) -> bool {
    let allowed = records.iter().enumerate().filter(|(_, record)| which(record));
    let Some((index, _)) = allowed.min_by_key(|(_, record)| record.order()) else { return false };
    events.push((records.remove(index).tenant, PairEvent::Evicted));
    true
}

impl PairStore for BytesStore {
    fn create_all(
        &self,
        owner: Owner,
        network: Option<Network>,
        pairs: Vec<NewPair>,
    ) -> Reply<'_, Result<(), CreateError>> {
        at_once(self.create(owner, network, pairs))
    }

    fn begin<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<Snapshot, PairError>> {
        at_once(self.snapshot(owner, pair_id))
    }

    fn commit<'a>(
        &'a self,
        owner: Owner,
        pair_id: &'a str,
        commit: Commit,
    ) -> Reply<'a, Result<Committed, PairError>> {
        at_once(self.spend(owner, pair_id, commit))
    }

    fn remove<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<bool, Unavailable>> {
        let gone = |record: &Record| record.is_of(owner) && record.id == pair_id;
        at_once(self.drop_where(PairEvent::Removed, gone).map(|dropped| dropped > 0))
    }

    fn remove_tenant(&self, tenant: TenantId) -> Reply<'_, Result<(), Unavailable>> {
        let gone = |record: &Record| record.tenant == *tenant.as_bytes();
        at_once(self.drop_where(PairEvent::Removed, gone).map(drop))
    }

    fn sweep(&self) -> Reply<'_, Result<(), Unavailable>> {
        let (limits, now) = (*self.limits.read(), self.now());
        let gone = |record: &Record| record.age(&limits, now) == Age::Gone;
        at_once(self.drop_where(PairEvent::Expired, gone).map(drop))
    }

    fn count(&self, tenant: Option<TenantId>) -> Reply<'_, Result<usize, Unavailable>> {
        let counted = |record: &&Record| tenant.is_none_or(|tenant| record.tenant == *tenant.as_bytes());
        at_once(self.change(|records, _| Ok(records.iter().filter(counted).count())))
    }

    fn set_limits(&self, limits: config::Pairs) {
        *self.limits.write() = limits;
    }
}
