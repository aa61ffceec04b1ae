//! What pairs are called in Redis. Names are digests: they have a fixed length, and do not show who has a pair.
//!
//! `mte:{T}:P` holds a pair and `mte:{T}` its owner's index. The braces make all of an owner's keys one slot of a cluster.

use std::ops::RangeInclusive;

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::pairs::Owner;

/// The slots of a cluster.
pub(super) const SLOTS: u16 = 16_384;

/// A digest of 16 bytes, as base64url.
fn name(parts: &[&[u8]]) -> String {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    URL_SAFE_NO_PAD.encode(&context.finish().as_ref()[..16])
}

/// The index of an owner's pairs.
pub(super) fn index(owner: &Owner) -> String {
    format!("mte:{{{}}}", name(&[owner.tenant.as_bytes(), owner.client.as_bytes()]))
}

/// What a pair is called in its owner's index.
pub(super) fn member(pair_id: &str) -> String {
    name(&[pair_id.as_bytes()])
}

/// The record of a pair.
pub(super) fn record(index: &str, member: &str) -> String {
    format!("{index}:{member}")
}

/// The slot of a key: a digest of what is between its first braces.
pub(super) fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(key, |(tag, _)| tag);
    crc16(tag.as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, by which Redis Cluster shares keys out.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

/// An index that no owner has, in one of these slots.
pub(super) fn probe_in(slots: RangeInclusive<u16>) -> String {
    let mut named = (0_u32..).map(|number| format!("mte:{{probe-{number}}}"));
    named.find(|name| slots.contains(&slot(name))).unwrap_or_default()
}

/// The keys of the script that tries a server.
pub(super) fn probed(index: &str) -> [String; 2] {
    [index.to_owned(), record(index, "probe")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        // The check value of CRC-16/XMODEM, and what CLUSTER KEYSLOT of Redis 7.0 says.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!((slot("foo"), slot("mte:{foo}:bar"), slot("mte:{foo}")), (12_182, 12_182, 12_182));
        for slots in [0..=0, 5_461..=10_922, 16_383..=16_383] {
            assert!(slots.contains(&slot(&probed(&probe_in(slots.clone()))[1])));
        }
    }
}
