//! Generates every vector of the file. The output is the same in every run.

use ml_kem::{
    MlKem512, MlKem768, MlKem1024,
    kem::{Decapsulate, Encapsulate, FromSeed, Kem, KeyExport},
};
use mte_codec::kem::{DecapsulationKey, KemId, encapsulate_with_rng};
use x_wing::XWingKem;

use super::{
    file::{
        Class, DirectionVector, ExpectedVector, File, KemVector, MessageVector, Outcome, RefusedVector, Step,
        WindowVector,
    },
    reference::{self, Bytes32, FINAL, FixedRng, Keys, header, padded},
};

const ABOUT: &str = "Test vectors of the open MTE codec, version 1 (mte-open/1), specified in docs/codec.md. \
    Bytes are in lower-case hexadecimal; nonce and personalization are texts; direction is an index into \
    directions. kem: seed makes the decapsulation key (FIPS 203: d || z; X-Wing: its 32 bytes), randomness is \
    what encapsulation drew, shared_secret is the KEM's own. messages: a decoder that has received nothing \
    opens message to plaintext; an encoder that draws salt, then filler (type 2 only), and frames by \
    frame_sizes (of the plaintext, for type 2 of the token string) makes message. refused: a decoder that has \
    received nothing refuses message, whether it looks for expected or for the type and place that the \
    message's own header bears; class and reason tell why and how it was made, and a peer is told neither. \
    windows: commits on one window that has taken nothing, in order; a commit takes its count numbers from \
    first on one after the other, all or none.";

const MKE: u8 = 1;
const MTE: u8 = 2;

/// The whole file.
pub(crate) fn vectors() -> File {
    let mut rng = FixedRng::new("mte-open/1 test vectors");
    let kem: Vec<KemVector> = KemId::ALL.into_iter().map(|id| kem_vector(id, &mut rng)).collect();
    let directions = directions(&kem, &mut rng);
    let roots: Vec<Bytes32> = directions.iter().map(|d| d.root.0.as_slice().try_into().unwrap()).collect();
    let messages = messages(&roots, &mut rng);
    let refused = Refused::new(roots, rng).all();
    File { about: ABOUT.to_owned(), kem, directions, messages, refused, windows: windows() }
}

fn kem_vector(id: KemId, rng: &mut FixedRng) -> KemVector {
    match id {
        KemId::MlKem512 => kem_vector_of::<MlKem512>(id, 64, 32, rng),
        KemId::MlKem768 => kem_vector_of::<MlKem768>(id, 64, 32, rng),
        KemId::MlKem1024 => kem_vector_of::<MlKem1024>(id, 64, 32, rng),
        KemId::XWing => kem_vector_of::<XWingKem>(id, 32, 64, rng),
    }
}

/// One key exchange, done only with the KEM library; the crate must agree when it is given the same randomness.
fn kem_vector_of<K>(id: KemId, seed_len: usize, randomness_len: usize, rng: &mut FixedRng) -> KemVector
where
    K: FromSeed<DecapsulationKey: Decapsulate<Kem = K>> + Kem,
{
    let mut for_crate = rng.clone();

    let seed = rng.bytes(seed_len);
    let (secret, public) = K::from_seed(&seed.as_slice().try_into().unwrap());
    let encapsulation_key = public.to_bytes();
    let randomness = rng.clone().bytes(randomness_len);
    let (ciphertext, shared_secret) = public.encapsulate_with_rng(rng);
    assert_eq!(secret.decapsulate(&ciphertext), shared_secret);
    let entropy = reference::entropy(id as u16, &shared_secret, &encapsulation_key, &ciphertext);

    let key = DecapsulationKey::generate(id, &mut for_crate);
    assert_eq!(key.encapsulation_key(), encapsulation_key.as_slice());
    let (made, sender) = encapsulate_with_rng(key.encapsulation_key(), &mut for_crate).unwrap();
    assert_eq!(made, ciphertext.as_slice());
    assert_eq!(sender.as_bytes(), &entropy);
    assert_eq!(key.decapsulate(&made).unwrap().as_bytes(), &entropy);

    KemVector {
        id: id as u16,
        seed: seed.into(),
        randomness: randomness.into(),
        encapsulation_key: encapsulation_key.as_slice().into(),
        ciphertext: ciphertext.as_slice().into(),
        shared_secret: shared_secret.as_slice().into(),
        entropy: entropy.into(),
    }
}

