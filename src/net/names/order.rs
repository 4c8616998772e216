//! The order in which destinations are tried: RFC 6724, section 6.
//!
//! The rules compare what the system would use as the source address of each destination. The rules
//! that need more knowledge of the source (3, deprecated; 4, home; 7, tunnels) are left out, as
//! others leave them out. Getaddrinfo does the same for what it finds.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Sorts addresses so that the best is the first.
pub(super) fn sort(addresses: &mut [SocketAddr]) {
    sort_by_source(addresses, source);
}

/// The source address that the system would use; `None` if there is no route. A datagram socket
/// that connects only looks for a route: nothing is sent, and it never waits.
fn source(mut destination: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match destination {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    if destination.port() == 0 {
        destination.set_port(u16::MAX);
    }
    socket.connect(destination).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn sort_by_source(addresses: &mut [SocketAddr], source: impl Fn(SocketAddr) -> Option<IpAddr>) {
    // Rule 10: the sort is stable, so of equals the first stays the first.
    addresses.sort_by_cached_key(|&address| Rank::new(address.ip(), source(address)));
}

/// What the rules say of one destination, in their order: less is better. It says all that a rule
/// compares of a pair, so the order is total.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Rule 1: avoid destinations that cannot be reached.
    is_unreachable: bool,
    /// Rule 2: prefer a source of the same scope.
    has_other_scope: bool,
    /// Rule 5: prefer a source with the same label.
    has_other_label: bool,
    /// Rule 6: prefer a higher precedence. It is never the same for IPv4 and IPv6.
    precedence: Reverse<u8>,
    /// Rule 8: prefer a smaller scope.
    scope: u8,
    /// Rule 9: prefer the longest common prefix with the source. Not for IPv4, where it would undo
    /// an order that is meant to spread load.
    common_prefix: Reverse<u32>,
}

impl Rank {
    fn new(destination: IpAddr, source: Option<IpAddr>) -> Self {
        let destination = mapped(destination);
        let Some(source) = source.map(mapped) else { return Self::UNREACHABLE };
        let is_ipv4 = destination.to_ipv4_mapped().is_some();
        let (policy, scope) = (policy(destination), scope(destination));
        Self {
            is_unreachable: false,
            has_other_scope: scope != self::scope(source),
            has_other_label: policy.label != self::policy(source).label,
            precedence: Reverse(policy.precedence),
            scope,
            common_prefix: Reverse(if is_ipv4 { 0 } else { common_prefix(destination, source) }),
        }
    }

    /// The other rules compare sources, and there is none.
    const UNREACHABLE: Self = Self {
        is_unreachable: true,
        has_other_scope: true,
        has_other_label: true,
        precedence: Reverse(0),
        scope: 0,
        common_prefix: Reverse(0),
    };
}

/// All addresses as those of IPv6.
fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// A row of the policy table (section 2.1).
#[derive(Clone, Copy)]
struct Policy {
    precedence: u8,
    label: u8,
}

/// The default table, the longest prefix first.
const POLICIES: [(Ipv6Addr, u32, Policy); 9] = {
    const fn row(ip: Ipv6Addr, bits: u32, precedence: u8, label: u8) -> (Ipv6Addr, u32, Policy) {
        (ip, bits, Policy { precedence, label })
    }
    const fn prefix(first: u16, second: u16) -> Ipv6Addr {
        Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)
    }
    [
        row(Ipv6Addr::LOCALHOST, 128, 50, 0),
        row(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 35, 4),
        row(Ipv6Addr::UNSPECIFIED, 96, 1, 3),
        row(prefix(0x2001, 0), 32, 5, 5),
        row(prefix(0x2002, 0), 16, 30, 2),
        row(prefix(0x3ffe, 0), 16, 1, 12),
        row(prefix(0xfec0, 0), 10, 1, 11),
        row(prefix(0xfc00, 0), 7, 3, 13),
        row(Ipv6Addr::UNSPECIFIED, 0, 40, 1),
    ]
};

fn policy(ip: Ipv6Addr) -> Policy {
    let row = POLICIES.iter().find(|(prefix, bits, _)| leading_equal(ip, *prefix) >= *bits);
    row.expect("the last prefix has no bits").2
}

/// How many leading bits two addresses have in common.
fn leading_equal(one: Ipv6Addr, other: Ipv6Addr) -> u32 {
    (u128::from(one) ^ u128::from(other)).leading_zeros()
}

/// The same, at most the length of a subnet's prefix.
fn common_prefix(one: Ipv6Addr, other: Ipv6Addr) -> u32 {
    leading_equal(one, other).min(64)
}

