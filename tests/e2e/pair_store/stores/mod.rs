//! Stores that are there for these tests.

mod bytes;
mod faulty;

pub(super) use self::{
    bytes::BytesStore,
    faulty::{Fault, FaultyStore, REASON},
};
