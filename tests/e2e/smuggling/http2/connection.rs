//! Frames that end their connection.

use super::{After, PLAIN, Row, request, wire::*};
use crate::{harness::run as run_test, smuggling::Expect};

fn row(name: &'static str, bytes: Vec<u8>) -> Row {
    Row { name, bytes, expect: Expect::Refused, after: After::Closed }
}

/// A setting's identifier and value.
fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn oddities() -> Vec<Row> {
    let plain = block(&PLAIN);
    let begun = frame(HEADERS, END_STREAM, 1, &plain[..10]);
    vec![
        row("a ping of seven bytes", frame(PING, 0, 0, &[0; 7])),
        row("a ping on a stream", frame(PING, 0, 1, &[0; 8])),
        row("settings of five bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        row("settings on a stream", frame(SETTINGS, 0, 1, &[])),
        row("an acknowledgement with settings", frame(SETTINGS, 1, 0, &[0; 6])),
        row("a window above 31 bits", setting(4, 1 << 31)),
        row("a push setting of two", setting(2, 2)),
        row("a frame size below the least", setting(5, 100)),
        row("a window update of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        row("a window that overflows", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(2)),
        row("data on stream 0", frame(DATA, 0, 0, b"x")),
        row("data on a stream that is idle", frame(DATA, 0, 1, b"x")),
        row("a reset of a stream that is idle", frame(RST_STREAM, 0, 1, &[0; 4])),
        row("a head on stream 0", frame(HEADERS, END_HEADERS | END_STREAM, 0, &plain)),
        row("a head on a stream of the server's", frame(HEADERS, END_HEADERS | END_STREAM, 2, &plain)),
        row("a promise", frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &plain[..]].concat())),
        row("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &plain)),
        row("another frame within a head", [begun.clone(), frame(PING, 0, 0, &[0; 8])].concat()),
        row(
            "another stream's continuation",
            [begun, frame(CONTINUATION, END_HEADERS, 3, &plain[10..])].concat(),
        ),
        row("a frame above the size that was agreed", frame(PING, 0, 0, &vec![0; 20_000])),
        row(
            "an index that stands for nothing",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0x7f]),
        ),
        row("a text that ends early", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0, 10, b'x'])),
        row("a table larger than was agreed", request_with_prefix(&[0x3f, 0xff, 0xff, 0x03])),
        row(
            "padding longer than its frame",
            frame(HEADERS, END_HEADERS | PADDED, 1, &[&[255], &plain[..]].concat()),
        ),
    ]
}

fn request_with_prefix(prefix: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &[prefix, &block(&PLAIN)].concat())
}

fn floods() -> Vec<Row> {
    let head = frame(HEADERS, END_STREAM, 1, &block(&PLAIN));
    let echo = |stream: u32| {
        let fields = PLAIN.map(|field| if field.0 == ":path" { (":path", "/api/mte-echo/x") } else { field });
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields));
        [head, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    vec![
        row(
            "continuations without end",
            [head.clone(), frame(CONTINUATION, 0, 1, b"\0\x01x\x01y").repeat(20_000)].concat(),
        ),
        row(
            "empty continuations without end",
            [head, frame(CONTINUATION, 0, 1, &[]).repeat(20_000)].concat(),
        ),
        row("requests that are reset at once", (0..5_000).flat_map(|index| echo(1 + 2 * index)).collect()),
        row(
            "malformed requests without end",
            (0..2_000)
                .flat_map(|index| {
                    frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * index, &block(&[(":path", "/")]))
                })
                .collect(),
        ),
    ]
}

#[test]
fn misplaced_frames_end_their_connection_and_no_other() {
    run_test(super::run(oddities()));
}

#[test]
fn floods_end_their_connection_and_no_other() {
    run_test(super::run(floods()));
}

#[test]
fn another_preface_ends_its_connection() {
    run_test(async {
        let bench = super::Bench::new().await;
        for bytes in ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "GET /open/a HTTP/1.1\r\nhost: tenant.test\r\n\r\n"]
        {
            let exchange = async {
                let stream = tokio::net::TcpStream::connect(bench.relay.tls.unwrap()).await.unwrap();
                let stream = bench.authority.handshake(stream, crate::harness::HOST, false, true).await;
                let mut connection = Connection(stream.unwrap());
                connection.send(bytes.as_bytes()).await;
                while connection.next().await.is_ok() {}
                Ok(Vec::new())
            };
            bench
                .trial("another preface", Expect::Refused, exchange)
                .await
                .unwrap_or_else(|failure| panic!("{bytes:?}: {failure}"));
        }
    });
}

#[test]
fn many_pings_and_settings_are_tolerated() {
    let bytes =
        [frame(PING, 0, 0, &[0; 8]).repeat(500), setting(4, 70_000).repeat(100), request(&PLAIN)].concat();
    let expect = Expect::Seen(&[("GET", "/open/a", "")]);
    run_test(super::run(vec![Row { name: "pings and settings", bytes, expect, after: After::Serves }]));
}
