//! The options of UDP sockets: what their packets carry, what is told of received ones, multicast.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::UdpSocket;
use crate::error::Describe;
use crate::op::{DatagramSocket, Family};
use crate::sys::bypass::datagram::{
    IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_PKTINFO, IP_RECVTOS, IP_TOS, IPPROTO_UDP,
    IPV6_MULTICAST_HOPS, IPV6_MULTICAST_IF, IPV6_MULTICAST_LOOP, IPV6_RECVPKTINFO, IPV6_RECVTCLASS,
    IPV6_TCLASS, SO_BROADCAST, UDP_GRO, UDP_SEGMENT,
};
use crate::sys::bypass::multicast::{
    Membership, interface_v4, membership_v4, membership_v6, set_interface_v4, source_membership_v4,
};
use crate::sys::socket::{
    IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_V6ONLY, SOL_SOCKET,
};

impl UdpSocket {
    fn socket(&self) -> &DatagramSocket {
        self.core.socket()
    }

    /// Sets an option of the socket's family.
    fn set_of_family(&self, v4: i32, v6: i32, value: i32, doing: &str) -> io::Result<()> {
        let (level, name) = self.of_family(v4, v6);
        self.socket().set_option(level, name, value, doing)
    }

    fn of_family(&self, v4: i32, v6: i32) -> (i32, i32) {
        match self.socket().family() {
            Family::V6 => (IPPROTO_IPV6, v6),
            Family::V4 | Family::Unix | Family::Seqpacket => (IPPROTO_IP, v4),
        }
    }

    fn get_of_family(&self, v4: i32, v6: i32, doing: &str) -> io::Result<u32> {
        let (level, name) = self.of_family(v4, v6);
        self.socket().option(level, name, doing).map(i32::unsigned_abs)
    }

    /// Sets an option of both families on a socket that may receive both.
    fn set_of_both(&self, v4: i32, v6: i32, on: bool, doing: &str) -> io::Result<()> {
        self.set_of_family(v4, v6, on.into(), doing)?;
        if self.socket().family() == Family::V6 && !self.only_v6()? {
            self.socket().set_option(IPPROTO_IP, v4, on.into(), doing)?;
        }
        Ok(())
    }

    fn flag(&self, level: i32, name: i32, doing: &str) -> io::Result<bool> {
        self.socket().option(level, name, doing).map(|value| value != 0)
    }

