//! A store under test, with a clock that stands still until a case lets time pass.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mte_codec::{EpochSecret, KemId};
use mte_protocol::client_id::ClientId;
use mte_relay::{
    config,
    domains::TenantId,
    pairs::{
        Commit, CreateError, Generation, NewPair, Outside, Owner, PairError, PairEvent, PairEvents,
        PairStore, RelayKeyId, Snapshot,
    },
    rate::Network,
};
use parking_lot::Mutex;

/// Creates a store.
pub(super) type Make = fn(config::Pairs, Outside) -> Arc<dyn PairStore>;

pub(super) const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Limits that are reached with few pairs.
pub(super) fn limits() -> config::Pairs {
    config::Pairs {
        idle_timeout: 60 * SECOND,
        unused_timeout: 30 * SECOND,
        max_age: 600 * SECOND,
        max_per_client: 4,
        max_per_request: 100,
        max_per_network: 100,
        max_total: 8,
        tenant_share: 0.5,
    }
}

/// A client of tenant `a`.
pub(super) fn owner(client: u8) -> Owner {
    of_tenant("a", client)
}

pub(super) fn of_tenant(tenant: &str, client: u8) -> Owner {
    Owner { tenant: TenantId::of(tenant), client: ClientId::from_random([client; 16]) }
}

/// A client network.
pub(super) fn network(number: u8) -> Option<Network> {
    Some(IpAddr::from([192, 0, number, 1]).into())
}

/// The root secrets of every pair here.
pub(super) const DECODER: [u8; 32] = [7; 32];
pub(super) const ENCODER: [u8; 32] = [9; 32];

pub(super) fn pair(id: &str) -> NewPair {
    NewPair {
        pair_id: id.into(),
        decoder: EpochSecret::from_bytes(0, &DECODER),
        decoder_kem: KemId::MlKem768,
        encoder: EpochSecret::from_bytes(0, &ENCODER),
        encoder_kem: KemId::MlKem768,
        relay_key: None,
    }
}

/// A commit that takes numbers and supplies no secrets.
pub(super) fn commit(snapshot: &Snapshot, first: u64, count: u64) -> Commit {
    Commit { generation: snapshot.generation, first, count, decoder: None, encoder: None, reserve: 2 }
}

/// Counts events of pairs.
#[derive(Default)]
struct EventCounts(Mutex<HashMap<PairEvent, usize>>);

impl PairEvents for EventCounts {
    fn happened(&self, _: TenantId, event: PairEvent, count: usize) {
        *self.0.lock().entry(event).or_default() += count;
    }
}

pub(super) struct Bench {
    pub store: Arc<dyn PairStore>,
    milliseconds: Arc<AtomicU64>,
    counted: Arc<EventCounts>,
}

impl Bench {
    pub(super) fn new(make: Make) -> Self {
        Self::with(make, limits())
    }

    pub(super) fn with(make: Make, limits: config::Pairs) -> Self {
        let milliseconds = Arc::new(AtomicU64::new(1_700_000_000_000));
        let (clock, counted) = (milliseconds.clone(), Arc::<EventCounts>::default());
        let generations = AtomicU64::new(1);
        let outside = Outside {
            now: Arc::new(move || Duration::from_millis(clock.load(Ordering::SeqCst))),
            generation: Arc::new(move || {
                Generation(u128::from(generations.fetch_add(1, Ordering::SeqCst)).to_be_bytes())
            }),
            events: counted.clone(),
        };
        Self { store: make(limits, outside), milliseconds, counted }
    }

    /// Advances the clock.
    pub(super) fn wait(&self, time: Duration) {
        self.milliseconds.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }

    pub(super) async fn create(&self, owner: Owner, ids: &[&str]) -> Result<(), CreateError> {
        self.create_from(None, owner, ids).await
    }

    /// Each request is a millisecond later than the one before.
    pub(super) async fn create_from(
        &self,
        network: Option<Network>,
        owner: Owner,
        ids: &[&str],
    ) -> Result<(), CreateError> {
        self.wait(MILLISECOND);
        self.store.create_all(owner, network, ids.iter().map(|id| pair(id)).collect()).await
    }

    /// Makes pairs whose pairing was authenticated.
    pub(super) async fn create_authenticated(&self, owner: Owner, ids: &[&str]) -> Result<(), CreateError> {
        self.wait(MILLISECOND);
        let of_key = |id: &&str| NewPair { relay_key: Some(RelayKeyId([5; 32])), ..pair(id) };
        self.store.create_all(owner, None, ids.iter().map(of_key).collect()).await
    }

    pub(super) async fn begin(&self, owner: Owner, id: &str) -> Snapshot {
        self.store.begin(owner, id).await.unwrap_or_else(|error| panic!("{id}: {error}"))
    }

    /// The first response number that a commit reserves.
    pub(super) async fn commit(&self, owner: Owner, id: &str, commit: Commit) -> Result<u64, PairError> {
        self.store.commit(owner, id, commit).await.map(|done| done.response)
    }

    /// Uses a pair, a millisecond after the previous operation.
    pub(super) async fn spend(&self, owner: Owner, id: &str) {
        self.wait(MILLISECOND);
        let snapshot = self.begin(owner, id).await;
        let next = snapshot.window.highest().map_or(0, |highest| highest + 1);
        self.commit(owner, id, commit(&snapshot, next, 2)).await.unwrap();
    }

    /// Creates a pair and uses it.
    pub(super) async fn create_used(&self, owner: Owner, id: &str) -> Result<(), CreateError> {
        self.create(owner, &[id]).await?;
        self.spend(owner, id).await;
        Ok(())
    }

    pub(super) async fn lives(&self, owner: Owner, id: &str) -> bool {
        self.store.begin(owner, id).await.is_ok()
    }

    /// Number of pairs in the store.
    pub(super) async fn count(&self) -> usize {
        self.store.count(None).await.unwrap()
    }

    pub(super) async fn count_of(&self, tenant: &str) -> usize {
        self.store.count(Some(TenantId::of(tenant))).await.unwrap()
    }

    /// Number of pairs with this event.
    pub(super) fn counted(&self, event: PairEvent) -> usize {
        self.counted.0.lock().get(&event).copied().unwrap_or_default()
    }
}

/// The fields of a snapshot, for comparisons.
pub(super) fn fields(snapshot: &Snapshot) -> (Generation, u64, u32, [u8; 32], mte_codec::Window) {
    let Snapshot { generation, next_response, encoder, window, .. } = snapshot;
    (*generation, *next_response, encoder.index(), *encoder.as_bytes(), window.clone())
}
