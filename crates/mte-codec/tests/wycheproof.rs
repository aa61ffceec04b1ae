//! The primitives against the vectors of Project Wycheproof: AES-256-GCM of the library, and ML-KEM through this crate where
//! the vector's inputs fit its functions.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
#[allow(deprecated, reason = "the vectors come as expanded keys")]
use ml_kem::ExpandedKeyEncoding;
use ml_kem::{
    MlKem512, MlKem768, MlKem1024,
    array::Array,
    kem::{Decapsulate, Kem},
};
use mte_codec::{
    Entropy, KemError,
    kem::{DecapsulationKey, KemId, encapsulate_with_rng},
};
use support::Script;
use wycheproof::{
    ByteString, TestResult, aead,
    mlkem::{self, MlKemParameterSet, Test, TestName},
};

mod support;

fn id(set: MlKemParameterSet) -> KemId {
    match set {
        MlKemParameterSet::MlKem512 => KemId::MlKem512,
        MlKemParameterSet::MlKem768 => KemId::MlKem768,
        MlKemParameterSet::MlKem1024 => KemId::MlKem1024,
    }
}

fn bytes(field: &Option<ByteString>) -> &[u8] {
    field.as_deref().unwrap()
}

/// Runs every test of these sets; returns how many were valid and how many were not.
fn run(names: [TestName; 3], mut check: impl FnMut(KemId, &Test)) -> (usize, usize) {
    let (mut valid, mut invalid) = (0, 0);
    for name in names {
        let set = mlkem::TestSet::load(name).unwrap();
        for group in set.test_groups {
            for test in group.tests {
                check(id(group.parameter_set), &test);
                *if test.result == TestResult::Valid { &mut valid } else { &mut invalid } += 1;
            }
        }
    }
    (valid, invalid)
}

/// The entropy that this crate derives from a vector's shared secret.
fn entropy(id: KemId, test: &Test, key: &[u8], ciphertext: &[u8]) -> [u8; 32] {
    let shared = bytes(&test.shared_secret).try_into().unwrap();
    *Entropy::derive(id, &shared, key, ciphertext).as_bytes()
}

#[test]
fn encapsulation_agrees_and_refuses_keys_that_fail_the_modulus_check() {
    let names = [TestName::MlKem512Encaps, TestName::MlKem768Encaps, TestName::MlKem1024Encaps];
    let (mut of_modulus, mut of_size) = (0, 0);
    let (valid, invalid) = run(names, |id, test| {
        let key = bytes(&test.encaps_key);
        let made = encapsulate_with_rng(key, &mut Script::new(&[bytes(&test.msg)]));
        match (test.result, made) {
            (TestResult::Valid, Ok((ciphertext, made))) => {
                assert_eq!(ciphertext, bytes(&test.ct), "{id} {}", test.tc_id);
                assert_eq!(made.as_bytes(), &entropy(id, test, key, &ciphertext), "{id} {}", test.tc_id);
            }
            (TestResult::Invalid, Err(KemError::InvalidKey(refused))) => {
                assert_eq!(refused, id);
                of_modulus += 1;
            }
            (TestResult::Invalid, Err(KemError::KeySize(size))) => {
                assert_eq!(size, key.len());
                of_size += 1;
            }
            (result, made) => panic!("{id} {}: {result:?} but {made:?}", test.tc_id),
        }
    });
    assert!(valid > 390 && invalid > 380, "{valid} valid and {invalid} invalid tests");
    assert_eq!(of_modulus + of_size, invalid);
    assert!(of_modulus > 300, "{of_modulus} keys failed the modulus check");
}

#[test]
fn keys_from_seeds_agree() {
    let names = [TestName::MlKem512KeyGenSeed, TestName::MlKem768KeyGenSeed, TestName::MlKem1024KeyGenSeed];
    let (valid, invalid) = run(names, |id, test| {
        let key = DecapsulationKey::generate(id, &mut Script::new(&[bytes(&test.seed)]));
        assert_eq!(key.encapsulation_key(), bytes(&test.encaps_key), "{id} {}", test.tc_id);
    });
    assert_eq!((valid, invalid), (300, 0));
}

