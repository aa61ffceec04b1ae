//! The end of a body.

use super::{
    Bench,
    Expect::{Cut, Refused, Seen},
    Row, row,
};
use crate::harness::{HOST, run};

/// The request that an attacker hides in a body.
const HIDDEN: &str = "GET /second HTTP/1.1\r\nhost: tenant.test\r\n\r\n";

const FIVE: &[(&str, &str, &str)] = &[("POST", "/open/a", "hello")];
const NONE: &[(&str, &str, &str)] = &[("POST", "/open/a", "")];

fn post(headers: &str, body: &str) -> String {
    format!("POST /open/a HTTP/1.1\r\nhost: {HOST}\r\n{headers}\r\n{body}")
}

fn lengths() -> Vec<Row> {
    let hidden = |headers: &str| post(headers, &format!("hello{HIDDEN}"));
    vec![
        row("one length", post("content-length: 5\r\n", "hello"), Seen(FIVE)),
        row("two lengths that differ", hidden("content-length: 5\r\ncontent-length: 6\r\n"), Refused),
        row(
            "two lengths that differ, the larger first",
            hidden("content-length: 48\r\ncontent-length: 5\r\n"),
            Refused,
        ),
        row("two lengths that agree", hidden("content-length: 5\r\ncontent-length: 5\r\n"), Refused),
        row("a list of lengths that agree", hidden("content-length: 5, 5\r\n"), Refused),
        row("a list of lengths that differ", hidden("content-length: 5, 6\r\n"), Refused),
        row("a list with nothing in it", hidden("content-length: 5,\r\n"), Refused),
        row("a length with a plus", hidden("content-length: +5\r\n"), Refused),
        row("a negative length", hidden("content-length: -1\r\n"), Refused),
        row("a hexadecimal length", hidden("content-length: 0x5\r\n"), Refused),
        row("two numbers", hidden("content-length: 5 5\r\n"), Refused),
        row("a decimal point", hidden("content-length: 5.0\r\n"), Refused),
        row("no number", hidden("content-length: \r\n"), Refused),
        row("underscores", hidden("content-length: 0_5\r\n"), Refused),
        row("full-width digits", hidden("content-length: \u{ff15}\r\n"), Refused),
        row("a vertical tab before the number", hidden("content-length: \x0b5\r\n"), Refused),
        row("a form feed after the number", hidden("content-length: 5\x0c\r\n"), Refused),
        row("beyond 64 bits", hidden("content-length: 18446744073709551621\r\n"), Refused),
        row("beyond 128 bits", hidden(&format!("content-length: {}5\r\n", "9".repeat(60))), Refused),
        row("a space before the colon", hidden("content-length : 5\r\n"), Refused),
        row("a tab before the number", post("content-length:\t5\r\n", "hello"), Seen(FIVE)),
        row("leading zeros", post("content-length: 0005\r\n", "hello"), Seen(FIVE)),
        row(
            "a length that Connection names",
            post("connection: content-length\r\ncontent-length: 5\r\n", "hello"),
            Seen(FIVE),
        ),
        row(
            "a length on GET",
            post("content-length: 5\r\n", "hello").replace("POST", "GET"),
            Seen(&[("GET", "/open/a", "hello")]),
        ),
    ]
}

