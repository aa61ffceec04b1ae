//! What an outbound request asks for: the peer, and what of the request is sealed (docs/protocol.md, section 7).

use http::HeaderName;
use mte_client::{EncodeHeaders, EncodeType};
use mte_protocol::names::{X_MTE_ENCODE_HEADERS, X_MTE_ENCODE_TYPE, X_MTE_ENCODE_URL, X_MTE_UPSTREAM};
use pingora_http::RequestHeader;

use super::super::{encrypted::single, error::Failure};
use crate::{
    outbound::PeerRules,
    upstream::{UpstreamUrl, UrlError},
};

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutboundOptions {
    /// The relay to send it to.
    pub(super) peer: UpstreamUrl,
    pub(super) encode_type: EncodeType,
    pub(super) encode_url: bool,
    pub(super) encode_headers: EncodeHeaders,
}

impl OutboundOptions {
    /// Reads the request's headers.
    ///
    /// # Errors
    /// 400 for what is missing, there twice, or none of the values that there are.
    pub(super) fn parse(request: &RequestHeader) -> Result<Self, Failure> {
        Ok(Self {
            peer: peer(request)?,
            encode_type: match single(request, X_MTE_ENCODE_TYPE)? {
                None => EncodeType::Mke,
                Some(text) if text.eq_ignore_ascii_case("mke") => EncodeType::Mke,
                Some(text) if text.eq_ignore_ascii_case("mte") => EncodeType::Mte,
                Some(_) => return Err(bad(X_MTE_ENCODE_TYPE, "is neither MKE nor MTE")),
            },
            encode_url: match single(request, X_MTE_ENCODE_URL)? {
                None => true,
                Some(text) => {
                    boolean(text).ok_or_else(|| bad(X_MTE_ENCODE_URL, "is neither true nor false"))?
                }
            },
            encode_headers: match single(request, X_MTE_ENCODE_HEADERS)? {
                None => EncodeHeaders::All,
                Some(text) => encode_headers(text)?,
            },
        })
    }
}

fn peer(request: &RequestHeader) -> Result<UpstreamUrl, Failure> {
    let Some(text) = single(request, X_MTE_UPSTREAM)? else {
        return Err(bad(
            X_MTE_UPSTREAM,
            "is missing: name the relay to send the request to, as in https://relay.example",
        ));
    };
    PeerRules::peer(text).map_err(|error| {
        // What a user name or a password may be in is not repeated.
        let shown = if error == UrlError::User { String::new() } else { format!(" {text:?}") };
        Failure::BadRequest(
            format!("{X_MTE_UPSTREAM}{shown} is no origin, as in https://relay.example").into(),
        )
    })
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// `true`, `false`, or a list of names.
fn encode_headers(text: &str) -> Result<EncodeHeaders, Failure> {
    match boolean(text) {
        Some(true) => return Ok(EncodeHeaders::All),
        Some(false) => return Ok(EncodeHeaders::None),
        None => {}
    }
    let names = text.split(',').map(|name| name.trim_matches([' ', '\t']));
    let names: Result<Vec<HeaderName>, _> = names.map(str::parse).collect();
    let wrong = |_| bad(X_MTE_ENCODE_HEADERS, "is neither true nor false nor a list of header names");
    names.map(EncodeHeaders::Only).map_err(wrong)
}

fn bad(name: &str, what: &str) -> Failure {
    Failure::BadRequest(format!("{name} {what}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(headers: &[(&'static str, &str)]) -> Result<OutboundOptions, Failure> {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        OutboundOptions::parse(&request)
    }

    const PEER: (&str, &str) = (X_MTE_UPSTREAM, "https://Relay.example.");

    #[test]
    fn a_peer_is_all_that_must_be_there() {
        let options = parsed(&[PEER]).unwrap();
        assert_eq!(options.peer.to_string(), "https://relay.example");
        assert_eq!(options.encode_type, EncodeType::Mke);
        assert_eq!((options.encode_url, options.encode_headers), (true, EncodeHeaders::All));
    }

    #[test]
    fn the_rest_has_the_values_that_the_protocol_lists() {
        for (text, encode_type) in
            [("MKE", EncodeType::Mke), ("MTE", EncodeType::Mte), ("mte", EncodeType::Mte)]
        {
            assert_eq!(parsed(&[PEER, (X_MTE_ENCODE_TYPE, text)]).unwrap().encode_type, encode_type);
        }
        assert!(!parsed(&[PEER, (X_MTE_ENCODE_URL, "false")]).unwrap().encode_url);
        let list = EncodeHeaders::Only(vec![http::header::COOKIE, HeaderName::from_static("x-a")]);
        for (text, headers) in
            [("true", EncodeHeaders::All), ("False", EncodeHeaders::None), ("Cookie, x-a", list)]
        {
            assert_eq!(parsed(&[PEER, (X_MTE_ENCODE_HEADERS, text)]).unwrap().encode_headers, headers);
        }
    }

    #[test]
    fn what_is_none_of_these_is_refused() {
        for headers in [
            &[][..],
            &[PEER, PEER],
            &[(X_MTE_UPSTREAM, "relay.example")],
            &[(X_MTE_UPSTREAM, "https://relay.example/path")],
            &[(X_MTE_UPSTREAM, "")],
            &[PEER, (X_MTE_ENCODE_TYPE, "AES")],
            &[PEER, (X_MTE_ENCODE_URL, "1")],
            &[PEER, (X_MTE_ENCODE_HEADERS, "")],
            &[PEER, (X_MTE_ENCODE_HEADERS, "a b")],
            &[PEER, (X_MTE_ENCODE_HEADERS, "a,,b")],
            &[PEER, (X_MTE_ENCODE_URL, "true"), (X_MTE_ENCODE_URL, "true")],
        ] {
            assert!(matches!(parsed(headers), Err(Failure::BadRequest(_))), "{headers:?}");
        }
        let hidden = parsed(&[(X_MTE_UPSTREAM, "https://user:word@relay.example")]).unwrap_err();
        assert!(!hidden.to_string().contains("word"), "{hidden}");
    }
}
