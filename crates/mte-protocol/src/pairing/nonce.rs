//! Nonces of a pairing (docs/protocol.md, section 2; docs/codec.md, section 3).

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// A random 63-bit number whose canonical decimal text is an input of a direction's root.
///
/// Clients parse the text into a signed 64-bit integer, and both sides hash the text itself, so there is one
/// text per number: no sign, no leading zero, at most 9223372036854775807.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce(u64);

/// A text that is no canonical decimal number of 63 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the canonical decimal text of a 63-bit number")]
pub struct InvalidNonce;

impl Nonce {
    /// Takes 64 random bits and drops the highest.
    pub fn from_random(random: u64) -> Self {
        Self(random & (u64::MAX >> 1))
    }

    /// The number, below 2^63.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// The canonical decimal text: the codec takes its ASCII bytes.
impl fmt::Display for Nonce {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for Nonce {
    type Err = InvalidNonce;

    fn from_str(text: &str) -> Result<Self, InvalidNonce> {
        let canonical =
            text == "0" || !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<i64>() {
            Ok(number) if canonical => u64::try_from(number).map(Self).map_err(|_| InvalidNonce),
            _ => Err(InvalidNonce),
        }
    }
}

impl Serialize for Nonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_canonical_text_is_read() {
        for text in ["0", "1", "10", "9223372036854775807"] {
            assert_eq!(text.parse::<Nonce>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            "-0",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "18446744073709551615",
            "٣",
        ] {
            assert!(text.parse::<Nonce>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_random_nonce_is_read_back_from_its_text(random: u64) {
            let nonce = Nonce::from_random(random);
            prop_assert!(i64::try_from(nonce.number()).is_ok());
            prop_assert_eq!(nonce.to_string().parse(), Ok(nonce));
        }
    }
}