fn directions(kem: &[KemVector], rng: &mut FixedRng) -> Vec<DirectionVector> {
    let long = "персонализация ".repeat(40);
    let inputs: [(usize, usize, &str, &str); 5] = [
        // Bytes of auth, bytes of context, nonce, personalization.
        (0, 0, "4711", "a1b2c3d4-0001-4e5f-8a9b-0c1d2e3f4a5b"),
        (32, 48, "18446744073709551615", "Grüße, 世界 🌍"),
        (0, 3, "0", ""),
        (64, 0, "9007199254740993", "e\u{301} is not \u{e9}; \"quoted\"\n\\ and \u{0}"),
        (32, 300, "1", &long),
    ];
    let mut directions = Vec::new();
    for (index, (auth, context, nonce, personalization)) in inputs.into_iter().enumerate() {
        let (auth, context) = (rng.bytes(auth), rng.bytes(context));
        // The first four continue from the key exchanges, so that the file can be followed from end to end.
        let entropy = kem.get(index).map_or_else(|| rng.bytes(32), |kem| kem.entropy.0.clone());
        let root = reference::root(&entropy, &auth, nonce, personalization, &context);
        let epochs = [0, 1, 2, 16, 17, 127, 128].map(|e| (e, reference::epoch(&root, e.into()).into()));
        directions.push(DirectionVector {
            entropy: entropy.into(),
            auth: auth.into(),
            nonce: nonce.to_owned(),
            personalization: personalization.to_owned(),
            context: context.into(),
            root: root.into(),
            epochs: epochs.into(),
        });
    }
    directions
}

/// A place that is sent as text.
const fn text(index: u8, following: u8) -> u8 {
    index << 4 | following
}

/// A place that is sent as raw bytes.
const fn raw(index: u8, following: u8) -> u8 {
    0x80 | text(index, following)
}

fn messages(roots: &[Bytes32], rng: &mut FixedRng) -> Vec<MessageVector> {
    let mut messages = Vec::new();
    let mut add = |direction: usize, kind: u8, place: u8, n: u64, plaintext: &[u8], sizes: &[usize]| {
        let salt = rng.bytes(16);
        let header = header(kind, place, n, &salt);
        let keys = keys(&roots[direction], &header);
        let (filler, framed) = if kind == MTE {
            let padded = padded(plaintext);
            let filler = rng.bytes(padded.len());
            let tokens = keys.tokens(0, &padded, &filler);
            (Some(filler.into()), tokens)
        } else {
            (None, plaintext.to_vec())
        };
        let message = [header, keys.frames(&framed, sizes).concat()].concat();
        messages.push(MessageVector {
            direction,
            kind,
            place,
            n,
            salt: salt.into(),
            frame_sizes: sizes.to_vec(),
            filler,
            plaintext: plaintext.into(),
            message: message.into(),
        });
    };

    // One request of three messages and one response of two, as sent by this project's client.
    let url = b"/api/v1/accounts/42?expand=owner";
    let headers = br#"{"accept":"application/json","content-type":"application/json"}"#;
    let body = br#"{"name":"Zo\u00eb","balance":1234.5}"#;
    add(0, MKE, text(0, 2), 0, url, &[url.len()]);
    add(0, MKE, text(1, 1), 1, headers, &[headers.len()]);
    add(0, MKE, raw(2, 0), 2, body, &[body.len()]);
    add(1, MKE, text(0, 1), 0, headers, &[headers.len()]);
    add(1, MKE, raw(1, 0), 1, body, &[body.len()]);
    // The same request from the compatibility package, which cannot know which messages follow.
    add(2, MKE, text(0, 15), 0, url, &[url.len()]);
    add(2, MKE, text(1, 15), 1, headers, &[headers.len()]);
    add(2, MKE, raw(2, 15), 2, body, &[body.len()]);
    add(3, MTE, text(0, 15), 0, url, &[128]);

    // Lengths and framings of type MKE.
    let mut fixed = FixedRng::new("mte-open/1 plaintext");
    let all: Vec<u8> = (0..=255).collect();
    add(0, MKE, text(0, 0), 3, b"", &[0]);
    add(0, MKE, raw(0, 0), 4, b"", &[0]);
    add(0, MKE, raw(0, 0), 5, b"\x00", &[1]);
    add(0, MKE, raw(0, 0), 6, b"\xff", &[1, 0]);
    add(0, MKE, raw(0, 0), 7, &all, &[256]);
    add(0, MKE, raw(0, 0), 8, &all, &[100, 1, 155]);
    add(0, MKE, raw(0, 0), 9, &all, &[200, 56, 0]);
    add(0, MKE, raw(0, 0), 10, &all[..64], &[1; 64]);
    add(0, MKE, raw(0, 0), 11, &all[..44], &[16, 15, 13]);
    add(0, MKE, raw(0, 0), 12, &fixed.bytes(65_536), &[65_536]);
    add(0, MKE, raw(0, 0), 13, &fixed.bytes(65_537), &[65_536, 1]);

    // Lengths and framings of type MTE: at most 60 bytes fit into one step of 64.
    for (n, len) in [0, 1, 59, 60, 61, 123, 124, 125, 200].into_iter().enumerate() {
        let plaintext = fixed.bytes(len);
        add(0, MTE, raw(0, 0), 14 + n as u64, &plaintext, &[padded(&plaintext).len() * 2]);
    }
    add(0, MTE, text(0, 1), 23, &[0; 60], &[128]);
    add(0, MTE, raw(1, 0), 24, &all, &[1, 127, 200, 100, 212]);
    add(0, MTE, raw(0, 0), 25, b"final empty frame", &[128, 0]);
    add(0, MTE, raw(0, 0), 26, b"many frames", &[[3; 42].as_slice(), &[2]].concat());

    // Every epoch a decoder can start at, and numbers on both sides of where one ends.
    for n in [31, 32, 33, 63, 64, 511, 512, 543, 544, 545, 4_064, 4_095] {
        add(0, MKE, text(0, 0), n, format!("message {n}").as_bytes(), &[8 + n.to_string().len()]);
    }
    for n in [31, 32, 4_095] {
        add(1, MTE, text(0, 0), n, format!("message {n}").as_bytes(), &[128]);
    }
    // The other directions, and the last indices and counts that a place can name.
    for direction in [1, 2, 3, 4] {
        add(direction, MKE, raw(7, 14), 40, b"direction", &[4, 5]);
        add(direction, MTE, text(7, 14), 41, b"direction", &[128]);
    }
    messages
}

