//! From a decoded URL to a request target that stays with the tenant's upstream (docs/protocol.md, section
//! 3).

use thiserror::Error;

use crate::path::{self, Flaw};

/// A decoded URL that is not forwarded. The client asked for it, so the answer is 400: pairing again
/// would not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// It begins with a slash, so that the target would begin with two: an authority, to some readers.
    #[error("the URL begins with a slash: send the path without its leading slash")]
    Authority,
    /// It begins with `scheme://`.
    #[error("the URL has a scheme: send the path and the query only")]
    Scheme,
    /// A space or a control character.
    #[error("the URL has a space or a control character: percent-encode it")]
    Control,
    /// A `#`.
    #[error("the URL has a fragment: fragments are not sent to servers")]
    Fragment,
    /// A `\` in the path, which some readers take for a slash.
    #[error("the path has a backslash: percent-encode it")]
    Backslash,
    /// A `..` segment, however it is spelled.
    #[error("the path has a `..` segment: resolve it before sending")]
    DotSegment,
    /// A `%` that starts no escape, `%u` and four digits, or nested escapes without end.
    #[error("the path has a % that starts no escape: write %25 for the character itself")]
    Escape,
    /// An escaped control character.
    #[error("the path has an escaped control character: leave it out")]
    EscapedControl,
    /// Bytes that are no UTF-8, or escaped UTF-8 that is longer than it must be.
    #[error("the path is not UTF-8 in its shortest form")]
    Encoding,
}

impl From<Flaw> for TargetError {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Escape => Self::Escape,
            Flaw::Control => Self::EscapedControl,
            Flaw::Overlong => Self::Encoding,
            Flaw::DotSegment => Self::DotSegment,
        }
    }
}

/// Checks a request target that came in the clear, in origin form: what passes means the same to a route pattern and to
/// the upstream, which gets it as it came.
///
/// Refused are spaces and control characters, `#`, a `\` in the path, bytes that are no UTF-8, and in the path
/// everything that [`origin_form`] refuses there. Any escape in the query passes.
///
/// # Errors
/// [`TargetError`]; answered with 400.
pub fn check_clear(target: &[u8]) -> Result<(), TargetError> {
    let path = &target[..memchr::memchr(b'?', target).unwrap_or(target.len())];
    // One pass for all, and the exact error only for the few targets that have one.
    let forbidden = |byte: &u8| matches!(byte, 0..=b' ' | b'#' | b'\\' | 0x7f..);
    if target.iter().fold(false, |any, byte| any | forbidden(byte)) {
        if target.iter().any(|byte| matches!(byte, 0..=b' ' | 0x7f)) {
            return Err(TargetError::Control);
        }
        if target.contains(&b'#') {
            return Err(TargetError::Fragment);
        }
        if path.contains(&b'\\') {
            return Err(TargetError::Backslash);
        }
        if std::str::from_utf8(target).is_err() {
            return Err(TargetError::Encoding);
        }
    }
    Ok(path::check(path)?)
}

/// Checks a decoded URL (a path without its leading `/`, and perhaps `?query`) and makes it an origin-form
/// target.
///
/// The result always begins with exactly one `/` and is ASCII that every HTTP library takes; an empty URL is
/// `/`. Bytes beyond ASCII and `"`, `<`, `>`, `` ` `` are percent-encoded, as is a `\` in the query; escapes
/// that are there stay as they are. Refused are a leading `/` or `\`, `scheme://` at the start, spaces and
/// control characters, `#`, a `\` in the path, a `..` segment in any spelling (escaped once or more often as in `%2e%2e` and
/// `%252e.`, between escaped slashes or backslashes, with path parameters as in `..;x`), and in the path a `%` that starts
/// no escape, escaped control characters and overlong UTF-8. A single `.`, and anything in the query, pass.
///
/// # Errors
/// [`TargetError`]; answered with 400.
pub fn origin_form(decoded: &[u8]) -> Result<String, TargetError> {
    let end_of_path = decoded.iter().position(|&byte| byte == b'?').unwrap_or(decoded.len());
    let (path, query) = decoded.split_at(end_of_path);
    if path.starts_with(b"/") {
        return Err(TargetError::Authority);
    }
    if has_scheme(path) {
        return Err(TargetError::Scheme);
    }
    path::check(path)?;
    let mut target = String::with_capacity(1 + decoded.len());
    target.push('/');
    for &byte in path {
        if byte == b'\\' {
            return Err(TargetError::Backslash);
        }
        push(&mut target, byte)?;
    }
    for &byte in query {
        push(&mut target, byte)?;
    }
    Ok(target)
}

