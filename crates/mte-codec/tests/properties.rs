//! Properties of every message, state and order of arrival, not only of the vectors.

use std::collections::BTreeSet;

use bytes::BytesMut;
use mte_codec::{
    DecoderSecrets, DecoderState, EncodeType, EncoderState, EpochSecret, Expected, FRAME_OVERHEAD,
    HEADER_LEN, Header, KemError, KemId, MAX_FRAME, NUMBER_LIMIT, Numbers, OpenError, Opener, Place,
    SealError, Sealer, Window, WindowError,
    kem::{DecapsulationKey, encapsulate, encapsulate_with_rng},
    open,
    schedule::{self, RootInputs},
    seal,
};
use proptest::{prelude::*, sample::Index};
use rand::{SeedableRng, rngs::StdRng};
use support::{expected, memory, open_in_parts, open_whole, receive};

mod support;

const BODY: Place = Place::raw(0, 0);

fn root() -> EpochSecret {
    EpochSecret::from_bytes(0, &[7; 32])
}

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Non-repeating bytes, generated faster than random ones.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index ^ index >> 8 ^ index >> 16) as u8).collect()
}

/// Seals with `secret`.
fn sealed(
    secret: EpochSecret,
    number: u64,
    encode_type: EncodeType,
    place: Place,
    plaintext: &[u8],
) -> Vec<u8> {
    let slot = Numbers::new(number, 1, secret).slot(0, encode_type, place).unwrap();
    seal::message(slot, plaintext, &mut rand::rng()).unwrap()
}

fn encode_types() -> impl Strategy<Value = EncodeType> {
    prop_oneof![Just(EncodeType::Mke), Just(EncodeType::Mte)]
}

fn plaintexts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..400),
        2 => (0usize..5_000).prop_map(pattern),
        1 => (MAX_FRAME - 2..MAX_FRAME + 3).prop_map(pattern),
        1 => (2 * MAX_FRAME - 2..3 * MAX_FRAME).prop_map(pattern),
    ]
}

/// Possible framings of a sender: random sizes first, then frames of the largest size, and perhaps an empty one at the end.
fn framing(total: usize, draws: &[Index], empty_last: bool) -> Vec<usize> {
    let mut sizes = Vec::new();
    let mut rest = total;
    let mut draws = draws.iter();
    while rest > 0 {
        let most = rest.min(MAX_FRAME);
        let size = draws.next().map_or(most, |draw| 1 + draw.index(most));
        sizes.push(size);
        rest -= size;
    }
    if empty_last || total == 0 {
        sizes.push(0);
    }
    sizes
}

/// The bytes split at random places.
fn cut<'a>(bytes: &'a [u8], draws: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = draws.iter().map(|draw| draw.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
}

