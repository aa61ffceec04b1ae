//! Checks the crate against `vectors/v1.json`, which a second implementation of the format (`examples/vectors`) generated,
//! and checks the file against that implementation.

use mte_codec::{
    DecoderState, EncodeType, Entropy, EpochSecret, Expected, HEAD_LEN, HEADER_LEN, Header, Numbers,
    OpenError, Place, Sealer, TAG_LEN, Window, WindowError,
    kem::{DecapsulationKey, KemId, encapsulate_with_rng},
    open,
    schedule::{self, RootInputs},
    seal,
};
use support::{Script, expected, open_in_parts, open_whole};

use self::file::{Class, DirectionVector, File, MessageVector, Outcome};

#[path = "../examples/vectors/file.rs"]
mod file;
#[path = "../examples/vectors/generate.rs"]
mod generate;
#[path = "../examples/vectors/reference.rs"]
mod reference;
mod support;

const TEXT: &str = include_str!("../vectors/v1.json");

fn vectors() -> File {
    serde_json::from_str(TEXT).expect("the vector file reads")
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}

fn encode_type(kind: u8) -> EncodeType {
    match kind {
        1 => EncodeType::Mke,
        2 => EncodeType::Mte,
        _ => panic!("type {kind}"),
    }
}

fn roots(directions: &[DirectionVector]) -> Vec<EpochSecret> {
    directions.iter().map(|direction| EpochSecret::from_bytes(0, &array(&direction.root))).collect()
}

#[test]
fn the_vector_file_matches_the_output_of_its_generator() {
    let made = generate::vectors().to_json();
    let line = made.lines().zip(TEXT.lines()).position(|(made, committed)| made != committed);
    assert!(made == TEXT, "run the example again; the first line to differ is {line:?}");
    assert!(TEXT.len() < 1_000_000);
}

#[test]
fn every_key_exchange_yields_its_entropy_on_both_sides() {
    let kem = vectors().kem;
    assert_eq!(kem.iter().map(|v| v.id).collect::<Vec<_>>(), KemId::ALL.map(|id| id as u16));
    for vector in kem {
        let id = KemId::from_key_len(vector.encapsulation_key.len()).unwrap();
        assert_eq!(id as u16, vector.id);
        assert_eq!(vector.ciphertext.len(), id.ciphertext_len());

        let mut seed = Script::new(&[&vector.seed]);
        let receiver = DecapsulationKey::generate(id, &mut seed);
        seed.assert_used_up();
        assert_eq!(receiver.encapsulation_key(), &*vector.encapsulation_key);

        let mut randomness = Script::new(&[&vector.randomness]);
        let (ciphertext, sender) = encapsulate_with_rng(&vector.encapsulation_key, &mut randomness).unwrap();
        randomness.assert_used_up();
        assert_eq!(ciphertext, &*vector.ciphertext);
        assert_eq!(sender.as_bytes(), &*vector.entropy);
        assert_eq!(receiver.decapsulate(&ciphertext).unwrap().as_bytes(), &*vector.entropy);

        let shared = array(&vector.shared_secret);
        let derived = Entropy::derive(id, &shared, &vector.encapsulation_key, &vector.ciphertext);
        assert_eq!(derived.as_bytes(), &*vector.entropy);
    }
}

#[test]
fn every_direction_has_its_root_and_epochs() {
    for vector in vectors().directions {
        let inputs = RootInputs {
            auth: &vector.auth,
            context: &vector.context,
            ..RootInputs::new(&vector.nonce, &vector.personalization)
        };
        let root = schedule::root(&Entropy::from_bytes(&array(&vector.entropy)), &inputs).unwrap();
        assert_eq!(root.as_bytes(), &*vector.root);
        let mut nearest = root.clone();
        for (index, secret) in vector.epochs {
            assert_eq!(root.at(index.into()).unwrap().as_bytes(), &*secret, "epoch {index}");
            nearest = nearest.at(index.into()).unwrap();
            assert_eq!((nearest.index(), nearest.as_bytes().as_slice()), (index, &*secret));
        }
    }
}

