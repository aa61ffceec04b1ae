//! HTTP/1.1 as an eavesdropper reads it: messages cut out of recorded bytes.
//!
//! It reads what the demo's own client and relay write, and is no parser for untrusted traffic: what it does not
//! understand ends the list.

use memchr::memmem;
use mte_protocol::{names::X_MTE_RELAY_EH, text};

/// A request or response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// The first line.
    pub(crate) start: &'a str,
    /// Names as they were written, and values.
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    /// The body, or as much as was recorded of it, without the framing of chunks.
    pub(crate) body: Vec<u8>,
    /// Whether the body is all there.
    pub(crate) whole: bool,
    /// Bytes from its first to its last.
    pub(crate) len: usize,
}

impl<'a> Message<'a> {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// A request's target, a response's status.
    pub(crate) fn second_word(&self) -> &'a str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// A response's status; 0 for a request.
    pub(crate) fn status(&self) -> u16 {
        self.second_word().parse().unwrap_or_default()
    }

    /// What its base64 decodes to: secrets are searched for there as well.
    pub(crate) fn decoded(&self) -> Vec<Vec<u8>> {
        // Other targets are no base64.
        let url = text::path_to_message(self.second_word()).ok().flatten();
        let headers = self.header(X_MTE_RELAY_EH).and_then(|value| text::decode(value.as_bytes()).ok());
        url.into_iter().chain(headers).collect()
    }
}

/// The messages that follow one another in `bytes`.
pub(crate) fn messages(bytes: &[u8]) -> Vec<Message<'_>> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while let Some(message) = message(rest) {
        rest = &rest[message.len..];
        all.push(message);
    }
    all
}

/// The message that `bytes` begin with, once its head is there.
pub(crate) fn message(bytes: &[u8]) -> Option<Message<'_>> {
    let head_len = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let mut lines = std::str::from_utf8(&bytes[..head_len - 4]).ok()?.split("\r\n");
    let start = lines.next()?;
    let headers = lines.map(|line| line.split_once(':').map(|(name, value)| (name, value.trim())));
    let headers = headers.collect::<Option<Vec<_>>>()?;
    let mut message = Message { start, headers, body: Vec::new(), whole: true, len: head_len };
    let after = &bytes[head_len..];
    if message.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        let (body, used) = dechunk(after);
        message.whole = used.is_some();
        message.len += used.unwrap_or(after.len());
        message.body = body;
    } else if let Some(length) = message.header("content-length").and_then(|value| value.parse().ok()) {
        let here = after.len().min(length);
        message.whole = here == length;
        message.len += here;
        message.body = after[..here].to_vec();
    }
    Some(message)
}

/// The data of a chunked body, and how many bytes it takes if its end is there.
fn dechunk(bytes: &[u8]) -> (Vec<u8>, Option<usize>) {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let Some((start, size)) = chunk(&bytes[at..]) else { return (data, None) };
        let start = at + start;
        let end = start.saturating_add(size);
        if size == 0 {
            return (data, memmem::find(&bytes[start - 2..], b"\r\n\r\n").map(|found| start - 2 + found + 4));
        }
        data.extend_from_slice(&bytes[start..end.min(bytes.len())]);
        if end + 2 > bytes.len() {
            return (data, None);
        }
        at = end + 2;
    }
}

/// Where the data of the chunk begins that `bytes` begin with, and its size.
pub(crate) fn chunk(bytes: &[u8]) -> Option<(usize, usize)> {
    let line = memmem::find(bytes, b"\r\n")?;
    let size = std::str::from_utf8(&bytes[..line]).ok()?.split(';').next()?;
    Some((line + 2, usize::from_str_radix(size.trim(), 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_follow_one_another() {
        let bytes = b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET";
        let all = messages(bytes);
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].start, all[0].header("host"), all[0].whole),
            ("HEAD /a HTTP/1.1", Some("x"), true)
        );
        assert_eq!((all[1].second_word(), &all[1].body[..], all[1].whole), ("/b", &b"abc"[..], true));
        assert_eq!(all[0].len + all[1].len + 3, bytes.len());
    }

    #[test]
    fn chunks_are_joined_and_an_unfinished_body_says_so() {
        let whole = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for len in 0..whole.len() {
            assert!(message(&whole[..len]).is_none_or(|message| !message.whole), "{len}");
        }
        let found = message(whole).unwrap();
        assert_eq!(
            (found.status(), &found.body[..], found.whole, found.len),
            (200, &b"abcde"[..], true, whole.len())
        );
    }

    #[test]
    fn sealed_texts_are_decoded() {
        let head = format!(
            "GET {} HTTP/1.1\r\nx-mte-relay-eh: {}\r\n\r\n",
            text::url_to_path(b"\xff?url"),
            text::encode(b"map")
        );
        assert_eq!(message(head.as_bytes()).unwrap().decoded(), [b"\xff?url".to_vec(), b"map".to_vec()]);
    }
}
