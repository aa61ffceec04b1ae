//! A store that fails and recovers: the guarantees that every relay relies on.

use std::sync::Arc;

use mte_codec::WindowError;
use mte_relay::{
    domains::TenantId,
    pairs::{
        Commit, CreateError, MemoryStore, Outside, PairError, PairEvent, PairEvents, PairStore, Unavailable,
    },
};

use super::{
    bench::{commit, limits, owner, pair},
    stores::{Fault, FaultyStore, REASON},
};
use crate::harness::run;

struct NoEvents;

impl PairEvents for NoEvents {
    fn happened(&self, _: TenantId, _: PairEvent, _: usize) {}
}

/// A store in which client 1 has the pair `a`.
async fn started() -> FaultyStore {
    let memory = MemoryStore::new(limits(), Outside::system(Arc::new(NoEvents)));
    let store = FaultyStore::over(Arc::new(memory));
    store.create_all(owner(1), None, vec![pair("a")]).await.unwrap();
    store
}

/// The first response number that a commit reserves.
async fn spend(store: &FaultyStore, commit: Commit) -> Result<u64, PairError> {
    store.commit(owner(1), "a", commit).await.map(|done| done.response)
}

fn unavailable() -> Unavailable {
    Unavailable::because(REASON)
}

#[test]
fn a_store_that_is_not_reached_says_so_of_every_operation_and_has_lost_nothing() {
    run(async {
        let store = started().await;
        let snapshot = store.begin(owner(1), "a").await.unwrap();
        store.set(Some(Fault::Unreachable));
        let begun = store.begin(owner(1), "a").await.unwrap_err();
        assert_eq!(begun, PairError::Unavailable(unavailable()));
        let spent = spend(&store, commit(&snapshot, 0, 1)).await;
        assert_eq!(spent, Err(PairError::Unavailable(unavailable())));
        let created = store.create_all(owner(1), None, vec![pair("b")]).await;
        assert_eq!(created, Err(CreateError::Unavailable(unavailable())));
        assert_eq!(store.remove(owner(1), "a").await, Err(unavailable()));
        assert_eq!(store.remove_tenant(owner(1).tenant).await, Err(unavailable()));
        assert_eq!(store.sweep().await, Err(unavailable()));
        assert_eq!(store.count(None).await, Err(unavailable()));
        store.set(None);
        assert_eq!(store.count(None).await, Ok(1));
        assert_eq!(spend(&store, commit(&snapshot, 0, 1)).await, Ok(0));
    });
}

#[test]
fn a_commit_whose_reply_is_lost_has_spent_its_numbers_and_they_are_not_spent_again() {
    run(async {
        let store = started().await;
        let snapshot = store.begin(owner(1), "a").await.unwrap();
        store.set(Some(Fault::RepliesLost));
        let lost = spend(&store, commit(&snapshot, 0, 2)).await;
        assert_eq!(lost, Err(PairError::Unknown(unavailable())));
        store.set(None);
        let again = spend(&store, commit(&snapshot, 0, 2)).await;
        assert_eq!(again, Err(PairError::Number(WindowError::Replayed)));
        // No response was sealed with the numbers 0 and 1: they stay unused.
        assert_eq!(spend(&store, commit(&snapshot, 2, 1)).await, Ok(2));
    });
}
