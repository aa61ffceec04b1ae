//! Stores for these tests only.

mod bytes;
mod faulty;

pub(super) use self::{
    bytes::BytesStore,
    faulty::{Fault, FaultyStore, REASON},
};
