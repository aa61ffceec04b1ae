//! Request lines and header fields.

use super::{
    Bench,
    Expect::{Answered, Refused, Seen},
    Row, row,
};
use crate::harness::{HOST, run};

const OPEN: &[(&str, &str, &str)] = &[("GET", "/open/a", "")];
const POSTED: &[(&str, &str, &str)] = &[("POST", "/open/a", "hello")];

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")
}

fn with(lines: &str) -> String {
    format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\n{lines}\r\n")
}

fn fields() -> Vec<Row> {
    let many = |count: usize| with(&(0..count).map(|index| format!("x-{index}: 1\r\n")).collect::<String>());
    vec![
        row("a plain request", with(""), Seen(OPEN)),
        row("a folded line", with("x: a\r\n b\r\n"), Refused),
        row("a line folded with a tab", with("x: a\r\n\tb\r\n"), Refused),
        row("a first line that is folded", format!("GET /open/a HTTP/1.1\r\n host: {HOST}\r\n\r\n"), Refused),
        row("a bare carriage return in a value", with("x: a\rb\r\n"), Refused),
        row("a bare line feed in a value", with("x: a\nb\r\n"), Refused),
        row("a NUL in a value", with("x: a\0b\r\n"), Refused),
        row("a DEL in a value", with("x: a\x7fb\r\n"), Refused),
        row("a space in a name", with("x y: a\r\n"), Refused),
        row("a space after a name", with("x : a\r\n"), Refused),
        row("no name", with(": a\r\n"), Refused),
        row("no colon", with("x\r\n"), Refused),
        row("a name that is not ASCII", with("x\u{e9}: a\r\n"), Refused),
        row("bare line feeds only", format!("GET /open/a HTTP/1.1\nhost: {HOST}\n\n"), Refused),
        row(
            "a bare carriage return ends the request line",
            format!("GET /open/a HTTP/1.1\rhost: {HOST}\r\n\r\n"),
            Refused,
        ),
        row("as many fields as a browser sends", many(60), Seen(OPEN)),
        row("too many fields", many(2_000), Refused),
        row("a field that is too long", with(&format!("x: {}\r\n", "a".repeat(40_000))), Answered(431)),
        row("a field without an end", with(&format!("x: {}", "a".repeat(1_200_000))), Refused),
        row("a request line without an end", format!("GET /open/{}", "a".repeat(1_200_000)), Refused),
        row(
            "an upgrade to cleartext HTTP/2",
            with(
                "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
            ),
            Seen(OPEN),
        ),
        row("Connection names the host", with("connection: host\r\n"), Refused),
        row("an expectation without a body", with("expect: 100-continue\r\n"), Seen(OPEN)),
        row(
            "an expectation",
            format!(
                "POST /open/a HTTP/1.1\r\nhost: {HOST}\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello"
            ),
            Seen(POSTED),
        ),
        row(
            "an unknown expectation",
            format!(
                "POST /open/a HTTP/1.1\r\nhost: {HOST}\r\nexpect: a miracle\r\ncontent-length: 5\r\n\r\nhello"
            ),
            Seen(POSTED),
        ),
    ]
}

fn hosts() -> Vec<Row> {
    let hosts = |lines: &str| format!("GET /open/a HTTP/1.1\r\n{lines}\r\n");
    let absolute = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    vec![
        row("no host", hosts(""), Refused),
        row("an empty host", hosts("host:\r\n"), Refused),
        row("two hosts that agree", hosts(&format!("host: {HOST}\r\nhost: {HOST}\r\n")), Refused),
        row("two hosts that differ", hosts(&format!("host: {HOST}\r\nhost: evil.test\r\n")), Refused),
        row("a list of hosts", hosts(&format!("host: {HOST}, evil.test\r\n")), Refused),
        row("a user before the host", hosts(&format!("host: evil@{HOST}\r\n")), Refused),
        row("a path after the host", hosts(&format!("host: {HOST}/evil\r\n")), Refused),
        row("a space in the host", hosts(&format!("host: {HOST} evil\r\n")), Refused),
        row("a port that is none", hosts(&format!("host: {HOST}:80:90\r\n")), Refused),
        row("another host", hosts("host: evil.test\r\n"), Answered(421)),
        row("absolute form", absolute(&format!("http://{HOST}/open/a"), HOST), Seen(OPEN)),
        row("absolute form of another host", absolute("http://evil.test/open/a", HOST), Refused),
        row(
            "absolute form behind another host",
            absolute(&format!("http://{HOST}/open/a"), "evil.test"),
            Refused,
        ),
        row("absolute form with a user", absolute(&format!("http://a@{HOST}/open/a"), HOST), Refused),
        row("absolute form of a file", absolute("file:///open/a", HOST), Refused),
        row("absolute form without a path", absolute(&format!("http://{HOST}"), HOST), Answered(569)),
        row("authority form", absolute(&format!("{HOST}:80"), HOST), Refused),
        row("CONNECT", format!("CONNECT {HOST}:443 HTTP/1.1\r\nhost: {HOST}:443\r\n\r\n"), Answered(405)),
        row("CONNECT with a path", format!("CONNECT /open/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n"), Refused),
        row("asterisk form", format!("OPTIONS * HTTP/1.1\r\nhost: {HOST}\r\n\r\n"), Refused),
        row("asterisk form of GET", absolute("*", HOST), Refused),
    ]
}

