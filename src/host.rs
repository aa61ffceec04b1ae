//! Host names and addresses in a configuration: checks them, and normalises them for comparison.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Maximum length of a DNS name.
const MAX_NAME: usize = 253;
/// Maximum length of a label.
const MAX_LABEL: usize = 63;

/// Why a text is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It is empty, or has a character that is not allowed in a host.
    #[error("is not a host")]
    NotHost,
    /// A label is empty, or a label or the name is too long.
    #[error("is not a host: each part must have 1 to 63 characters, and the whole name at most 253")]
    Length,
    /// A port that is not from 1 to 65535.
    #[error("has a port that is not from 1 to 65535")]
    Port,
    /// IPv6 without brackets, or brackets around something else.
    #[error("is not a host: an IPv6 address must be in brackets, as in [::1]")]
    Brackets,
    /// Digits and dots that are not an IPv4 address.
    #[error("is not a host: it looks like an IPv4 address, which has four numbers up to 255")]
    Ipv4,
}

/// A host and its port, if it has one. The host is in lower case, without a trailing dot, international names in their
/// ASCII form, IPv6 addresses in brackets and shortened.
///
/// # Errors
/// Why it is not a host.
pub fn parse(text: &str) -> Result<(String, Option<u16>), HostError> {
    let (host, port) = split_port(text)?;
    let port = port.map(parse_port).transpose()?;
    Ok((parse_name(host)?, port))
}

/// A host without a port, normalised for comparison; an address has no brackets, and an IPv4-mapped IPv6 address becomes
/// IPv4.
pub fn bare(text: &str) -> Option<String> {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match address.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical().to_string()),
        Err(_) => parse_name(text).ok(),
    }
}

/// The port, from 1 to 65535, in digits only.
fn parse_port(text: &str) -> Result<u16, HostError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| digits).ok_or(HostError::Port)
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), HostError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(HostError::Brackets)? + 1;
        return match &text[end..] {
            "" => Ok((text, None)),
            rest => Ok((&text[..end], Some(rest.strip_prefix(':').ok_or(HostError::Brackets)?))),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(HostError::Brackets),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

fn parse_name(text: &str) -> Result<String, HostError> {
    if let Some(rest) = text.strip_prefix('[') {
        let address: Ipv6Addr =
            rest.strip_suffix(']').and_then(|rest| rest.parse().ok()).ok_or(HostError::Brackets)?;
        return Ok(format!("[{address}]"));
    }
    let name = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(text).map_err(|_| HostError::NotHost)?
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(valid) {
        return Err(HostError::NotHost);
    }
    if name.len() > MAX_NAME || name.split('.').any(|label| label.is_empty() || label.len() > MAX_LABEL) {
        return Err(HostError::Length);
    }
    // Resolvers and browsers treat a name whose last label is a number as an address.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) && name.parse::<Ipv4Addr>().is_err() {
        return Err(HostError::Ipv4);
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_host_are_normalised() {
        for (text, host, port) in [
            ("API.Example.com", "api.example.com", None),
            ("api.example.com.", "api.example.com", None),
            ("api.example.com:8080", "api.example.com", Some(8080)),
            ("api.example.com.:8080", "api.example.com", Some(8080)),
            ("Bücher.example", "xn--bcher-kva.example", None),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example", None),
            ("[0:0:0:0:0:0:0:1]:443", "[::1]", Some(443)),
            ("[::1]", "[::1]", None),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("my_service-1", "my_service-1", None),
        ] {
            assert_eq!(parse(text), Ok((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn an_invalid_host_is_refused_with_a_reason() {
        let long = "a".repeat(64);
        for (text, error) in [
            ("", HostError::NotHost),
            (":80", HostError::NotHost),
            ("a b", HostError::NotHost),
            ("a/b", HostError::NotHost),
            ("u@a", HostError::NotHost),
            ("*.a", HostError::NotHost),
            ("a..b", HostError::Length),
            (".a", HostError::Length),
            ("a..", HostError::Length),
            (&long, HostError::Length),
            ("a:99999", HostError::Port),
            ("a:65536", HostError::Port),
            ("a:0", HostError::Port),
            ("a:080", HostError::Port),
            ("a:", HostError::Port),
            ("a:+80", HostError::Port),
            ("a:80a", HostError::Port),
            ("::1", HostError::Brackets),
            ("[::1", HostError::Brackets),
            ("[::1]80", HostError::Brackets),
            ("[a]", HostError::Brackets),
            ("256.1.1.1", HostError::Ipv4),
            ("1.2.3", HostError::Ipv4),
            ("10", HostError::Ipv4),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
