//! What is known about a received datagram beside its bytes.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

use crate::buf::Lease;
use crate::error::Describe;
use crate::sys::address::FromAddress;
use crate::sys::datagram::Envelope;
use crate::sys::errno::EMSGSIZE;

/// Explicit congestion notification: the two bits of a packet by which routers tell of congestion
/// (RFC 3168).
///
/// A packet whose sender does not take part has neither; that is `None` where an `Option<Ecn>` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// The sender takes part: ECT(0).
    Ect0,
    /// The sender takes part: ECT(1).
    Ect1,
    /// A router has met congestion.
    Ce,
}

impl Ecn {
    /// Returns the bits of a traffic class.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ect1 => 0b01,
            Self::Ect0 => 0b10,
            Self::Ce => 0b11,
        }
    }

    /// Returns what the lowest two bits of a traffic class tell.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0b11 {
            0b01 => Some(Self::Ect1),
            0b10 => Some(Self::Ect0),
            0b11 => Some(Self::Ce),
            _ => None,
        }
    }
}

/// What is known about a received datagram beside its bytes.
///
/// The traffic class, the destination and the interface are there if the socket has been told to
/// receive them: [`UdpSocket::set_recv_tos`](crate::net::UdpSocket::set_recv_tos) and
/// [`UdpSocket::set_recv_pktinfo`](crate::net::UdpSocket::set_recv_pktinfo).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecvMeta<A = SocketAddr> {
    /// Where it comes from.
    pub address: A,
    /// How many bytes it has, which may be more than there was room for.
    pub len: usize,
    /// How many bytes each datagram has where the kernel has put several of one sender together
    /// ([`UdpSocket::set_gro`](crate::net::UdpSocket::set_gro)); the last may have fewer. Else the
    /// same as `len`.
    pub stride: usize,
    /// Whether it tells of congestion.
    pub ecn: Option<Ecn>,
    /// The byte of its IP header that has DSCP and ECN.
    pub traffic_class: Option<u8>,
    /// The address that it was sent to.
    pub dst_ip: Option<IpAddr>,
    /// The number of the interface that it has arrived on.
    pub interface: Option<u32>,
}

impl<A: FromAddress> RecvMeta<A> {
    pub(in crate::net) fn of(envelope: Envelope) -> io::Result<Self> {
        let Envelope { address, length, control, .. } = envelope;
        let unknown = || {
            let text = "the datagram's sender has an address of an unknown family";
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        Ok(Self {
            address: A::try_from(address.ok_or_else(unknown)?)?,
            len: length,
            stride: control.segment_size.map_or(length, usize::from),
            ecn: control.traffic_class.and_then(Ecn::from_bits),
            traffic_class: control.traffic_class,
            dst_ip: control.destination,
            interface: control.interface,
        })
    }
}

/// Fails if a datagram or message has been cut.
pub(in crate::net) fn whole(envelope: Envelope, doing: &str) -> io::Result<Envelope> {
    let wanted = envelope.length;
    as_much(envelope, wanted, doing)
}

/// Fails if a datagram or message has been cut to fewer bytes than there is room for: by a dropped
/// receive, into a shorter buffer.
pub(in crate::net) fn as_fits(
    envelope: Envelope,
    room: usize,
    doing: &str,
) -> io::Result<Envelope> {
    let wanted = envelope.length.min(room);
    as_much(envelope, wanted, doing)
}

/// What is known about a datagram that may have been cut, of which as much as fits was received.
pub(in crate::net) fn of_what_fits<A: FromAddress>(
    received: io::Result<Envelope>,
    room: usize,
    doing: &str,
) -> io::Result<RecvMeta<A>> {
    RecvMeta::of(as_fits(received?, room, doing)?)
}

/// How many bytes were copied of a datagram that was looked at, and its sender.
pub(in crate::net) fn peeked<A: FromAddress>(envelope: Envelope) -> io::Result<(usize, A)> {
    let received = envelope.received;
    RecvMeta::of(envelope).map(|meta| (received, meta.address))
}

fn as_much(envelope: Envelope, wanted: usize, doing: &str) -> io::Result<Envelope> {
    let Envelope { length, received, .. } = envelope;
    if received >= wanted {
        return Ok(envelope);
    }
    Err(io::Error::from_raw_os_error(EMSGSIZE)).describe(format_args!(
        "{doing}: a message of {length} bytes was cut to {received}: receive into a larger buffer"
    ))
}

/// A received datagram: its bytes, in a runtime-owned buffer, and what else is known about it.
///
/// It derefs to its bytes. The buffer returns to the runtime when the datagram is dropped: to keep
/// the bytes for long, copy them.
#[derive(Clone)]
pub struct Datagram<A = SocketAddr> {
    bytes: Lease,
    meta: RecvMeta<A>,
}

impl<A> Datagram<A> {
    pub(super) fn new(bytes: Lease, meta: RecvMeta<A>) -> Self {
        Self { bytes, meta }
    }

    /// Returns where it comes from.
    pub fn address(&self) -> &A {
        &self.meta.address
    }

    /// Returns what is known about it.
    pub fn meta(&self) -> &RecvMeta<A> {
        &self.meta
    }

    /// Returns the bytes, which can be sent as they are, converted to `Bytes` and split.
    pub fn into_lease(self) -> Lease {
        self.bytes
    }

    /// Returns the bytes, and what is known about them.
    pub fn into_parts(self) -> (Lease, RecvMeta<A>) {
        (self.bytes, self.meta)
    }

    /// Returns the datagrams that the kernel has put together.
    ///
    /// Each has [`stride`](RecvMeta::stride) bytes but the last; without GRO there is this one
    /// only.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        // A datagram without bytes is one, too.
        let empty = self.bytes.is_empty().then_some(&self.bytes[..]);
        empty.into_iter().chain(self.bytes.chunks(self.meta.stride.max(1)))
    }
}

impl<A> Deref for Datagram<A> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<A> AsRef<[u8]> for Datagram<A> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<A: fmt::Debug> fmt::Debug for Datagram<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram").field("meta", &self.meta).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_of_congestion_survive_the_round_trip() {
        for ecn in [Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
            assert_eq!(Ecn::from_bits(ecn.bits() | 0xb8), Some(ecn));
        }
        assert_eq!(Ecn::from_bits(0xb8), None);
    }
}