fn targets() -> Vec<Row> {
    vec![
        row("a space in the path", get("/open/a b"), Answered(400)),
        row("a space and a version in the path", get("/open/a HTTP/1.1 b"), Refused),
        row("a tab in the path", get("/open/a\tb"), Answered(400)),
        row("a NUL in the path", get("/open/a\0b"), Answered(400)),
        row("an escape character in the path", get("/open/a\x1bb"), Answered(400)),
        row("a carriage return in the path", get("/open/a\rb"), Answered(400)),
        row("a space in the query", get("/open/a?b c"), Answered(400)),
        row("no target", format!("GET HTTP/1.1\r\nhost: {HOST}\r\n\r\n"), Refused),
        row("two spaces", format!("GET  /open/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n"), Refused),
        row("a tab instead of a space", format!("GET\t/open/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n"), Refused),
        row("a fragment", get("/open/a#b"), Seen(OPEN)),
        row("dot segments", get("/open/../admin"), Answered(400)),
        row("encoded dot segments", get("/open/%2e%2E/admin"), Answered(400)),
        row("an encoded slash after dots", get("/open/..%2fadmin"), Answered(400)),
        row("a backslash after dots", get("/open/..\\admin"), Answered(400)),
        row("dot segments in absolute form", get(&format!("http://{HOST}/open/../admin")), Answered(400)),
        // Outside of the pass-through path: treated as encrypted, and the relay header is missing.
        row("two slashes before", get("//open/a"), Answered(569)),
        row("two slashes within", get("/open//a"), Seen(&[("GET", "/open//a", "")])),
        row("an encoded line end", get("/open/a%0d%0ax:%20y"), Answered(400)),
        row(
            "an encoded line end in the query",
            get("/open/a?b=%0d%0a"),
            Seen(&[("GET", "/open/a?b=%0d%0a", "")]),
        ),
        row("a method in lower case", get("/open/a").replace("GET", "get"), Answered(405)),
        row("TRACE", get("/open/a").replace("GET", "TRACE"), Answered(405)),
        row("a method that is no token", get("/open/a").replace("GET", "G(T"), Refused),
        row("an empty line before", format!("\r\n{}", get("/open/a")), Seen(OPEN)),
        row("a space before", format!(" {}", get("/open/a")), Refused),
        row("HTTP/0.9", "GET /open/a\r\n\r\n", Refused),
        row("HTTP/2.0", get("/open/a").replace("HTTP/1.1", "HTTP/2.0"), Refused),
        row("HTTP/1.2", get("/open/a").replace("HTTP/1.1", "HTTP/1.2"), Refused),
        row("HTTP/1.10", get("/open/a").replace("HTTP/1.1", "HTTP/1.10"), Refused),
        row("http/1.1", get("/open/a").replace("HTTP/1.1", "http/1.1"), Refused),
        row("HTTP/1.0", get("/open/a").replace("HTTP/1.1", "HTTP/1.0"), Seen(OPEN)),
        row(
            "HTTP/1.0 that stays open",
            get("/open/a").replace("HTTP/1.1\r\n", "HTTP/1.0\r\nconnection: keep-alive\r\n"),
            Seen(OPEN),
        ),
        row("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", Refused),
        row("the beginning of TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n".to_vec(), Refused),
    ]
}

#[test]
fn header_fields_that_are_not_well_formed_are_refused() {
    run(async { Bench::new().await.run(fields()).await });
}

#[test]
fn a_request_has_one_host() {
    run(async { Bench::new().await.run(hosts()).await });
}

#[test]
fn request_lines_that_are_not_well_formed_are_refused() {
    run(async { Bench::new().await.run(targets()).await });
}
