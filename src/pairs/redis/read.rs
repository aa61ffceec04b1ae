//! A pair as it stands in Redis, or as this relay remembers it.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use mte_codec::EpochSecret;

use super::{
    Inner, PairNames,
    cache::Entry,
    record::{Head, Secrets},
    refusal,
    scripts::{Answer, Code},
};
use crate::pairs::{Age, Owner, PairError, Snapshot, Unavailable};

/// What the last read of a record said, and when it began in the order of all reads.
pub(super) struct LastRead {
    began: u64,
    said: Result<Arc<Entry>, PairError>,
}

impl Inner {
    /// Whether what the cache has is of use: by the clock of Redis, as far as it is known here.
    fn is_live(&self, entry: &Entry) -> bool {
        let now = entry.server_time + self.now().saturating_sub(entry.answered);
        entry.head.age(&self.limits.load(), now) == Age::Live
    }

    pub(super) async fn begin(&self, owner: Owner, pair_id: &str) -> Result<Snapshot, PairError> {
        let named = PairNames::new(owner, pair_id);
        let known = self.cache.get(&named.record, self.now()).filter(|entry| self.is_live(entry));
        let entry = match known {
            Some(entry) => entry,
            None => self.read(&named).await?,
        };
        snapshot(&entry)
    }

    pub(super) async fn refresh(&self, owner: Owner, pair_id: &str) -> Result<Snapshot, PairError> {
        snapshot(&*self.read(&PairNames::new(owner, pair_id)).await?)
    }

    /// Reads a pair. However many ask at once, one read is on its way and one waits for all that came since it began.
    async fn read(&self, named: &PairNames<'_>) -> Result<Arc<Entry>, PairError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let gate = self.gate(&named.record);
        let mut last = gate.lock().await;
        if last.began > asked {
            return last.said.clone();
        }
        last.began = self.asked.fetch_add(1, Ordering::Relaxed);
        last.said = self.read_now(named).await;
        last.said.clone()
    }

    fn gate(&self, record: &str) -> Arc<tokio::sync::Mutex<LastRead>> {
        let mut reads = self.reads.lock();
        if let Some(gate) = reads.get(record).and_then(Weak::upgrade) {
            return gate;
        }
        reads.retain(|_, gate| gate.strong_count() > 0);
        let fresh = LastRead { began: 0, said: Err(PairError::NotFound) };
        let gate = Arc::new(tokio::sync::Mutex::new(fresh));
        reads.insert(record.to_owned(), Arc::downgrade(&gate));
        gate
    }

    async fn read_now(&self, named: &PairNames<'_>) -> Result<Arc<Entry>, PairError> {
        let ([idle, unused, age], time) = (self.limits(), self.given_time());
        let arguments = [&time, &idle, &unused, &age].map(|text| text.as_bytes());
        let keys = [named.record.clone()];
        let answer = self.run(|all| &all.read, &keys, &arguments).await.map_err(Unavailable::from)?;
        if answer.code != Code::Ok {
            self.cache.remove(&named.record);
            return Err(refusal(answer.code));
        }
        let entry = self.entry(named, &answer)?;
        self.cache.put(&named.record, entry.clone());
        Ok(entry)
    }

    fn entry(&self, named: &PairNames<'_>, answer: &Answer) -> Result<Arc<Entry>, PairError> {
        let record = answer.bytes(1).ok_or(PairError::Lost)?;
        let head = Head::parse(record).ok_or(PairError::Lost)?;
        let cipher = self.cipher(named, head.generation, head.key_id)?;
        let secrets = Secrets::open(record, head.epochs, &cipher).ok_or(PairError::Lost)?;
        let server_time = Duration::from_millis(answer.int(0).unwrap_or_default());
        Ok(Arc::new(Entry { tenant: named.owner.tenant, head, secrets, answered: self.now(), server_time }))
    }
}

fn snapshot(entry: &Entry) -> Result<Snapshot, PairError> {
    let Entry { head, secrets, .. } = entry;
    let decoder = secrets.decoder(&head.window).ok_or(PairError::Lost)?;
    let epoch = EpochSecret::index_of(head.next_response);
    Ok(Snapshot {
        generation: head.generation,
        decoder,
        window: head.window.clone(),
        encoder: secrets.s2c.at(epoch).ok_or(PairError::Lost)?,
        next_response: head.next_response,
    })
}
