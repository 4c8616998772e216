//! What is told to the kernel with a datagram.

use std::net::{IpAddr, SocketAddr};

use super::meta::Ecn;
use crate::sys::address::RawAddress;
use crate::sys::control::SentControl;

/// How to send a datagram, or several by one call.
///
/// See [`UdpSocket::send_msg`](crate::net::UdpSocket::send_msg).
///
/// # Example
///
/// ```
/// use annulus::net::{Ecn, SendOptions};
///
/// let options = SendOptions::to(([127, 0, 0, 1], 7000)).ecn(Some(Ecn::Ect0)).segment_size(1200);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct SendOptions {
    address: Option<SocketAddr>,
    control: SentControl,
}

impl SendOptions {
    /// To the socket's peer.
    pub fn new() -> Self {
        Self::default()
    }

    /// To an address.
    pub fn to(address: impl Into<SocketAddr>) -> Self {
        Self { address: Some(address.into()), control: SentControl::default() }
    }

    /// Sets the bits of explicit congestion notification. DSCP is zero then.
    pub fn ecn(self, ecn: Option<Ecn>) -> Self {
        self.traffic_class(ecn.map_or(0, Ecn::bits))
    }

    /// Sets the byte of the IP header that has DSCP and ECN.
    ///
    /// By default it is the socket's: see [`UdpSocket::set_tos`](crate::net::UdpSocket::set_tos).
    #[doc(alias = "IP_TOS")]
    #[doc(alias = "IPV6_TCLASS")]
    pub fn traffic_class(mut self, class: u8) -> Self {
        self.control.traffic_class = Some(class);
        self
    }

    /// Sets the address to send from, which must be one of this machine.
    ///
    /// A socket bound to all addresses answers so from the one that it was asked at:
    /// [`RecvMeta::dst_ip`](crate::net::RecvMeta::dst_ip).
    #[doc(alias = "IP_PKTINFO")]
    #[doc(alias = "IPV6_PKTINFO")]
    pub fn src_ip(mut self, address: IpAddr) -> Self {
        self.control.source = Some(address);
        self
    }

    /// Sets the number of the interface to send on.
    pub fn interface(mut self, index: u32) -> Self {
        self.control.interface = Some(index);
        self
    }

    /// Has the kernel cut the bytes into datagrams of this size (GSO; Linux 4.18).
    ///
    /// The last may have fewer bytes.
    ///
    /// At most [`UdpSocket::MAX_SEGMENTS`](crate::net::UdpSocket::MAX_SEGMENTS) datagrams and 64
    /// KiB are sent so at once. Each must fit into a packet of its path: they are not fragmented.
    #[doc(alias = "UDP_SEGMENT")]
    pub fn segment_size(mut self, bytes: u16) -> Self {
        self.control.segment_size = Some(bytes);
        self
    }

    pub(in crate::net) fn raw_address(&self) -> Option<RawAddress> {
        self.address.map(RawAddress::from)
    }

    pub(in crate::net) fn control(&self) -> &SentControl {
        &self.control
    }
}