/// The randomness that reproduces this message.
fn slot(root: &EpochSecret, vector: &MessageVector) -> seal::Slot {
    let numbers = Numbers::new(vector.n, 1, root.clone());
    numbers.slot(0, encode_type(vector.kind), Place::from_byte(vector.place)).unwrap()
}

fn random(vector: &MessageVector) -> Script {
    Script::new(&[&vector.salt, vector.filler.as_deref().unwrap_or_default()])
}

#[test]
fn every_message_is_reproduced_byte_for_byte() {
    let File { directions, messages, .. } = vectors();
    let roots = roots(&directions);
    let mut in_one_go = 0;
    for (index, vector) in messages.iter().enumerate() {
        let root = &roots[vector.direction];
        let mut rng = random(vector);
        let sizes = vector.frame_sizes.iter().copied();
        let made = seal::message_in_frames(slot(root, vector), &vector.plaintext, sizes, &mut rng).unwrap();
        rng.assert_used_up();
        assert!(made == *vector.message, "message {index}");

        // With frames of the largest size, the ordinary call creates the same message.
        let mut rng = random(vector);
        let made = seal::message(slot(root, vector), &vector.plaintext, &mut rng).unwrap();
        if made.len() == vector.message.len() {
            assert!(made == *vector.message, "message {index}");
            in_one_go += 1;
        }
        assert_eq!(made.len(), seal::message_len(encode_type(vector.kind), vector.plaintext.len()));
    }
    assert!(in_one_go > 30);
}

#[test]
fn every_mke_message_is_reproduced_as_a_stream() {
    let File { directions, messages, .. } = vectors();
    let roots = roots(&directions);
    for vector in messages.iter().filter(|vector| vector.kind == 1) {
        let mut sealer = Sealer::new(&slot(&roots[vector.direction], vector), &mut random(vector)).unwrap();
        let (mut made, mut rest) = (Vec::new(), &*vector.plaintext);
        for (index, size) in vector.frame_sizes.iter().enumerate() {
            let (part, after) = rest.split_at(*size);
            made.extend_from_slice(&sealer.seal(part, index + 1 == vector.frame_sizes.len()).unwrap());
            rest = after;
        }
        assert!(made == *vector.message);
    }
}

