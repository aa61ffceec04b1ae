//! Work with secrets that wipes the stack it used.
//!
//! The libraries that compute with secrets return them by value and keep them in local variables: an HKDF key is moved three
//! times before it is used, a KEM's shared secret more often. Each move leaves a copy on the stack, which stays there until
//! something happens to overwrite it, on an idle worker thread for days. [`scrubbed`] runs such work and then overwrites the
//! stack below its caller.
//!
//! What the work returns must hold secrets by pointer only (see [`crate::secret`]): its own bytes are not wiped.

use std::hint::black_box;

/// Stack for one key derivation: HKDF of `aws-lc-rs`, which wipes its own state, and the moves around it.
/// A test holds these sizes against what is used.
pub(crate) const DERIVATION: usize = 4 << 10;
/// Stack for the tokens of one message: ChaCha20's blocks, several at once.
pub(crate) const TOKENS: usize = 24 << 10;
/// Stack for a key encapsulation: polynomials and matrices, and Keccak's state.
pub(crate) const ENCAPSULATION: usize = 128 << 10;

/// Runs `work`, then wipes `STACK` bytes of the stack that it ran on.
pub(crate) fn scrubbed<const STACK: usize, R>(work: impl FnOnce() -> R) -> R {
    let result = apart(work);
    wipe::<STACK>();
    result
}

