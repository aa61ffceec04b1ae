//! Why a pairing request or response is refused, and the JSON sent to its sender (docs/protocol.md,
//! section 2).

use std::fmt;

use serde::Serialize;

use super::KEMS;

/// A field of the pairing JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `pairId`, of requests and responses.
    PairId,
    /// `encoderPublicKey` of a request.
    EncoderPublicKey,
    /// `encoderPersonalizationStr` of a request.
    EncoderPersonalization,
    /// `decoderPublicKey` of a request.
    DecoderPublicKey,
    /// `decoderPersonalizationStr` of a request.
    DecoderPersonalization,
    /// `encoderNonce` of a response.
    EncoderNonce,
    /// `encoderSecret` of a response.
    EncoderSecret,
    /// `decoderNonce` of a response.
    DecoderNonce,
    /// `decoderSecret` of a response.
    DecoderSecret,
}

impl Field {
    /// The name in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::PairId => "pairId",
            Self::EncoderPublicKey => "encoderPublicKey",
            Self::EncoderPersonalization => "encoderPersonalizationStr",
            Self::DecoderPublicKey => "decoderPublicKey",
            Self::DecoderPersonalization => "decoderPersonalizationStr",
            Self::EncoderNonce => "encoderNonce",
            Self::EncoderSecret => "encoderSecret",
            Self::DecoderNonce => "decoderNonce",
            Self::DecoderSecret => "decoderSecret",
        }
    }
}

/// What is wrong. The texts say what to do next, and never repeat what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not JSON, or JSON of another shape; with the parser's words, which name line and column.
    Json(String),
    /// An array without a pair.
    Empty,
    /// More pairs than allowed.
    TooMany {
        /// How many are allowed.
        max: usize,
    },
    /// A field is not there.
    Missing,
    /// A field is there twice in one object.
    Repeated,
    /// A field's value is not a string.
    NotText,
    /// A pair id or personalization string that breaks section 1's rule.
    NotOpaque,
    /// Not strict base64.
    NotBase64,
    /// A key or ciphertext of no known size.
    Size {
        /// How many bytes there were.
        got: usize,
        /// How many there must be; `None` if any KEM's key would do.
        expected: Option<usize>,
    },
    /// A key of a right size that is not a key.
    InvalidKey,
    /// A key of an algorithm below what the relay demands.
    WeakKey {
        /// The weakest KEM that is allowed.
        minimum: &'static str,
    },
    /// A pair id that an earlier pair of the same request has.
    Duplicate {
        /// The earlier pair's index.
        first: usize,
    },
    /// Not the canonical decimal text of a 63-bit number.
    NotANonce,
    /// A response has another number of pairs than its request, or another pair in this place.
    NotAsked,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => {
                write!(out, "not the JSON of a pairing ({error}); send an array of objects of strings")
            }
            Self::Empty => out.write_str("the array is empty; ask for at least one pair"),
            Self::TooMany { max } => write!(out, "more than {max} pairs; split them over several requests"),
            Self::Missing => out.write_str("the field is missing"),
            Self::Repeated => out.write_str("the field stands there twice; send it once"),
            Self::NotText => out.write_str("the value is not a string"),
            Self::NotOpaque => {
                out.write_str("the value must be 1 to 256 visible ASCII characters without a comma")
            }
            Self::NotBase64 => out.write_str("the value is not standard padded base64"),
            Self::Size { got, expected: Some(expected) } => write!(out, "{got} bytes instead of {expected}"),
            Self::Size { got, expected: None } => {
                write!(out, "a key of {got} bytes; send an encapsulation key of")?;
                for (index, (name, key, _)) in KEMS.iter().enumerate() {
                    let before = if index == 0 {
                        ""
                    } else if index + 1 == KEMS.len() {
                        " or"
                    } else {
                        ","
                    };
                    write!(out, "{before} {key} ({name})")?;
                }
                Ok(())
            }
            Self::InvalidKey => out.write_str("the bytes are not an encapsulation key; make a new key"),
            Self::WeakKey { minimum } => {
                write!(out, "the key's algorithm is not accepted here; use {minimum} or stronger")
            }
            Self::Duplicate { first } => {
                write!(out, "pair {first} of this request has the same id; name every pair anew")
            }
            Self::NotANonce => {
                out.write_str("the value is not the canonical decimal text of a 63-bit number")
            }
            Self::NotAsked => out.write_str("the answer does not fit the pairs that were asked for"),
        }
    }
}

/// A pairing body that does not fit: answered with 400 and [`to_json`](Self::to_json) (docs/protocol.md,
/// section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingError {
    /// Which pair, from 0; `None` where it is about the whole body.
    pub index: Option<usize>,
    /// Which field; `None` where it is about the whole pair or body.
    pub field: Option<Field>,
    /// What is wrong.
    pub problem: Problem,
}

impl PairingError {
    /// The status to answer with.
    pub const STATUS: u16 = 400;

    /// A problem of the whole body.
    pub fn body(problem: Problem) -> Self {
        Self { index: None, field: None, problem }
    }

    /// A problem of one field, also one found later: [`Problem::InvalidKey`], [`Problem::WeakKey`].
    pub fn field(index: usize, field: Field, problem: Problem) -> Self {
        Self { index: Some(index), field: Some(field), problem }
    }

    /// The JSON to answer with: `error`, `status`, `index`, `field`, `request_id`, each of the last three
    /// only where there is one (docs/protocol.md, sections 2 and 5).
    pub fn to_json(&self, request_id: Option<&str>) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            error: String,
            status: u16,
            #[serde(skip_serializing_if = "Option::is_none")]
            index: Option<usize>,
            #[serde(skip_serializing_if = "Option::is_none")]
            field: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_id: Option<&'a str>,
        }
        let body = Body {
            error: self.to_string(),
            status: Self::STATUS,
            index: self.index,
            field: self.field.map(Field::name),
            request_id,
        };
        // Strings and numbers always serialise.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// One line: `pair 3, encoderPublicKey: the value is not standard padded base64`.
impl fmt::Display for PairingError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.index, self.field) {
            (Some(index), Some(field)) => write!(out, "pair {index}, {}: {}", field.name(), self.problem),
            (Some(index), None) => write!(out, "pair {index}: {}", self.problem),
            (None, _) => self.problem.fmt(out),
        }
    }
}

impl std::error::Error for PairingError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_names_the_field_and_the_index() {
        let error = PairingError::field(3, Field::DecoderPublicKey, Problem::NotBase64);
        assert_eq!(
            String::from_utf8(error.to_json(Some("r-9"))).unwrap(),
            r#"{"error":"pair 3, decoderPublicKey: the value is not standard padded base64","status":400,"#
                .to_owned()
                + r#""index":3,"field":"decoderPublicKey","request_id":"r-9"}"#
        );
        let error = PairingError::body(Problem::Empty);
        assert_eq!(
            String::from_utf8(error.to_json(None)).unwrap(),
            r#"{"error":"the array is empty; ask for at least one pair","status":400}"#
        );
    }

    #[test]
    fn a_wrong_size_lists_the_sizes_that_would_do() {
        let text = Problem::Size { got: 5, expected: None }.to_string();
        assert_eq!(
            text,
            "a key of 5 bytes; send an encapsulation key of 800 (ML-KEM-512), 1184 (ML-KEM-768), \
             1568 (ML-KEM-1024) or 1216 (X-Wing)"
        );
    }
}