/// Where a message can be truncated: within and at the end of header, heads, ciphertexts and tags.
fn boundaries(vector: &MessageVector) -> Vec<usize> {
    let mut cuts = vec![0, 1, 2, 10, HEADER_LEN - 1, HEADER_LEN];
    let mut start = HEADER_LEN;
    for size in &vector.frame_sizes {
        let (data, tag) = (start + HEAD_LEN, start + HEAD_LEN + size);
        cuts.extend([start + 1, data - 1, data, data + size / 2, tag.saturating_sub(1), tag, tag + 1]);
        start = tag + TAG_LEN;
        cuts.extend([start - 1, start]);
    }
    assert_eq!(start, vector.message.len());
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

#[test]
fn every_message_opens_whole_and_in_parts() {
    let File { directions, messages, .. } = vectors();
    let roots = roots(&directions);
    for (index, vector) in messages.iter().enumerate() {
        let mut fresh = DecoderState::new(roots[vector.direction].clone());
        let place = Place::from_byte(vector.place);
        let expected = expected(encode_type(vector.kind), place);
        let header = Header::parse(vector.message.first_chunk().unwrap()).unwrap();
        assert_eq!((header.number, header.place, &header.salt[..]), (vector.n, place, &*vector.salt));
        assert_eq!(header.to_bytes(), vector.message[..HEADER_LEN]);

        let opened = Ok((vector.n, vector.plaintext.0.clone()));
        assert!(open_whole(&fresh.secrets, expected, &vector.message) == opened, "message {index}");
        if vector.kind == 1 {
            let message = &*vector.message;
            let cuts = boundaries(vector);
            for cut in &cuts {
                let parts = [&message[..*cut], &message[*cut..]];
                assert!(open_in_parts(&fresh.secrets, expected, parts) == opened, "{index} cut at {cut}");
            }
            let parts = cuts.windows(2).map(|cut| &message[cut[0]..cut[1]]);
            assert!(open_in_parts(&fresh.secrets, expected, parts) == opened, "{index} cut everywhere");
            if message.len() < 10_000 {
                assert!(
                    open_in_parts(&fresh.secrets, expected, message.chunks(1)) == opened,
                    "{index} in bytes"
                );
            }
        }
        fresh.commit(vector.n, 1).unwrap();
        assert_eq!(fresh.commit(vector.n, 1), Err(OpenError::Number(WindowError::Replayed)));
    }
}

#[test]
fn a_message_is_complete_only_at_its_last_byte() {
    for vector in vectors().messages {
        let message = &*vector.message;
        assert!(open::EndFinder::default().is_whole(message));
        for cut in boundaries(&vector).into_iter().filter(|cut| *cut < message.len()) {
            assert!(!open::EndFinder::default().is_whole(&message[..cut]), "cut at {cut}");
        }
    }
    // More input does not help if a message is malformed, only if it was truncated.
    for vector in vectors().refused {
        match vector.class {
            Class::Truncated => {
                assert!(!open::EndFinder::default().is_whole(&vector.message), "{}", vector.reason);
            }
            Class::Trailing => {
                assert!(open::EndFinder::default().is_whole(&vector.message), "{}", vector.reason);
            }
            _ => {}
        }
    }
}

#[test]
fn a_message_opens_only_in_its_place() {
    let File { directions, messages, .. } = vectors();
    let roots = roots(&directions);
    for vector in messages.iter().filter(|vector| vector.message.len() < 1_000) {
        let fresh = DecoderState::new(roots[vector.direction].clone());
        let own = Place::from_byte(vector.place);
        for byte in 0..=255 {
            let wanted = expected(encode_type(vector.kind), Place::from_byte(byte));
            let opened = open_whole(&fresh.secrets, wanted, &vector.message);
            // A place of unknown count matches any count; nothing else is accepted.
            let unknown = own.following() == Place::UNKNOWN && byte | Place::UNKNOWN == own.byte();
            if byte == own.byte() || unknown {
                assert!(opened.is_ok());
            } else {
                assert_eq!(opened, Err(OpenError::OutOfPlace));
            }
        }
    }
}

fn class(error: OpenError) -> Class {
    match error {
        OpenError::Malformed(_) => Class::Malformed,
        OpenError::OutOfPlace => Class::OutOfPlace,
        OpenError::NotAuthentic => Class::NotAuthentic,
        OpenError::Truncated => Class::Truncated,
        OpenError::Trailing => Class::Trailing,
        OpenError::Number(WindowError::OutOfWindow) | OpenError::NoSecret => Class::OutOfWindow,
        OpenError::Number(WindowError::Exhausted) => Class::Exhausted,
        OpenError::Number(WindowError::Replayed) | OpenError::NotConsecutive => {
            panic!("{error:?} from a fresh decoder")
        }
    }
}

/// Opens and commits with a fresh decoder; the class of every way it is refused.
fn refusals(root: &EpochSecret, wanted: Expected, message: &[u8]) -> Vec<Class> {
    let fresh = DecoderState::new(root.clone());
    let commit = |opened: Result<(u64, Vec<u8>), OpenError>| {
        let mut decoder = fresh.clone();
        let error = opened.and_then(|(n, _)| decoder.commit(n, 1)).expect_err("must be refused");
        assert_eq!(support::memory(&decoder), support::memory(&fresh));
        assert_eq!(error.to_string(), "decode failed");
        class(error)
    };
    let mut classes = vec![commit(open_whole(&fresh.secrets, wanted, message))];
    if wanted.encode_type == EncodeType::Mke {
        classes.push(commit(open_in_parts(&fresh.secrets, wanted, [message])));
        classes.push(commit(open_in_parts(&fresh.secrets, wanted, message.chunks(message.len() / 7 + 1))));
        if message.len() < 1_000 {
            classes.push(commit(open_in_parts(&fresh.secrets, wanted, message.chunks(1))));
        }
    }
    classes
}

#[test]
fn every_refused_message_is_refused_for_its_reason() {
    let File { directions, refused, .. } = vectors();
    let roots = roots(&directions);
    let mut seen = std::collections::BTreeSet::new();
    for vector in &refused {
        let wanted = expected(encode_type(vector.expected.kind), Place::from_byte(vector.expected.place));
        for class in refusals(&roots[vector.direction], wanted, &vector.message) {
            assert_eq!(class, vector.class, "{}", vector.reason);
        }
        seen.insert(vector.class);
    }
    assert_eq!(seen.len(), 7, "every class is there");
    assert!(refused.len() > 100);
}

#[test]
fn every_refused_message_is_refused_even_where_its_header_fits() {
    let File { directions, refused, .. } = vectors();
    let roots = roots(&directions);
    for vector in &refused {
        assert!(vector.message.len() >= 2, "type and place are there");
        let kind = vector.message[0];
        if kind == 1 || kind == 2 {
            let wanted = expected(encode_type(kind), Place::from_byte(vector.message[1]));
            let classes = refusals(&roots[vector.direction], wanted, &vector.message);
            assert!(!classes.contains(&Class::OutOfPlace), "{}", vector.reason);
        }
    }
}

#[test]
fn messages_called_authentic_are() {
    // A refused message whose tags do not verify would not test the intended check.
    let File { directions, refused, .. } = vectors();
    let root = array(&directions[0].root);
    let authentic = refused.iter().filter(|vector| vector.reason.starts_with("authentic: "));
    for vector in authentic.clone() {
        let (header, mut rest) = vector.message.split_at(HEADER_LEN);
        let n = u64::from_be_bytes(array(&header[2..10]));
        let keys = reference::Keys::derive(&reference::epoch(&root, n / 32), header);
        for index in 0.. {
            let Some((head, sealed)) = rest.split_at_checked(HEAD_LEN) else { break };
            let head = u32::from_be_bytes(array(head));
            let (sealed, after) = sealed.split_at((head & !reference::FINAL) as usize + TAG_LEN);
            assert!(keys.verifies(index, head, sealed), "frame {index}: {}", vector.reason);
            rest = after;
        }
        assert!(rest.is_empty());
    }
    assert!(authentic.count() > 35);
}

#[test]
fn a_stream_of_type_mte_is_refused() {
    let File { directions, messages, .. } = vectors();
    let vector = messages.iter().find(|vector| vector.kind == 2).unwrap();
    let fresh = DecoderState::new(roots(&directions)[vector.direction].clone());
    let wanted = expected(EncodeType::Mte, Place::from_byte(vector.place));
    let refused = open_in_parts(&fresh.secrets, wanted, [&*vector.message]);
    assert_eq!(refused.map_err(class), Err(Class::Malformed));
    assert!(open::message(&fresh.secrets, wanted, &mut vector.message.to_vec()).is_ok());
}

#[test]
fn every_window_takes_and_refuses_as_the_vectors_say() {
    for vector in vectors().windows {
        let mut window = Window::new();
        for (index, step) in vector.steps.iter().enumerate() {
            let before = window.clone();
            let outcome = match window.commit(step.first, step.count) {
                Ok(()) => Outcome::Taken,
                Err(WindowError::Replayed) => Outcome::Replayed,
                Err(WindowError::OutOfWindow) => Outcome::OutOfWindow,
                Err(WindowError::Exhausted) => Outcome::Exhausted,
            };
            assert_eq!(outcome, step.outcome, "{}, step {index}", vector.name);
            assert!(outcome == Outcome::Taken || window == before);
        }
    }
}