/// Keeps the work's frame from becoming part of its caller's, which is not wiped.
#[inline(never)]
fn apart<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Overwrites the stack below its caller: the frame of this function lies where that of `apart` lay.
#[inline(never)]
fn wipe<const STACK: usize>() {
    // The compiler must assume that the zeros are read, so it writes them.
    black_box(&mut [0u8; STACK]);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt, thread};

    use super::*;
    use crate::{EncodeType, EpochSecret, kem, schedule, tokens};

    /// More stack than any of the work uses.
    const PAINTED: usize = 1 << 20;
    const PAINT: u8 = 0xa5;
    /// More than looking at the stack uses of it.
    const LOOKING: usize = 16 << 10;

    /// Fillers: a real generator uses much stack, and leaves nothing secret there.
    struct Zeros;

    impl rand_core::TryRng for Zeros {
        type Error = std::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(0)
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(0)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            bytes.fill(0);
            Ok(())
        }
    }

    impl rand_core::TryCryptoRng for Zeros {}

    #[inline(never)]
    fn paint() {
        black_box(&mut [PAINT; PAINTED]);
    }

    /// Runs `work` below the part of the stack that looking at it will use.
    #[inline(never)]
    fn further_down<const ROOM: usize, R>(work: impl Fn() -> R) -> R {
        let room = [PAINT; ROOM];
        black_box(&room);
        let result = apart(work);
        black_box(&room);
        result
    }

    /// What is on the stack below here.
    #[inline(never)]
    fn stack_below() -> Vec<u8> {
        let here = 0u8;
        let top = std::ptr::from_ref(black_box(&here)) as usize;
        let mut stack = vec![0; PAINTED - LOOKING];
        let bottom = top - stack.len();
        File::open("/proc/self/mem").unwrap().read_exact_at(&mut stack, bottom as u64).unwrap();
        stack
    }

    /// Runs `work` on a painted stack: what it returns, and what it leaves there.
    fn on_painted_stack<R: Send + 'static>(work: impl Fn() -> R + Send + 'static) -> (R, Vec<u8>) {
        let measured = thread::Builder::new().stack_size(4 * PAINTED).spawn(move || {
            drop(work()); // What is done once per process is done.
            paint();
            let result = further_down::<LOOKING, _>(&work);
            (result, stack_below())
        });
        measured.unwrap().join().unwrap()
    }

    /// The stack that `work` uses, at most.
    fn depth(work: impl Fn() + Send + 'static) -> usize {
        let ((), stack) = on_painted_stack(work);
        stack.iter().position(|byte| *byte != PAINT).map_or(0, |first| stack.len() - first - LOOKING)
    }

    /// How often what `work` returns is left on the stack.
    fn left_behind(work: impl Fn() -> Vec<u8> + Send + 'static) -> usize {
        let (secret, stack) = on_painted_stack(work);
        stack.windows(secret.len()).filter(|window| *window == secret).count()
    }

    #[test]
    fn scrubbed_work_leaves_no_secret_on_the_stack() {
        /// Does what a library does that returns a secret by value.
        #[inline(never)]
        fn careless(secret: &EpochSecret) -> Vec<u8> {
            further_down::<2048, _>(|| black_box(*secret.as_bytes())[0]);
            secret.as_bytes().to_vec()
        }
        fn encapsulated(id: kem::KemId) -> Vec<u8> {
            let key = kem::DecapsulationKey::generate(id, &mut rand::rng());
            kem::encapsulate(key.encapsulation_key(), &mut rand::rng()).unwrap().1.as_bytes().to_vec()
        }
        let root = || EpochSecret::from_bytes(0, &[7; 32]);
        assert!(left_behind(move || careless(&root())) > 0, "the test sees what is left");
        let scrubbed = [
            left_behind(move || scrubbed::<DERIVATION, _>(|| careless(&root()))),
            left_behind(move || {
                drop(root().at(3));
                vec![7; 32]
            }),
            left_behind(move || root().at(3).unwrap().as_bytes().to_vec()),
            left_behind(move || {
                drop(root().message_key(EncodeType::Mte, &[0; 26]));
                vec![7; 32]
            }),
            left_behind(move || {
                root().message_key(EncodeType::Mte, &[0; 26]).unwrap().tokens().unwrap().to_vec()
            }),
            left_behind(|| encapsulated(kem::KemId::XWing)),
            left_behind(|| encapsulated(kem::KemId::MlKem768)),
        ];
        assert_eq!(scrubbed, [0; 7]);
    }

    #[test]
    fn every_kind_of_work_uses_less_stack_than_is_wiped_after_it() {
        let secret = EpochSecret::from_bytes(0, &[7; 32]);
        let (other, token_key) = (secret.clone(), crate::secret::Secret::copied(&[7; 32]));
        let check = |what: &str, depth: usize, wiped: usize| {
            println!("{what}: {depth} bytes of stack");
            assert!(depth <= wiped, "{what} uses {depth} bytes of stack; {wiped} are wiped");
        };
        let depth_of_key = depth(move || drop(secret.message_key_unscrubbed(EncodeType::Mte, &[0; 26])));
        check("a message key", depth_of_key, DERIVATION);
        check("an epoch", depth(move || drop(other.at_unscrubbed(3))), DERIVATION);
        let root = || {
            let inputs = schedule::RootInputs::new("1", "2");
            drop(schedule::root_unscrubbed(&kem::Entropy::from_bytes(&[7; 32]), &inputs));
        };
        check("a root", depth(root), DERIVATION);
        let tokens = move || {
            let mut tokens = tokens::encode_unscrubbed(token_key.bytes(), b"x", &mut Zeros).unwrap();
            tokens::decode_unscrubbed(token_key.bytes(), &mut tokens).unwrap();
        };
        check("tokens", depth(tokens), TOKENS);
        for id in kem::KemId::ALL {
            let depth = depth(move || {
                let key = kem::DecapsulationKey::generate_unscrubbed(id, &mut rand::rng());
                kem::encapsulate_with_rng_unscrubbed(id, key.encapsulation_key(), &mut rand::rng()).unwrap();
                let (ciphertext, _) =
                    kem::encapsulate_unscrubbed(id, key.encapsulation_key(), &mut rand::rng()).unwrap();
                drop(key.decapsulate_unscrubbed(&ciphertext));
            });
            check(id.name(), depth, ENCAPSULATION);
        }
    }
}
