//! The text form of messages (docs/codec.md, section 7; docs/protocol.md, section 3): standard padded base64,
//! decoded strictly. In a URL it is percent-encoded and makes one path segment.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use thiserror::Error;

/// A text that does not carry a message. Answered with 562, as every decode that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// Not standard base64 with exact padding.
    #[error("the text is not standard padded base64")]
    NotBase64,
    /// A request target that does not begin with `/`, such as `*`.
    #[error("the request target does not begin with a slash")]
    NotAPath,
}

/// Bytes as standard padded base64.
pub fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Reads standard padded base64, strictly: exact padding, no stray bits behind the last byte, no other
/// character, so that bytes have one text only.
///
/// # Errors
/// [`TextError::NotBase64`].
pub fn decode(text: &[u8]) -> Result<Vec<u8>, TextError> {
    BASE64_STANDARD.decode(text).map_err(|_| TextError::NotBase64)
}

/// The whole path that carries a URL message: `/` and the percent-encoded base64, one path segment.
pub fn url_to_path(message: &[u8]) -> String {
    let text = encode(message);
    // One character in 16 or so needs three.
    let mut path = String::with_capacity(1 + text.len() + text.len() / 8 + 8);
    path.push('/');
    for char in text.chars() {
        match char {
            '+' => path.push_str("%2B"),
            '/' => path.push_str("%2F"),
            '=' => path.push_str("%3D"),
            other => path.push(other),
        }
    }
    path
}

/// The URL message in a request target; `None` if there is nothing behind the first `/`.
///
/// Pass the whole target exactly as in the request line, query included. Everything after the first `/`
/// is percent-decoded and must then be base64: a raw `+` stays a `+`, a raw `/` is data (some clients leave
/// it unescaped). `?` is not a base64 character, so a target with a query is refused rather than cut: the
/// message holds the real query, and what is not sealed must not affect where a request goes.
///
/// # Errors
/// [`TextError`]; answered with 562.
pub fn path_to_message(path: &str) -> Result<Option<Vec<u8>>, TextError> {
    let text = path.strip_prefix('/').ok_or(TextError::NotAPath)?;
    if text.is_empty() {
        return Ok(None);
    }
    // Borrows where nothing is escaped. An invalid escape leaves its `%`, which is not base64.
    let text: std::borrow::Cow<'_, [u8]> = percent_decode_str(text).into();
    decode(&text).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_message_is_one_percent_encoded_segment() {
        let message = [0xfb, 0xff, 0xbe, 0x00];
        assert_eq!(encode(&message), "+/++AA==");
        assert_eq!(url_to_path(&message), "/%2B%2F%2B%2BAA%3D%3D");
        assert_eq!(path_to_message("/%2B%2F%2B%2BAA%3D%3D"), Ok(Some(message.to_vec())));
    }

    #[test]
    fn raw_slashes_and_pluses_are_data() {
        for path in ["/+/++AA==", "/%2b/++AA%3d=", "/+%2F%2B+%41A=="] {
            assert_eq!(path_to_message(path), Ok(Some(vec![0xfb, 0xff, 0xbe, 0x00])), "{path}");
        }
        assert_eq!(path_to_message("//+++"), Ok(Some(vec![0xff, 0xef, 0xbe])));
    }

    #[test]
    fn an_empty_path_carries_no_message() {
        assert_eq!(path_to_message("/"), Ok(None));
    }

    #[test]
    fn anything_but_strict_base64_is_refused() {
        for path in [
            "/AA",
            "/AA=",
            "/AB==",
            "/AAAA?",
            "/AAAA?q=1",
            "/AA AA",
            "/AAA-",
            "/AAA_",
            "/AAAA#",
            "/AAA%",
            "/AA%2",
            "/%zzAA",
            "/AAAA\n",
        ] {
            assert_eq!(path_to_message(path), Err(TextError::NotBase64), "{path}");
        }
        for path in ["", "*", "AAAA", "http://host/AAAA"] {
            assert_eq!(path_to_message(path), Err(TextError::NotAPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn every_message_survives_its_path(message in proptest::collection::vec(any::<u8>(), 1..200)) {
            let path = url_to_path(&message);
            prop_assert!(path[1..].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'%'));
            prop_assert_eq!(path_to_message(&path), Ok(Some(message.clone())));
            prop_assert_eq!(path_to_message(&format!("/{}", encode(&message))), Ok(Some(message)));
        }

        #[test]
        fn any_path_is_read_or_refused_without_a_panic(path in ".*") {
            let _ = path_to_message(&path);
        }
    }
}
