//! Dot segments, as suspiciously as the most generous upstream reads them.
//!
//! `/public/../admin` has many spellings, and which of them an upstream resolves is unknown. So a path is
//! read here in the widest sense: `/`, `\` and their escapes part segments, `%2e` is a dot, an escape may be
//! escaped again (`%252e`), and path parameters (`..;x`) do not count. A false alarm costs a refusal of a
//! path that nobody has a use for.

/// Whether a path (without its query) has a `..` segment, or with `single` also a `.` segment.
pub(crate) fn has_dot_segment(path: &[u8], single: bool) -> bool {
    let mut rest = path;
    let mut dots = 0;
    // Whether the segment up to here is made of dots alone, and whether a parameter has begun.
    let (mut only_dots, mut parameter) = (true, false);
    loop {
        let byte = next_byte(&mut rest);
        match byte {
            None | Some(b'/' | b'\\') => {
                if only_dots && (dots == 2 || single && dots == 1) {
                    return true;
                }
                if byte.is_none() {
                    return false;
                }
                (dots, only_dots, parameter) = (0, true, false);
            }
            Some(_) if parameter => {}
            Some(b';') => parameter = true,
            Some(b'.') => dots += 1,
            Some(_) => only_dots = false,
        }
    }
}

/// Takes one byte, escapes undone however often they were made.
fn next_byte(rest: &mut &[u8]) -> Option<u8> {
    let (&first, mut tail) = rest.split_first()?;
    *rest = tail;
    if first != b'%' {
        return Some(first);
    }
    while let [b'2', b'5', more @ ..] = tail {
        tail = more;
    }
    if let [high, low, more @ ..] = tail
        && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
    {
        *rest = more;
        // Two hexadecimal digits make a byte.
        return u8::try_from(high << 4 | low).ok();
    }
    Some(first)
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
            "/a/.;x.",
            "/%2e%2e%3bx/",
        ] {
            let single = path == "/a/.;x.";
            assert!(has_dot_segment(path.as_bytes(), single), "{path}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_left_alone() {
        for path in [
            "",
            "/",
            "/a..b",
            "/...",
            "/a/..b/",
            "/b../",
            "/.well-known/x",
            "/a/%2",
            "/%",
            "/%2e%2ex",
            "/%25",
            "/x;..",
            "//",
        ] {
            assert!(!has_dot_segment(path.as_bytes(), true), "{path}");
        }
    }

    #[test]
    fn a_single_dot_counts_only_where_asked_for() {
        for path in ["/.", "/a/./b", "/a/%2e", "/.;x/b"] {
            assert!(
                has_dot_segment(path.as_bytes(), true) && !has_dot_segment(path.as_bytes(), false),
                "{path}"
            );
        }
    }
}