fn indices() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_plaintext_in_any_framing_opens_again_however_it_is_cut(
        encode_type in encode_types(),
        plaintext in plaintexts(),
        place in any::<u8>().prop_map(Place::from_byte),
        number in 0u64..4_096,
        (frames, empty_last, cuts) in (indices(), any::<bool>(), indices()),
        seed in any::<u64>(),
    ) {
        let total = match encode_type {
            EncodeType::Mke => plaintext.len(),
            EncodeType::Mte => (4 + plaintext.len()).next_multiple_of(64) * 2,
        };
        let sizes = framing(total, &frames, empty_last);
        let slot = Numbers::new(number, 1, root()).slot(0, encode_type, place).unwrap();
        let message = seal::message_in_frames(slot, &plaintext, sizes.clone(), &mut rng(seed)).unwrap();
        prop_assert_eq!(message.len(), HEADER_LEN + total + sizes.len() * FRAME_OVERHEAD);

        let mut decoder = DecoderState::new(root());
        let wanted = expected(encode_type, place);
        if encode_type == EncodeType::Mke {
            let opened = open_in_parts(&decoder.secrets, wanted, cut(&message, &cuts)).unwrap();
            prop_assert_eq!(opened.0, number);
            prop_assert!(opened.1 == plaintext);
        }
        prop_assert!(receive(&mut decoder, wanted, &message).unwrap() == plaintext);
        let again = receive(&mut decoder, wanted, &message);
        prop_assert_eq!(again, Err(OpenError::Number(WindowError::Replayed)));
    }

    #[test]
    fn a_stream_has_the_format_of_a_whole_message(
        parts in prop::collection::vec(prop_oneof![4 => 0usize..100, 1 => MAX_FRAME - 1..2 * MAX_FRAME + 2], 0..6),
        empty_last in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let slot = Numbers::new(5, 1, root()).slot(0, EncodeType::Mke, BODY).unwrap();
        let plaintext = pattern(parts.iter().sum());
        let (mut streamed, mut sizes, mut rest) = (Vec::new(), Vec::new(), plaintext.as_slice());
        let mut sealer = Sealer::new(&slot, &mut rng(seed)).unwrap();
        let ends = empty_last || parts.is_empty();
        for (index, len) in parts.iter().enumerate() {
            let (part, after) = rest.split_at(*len);
            let last = !ends && index + 1 == parts.len();
            let sent = sealer.seal(part, last).unwrap();
            prop_assert_eq!(sent.is_empty(), part.is_empty() && !last);
            streamed.extend_from_slice(&sent);
            sizes.extend(part.chunks(MAX_FRAME).map(<[u8]>::len));
            if last && part.is_empty() {
                sizes.push(0);
            }
            rest = after;
        }
        if ends {
            streamed.extend_from_slice(&sealer.seal(b"", true).unwrap());
            sizes.push(0);
        }
        prop_assert_eq!(sealer.seal(b"more", false), Err(SealError::Finished));
        prop_assert_eq!(sealer.seal(b"", true), Err(SealError::Finished));

        let whole = seal::message_in_frames(slot.clone(), &plaintext, sizes, &mut rng(seed)).unwrap();
        prop_assert!(streamed == whole);

        let at_once = Sealer::new(&slot, &mut rng(seed)).unwrap().seal(&plaintext, true).unwrap();
        prop_assert!(at_once == seal::message(slot, &plaintext, &mut rng(seed)).unwrap());
    }

    #[test]
    fn an_opener_keeps_less_than_a_frame_beside_what_was_pushed(
        len in 0usize..5 * MAX_FRAME,
        frames in indices(),
        chunk in prop_oneof![1usize..4_096, MAX_FRAME - 30..2 * MAX_FRAME],
        stop in any::<Index>(),
        keep in any::<bool>(),
    ) {
        let slot = Numbers::new(0, 1, root()).slot(0, EncodeType::Mke, BODY).unwrap();
        let sizes = framing(len, &frames, false);
        let message = seal::message_in_frames(slot, &pattern(len), sizes, &mut rng(1)).unwrap();
        let secrets = DecoderSecrets::new(root());
        let mut opener = Opener::new(secrets, expected(EncodeType::Mke, BODY), BytesMut::new());
        let mut kept = Vec::new();
        for part in message[..stop.index(message.len() + 1)].chunks(chunk) {
            opener.push(part);
            while let Some(frame) = opener.next_frame().unwrap() {
                // A caller may keep frames, or drop them immediately.
                if keep {
                    kept.push(frame);
                }
            }
        }
        let buffer = opener.into_buffer();
        prop_assert!(buffer.len() < MAX_FRAME + FRAME_OVERHEAD);
        // The buffer grows by doubling, in addition to the frames that it still shares with the caller.
        prop_assert!(buffer.capacity() <= 4 * (MAX_FRAME + FRAME_OVERHEAD + chunk), "{}", buffer.capacity());
    }
}

/// A change to a message in transit.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    /// The header or the first head is changed.
    Start(usize, u8),
    Cut(Index),
    Extend(Vec<u8>),
    Insert(Index, u8),
    Remove(Index, Index),
    Repeat(Index, Index),
    Swap(Index, Index),
    Overwrite(Index, Vec<u8>),
}

