//! The client id and the pairs of a client: made on first use, used in turn, dropped when the relay says so.
//!
//! Callers that come while a pairing is under way wait for it and share its result, including an error.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mte_protocol::Status;

use crate::{Error, wire::Pair};

/// More pairs than this are not kept, even if all of them wait for slow responses.
const MAX_PAIRS: usize = 100;

/// The result of a pairing.
pub(crate) struct NewPairs {
    pub(crate) client_id: String,
    pub(crate) pairs: Vec<Arc<Pair>>,
}

pub(crate) struct Pool {
    state: Mutex<State>,
    /// Held while pairing.
    pairing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    client_id: Option<String>,
    /// Each with the pairing it came from.
    pairs: Vec<(u64, Arc<Pair>)>,
    /// Whose turn it is.
    turn: usize,
    /// Pairings that were tried so far.
    tried: u64,
    /// Why the last one failed, if it did.
    failure: Option<Error>,
}

impl Pool {
    pub(crate) fn new(client_id: Option<String>) -> Self {
        let state = State { client_id, ..State::default() };
        Self { state: Mutex::new(state), pairing: tokio::sync::Mutex::new(()) }
    }

    pub(crate) fn client_id(&self) -> Option<String> {
        self.state().client_id.clone()
    }

    /// The next pair in turn. If there is none, `pair` makes new ones under the client id it is given.
    pub(crate) async fn take<F>(&self, pair: impl FnOnce(Option<String>) -> F) -> Result<Arc<Pair>, Error>
    where
        F: Future<Output = Result<NewPairs, Error>>,
    {
        let seen = {
            let mut state = self.state();
            match state.pick() {
                Some(pair) => return Ok(pair),
                None => state.tried,
            }
        };
        let _pairing = self.pairing.lock().await;
        let client_id = {
            let mut state = self.state();
            if let Some(pair) = state.pick() {
                return Ok(pair);
            }
            if state.tried != seen
                && let Some(failure) = &state.failure
            {
                return Err(failure.clone());
            }
            state.client_id.clone()
        };
        // If the caller gives up here, the next one in line starts over.
        let outcome = pair(client_id).await;
        let mut state = self.state();
        state.tried += 1;
        match outcome {
            Ok(new) => {
                let generation = state.tried;
                state.failure = None;
                state.client_id = Some(new.client_id);
                state.pairs.extend(new.pairs.into_iter().map(|pair| (generation, pair)));
                state.pick().ok_or_else(|| Error::Pairing("the relay answered without a pair".into()))
            }
            Err(error) => {
                state.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Drops what `status` invalidates (docs/protocol.md, section 5): the pair; on 560, where the relay seems to have
    /// lost its memory, all that came with it or before; on 566 the client id with all its pairs.
    pub(crate) fn drop_pair(&self, pair: &Arc<Pair>, status: u16) {
        let mut state = self.state();
        match Status::from_code(status) {
            Some(Status::PairNotFound) => {
                let generation = state
                    .pairs
                    .iter()
                    .find(|(_, one)| Arc::ptr_eq(one, pair))
                    .map(|(generation, _)| *generation);
                // If it is gone already, the caller that dropped it has dropped the others.
                if let Some(lost) = generation {
                    state.pairs.retain(|(generation, _)| *generation > lost);
                }
            }
            Some(Status::ClientIdInvalid) => {
                let refused = pair.client_id();
                if state.client_id.as_deref() == Some(&refused) {
                    state.client_id = None;
                }
                state.pairs.retain(|(_, one)| one.client_id() != refused);
            }
            _ => state.pairs.retain(|(_, one)| !Arc::ptr_eq(one, pair)),
        }
    }

    /// Adopts the id of a response, which is this client's, signed with a new key, for its other pairs as well.
    pub(crate) fn take_signature(&self, signed: &str) {
        let mut state = self.state();
        for (_, pair) in &state.pairs {
            pair.take_signature(signed);
        }
        state.client_id = Some(signed.to_owned());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Consistent after every step, so a panic elsewhere does not corrupt it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next pair that can take a request; `None` if more are needed.
    fn pick(&mut self) -> Option<Arc<Pair>> {
        self.pairs.retain(|(_, pair)| !pair.is_spent());
        let count = self.pairs.len();
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            let (_, pair) = &self.pairs[self.turn];
            if !pair.is_congested() {
                return Some(Arc::clone(pair));
            }
        }
        // All wait for old responses. Beyond the limit, late responses may be lost; more pairs would help less.
        (count >= MAX_PAIRS).then(|| Arc::clone(&self.pairs[self.turn].1))
    }
}
