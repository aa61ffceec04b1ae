//! The PROXY header, version 1 or 2, that a load balancer sends at the beginning of a connection, with the client's address.

use std::net::SocketAddr;

use pingora_core::protocols::l4::stream::Stream as TcpStream;
use ppp::{HeaderResult, PartialResult, v1, v2};

use super::refused::{Malformed, ProxyHeaderError};

/// Maximum length of version 1, in bytes.
const MAX_LINE: usize = 107;
/// Maximum length of version 2, in bytes: more than any load balancer sends, including extensions.
const MAX_HEADER: usize = 4 << 10;

/// The client's and the relay's address as seen by the load balancer; `None` if the connection is its own (LOCAL, UNKNOWN).
pub(super) type Addresses = Option<(SocketAddr, SocketAddr)>;

/// Reads the header and nothing after it.
///
/// # Errors
/// Why this is not a PROXY header.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Addresses, ProxyHeaderError> {
    let mut seen = Vec::new();
    loop {
        let mut part = [0; 512];
        let read = super::more(stream, &mut part, &seen, "its PROXY header was complete").await?;
        seen.extend_from_slice(&part[..read]);
        match parse(&seen)? {
            Some((len, addresses)) => {
                if seen.len() > len {
                    stream.rewind(&seen[len..]);
                }
                return Ok(addresses);
            }
            None if seen.len() >= MAX_HEADER => return Err(ProxyHeaderError::TooLarge),
            None => {}
        }
    }
}

/// Whether one of the two is a prefix of the other.
fn is_start(seen: &[u8], prefix: &[u8]) -> bool {
    let len = seen.len().min(prefix.len());
    seen[..len] == prefix[..len]
}

/// The header's length and addresses, once it is complete.
fn parse(seen: &[u8]) -> Result<Option<(usize, Addresses)>, Malformed> {
    // Version 1 is one line; the bytes after it need not be text.
    let mut header = seen;
    if is_start(seen, b"PROXY ") {
        match seen.iter().position(|b| *b == b'\n') {
            Some(end) => header = &seen[..=end],
            None if seen.len() < MAX_LINE => return Ok(None),
            None => return Err(Malformed::NoEnd),
        }
    }
    let whole_line = header.starts_with(b"PROXY ") && header.ends_with(b"\n");
    let header = HeaderResult::parse(header);
    if header.is_incomplete() {
        return if whole_line { Err(Malformed::PartMissing) } else { Ok(None) };
    }
    Ok(Some(match header {
        HeaderResult::V1(header) => {
            let header = header?;
            let addresses = match header.addresses {
                v1::Addresses::Tcp4(ip) => Some((
                    (ip.source_address, ip.source_port).into(),
                    (ip.destination_address, ip.destination_port).into(),
                )),
                v1::Addresses::Tcp6(ip) => Some((
                    (ip.source_address, ip.source_port).into(),
                    (ip.destination_address, ip.destination_port).into(),
                )),
                v1::Addresses::Unknown => None,
            };
            (header.header.len(), addresses)
        }
        HeaderResult::V2(header) => {
            let header = header?;
            let addresses = match header.addresses {
                _ if header.command == v2::Command::Local => None,
                v2::Addresses::IPv4(ip) => Some((
                    (ip.source_address, ip.source_port).into(),
                    (ip.destination_address, ip.destination_port).into(),
                )),
                v2::Addresses::IPv6(ip) => Some((
                    (ip.source_address, ip.source_port).into(),
                    (ip.destination_address, ip.destination_port).into(),
                )),
                v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
            };
            (header.len(), addresses)
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\x0a\x00\x00\x01\x12\x67\x01\xbb";

    fn addresses(source: &str, destination: &str) -> Addresses {
        Some((source.parse().unwrap(), destination.parse().unwrap()))
    }

    #[test]
    fn both_versions_are_read_and_what_follows_is_left() {
        let line = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n";
        let expected = addresses("203.0.113.7:4711", "10.0.0.1:443");
        for header in [&line[..], V2] {
            for tail in [&b""[..], b"\x16\x03\x01\xff\n", b"GET / HTTP/1.1\r\n"] {
                let all = [header, tail].concat();
                assert_eq!(parse(&all), Ok(Some((header.len(), expected))), "{header:?}");
            }
            for cut in 1..header.len() {
                assert_eq!(parse(&header[..cut]), Ok(None), "{cut} bytes of {header:?}");
            }
        }
        let six = b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n";
        assert_eq!(parse(six), Ok(Some((six.len(), addresses("[2001:db8::7]:4711", "[::1]:443")))));
    }

    #[test]
    fn a_local_header_of_a_load_balancer_has_no_client() {
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
        assert_eq!(parse(local), Ok(Some((local.len(), None))));
        let unknown = b"PROXY UNKNOWN\r\n";
        assert_eq!(parse(unknown), Ok(Some((unknown.len(), None))));
    }

    #[test]
    fn anything_but_a_header_is_refused_immediately() {
        for wrong in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n",
            b"PROXY TCP4\r\n",
            b"PROXY TCP9 1.2.3.4 5.6.7.8 1 1\r\n",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
