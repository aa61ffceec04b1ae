//! Pairs that are stored, all or none. The owner's index is read first, and the script is given every record that it names: if
//! the index has changed meanwhile, it is read once more.

use redis::Value;

use super::{Inner, PairNames, keys, record, scripts::Code, unavailable};
use crate::pairs::{CreateError, NewPair, Owner, PairEvent, Unavailable};

/// Attempts, where others make pairs of the same client at the same time.
const ATTEMPTS: usize = 8;

impl Inner {
    pub(super) async fn create(&self, owner: Owner, pairs: Vec<NewPair>) -> Result<(), CreateError> {
        let index = keys::index(&owner);
        let made = self.records(owner, &pairs)?;
        let members: Vec<String> = pairs.iter().map(|pair| keys::member(&pair.pair_id)).collect();
        let authenticated = pairs.iter().all(|pair| pair.relay_key.is_some());
        for _ in 0..ATTEMPTS {
            let indexed = self.indexed(&index).await?;
            let named = members.iter().chain(&indexed).map(|member| keys::record(&index, member));
            let keys: Vec<String> = std::iter::once(index.clone()).chain(named).collect();
            let [idle, unused, age] = self.limits();
            let head = [
                self.given_time(),
                idle,
                unused,
                age,
                self.limits.load().max_per_client.to_string(),
                pairs.len().to_string(),
                u8::from(authenticated).to_string(),
            ];
            let mut arguments: Vec<&[u8]> = head.iter().map(String::as_bytes).collect();
            arguments.extend(made.iter().map(Vec::as_slice));
            arguments.extend(members.iter().chain(&indexed).map(String::as_bytes));
            let answer = self.run(|all| &all.create, &keys, &arguments).await;
            let answer = answer.map_err(Unavailable::from)?;
            let at = |index| answer.int(index).unwrap_or_default() as usize;
            match answer.code {
                Code::Ok => {
                    // What stood under these names before is another pair.
                    keys[1..].iter().for_each(|key| self.cache.remove(key));
                    self.say(owner, PairEvent::Created, pairs.len());
                    self.say(owner, PairEvent::Evicted, at(0));
                    self.say(owner, PairEvent::Expired, at(1));
                    return Ok(());
                }
                Code::Changed => {}
                Code::Exists => return Err(CreateError::Exists(at(0))),
                Code::Full => return Err(CreateError::Full),
                _ => return Err(unavailable("Redis did not store the pairs").into()),
            }
        }
        Err(unavailable("too many others make pairs of this client").into())
    }

    fn say(&self, owner: Owner, event: PairEvent, count: usize) {
        if count > 0 {
            self.outside.events.happened(owner.tenant, event, count);
        }
    }

    fn records(&self, owner: Owner, pairs: &[NewPair]) -> Result<Vec<Vec<u8>>, Unavailable> {
        let keys = self.keys_of(owner.tenant)?;
        let record = |pair: &NewPair| {
            let generation = (self.outside.generation)();
            let named = PairNames::new(owner, &pair.pair_id);
            let cipher = keys.current.cipher(&named.sealed(generation)).ok()?;
            record::of_new(pair, generation, keys.current.id(), &cipher)
        };
        let records: Option<Vec<_>> = pairs.iter().map(record).collect();
        records.ok_or_else(|| unavailable("a pair cannot be sealed"))
    }

    /// The names in an owner's index.
    async fn indexed(&self, index: &str) -> Result<Vec<String>, Unavailable> {
        let mut range = redis::cmd("ZRANGE");
        range.arg(index).arg(0).arg(-1);
        let reply = self.server()?.ask(index, range).await?;
        let Value::Array(members) = reply else { return Err(unavailable("ZRANGE has no such reply")) };
        let member = |member: Value| match member {
            Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
            _ => None,
        };
        members
            .into_iter()
            .map(member)
            .collect::<Option<_>>()
            .ok_or_else(|| unavailable("an index with a strange name"))
    }
}
