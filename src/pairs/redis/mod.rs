//! Pairs in Redis, for relays that share them.
//!
//! A request costs one round trip: [`commit`](PairStore::commit) runs a script that takes the numbers, reserves the response's,
//! and gives back what this relay does not know yet. What [`begin`](PairStore::begin) gives is remembered from the last answer, and
//! is never the last word.
//!
//! A pair lives in one primary's incarnation, its era. After a promotion or a restart it counts as lost: no relay can prove
//! which commits survived. Role and era are looked up by every script, as a connection may outlive both.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `server` | what is sent: deadlines, what is sent again |
//! | `topology`, `address` | which server has which slots of a cluster |
//! | `node`, `keeper` | the connection to one server; how it is made and watched |
//! | `scripts`, `lua/` | what is done in Redis, all or none |
//! | `record` | a pair as it stands there |
//! | `keys` | what it is called there |
//! | `cache` | what this relay remembers |
//! | `read` | a pair as it stands there, or as it is remembered |
//! | `commit`, `update` | numbers spent, and the secrets that a commit brings |
//! | `create` | pairs that are stored |

mod address;
mod cache;
mod commit;
mod create;
mod keeper;
mod keys;
mod node;
mod read;
mod record;
mod scripts;
mod server;
mod topology;
mod update;

use std::{
    collections::HashMap,
    sync::{Arc, Weak, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwap;
use mte_codec::WindowError;
use parking_lot::Mutex;
use redis::Value;

use self::{
    cache::Cache,
    keeper::NodeError,
    node::Failed,
    read::LastRead,
    scripts::{Answer, Code, Script, Scripts},
    server::Server,
};
use super::{
    Commit, Committed, CreateError, Generation, NewPair, Outside, Owner, PairError, PairEvent, PairStore,
    Reply, Snapshot, Unavailable, at_once, later,
};
use crate::{
    config,
    domains::{Domains, TenantId},
    rate::Network,
    state_key::{PairCipher, Sealed, StateKeys},
};

/// Between two looks for entries of the cache to wipe.
const WIPE_INTERVAL: Duration = Duration::from_millis(500);

/// By whose clock pairs age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Redis' own: it is the same for every relay.
    Redis,
    /// That of [`Outside`]: for tests.
    Outside,
}

/// The store.
pub struct RedisStore(Arc<Inner>);

struct Inner {
    /// Or why nothing can be sent to Redis.
    server: Result<Server, NodeError>,
    cache: Arc<Cache>,
    limits: ArcSwap<config::Pairs>,
    /// Keys for every tenant, if one was given.
    keys: Option<Arc<StateKeys>>,
    /// Keys by tenant.
    tenants: ArcSwap<HashMap<TenantId, Arc<StateKeys>>>,
    outside: Outside,
    clock: Clock,
    /// Reads in flight, by record.
    reads: Mutex<HashMap<String, Weak<tokio::sync::Mutex<LastRead>>>>,
    asked: AtomicU64,
}

/// A pair, by all of its names.
struct PairNames<'a> {
    owner: Owner,
    pair_id: &'a str,
    index: String,
    member: String,
    record: String,
}

impl<'a> PairNames<'a> {
    fn new(owner: Owner, pair_id: &'a str) -> Self {
        let (index, member) = (keys::index(&owner), keys::member(pair_id));
        let record = keys::record(&index, &member);
        Self { owner, pair_id, index, member, record }
    }

    fn sealed(&self, generation: Generation) -> Sealed<'_> {
        let Owner { tenant, client } = &self.owner;
        Sealed { tenant: tenant.as_bytes(), client: client.as_bytes(), pair_id: self.pair_id, generation }
    }
}

/// A command that changed nothing for certain, or may have.
impl From<Failed> for Unavailable {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NotExecuted(why) | Failed::Unknown(why) => Self::because(why),
        }
    }
}

fn unavailable(why: &'static str) -> Unavailable {
    Unavailable::because(why)
}

impl RedisStore {
    /// A store that begins to connect. Whether it can be used says [`prepare`](PairStore::prepare).
    pub fn new(settings: &config::Redis, limits: config::Pairs, outside: Outside, clock: Clock) -> Self {
        let server = Server::new(settings);
        let cache = Arc::new(Cache::new());
        let (wiped, now) = (Arc::downgrade(&cache), outside.now.clone());
        let wiping = async move {
            while let Some(cache) = wiped.upgrade() {
                cache.wipe(now());
                drop(cache);
                tokio::time::sleep(WIPE_INTERVAL).await;
            }
        };
        if let Ok(server) = &server {
            server.spawn(wiping);
        }
        Self(Arc::new(Inner {
            server,
            cache,
            limits: ArcSwap::from_pointee(limits),
            keys: settings.keys.clone(),
            tenants: ArcSwap::default(),
            outside,
            clock,
            reads: Mutex::default(),
            asked: AtomicU64::new(1),
        }))
    }
}

impl Inner {
    fn server(&self) -> Result<&Server, Failed> {
        self.server.as_ref().map_err(|error| Failed::NotExecuted(error.why()))
    }

