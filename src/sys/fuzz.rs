//! Random bytes as what the kernel writes: addresses, control messages, datagrams, events.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::net::SocketAddr as UnixAddr;

use super::address::{Address, RawAddress};
use super::control::{ControlBuffer, ReceivedControl, SentControl};
use super::datagram::{Asks, MultishotHeader};
use super::inotify::split_first;
use crate::fuzz_input::Input;

pub(crate) use super::ring::fuzz_sqes as sqes;

/// What is read of an address is read again of what is written for it.
pub(crate) fn sockaddr(bytes: &[u8]) {
    let Ok(address) = RawAddress::from_bytes(bytes).decode() else { return };
    let written = match &address {
        Address::Ip(ip) => RawAddress::from(*ip).decode(),
        Address::Unix(_) => {
            let Ok(unix) = UnixAddr::try_from(address.clone()) else {
                panic!("{address:?} is no address of a Unix socket");
            };
            RawAddress::from(&unix).decode()
        }
    };
    match (written.expect("it was written"), address) {
        // A path of 108 bytes is cut by one, for the standard library.
        (Address::Unix(cut), Address::Unix(path)) if path.len() == 108 && path[0] != 0 => {
            assert_eq!(cut[..], path[..107]);
        }
        (written, address) => assert_eq!(written, address),
    }
}

pub(crate) fn control(bytes: &[u8]) {
    ReceivedControl::parse(bytes);

    let mut input = Input::new(bytes);
    let mut number = || u32::from_ne_bytes([(); 4].map(|()| input.byte()));
    let (flags, source, interface, size) = (number(), number(), number(), number());
    let is_ipv4 = flags & 1 == 1;
    let source: IpAddr = if is_ipv4 {
        Ipv4Addr::from(source).into()
    } else {
        Ipv6Addr::from(u128::from(source) << 64).into()
    };
    let sent = SentControl {
        traffic_class: (flags & 2 != 0).then_some(size as u8),
        source: (flags & 4 != 0).then_some(source),
        interface: (flags & 8 != 0).then_some(interface),
        segment_size: (flags & 16 != 0).then_some(size as u16),
    };
    let mut buffer = ControlBuffer::new();
    buffer.write(&sent, is_ipv4);
    let read = buffer.received(buffer.length());
    assert_eq!(read.traffic_class, sent.traffic_class);
    if let Some(interface) = sent.interface.filter(|_| !is_ipv4) {
        assert_eq!(read.interface, Some(interface));
    }
}

/// A provided buffer that a multishot receive has filled.
pub(crate) fn recvmsg(bytes: &[u8]) {
    for room in [Asks::All, Asks::Address, Asks::Nothing] {
        let header = MultishotHeader::new(room);
        if let Some((_, length)) = header.parse(bytes) {
            assert!(length <= bytes.len(), "a datagram of {length} in {} bytes", bytes.len());
        }
    }
}

/// Events are as long as they say, one behind the other.
pub(crate) fn inotify(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some((record, behind)) = split_first(rest) {
        assert!(behind.len() + 16 + record.name.len() <= rest.len());
        assert!(!record.name.contains(&0));
        rest = behind;
    }
}
