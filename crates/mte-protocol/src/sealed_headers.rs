//! The sealed header map (docs/protocol.md, sections 3 and 4): a flat JSON object of strings, a character
//! being a byte.
//!
//! Read into one buffer and written into one, with no JSON tree in between. Names that begin with `:` are
//! never headers: they bind the sealed part to what travels in the clear, and readers of a map ask for
//! them by name.

mod compact;
mod response_headers;
mod write;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use thiserror::Error;

pub use response_headers::ResponseHeaders;
pub use write::SealedHeadersWriter;

/// Binds a request's method.
pub const METHOD: &str = ":method";
/// Binds a request's authority: lower-case host, default port left out.
pub const AUTHORITY: &str = ":authority";
/// Binds a response's status.
pub const STATUS: &str = ":status";
/// Binds a response to its request, by the number of the request's first message.
pub const REQUEST: &str = ":request";
/// Names the headers of the response that the relay must seal.
pub const RESPONSE_HEADERS: &str = ":response-headers";

/// More names than this are in no map: HTTP libraries have limits of their own not far beyond.
const MAX_NAMES: usize = 10_000;

/// An authority in the form that [`AUTHORITY`] binds (docs/protocol.md, section 3): lower case, the default
/// port left out. Both sides compare what this makes of it: the client of the URL's authority, the relay of
/// `Host`.
///
/// The default port is both 443 and 80: behind a proxy that terminates TLS a relay does not know the client's
/// scheme.
pub fn normal_authority(authority: &str) -> Cow<'_, str> {
    let host = authority.strip_suffix(":443").or_else(|| authority.strip_suffix(":80")).unwrap_or(authority);
    // The tail of an address in brackets is no port; without them a colon inside the host is none either.
    let host = if host.contains(':') && !host.ends_with(']') { authority } else { host };
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// A sealed map that is refused: answered with 562, as every decode that fails. No text repeats a value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealedHeadersError {
    /// Not a flat JSON object of strings.
    #[error("not a flat JSON object of strings: {0}")]
    Json(String),
    /// A character beyond U+00FF.
    #[error("a character beyond U+00FF")]
    NotAByte,
    /// A name that is not an RFC 9110 token.
    #[error("a header name is not a token")]
    Name,
    /// A value with a control character other than a tab.
    #[error("the value of {0} has a control character")]
    Value(String),
    /// More names than the reader allows. The relay answers 431.
    #[error("more than {0} names")]
    TooMany(usize),
    /// A name that begins with `:` and is not one of the known ones.
    #[error("an unknown binding")]
    UnknownBinding,
    /// A binding whose value cannot be one.
    #[error("the value of {0} is malformed")]
    Binding(&'static str),
}

/// A sealed header map after decoding. Of names that differ only in case, the last one is kept.
///
/// Prints names only.
#[derive(Clone, Default)]
pub struct SealedHeaders {
    /// Names, in lower case, and values, one behind the other.
    bytes: Vec<u8>,
    /// In order of the names, each name once.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    start: usize,
    middle: usize,
    end: usize,
}

impl Entry {
    fn name(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..self.middle]
    }

    fn value(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.middle..self.end]
    }
}

impl SealedHeaders {
    /// Reads the plaintext of a sealed map (docs/protocol.md, section 3).
    ///
    /// Names must be tokens, values must have no control character but the tab; spaces and tabs around a
    /// value are dropped, as HTTP does. This also holds for entries that a later one of the same name
    /// replaces.
    ///
    /// # Errors
    /// [`SealedHeadersError`]; answered with 562.
    pub fn parse(plaintext: &[u8]) -> Result<Self, SealedHeadersError> {
        Self::parse_at_most(plaintext, MAX_NAMES)
    }

    /// The same, with at most this many names; one that comes twice counts twice.
    ///
    /// # Errors
    /// [`SealedHeadersError`]; [`SealedHeadersError::TooMany`] is answered with 431, all others with 562.
    pub fn parse_at_most(plaintext: &[u8], max_names: usize) -> Result<Self, SealedHeadersError> {
        let max_names = max_names.min(MAX_NAMES);
        let mut headers = match compact::read(plaintext, max_names) {
            Some(headers) => headers,
            None => Self::read_json(plaintext, max_names)?,
        };
        headers.keep_last();
        headers.check_bindings()?;
        Ok(headers)
    }

    /// Reads any JSON; entries stay in the order in which they came.
    fn read_json(plaintext: &[u8], max_names: usize) -> Result<Self, SealedHeadersError> {
        let mut reader = Reader { headers: Self::with_capacity(plaintext.len()), max_names, error: None };
        let mut json = serde_json::Deserializer::from_slice(plaintext);
        let read = json.deserialize_map(&mut reader).and_then(|()| json.end());
        match read {
            Ok(()) => Ok(reader.headers),
            Err(error) => Err(reader.error.unwrap_or_else(|| SealedHeadersError::Json(error.to_string()))),
        }
    }

    fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), entries: Vec::with_capacity(16) }
    }

    /// The ordinary headers: lower-case name and value, in order of the names. The rules on what is forwarded
    /// still apply: see [`hop`](crate::hop).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries
            .iter()
            .map(|entry| (self.name(*entry), entry.value(&self.bytes)))
            .filter(|(name, _)| !name.starts_with(':'))
    }

    /// The value of an ordinary header or a binding; `name` in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.entries.binary_search_by(|entry| entry.name(&self.bytes).cmp(name.as_bytes()));
        found.ok().map(|at| self.entries[at].value(&self.bytes))
    }

    /// The request's method, if it is bound.
    pub fn method(&self) -> Option<&str> {
        self.text(METHOD)
    }

    /// The request's authority, if it is bound.
    pub fn authority(&self) -> Option<&str> {
        self.text(AUTHORITY)
    }

    /// The response's status, if it is bound: three digits, 100 to 999.
    pub fn status(&self) -> Option<u16> {
        self.text(STATUS)?.parse().ok()
    }

    /// The number of the request's first message, if it is bound.
    pub fn request(&self) -> Option<u64> {
        self.text(REQUEST)?.parse().ok()
    }

    /// Which headers of the response the client wants sealed.
    pub fn response_headers(&self) -> ResponseHeaders {
        // `check_bindings` has seen the value: it is there and valid, or not there.
        self.text(RESPONSE_HEADERS).and_then(ResponseHeaders::parse).unwrap_or_default()
    }

    /// How many ordinary headers there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no ordinary header.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    fn name(&self, entry: Entry) -> &str {
        // Names are tokens, so they are ASCII.
        std::str::from_utf8(entry.name(&self.bytes)).unwrap_or_default()
    }

    fn keep_last(&mut self) {
        // Entries were read in order, so among equal names a later one starts later.
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| a.name(bytes).cmp(b.name(bytes)).then(b.start.cmp(&a.start)));
        self.entries.dedup_by(|later, kept| later.name(bytes) == kept.name(bytes));
    }

    fn check_bindings(&self) -> Result<(), SealedHeadersError> {
        for entry in &self.entries {
            let value = entry.value(&self.bytes);
            let (name, fits) = match entry.name(&self.bytes) {
                b":method" => (METHOD, !value.is_empty() && value.iter().copied().all(is_token)),
                b":authority" => (AUTHORITY, !value.is_empty() && value.iter().all(u8::is_ascii_graphic)),
                b":status" => {
                    (STATUS, value.len() == 3 && value[0] != b'0' && value.iter().all(u8::is_ascii_digit))
                }
                b":request" => (REQUEST, is_canonical_number(value)),
                b":response-headers" => (RESPONSE_HEADERS, ResponseHeaders::is_valid(value)),
                [b':', ..] => return Err(SealedHeadersError::UnknownBinding),
                _ => continue,
            };
            if !fits {
                return Err(SealedHeadersError::Binding(name));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SealedHeaders {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.entries.iter().map(|entry| self.name(*entry))).finish()
    }
}

fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        || byte.is_ascii_alphanumeric()
}

/// Whether it is a header's name, or has the form of a binding's.
fn is_name(name: &[u8]) -> bool {
    let token = name.strip_prefix(b":").unwrap_or(name);
    !token.is_empty() && token.iter().copied().all(is_token)
}

fn is_canonical_number(value: &[u8]) -> bool {
    let digits = value == b"0" || value.first() != Some(&b'0') && value.iter().all(u8::is_ascii_digit);
    digits && std::str::from_utf8(value).is_ok_and(|text| text.parse::<u64>().is_ok())
}

/// Pushes names and values into the map as the JSON parser meets them.
struct Reader {
    headers: SealedHeaders,
    max_names: usize,
    error: Option<SealedHeadersError>,
}

impl Reader {
    fn push_name(&mut self, name: &str) -> Result<(), SealedHeadersError> {
        if self.headers.entries.len() >= self.max_names {
            return Err(SealedHeadersError::TooMany(self.max_names));
        }
        let start = self.headers.bytes.len();
        if !is_name(name.as_bytes()) {
            return Err(SealedHeadersError::Name);
        }
        self.headers.bytes.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
        let middle = self.headers.bytes.len();
        self.headers.entries.push(Entry { start, middle, end: middle });
        Ok(())
    }

    fn push_value(&mut self, value: &str) -> Result<(), SealedHeadersError> {
        let bytes = &mut self.headers.bytes;
        let Some(entry) = self.headers.entries.last_mut() else { return Ok(()) };
        for char in value.trim_matches([' ', '\t']).chars() {
            let byte = u8::try_from(u32::from(char)).map_err(|_| SealedHeadersError::NotAByte)?;
            if byte.is_ascii_control() && byte != b'\t' {
                let name = String::from_utf8_lossy(entry.name(bytes)).into_owned();
                return Err(SealedHeadersError::Value(name));
            }
            bytes.push(byte);
        }
        entry.end = bytes.len();
        Ok(())
    }
}

impl<'de> Visitor<'de> for &mut Reader {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Text { reader: self, push: Reader::push_name })?.is_some() {
            map.next_value_seed(Text { reader: self, push: Reader::push_value })?;
        }
        Ok(())
    }
}

/// Passes a string on without copying it first.
struct Text<'r> {
    reader: &'r mut Reader,
    push: fn(&mut Reader, &str) -> Result<(), SealedHeadersError>,
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        (self.push)(self.reader, text).map_err(|error| {
            self.reader.error = Some(error);
            E::custom("refused")
        })
    }
}

#[cfg(test)]
mod tests;