/// The keys of the message with this header, under the epoch its number belongs to.
fn keys(root: &Bytes32, header: &[u8]) -> Keys {
    let n = u64::from_be_bytes(header[2..10].try_into().unwrap());
    Keys::derive(&reference::epoch(root, n / 32), header)
}

/// The inputs of one refused message.
struct Parts {
    header: Vec<u8>,
    frames: Vec<Vec<u8>>,
}

impl Parts {
    fn message(&self) -> Vec<u8> {
        self.with(&self.frames.iter().collect::<Vec<_>>())
    }

    fn with(&self, frames: &[&Vec<u8>]) -> Vec<u8> {
        let frames: Vec<&[u8]> = frames.iter().map(|frame| frame.as_slice()).collect();
        [self.header.as_slice(), &frames.concat()].concat()
    }
}

struct Refused {
    roots: Vec<Bytes32>,
    rng: FixedRng,
    vectors: Vec<RefusedVector>,
}

impl Refused {
    fn new(roots: Vec<Bytes32>, rng: FixedRng) -> Self {
        Self { roots, rng, vectors: Vec::new() }
    }

    fn all(mut self) -> Vec<RefusedVector> {
        self.changed_bytes();
        self.cut_and_extended();
        self.moved_frames();
        self.authentic_but_malformed();
        self.other_constructions();
        self.numbers();
        self.tokens();
        self.vectors
    }

    fn add(&mut self, message: &[u8], (kind, place): (u8, u8), class: Class, reason: &str) {
        self.vectors.push(RefusedVector {
            direction: 0,
            expected: ExpectedVector { kind, place },
            class,
            reason: reason.to_owned(),
            message: message.into(),
        });
    }

    fn header(&mut self, kind: u8, place: u8, n: u64) -> Vec<u8> {
        header(kind, place, n, &self.rng.bytes(16))
    }

    /// A header and its keys.
    fn start(&mut self, kind: u8, place: u8, n: u64) -> (Vec<u8>, Keys) {
        let header = self.header(kind, place, n);
        let keys = keys(&self.roots[0], &header);
        (header, keys)
    }

    /// A message of type MKE that would open.
    fn good(&mut self, place: u8, n: u64, plaintext: &[u8], sizes: &[usize]) -> Parts {
        let (header, keys) = self.start(MKE, place, n);
        Parts { frames: keys.frames(plaintext, sizes), header }
    }

