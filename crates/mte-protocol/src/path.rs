//! Paths, checked for every spelling that the most lenient upstream would accept.
//!
//! `/public/../admin` has many spellings, and which of them an upstream resolves is unknown. So a path is read here in
//! the widest sense: it is percent-decoded until nothing changes, `/` and `\` separate segments, and path parameters
//! (`..;x`) and trailing spaces do not count. What readers disagree about (an invalid escape, an escaped
//! control character, overlong UTF-8, `%u002e`) is refused. A false positive only refuses a useless path.
//!
//! Nothing here decodes what is forwarded: the upstream gets the path as it came, or not at all.

/// An escape may be escaped again, but not more often than this.
const MAX_LEVELS: usize = 4;

/// Why a path is not matched and not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A `%` without two hexadecimal digits, `%u` with four, or escapes of escapes without end.
    Escape,
    /// An escaped control character.
    Control,
    /// Escaped UTF-8 that is longer than it must be.
    Overlong,
    /// A `..` segment.
    DotSegment,
}

/// Looks for flaws in a path (without its query).
///
/// # Errors
/// The [`Flaw`].
pub(crate) fn check(path: &[u8]) -> Result<(), Flaw> {
    if needs_decoding(path)? { check_levels(path) } else { no_dot_segment(path) }
}

/// Whether a path has a flaw or a `.` segment: then no route pattern matches it.
pub(crate) fn is_unmatchable(path: &[u8]) -> bool {
    match needs_decoding(path) {
        Err(_) => true,
        Ok(false) => has_dot_segment(path, 1) || has_dot_segment(path, 2),
        Ok(true) => check_levels(path).is_err() || levels(path).any(|level| has_dot_segment(&level, 1)),
    }
}

/// Whether something could hide in a path's escapes, or in bytes beyond ASCII, which are escaped before they are forwarded.
/// The usual escapes, those of base64 above all, hide nothing, and cost no allocation.
fn needs_decoding(path: &[u8]) -> Result<bool, Flaw> {
    // Without an early exit: so compilers can vectorize it.
    let (mut escaped, mut dots, mut unusual) = (false, false, false);
    for byte in path {
        escaped |= *byte == b'%';
        dots |= *byte == b'.';
        unusual |= matches!(byte, 0..0x20 | 0x7f..);
    }
    if !escaped {
        return Ok(unusual);
    }
    let mut suspicious = dots || unusual;
    for at in memchr::memchr_iter(b'%', path) {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let digits = path.get(at + 1..at + 3).and_then(|two| Some(digit(&two[0])? << 4 | digit(&two[1])?));
        suspicious |= matches!(digits.ok_or(Flaw::Escape)?, 0x2e | 0x25 | 0..0x20 | 0x7f..);
    }
    Ok(suspicious)
}

fn check_levels(path: &[u8]) -> Result<(), Flaw> {
    no_dot_segment(path)?;
    if has_overlong(path) {
        return Err(Flaw::Overlong);
    }
    let mut decoded = 0;
    for level in levels(path).skip(1) {
        decoded += 1;
        if decoded > MAX_LEVELS || has_unicode_escape(&level) {
            return Err(Flaw::Escape);
        }
        if level.iter().any(u8::is_ascii_control) {
            return Err(Flaw::Control);
        }
        if has_overlong(&level) {
            return Err(Flaw::Overlong);
        }
        no_dot_segment(&level)?;
    }
    Ok(())
}

/// A path as received, and decoded until nothing changes, or until it is clear that it was escaped too often.
fn levels(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    std::iter::successors(Some(path.to_vec()), |level| {
        let decoded: Vec<u8> = percent_encoding::percent_decode(level).collect();
        (decoded.len() < level.len()).then_some(decoded)
    })
    .take(MAX_LEVELS + 2)
}

/// `%u` and four hexadecimal digits: an escape to some servers.
fn has_unicode_escape(path: &[u8]) -> bool {
    path.windows(6).any(|six| {
        six[0] == b'%' && six[1].eq_ignore_ascii_case(&b'u') && six[2..].iter().all(u8::is_ascii_hexdigit)
    })
}

