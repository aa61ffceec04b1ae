//! What kind of address a peer has. An address is classified by what a packet to it reaches: IPv4 inside of IPv6 counts as
//! the IPv4 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What connecting to an address may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything on the internet.
    Public,
    /// This machine, its networks, and addresses that the internet does not route: only by a network of the list.
    Private,
    /// What no peer has, and the metadata services of clouds: never.
    Forbidden,
}

/// Metadata services of clouds that are not link-local: those of AWS and Google over IPv6, of Azure, and of Alibaba. They
/// hand out credentials to whoever reaches them.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];

/// The IPv4 address that an IPv6 address stands for (mapped, compatible, translated, NAT64, 6to4), else the address itself.
pub fn unmapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(g, h),
        // ::/128 and ::1/128 are addresses of IPv6 itself.
        [0, 0, 0, 0, 0, 0] if g != 0 || h > 1 => v4(g, h),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

/// The kind of an address.
pub fn kind(address: IpAddr) -> Kind {
    let address = unmapped(address);
    if METADATA.contains(&address) {
        return Kind::Forbidden;
    }
    match address {
        IpAddr::V4(v4) => kind_of_v4(v4),
        IpAddr::V6(v6) => kind_of_v6(v6),
    }
}

fn kind_of_v4(v4: Ipv4Addr) -> Kind {
    match v4.octets() {
        // "This network", link-local, multicast, and everything above it (reserved, broadcast).
        [0 | 224..=255, ..] | [169, 254, ..] => Kind::Forbidden,
        // RFC 1918, loopback, carrier-grade NAT.
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Kind::Private,
        // Protocol assignments, documentation, the old 6to4 relays, benchmarks.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Kind::Private
        }
        _ => Kind::Public,
    }
}

fn kind_of_v6(v6: Ipv6Addr) -> Kind {
    let first = v6.segments()[0];
    if v6.is_unspecified() || first & 0xffc0 == 0xfe80 || first & 0xff00 == 0xff00 {
        return Kind::Forbidden;
    }
    // Of what the internet routes (2000::/3), protocol assignments with Teredo, and documentation are left out.
    match v6.segments() {
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Private,
        _ if first & 0xe000 == 0x2000 => Kind::Public,
        _ => Kind::Private,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(addresses: &[&str], expected: Kind) {
        for text in addresses {
            assert_eq!(kind(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn what_no_peer_has_is_forbidden() {
        kinds(
            &[
                "0.0.0.0",
                "0.1.2.3",
                "169.254.169.254",
                "169.254.0.1",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
                "168.63.129.16",
                "100.100.100.200",
                "::",
                "fe80::1",
                "febf::1",
                "ff02::1",
                "fd00:ec2::254",
                "fd20:ce::254",
            ],
            Kind::Forbidden,
        );
    }

    #[test]
    fn private_addresses_and_those_that_the_internet_does_not_route_are_private() {
        kinds(
            &[
                "127.0.0.1",
                "127.255.255.254",
                "10.0.0.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "100.64.0.1",
                "100.127.255.255",
                "192.0.0.1",
                "192.0.2.1",
                "198.18.0.1",
                "198.51.100.1",
                "203.0.113.1",
                "::1",
                "fc00::1",
                "fd00:ec2::253",
                "fec0::1",
                "2001:db8::1",
                "2001:0:1::1",
                "100::1",
                "64:ff9b:1::a00:1",
            ],
            Kind::Private,
        );
    }

    #[test]
    fn the_rest_is_public() {
        kinds(
            &[
                "1.1.1.1",
                "172.15.0.1",
                "172.32.0.1",
                "100.63.0.1",
                "100.128.0.1",
                "2606:4700::1111",
                "2001:4860::1",
            ],
            Kind::Public,
        );
    }

    #[test]
    fn ipv4_inside_of_ipv6_counts_as_the_ipv4_address() {
        for (v4, expected) in [
            ("127.0.0.1", Kind::Private),
            ("10.0.0.1", Kind::Private),
            ("169.254.169.254", Kind::Forbidden),
            ("0.0.0.0", Kind::Forbidden),
            ("1.1.1.1", Kind::Public),
        ] {
            let address: Ipv4Addr = v4.parse().unwrap();
            let [a, b, c, d] = address.octets();
            let [high, low] = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
            let forms = [
                format!("::ffff:{high:x}:{low:x}"),
                format!("::ffff:0:{high:x}:{low:x}"),
                format!("64:ff9b::{high:x}:{low:x}"),
                format!("2002:{high:x}:{low:x}::1"),
            ];
            for form in forms {
                let v6: IpAddr = form.parse().unwrap();
                assert_eq!((unmapped(v6), kind(v6)), (IpAddr::V4(address), expected), "{form}");
            }
        }
        let compatible: IpAddr = "::7f00:1".parse().unwrap();
        assert_eq!(kind(compatible), Kind::Private);
        let own: IpAddr = "::1".parse().unwrap();
        assert_eq!(unmapped(own), own);
    }
}