    fn changed_bytes(&mut self) {
        use Class::*;
        let place = text(1, 1);
        let wanted = (MKE, place);
        let good = self.good(place, 1, b"a message in three frames", &[9, 9, 7]);
        let message = good.message();
        let changed = |at: usize, byte: u8| {
            let mut message = message.clone();
            assert_ne!(message[at], byte);
            message[at] = byte;
            message
        };
        let flipped = |at: usize, bit: u8| changed(at, message[at] ^ bit);

        for kind in [0, 3, 0x81, 0xff] {
            self.add(&changed(0, kind), wanted, Malformed, &format!("type changed to {kind}"));
        }
        self.add(&changed(0, MTE), wanted, OutOfPlace, "type changed from MKE to MTE");
        for (at, what) in [
            (raw(1, 1), "place changed from text to raw"),
            (text(0, 1), "place's index changed"),
            (text(1, 0), "place's count of following messages lowered"),
            (text(1, 2), "place's count of following messages raised"),
        ] {
            self.add(&changed(1, at), wanted, OutOfPlace, what);
        }
        self.add(&changed(1, text(1, 15)), wanted, NotAuthentic, "place's count changed to 15, unknown");
        self.add(&changed(9, 0), wanted, NotAuthentic, "number lowered by 1");
        self.add(&changed(9, 2), wanted, NotAuthentic, "number raised by 1");
        self.add(&changed(9, 33), wanted, NotAuthentic, "number raised by 32, into the next epoch");
        for (at, bit) in [(10, 0x80), (17, 0x08), (25, 0x01)] {
            self.add(
                &flipped(at, bit),
                wanted,
                NotAuthentic,
                &format!("bit of salt byte {} changed", at - 10),
            );
        }

        let mut start = 26;
        for (index, frame) in good.frames.iter().enumerate() {
            let len = frame.len() - 20;
            let last = index + 1 == good.frames.len();
            let what = if last { "FINAL cleared" } else { "FINAL set" };
            self.add(&flipped(start, 0x80), wanted, NotAuthentic, &format!("{what} in frame {index}"));
            let shorter = changed(start + 3, len as u8 - 1);
            self.add(&shorter, wanted, NotAuthentic, &format!("length of frame {index} lowered by 1"));
            let (class, longer) = (if last { Truncated } else { NotAuthentic }, len as u8 + 1);
            let longer = changed(start + 3, longer);
            self.add(&longer, wanted, class, &format!("length of frame {index} raised by 1"));
            let huge = flipped(start, 0x40);
            self.add(&huge, wanted, Malformed, &format!("length of frame {index} changed to more than 2^30"));
            for (at, what) in [
                (start + 4, "first byte of ciphertext"),
                (start + 3 + len, "last byte of ciphertext"),
                (start + 4 + len, "first byte of tag"),
                (start + 19 + len, "last byte of tag"),
            ] {
                self.add(&flipped(at, 1), wanted, NotAuthentic, &format!("{what} of frame {index} changed"));
            }
            start += frame.len();
        }
        let wanted = (MKE, raw(0, 0));
        let mut message = self.good(raw(0, 0), 0, b"one frame", &[9]).message();
        message[26] ^= 0x80;
        self.add(&message, wanted, NotAuthentic, "FINAL cleared in the only frame");
        let mut message = self.good(raw(0, 0), 0, b"", &[0]).message();
        message[26] ^= 0x80;
        self.add(&message, wanted, Malformed, "FINAL cleared in an empty message");
        let mut message = self.good(raw(0, 0), 0, b"", &[0]).message();
        *message.last_mut().unwrap() ^= 0x10;
        self.add(&message, wanted, NotAuthentic, "last byte of tag of an empty message changed");
    }

    fn cut_and_extended(&mut self) {
        use Class::*;
        let wanted = (MKE, raw(2, 0));
        let good = self.good(wanted.1, 2, b"a message in three frames", &[9, 9, 7]);
        let message = good.message();
        for (len, what) in [
            (2, "cut after type and place"),
            (25, "cut before the header's last byte"),
            (26, "cut after the header"),
            (28, "cut within the head of frame 0"),
            (30, "cut after the head of frame 0"),
            (34, "cut within the ciphertext of frame 0"),
            (39, "cut before the tag of frame 0"),
            (54, "cut before the last byte of frame 0"),
            (55, "cut after frame 0"),
            (84, "cut after frame 1"),
            (88, "cut after the head of the final frame"),
            (95, "cut before the tag of the final frame"),
            (message.len() - 1, "cut before the last byte"),
        ] {
            self.add(&message[..len], wanted, Truncated, what);
        }
        self.add(&[&message[..], &[0]].concat(), wanted, Trailing, "a zero byte after the final frame");
        self.add(&[&message[..], &message].concat(), wanted, Trailing, "the whole message twice");
        let other = self.good(raw(2, 0), 3, b"another message", &[15]).message();
        self.add(&[&message[..], &other].concat(), wanted, Trailing, "another message after the final frame");
        let after = [&message[..], good.frames.last().unwrap()].concat();
        self.add(&after, wanted, Trailing, "final frame repeated");
        let short = self.good(raw(2, 0), 4, b"", &[0]).message();
        self.add(&short[..45], wanted, Truncated, "an empty message without its last byte");
        self.add(&message[1..], (MKE, raw(2, 0)), Malformed, "first byte missing");
    }