#[test]
fn decapsulation_agrees_and_refuses_sizes() {
    let names = [TestName::MlKem512, TestName::MlKem768, TestName::MlKem1024];
    let (mut decapsulated, mut of_size) = (0, 0);
    let (valid, invalid) = run(names, |id, test| {
        let seed = bytes(&test.seed);
        let ciphertext = bytes(&test.ct);
        if seed.len() != 64 {
            // This crate generates its keys itself, so it has no function that takes a seed of another size.
            assert_eq!(test.result, TestResult::Invalid);
            return;
        }
        let key = DecapsulationKey::generate(id, &mut Script::new(&[seed]));
        if let Some(encapsulation_key) = &test.encaps_key {
            assert_eq!(key.encapsulation_key(), &**encapsulation_key);
        }
        match (test.result, key.decapsulate(ciphertext)) {
            (TestResult::Valid, Ok(made)) => {
                let entropy = entropy(id, test, key.encapsulation_key(), ciphertext);
                assert_eq!(made.as_bytes(), &entropy, "{id} {}", test.tc_id);
                decapsulated += 1;
            }
            (TestResult::Invalid, Err(KemError::CiphertextSize { expected, got })) => {
                assert_eq!((expected, got), (id.ciphertext_len(), ciphertext.len()));
                of_size += 1;
            }
            (result, made) => panic!("{id} {}: {result:?} but {made:?}", test.tc_id),
        }
    });
    assert_eq!(decapsulated, valid);
    assert!(valid > 450 && of_size > 30, "{valid} valid, {invalid} invalid, {of_size} of size");
}

/// One vector with an expanded decapsulation key, which this crate neither reads nor writes, so the library is tested.
#[allow(deprecated, reason = "the vectors come as expanded keys")]
fn decapsulate_expanded<K>(key: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>>
where
    K: Kem<DecapsulationKey: ExpandedKeyEncoding + Decapsulate<Kem = K>>,
{
    let key = K::DecapsulationKey::from_expanded_bytes(&Array::try_from(key).ok()?).ok()?;
    key.decapsulate_slice(ciphertext).ok().map(|shared| shared.to_vec())
}

#[test]
fn the_library_refuses_inconsistent_expanded_keys() {
    let names = [
        TestName::MlKem512SemiExpandedDecaps,
        TestName::MlKem768SemiExpandedDecaps,
        TestName::MlKem1024SemiExpandedDecaps,
    ];
    let (valid, invalid) = run(names, |id, test| {
        let (key, ciphertext) = (bytes(&test.decaps_key), bytes(&test.ct));
        let made = match id {
            KemId::MlKem512 => decapsulate_expanded::<MlKem512>(key, ciphertext),
            KemId::MlKem768 => decapsulate_expanded::<MlKem768>(key, ciphertext),
            _ => decapsulate_expanded::<MlKem1024>(key, ciphertext),
        };
        let wanted = (test.result == TestResult::Valid).then(|| bytes(&test.shared_secret));
        assert_eq!(made.as_deref(), wanted, "{id} {}", test.tc_id);
    });
    assert!(valid >= 9 && invalid >= 18, "{valid} valid and {invalid} invalid tests");
}

#[test]
fn aes_256_gcm_agrees_and_refuses_what_is_not_authentic() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let groups = set.test_groups.iter();
    let ours = groups.filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128));
    let (mut valid, mut invalid) = (0, 0);
    for test in ours.flat_map(|group| &group.tests) {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &test.key).unwrap());
        let nonce = || Nonce::try_assume_unique_for_key(&test.nonce).unwrap();
        let mut opened = [test.ct.as_slice(), &test.tag].concat();
        let result = key.open_in_place(nonce(), Aad::from(&*test.aad), &mut opened);
        if test.result == TestResult::Valid {
            assert_eq!(result.unwrap(), test.pt.as_slice(), "{}", test.tc_id);
            let mut sealed = test.pt.to_vec();
            let tag = key.seal_in_place_separate_tag(nonce(), Aad::from(&*test.aad), &mut sealed).unwrap();
            assert_eq!(
                (sealed.as_slice(), tag.as_ref()),
                (test.ct.as_slice(), test.tag.as_slice()),
                "{}",
                test.tc_id
            );
            valid += 1;
        } else {
            assert!(result.is_err(), "{}", test.tc_id);
            invalid += 1;
        }
    }
    assert!(valid > 35 && invalid > 20, "{valid} valid and {invalid} invalid tests");
}
