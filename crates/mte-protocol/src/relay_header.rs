//! The `x-mte-relay` header (docs/protocol.md, section 1).
//!
//! Parsed without copying. Whitespace around the whole value is HTTP's and is dropped; fields are taken
//! verbatim, so a space inside the value is malformed: no implementation may read ` 1` as true where another
//! reads it as false.

use std::fmt;

use mte_codec::EncodeType;
use thiserror::Error;

use crate::status::Status;

/// The header's fields (docs/protocol.md, section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayHeader<'a> {
    /// The signed client id, not verified here: see
    /// [`ClientIdSecret::verify`](crate::ClientIdSecret::verify).
    pub client_id: &'a str,
    /// The pair, as the client named it.
    pub pair_id: &'a str,
    /// MTE only if the field is exactly `0`.
    pub encode_type: EncodeType,
    /// The URL is sealed. Each boolean is true only if its field is exactly `1`.
    pub url_encoded: bool,
    /// There is a sealed header map.
    pub headers_encoded: bool,
    /// The body is sealed.
    pub body_encoded: bool,
    /// The seventh field's text, or `None` where six were sent. It is echoed and changes nothing else.
    pub streaming: Option<&'a str>,
}

/// Why a value of `x-mte-relay` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RelayHeaderError {
    /// The first field is empty or `null`.
    #[error("x-mte-relay has no client id: get one from /api/mte-relay")]
    MissingClientId,
    /// There is no second field, or it is empty.
    #[error("x-mte-relay has no pair id: pair at /api/mte-pair first")]
    MissingPairId,
    /// Anything else that does not fit; the text says what.
    #[error("x-mte-relay is malformed: {0}")]
    Malformed(&'static str),
}

impl RelayHeaderError {
    /// The HTTP status to answer with: 569 for what is missing, 400 for what is malformed (docs/protocol.md,
    /// section 5).
    pub fn status(&self) -> u16 {
        match self {
            Self::MissingClientId | Self::MissingPairId => Status::RelayHeaderMissing.code(),
            Self::Malformed(_) => 400,
        }
    }
}

impl<'a> RelayHeader<'a> {
    /// Reads the value of an encrypted request or response (docs/protocol.md, section 1).
    ///
    /// A first field that is empty or `null` is a missing client id, a second one that is absent or empty a
    /// missing pair id. A value with both must have six or seven fields, all of visible ASCII.
    ///
    /// # Errors
    /// [`RelayHeaderError`]; its [`status`](RelayHeaderError::status) is 569 or 400.
    pub fn parse(value: &'a str) -> Result<Self, RelayHeaderError> {
        use RelayHeaderError::{Malformed, MissingClientId, MissingPairId};

        let value = trim(value);
        let client_id = control_client_id(value).ok_or(MissingClientId)?;
        let mut fields = value.split(',').skip(1);
        let pair_id = match fields.next() {
            None | Some("") => return Err(MissingPairId),
            Some(text) => text,
        };
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Malformed("only visible ASCII without spaces may stand in it"));
        }
        if !valid_opaque(pair_id) {
            return Err(Malformed("the pair id must have 1 to 256 characters"));
        }
        let (Some(encode_type), Some(url), Some(headers), Some(body)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(Malformed("it must have six or seven fields, it has fewer"));
        };
        let streaming = fields.next();
        if fields.next().is_some() {
            return Err(Malformed("it must have six or seven fields, it has more"));
        }
        if streaming.is_some_and(|text| text.len() > OPAQUE_MAX) {
            return Err(Malformed("the seventh field must have at most 256 characters"));
        }
        Ok(Self {
            client_id,
            pair_id,
            encode_type: if encode_type == "0" { EncodeType::Mte } else { EncodeType::Mke },
            url_encoded: url == "1",
            headers_encoded: headers == "1",
            body_encoded: body == "1",
            streaming,
        })
    }

    /// The value for a proxied response to this request (docs/protocol.md, section 1): all seven fields, none
    /// empty, `urlEncoded` 0, the encode type of the request. Where the request had no seventh field, it is
    /// `0`.
    pub fn response_value(&self, headers_encoded: bool, body_encoded: bool) -> String {
        let streaming = self.streaming.filter(|text| !text.is_empty()).unwrap_or("0");
        Self { url_encoded: false, headers_encoded, body_encoded, streaming: Some(streaming), ..*self }
            .to_string()
    }

    /// The value for an error answer to this request (docs/protocol.md, section 5): nothing of it is encoded. Without the
    /// pair, public v4 clients assume that their state is lost, pair again and resend the request.
    pub fn error_value(&self, signed_client_id: &str) -> String {
        RelayHeader {
            client_id: signed_client_id,
            url_encoded: false,
            headers_encoded: false,
            body_encoded: false,
            streaming: self.streaming.filter(|text| !text.is_empty()),
            ..*self
        }
        .to_string()
    }
}