    fn moved_frames(&mut self) {
        use Class::*;
        let wanted = (MKE, raw(0, 0));
        let good = self.good(wanted.1, 5, b"AAAAAAAABBBBBBBBCCCCCCCCDDDDDDDD", &[8; 4]);
        let other = self.good(wanted.1, 6, b"aaaaaaaabbbbbbbbccccccccdddddddd", &[8; 4]);
        let [a, b, c, d] = good.frames.as_slice() else { unreachable!("four frames") };
        let [e, f, g, h] = other.frames.as_slice() else { unreachable!("four frames") };
        for (frames, class, reason) in [
            (vec![b, a, c, d], NotAuthentic, "frames 0 and 1 swapped"),
            (vec![a, c, b, d], NotAuthentic, "frames 1 and 2 swapped"),
            (vec![a, b, d, c], NotAuthentic, "the last two frames swapped"),
            (vec![d, a, b, c], NotAuthentic, "the final frame moved to the front"),
            (vec![a, a, b, c, d], NotAuthentic, "frame 0 repeated"),
            (vec![a, b, c, c, d], NotAuthentic, "frame 2 repeated"),
            (vec![b, c, d], NotAuthentic, "frame 0 dropped"),
            (vec![a, c, d], NotAuthentic, "frame 1 dropped"),
            (vec![a, d], NotAuthentic, "frames 1 and 2 dropped"),
            (vec![d], NotAuthentic, "all but the final frame dropped"),
            (vec![a, b, c], Truncated, "final frame dropped"),
            (vec![e, f, g, h], NotAuthentic, "all frames of another message"),
            (vec![a, f, c, d], NotAuthentic, "frame 1 of another message in its place"),
            (vec![a, b, c, h], NotAuthentic, "final frame of another message in its place"),
            (vec![a, b, c, e, d], NotAuthentic, "a frame of another message inserted"),
        ] {
            self.add(&good.with(&frames), wanted, class, reason);
        }
        // The same number from another direction: the wrong peer, or a message sent back to its sender.
        let header = self.header(MKE, raw(0, 0), 5);
        let root = self.roots[1];
        let frames = keys(&root, &header).frames(b"from another direction", &[22]);
        let message = Parts { header, frames }.message();
        self.add(&message, wanted, NotAuthentic, "a message of another direction");
    }

    fn authentic_but_malformed(&mut self) {
        use Class::*;
        let wanted = (MKE, raw(0, 0));
        let mut add = |class, reason: &str, frames: &[(u32, &[u8])]| {
            let (header, keys) = self.start(MKE, raw(0, 0), 7);
            let frames = frames.iter().zip(0..).map(|((head, data), i)| keys.frame(i, *head, data)).collect();
            self.add(&Parts { header, frames }.message(), wanted, class, reason);
        };
        let data = b"data";
        let more = 4 | FINAL;
        add(Malformed, "authentic: an empty first frame that is not final", &[(0, b""), (more, data)]);
        add(
            Malformed,
            "authentic: an empty middle frame that is not final",
            &[(4, data), (0, b""), (more, data)],
        );
        add(Malformed, "authentic: an empty frame that is not final, alone", &[(0, b"")]);
        add(Malformed, "authentic: an empty frame that is not final, at the end", &[(4, data), (0, b"")]);
        add(Truncated, "authentic: no final frame", &[(4, data), (4, data)]);
        add(Trailing, "authentic: a frame after the final one", &[(more, data), (4, data)]);
        add(Trailing, "authentic: an empty final frame after the final one", &[(more, data), (FINAL, b"")]);
        add(Trailing, "authentic: two final frames", &[(more, data), (more, data)]);
        let long = FixedRng::new("mte-open/1 long frame").bytes(65_537);
        add(Malformed, "authentic: a frame of 65,537 bytes", &[(65_537 | FINAL, &long)]);
        add(Truncated, "a head that names a byte more than there is", &[(5 | FINAL, data)]);
        add(NotAuthentic, "a head that names a byte less than there is", &[(3 | FINAL, data)]);
    }

