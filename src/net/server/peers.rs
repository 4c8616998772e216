//! How many connections each peer has.
//!
//! A peer is an IP address; of IPv6 it is the network of 64 bits, since a host chooses the rest
//! itself. Only peers that have connections are in the map, so it is no larger than the number of
//! connections. The map is hashed with random keys: peers cannot make it slow.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// Whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    V4(Ipv4Addr),
    /// The network.
    V6(u64),
    /// The host: all link-local addresses are of one network.
    LinkLocal(u64),
}

impl Peer {
    /// `None` for the unspecified address, which stands for one that is not known.
    pub(super) fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            address if address.is_unspecified() => None,
            IpAddr::V4(address) => Some(Self::V4(address)),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                let (network, host) = ((bits >> 64) as u64, bits as u64);
                let is_link_local = network >> 54 == 0xfe80 >> 6;
                Some(if is_link_local { Self::LinkLocal(host) } else { Self::V6(network) })
            }
        }
    }
}

/// Counts connections by peer, up to a limit for each.
#[derive(Debug)]
pub(super) struct PeerCounts {
    max: usize,
    counts: RefCell<HashMap<Peer, usize>>,
}

impl PeerCounts {
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), counts: RefCell::default() }
    }

    /// Counts one connection more, unless the peer has as many as it may.
    pub(super) fn add(&self, peer: Peer) -> bool {
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(peer).or_default();
        let has_room = *count < self.max;
        *count += usize::from(has_room);
        has_room
    }

    /// Counts one connection less.
    pub(super) fn remove(&self, peer: Peer) {
        let mut counts = self.counts.borrow_mut();
        let Some(count) = counts.get_mut(&peer) else { return };
        *count -= 1;
        if *count == 0 {
            counts.remove(&peer);
        }
        // Peers that have been many do not hold the memory.
        if counts.capacity() > 64 && counts.len() < counts.capacity() / 8 {
            counts.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Option<Peer> {
        Peer::of(text.parse().unwrap())
    }

    #[test]
    fn a_peer_is_an_address_of_ipv4_or_a_network_of_ipv6() {
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_eq!(peer("2001:db8:1:2:3::4"), peer("2001:db8:1:2:ffff::1"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_ne!(peer("fe80::1"), peer("fe80::2"));
        assert_ne!(peer("::1"), peer("127.0.0.1"));
    }

    #[test]
    fn an_unknown_address_is_no_peer() {
        assert_eq!(peer("0.0.0.0"), None);
        assert_eq!(peer("::"), None);
    }

    #[test]
    fn peers_are_counted_apart_up_to_the_limit_and_forgotten_at_zero() {
        let counts = PeerCounts::new(2);
        let (one, other) = (peer("192.0.2.1").unwrap(), peer("192.0.2.2").unwrap());
        assert!(counts.add(one) && counts.add(one) && !counts.add(one));
        assert!(counts.add(other));
        counts.remove(one);
        assert!(counts.add(one) && !counts.add(one));
        (0..2).for_each(|_| counts.remove(one));
        counts.remove(other);
        assert!(counts.counts.borrow().is_empty());
    }

    #[test]
    fn the_memory_of_many_peers_is_returned() {
        let counts = PeerCounts::new(1);
        let peers = || (0..10_000).map(|n| Peer::V4(Ipv4Addr::from_bits(n)));
        peers().for_each(|peer| assert!(counts.add(peer)));
        peers().for_each(|peer| counts.remove(peer));
        assert!(counts.counts.borrow().capacity() <= 64);
    }
}
