//! The primitives, as used by this crate, against the test vectors of their specifications.

use aws_lc_rs::{digest, hkdf};
use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit, StreamCipher, StreamCipherSeek},
};
use mte_codec::{
    Entropy,
    kem::{DecapsulationKey, KemId, encapsulate_with_rng},
};
use support::Script;

#[path = "../examples/vectors/reference.rs"]
#[allow(dead_code, reason = "shared with the vector file's generator")]
mod reference;
mod support;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[derive(Clone, Copy)]
struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// One test case of RFC 5869, appendix A, through the library and through the reference implementation.
fn hkdf_case(ikm: &[u8], salt: &[u8], info: &[u8], prk: &str, okm: &str) {
    let (prk, okm) = (hex(prk), hex(okm));
    let expand = |key: &hkdf::Prk| {
        let mut out = vec![0; okm.len()];
        key.expand(&[info], Len(out.len())).unwrap().fill(&mut out).unwrap();
        out
    };
    assert_eq!(expand(&hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(ikm)), okm);
    assert_eq!(expand(&hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &prk)), okm);
    assert_eq!(reference::hkdf_extract(salt, ikm).as_slice(), prk);
    assert_eq!(reference::hkdf_expand(&prk, info, okm.len()), okm);
}

#[test]
fn hkdf_agrees_with_rfc_5869() {
    hkdf_case(
        &[0x0b; 22],
        &hex("000102030405060708090a0b0c"),
        &hex("f0f1f2f3f4f5f6f7f8f9"),
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    );
    let run = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    hkdf_case(
        &run(0x00, 0x4f),
        &run(0x60, 0xaf),
        &run(0xb0, 0xff),
        "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
         da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    );
    hkdf_case(
        &[0x0b; 22],
        &[],
        &[],
        "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    );
}

#[test]
fn chacha20_agrees_with_rfc_8439() {
    // Appendix A.1, test vectors 1 and 2: key and nonce zero, blocks 0 and 1; tokens start at block 0.
    let zero = hex("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
         da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586\
         9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
         29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f");
    let mut keystream = [0; 128];
    ChaCha20::new(&[0; 32].into(), &[0; 12].into()).apply_keystream(&mut keystream);
    assert_eq!(keystream.as_slice(), zero);
    let mut keystream = [0; 128];
    reference::chacha20_xor(&[0; 32], 0, &mut keystream);
    assert_eq!(keystream.as_slice(), zero);

    // Section 2.3.2: a key, a nonce, block 1.
    let key: [u8; 32] = std::array::from_fn(|index| index as u8);
    let nonce = [0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0];
    let block = hex("10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e\
         d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e");
    let mut keystream = [0; 64];
    let mut cipher = ChaCha20::new(&key.into(), &nonce.into());
    cipher.seek(64u32);
    cipher.apply_keystream(&mut keystream);
    assert_eq!(keystream.as_slice(), block);
    assert_eq!(reference::chacha20_block(&key, 1, &nonce).as_slice(), block);
}

#[test]
fn x_wing_agrees_with_its_draft() {
    // draft-connolly-cfrg-xwing-kem-06, appendix C; keys and ciphertexts by their SHA-256.
    let cases = [
        [
            "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
            "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2\
             35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
            "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb",
            "17cd532d657e44c897ca6583e548a5424fc70bf54f99515a4d2bcf99e3469f33",
            "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384",
        ],
        [
            "badfd6dfaac359a5efbb7bcc4b59d538df9a04302e10c8bc1cbf1a0b3a5120ea",
            "17cda7cfad765f5623474d368ccca8af0007cd9f5e4c849f167a580b14aabdef\
             aee7eef47cb0fca9767be1fda69419dfb927e9df07348b196691abaeb580b32d",
            "c42ba5f8430d7d2c83739338203819f090e8303ce9c8b02107c272bfa5376916",
            "1661ea86d608a1924ba30840cb0a65f13ae051e3aec9cf0f064efc0bc92f2154",
            "f2e86241c64d60f6649fbc6c5b7d17180b780a3f34355e64a85749949c45f150",
        ],
        [
            "ef58538b8d23f87732ea63b02b4fa0f4873360e2841928cd60dd4cee8cc0d4c9",
            "22a96188d032675c8ac850933c7aff1533b94c834adbb69c6115bad4692d8619\
             f90b0cdf8a7b9c264029ac185b70b83f2801f2f4b3f70c593ea3aeeb613a7f1b",
            "6b080d6b84f095342092fa7a22423e58bd681397ad0ef00eac92bd254db4fa95",
            "d3ca5578500344b5896cffc4fd740c9311946b82951df155e6fd86a7966b43c6",
            "953f7f4e8c5b5049bdc771d1dffada0dd961477d1a2ae0988baa7ea6898d893f",
        ],
    ];
    let sha256 = |bytes: &[u8]| digest::digest(&digest::SHA256, bytes).as_ref().to_vec();
    for case in cases {
        let [seed, randomness, key, ciphertext, shared] = case.map(hex);
        let receiver = DecapsulationKey::generate(KemId::XWing, &mut Script::new(&[&seed]));
        assert_eq!(sha256(receiver.encapsulation_key()), key);
        let (made, entropy) =
            encapsulate_with_rng(receiver.encapsulation_key(), &mut Script::new(&[&randomness])).unwrap();
        assert_eq!(sha256(&made), ciphertext);
        let shared = shared.try_into().unwrap();
        let derived = Entropy::derive(KemId::XWing, &shared, receiver.encapsulation_key(), &made);
        assert_eq!(entropy.as_bytes(), derived.as_bytes());
        assert_eq!(receiver.decapsulate(&made).unwrap().as_bytes(), derived.as_bytes());
    }
}