    /// Constructions similar to the right one: an implementation that opens one of these has a mistake.
    fn other_constructions(&mut self) {
        use Class::*;
        let wanted = (MKE, raw(0, 0));
        let data = b"data";
        let last = 4 | FINAL;

        let (header, keys) = self.start(MKE, raw(0, 0), 8);
        let mut add = |frames: Vec<Vec<u8>>, reason: &str| {
            let message = Parts { header: header.clone(), frames }.message();
            self.add(&message, wanted, NotAuthentic, reason);
        };
        let nonce = |at: usize, value: u8| {
            let mut nonce = [0; 12];
            nonce[at] = value;
            nonce
        };
        let aad = last.to_be_bytes();
        add(vec![keys.frame(1, last, data)], "frames counted from 1");
        add(vec![keys.frame_with(nonce(0, 0), last, b"", data)], "head not authenticated");
        let both = [&header[..], &aad].concat();
        add(vec![keys.frame_with(nonce(0, 0), last, &both, data)], "header in the associated data");
        add(
            vec![keys.frame_with(nonce(0, 0), last, &last.to_le_bytes(), data)],
            "head authenticated little-endian",
        );
        let first = keys.frame(0, 4, data);
        add(vec![first.clone(), keys.frame_with(nonce(4, 1), last, &aad, data)], "nonce little-endian");
        add(
            vec![first.clone(), keys.frame_with(nonce(3, 1), last, &aad, data)],
            "nonce's first word counted",
        );
        add(vec![first, keys.frame_with(nonce(0, 0), last, &aad, data)], "nonce not counted");

        for (n, epoch, reason) in [
            (31, 1, "number 31 under epoch 1"),
            (32, 0, "number 32 under epoch 0"),
            (64, 1, "number 64 under epoch 1"),
            (4_095, 128, "number 4095 under epoch 128"),
        ] {
            let header = self.header(MKE, raw(0, 0), n);
            let keys = Keys::derive(&reference::epoch(&self.roots[0], epoch), &header);
            let message = Parts { frames: vec![keys.frame(0, last, data)], header }.message();
            self.add(&message, wanted, NotAuthentic, reason);
        }
        // Keys that leave out parts of the header.
        let header = self.header(MKE, raw(0, 0), 8);
        for (from, to, reason) in
            [(0, 10, "key derived without the salt"), (2, 26, "key derived without type and place")]
        {
            let root = self.roots[0];
            let keys = Keys::derive(&root, &header[from..to]);
            let message = Parts { frames: vec![keys.frame(0, last, data)], header: header.clone() }.message();
            self.add(&message, wanted, NotAuthentic, reason);
        }
    }

    fn numbers(&mut self) {
        use Class::*;
        let wanted = (MKE, text(0, 0));
        for n in [4_096, 4_127, 4_128, 5_000] {
            let message = self.good(wanted.1, n, b"too far ahead", &[13]).message();
            self.add(
                &message,
                wanted,
                OutOfWindow,
                &format!("authentic: number {n} is out of a fresh window"),
            );
        }
        // The epochs of these numbers are too far away to be derived here; a decoder that keeps only 32 bits of the number
        // would assume epoch 0.
        for n in [1 << 32, (1 << 32) + 9, 1 << 53, (1 << 53) + 1, 1 << 63, u64::MAX] {
            let header = self.header(MKE, text(0, 0), n);
            let frames = Keys::derive(&self.roots[0], &header).frames(b"no such number", &[14]);
            let message = Parts { header, frames }.message();
            self.add(&message, wanted, Exhausted, &format!("number {n} is above the last, 2^32 - 1"));
        }
        let header = self.header(MKE, text(0, 0), (1 << 32) - 1);
        let frames = Keys::derive(&self.roots[0], &header).frames(b"too far ahead", &[13]);
        let message = Parts { header, frames }.message();
        self.add(&message, wanted, OutOfWindow, "number 2^32 - 1 is out of a fresh window");
    }