/// How far an address is known (section 3.1), as the scope of multicast addresses: 2 is the link, 5
/// the site, 14 the world.
fn scope(ip: Ipv6Addr) -> u8 {
    const LINK: u8 = 2;
    const SITE: u8 = 5;
    const GLOBAL: u8 = 14;
    if let Some(ip) = ip.to_ipv4_mapped() {
        return if ip.is_loopback() || ip.is_link_local() { LINK } else { GLOBAL };
    }
    let [first, second, ..] = ip.octets();
    match (first, second) {
        (0xff, _) => second & 0x0f,
        (0xfe, 0x80..=0xbf) => LINK,
        (0xfe, 0xc0..=0xff) => SITE,
        _ if ip.is_loopback() => LINK,
        _ => GLOBAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Destinations in the order that is expected, each with its source.
    type Case = [(&'static str, &'static str)];

    fn check(expected: &Case) {
        let ip = |text: &str| text.parse::<IpAddr>().ok();
        let address = |text| SocketAddr::new(ip(text).unwrap(), 80);
        let source = |to: SocketAddr| {
            let (_, source) = expected.iter().find(|(text, _)| ip(text) == Some(to.ip())).unwrap();
            ip(source)
        };
        let right: Vec<_> = expected.iter().map(|(text, _)| address(text)).collect();
        let mut reversed: Vec<_> = right.iter().rev().copied().collect();
        sort_by_source(&mut reversed, source);
        assert_eq!(reversed, right);
    }

    /// The examples of section 10.2, where they rest on the rules that are here.
    #[test]
    fn destinations_are_in_the_order_of_the_examples() {
        // Prefer a matching scope, of either family.
        check(&[("2001:db8:1::1", "2001:db8:1::2"), ("198.51.100.121", "169.254.13.78")]);
        check(&[("198.51.100.121", "198.51.100.117"), ("2001:db8:1::1", "fe80::1")]);
        // Prefer a higher precedence.
        check(&[("2001:db8:1::1", "2001:db8:1::2"), ("10.1.2.3", "10.1.2.4")]);
        // Prefer a smaller scope.
        check(&[("fe80::1", "fe80::2"), ("2001:db8:1::1", "2001:db8:1::2")]);
        // Prefer a matching label.
        check(&[
            ("2002:c633:6401::1", "2002:c633:6401::2"),
            ("2001:db8:1::1", "2002:c633:6401::2"),
        ]);
        // Prefer a higher precedence again, as both labels match.
        check(&[("2001:db8:1::1", "2001:db8:1::2"), ("2002:c633:6401::1", "2002:c633:6401::2")]);
        // Prefer the longest common prefix.
        check(&[("2001:db8:1::1", "2001:db8:1::2"), ("2001:db8:3ffe::1", "2001:db8:1::2")]);
    }

    #[test]
    fn a_destination_without_a_route_comes_last() {
        check(&[("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "none")]);
        check(&[("2001:db8::1", "2001:db8::2"), ("::1", "none")]);
    }

    #[test]
    fn addresses_of_ipv4_and_unreachable_ones_stay_in_their_order() {
        let texts = ["192.0.2.200:80", "192.0.2.1:80", "198.51.100.1:80"];
        let given = texts.map(|text| text.parse::<SocketAddr>().unwrap());
        for source in [Some("192.0.2.2".parse().unwrap()), None] {
            let mut sorted = given;
            sort_by_source(&mut sorted, |_| source);
            assert_eq!(sorted, given);
        }
    }

    #[test]
    fn every_prefix_of_the_table_has_its_row() {
        for (ip, precedence, label) in [
            ("::1", 50, 0),
            ("::ffff:192.0.2.1", 35, 4),
            ("::192.0.2.1", 1, 3),
            ("2001:0:1::1", 5, 5),
            ("2002::1", 30, 2),
            ("3ffe::1", 1, 12),
            ("fec0::1", 1, 11),
            ("fd00::1", 3, 13),
            ("2001:db8::1", 40, 1),
            ("fe80::1", 40, 1),
        ] {
            let row = policy(ip.parse().unwrap());
            assert_eq!((row.precedence, row.label), (precedence, label), "{ip}");
        }
    }

    #[test]
    fn scopes_are_those_of_the_address() {
        for (ip, expected) in [
            ("127.0.0.1", 2),
            ("169.254.1.1", 2),
            ("10.0.0.1", 14),
            ("::1", 2),
            ("fe80::1", 2),
            ("fec0::1", 5),
            ("fd00::1", 14),
            ("ff05::1", 5),
            ("2001:db8::1", 14),
        ] {
            assert_eq!(scope(mapped(ip.parse().unwrap())), expected, "{ip}");
        }
    }

    #[test]
    fn the_loopback_of_ipv6_comes_before_that_of_ipv4_where_both_can_be_reached() {
        check(&[("::1", "::1"), ("127.0.0.1", "127.0.0.1")]);
    }
}
