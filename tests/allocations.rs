//! The pair store in memory allocates nothing for a request, however the relay holds it: as `Arc<dyn PairStore>`.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use mte_codec::{EpochSecret, KemId};
use mte_protocol::client_id::ClientId;
use mte_relay::{
    config,
    domains::TenantId,
    pairs::{Commit, MemoryStore, NewPair, Outside, Owner, PairEvent, PairEvents, PairStore},
};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with a count of allocations for each thread.
struct Counting;

// SAFETY: all calls are passed to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` comes from `alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct NoEvents;

impl PairEvents for NoEvents {
    fn happened(&self, _: TenantId, _: PairEvent, _: usize) {}
}

/// The outcome of a future that is ready.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the memory store has nothing to wait for"),
    }
}

#[test]
fn begin_and_commit_allocate_nothing_in_the_memory_store() {
    let limits = config::Pairs {
        idle_timeout: std::time::Duration::from_secs(60),
        unused_timeout: std::time::Duration::from_secs(60),
        max_age: std::time::Duration::from_secs(60),
        max_per_client: 10,
        max_per_request: 10,
        max_per_network: 10,
        max_total: 10,
        tenant_share: 0.5,
    };
    let store: Arc<dyn PairStore> = Arc::new(MemoryStore::new(limits, Outside::system(Arc::new(NoEvents))));
    let owner = Owner { tenant: TenantId::of("a"), client: ClientId::from_random([1; 16]) };
    let (secret, kem) = (EpochSecret::from_bytes(0, &[7; 32]), KemId::MlKem512);
    let pair = NewPair {
        pair_id: "a".into(),
        decoder: secret.clone(),
        decoder_kem: kem,
        encoder: secret,
        encoder_kem: kem,
        relay_key: None,
    };
    let before = ALLOCATIONS.get();
    ready(store.create_all(owner, None, vec![pair])).unwrap();
    assert!(ALLOCATIONS.get() > before, "allocations are counted");

    let request = |first| {
        let before = ALLOCATIONS.get();
        let snapshot = ready(store.begin(owner, "a")).unwrap();
        let commit = Commit {
            generation: snapshot.generation,
            first,
            count: 1,
            decoder: None,
            encoder: None,
            reserve: 1,
        };
        ready(store.commit(owner, "a", commit)).unwrap();
        ALLOCATIONS.get() - before
    };
    // The first use moves the pair to another queue.
    request(0);
    // All numbers are of one epoch: for a new epoch, the request would supply a new secret.
    let counts: Vec<_> = (1..31).map(request).collect();
    assert_eq!(counts, [0; 30]);
}
