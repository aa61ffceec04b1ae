//! A request's numbers, spent in one round trip.

use std::{sync::Arc, time::Duration};

use mte_codec::{NUMBER_LIMIT, WindowError};

use super::{
    Inner, PairNames,
    cache::Entry,
    node::Failed,
    record::Head,
    refusal,
    scripts::{Answer, Code},
    unavailable,
    update::Update,
};
use crate::pairs::{Commit, Committed, Owner, PairError, Unavailable};

impl Inner {
    pub(super) async fn commit(
        &self,
        owner: Owner,
        pair_id: &str,
        commit: Commit,
    ) -> Result<Committed, PairError> {
        let last = commit.first.checked_add(commit.count.saturating_sub(1));
        if last.is_none_or(|last| last >= NUMBER_LIMIT) {
            return Err(WindowError::Exhausted.into());
        }
        let named = PairNames::new(owner, pair_id);
        let entry = self.cache.get(&named.record, self.now());
        let entry = entry.filter(|entry| entry.head.generation == commit.generation);
        let keys = self.keys_of(owner.tenant)?;
        let cipher = keys.current.cipher(&named.sealed(commit.generation));
        let cipher = cipher.map_err(|_| unavailable("a pair's key cannot be made"))?;
        let update = Update::new(&commit, entry.as_deref(), keys.current.id(), &cipher);
        let answer = self.send(&named, &commit, &update, keys.current.id()).await?;
        if answer.code != Code::Ok {
            // What is taken, or too far ahead, says nothing against what is remembered.
            if !matches!(answer.code, Code::Replayed | Code::Outside) {
                self.cache.remove(&named.record);
            }
            return Err(refusal(answer.code));
        }
        self.committed(&named, &commit, update, &answer)
    }

    async fn send(
        &self,
        named: &PairNames<'_>,
        commit: &Commit,
        update: &Update,
        key_id: u32,
    ) -> Result<Answer, PairError> {
        let ([idle, unused, age], time) = (self.limits(), self.given_time());
        let [first, count, reserve] = [commit.first, commit.count, commit.reserve].map(|n| n.to_string());
        let (key_id, known) = (key_id.to_be_bytes(), update.known.epochs().to_bytes());
        let arguments: [&[u8]; 12] = [
            time.as_bytes(),
            idle.as_bytes(),
            unused.as_bytes(),
            age.as_bytes(),
            &commit.generation.0,
            first.as_bytes(),
            count.as_bytes(),
            reserve.as_bytes(),
            &key_id,
            &known,
            &update.c2s,
            &update.s2c,
        ];
        let keys = [named.record.clone()];
        let sent = self.run(|all| &all.commit, &keys, &arguments).await;
        sent.map_err(|failed| match failed {
            Failed::NotExecuted(why) => Unavailable::because(why).into(),
            Failed::Unknown(why) => PairError::Unknown(Unavailable::because(why)),
        })
    }

    /// What a commit has reserved. The numbers are spent: whatever cannot be read of the answer is unknown.
    fn committed(
        &self,
        named: &PairNames<'_>,
        commit: &Commit,
        update: Update,
        answer: &Answer,
    ) -> Result<Committed, PairError> {
        let unreadable = || PairError::Unknown(unavailable("the answer to a commit cannot be read"));
        let head = answer.bytes(2).and_then(Head::parse).ok_or_else(unreadable)?;
        let response = answer.int(1).ok_or_else(unreadable)?;
        let said = update.read(answer, &head, |key_id| self.cipher(named, commit.generation, key_id).ok());
        let (encoder, secrets) = said.ok_or_else(unreadable)?;
        let server_time = Duration::from_millis(answer.int(0).unwrap_or_default());
        let tenant = named.owner.tenant;
        let entry = Entry { tenant, head, secrets, answered: self.now(), server_time };
        self.cache.put(&named.record, Arc::new(entry));
        Ok(Committed { response, encoder })
    }
}
