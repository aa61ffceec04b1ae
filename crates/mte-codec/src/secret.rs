//! Secret bytes that stay in one place: wiped there, never printed, never moved.
//!
//! A value that moves leaves a copy of itself where it was, and no `Drop` reaches that copy. So secret bytes are written where
//! they will stay, on the heap, and only pointers to them move; clones share them. The last owner wipes them.

use std::sync::Arc;

use zeroize::Zeroizing;

/// `N` secret bytes on the heap.
#[derive(Clone)]
pub(crate) struct Secret<const N: usize = 32>(Arc<Zeroizing<[u8; N]>>);

impl<const N: usize> Secret<N> {
    /// A copy of `bytes`. The caller is responsible for the original.
    pub(crate) fn copied(bytes: &[u8; N]) -> Self {
        Self::written(|secret| secret.copy_from_slice(bytes))
    }

    /// A secret whose bytes `write` writes in place.
    pub(crate) fn written(write: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self::zeroed();
        write(secret.make_mut());
        secret
    }

    /// As [`Secret::written`], where writing can fail.
    pub(crate) fn filled<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self::zeroed();
        fill(secret.make_mut())?;
        Ok(secret)
    }

    pub(crate) fn bytes(&self) -> &[u8; N] {
        &self.0
    }

    fn zeroed() -> Self {
        Self(Arc::new(Zeroizing::new([0; N])))
    }

    /// Called on secrets that nothing shares yet, for which it copies nothing.
    fn make_mut(&mut self) -> &mut [u8; N] {
        let bytes: &mut Zeroizing<_> = Arc::make_mut(&mut self.0);
        bytes
    }
}

impl<const N: usize> std::fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
