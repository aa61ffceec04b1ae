//! Header lists that are not a valid request.

use super::{After, Field, PLAIN, POST, Row, and, request, wire::*, with};
use crate::{
    harness::{HOST, run as run_test},
    smuggling::Expect::{self, Answered, Refused, Seen},
};

const OPEN: &[(&str, &str, &str)] = &[("GET", "/open/a", "")];
const POSTED: &[(&str, &str, &str)] = &[("POST", "/open/a", "hello")];

fn row(name: &'static str, bytes: Vec<u8>, expect: Expect) -> Row {
    Row { name, bytes, expect, after: After::Serves }
}

/// A row that ends the whole connection, as RFC 9113 allows.
fn closes(name: &'static str, bytes: Vec<u8>) -> Row {
    Row { name, bytes, expect: Refused, after: After::Closed }
}

/// The valid request without one of its fields.
fn without(name: &str) -> Vec<Field<'static>> {
    PLAIN.into_iter().filter(|field| field.0 != name).collect()
}

/// A request whose body is one frame; `more` are further fields.
fn post(more: &[Field<'_>], body: &str) -> Vec<u8> {
    let fields = [&POST[..], more].concat();
    let head = frame(HEADERS, END_HEADERS, 1, &block(&fields));
    [head, frame(DATA, END_STREAM, 1, body.as_bytes())].concat()
}

fn pseudo() -> Vec<Row> {
    let twice = |name: &str, value: &str| request(&[&[(name, value)], &PLAIN[..]].concat());
    let mut late = PLAIN.to_vec();
    late.insert(3, ("x", "y"));
    vec![
        row("a good request", request(&PLAIN), Seen(OPEN)),
        row("two methods", twice(":method", "POST"), Refused),
        row("two paths", twice(":path", "/open/b"), Refused),
        row("two schemes", twice(":scheme", "https"), Refused),
        row("two authorities", twice(":authority", "evil.test"), Refused),
        row("no method", request(&without(":method")), Refused),
        row("no path", request(&without(":path")), Refused),
        row("no scheme", request(&without(":scheme")), Refused),
        row("neither authority nor host", request(&without(":authority")), Refused),
        row("a host alone", request(&[&without(":authority")[..], &[("host", HOST)]].concat()), Seen(OPEN)),
        closes("an unknown pseudo-header", twice(":unknown", "x")),
        row("a response's", twice(":status", "200"), Refused),
        row("one behind a field", request(&late), Refused),
        row("a protocol without CONNECT", twice(":protocol", "websocket"), Refused),
        row("an empty path", with(":path", ""), Refused),
        row("a path without a slash", with(":path", "open/a"), Refused),
        row("an asterisk", with(":path", "*"), Refused),
        row("a path with a line end", with(":path", "/open/a\r\nx: y"), Refused),
        row("a path with a whole request", with(":path", "/open/a HTTP/1.1\r\n\r\nGET /second"), Refused),
        row("a path with a space", with(":path", "/open/a b"), Refused),
        row("a path with a tab", with(":path", "/open/a\tb"), Refused),
        row("a path with a NUL", with(":path", "/open/a\0"), Refused),
        row("a whole URL as path", with(":path", "https://evil.test/open/a"), Refused),
        row("dot segments", with(":path", "/open/../admin"), Answered(400)),
        closes("a method with a space", with(":method", "GET /open/b")),
        closes("a method with a line end", with(":method", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET")),
        closes("an empty method", with(":method", "")),
        row("a scheme with more", with(":scheme", "https://evil.test/?"), Refused),
        row("an empty authority", with(":authority", ""), Refused),
        row("a user in the authority", with(":authority", "evil@tenant.test"), Refused),
        row("a path in the authority", with(":authority", "tenant.test/evil"), Refused),
        row("a line end in the authority", with(":authority", "tenant.test\r\nx: y"), Refused),
        row("a host that differs", and("host", "evil.test"), Refused),
        row("the same host", and("host", HOST), Seen(OPEN)),
        row("another tenant's host", with(":authority", "evil.test"), Answered(421)),
        row("CONNECT", request(&[(":method", "CONNECT"), (":authority", "tenant.test:443")]), Answered(405)),
    ]
}

fn fields() -> Vec<Row> {
    let long = "a".repeat(40_000);
    let longer = "a".repeat(60_000);
    vec![
        closes("a name in upper case", and("X-Upper", "1")),
        closes("no name", and("", "1")),
        closes("a name with a space", and("x y", "1")),
        closes("a name with a colon", and("x:y", "1")),
        closes("a name with a line end", and("x\r\ny", "1")),
        closes("a carriage return", and("x", "a\rb")),
        closes("a line feed", and("x", "a\nb: c")),
        closes("a NUL", and("x", "a\0b")),
        row("connection", and("connection", "close"), Refused),
        row("connection that names a length", and("connection", "content-length"), Refused),
        row("chunks", and("transfer-encoding", "chunked"), Refused),
        row("an upgrade", and("upgrade", "h2c"), Refused),
        row("keep-alive", and("keep-alive", "timeout=5"), Refused),
        row("proxy-connection", and("proxy-connection", "keep-alive"), Refused),
        row("te: gzip", and("te", "gzip"), Refused),
        row("te: trailers", and("te", "trailers"), Seen(OPEN)),
        row("two hosts", request(&[&PLAIN[..], &[("host", HOST), ("host", HOST)]].concat()), Refused),
        row("fields above the limit", split(&long), Answered(431)),
        row("fields far above the limit", split(&longer), Answered(431)),
    ]
}

/// A request with one long field that continues in further frames.
fn split(value: &str) -> Vec<u8> {
    let fields = block(&[&PLAIN[..], &[("x", value)]].concat());
    let mut parts = fields.chunks(16_000);
    let mut bytes = frame(HEADERS, END_STREAM, 1, parts.next().unwrap());
    let last = parts.len() - 1;
    for (index, part) in parts.enumerate() {
        let flags = if index == last { END_HEADERS } else { 0 };
        bytes.extend(frame(CONTINUATION, flags, 1, part));
    }
    bytes
}

fn lengths() -> Vec<Row> {
    let length = |value: &'static str| post(&[("content-length", value)], "hello");
    vec![
        row("no length", post(&[], "hello"), Seen(POSTED)),
        row("the right length", length("5"), Seen(POSTED)),
        row("less data than that", length("6"), Expect::Cut),
        row("more data than that", length("4"), Expect::Cut),
        row("a length and no data", and("content-length", "5"), Refused),
        row(
            "two lengths that differ",
            post(&[("content-length", "5"), ("content-length", "6")], "hello"),
            Refused,
        ),
        row(
            "two lengths that agree",
            post(&[("content-length", "5"), ("content-length", "5")], "hello"),
            Refused,
        ),
        row("a list", length("5, 5"), Refused),
        row("a plus", length("+5"), Refused),
        row("a negative length", length("-5"), Refused),
        row("beyond 64 bits", length("18446744073709551621"), Refused),
    ]
}

#[test]
fn invalid_pseudo_headers_are_refused() {
    run_test(super::run(pseudo()));
}

#[test]
fn fields_not_allowed_in_http2_are_refused() {
    run_test(super::run(fields()));
}

#[test]
fn a_length_that_differs_from_the_data_is_not_a_complete_request() {
    run_test(super::run(lengths()));
}
