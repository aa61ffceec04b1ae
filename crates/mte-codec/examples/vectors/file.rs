//! The vector file: its keys, and how it is written (one line per vector, so that a change is readable in a diff) and read.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The whole file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) about: String,
    pub(crate) kem: Vec<KemVector>,
    pub(crate) directions: Vec<DirectionVector>,
    pub(crate) messages: Vec<MessageVector>,
    pub(crate) refused: Vec<RefusedVector>,
    pub(crate) windows: Vec<WindowVector>,
}

/// A key exchange (section 2). `seed` generates the decapsulation key, `randomness` is the input of encapsulation;
/// an implementation that only encapsulates, or only decapsulates, does not need both.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KemVector {
    pub(crate) id: u16,
    pub(crate) seed: Hex,
    pub(crate) randomness: Hex,
    pub(crate) encapsulation_key: Hex,
    pub(crate) ciphertext: Hex,
    pub(crate) shared_secret: Hex,
    pub(crate) entropy: Hex,
}

/// A direction's root and some of its epoch secrets (section 3).
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DirectionVector {
    pub(crate) entropy: Hex,
    pub(crate) auth: Hex,
    pub(crate) nonce: String,
    pub(crate) personalization: String,
    pub(crate) context: Hex,
    pub(crate) root: Hex,
    pub(crate) epochs: BTreeMap<u32, Hex>,
}

/// A message and all its inputs (sections 4 and 5).
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageVector {
    pub(crate) direction: usize,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) place: u8,
    pub(crate) n: u64,
    pub(crate) salt: Hex,
    pub(crate) frame_sizes: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) filler: Option<Hex>,
    pub(crate) plaintext: Hex,
    pub(crate) message: Hex,
}

/// A message that every decoder must refuse.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusedVector {
    pub(crate) direction: usize,
    pub(crate) expected: ExpectedVector,
    /// The reason in this crate's log; it is never sent to the peer.
    pub(crate) class: Class,
    /// How the message was made.
    pub(crate) reason: String,
    pub(crate) message: Hex,
}

/// The message that the decoder expects.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedVector {
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) place: u8,
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    Malformed,
    #[serde(rename = "out of place")]
    OutOfPlace,
    #[serde(rename = "not authentic")]
    NotAuthentic,
    Truncated,
    Trailing,
    #[serde(rename = "out of window")]
    OutOfWindow,
    Exhausted,
}

/// Commits on one fresh window, in order (section 6).
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowVector {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// One commit of `count` numbers from `first` on, all or none.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) outcome: Outcome,
}

/// The result of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Taken,
    Replayed,
    #[serde(rename = "out of window")]
    OutOfWindow,
    Exhausted,
}

impl File {
    /// The file's text.
    pub(crate) fn to_json(&self) -> String {
        fn line(value: &impl Serialize) -> String {
            serde_json::to_string(value).expect("plain data serializes")
        }
        fn array<T: Serialize>(key: &str, values: &[T]) -> String {
            let lines: Vec<_> = values.iter().map(|value| format!("    {}", line(value))).collect();
            format!("  \"{key}\": [\n{}\n  ]", lines.join(",\n"))
        }
        let parts = [
            format!("  \"about\": {}", line(&self.about)),
            array("kem", &self.kem),
            array("directions", &self.directions),
            array("messages", &self.messages),
            array("refused", &self.refused),
            array("windows", &self.windows),
        ];
        format!("{{\n{}\n}}\n", parts.join(",\n"))
    }
}

/// Bytes, written in lower-case hexadecimal.
#[derive(Clone, PartialEq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl std::ops::Deref for Hex {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<T: AsRef<[u8]>> From<T> for Hex {
    fn from(bytes: T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.get(..64) {
            Some(start) => write!(f, "{}.. ({} bytes)", Self::from(start), self.0.len()),
            None => write!(f, "{self}"),
        }
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn digit(byte: u8) -> Option<u8> {
            match byte {
                b'0'..=b'9' => Some(byte - b'0'),
                b'a'..=b'f' => Some(byte - b'a' + 10),
                _ => None,
            }
        }
        let text = String::deserialize(deserializer)?;
        let pair = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
        bytes.map(Self).ok_or_else(|| D::Error::custom("expected lower-case hexadecimal"))
    }
}
