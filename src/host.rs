//! Host names and addresses as a configuration writes them: checked, and in the one spelling by which they are compared.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name that DNS has.
const MAX_NAME: usize = 253;
/// The longest label of a name.
const MAX_LABEL: usize = 63;

/// Why a text is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing, or a character that no host has.
    #[error("is not a host")]
    NotHost,
    /// A label that is empty, or too long a label or name.
    #[error("is not a host: each part has 1 to 63 characters, all of it at most 253")]
    Length,
    /// A port that is not from 1 to 65535.
    #[error("has a port that is not from 1 to 65535")]
    Port,
    /// IPv6 without its brackets, or brackets around something else.
    #[error("is not a host: an IPv6 address stands in brackets, as in [::1]")]
    Brackets,
    /// Digits and dots that are no IPv4 address.
    #[error("is not a host: it looks like an IPv4 address, which has four numbers up to 255")]
    Ipv4,
}

/// A host and its port, if it has one. The host is in lower case, without the dot at its end, international names in
/// their ASCII form, IPv6 addresses in brackets and shortened.
///
/// # Errors
/// Why it is none.
pub fn parse(text: &str) -> Result<(String, Option<u16>), HostError> {
    let (host, port) = split_port(text)?;
    let port = port.map(parse_port).transpose()?;
    Ok((parse_name(host)?, port))
}

/// A host without a port, in the spelling by which it is compared; an address without brackets, and IPv4 as such where it is
/// mapped into IPv6.
pub fn bare(text: &str) -> Option<String> {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match address.parse::<IpAddr>() {
        Ok(address) => Some(address.to_canonical().to_string()),
        Err(_) => parse_name(text).ok(),
    }
}

/// The port, from 1 to 65535, in digits and nothing else.
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
    // A name whose last part is a number is an address to every resolver and browser.
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
    fn spellings_of_one_host_are_one() {
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
