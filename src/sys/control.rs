//! Control messages of datagrams (cmsg(3)): read from what the kernel has written, and written for
//! what is to be sent.
//!
//! Both are done on bytes, without the macros of the C library: what the kernel writes is bounded
//! by the room that it was given, and each length in it is checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What control messages tell of a received datagram. Each is there only if its option is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReceivedControl {
    /// The byte of the IP header that holds DSCP and ECN.
    pub(crate) traffic_class: Option<u8>,
    /// Where it was sent to.
    pub(crate) destination: Option<IpAddr>,
    /// The number of the interface that it has arrived on.
    pub(crate) interface: Option<u32>,
    /// The size of each of the datagrams that the kernel has put together (GRO).
    pub(crate) segment_size: Option<u16>,
}

/// What control messages tell the kernel of a datagram to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SentControl {
    pub(crate) traffic_class: Option<u8>,
    /// The address to send from.
    pub(crate) source: Option<IpAddr>,
    /// The number of the interface to send on.
    pub(crate) interface: Option<u32>,
    /// The kernel cuts the bytes into datagrams of this size (GSO).
    pub(crate) segment_size: Option<u16>,
}

impl SentControl {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

const HEADER: usize = size_of::<libc::cmsghdr>();

fn aligned(length: usize) -> usize {
    length.next_multiple_of(size_of::<usize>())
}

/// Where the bytes of a control message begin, behind its header.
const DATA: usize = HEADER.next_multiple_of(size_of::<usize>());

impl ReceivedControl {
    /// Reads all messages in `bytes`; what is not known or is cut short is passed over.
    pub(crate) fn parse(mut bytes: &[u8]) -> Self {
        let mut this = Self::default();
        while let Some((level, kind, data, next)) = first(bytes) {
            this.note(level, kind, data);
            bytes = next;
        }
        this
    }

    fn note(&mut self, level: i32, kind: i32, data: &[u8]) {
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_TOS) => self.traffic_class = data.first().copied(),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                self.traffic_class = integer(data).map(|class| class as u8);
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // `in_pktinfo`: interface, local address, destination of the header.
                self.interface = integer(data).map(i32::unsigned_abs);
                self.destination =
                    array(data, 8).map(|octets: [u8; 4]| Ipv4Addr::from(octets).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // `in6_pktinfo`: destination, interface.
                self.destination =
                    array(data, 0).map(|octets: [u8; 16]| Ipv6Addr::from(octets).into());
                self.interface = array(data, 16).map(u32::from_ne_bytes);
            }
            (libc::IPPROTO_UDP, libc::UDP_GRO) => {
                self.segment_size = integer(data).and_then(|size| u16::try_from(size).ok());
            }
            _ => {}
        }
    }
}

/// The first message: its level, its type, its bytes, and what follows it.
fn first(bytes: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let length = usize::from_ne_bytes(array(bytes, 0)?);
    let level = i32::from_ne_bytes(array(bytes, size_of::<usize>())?);
    let kind = i32::from_ne_bytes(array(bytes, size_of::<usize>() + 4)?);
    let data = bytes.get(DATA..length)?;
    Some((level, kind, data, bytes.get(aligned(length)..).unwrap_or_default()))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn integer(data: &[u8]) -> Option<i32> {
    array(data, 0).map(i32::from_ne_bytes)
}

/// How much room control messages have: more than all those together that are read or written here.
pub(crate) const CONTROL_ROOM: usize = 192;

/// Memory for control messages, aligned as the kernel wants it.
#[repr(C, align(8))]
pub(crate) struct ControlBuffer {
    bytes: [u8; CONTROL_ROOM],
    length: usize,
}

impl ControlBuffer {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; CONTROL_ROOM], length: 0 }
    }

    pub(crate) fn start(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    /// How many bytes have been written.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The first `length` bytes, which the kernel has written; it never tells more than there is
    /// room for.
    pub(crate) fn received(&self, length: usize) -> ReceivedControl {
        ReceivedControl::parse(&self.bytes[..length.min(CONTROL_ROOM)])
    }

    /// Writes the messages for a datagram. `is_ipv4` tells the family of the packet.
    pub(crate) fn write(&mut self, control: &SentControl, is_ipv4: bool) {
        self.length = 0;
        let SentControl { traffic_class, source, interface, segment_size } = *control;
        if let Some(class) = traffic_class {
            let (level, kind) = if is_ipv4 {
                (libc::IPPROTO_IP, libc::IP_TOS)
            } else {
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
            };
            self.push(level, kind, &i32::from(class).to_ne_bytes());
        }
        if source.is_some() || interface.is_some() {
            let interface = interface.unwrap_or(0).to_ne_bytes();
            match source.unwrap_or(unspecified(is_ipv4)) {
                IpAddr::V4(source) => {
                    let mut data = [0; 12];
                    data[..4].copy_from_slice(&interface);
                    data[4..8].copy_from_slice(&source.octets());
                    self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &data);
                }
                IpAddr::V6(source) => {
                    let mut data = [0; 20];
                    data[..16].copy_from_slice(&source.octets());
                    data[16..].copy_from_slice(&interface);
                    self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data);
                }
            }
        }
        if let Some(size) = segment_size {
            self.push(libc::IPPROTO_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
        }
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let room = &mut self.bytes[self.length..][..aligned(DATA + data.len())];
        room.fill(0);
        room[..size_of::<usize>()].copy_from_slice(&(DATA + data.len()).to_ne_bytes());
        room[size_of::<usize>()..][..4].copy_from_slice(&level.to_ne_bytes());
        room[size_of::<usize>() + 4..][..4].copy_from_slice(&kind.to_ne_bytes());
        room[DATA..][..data.len()].copy_from_slice(data);
        self.length += room.len();
    }
}

fn unspecified(is_ipv4: bool) -> IpAddr {
    if is_ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_a_send_is_read_like_what_is_received() {
        for source in [IpAddr::from([127, 0, 0, 9]), IpAddr::from(Ipv6Addr::LOCALHOST)] {
            let mut buffer = ControlBuffer::new();
            let sent = SentControl {
                traffic_class: Some(0xba),
                source: Some(source),
                interface: Some(7),
                segment_size: Some(1200),
            };
            buffer.write(&sent, source.is_ipv4());
            let read = ReceivedControl::parse(&buffer.bytes[..buffer.length()]);
            assert_eq!((read.traffic_class, read.interface), (Some(0xba), Some(7)));
            // The destination of a received datagram is another field than the source of a sent
            // one.
            if source.is_ipv6() {
                assert_eq!(read.destination, Some(source));
            }
        }
    }

    /// The kernel is trusted, but a length that exceeds the bytes must not be read beyond them.
    #[test]
    fn control_messages_that_are_cut_anywhere_are_passed_over() {
        let mut buffer = ControlBuffer::new();
        let source = Some(IpAddr::from(Ipv6Addr::LOCALHOST));
        let sent = SentControl { traffic_class: Some(3), source, ..SentControl::default() };
        buffer.write(&sent, false);
        for length in 0..buffer.length() {
            let read = ReceivedControl::parse(&buffer.bytes[..length]);
            assert!(read.destination.is_none() || length >= DATA * 2 + 28);
        }
        buffer.bytes[..size_of::<usize>()].copy_from_slice(&usize::MAX.to_ne_bytes());
        assert_eq!(ReceivedControl::parse(&buffer.bytes), ReceivedControl::default());
        buffer.bytes[..size_of::<usize>()].fill(0);
        assert_eq!(ReceivedControl::parse(&buffer.bytes), ReceivedControl::default());
    }
}
