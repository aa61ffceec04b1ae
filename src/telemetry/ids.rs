//! Correlation ids for lines of different logs: the request's id, and its trace.

use std::fmt;

use http::{HeaderMap, HeaderValue};

/// The longest request id that is accepted from a proxy.
const MAX_ID: usize = 128;

/// A request's id, which every log line, error answer and header of the request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The value before a request has an id.
    pub const NONE: Self = Self(HeaderValue::from_static(""));

    /// A new random id: 16 hexadecimal digits.
    pub fn fresh() -> Self {
        let mut digits = [0; 16];
        let id = rand::random::<u64>();
        for (at, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(id >> (60 - 4 * at)) as usize & 15];
        }
        HeaderValue::from_bytes(&digits).map_or(Self::NONE, Self)
    }

    /// The `x-request-id` of a trusted proxy, if it is valid in a log and a header: visible ASCII, without quotes.
    pub fn of_trusted(headers: &HeaderMap) -> Option<Self> {
        let id = headers.get("x-request-id")?;
        let visible = |b: &u8| b.is_ascii_graphic() && *b != b'"' && *b != b'\\';
        (!id.is_empty() && id.len() <= MAX_ID && id.as_bytes().iter().all(visible)).then(|| Self(id.clone()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As a header value.
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// The trace id of a W3C `traceparent`: 32 hexadecimal digits, not all zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// Reads a `traceparent` (Trace Context, section 3.2): `version-traceid-parentid-flags`.
    pub fn parse(traceparent: &[u8]) -> Option<Self> {
        let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let mut parts = traceparent.split(|b| *b == b'-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Version 00 ends here; later ones may continue.
        let ends = parts.next().is_none() || version != b"00";
        let sizes = version.len() == 2 && parent.len() == 16 && flags.len() == 2;
        let all_hex = [version, trace, parent, flags].into_iter().all(hex);
        let zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
        let valid = ends && sizes && all_hex && version != b"ff" && !zero(trace) && !zero(parent);
        trace.try_into().ok().filter(|_| valid).map(Self)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_taken_from_a_valid_traceparent_only() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let valid = format!("00-{trace}-00f067aa0ba902b7-01");
        assert_eq!(TraceId::parse(valid.as_bytes()).unwrap().as_str(), trace);
        assert!(TraceId::parse(format!("01-{trace}-00f067aa0ba902b7-01-more").as_bytes()).is_some());
        for wrong in [
            "",
            "00",
            &format!("00-{trace}-00f067aa0ba902b7-01-more"),
            &format!("ff-{trace}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{trace}-{}-01", "0".repeat(16)),
            &format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
            &format!("00-{trace}\"-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(TraceId::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn an_id_that_would_break_a_log_line_is_not_accepted() {
        let mut headers = HeaderMap::new();
        for (id, taken) in [("abc-123", true), ("a b", false), ("a\"b", false), ("", false)] {
            headers.insert("x-request-id", id.parse().unwrap());
            assert_eq!(RequestId::of_trusted(&headers).is_some(), taken, "{id:?}");
        }
        headers.insert("x-request-id", "a".repeat(129).parse().unwrap());
        assert_eq!(RequestId::of_trusted(&headers), None);
    }

    #[test]
    fn a_new_id_has_sixteen_digits_and_is_unique() {
        let ids = [RequestId::fresh(), RequestId::fresh()];
        assert!(ids.iter().all(|id| id.as_str().len() == 16 && u64::from_str_radix(id.as_str(), 16).is_ok()));
        assert_ne!(ids[0], ids[1]);
    }
}
