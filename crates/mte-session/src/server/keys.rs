//! The keys of a response, made when its request's numbers are spent.
//!
//! A response may begin long after its request, and an upload may take hours. A waiting exchange keeps these
//! keys, each for one message, and no epoch secret: so an epoch that a pair has left behind is wiped however many of
//! its exchanges are still running (docs/codec.md, section 3).

use mte_codec::{EncodeType, Numbers, Place, Prepared, SealError};
use rand::CryptoRng;

/// Headers and body: two messages at most.
pub const RESPONSE_MESSAGES: u64 = 2;

/// What a response's messages are sealed with; each is taken once.
pub struct ResponseKeys {
    /// One for each possible place of the header message: it says whether a body follows.
    head: [Option<(Place, Prepared)>; 2],
    body: Option<Prepared>,
    first: u64,
}

impl ResponseKeys {
    /// Makes the keys of the response that `numbers` are reserved for.
    ///
    /// # Errors
    /// [`SealError::NoSecret`] if they are not, or their epoch's secret is not available.
    pub fn new(
        numbers: &Numbers,
        encode_type: EncodeType,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SealError> {
        let mut key = |index, place| numbers.slot(index, encode_type, place)?.prepare(rng);
        let mut head = |following| {
            let place = Place::text(0, following);
            Ok(Some((place, key(0, place)?)))
        };
        let head = [head(0)?, head(1)?];
        Ok(Self { head, body: Some(key(1, Place::raw(1, 0))?), first: numbers.first() })
    }

    /// The key of the header message at `place`; those for the other places are wiped.
    ///
    /// # Errors
    /// [`SealError::NoSecret`] if it was taken before, or the message cannot have this place.
    pub fn take_head(&mut self, place: Place) -> Result<Prepared, SealError> {
        let keys = std::mem::take(&mut self.head);
        let key = keys.into_iter().flatten().find(|(of, _)| *of == place);
        key.map(|(_, key)| key).ok_or(SealError::NoSecret(self.first))
    }

    /// The key of the body's message.
    ///
    /// # Errors
    /// [`SealError::NoSecret`] if it was taken before.
    pub fn take_body(&mut self) -> Result<Prepared, SealError> {
        self.body.take().ok_or(SealError::NoSecret(self.first + 1))
    }
}

#[cfg(test)]
mod tests {
    use mte_codec::EpochSecret;

    use super::*;

    #[test]
    fn every_key_is_taken_once() {
        let numbers = Numbers::new(62, RESPONSE_MESSAGES, EpochSecret::from_bytes(0, &[7; 32]));
        let mut keys = ResponseKeys::new(&numbers, EncodeType::Mke, &mut rand::rng()).unwrap();
        assert!(keys.take_body().is_ok());
        assert_eq!(keys.take_body().err(), Some(SealError::NoSecret(63)));
        assert!(keys.take_head(Place::text(0, 1)).is_ok());
        assert_eq!(keys.take_head(Place::text(0, 1)).err(), Some(SealError::NoSecret(62)));
        assert_eq!(keys.take_head(Place::text(0, 0)).err(), Some(SealError::NoSecret(62)));
    }
}