fn push(target: &mut String, byte: u8) -> Result<(), TargetError> {
    match byte {
        0..=b' ' | 0x7f => return Err(TargetError::Control),
        b'#' => return Err(TargetError::Fragment),
        b'"' | b'<' | b'>' | b'`' | b'\\' | 0x80.. => {
            target.push_str(percent_encoding::percent_encode_byte(byte));
        }
        _ => target.push(char::from(byte)),
    }
    Ok(())
}

fn has_scheme(path: &[u8]) -> bool {
    let Some(colon) = path.windows(3).position(|three| three == b"://") else { return false };
    path[0].is_ascii_alphabetic()
        && path[..colon].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_and_a_query_get_their_leading_slash() {
        for (decoded, target) in [
            ("", "/"),
            ("?a=b", "/?a=b"),
            ("?", "/?"),
            ("api/users?id=1&next=../x", "/api/users?id=1&next=../x"),
            ("a//b/", "/a//b/"),
            ("a/./b", "/a/./b"),
            ("a%2Fb%20c", "/a%2Fb%20c"),
            ("100%25?q=50%", "/100%25?q=50%"),
            ("a/https://host/x", "/a/https://host/x"),
            ("a:b@c/[x]|{y}?u=http://h/", "/a:b@c/[x]|{y}?u=http://h/"),
            ("?a=?b", "/?a=?b"),
            ("?//host", "/?//host"),
        ] {
            assert_eq!(origin_form(decoded.as_bytes()).as_deref(), Ok(target), "{decoded}");
        }
    }

    #[test]
    fn bytes_not_allowed_in_urls_are_percent_encoded() {
        assert_eq!(origin_form("é?<ü>\"`".as_bytes()).as_deref(), Ok("/%C3%A9?%3C%C3%BC%3E%22%60"));
        assert_eq!(origin_form(b"\xff").as_deref(), Ok("/%FF"));
        assert_eq!(origin_form(br"a?p=C:\x").as_deref(), Ok("/a?p=C:%5Cx"));
    }

    #[test]
    fn nothing_reaches_another_origin() {
        for (decoded, error) in [
            ("/evil.example/x", TargetError::Authority),
            ("//evil.example/x", TargetError::Authority),
            ("/", TargetError::Authority),
            ("\\evil.example", TargetError::Backslash),
            ("a\\b", TargetError::Backslash),
            ("http://evil.example/", TargetError::Scheme),
            ("git+ssh://evil", TargetError::Scheme),
        ] {
            assert_eq!(origin_form(decoded.as_bytes()), Err(error), "{decoded}");
        }
    }

    #[test]
    fn spaces_controls_and_fragments_are_refused() {
        for decoded in ["a b", "a\tb", "a\r\nx: y", "a?b\n", "\0", "a\u{7f}", "? HTTP/1.1\r\nhost: x"] {
            assert_eq!(origin_form(decoded.as_bytes()), Err(TargetError::Control), "{decoded:?}");
        }
        for decoded in ["a#b", "?a#", "#"] {
            assert_eq!(origin_form(decoded.as_bytes()), Err(TargetError::Fragment), "{decoded}");
        }
    }

    #[test]
    fn dot_segments_are_refused_in_every_spelling() {
        for decoded in [
            "..",
            "../x",
            "a/../b",
            "a/..?q",
            "%2e%2e/x",
            ".%2E/x",
            "a/%2e.",
            "a/..%2fb",
            "a%5c..%5cb",
            "a/..;v=1/b",
            "%252e%252e",
        ] {
            assert_eq!(origin_form(decoded.as_bytes()), Err(TargetError::DotSegment), "{decoded}");
        }
    }

    #[test]
    fn ambiguous_characters_are_refused_in_the_path_and_pass_in_the_query() {
        for (decoded, error) in [
            ("100%", TargetError::Escape),
            (".%%32%65/x", TargetError::Escape),
            ("%u002e%u002e/x", TargetError::Escape),
            ("..%00/x", TargetError::EscapedControl),
            ("%c0%ae%c0%ae/x", TargetError::Encoding),
        ] {
            assert_eq!(origin_form(decoded.as_bytes()), Err(error), "{decoded}");
            assert_eq!(check_clear(format!("/{decoded}").as_bytes()), Err(error), "{decoded}");
            assert!(origin_form(format!("x?{decoded}").as_bytes()).is_ok(), "{decoded}");
            assert_eq!(check_clear(format!("/x?{decoded}").as_bytes()), Ok(()), "{decoded}");
        }
    }

    #[test]
    fn unescaped_bytes_are_treated_like_their_escapes() {
        for decoded in [&b"\xc0"[..], b"\xc0\xae\xc0\xae/x", b"a/\xe0\x80\xae", b"\xf0\x80%80"] {
            assert_eq!(origin_form(decoded), Err(TargetError::Encoding), "{decoded:?}");
        }
        assert_eq!(origin_form(b"caf\xc3\xa9"), Ok("/caf%C3%A9".to_owned()));
        assert_eq!(origin_form(b"caf\xe9"), Ok("/caf%E9".to_owned()));
    }

    #[test]
    fn a_clear_target_is_taken_unchanged_or_refused() {
        for target in ["/", "/a//b?x=\\&y=%", "/caf\u{e9}", "/a%20b", "/AQ%2F%2B%3D", "http://host/a"] {
            assert_eq!(check_clear(target.as_bytes()), Ok(()), "{target}");
        }
        for (target, error) in [
            (&b"/a b"[..], TargetError::Control),
            (b"/a\tb", TargetError::Control),
            (b"/a#b", TargetError::Fragment),
            (b"/a\\b", TargetError::Backslash),
            (b"/a/../b", TargetError::DotSegment),
            (b"/\xc0\xae", TargetError::Encoding),
            (b"/\xff", TargetError::Encoding),
        ] {
            assert_eq!(check_clear(target), Err(error), "{target:?}");
        }
    }

    proptest! {
        #[test]
        fn a_target_is_always_a_safe_path(
            decoded in proptest::collection::vec(prop_oneof![40 => 0x21..=0x7eu8, 1 => any::<u8>(), 1 => 0xc0..=0xffu8], 0..40),
        ) {
            if let Ok(target) = origin_form(&decoded) {
                prop_assert!(target.starts_with('/') && !target.starts_with("//"));
                prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\\".contains(&byte)));
                let uri: http::Uri = target.parse().unwrap();
                prop_assert_eq!((uri.authority(), uri.scheme()), (None, None));
                prop_assert_eq!(uri.path_and_query().unwrap().as_str(), &target);
                prop_assert_eq!(origin_form(&target.as_bytes()[1..]), Ok(target.clone()));
            }
        }

        #[test]
        fn ordinary_urls_pass_unchanged(
            decoded in "([a-z0-9_-]{1,8}/){0,4}[a-z0-9]{0,8}(\\?[a-z0-9=&%./]{0,20})?",
        ) {
            prop_assert_eq!(origin_form(decoded.as_bytes()), Ok(format!("/{decoded}")));
        }
    }
}
