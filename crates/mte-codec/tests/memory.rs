//! Reads this process's own memory: a live secret is there once, and a wiped one not at all.
//!
//! This program has a single test, because the copies of other threads would be found as well.
#![cfg(target_os = "linux")]

use std::{fs::File, os::unix::fs::FileExt};

use mte_codec::{
    DecoderState, EncodeType, EncoderState, EpochSecret, Expected, KemId, Opener, Place,
    kem::{DecapsulationKey, encapsulate},
    open,
    schedule::{RootInputs, root},
    seal,
};

/// A secret stored inverted, so that the test's own copy is not found.
struct Wanted {
    what: &'static str,
    inverted: [u8; 32],
}

impl Wanted {
    fn new(what: &'static str, secret: &[u8; 32]) -> Self {
        Self { what, inverted: std::array::from_fn(|index| !secret[index]) }
    }

    fn epoch(what: &'static str, secret: &EpochSecret, index: u64) -> Self {
        Self::new(what, secret.at(index).unwrap().as_bytes())
    }
}

/// How often each secret occurs in this process's writable memory.
fn count(wanted: &[Wanted]) -> Vec<(&'static str, usize)> {
    let mut buffer = vec![0u8; 1 << 20];
    let own = buffer.as_ptr_range();
    let (own, maps) =
        (own.start as usize..own.end as usize, std::fs::read_to_string("/proc/self/maps").unwrap());
    let memory = File::open("/proc/self/mem").unwrap();
    let mut counts = vec![0; wanted.len()];
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")))
    {
        let (start, end) = line.split(' ').next().and_then(|range| range.split_once('-')).unwrap();
        let address = |text| usize::from_str_radix(text, 16).unwrap();
        let (mut at, end) = (address(start), address(end));
        while at < end {
            // Parts overlap by the length of a secret; this buffer itself is left out.
            if own.contains(&at) {
                at = own.end;
                continue;
            }
            let stop = if at < own.start { end.min(own.start) } else { end };
            let len = buffer.len().min(stop - at);
            let Ok(()) = memory.read_exact_at(&mut buffer[..len], at as u64) else { break };
            for (wanted, count) in wanted.iter().zip(&mut counts) {
                let first = !wanted.inverted[0];
                let starts = memchr(first, &buffer[..len]);
                *count += starts.filter(|start| matches(&buffer[*start..len], &wanted.inverted)).count();
            }
            at += if len == buffer.len() { len - 31 } else { len };
        }
    }
    wanted.iter().map(|wanted| wanted.what).zip(counts).collect()
}

fn memchr(byte: u8, bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.iter().enumerate().filter(move |(_, other)| **other == byte).map(|(index, _)| index)
}

fn matches(bytes: &[u8], inverted: &[u8; 32]) -> bool {
    bytes.len() >= 32 && bytes.iter().zip(inverted).all(|(one, other)| *one == !*other)
}

#[track_caller]
fn expect(wanted: &[Wanted], copies: usize, when: &str) {
    for (what, count) in count(wanted) {
        assert_eq!(count, copies, "copies of {what} {when}");
    }
}

const BODY: Place = Place::raw(0, 0);

/// Creates one direction of a pair, sends messages of every kind until epoch 20, and searches the memory.
fn exchange(id: KemId) {
    let mut rng = rand::rng();
    let key = DecapsulationKey::generate(id, &mut rng);
    let (ciphertext, entropy) = encapsulate(key.encapsulation_key(), &mut rng).unwrap();
    let received = key.decapsulate(&ciphertext).unwrap();
    drop(key);
    let both = [Wanted::new("the entropy", entropy.as_bytes())];
    expect(&both, 2, "while sender and receiver have it");
    drop(received);
    expect(&both, 1, "once the receiver has dropped it");

    let first = root(&entropy, &RootInputs::new("1", "personalization")).unwrap();
    drop(entropy);
    expect(&both, 0, "once it was used");

    let epochs = [
        Wanted::epoch("epoch 0", &first, 0),
        Wanted::epoch("epoch 1", &first, 1),
        Wanted::epoch("epoch 2", &first, 2),
        Wanted::epoch("epoch 3", &first, 3),
    ];
    expect(&epochs[..1], 1, "while it is shared by encoder and decoder");
    expect(&epochs[1..], 0, "before they come");
    let mut decoder = DecoderState::new(first.clone());
    let mut encoder = EncoderState::new(first);
    let mut streams = Vec::new();
    for round in 0..20 * 32 {
        let encode_type = if round % 3 == 0 { EncodeType::Mte } else { EncodeType::Mke };
        let expected = Expected { encode_type, place: BODY };
        let slot = encoder.reserve(1).unwrap().slot(0, encode_type, BODY).unwrap();
        let mut message = if round % 3 == 2 {
            // A stream continues while others begin and end: both ends hold only its own key.
            let mut sealer = seal::Sealer::new(&slot, &mut rng).unwrap();
            let message = sealer.seal(b"the beginning", false).unwrap();
            let mut opener = Opener::new(decoder.secrets.clone(), expected, Default::default());
            opener.push(&message);
            assert!(!opener.next_frame().unwrap().unwrap().last);
            streams.push((sealer, opener));
            message.to_vec()
        } else {
            seal::message(slot, b"plaintext", &mut rng).unwrap()
        };
        let number = match round % 3 {
            2 => u64::from_be_bytes(message[2..10].try_into().unwrap()),
            _ => open::message(&decoder.secrets, expected, &mut message).unwrap().number,
        };
        decoder.commit(number, 1).unwrap();
    }
    expect(&epochs, 0, "after epoch 20");
    for (sealer, opener) in &mut streams {
        opener.push(&sealer.seal(b"the end", true).unwrap());
        assert!(opener.next_frame().unwrap().unwrap().last);
    }
    expect(&epochs, 0, "after streams of epochs 0 to 20 have ended");
}

#[test]
fn a_live_secret_is_in_memory_once_and_a_wiped_one_nowhere() {
    for id in KemId::ALL {
        exchange(id);
    }
}