/// Whether there is UTF-8 that is longer than it must be: to a lenient reader it is another character, `.` or `/` say.
fn has_overlong(path: &[u8]) -> bool {
    let longer = |pair: &[u8]| match pair[0] {
        0xe0 => matches!(pair[1], 0x80..0xa0),
        0xf0 => matches!(pair[1], 0x80..0x90),
        0xf8 => matches!(pair[1], 0x80..0x88),
        0xfc => matches!(pair[1], 0x80..0x84),
        _ => false,
    };
    // These two begin no character that needs two bytes.
    path.iter().any(|byte| matches!(byte, 0xc0 | 0xc1)) || path.windows(2).any(longer)
}

fn no_dot_segment(path: &[u8]) -> Result<(), Flaw> {
    if has_dot_segment(path, 2) { Err(Flaw::DotSegment) } else { Ok(()) }
}

/// Whether a segment consists of exactly this many dots. A decoded `?` or `#` ends the path for some readers.
fn has_dot_segment(path: &[u8], dots: usize) -> bool {
    memchr::memchr(b'.', path).is_some()
        && path.split(|byte| matches!(byte, b'/' | b'\\' | b'?' | b'#')).any(|segment| {
            let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            let name = name.trim_ascii_end();
            name.len() == dots && name.iter().all(|byte| *byte == b'.')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_double_dot_is_found() {
        for path in [
            "..",
            "/..",
            "/a/../b",
            "/a/..",
            "/%2e%2e/b",
            "/%2E./b",
            "/.%2e",
            "/a/..%2fb",
            "/a%2f..%2Fb",
            "/a\\..\\b",
            "/a%5c..",
            "/a/..;x=1/b",
            "/a/..;/b",
            "/%252e%252e/b",
            "/%25252e./b",
            "/a%252f..%255cb",
            "/%2e%2e%3bx/",
            "/a/..%3fb",
            "/a/..%23",
            "/a/..%20/b",
            "/.%25%32%65/b",
            "/.%2%3265/b",
        ] {
            let found = check(path.as_bytes());
            assert!(matches!(found, Err(Flaw::DotSegment | Flaw::Escape)), "{path}: {found:?}");
        }
        assert_eq!(check(b"/.%25%32%65/b"), Err(Flaw::DotSegment));
    }

    #[test]
    fn ambiguous_paths_have_a_flaw() {
        for (path, flaw) in [
            ("/a/%", Flaw::Escape),
            ("/a/%2", Flaw::Escape),
            ("/a/%zz", Flaw::Escape),
            ("/.%%32%65/x", Flaw::Escape),
            ("/%2%65%2%65/x", Flaw::Escape),
            ("/%u002e%u002e/x", Flaw::Escape),
            ("/%25u002e/x", Flaw::Escape),
            ("/%25252525252e", Flaw::Escape),
            ("/..%00/x", Flaw::Control),
            ("/a%0d%0ab", Flaw::Control),
            ("/a%7f", Flaw::Control),
            ("/a%2500", Flaw::Control),
            ("/%c0%ae%c0%ae/x", Flaw::Overlong),
            ("/%C0%2E./x", Flaw::Overlong),
            ("/%e0%80%ae/x", Flaw::Overlong),
            ("/%f0%80%80%ae/x", Flaw::Overlong),
            ("/%25c0%25af", Flaw::Overlong),
        ] {
            assert_eq!(check(path.as_bytes()), Err(flaw), "{path}");
        }
    }

    #[test]
    fn text_that_only_looks_like_a_variable_is_not_replaced() {
        for path in [
            "",
            "/",
            "/a..b",
            "/...",
            "/a/..b/",
            "/b../",
            "/.well-known/x",
            "/%2e%2ex",
            "/%25",
            "/100%25",
            "/100%25users",
            "/x;..",
            "//",
            "/a%20b",
            "/caf%C3%A9",
            "/caf%E9",
            "/%E3%81%82%F0%9F%98%80",
            "/AQIAAAAAAAAAAF%2F%2B%3D",
        ] {
            assert_eq!(check(path.as_bytes()), Ok(()), "{path}");
            assert!(!is_unmatchable(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_single_dot_is_not_a_flaw_but_matches_no_pattern() {
        for path in ["/.", "/a/./b", "/a/%2e", "/.;x/b", "/a/%252e", "/a/.;x."] {
            assert!(is_unmatchable(path.as_bytes()), "{path}");
            assert_eq!(check(path.as_bytes()), Ok(()), "{path}");
        }
    }
}