    fn tokens(&mut self) {
        use Class::*;
        let wanted = (MTE, text(0, 0));

        // Authentic frames around an invalid padded plaintext.
        let secret = b"4929 1234 5678 9012";
        let good = padded(secret);
        let with = |at: usize, bytes: &[u8]| {
            let mut padded = good.clone();
            padded[at..at + bytes.len()].copy_from_slice(bytes);
            padded
        };
        let length = |len: u32| with(0, &len.to_be_bytes());
        let full = [&60u32.to_be_bytes()[..], &[b'x'; 60]].concat();
        let full_as = |len: u32| [&len.to_be_bytes()[..], &[b'x'; 60]].concat();
        for (padded, reason) in [
            (with(4 + secret.len(), &[1]), "first byte of padding is not zero"),
            (with(63, &[1]), "last byte of padding is not zero"),
            (with(63, &[0x80]), "last byte of padding is 0x80"),
            (length(secret.len() as u32 - 1), "length one too short: the padding is not zero"),
            (length(0), "length 0 before a plaintext"),
            (length(61), "length one more than fits"),
            (length(64), "length of a whole step"),
            (length(0x8000_0000), "length 2^31"),
            (length(0xffff_fffc), "length that overflows 32 bits when 4 is added"),
            (length(0xffff_ffff), "length 2^32 - 1"),
            (length((secret.len() as u32).swap_bytes()), "length little-endian"),
            (full_as(61), "full step, length one too long"),
            (full_as(59), "full step, length one too short"),
            ([&good[..], &[0; 64]].concat(), "a step of padding too many"),
            ([&full[..], &[0; 64]].concat(), "a full step and a step of padding too many"),
            ([&[0; 4][..], &[0; 124]].concat(), "empty plaintext in two steps"),
            (padded_to(secret, 24), "padded to 24 bytes"),
            (padded_to(secret, 32), "padded to 32 bytes"),
            (padded_to(secret, 96), "padded to 96 bytes"),
            (vec![0; 4], "a length and no padding"),
        ] {
            let (header, keys) = self.start(MTE, text(0, 0), 9);
            let filler = self.rng.bytes(padded.len());
            let tokens = keys.tokens(0, &padded, &filler);
            let frames = keys.frames(&tokens, &[tokens.len()]);
            let message = Parts { header, frames }.message();
            self.add(&message, wanted, Malformed, &format!("authentic: {reason}"));
        }

        // Authentic frames around invalid token strings.
        let (header, keys) = self.start(MTE, text(0, 0), 10);
        let filler = self.rng.bytes(64);
        let tokens = keys.tokens(0, &good, &filler);
        let counted = keys.tokens(1, &good, &filler);
        let swapped = keys.tokens(0, &filler, &good);
        for (tokens, reason) in [
            (Vec::new(), "empty token string"),
            (tokens[..127].to_vec(), "token string of 127 bytes"),
            ([&tokens[..], &[0]].concat(), "token string of 129 bytes"),
            (tokens[..64].to_vec(), "token string of 64 bytes"),
            ([&tokens[..], &tokens[..64]].concat(), "token string of 192 bytes"),
            (good.clone(), "plaintext without tokens"),
            ([&good[..], &filler].concat(), "plaintext without tokens, of a token string's length"),
            (counted, "keystream from block 1 on"),
            (swapped, "filler before byte"),
        ] {
            let frames = keys.frames(&tokens, &[tokens.len()]);
            let message = Parts { header: header.clone(), frames }.message();
            self.add(&message, wanted, Malformed, &format!("authentic: {reason}"));
        }

        // Changes in transit.
        let (header, keys) = self.start(MTE, text(0, 0), 11);
        let filler = self.rng.bytes(64);
        let tokens = keys.tokens(0, &good, &filler);
        let parts = Parts { frames: keys.frames(&tokens, &[100, 28]), header };
        let message = parts.message();
        let mut changed = |at: usize, bit: u8, class: Class, reason: &str| {
            let mut message = message.clone();
            message[at] ^= bit;
            self.add(&message, wanted, class, reason);
        };
        changed(0, 3, OutOfPlace, "type changed from MTE to MKE");
        changed(25, 1, NotAuthentic, "MTE: bit of salt changed");
        changed(31, 1, NotAuthentic, "MTE: bit of a filler changed");
        changed(30, 1, NotAuthentic, "MTE: bit of the length changed");
        changed(26, 0x80, NotAuthentic, "MTE: FINAL set in frame 0");
        self.add(&message[..26 + 120], wanted, Truncated, "MTE: final frame dropped");
        self.add(&[&message[..], &[0]].concat(), wanted, Trailing, "MTE: a zero byte after the final frame");
        let [a, b] = parts.frames.as_slice() else { unreachable!("two frames") };
        self.add(&parts.with(&[b, a]), wanted, NotAuthentic, "MTE: frames swapped");
        self.add(&parts.with(&[b]), wanted, NotAuthentic, "MTE: frame 0 dropped");

        let (header, keys) = self.start(MTE, text(0, 0), 12);
        let frames = vec![keys.frame(0, 0, b""), keys.frame(1, 128 | FINAL, &keys.tokens(0, &good, &filler))];
        let message = Parts { header, frames }.message();
        self.add(&message, wanted, Malformed, "authentic: MTE with an empty frame that is not final");
    }
}

