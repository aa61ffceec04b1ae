//! The relay's own statuses (docs/protocol.md, section 5).
//!
//! A status's text is what a client may know. Why a decode failed is for the log alone.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A status that only relays produce. None is sent once the upstream has been contacted, since clients repeat
/// the request on most of them (docs/protocol.md, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// 559: the pair is older than the relay allows.
    PairExpired,
    /// 560: no such pair for this client.
    PairNotFound,
    /// 561: encoding failed.
    EncodeFailed,
    /// 562: decoding failed; not authentic, replayed, malformed, out of order or place.
    DecodeFailed,
    /// 563: the pair's state could not be read.
    StateNotRead,
    /// 564: a direction's numbers are used up.
    NumbersExhausted,
    /// 566: the client id does not verify.
    ClientIdInvalid,
    /// 567: the decoder's state could not be saved.
    DecoderNotSaved,
    /// 568: the encoder's state could not be saved.
    EncoderNotSaved,
    /// 569: `x-mte-relay`, the client id or the pair id is missing.
    RelayHeaderMissing,
}

impl Status {
    /// Every status, in order of its code.
    pub fn all() -> &'static [Self] {
        &[
            Self::PairExpired,
            Self::PairNotFound,
            Self::EncodeFailed,
            Self::DecodeFailed,
            Self::StateNotRead,
            Self::NumbersExhausted,
            Self::ClientIdInvalid,
            Self::DecoderNotSaved,
            Self::EncoderNotSaved,
            Self::RelayHeaderMissing,
        ]
    }

    /// The table: code, label, text.
    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::PairExpired => (559, "pair_expired", "pair must be renewed"),
            Self::PairNotFound => (560, "pair_not_found", "no such pair"),
            Self::EncodeFailed => (561, "encode", "encode failed"),
            Self::DecodeFailed => (562, "malformed", "decode failed"),
            Self::StateNotRead => (563, "state_not_read", "pair state could not be read"),
            Self::NumbersExhausted => (564, "numbers_exhausted", "pair is used up"),
            Self::ClientIdInvalid => (566, "client_id", "client id does not verify"),
            Self::DecoderNotSaved => (567, "state_not_saved", "decoder state could not be saved"),
            Self::EncoderNotSaved => (568, "state_not_saved", "encoder state could not be saved"),
            Self::RelayHeaderMissing => (569, "relay_header", "x-mte-relay, client id or pair id is missing"),
        }
    }

    /// The HTTP status code, 559 to 569.
    pub const fn code(self) -> u16 {
        self.row().0
    }

    /// Its name in a relay's metrics and logs, where nothing says more about the cause.
    pub const fn label(self) -> &'static str {
        self.row().1
    }

    /// The text that a client gets.
    pub const fn text(self) -> &'static str {
        self.row().2
    }

    /// The status of a code, if this relay knows one.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::all().iter().copied().find(|status| status.code() == code)
    }

    /// Whether a client pairs again and retries once on this status, if it can send the body again.
    pub fn requires_new_pair(self) -> bool {
        code_requires_new_pair(self.code())
    }

    /// Whether a client also drops its client id and asks for a new one: on 566.
    pub fn means_new_client_id(self) -> bool {
        self == Self::ClientIdInvalid
    }
}

/// Whether a client pairs again on a status code: 559 to 568, including those that this relay does not send
/// (docs/protocol.md, section 5).
pub fn code_requires_new_pair(code: u16) -> bool {
    (559..=568).contains(&code)
}

/// The answer of `GET /api/mte-errors`: a JSON object, message to status code (docs/protocol.md, section 2).
pub fn errors_json() -> String {
    let mut json = String::from("{");
    for (index, status) in Status::all().iter().enumerate() {
        // The texts are ours and need no escaping; a test reads them back.
        let comma = if index == 0 { "" } else { "," };
        json.push_str(&format!("{comma}\"{}\":{}", status.text(), status.code()));
    }
    json.push('}');
    json
}

/// The body of an error that a relay produces (docs/protocol.md, section 5), written and read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody<'a> {
    /// What a client may know.
    pub error: Cow<'a, str>,
    /// The HTTP status code, repeated in the body.
    pub status: u16,
    /// Finds the request in the relay's log, if it has an id there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Cow<'a, str>>,
}

impl<'a> ErrorBody<'a> {
    /// The body for one of the relay's own statuses.
    pub fn new(status: Status, request_id: &'a str) -> Self {
        Self { error: status.text().into(), status: status.code(), request_id: Some(request_id.into()) }
    }

    /// Reads the body of an answer; `None` if it is not from a relay.
    pub fn parse(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The JSON to send.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and a number always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn codes_are_in_order_and_texts_are_distinct() {
        let codes: Vec<u16> = Status::all().iter().map(|status| status.code()).collect();
        assert_eq!(codes, [559, 560, 561, 562, 563, 564, 566, 567, 568, 569]);
        let texts: BTreeSet<&str> = Status::all().iter().map(|status| status.text()).collect();
        assert_eq!(texts.len(), codes.len());
    }

    #[test]
    fn a_status_is_found_by_its_code() {
        for status in Status::all() {
            assert_eq!(Status::from_code(status.code()), Some(*status));
        }
        assert_eq!(Status::from_code(565), None);
        assert_eq!(Status::from_code(400), None);
    }

    #[test]
    fn clients_pair_again_on_559_to_568() {
        assert!(Status::all().iter().all(|status| status.requires_new_pair() != (status.code() == 569)));
        assert!(code_requires_new_pair(565));
        assert!(!code_requires_new_pair(558) && !code_requires_new_pair(502));
        assert!(Status::ClientIdInvalid.means_new_client_id() && !Status::PairNotFound.means_new_client_id());
    }

    #[test]
    fn the_list_of_errors_is_json_of_message_and_code() {
        let map: BTreeMap<String, u16> = serde_json::from_str(&errors_json()).unwrap();
        assert_eq!(map.len(), Status::all().len());
        assert_eq!(map["decode failed"], 562);
    }

    #[test]
    fn an_error_body_is_written_and_read_back() {
        let body = ErrorBody::new(Status::DecodeFailed, "r-1");
        let json = body.to_json();
        assert_eq!(json, br#"{"error":"decode failed","status":562,"request_id":"r-1"}"#);
        assert_eq!(ErrorBody::parse(&json), Some(body));
        assert_eq!(ErrorBody::parse(b"<html>"), None);
        let other: ErrorBody<'_> = serde_json::from_str(r#"{"error":"x","status":400,"more":1}"#).unwrap();
        assert_eq!(other.request_id, None);
    }
}
