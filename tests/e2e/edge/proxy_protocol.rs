//! PROXY headers, on plain and on TLS listeners.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{EdgeRelay, rest};
use crate::harness::{HOST, Setup, eventually, run};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2: version and command, family and protocol, and then the part that its length covers.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = [SIGNATURE, &[command, family]].concat();
    header.extend((rest.len() as u16).to_be_bytes());
    header.extend_from_slice(rest);
    header
}

/// Source and destination in version 2, for IPv4: 203.0.113.7:4711 to 10.0.0.1:443.
const FOUR: &[u8] = b"\xcb\x00\x71\x07\x0a\x00\x00\x01\x12\x67\x01\xbb";

/// The same for IPv6: 2001:db8::7 to ::1.
const SIX: &[u8] =
    b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x67\x01\xbb";

async fn edge(trusted: &str) -> EdgeRelay {
    let top = format!("trusted_proxies: [{trusted}]\ntimeouts: {{headers: 100s}}");
    EdgeRelay::new(Setup::default().top(&top).listeners("proxy_protocol: true")).await
}

/// Sends a header, in one piece or byte by byte, and then a request; returns the response, or nothing if the TLS handshake
/// fails.
async fn ask(edge: &EdgeRelay, tls: bool, header: &[u8], in_drops: bool) -> String {
    let address = if tls { edge.tls_address() } else { edge.relay.address };
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    for part in header.chunks(if in_drops { 1 } else { header.len().max(1) }) {
        let _ = stream.write_all(part).await;
        if in_drops {
            tokio::task::yield_now().await;
        }
    }
    let answer = if tls {
        let Ok(mut stream) = edge.authority.handshake(stream, HOST, false, false).await else {
            return String::new();
        };
        let _ = stream.write_all(request.as_bytes()).await;
        rest(stream).await
    } else {
        let _ = stream.write_all(request.as_bytes()).await;
        rest(stream).await
    };
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_proxy_header_gives_the_client_address() {
    run(async {
        let edge = edge("127.0.0.0/8").await;
        let more = b"\x01\x00\x08http/1.1\x04\x00\x03\0\0\0\xea\x00\x02xy";
        let four_and_more = [FOUR, more].concat();
        let many = [FOUR, &[&b"\x04\x03\xe8"[..], &[0; 1_000]].concat().repeat(3)].concat();
        let own = "127.0.0.1";
        let rows: Vec<(&str, Vec<u8>, &str)> = vec![
            ("version 1", b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n".to_vec(), "203.0.113.7"),
            ("version 1, IPv6", b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n".to_vec(), "2001:db8::7"),
            ("version 1, unknown", b"PROXY UNKNOWN\r\n".to_vec(), own),
            ("version 1, unknown and more", b"PROXY UNKNOWN 203.0.113.7 ::1 1 1\r\n".to_vec(), own),
            ("version 2", v2(0x21, 0x11, FOUR), "203.0.113.7"),
            ("version 2, IPv6", v2(0x21, 0x21, SIX), "2001:db8::7"),
            ("version 2 with extensions", v2(0x21, 0x11, &four_and_more), "203.0.113.7"),
            ("version 2 with large extensions", v2(0x21, 0x11, &many), "203.0.113.7"),
            ("version 2, local", v2(0x20, 0x00, &[]), own),
            ("version 2, local with an address", v2(0x20, 0x11, FOUR), own),
            ("version 2, unspecified", v2(0x21, 0x00, &[]), own),
            ("version 2, a Unix socket", v2(0x21, 0x31, &[b'x'; 216]), own),
        ];
        for (name, header, client) in rows {
            for (tls, in_drops) in [(false, false), (true, false), (false, true), (true, true)] {
                let place = format!("{name}, TLS: {tls}, in drops: {in_drops}");
                let answer = ask(&edge, tls, &header, in_drops).await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{place}: {answer:?}");
                let seen = edge.upstream.last();
                assert_eq!(seen.header("x-forwarded-for"), Some(client), "{place}");
                assert_eq!(seen.header("x-forwarded-proto"), Some(if tls { "https" } else { "http" }));
            }
        }
        assert_eq!(edge.all_malformed(), 0.0);
    });
}

#[test]
fn anything_but_a_header_ends_the_connection_and_is_counted() {
    run(async {
        let edge = edge("127.0.0.0/8").await;
        let mut version = v2(0x21, 0x11, FOUR);
        version[12] = 0x31;
        let rows: Vec<(&str, Vec<u8>)> = vec![
            ("none", Vec::new()),
            ("lower case", b"proxy TCP4 203.0.113.7 10.0.0.1 4711 443\r\n".to_vec()),
            ("a port that is none", b"PROXY TCP4 203.0.113.7 10.0.0.1 99999 443\r\n".to_vec()),
            ("an address that is none", b"PROXY TCP4 203.0.113.700 10.0.0.1 4711 443\r\n".to_vec()),
            ("IPv6 as IPv4", b"PROXY TCP4 2001:db8::7 ::1 4711 443\r\n".to_vec()),
            ("a family that is none", b"PROXY UDP4 203.0.113.7 10.0.0.1 4711 443\r\n".to_vec()),
            ("a bare line feed", b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\n".to_vec()),
            ("addresses that are missing", b"PROXY TCP4\r\n".to_vec()),
            ("a line too long", format!("PROXY UNKNOWN {}\r\n", "x".repeat(200)).into_bytes()),
            ("another version", version),
            ("a command that is none", v2(0x22, 0x11, FOUR)),
            ("a family of version 2 that is none", v2(0x21, 0x51, FOUR)),
            ("addresses cut short", v2(0x21, 0x11, &FOUR[..4])),
            ("a length beyond reason", v2(0x21, 0x11, &[FOUR, &[0; 60_000]].concat())),
        ];
        for (name, header) in rows {
            for tls in [false, true] {
                let before = edge.malformed("proxy_header");
                let answer = ask(&edge, tls, &header, false).await;
                assert_eq!(answer, "", "{name}, TLS: {tls}");
                eventually(name, || edge.malformed("proxy_header") == before + 1).await;
            }
        }
        // A second header is not part of the request.
        let line = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n";
        let answer = ask(&edge, false, &line.repeat(2), false).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer:?}");
        assert_eq!(ask(&edge, true, &line.repeat(2), false).await, "");
        assert_eq!(edge.upstream.accepted(), 0);
    });
}

#[test]
fn a_proxy_header_is_accepted_from_trusted_proxies_only() {
    run(async {
        let edge = edge("10.0.0.0/8").await;
        for tls in [false, true] {
            let answer = ask(&edge, tls, &v2(0x21, 0x11, FOUR), false).await;
            assert_eq!(answer, "", "TLS: {tls}");
        }
        eventually("both are counted", || edge.malformed("proxy_header") == 2).await;
        assert_eq!(edge.upstream.accepted(), 0);
    });
}

#[test]
fn a_listener_without_proxy_protocol_accepts_no_proxy_header() {
    run(async {
        let edge = EdgeRelay::new(Setup::default().top("trusted_proxies: [127.0.0.0/8]")).await;
        let line = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n";
        let answer = ask(&edge, false, line, false).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer:?}");
        assert_eq!(ask(&edge, true, line, false).await, "");
        eventually("it is counted", || edge.malformed("malformed") == 1 && edge.malformed("tls") == 1).await;
        assert_eq!(edge.upstream.accepted(), 0);
    });
}