fn changes() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let bytes = || prop::collection::vec(any::<u8>(), 1..40);
    prop_oneof![
        6 => (at(), 0u32..8).prop_map(|(at, bit)| Change::Flip(at, 1 << bit)),
        // The header and the first head are short, and every byte of them matters.
        4 => (0usize..30, 1u8..).prop_map(|(at, bits)| Change::Start(at, bits)),
        2 => at().prop_map(Change::Cut),
        1 => bytes().prop_map(Change::Extend),
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => (at(), at()).prop_map(|(from, to)| Change::Remove(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
        2 => (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
        1 => (at(), bytes()).prop_map(|(at, bytes)| Change::Overwrite(at, bytes)),
    ]
}

impl Change {
    fn apply(&self, message: &[u8]) -> Vec<u8> {
        let mut changed = message.to_vec();
        let at = |index: &Index| index.index(message.len());
        let range = |a: &Index, b: &Index| at(a).min(at(b))..at(a).max(at(b)) + 1;
        match self {
            Self::Flip(index, bits) => changed[at(index)] ^= bits,
            Self::Start(at, bits) => changed[*at] ^= bits,
            Self::Cut(index) => changed.truncate(at(index)),
            Self::Extend(bytes) => changed.extend_from_slice(bytes),
            Self::Insert(index, byte) => changed.insert(at(index), *byte),
            Self::Remove(a, b) => drop(changed.drain(range(a, b))),
            Self::Repeat(a, b) => {
                let end = range(a, b).end;
                changed.splice(end..end, message[range(a, b)].iter().copied());
            }
            Self::Swap(a, b) => changed.swap(at(a), at(b)),
            Self::Overwrite(index, bytes) => {
                let end = message.len().min(at(index) + bytes.len());
                changed.splice(at(index)..end, bytes.iter().copied());
            }
        }
        changed
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_change_is_refused_and_leaves_the_decoder_as_it_was(
        encode_type in encode_types(),
        plaintext in prop::collection::vec(any::<u8>(), 0..200),
        frames in indices(),
        // Changes the header's number, the only field that a decoder reads before it verifies.
        (taken, ahead) in (0u64..3_000, 1u64..1_000),
        change in changes(),
    ) {
        let mut decoder = DecoderState::new(root());
        decoder.commit(taken, 1).unwrap();
        let number = taken + ahead;
        let total = match encode_type {
            EncodeType::Mke => plaintext.len(),
            EncodeType::Mte => (4 + plaintext.len()).next_multiple_of(64) * 2,
        };
        let slot = Numbers::new(number, 1, root()).slot(0, encode_type, BODY).unwrap();
        let sizes = framing(total, &frames, false);
        let message = seal::message_in_frames(slot, &plaintext, sizes, &mut rng(taken)).unwrap();
        let changed = change.apply(&message);
        prop_assume!(changed != message);

        let before = memory(&decoder);
        let wanted = expected(encode_type, BODY);
        prop_assert!(receive(&mut decoder, wanted, &changed).is_err());
        if let Some(header) = changed.first_chunk() && let Ok(header) = Header::parse(header) {
            let wanted = expected(header.encode_type, header.place);
            prop_assert!(receive(&mut decoder, wanted, &changed).is_err());
        }
        prop_assert_eq!(memory(&decoder), before);
        prop_assert!(receive(&mut decoder, wanted, &message).unwrap() == plaintext);
    }

    #[test]
    fn no_input_makes_it_panic(
        mut input in prop::collection::vec(any::<u8>(), 0..300),
        kind in 0u8..4,
        number in prop_oneof![0u64..5_000, any::<u64>()],
        head in prop_oneof![any::<u32>(), 0u32..300, (0u32..300).prop_map(|len| len | 1 << 31)],
        cuts in indices(),
    ) {
        if let Some(start) = input.first_chunk_mut::<30>() {
            start[0] = kind;
            start[1] = BODY.byte();
            start[2..10].copy_from_slice(&number.to_be_bytes());
            start[26..].copy_from_slice(&head.to_be_bytes());
        }
        let decoder = DecoderState::new(root());
        for encode_type in [EncodeType::Mke, EncodeType::Mte] {
            let wanted = expected(encode_type, BODY);
            prop_assert!(open_whole(&decoder.secrets, wanted, &input).is_err());
            prop_assert!(open_in_parts(&decoder.secrets, wanted, cut(&input, &cuts)).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_order_within_the_window_opens_each_message_once(
        base in 0u64..3_584,
        order in Just((0u64..512).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut decoder = DecoderState::new(root());
        let kind = |n: u64| if n.is_multiple_of(3) { EncodeType::Mte } else { EncodeType::Mke };
        let mut messages = Vec::new();
        let numbers = {
            let mut encoder = EncoderState::new(root());
            encoder.reserve(base).unwrap();
            encoder.reserve(512).unwrap()
        };
        for index in 0..512 {
            let slot = numbers.slot(index, kind(index), BODY).unwrap();
            prop_assert_eq!(slot.number, base + index);
            messages.push(seal::message(slot, &index.to_be_bytes(), &mut rng(index)).unwrap());
        }
        for (delivered, index) in order.iter().enumerate() {
            let wanted = expected(kind(*index), BODY);
            let message = &messages[*index as usize];
            prop_assert_eq!(receive(&mut decoder, wanted, message).unwrap(), index.to_be_bytes());
            let earlier = order[delivered / 2];
            let again = receive(&mut decoder, expected(kind(earlier), BODY), &messages[earlier as usize]);
            prop_assert_eq!(again, Err(OpenError::Number(WindowError::Replayed)));
        }
    }

    #[test]
    fn a_state_used_twice_never_repeats_a_key(
        before in 0u64..200,
        encode_type in encode_types(),
        plaintext in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut encoder = EncoderState::new(root());
        encoder.reserve(before).unwrap();
        let mut messages = Vec::new();
        for mut copy in [encoder.clone(), encoder] {
            let slot = copy.reserve(1).unwrap().slot(0, encode_type, BODY).unwrap();
            prop_assert_eq!(slot.number, before);
            messages.push(seal::message(slot, &plaintext, &mut rand::rng()).unwrap());
        }
        // The same number, but another header (and therefore another key), and different bytes after it.
        let [a, b] = messages.as_slice() else { unreachable!("two messages") };
        prop_assert_eq!(&a[..10], &b[..10]);
        prop_assert_ne!(&a[10..HEADER_LEN], &b[10..HEADER_LEN]);
        prop_assert_ne!(&a[HEADER_LEN + 4..], &b[HEADER_LEN + 4..]);
        let wanted = expected(encode_type, BODY);
        let crossed = [&a[..HEADER_LEN], &b[HEADER_LEN..]].concat();
        let fresh = DecoderState::new(root());
        prop_assert_eq!(open_whole(&fresh.secrets, wanted, &crossed), Err(OpenError::NotAuthentic));

        for (first, second) in [(a, b), (b, a)] {
            let mut decoder = fresh.clone();
            prop_assert_eq!(receive(&mut decoder, wanted, first), Ok(plaintext.clone()));
            let replayed = receive(&mut decoder, wanted, second);
            prop_assert_eq!(replayed, Err(OpenError::Number(WindowError::Replayed)));
        }
    }
}

/// A request or response: messages with consecutive numbers.
#[derive(Debug, Clone)]
struct Exchange {
    first: u64,
    encode_type: EncodeType,
    messages: Vec<Vec<u8>>,
    plaintexts: Vec<Vec<u8>>,
}

/// One of two peers, with the expected state of its decoder.
struct Peer {
    encoder: EncoderState,
    decoder: DecoderState,
    taken: BTreeSet<u64>,
}

/// Two peers in memory. A wire has the messages in transit to a peer, in no particular order.
struct Pair {
    peers: [Peer; 2],
    wires: [Vec<Exchange>; 2],
    rng: StdRng,
}

impl Pair {
    /// A pairing as in the relay: two directions, each with its own key exchange.
    fn new(id: KemId, seed: u64) -> Self {
        let mut rng = rng(seed);
        let mut direction = |nonce| {
            let receiver = DecapsulationKey::generate(id, &mut rng);
            let (ciphertext, sent) = encapsulate(receiver.encapsulation_key(), &mut rng).unwrap();
            let received = receiver.decapsulate(&ciphertext).unwrap();
            let inputs = RootInputs::new(nonce, "a pair in memory");
            let [sent, received] = [sent, received].map(|entropy| schedule::root(&entropy, &inputs).unwrap());
            assert_eq!(sent.as_bytes(), received.as_bytes());
            (EncoderState::new(sent), DecoderState::new(received))
        };
        let (c2s, s2c) = (direction("1"), direction("2"));
        let peer = |encoder, decoder| Peer { encoder, decoder, taken: BTreeSet::new() };
        let peers = [peer(c2s.0, s2c.1), peer(s2c.0, c2s.1)];
        Self { peers, wires: [Vec::new(), Vec::new()], rng }
    }

    fn send(&mut self, from: usize, count: u8, encode_type: EncodeType, len: usize) {
        let numbers = self.peers[from].encoder.reserve(count.into()).unwrap();
        let (mut messages, mut plaintexts) = (Vec::new(), Vec::new());
        for index in 0..count {
            let plaintext = pattern(len + usize::from(index));
            let slot = numbers.slot(index.into(), encode_type, Self::place(index, count)).unwrap();
            messages.push(seal::message(slot, &plaintext, &mut self.rng).unwrap());
            plaintexts.push(plaintext);
        }
        self.wires[1 - from].push(Exchange { first: numbers.first(), encode_type, messages, plaintexts });
    }

    fn place(index: u8, count: u8) -> Place {
        Place::text(index, count - 1 - index)
    }

    /// Acts as a receiver: opens all messages, checks that their numbers are consecutive, commits once.
    fn open(decoder: &mut DecoderState, exchange: &Exchange) -> Result<Vec<Vec<u8>>, OpenError> {
        let count = exchange.messages.len() as u8;
        let (mut first, mut plaintexts) = (None, Vec::new());
        for (index, message) in (0..count).zip(&exchange.messages) {
            let wanted = expected(exchange.encode_type, Self::place(index, count));
            let (number, plaintext) = open_whole(&decoder.secrets, wanted, message)?;
            if number != *first.get_or_insert(number) + u64::from(index) {
                return Err(OpenError::NotConsecutive);
            }
            plaintexts.push(plaintext);
        }
        decoder.commit(first.expect("at least one message"), count.into())?;
        Ok(plaintexts)
    }

    /// Delivers an exchange and compares the result with the rules of section 6.
    fn deliver(&mut self, to: usize, exchange: &Exchange, intact: bool) {
        let Peer { decoder, taken, .. } = &mut self.peers[to];
        let mut model = taken.clone();
        let allowed = (exchange.first..).zip(&exchange.messages).all(|(n, _)| {
            let end = model.last().map_or(0, |highest| highest + 1);
            n + 512 >= end && n < end + 4_096 && model.insert(n)
        });
        let end = taken.last().map_or(0, |highest| highest + 1);
        let far = exchange.first + exchange.messages.len() as u64 > end + 4_096;

        let before = memory(decoder);
        match Self::open(decoder, exchange) {
            Ok(plaintexts) => {
                assert!(allowed && intact, "{exchange:?}");
                assert!(plaintexts == exchange.plaintexts);
                *taken = model;
            }
            Err(error) => {
                // A group may begin within the window and end beyond it; it may then be refused.
                assert!(
                    !allowed || !intact || far && error == OpenError::NoSecret,
                    "{error:?}: {exchange:?}"
                );
                assert_eq!(memory(decoder), before);
            }
        }
        assert_eq!(decoder.window.highest(), taken.last().copied());
    }
}

#[derive(Debug, Clone)]
enum Event {
    /// An exchange of 1 to 3 messages is sent.
    Send(usize, u8, EncodeType, usize),
    /// One in transit arrives.
    Arrive(usize, Index),
    /// One arrives, and will arrive again.
    Duplicate(usize, Index),
    /// One is lost.
    Lose(usize, Index),
    /// One arrives changed, and will arrive unchanged later.
    Change(usize, Index, Index, Change),
    /// Two exchanges arrive with their last messages swapped.
    Mix(usize, Index, Index),
    /// This many numbers are used and lost together.
    Skip(usize, u64),
}

fn events() -> impl Strategy<Value = Event> {
    let (side, at) = (|| 0usize..2, any::<Index>);
    prop_oneof![
        8 => (side(), 1u8..4, encode_types(), 0usize..150).prop_map(|(s, n, t, len)| Event::Send(s, n, t, len)),
        8 => (side(), at()).prop_map(|(side, at)| Event::Arrive(side, at)),
        3 => (side(), at()).prop_map(|(side, at)| Event::Duplicate(side, at)),
        1 => (side(), at()).prop_map(|(side, at)| Event::Lose(side, at)),
        2 => (side(), at(), at(), changes()).prop_map(|(s, at, which, change)| Event::Change(s, at, which, change)),
        1 => (side(), at(), at()).prop_map(|(side, a, b)| Event::Mix(side, a, b)),
        1 => (side(), prop_oneof![1u64..64, 400u64..600, 4_000u64..4_200]).prop_map(|(s, n)| Event::Skip(s, n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_pair_survives_loss_disorder_repetition_and_forgery(
        id in prop::sample::select(KemId::ALL.as_slice()),
        seed in any::<u64>(),
        events in prop::collection::vec(events(), 1..120),
    ) {
        let mut pair = Pair::new(id, seed);
        for event in events {
            let wire = |pair: &Pair, to: usize| !pair.wires[to].is_empty();
            match event {
                Event::Send(from, count, encode_type, len) => pair.send(from, count, encode_type, len),
                Event::Arrive(to, at) if wire(&pair, to) => {
                    let at = at.index(pair.wires[to].len());
                    let exchange = pair.wires[to].swap_remove(at);
                    pair.deliver(to, &exchange, true);
                }
                Event::Duplicate(to, at) if wire(&pair, to) => {
                    let exchange = at.get(&pair.wires[to]).clone();
                    pair.deliver(to, &exchange, true);
                }
                Event::Lose(to, at) if wire(&pair, to) => {
                    let at = at.index(pair.wires[to].len());
                    pair.wires[to].swap_remove(at);
                }
                Event::Change(to, at, which, change) if wire(&pair, to) => {
                    let mut exchange = at.get(&pair.wires[to]).clone();
                    let which = which.index(exchange.messages.len());
                    let changed = change.apply(&exchange.messages[which]);
                    let intact = changed == exchange.messages[which];
                    exchange.messages[which] = changed;
                    pair.deliver(to, &exchange, intact);
                }
                Event::Mix(to, a, b) if wire(&pair, to) => {
                    let (a, b) = (a.get(&pair.wires[to]).clone(), b.get(&pair.wires[to]).clone());
                    let mut mixed = a.clone();
                    *mixed.messages.last_mut().unwrap() = b.messages.last().unwrap().clone();
                    // Two exchanges of one message each are only reordered by this: that is not a forgery.
                    if a.messages.len() > 1 {
                        pair.deliver(to, &mixed, a.first == b.first);
                    }
                }
                Event::Skip(from, count) => drop(pair.peers[from].encoder.reserve(count).unwrap()),
                _ => {}
            }
        }
        // In any case, a new exchange succeeds unless too much was lost.
        for from in 0..2 {
            pair.wires[1 - from].clear();
            pair.send(from, 3, EncodeType::Mke, 10);
            let exchange = pair.wires[1 - from].remove(0);
            pair.deliver(1 - from, &exchange, true);
        }
    }

    #[test]
    fn the_state_of_a_decoder_opens_nothing_older_than_its_window(
        steps in prop::collection::vec(prop_oneof![1u64..40, 300u64..700, 3_000u64..4_097], 1..8),
    ) {
        let root = root();
        let mut decoder = DecoderState::new(root.clone());
        let mut highest = None::<u64>;
        for step in steps {
            let number = highest.map_or(step - 1, |highest| highest + step);
            decoder.commit(number, 1).unwrap();
            highest = Some(number);

            let oldest = decoder.window.oldest();
            prop_assert_eq!(oldest, (number + 1).saturating_sub(512));
            let first_kept = oldest / 32 * 32;
            prop_assert!(first_kept + 543 > number, "at most the last 543 messages can be opened");
            for gone in (0..first_kept).rev().step_by(32).take(40).chain([0].into_iter().filter(|n| *n < first_kept)) {
                prop_assert_eq!(decoder.secrets.epoch_of(gone).unwrap_err(), OpenError::NoSecret);
            }
            // All numbers within the window can be opened; others only with the root.
            for reached in [first_kept, oldest, number, number + 1, number + 32, number + 4_096] {
                let secret = decoder.secrets.epoch_of(reached).unwrap();
                let from_root = root.at(reached / 32).unwrap();
                prop_assert_eq!(secret.as_bytes(), from_root.as_bytes());
            }
            prop_assert!(decoder.secrets.epoch_of(number + 4_096 + 32).is_err());
        }
    }

    #[test]
    fn an_encoder_cannot_seal_under_past_epochs(
        counts in prop::collection::vec(0u64..100, 1..20),
    ) {
        let root = root();
        let mut encoder = EncoderState::new(root.clone());
        for count in counts {
            let first = encoder.next();
            let numbers = encoder.reserve(count).unwrap();
            prop_assert_eq!((numbers.first(), encoder.next()), (first, first + count));
            for index in 0..count {
                let slot = numbers.slot(index, EncodeType::Mke, BODY).unwrap();
                let epoch = root.at((first + index) / 32).unwrap();
                prop_assert_eq!((slot.number, slot.secret.as_bytes()), (first + index, epoch.as_bytes()));
            }
            for beyond in [count, count + 1, u64::MAX] {
                prop_assert!(numbers.slot(beyond, EncodeType::Mke, BODY).is_err());
            }
            // The only secret that a state holds is that of the epoch of its next number.
            let kept = format!("index: {},", encoder.next() / 32);
            prop_assert!(format!("{encoder:?}").contains(&kept), "{encoder:?}");
            if let Some(left) = (encoder.next() / 32).checked_sub(1) {
                let secret = root.at(encoder.next() / 32).unwrap();
                prop_assert!(secret.at(left).is_none());
                let refused = Numbers::new(left * 32 + 31, 1, secret).slot(0, EncodeType::Mke, BODY);
                prop_assert_eq!(refused.unwrap_err(), SealError::NoSecret(left * 32 + 31));
            }
        }
    }
}

/// An encoder whose next number is the first of the last epoch.
fn last_epoch() -> (EpochSecret, EncoderState) {
    let secret = EpochSecret::from_bytes((NUMBER_LIMIT / 32 - 1) as u32, &[9; 32]);
    let mut encoder = EncoderState::new(secret.clone());
    encoder.reserve(NUMBER_LIMIT - 32).unwrap();
    (secret, encoder)
}

#[test]
fn an_encoder_ends_at_the_last_number() {
    let (_, mut encoder) = last_epoch();
    encoder.reserve(30).unwrap();
    for count in [3, 33, 1 << 32, u64::MAX] {
        assert_eq!(encoder.reserve(count).unwrap_err(), SealError::Exhausted);
        assert_eq!(encoder.next(), NUMBER_LIMIT - 2, "nothing was reserved");
    }
    let last = encoder.reserve(2).unwrap();
    assert_eq!(last.slot(1, EncodeType::Mke, BODY).unwrap().number, NUMBER_LIMIT - 1);
    assert_eq!(encoder.reserve(1).unwrap_err(), SealError::Exhausted);
    let beyond = Numbers::new(NUMBER_LIMIT, 1, last_epoch().0).slot(0, EncodeType::Mke, BODY);
    assert_eq!(beyond.unwrap_err(), SealError::NoSecret(NUMBER_LIMIT));
}

#[test]
fn a_decoder_ends_at_the_last_number() {
    let (secret, mut encoder) = last_epoch();
    let secrets = DecoderSecrets::new(secret);
    let slot = encoder.reserve(32).unwrap().slot(31, EncodeType::Mke, BODY).unwrap();
    let mut message = seal::message(slot, b"the last one", &mut rng(0)).unwrap();
    let wanted = expected(EncodeType::Mke, BODY);
    let opened = open_whole(&secrets, wanted, &message).unwrap();
    assert_eq!(opened, (NUMBER_LIMIT - 1, b"the last one".to_vec()));

    message[2..10].copy_from_slice(&NUMBER_LIMIT.to_be_bytes());
    let refused = open_whole(&secrets, wanted, &message);
    assert_eq!(refused, Err(OpenError::Number(WindowError::Exhausted)));
}

#[test]
fn a_window_can_be_walked_to_the_last_number_and_no_further() {
    let mut window = Window::new();
    let mut number = 4_095;
    while number < NUMBER_LIMIT {
        window.commit(number, 1).unwrap();
        number += 4_096;
    }
    assert_eq!(window.highest(), Some(NUMBER_LIMIT - 1));
    assert_eq!(window.commit(NUMBER_LIMIT - 1, 1), Err(WindowError::Replayed));
    assert_eq!(window.commit(NUMBER_LIMIT - 2, 1), Ok(()));
    assert_eq!(window.commit(NUMBER_LIMIT - 512, 1), Ok(()));
    assert_eq!(window.commit(NUMBER_LIMIT - 513, 1), Err(WindowError::OutOfWindow));
    for beyond in [NUMBER_LIMIT, NUMBER_LIMIT + 1, u64::MAX - 1, u64::MAX] {
        assert_eq!(window.check(beyond), Err(WindowError::Exhausted));
        for count in [1, 2, u64::MAX] {
            assert_eq!(window.commit(beyond, count), Err(WindowError::Exhausted));
        }
    }
}

#[test]
fn a_frame_announced_and_never_sent_costs_no_more_than_a_frame() {
    let header = &sealed(root(), 0, EncodeType::Mke, BODY, b"")[..HEADER_LEN];
    let mut opener =
        Opener::new(DecoderSecrets::new(root()), expected(EncodeType::Mke, BODY), BytesMut::new());
    for byte in header.iter().chain(&(MAX_FRAME as u32).to_be_bytes()).chain(&[0; MAX_FRAME]) {
        opener.push(&[*byte]);
        assert_eq!(opener.next_frame(), Ok(None));
    }
    assert!(!opener.is_finished());
    assert!(opener.into_buffer().capacity() <= 2 * (MAX_FRAME + FRAME_OVERHEAD));
}

#[test]
fn an_opener_that_failed_stays_failed_and_holds_nothing() {
    let mut message = sealed(root(), 0, EncodeType::Mke, BODY, b"plaintext");
    message[30] ^= 1;
    let mut opener =
        Opener::new(DecoderSecrets::new(root()), expected(EncodeType::Mke, BODY), BytesMut::new());
    opener.push(&message);
    assert_eq!(opener.header().unwrap().unwrap().number, 0);
    assert_eq!(opener.next_frame(), Err(OpenError::NotAuthentic));
    opener.push(&sealed(root(), 0, EncodeType::Mke, BODY, b"plaintext"));
    assert_eq!(opener.next_frame(), Err(OpenError::NotAuthentic));
    assert_eq!(opener.header(), Err(OpenError::NotAuthentic));
    assert!(!opener.is_finished());
    assert!(opener.into_buffer().is_empty());
}

#[test]
fn a_final_frame_is_not_released_with_bytes_after_it() {
    let mut message = sealed(root(), 0, EncodeType::Mke, BODY, b"plaintext");
    message.push(0);
    let mut opener =
        Opener::new(DecoderSecrets::new(root()), expected(EncodeType::Mke, BODY), BytesMut::new());
    opener.push(&message);
    assert_eq!(opener.next_frame(), Err(OpenError::Trailing));
    assert!(!opener.is_finished());
    assert_eq!(opener.finish().unwrap_err(), OpenError::Trailing);
}

#[test]
fn bytes_that_follow_the_final_frame_later_are_noticed_at_the_end() {
    let message = sealed(root(), 0, EncodeType::Mke, BODY, b"plaintext");
    let finished = || {
        let mut opener =
            Opener::new(DecoderSecrets::new(root()), expected(EncodeType::Mke, BODY), BytesMut::new());
        opener.push(&message);
        assert!(opener.next_frame().unwrap().unwrap().last);
        assert_eq!(opener.next_frame(), Ok(None));
        opener
    };
    assert!(finished().finish().is_ok());
    let mut opener = finished();
    opener.push(&[0]);
    assert_eq!(opener.finish().unwrap_err(), OpenError::Trailing);
    let mut opener = finished();
    opener.push(&[0]);
    assert_eq!(opener.next_frame(), Err(OpenError::Trailing));
}

#[test]
fn invalid_frame_sizes_are_refused() {
    let plaintext = pattern(MAX_FRAME + 10);
    for sizes in [
        vec![],
        vec![0],
        vec![MAX_FRAME + 10],
        vec![MAX_FRAME],
        vec![MAX_FRAME, 9],
        vec![MAX_FRAME, 11],
        vec![MAX_FRAME, 0, 10],
        vec![0, MAX_FRAME, 10],
        vec![MAX_FRAME, 10, 0, 0],
        vec![MAX_FRAME, 10, 1],
    ] {
        let slot = Numbers::new(0, 1, root()).slot(0, EncodeType::Mke, BODY).unwrap();
        let refused = seal::message_in_frames(slot, &plaintext, sizes.clone(), &mut rng(0));
        assert_eq!(refused, Err(SealError::FrameSizes), "{sizes:?}");
    }
    let slot = Numbers::new(0, 1, root()).slot(0, EncodeType::Mte, BODY).unwrap();
    assert_eq!(Sealer::new(&slot, &mut rng(0)).err(), Some(SealError::NotStreamable));
}

#[test]
fn a_slot_under_another_epochs_secret_is_refused() {
    for (number, epoch) in [(0, 1), (31, 1), (32, 0), (64, 1)] {
        let secret = EpochSecret::from_bytes(epoch, &[1; 32]);
        let slot = seal::Slot { secret, encode_type: EncodeType::Mke, place: BODY, number };
        assert_eq!(seal::message(slot, b"", &mut rng(0)), Err(SealError::NoSecret(number)));
    }
}

#[test]
fn the_two_directions_of_a_pair_share_nothing() {
    let mut pair = Pair::new(KemId::MlKem768, 3);
    for from in 0..2 {
        pair.send(from, 1, EncodeType::Mke, 20);
        let own = pair.wires[1 - from].remove(0);
        let refused = Pair::open(&mut pair.peers[from].decoder, &own);
        assert_eq!(refused, Err(OpenError::NotAuthentic), "a message sent back to its sender");
    }
}

#[test]
fn personalization_and_context_fit_16_bits() {
    let entropy = mte_codec::Entropy::from_bytes(&[0; 32]);
    let long = "x".repeat(65_536);
    assert!(schedule::root(&entropy, &RootInputs::new("1", &long[1..])).is_ok());
    assert!(schedule::root(&entropy, &RootInputs::new("1", &long)).is_err());
    let inputs = RootInputs { context: long.as_bytes(), ..RootInputs::new("1", "") };
    assert!(schedule::root(&entropy, &inputs).is_err());
}

#[test]
fn a_key_or_ciphertext_of_another_size_is_refused() {
    let sizes = KemId::ALL.map(KemId::key_len);
    for len in (0..2_000).chain([65_536]).filter(|len| !sizes.contains(len)) {
        assert_eq!(encapsulate(&vec![0; len], &mut rng(0)).unwrap_err(), KemError::KeySize(len));
    }
    for id in KemId::ALL {
        let key = DecapsulationKey::generate(id, &mut rng(1));
        let expected = id.ciphertext_len();
        for got in [0, 1, expected - 1, expected + 1, 768, 1088, 1568, 1120] {
            let refused = key.decapsulate(&vec![0; got]);
            if got != expected {
                assert_eq!(refused.unwrap_err(), KemError::CiphertextSize { expected, got });
            }
        }
    }
}

#[test]
fn a_key_that_fails_the_modulus_check_is_refused_by_every_algorithm() {
    for id in KemId::ALL {
        let good = DecapsulationKey::generate(id, &mut rng(2));
        let good = good.encapsulation_key();
        assert!(encapsulate(good, &mut rng(3)).is_ok());
        // Coefficients are 12 bits wide; the first and the last are raised above the modulus.
        let last = if id == KemId::XWing { 1_184 } else { good.len() } - 33;
        for at in [0, last - 1] {
            let mut key = good.to_vec();
            key[at..at + 2].fill(0xff);
            for refused in [encapsulate(&key, &mut rng(3)), encapsulate_with_rng(&key, &mut rng(3))] {
                assert_eq!(refused.unwrap_err(), KemError::InvalidKey(id), "{id} at {at}");
            }
        }
    }
}

#[test]
fn a_changed_ciphertext_yields_entropy_that_the_peer_does_not_share() {
    for id in KemId::ALL {
        let key = DecapsulationKey::generate(id, &mut rng(4));
        let (ciphertext, sender) = encapsulate(key.encapsulation_key(), &mut rng(5)).unwrap();
        assert_eq!(key.decapsulate(&ciphertext).unwrap().as_bytes(), sender.as_bytes());
        for at in [0, ciphertext.len() / 2, ciphertext.len() - 1] {
            let mut changed = ciphertext.clone();
            changed[at] ^= 1;
            assert_ne!(key.decapsulate(&changed).unwrap().as_bytes(), sender.as_bytes());
        }
    }
}

#[test]
fn nothing_that_holds_a_secret_prints_it() {
    let secret = EpochSecret::from_bytes(0, &[0xa7; 32]);
    let entropy = mte_codec::Entropy::from_bytes(&[0xa7; 32]);
    let mut encoder = EncoderState::new(secret.clone());
    let numbers = encoder.reserve(1).unwrap();
    let printed = [
        format!("{secret:?} {entropy:?} {encoder:?} {numbers:?}"),
        format!("{:?}", numbers.slot(0, EncodeType::Mke, BODY).unwrap()),
        format!("{:?}", DecoderState::new(secret)),
        format!("{:?}", DecapsulationKey::generate(KemId::MlKem512, &mut rng(6))),
    ];
    for printed in printed {
        assert!(!printed.contains("167") && !printed.contains("a7"), "{printed}");
        assert!(printed.len() < 500, "{printed}");
    }
    let expected = Expected { encode_type: EncodeType::Mke, place: BODY };
    let refused = open::message(&DecoderSecrets::new(root()), expected, &mut []).unwrap_err();
    assert_eq!((refused.to_string().as_str(), refused), ("decode failed", OpenError::Truncated));
}

#[test]
fn a_secret_is_ratcheted_no_farther_than_the_most_steps_at_once() {
    let root = EpochSecret::from_bytes(5, &[1; 32]);
    let farthest = 5 + u64::from(mte_codec::MAX_EPOCH_STEPS);
    assert!(root.at(farthest).is_some());
    assert!(root.at(farthest + 1).is_none() && root.at(u64::MAX).is_none());
}
