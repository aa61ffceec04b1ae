//! Secret text: it prints and serialises as a mask, and is wiped when dropped.

use std::fmt;

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

/// The mask shown in place of a secret.
pub const MASK: &str = "(masked)";

/// A secret as written.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret's bytes: for use, never for display.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

/// The secret in a file's content: without a byte-order mark, and without the single line break that editors add at the end.
pub(super) fn of_file(bytes: &[u8]) -> &[u8] {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    text.strip_suffix(b"\n").map_or(text, |text| text.strip_suffix(b"\r").unwrap_or(text))
}

/// Placeholders that examples have in place of a secret.
const PLACEHOLDERS: [&str; 14] = [
    "changeme",
    "changeit",
    "replaceme",
    "fillmein",
    "yoursecret",
    "yourclientidsecret",
    "mysecret",
    "placeholder",
    "insertsecret",
    "examplesecret",
    "secretofatleast",
    "secretof32characters",
    "todo",
    "xxxx",
];
/// Secrets that attackers try first.
const COMMON: [&str; 8] =
    ["secret", "password", "passwort", "token", "test", "admin", "letmein", "clientidsecret"];
/// A random secret of sufficient length has more distinct characters than this.
const FEW_CHARACTERS: usize = 5;

/// Why a secret is suspicious: a placeholder, a common word, or repeated characters.
pub(super) fn is_placeholder(secret: &[u8]) -> bool {
    let word: Zeroizing<Vec<u8>> = Zeroizing::new(
        secret.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect(),
    );
    let contains = |part: &&str| word.windows(part.len()).any(|window| window == part.as_bytes());
    let letters = word.iter().rposition(|b| !b.is_ascii_digit()).map_or(&word[..0], |last| &word[..=last]);
    let mut different = [false; 256];
    secret.iter().for_each(|byte| different[usize::from(*byte)] = true);
    COMMON.iter().any(|common| letters == common.as_bytes())
        || PLACEHOLDERS.iter().any(contains)
        || different.iter().filter(|seen| **seen).count() < FEW_CHARACTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_byte_order_mark_and_one_line_break_are_removed_from_a_secret() {
        for (file, secret) in [
            (&b"abc"[..], &b"abc"[..]),
            (b"abc\n", b"abc"),
            (b"abc\r\n", b"abc"),
            (b"abc\n\n", b"abc\n"),
            (b" abc \n", b" abc "),
            (b"abc\r", b"abc\r"),
            (b"\xef\xbb\xbfabc\n", b"abc"),
            (b"a\xef\xbb\xbfbc", b"a\xef\xbb\xbfbc"),
            (b"\n", b""),
            (b"", b""),
        ] {
            assert_eq!(of_file(file), secret, "{file:?}");
        }
    }

    #[test]
    fn placeholders_are_known_and_secrets_are_not_taken_for_them() {
        for placeholder in [
            "changeme",
            "CHANGE-ME",
            "change-me-to-at-least-32-random-characters",
            "your-secret-here",
            "YOUR_SECRET_HERE_PLEASE",
            "secret",
            "Secret123",
            "password1",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "00000000000000000000000000000000",
            "abababababababababababababababab",
            "another-secret-of-at-least-32-characters",
            "<replace me>",
        ] {
            assert!(is_placeholder(placeholder.as_bytes()), "{placeholder}");
        }
        for secret in [
            "0123456789abcdef0123456789abcdef",
            "kGq0mZ5l0Vt6o8b1Zr7Jb4cQm2p9w3Xy",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "the old secret, 32 characters or more",
        ] {
            assert!(!is_placeholder(secret.as_bytes()), "{secret}");
        }
    }
}