/// Writes the value: six fields, or seven where `streaming` is there. Nothing is checked.
impl fmt::Display for RelayHeader<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |flag| if flag { ",1" } else { ",0" };
        out.write_str(self.client_id)?;
        out.write_str(",")?;
        out.write_str(self.pair_id)?;
        out.write_str(digit(self.encode_type != EncodeType::Mte))?;
        out.write_str(digit(self.url_encoded))?;
        out.write_str(digit(self.headers_encoded))?;
        out.write_str(digit(self.body_encoded))?;
        if let Some(text) = self.streaming {
            out.write_str(",")?;
            out.write_str(text)?;
        }
        Ok(())
    }
}

/// The signed client id of a control request (docs/protocol.md, section 1): the value alone, or the first
/// field of a whole list. Empty, or the literal `null`, is as absent.
pub fn control_client_id(value: &str) -> Option<&str> {
    let value = trim(value);
    let first = value.split_once(',').map_or(value, |(first, _)| first);
    match first {
        "" | "null" => None,
        id => Some(id),
    }
}

const OPAQUE_MAX: usize = 256;

/// Whether a text may be a pair id or a personalization string (docs/protocol.md, section 1): 1 to 256
/// visible ASCII characters, no comma among them.
pub fn valid_opaque(text: &str) -> bool {
    (1..=OPAQUE_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seven_fields_are_read_and_written_back() {
        let value = "id.sig,pair+/=,1,1,0,1,0";
        let header = RelayHeader::parse(value).unwrap();
        assert_eq!(header.client_id, "id.sig");
        assert_eq!(header.pair_id, "pair+/=");
        assert_eq!(header.encode_type, EncodeType::Mke);
        assert!(header.url_encoded && !header.headers_encoded && header.body_encoded);
        assert_eq!(header.streaming, Some("0"));
        assert_eq!(header.to_string(), value);
    }

    #[test]
    fn six_fields_have_no_streaming_field() {
        let header = RelayHeader::parse("c,p,0,0,1,1").unwrap();
        assert_eq!(header.encode_type, EncodeType::Mte);
        assert_eq!(header.streaming, None);
        assert_eq!(header.to_string(), "c,p,0,0,1,1");
    }

    #[test]
    fn only_an_exact_zero_is_mte_and_only_an_exact_one_is_true() {
        let header = RelayHeader::parse("c,p,00,true,01,,x").unwrap();
        assert_eq!(header.encode_type, EncodeType::Mke);
        assert!(!header.url_encoded && !header.headers_encoded && !header.body_encoded);
        assert_eq!(header.streaming, Some("x"));
    }

    #[test]
    fn whitespace_around_the_value_is_dropped_and_inside_it_is_malformed() {
        assert_eq!(RelayHeader::parse(" \tc,p,1,1,1,1 ").unwrap().client_id, "c");
        for value in ["c, p,1,1,1,1", "c,p,1, 1,1,1", "c,p,1,1,1,1,\u{e9}", "c,p,1,1,1,1,\r\nx"] {
            assert_eq!(RelayHeader::parse(value).unwrap_err().status(), 400, "{value:?}");
        }
    }

    #[test]
    fn a_missing_field_is_569_and_a_malformed_one_400() {
        for value in ["", " ", "null", ",p,1,1,1,1", "null,p,1,1,1,1"] {
            assert_eq!(RelayHeader::parse(value), Err(RelayHeaderError::MissingClientId), "{value:?}");
        }
        for value in ["c", "c,", "c,,1,1,1,1"] {
            let error = RelayHeader::parse(value).unwrap_err();
            assert_eq!(error, RelayHeaderError::MissingPairId, "{value:?}");
            assert_eq!(error.status(), 569);
        }
        let long = format!("c,{},1,1,1,1", "p".repeat(257));
        for value in ["c,p", "c,p,1,1,1", "c,p,1,1,1,1,0,0", "a,p,1,1,1,1, a,p,1,1,1,1", &long] {
            assert_eq!(RelayHeader::parse(value).unwrap_err().status(), 400, "{value:?}");
        }
    }

    #[test]
    fn a_response_has_seven_fields_none_of_them_empty() {
        let value = |request| RelayHeader::parse(request).unwrap().response_value(true, false);
        assert_eq!(value("c,p,1,1,1,1"), "c,p,1,0,1,0,0");
        assert_eq!(value("c,p,0,1,0,1,"), "c,p,0,0,1,0,0");
        assert_eq!(value("c,p,x,1,0,1,true"), "c,p,1,0,1,0,true");
    }

    #[test]
    fn an_error_names_the_pair_and_announces_nothing() {
        let value = |request| RelayHeader::parse(request).unwrap().error_value("signed");
        assert_eq!(value("c,p,1,1,1,1"), "signed,p,1,0,0,0");
        assert_eq!(value("c,p,0,1,1,1,"), "signed,p,0,0,0,0");
        assert_eq!(value("c,p,x,1,0,1,true"), "signed,p,1,0,0,0,true");
    }

    #[test]
    fn a_control_route_takes_the_id_alone_or_the_first_of_a_list() {
        assert_eq!(control_client_id(" abc "), Some("abc"));
        assert_eq!(control_client_id("abc,,1,0,0,0,0"), Some("abc"));
        for value in ["", " ", "null", ",", ",p,1,1,1,1", "null,p,1"] {
            assert_eq!(control_client_id(value), None, "{value:?}");
        }
    }

    #[test]
    fn an_opaque_text_is_short_visible_and_free_of_commas() {
        for text in ["a", "dGVzdA+/==", "~!@#", &"x".repeat(256)] {
            assert!(valid_opaque(text), "{text:?}");
        }
        for text in ["", "a,b", "a b", "a\n", "\u{e9}", "\u{7f}", &"x".repeat(257)] {
            assert!(!valid_opaque(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails_without_a_panic(value in ".*") {
            let _ = RelayHeader::parse(&value);
            let _ = control_client_id(&value);
        }

        #[test]
        fn what_is_written_is_read_back(
            client_id in "[a-f0-9.-]{1,101}", pair_id in "[!-+\\--~]{1,256}", flags in any::<[bool; 4]>(),
            streaming in proptest::option::of("[!-+\\--~]{0,8}"),
        ) {
            prop_assume!(client_id != "null");
            let header = RelayHeader {
                client_id: &client_id,
                pair_id: &pair_id,
                encode_type: if flags[0] { EncodeType::Mke } else { EncodeType::Mte },
                url_encoded: flags[1],
                headers_encoded: flags[2],
                body_encoded: flags[3],
                streaming: streaming.as_deref(),
            };
            let text = header.to_string();
            prop_assert_eq!(RelayHeader::parse(&text), Ok(header));
            let answer = header.response_value(flags[2], flags[3]);
            prop_assert_eq!(answer.split(',').filter(|field| !field.is_empty()).count(), 7);
        }
    }
}
