//! Shared by the tests of this crate: scripted randomness, and both ways to open a message.
#![allow(dead_code, reason = "each test program uses its part")]

use std::convert::Infallible;

use bytes::BytesMut;
use mte_codec::{
    DecoderSecrets, DecoderState, EncodeType, Expected, FRAME_OVERHEAD, HEADER_LEN, OpenError, Opener, Place,
    open,
};
use rand_core::{TryCryptoRng, TryRng};

/// A random number generator that returns exactly the given bytes, all of which must be used.
pub(crate) struct Script(Vec<u8>);

impl Script {
    pub(crate) fn new(parts: &[&[u8]]) -> Self {
        Self(parts.concat())
    }

    pub(crate) fn assert_used_up(&self) {
        assert!(self.0.is_empty(), "{} random bytes were not drawn", self.0.len());
    }
}

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        assert!(dst.len() <= self.0.len(), "more random bytes were drawn than scripted");
        self.0.drain(..dst.len()).zip(dst).for_each(|(byte, slot)| *slot = byte);
        Ok(())
    }
}

impl TryCryptoRng for Script {}

/// The expected message for a decoder that should open this one.
pub(crate) fn expected(encode_type: EncodeType, place: Place) -> Expected {
    Expected { encode_type, place }
}

/// Opens a whole message: its number and plaintext.
pub(crate) fn open_whole(
    secrets: &DecoderSecrets,
    expected: Expected,
    message: &[u8],
) -> Result<(u64, Vec<u8>), OpenError> {
    let mut buffer = message.to_vec();
    let opened = open::message(secrets, expected, &mut buffer)
        .map(|opened| (opened.number, opened.plaintext.to_vec()));
    if opened.is_err() {
        assert!(buffer.iter().all(|byte| *byte == 0), "a refused message is wiped");
    }
    opened
}

/// Opens a message of type MKE that arrives in `parts`. After every part, it takes all available frames, and checks that the
/// opener holds less than one frame.
pub(crate) fn open_in_parts<'a>(
    secrets: &DecoderSecrets,
    expected: Expected,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(u64, Vec<u8>), OpenError> {
    let mut opener = Opener::new(secrets.clone(), expected, BytesMut::new());
    let mut plaintext = Vec::new();
    let (mut input, mut taken) = (Vec::new(), 0);
    for part in parts {
        opener.push(part);
        input.extend_from_slice(part);
        while let Some(frame) = opener.next_frame()? {
            taken += frame.data.len() + FRAME_OVERHEAD;
            plaintext.extend_from_slice(&frame.data);
            assert_eq!(frame.last, opener.is_finished());
        }
        if let Some(rest) = input.get(HEADER_LEN + taken..)
            && let Some(head) = rest.first_chunk::<4>()
        {
            let frame = (u32::from_be_bytes(*head) & 0x7fff_ffff) as usize + FRAME_OVERHEAD;
            assert!(rest.len() < frame, "a frame that is whole is handed out");
        }
    }
    let header = opener.header()?;
    opener.finish()?;
    Ok((header.expect("a finished message has a header").number, plaintext))
}

/// Opens a message like a correct receiver: open, then commit. MKE is opened in both ways, which must agree.
pub(crate) fn receive(
    state: &mut DecoderState,
    expected: Expected,
    message: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let whole = open_whole(&state.secrets, expected, message);
    if expected.encode_type == EncodeType::Mke {
        let middle = message.len() / 2;
        let parts = open_in_parts(&state.secrets, expected, [&message[..middle], &message[middle..]]);
        // A message that is too short is refused for that when it is complete; in parts, it may be refused for its header
        // first.
        assert_eq!(whole.as_ref().ok(), parts.as_ref().ok(), "whole and in parts agree");
    }
    let (number, plaintext) = whole?;
    state.commit(number, 1)?;
    Ok(plaintext)
}

/// The state of a decoder, in a form that can be compared.
pub(crate) fn memory(state: &DecoderState) -> (mte_codec::Window, String, Vec<[u8; 32]>) {
    let reach = [state.window.oldest(), state.window.highest().unwrap_or(0)];
    let secrets = reach.map(|n| *state.secrets.epoch_of(n).expect("the window's reach").as_bytes());
    (state.window.clone(), format!("{:?}", state.secrets), secrets.to_vec())
}
