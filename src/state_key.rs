//! Keys that seal pairs' secrets for a store outside of this process. They keep out who reads the store, not who writes there.
//!
//! Everything that could vary is in the key: the version, the key's id, the pair's name and its generation. The nonce is the
//! direction and the epoch, so a nonce meets one plaintext only, however often, and by whichever relay, it is sealed.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
};
use mte_codec::EpochSecret;
use mte_session::store::Generation;
use zeroize::Zeroizing;

/// Bytes of a sealed secret: 32 and a tag.
pub const SEALED_LEN: usize = 48;

const VERSION: u8 = 1;

/// The direction that a secret is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From client to server.
    ClientToServer = 1,
    /// From server to client.
    ServerToClient = 2,
}

/// What a sealed secret belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Sealed<'a> {
    /// The tenant.
    pub tenant: &'a [u8],
    /// The client.
    pub client: &'a [u8],
    /// The pair's id.
    pub pair_id: &'a str,
    /// Its generation.
    pub generation: Generation,
}

/// One key. It shows only its id.
#[derive(Clone)]
pub struct StateKey {
    id: u32,
    secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateKey").field("id", &self.id).finish_non_exhaustive()
    }
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

impl StateKey {
    /// The key that comes of a secret of whatever length.
    ///
    /// # Errors
    /// If the library refuses, which it does not for these sizes.
    pub fn derive(secret: &[u8]) -> Result<Self, Unspecified> {
        let prk = Salt::new(HKDF_SHA256, b"mte-relay/1 state key").extract(secret);
        let (mut id, mut key) = ([0; 4], Zeroizing::new([0; 32]));
        prk.expand(&[b"id"], Len(4))?.fill(&mut id)?;
        prk.expand(&[b"key"], Len(32))?.fill(&mut *key)?;
        Ok(Self { id: u32::from_be_bytes(id), secret: key })
    }

    /// Names the key in a store.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The cipher of one pair.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn cipher(&self, of: &Sealed<'_>) -> Result<PairCipher, Unspecified> {
        let lengths = [of.tenant, of.client, of.pair_id.as_bytes()].map(|part| part.len() as u16);
        let [tenant, client, pair] = lengths.map(u16::to_be_bytes);
        let info: [&[u8]; 10] = [
            b"mte-relay/1 state",
            &[VERSION],
            &self.id.to_be_bytes(),
            &tenant,
            of.tenant,
            &client,
            of.client,
            &pair,
            of.pair_id.as_bytes(),
            &of.generation.0,
        ];
        let mut key = Zeroizing::new([0; 32]);
        Prk::new_less_safe(HKDF_SHA256, &*self.secret).expand(&info, Len(32))?.fill(&mut *key)?;
        Ok(PairCipher(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key)?)))
    }
}

/// Seals and opens the secrets of one pair.
pub struct PairCipher(LessSafeKey);

impl PairCipher {
    fn nonce(direction: Direction, epoch: u32) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&(direction as u32).to_be_bytes());
        nonce[4..].copy_from_slice(&u64::from(epoch).to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals a secret.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn seal(&self, direction: Direction, secret: &EpochSecret) -> Result<[u8; SEALED_LEN], Unspecified> {
        let mut sealed = [0; SEALED_LEN];
        let (bytes, tag) = sealed.split_at_mut(32);
        bytes.copy_from_slice(secret.as_bytes());
        let nonce = Self::nonce(direction, secret.index());
        tag.copy_from_slice(self.0.seal_in_place_separate_tag(nonce, Aad::empty(), bytes)?.as_ref());
        Ok(sealed)
    }

    /// Opens the secret of an epoch.
    ///
    /// # Errors
    /// If it was sealed for another pair, direction or epoch, with another key, or was changed.
    pub fn open(&self, direction: Direction, epoch: u32, sealed: &[u8]) -> Result<EpochSecret, Unspecified> {
        let mut bytes = Zeroizing::new([0; SEALED_LEN]);
        bytes.copy_from_slice(
            sealed.get(..SEALED_LEN).filter(|_| sealed.len() == SEALED_LEN).ok_or(Unspecified)?,
        );
        let opened = self.0.open_in_place(Self::nonce(direction, epoch), Aad::empty(), &mut *bytes)?;
        Ok(EpochSecret::from_bytes(epoch, opened.first_chunk().ok_or(Unspecified)?))
    }
}

/// The key that seals, and its predecessor, which still opens while a rotation is under way.
#[derive(Debug, Clone)]
pub struct StateKeys {
    /// Seals and opens.
    pub current: StateKey,
    /// Still opens.
    pub previous: Option<StateKey>,
}

impl StateKeys {
    /// The key of an id, if it is one of these.
    pub fn find(&self, id: u32) -> Option<&StateKey> {
        std::iter::once(&self.current).chain(&self.previous).find(|key| key.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pair_id: &str, generation: u8) -> Sealed<'_> {
        Sealed { tenant: b"tenant", client: b"client", pair_id, generation: Generation([generation; 16]) }
    }

    #[test]
    fn a_sealed_secret_opens_for_its_own_pair_generation_direction_and_epoch_only() {
        let key = StateKey::derive(b"a secret").unwrap();
        let secret = EpochSecret::from_bytes(5, &[7; 32]);
        let cipher = key.cipher(&of("a", 1)).unwrap();
        let sealed = cipher.seal(Direction::ClientToServer, &secret).unwrap();
        let open = |cipher: PairCipher, direction, epoch| {
            cipher.open(direction, epoch, &sealed).map(|opened| *opened.as_bytes())
        };
        let cipher = |key: &StateKey, of| key.cipher(&of).unwrap();
        assert_eq!(open(cipher(&key, of("a", 1)), Direction::ClientToServer, 5), Ok([7; 32]));
        assert!(open(cipher(&key, of("b", 1)), Direction::ClientToServer, 5).is_err());
        assert!(open(cipher(&key, of("a", 2)), Direction::ClientToServer, 5).is_err());
        assert!(open(cipher(&key, of("a", 1)), Direction::ServerToClient, 5).is_err());
        assert!(open(cipher(&key, of("a", 1)), Direction::ClientToServer, 6).is_err());
        let other = StateKey::derive(b"another secret").unwrap();
        assert!(open(cipher(&other, of("a", 1)), Direction::ClientToServer, 5).is_err());
        assert_ne!(other.id(), key.id());
    }

    #[test]
    fn the_parts_of_a_name_do_not_run_into_each_other() {
        let key = StateKey::derive(b"a secret").unwrap();
        let one = Sealed { tenant: b"ab", client: b"c", ..of("x", 1) };
        let other = Sealed { tenant: b"a", client: b"bc", ..of("x", 1) };
        let secret = EpochSecret::from_bytes(0, &[7; 32]);
        let sealed =
            |of: &Sealed<'_>| key.cipher(of).unwrap().seal(Direction::ServerToClient, &secret).unwrap();
        assert_ne!(sealed(&one), sealed(&other));
    }

    #[test]
    fn keys_show_no_secret() {
        let key = StateKey::derive(b"a secret").unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains(&key.id().to_string()) && !shown.contains("secret:"), "{shown}");
    }
}
