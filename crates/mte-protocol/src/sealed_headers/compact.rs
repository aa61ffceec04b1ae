//! The fast path of reading: maps as clients write them, without spaces between strings, escapes, control characters or
//! characters beyond ASCII.
//!
//! It only accepts. Whatever it does not accept is left to the JSON parser, which decides what is an error, and which: both
//! read the same entries from what both accept.

use super::{Entry, SealedHeaders, is_name};

/// The entries of a map of at most `max_names` names, in the order in which they came.
pub(super) fn read(plaintext: &[u8], max_names: usize) -> Option<SealedHeaders> {
    let mut headers = SealedHeaders::with_capacity(plaintext.len());
    let mut rest = plaintext.strip_prefix(b"{")?;
    if rest == b"}" {
        return Some(headers);
    }
    loop {
        let (name, tail) = string(rest)?;
        let (value, tail) = string(tail.strip_prefix(b":")?)?;
        push(&mut headers, name, value, max_names)?;
        match tail {
            [b',', tail @ ..] => rest = tail,
            b"}" => return Some(headers),
            _ => return None,
        }
    }
}

/// The content of a string, and what follows it.
fn string(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let content = json.strip_prefix(b"\"")?;
    let end = content.iter().position(|byte| !matches!(byte, b' '..=b'!' | b'#'..=b'[' | b']'..=b'~'))?;
    let (content, tail) = content.split_at(end);
    Some((content, tail.strip_prefix(b"\"")?))
}

fn push(headers: &mut SealedHeaders, name: &[u8], value: &[u8], max_names: usize) -> Option<()> {
    if headers.entries.len() >= max_names || !is_name(name) {
        return None;
    }
    let start = headers.bytes.len();
    headers.bytes.extend_from_slice(name);
    headers.bytes[start..].make_ascii_lowercase();
    let middle = headers.bytes.len();
    // Tabs come escaped; other white space is none around a value.
    headers.bytes.extend_from_slice(value.trim_ascii());
    headers.entries.push(Entry { start, middle, end: headers.bytes.len() });
    Some(())
}