fn encodings() -> Vec<Row> {
    let chunked = |headers: &str| post(headers, "5\r\nhello\r\n0\r\n\r\n");
    // The following bytes are a separate request for a parser that reads chunks, and a body for one that does not.
    let hidden = |headers: &str| post(headers, &format!("0\r\n\r\n{HIDDEN}"));
    vec![
        row("chunks", chunked("transfer-encoding: chunked\r\n"), Seen(FIVE)),
        row("chunks in capitals", chunked("Transfer-Encoding: CHUNKED\r\n"), Seen(FIVE)),
        row(
            "a length, then chunks",
            hidden("content-length: 48\r\ntransfer-encoding: chunked\r\n"),
            Seen(NONE),
        ),
        row(
            "chunks, then a length",
            hidden("transfer-encoding: chunked\r\ncontent-length: 48\r\n"),
            Seen(NONE),
        ),
        row(
            "chunks and a wrong length",
            hidden("transfer-encoding: chunked\r\ncontent-length: x\r\n"),
            Seen(NONE),
        ),
        row("xchunked", hidden("transfer-encoding: xchunked\r\n"), Refused),
        row(
            "xchunked and a length",
            hidden("content-length: 48\r\ntransfer-encoding: xchunked\r\n"),
            Refused,
        ),
        row("identity", hidden("transfer-encoding: identity\r\n"), Refused),
        row(
            "identity and a length",
            hidden("content-length: 48\r\ntransfer-encoding: identity\r\n"),
            Refused,
        ),
        row("chunked, identity", hidden("transfer-encoding: chunked, identity\r\n"), Refused),
        row("identity, chunked", hidden("transfer-encoding: identity, chunked\r\n"), Refused),
        row("gzip, chunked", hidden("transfer-encoding: gzip, chunked\r\n"), Refused),
        row("chunked, chunked", hidden("transfer-encoding: chunked, chunked\r\n"), Refused),
        row("chunked twice", hidden("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"), Refused),
        row(
            "identity, then chunked",
            hidden("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n"),
            Refused,
        ),
        row(
            "chunked, then identity",
            hidden("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
            Refused,
        ),
        row("nothing, then chunked", hidden("transfer-encoding: , chunked\r\n"), Refused),
        row("an empty encoding", hidden("transfer-encoding:\r\ncontent-length: 48\r\n"), Refused),
        row("a parameter", hidden("transfer-encoding: chunked;a=b\r\n"), Refused),
        row("quotes", hidden("transfer-encoding: \"chunked\"\r\n"), Refused),
        row("a space before the colon", hidden("transfer-encoding : chunked\r\n"), Refused),
        row("a tab before the colon", hidden("transfer-encoding\t: chunked\r\n"), Refused),
        row("a tab before the value", chunked("transfer-encoding:\tchunked\r\n"), Seen(FIVE)),
        row("a vertical tab before the value", hidden("transfer-encoding:\x0bchunked\r\n"), Refused),
        row("a vertical tab after the value", hidden("transfer-encoding: chunked\x0b\r\n"), Refused),
        row("a vertical tab before the name", hidden("\x0btransfer-encoding: chunked\r\n"), Refused),
        row("a NUL in the value", hidden("transfer-encoding: chunked\0\r\n"), Refused),
        row("a line folded", hidden("transfer-encoding:\r\n chunked\r\n"), Refused),
        row("behind a bare line feed", post("x: y\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"), Refused),
        row("behind a bare carriage return", hidden("x: y\rtransfer-encoding: chunked\r\n"), Refused),
        row(
            "an underscore",
            post("transfer_encoding: chunked\r\ncontent-length: 5\r\n", "hello"),
            Seen(FIVE),
        ),
        row(
            "chunks that Connection names",
            chunked("connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n"),
            Seen(FIVE),
        ),
        row(
            "HTTP/1.0",
            hidden("transfer-encoding: chunked\r\n").replacen("HTTP/1.1", "HTTP/1.0", 1),
            Refused,
        ),
        row(
            "HTTP/1.0 and a length",
            hidden("content-length: 48\r\ntransfer-encoding: chunked\r\n")
                .replacen("HTTP/1.1", "HTTP/1.0", 1),
            Refused,
        ),
    ]
}

fn chunks() -> Vec<Row> {
    let body = |body: &str| post("transfer-encoding: chunked\r\n", body);
    let long = "x".repeat(100_000);
    vec![
        row("an extension", body("5;a=b\r\nhello\r\n0\r\n\r\n"), Seen(FIVE)),
        row("leading zeros", body("0005\r\nhello\r\n000\r\n\r\n"), Seen(FIVE)),
        row("trailers", body("5\r\nhello\r\n0\r\nx-late: 1\r\n\r\n"), Seen(FIVE)),
        row("a trailer that frames", body("5\r\nhello\r\n0\r\ncontent-length: 9\r\n\r\n"), Seen(FIVE)),
        row("a prefix", body("0x5\r\nhello\r\n0\r\n\r\n"), Cut),
        row("a sign", body("-5\r\nhello\r\n0\r\n\r\n"), Cut),
        row("a plus", body("+5\r\nhello\r\n0\r\n\r\n"), Cut),
        // Treated as the last chunk; the following bytes are dropped with the connection.
        row("no size", body(&format!("\r\n\r\n{HIDDEN}")), Seen(NONE)),
        row("a size of 64 bits and more", body("10000000000000005\r\nhello\r\n0\r\n\r\n"), Cut),
        row("a size of 64 bits", body("ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), Cut),
        row("a space before the size", body(" 5\r\nhello\r\n0\r\n\r\n"), Cut),
        row("a size with an underscore", body("0_5\r\nhello\r\n0\r\n\r\n"), Cut),
        row("data longer than its size", body("5\r\nhello!\r\n0\r\n\r\n"), Cut),
        row("no line end after the data", body("5\r\nhello0\r\n\r\n"), Cut),
        row("bare line feeds", body("5\nhello\n0\n\n"), Cut),
        row("a bare line feed after the size", body("5\nhello\r\n0\r\n\r\n"), Cut),
        row("a bare line feed after the data", body("5\r\nhello\n0\r\n\r\n"), Cut),
        row("a bare carriage return in an extension", body("5;a\rb\r\nhello\r\n0\r\n\r\n"), Cut),
        row("a bare line feed in an extension", body("5;a\nhello\r\n0\r\n\r\n"), Cut),
        row("a very long extension", body(&format!("5;{long}\r\nhello\r\n0\r\n\r\n")), Cut),
        row("no end of the last chunk", body("5\r\nhello\r\n0\r\n"), Cut),
        row("no last chunk", body("5\r\nhello\r\n"), Cut),
        row("a size that has no end", body(&long), Cut),
    ]
}

fn pipelines() -> Vec<Row> {
    vec![
        row(
            "a second request after a body",
            post("content-length: 5\r\n", &format!("hello{HIDDEN}")),
            Seen(FIVE),
        ),
        row(
            "a second request after chunks",
            post("transfer-encoding: chunked\r\n", &format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}")),
            Seen(FIVE),
        ),
    ]
}

#[test]
fn lengths_that_are_not_one_number_are_refused() {
    run(async { Bench::new().await.run(lengths()).await });
}

#[test]
fn encodings_other_than_chunked_are_refused() {
    run(async { Bench::new().await.run(encodings()).await });
}

#[test]
fn chunks_that_are_not_well_formed_are_refused() {
    run(async { Bench::new().await.run(chunks()).await });
}

#[test]
fn bytes_after_a_body_are_not_part_of_it_and_not_forwarded() {
    run(async { Bench::new().await.run(pipelines()).await });
}