/// Length, plaintext and zeros up to `len` bytes, which may be an incomplete step.
fn padded_to(plaintext: &[u8], len: usize) -> Vec<u8> {
    let mut padded = [&(plaintext.len() as u32).to_be_bytes()[..], plaintext].concat();
    assert!(padded.len() <= len);
    padded.resize(len, 0);
    padded
}

fn windows() -> Vec<WindowVector> {
    use Outcome::*;
    let window = |name: &str, steps: &[(u64, u64, Outcome)]| WindowVector {
        name: name.to_owned(),
        steps: steps
            .iter()
            .map(|(first, count, outcome)| Step { first: *first, count: *count, outcome: *outcome })
            .collect(),
    };
    vec![
        window(
            "numbers in order are taken once",
            &[
                (0, 1, Taken),
                (1, 1, Taken),
                (2, 1, Taken),
                (0, 1, Replayed),
                (1, 1, Replayed),
                (2, 1, Replayed),
                (3, 1, Taken),
            ],
        ),
        window(
            "numbers out of order are taken once",
            &[
                (5, 1, Taken),
                (3, 1, Taken),
                (4, 1, Taken),
                (0, 1, Taken),
                (3, 1, Replayed),
                (5, 1, Replayed),
                (1, 1, Taken),
            ],
        ),
        window(
            "a fresh window reaches 4,095",
            &[
                (4_096, 1, OutOfWindow),
                (4_095, 1, Taken),
                (3_583, 1, OutOfWindow),
                (3_584, 1, Taken),
                (4_095 + 4_096, 1, Taken),
            ],
        ),
        window(
            "the window reaches 511 behind and 4,096 ahead of the highest",
            &[
                (1_000, 1, Taken),
                (488, 1, OutOfWindow),
                (489, 1, Taken),
                (489, 1, Replayed),
                (5_097, 1, OutOfWindow),
                (5_096, 1, Taken),
                (1_000, 1, OutOfWindow),
                (4_584, 1, OutOfWindow),
                (4_585, 1, Taken),
            ],
        ),
        window(
            "what slides out of the window stays out",
            &[
                (0, 1, Taken),
                (511, 1, Taken),
                (0, 1, Replayed),
                (512, 1, Taken),
                (0, 1, OutOfWindow),
                (1, 1, Taken),
                (513, 1, Taken),
                (1, 1, OutOfWindow),
            ],
        ),
        window(
            "slots are cleared as the window moves over them",
            &[
                (0, 1, Taken),
                (1, 1, Taken),
                (2, 1, Taken),
                (513, 1, Taken),
                (512, 1, Taken),
                (2, 1, Replayed),
                (514, 1, Taken),
                (1_025, 1, Taken),
                (1_024, 1, Taken),
                (514, 1, Replayed),
                (515, 1, Taken),
            ],
        ),
        window(
            "a jump of a whole window clears it",
            &[
                (0, 512, Taken),
                (1_023, 1, Taken),
                (512, 1, Taken),
                (511, 1, OutOfWindow),
                (1_022, 1, Taken),
                (1_023, 1, Replayed),
                (1_535, 1, Taken),
                (1_024, 1, Taken),
                (1_023, 1, OutOfWindow),
            ],
        ),
        window(
            "a jump of a window less one keeps the highest",
            &[(0, 512, Taken), (1_022, 1, Taken), (511, 1, Replayed), (510, 1, OutOfWindow), (512, 1, Taken)],
        ),
        window(
            "a group is taken whole or not at all",
            &[
                (2, 1, Taken),
                (0, 3, Replayed),
                (0, 2, Taken),
                (1, 2, Replayed),
                (3, 3, Taken),
                (5, 2, Replayed),
                (6, 1, Taken),
            ],
        ),
        window(
            "a group that is refused does not move the window",
            &[
                (4_090, 1, Taken),
                (4_089, 3, Replayed),
                (4_091, 1, Taken),
                (3_578, 3, OutOfWindow),
                (3_580, 1, Taken),
                (8_188, 1, OutOfWindow),
                (8_187, 1, Taken),
            ],
        ),
        window(
            "a group counts forward from its first number",
            &[(4_095, 3, Taken), (4_097, 1, Replayed), (8_193, 2, Taken), (8_192, 1, Taken)],
        ),
        window(
            "no number is above the last",
            &[
                (4_294_967_295, 1, OutOfWindow),
                (4_294_967_296, 1, Exhausted),
                (0, 1, Taken),
                (4_294_967_297, 1, Exhausted),
                (9_007_199_254_740_991, 1, Exhausted),
                (1, 1, Taken),
            ],
        ),
    ]
}