    /// Sets whether datagrams may be sent to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The kernel's.
    #[doc(alias = "SO_BROADCAST")]
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.socket().set_option(SOL_SOCKET, SO_BROADCAST, on.into(), "set broadcast")
    }

    /// Returns whether datagrams may be sent to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.flag(SOL_SOCKET, SO_BROADCAST, "get broadcast")
    }

    /// Sets how many hops a packet may take, 1 to 255.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for another number.
    #[doc(alias = "IP_TTL")]
    #[doc(alias = "set_unicast_hops_v6")]
    #[doc(alias = "IPV6_UNICAST_HOPS")]
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        let hops = i32::try_from(hops).unwrap_or(i32::MAX);
        self.set_of_family(IP_TTL, IPV6_UNICAST_HOPS, hops, "set ttl")
    }

    /// Returns how many hops a packet may take.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn ttl(&self) -> io::Result<u32> {
        self.get_of_family(IP_TTL, IPV6_UNICAST_HOPS, "get ttl")
    }

    /// Sets the byte of the IP header that has DSCP and ECN.
    ///
    /// On an IPv6 socket it is the traffic class, for IPv6 only.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number above 255.
    #[doc(alias = "IP_TOS")]
    #[doc(alias = "IPV6_TCLASS")]
    #[doc(alias = "set_tclass_v6")]
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        let tos = i32::try_from(tos).ok().filter(|&tos| tos <= 255);
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let tos = tos.ok_or_else(invalid).describe("set tos")?;
        self.set_of_family(IP_TOS, IPV6_TCLASS, tos, "set tos")
    }

    /// Returns the byte of the IP header that has DSCP and ECN.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn tos(&self) -> io::Result<u32> {
        self.get_of_family(IP_TOS, IPV6_TCLASS, "get tos")
    }

    /// Returns whether an IPv6 socket leaves IPv4 to others.
    ///
    /// # Errors
    ///
    /// The kernel's, also if it is an IPv4 socket.
    #[doc(alias = "IPV6_V6ONLY")]
    pub fn only_v6(&self) -> io::Result<bool> {
        self.flag(IPPROTO_IPV6, IPV6_V6ONLY, "get v6_only")
    }

    /// Sets whether each datagram is received with its traffic class:
    /// [`RecvMeta::ecn`](crate::net::RecvMeta::ecn).
    ///
    /// # Errors
    ///
    /// The kernel's.
    #[doc(alias = "IP_RECVTOS")]
    #[doc(alias = "IPV6_RECVTCLASS")]
    pub fn set_recv_tos(&self, on: bool) -> io::Result<()> {
        self.set_of_both(IP_RECVTOS, IPV6_RECVTCLASS, on, "set recv_tos")
    }

    /// Sets whether each datagram is received with the address that it was sent to and its
    /// interface: [`RecvMeta::dst_ip`](crate::net::RecvMeta::dst_ip).
    ///
    /// # Errors
    ///
    /// The kernel's.
    #[doc(alias = "IP_PKTINFO")]
    #[doc(alias = "IPV6_RECVPKTINFO")]
    pub fn set_recv_pktinfo(&self, on: bool) -> io::Result<()> {
        self.set_of_family(IP_PKTINFO, IPV6_RECVPKTINFO, on.into(), "set recv_pktinfo")
    }

    /// Sets whether the kernel puts datagrams of one sender and one size together, so that one
    /// receive returns several (GRO; Linux 5.0).
    ///
    /// Each then has [`RecvMeta::stride`](crate::net::RecvMeta::stride) bytes:
    /// [`Datagram::segments`](crate::net::Datagram::segments) returns them one by one. Receive by
    /// [`recv_msg`](Self::recv_msg), or into a buffer of 64 KiB.
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT where the kernel cannot.
    #[doc(alias = "UDP_GRO")]
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        let doing = "set gro (Linux 5.0)";
        self.socket().set_option(IPPROTO_UDP, UDP_GRO, on.into(), doing)
    }

    /// Returns whether the kernel puts datagrams together.
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT where the kernel cannot.
    pub fn gro(&self) -> io::Result<bool> {
        self.flag(IPPROTO_UDP, UDP_GRO, "get gro (Linux 5.0)")
    }

    /// Returns how many datagrams one call can send ([`SendOptions::segment_size`]): one where the
    /// kernel has no GSO.
    ///
    /// [`SendOptions::segment_size`]: crate::net::SendOptions::segment_size
    #[doc(alias = "max_gso_segments")]
    pub fn max_send_segments(&self) -> usize {
        let size = self.socket().option(IPPROTO_UDP, UDP_SEGMENT, "get segment size");
        if size.is_ok() { Self::MAX_SEGMENTS } else { 1 }
    }

    /// Joins a multicast group on the interface that has an address.
    ///
    /// With `0.0.0.0` the system chooses the interface.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is not a multicast address, ENODEV if there is no such interface, and
    /// `AddrInUse` if the socket has joined already.
    #[doc(alias = "IP_ADD_MEMBERSHIP")]
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        membership_v4(self.socket().fd()?, Membership::Join, group, interface, 0)
            .describe(format_args!("join {group}"))
    }

    /// Joins a multicast group on the interface with a number.
    ///
    /// # Errors
    ///
    /// As for [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_multicast_v4_on(&self, group: Ipv4Addr, interface: u32) -> io::Result<()> {
        let unspecified = Ipv4Addr::UNSPECIFIED;
        membership_v4(self.socket().fd()?, Membership::Join, group, unspecified, interface)
            .describe(format_args!("join {group}"))
    }

    /// Leaves a multicast group on the interface that has an address.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if the socket has not joined.
    #[doc(alias = "IP_DROP_MEMBERSHIP")]
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        membership_v4(self.socket().fd()?, Membership::Leave, group, interface, 0)
            .describe(format_args!("leave {group}"))
    }

    /// Joins what one source sends to a multicast group.
    ///
    /// # Errors
    ///
    /// As for [`join_multicast_v4`](Self::join_multicast_v4).
    #[doc(alias = "IP_ADD_SOURCE_MEMBERSHIP")]
    pub fn join_ssm_v4(
        &self,
        source: Ipv4Addr,
        group: Ipv4Addr,
        interface: Ipv4Addr,
    ) -> io::Result<()> {
        source_membership_v4(self.socket().fd()?, Membership::Join, source, group, interface)
            .describe(format_args!("join {group} of {source}"))
    }

    /// Leaves what one source sends to a multicast group.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if the socket has not joined.
    #[doc(alias = "IP_DROP_SOURCE_MEMBERSHIP")]
    pub fn leave_ssm_v4(
        &self,
        source: Ipv4Addr,
        group: Ipv4Addr,
        interface: Ipv4Addr,
    ) -> io::Result<()> {
        source_membership_v4(self.socket().fd()?, Membership::Leave, source, group, interface)
            .describe(format_args!("leave {group} of {source}"))
    }

    /// Joins a multicast group on the interface with a number; with zero the system chooses.
    ///
    /// # Errors
    ///
    /// As for [`join_multicast_v4`](Self::join_multicast_v4).
    #[doc(alias = "IPV6_ADD_MEMBERSHIP")]
    pub fn join_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        membership_v6(self.socket().fd()?, Membership::Join, group, interface)
            .describe(format_args!("join {group}"))
    }

    /// Leaves a multicast group on the interface with a number.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if the socket has not joined.
    #[doc(alias = "IPV6_DROP_MEMBERSHIP")]
    pub fn leave_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        membership_v6(self.socket().fd()?, Membership::Leave, group, interface)
            .describe(format_args!("leave {group}"))
    }

    /// Sets the interface, by its address, that multicast is sent on; `0.0.0.0` is the system's
    /// choice.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if no interface has the address.
    #[doc(alias = "IP_MULTICAST_IF")]
    pub fn set_multicast_if_v4(&self, interface: Ipv4Addr) -> io::Result<()> {
        set_interface_v4(self.socket().fd()?, interface).describe("set the multicast interface")
    }

    /// Returns the address of the interface that multicast is sent on.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn multicast_if_v4(&self) -> io::Result<Ipv4Addr> {
        interface_v4(self.socket().fd()?).describe("get the multicast interface")
    }

    /// Sets the number of the interface that multicast is sent on; zero is the system's choice.
    ///
    /// # Errors
    ///
    /// ENODEV if there is no such interface.
    #[doc(alias = "IPV6_MULTICAST_IF")]
    pub fn set_multicast_if_v6(&self, interface: u32) -> io::Result<()> {
        let interface = i32::try_from(interface).unwrap_or(i32::MAX);
        let doing = "set the multicast interface";
        self.socket().set_option(IPPROTO_IPV6, IPV6_MULTICAST_IF, interface, doing)
    }

    /// Returns the number of the interface that multicast is sent on.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn multicast_if_v6(&self) -> io::Result<u32> {
        let doing = "get the multicast interface";
        self.socket().option(IPPROTO_IPV6, IPV6_MULTICAST_IF, doing).map(i32::unsigned_abs)
    }

    /// Sets whether sockets of this machine receive what this one sends to groups.
    ///
    /// # Errors
    ///
    /// The kernel's.
    #[doc(alias = "IP_MULTICAST_LOOP")]
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket().set_option(IPPROTO_IP, IP_MULTICAST_LOOP, on.into(), "set multicast loop")
    }

    /// Returns whether sockets of this machine receive what this one sends to groups.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.flag(IPPROTO_IP, IP_MULTICAST_LOOP, "get multicast loop")
    }

    /// Sets how many hops multicast packets may take: one, which is the local network, by default.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number above 255.
    #[doc(alias = "IP_MULTICAST_TTL")]
    pub fn set_multicast_ttl_v4(&self, hops: u32) -> io::Result<()> {
        let hops = i32::try_from(hops).unwrap_or(i32::MAX);
        self.socket().set_option(IPPROTO_IP, IP_MULTICAST_TTL, hops, "set multicast ttl")
    }

    /// Returns how many hops multicast packets may take.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        let hops = self.socket().option(IPPROTO_IP, IP_MULTICAST_TTL, "get multicast ttl");
        hops.map(i32::unsigned_abs)
    }

    /// Sets whether sockets of this machine receive what this one sends to IPv6 groups.
    ///
    /// # Errors
    ///
    /// The kernel's.
    #[doc(alias = "IPV6_MULTICAST_LOOP")]
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        let doing = "set multicast loop";
        self.socket().set_option(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, on.into(), doing)
    }

    /// Returns whether sockets of this machine receive what this one sends to IPv6 groups.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.flag(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, "get multicast loop")
    }

    /// Sets how many hops IPv6 multicast packets may take: one by default.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number above 255.
    #[doc(alias = "IPV6_MULTICAST_HOPS")]
    pub fn set_multicast_hops_v6(&self, hops: u32) -> io::Result<()> {
        let hops = i32::try_from(hops).unwrap_or(i32::MAX);
        self.socket().set_option(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops, "set multicast hops")
    }

    /// Returns how many hops IPv6 multicast packets may take.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn multicast_hops_v6(&self) -> io::Result<u32> {
        let hops = self.socket().option(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "get multicast hops");
        hops.map(i32::unsigned_abs)
    }
}