    /// Runs one of the scripts on the server that has these keys.
    async fn run(
        &self,
        script: impl Fn(&Scripts) -> &Script,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<Answer, Failed> {
        let server = self.server()?;
        server.run(script(server.scripts()), keys, arguments).await
    }

    fn now(&self) -> Duration {
        (self.outside.now)()
    }

    /// The time that scripts go by: 0 is Redis' own.
    fn given_time(&self) -> String {
        match self.clock {
            Clock::Redis => "0".to_owned(),
            Clock::Outside => self.now().as_millis().to_string(),
        }
    }

    fn keys_of(&self, tenant: TenantId) -> Result<Arc<StateKeys>, Unavailable> {
        let own = || self.tenants.load().get(&tenant).cloned();
        self.keys.clone().or_else(own).ok_or_else(|| unavailable("this tenant has no key to seal pairs with"))
    }

    /// The cipher of a pair, under the key that its record names.
    fn cipher(
        &self,
        named: &PairNames<'_>,
        generation: Generation,
        key_id: u32,
    ) -> Result<PairCipher, PairError> {
        let keys = self.keys_of(named.owner.tenant)?;
        // A key that this relay never had, or no more: it cannot use the pair.
        let key = keys.find(key_id).ok_or(PairError::Lost)?;
        key.cipher(&named.sealed(generation)).map_err(|_| unavailable("a pair's key cannot be made").into())
    }

    fn limits(&self) -> [String; 3] {
        let limits = self.limits.load();
        [limits.idle_timeout, limits.unused_timeout, limits.max_age].map(|time| time.as_millis().to_string())
    }

    async fn remove(&self, owner: Owner, pair_id: &str) -> Result<bool, Unavailable> {
        let named = PairNames::new(owner, pair_id);
        self.cache.remove(&named.record);
        let keys = [named.index, named.record];
        let answer = self.run(|all| &all.remove, &keys, &[named.member.as_bytes()]).await?;
        let removed = answer.int(0) == Some(1);
        if removed {
            self.outside.events.happened(owner.tenant, PairEvent::Removed, 1);
        }
        Ok(removed)
    }

    /// Tries all that the scripts do.
    async fn probe(&self) -> Result<(), Unavailable> {
        Ok(self.server()?.try_all().await?)
    }

    /// Counts records, which takes a time that grows with the number of keys: for tests.
    async fn count(&self) -> Result<usize, Unavailable> {
        let mut keys = redis::cmd("KEYS");
        let mut count = 0;
        for reply in self.server()?.ask_all(keys.arg("mte:{*}:*")).await? {
            match reply {
                Value::Array(keys) => count += keys.len(),
                _ => return Err(unavailable("KEYS has no such reply")),
            }
        }
        Ok(count)
    }
}

fn refusal(code: Code) -> PairError {
    match code {
        Code::Gone => PairError::NotFound,
        Code::Replaced => PairError::Replaced,
        Code::Old => PairError::Expired,
        Code::Outside => WindowError::OutOfWindow.into(),
        Code::Replayed => WindowError::Replayed.into(),
        Code::Exhausted => PairError::Exhausted,
        _ => PairError::Lost,
    }
}

/// Tries whether pairs can be kept at a place.
///
/// # Errors
/// Why not, if only for now.
pub async fn try_out(settings: &config::Redis) -> Result<(), Unavailable> {
    let tried = async { Server::new(settings)?.tried().await };
    tried.await.map_err(|error: NodeError| Unavailable::because(error.why()))
}

impl PairStore for RedisStore {
    fn prepare(&self) -> Reply<'_, Result<(), Unavailable>> {
        later(async {
            match self.0.server()?.tried().await {
                // It may be reached later.
                Ok(()) | Err(NodeError::Unreachable(_)) => Ok(()),
                Err(error) => Err(Unavailable::because(error.why())),
            }
        })
    }

    fn create_all(
        &self,
        owner: Owner,
        _: Option<Network>,
        pairs: Vec<NewPair>,
    ) -> Reply<'_, Result<(), CreateError>> {
        later(self.0.create(owner, pairs))
    }

    fn begin<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<Snapshot, PairError>> {
        later(self.0.begin(owner, pair_id))
    }

    fn refresh<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<Snapshot, PairError>> {
        later(self.0.refresh(owner, pair_id))
    }

    fn commit<'a>(
        &'a self,
        owner: Owner,
        pair_id: &'a str,
        commit: Commit,
    ) -> Reply<'a, Result<Committed, PairError>> {
        later(self.0.commit(owner, pair_id, commit))
    }

    fn remove<'a>(&'a self, owner: Owner, pair_id: &'a str) -> Reply<'a, Result<bool, Unavailable>> {
        later(self.0.remove(owner, pair_id))
    }

    /// Other relays may serve the tenant: it is only forgotten here.
    fn remove_tenant(&self, tenant: TenantId) -> Reply<'_, Result<(), Unavailable>> {
        self.0.cache.remove_tenant(tenant);
        at_once(Ok(()))
    }

    fn sweep(&self) -> Reply<'_, Result<(), Unavailable>> {
        later(self.0.probe())
    }

    fn count(&self, tenant: Option<TenantId>) -> Reply<'_, Result<usize, Unavailable>> {
        match tenant {
            None => later(self.0.count()),
            Some(_) => at_once(Err(unavailable("the names of pairs in Redis do not show their tenants"))),
        }
    }

    fn set_limits(&self, limits: config::Pairs) {
        self.0.limits.store(Arc::new(limits));
    }

    fn set_tenants(&self, domains: &Domains) {
        let keys = domains.tenants().filter_map(|tenant| Some((tenant.id, tenant.state_keys.clone()?)));
        self.0.tenants.store(Arc::new(keys.collect()));
    }
}
