//! Pairing (docs/protocol.md, section 2) and what a pair keeps: the state of its two directions, moved under short locks,
//! with the cryptography outside of them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mte_codec::{
    DecoderSecrets, DecoderState, EncoderState, EpochSecret, KemId, NUMBER_LIMIT, OpenError, SealError,
    direction::Numbers,
    kem::DecapsulationKey,
    schedule::{self, RootInputs},
};
use mte_protocol::pairing::{self, PairRequest};
use rand::Rng;

use super::{Error, PairingFailure};

/// Requests begun on a pair since its oldest one that still waits for its response. A decoder reaches 511 numbers back
/// (docs/codec.md, section 6) and a request takes up to three: beyond this a slow exchange would fall out of a window.
const MAX_BEHIND: u64 = 160;

/// Requested pairs without an answer yet: the client's half of a pairing.
pub struct Offer {
    kem: KemId,
    requests: Vec<PairRequest>,
    /// The secret keys of each pair: of its encoder, of its decoder.
    keys: Vec<(DecapsulationKey, DecapsulationKey)>,
}

impl Offer {
    /// Makes fresh keys, names and personalization strings for `count` pairs.
    pub fn new(count: usize, kem: KemId) -> Self {
        let mut rng = rand::rng();
        let mut offer = Self { kem, requests: Vec::with_capacity(count), keys: Vec::with_capacity(count) };
        for _ in 0..count {
            let encoder = DecapsulationKey::generate(kem, &mut rng);
            let decoder = DecapsulationKey::generate(kem, &mut rng);
            offer.requests.push(PairRequest {
                pair_id: random_id(),
                encoder_public_key: encoder.encapsulation_key().to_vec(),
                encoder_personalization: random_id(),
                decoder_public_key: decoder.encapsulation_key().to_vec(),
                decoder_personalization: random_id(),
            });
            offer.keys.push((encoder, decoder));
        }
        offer
    }

    /// The body of `POST /api/mte-pair`.
    pub fn to_json(&self) -> Vec<u8> {
        pairing::write_request(&self.requests)
    }

    /// Accepts the relay's answer. `client_id` is the signed id that the pairing was requested with.
    ///
    /// # Errors
    /// [`Error::Pairing`] if the answer does not fit.
    pub fn accept(self, client_id: &str, answer: &[u8]) -> Result<Vec<Arc<Pair>>, Error> {
        Ok(self.pairs(client_id, answer)?)
    }

    fn pairs(self, client_id: &str, answer: &[u8]) -> Result<Vec<Arc<Pair>>, PairingFailure> {
        let answers = pairing::parse_response(answer, &self.requests)?;
        let client_id: Arc<str> = client_id.into();
        let mut pairs = Vec::with_capacity(answers.len());
        for ((request, (encoder, decoder)), answer) in self.requests.into_iter().zip(self.keys).zip(answers) {
            // The answer is named from the server's side: its decoder is our encoder's peer.
            let c2s = root(
                &encoder,
                &answer.decoder_secret,
                answer.decoder_nonce,
                &request.encoder_personalization,
            )?;
            let s2c = root(
                &decoder,
                &answer.encoder_secret,
                answer.encoder_nonce,
                &request.decoder_personalization,
            )?;
            pairs.push(Arc::new(Pair {
                id: request.pair_id,
                client_id: Mutex::new(Arc::clone(&client_id)),
                kem: self.kem,
                sending: Mutex::new(Sending {
                    encoder: EncoderState::new(c2s),
                    begun: 0,
                    waiting: BTreeSet::new(),
                }),
                receiving: Mutex::new(DecoderState::new(s2c)),
            }));
        }
        Ok(pairs)
    }
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer")
            .field("pairs", &self.requests.len())
            .field("kem", &self.kem)
            .finish_non_exhaustive()
    }
}

fn root(
    key: &DecapsulationKey,
    ciphertext: &[u8],
    nonce: pairing::Nonce,
    personalization: &str,
) -> Result<EpochSecret, PairingFailure> {
    let entropy = key.decapsulate(ciphertext)?;
    Ok(schedule::root(&entropy, &RootInputs::new(&nonce.to_string(), personalization))?)
}

/// 128 random bits in hexadecimal: a unique name.
fn random_id() -> String {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// A pair: two one-way directions with a relay. It may have many requests in flight.
pub struct Pair {
    id: String,
    client_id: Mutex<Arc<str>>,
    kem: KemId,
    sending: Mutex<Sending>,
    receiving: Mutex<DecoderState>,
}

struct Sending {
    encoder: EncoderState,
    /// Requests begun so far.
    begun: u64,
    /// Those of them that wait for their response, by the count they began at.
    waiting: BTreeSet<u64>,
}

impl Pair {
    /// The pair's name, as in `x-mte-relay`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The signed client id that the pair belongs to.
    pub fn client_id(&self) -> Arc<str> {
        Arc::clone(&lock(&self.client_id))
    }

    /// Adopts the id of a response if it is the same client's, signed with a new key: the relay's secret is being rotated
    /// (docs/protocol.md, section 1). Whether it did.
    pub fn take_signature(&self, signed: &str) -> bool {
        let mut own = lock(&self.client_id);
        let same = signed.split('.').next() == own.split('.').next();
        let news = same && **own != *signed;
        if news {
            *own = signed.into();
        }
        news
    }

    /// The key encapsulation it was made with.
    pub fn kem(&self) -> KemId {
        self.kem
    }

    /// Whether no request may begin before an older one has its response, so that the older one does not fall out of a window.
    pub fn is_congested(&self) -> bool {
        let sending = lock(&self.sending);
        sending.waiting.first().is_some_and(|oldest| sending.begun - oldest >= MAX_BEHIND)
    }

    /// Whether its numbers are used up (docs/codec.md, section 6).
    pub fn is_spent(&self) -> bool {
        // A response takes two numbers of its own direction, so that one runs out first for requests without a body.
        let sending = lock(&self.sending);
        sending.encoder.next().max(sending.begun * 2) + 4 > NUMBER_LIMIT
    }

    /// Takes the numbers of one request.
    pub(super) fn begin(self: &Arc<Self>, messages: u64) -> Result<(Numbers, Ticket), SealError> {
        let mut sending = lock(&self.sending);
        let numbers = sending.encoder.reserve(messages)?;
        let begun = sending.begun;
        sending.begun += 1;
        sending.waiting.insert(begun);
        Ok((numbers, Ticket { pair: Arc::clone(self), begun }))
    }

    /// What to open responses with.
    pub(super) fn secrets(&self) -> DecoderSecrets {
        lock(&self.receiving).secrets.clone()
    }

    /// Takes the numbers of messages that verified.
    pub(super) fn commit(&self, first: u64, count: u64) -> Result<(), OpenError> {
        lock(&self.receiving).commit(first, count)
    }
}

/// Names the pair, and nothing that opens anything.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("id", &self.id).field("kem", &self.kem).finish_non_exhaustive()
    }
}

/// A request in flight on a pair, until it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    pair: Arc<Pair>,
    begun: u64,
}

impl Ticket {
    pub(super) fn pair(&self) -> &Arc<Pair> {
        &self.pair
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.pair.sending).waiting.remove(&self.begun);
    }
}

/// What the locks guard is consistent after every step, so a panic elsewhere does not corrupt it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
