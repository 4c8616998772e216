//! The options of UDP sockets: what their packets carry, what is told of received ones, multicast.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use super::UdpSocket;
use crate::error::{Describe, describe};
use crate::net::options::ip::{TTL_V4, TTL_V6};
use crate::net::options::option::{Form, Number, SocketOption, Switch, option_methods_of};
use crate::net::options::unbound::{BROADCAST, V6_ONLY};
use crate::op::Family;
use crate::sys::bypass::datagram::{
    IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_PKTINFO, IP_RECVTOS, IP_TOS, IPPROTO_UDP,
    IPV6_MULTICAST_HOPS, IPV6_MULTICAST_IF, IPV6_MULTICAST_LOOP, IPV6_RECVPKTINFO, IPV6_RECVTCLASS,
    IPV6_TCLASS, UDP_GRO, UDP_SEGMENT,
};
use crate::sys::bypass::multicast::{
    Membership, interface_v4, membership_v4, membership_v6, set_interface_v4, source_membership_v4,
};
use crate::sys::socket::{IPPROTO_IP, IPPROTO_IPV6};

const GRO: SocketOption<Switch> = SocketOption::new(IPPROTO_UDP, UDP_GRO, "gro (Linux 5.0)");
const SEGMENT: SocketOption<Number> = SocketOption::new(IPPROTO_UDP, UDP_SEGMENT, "segment size");

const MULTICAST_HOPS_V6: SocketOption<Number> = v6(IPV6_MULTICAST_HOPS, "multicast hops");
const MULTICAST_IF_V6: SocketOption<Number> = v6(IPV6_MULTICAST_IF, "the multicast interface");
const MULTICAST_LOOP_V4: SocketOption<Switch> = v4(IP_MULTICAST_LOOP, "multicast loop");
const MULTICAST_LOOP_V6: SocketOption<Switch> = v6(IPV6_MULTICAST_LOOP, "multicast loop");
const MULTICAST_TTL_V4: SocketOption<Number> = v4(IP_MULTICAST_TTL, "multicast ttl");
const PKTINFO_V4: SocketOption<Switch> = v4(IP_PKTINFO, "recv_pktinfo");
const PKTINFO_V6: SocketOption<Switch> = v6(IPV6_RECVPKTINFO, "recv_pktinfo");
const RECV_TOS_V4: SocketOption<Switch> = v4(IP_RECVTOS, "recv_tos");
const RECV_TOS_V6: SocketOption<Switch> = v6(IPV6_RECVTCLASS, "recv_tos");
const TOS_V4: SocketOption<Number> = v4(IP_TOS, "tos");
const TOS_V6: SocketOption<Number> = v6(IPV6_TCLASS, "tos");

const fn v4<F: Form>(name: i32, what: &'static str) -> SocketOption<F> {
    SocketOption::new(IPPROTO_IP, name, what)
}

const fn v6<F: Form>(name: i32, what: &'static str) -> SocketOption<F> {
    SocketOption::new(IPPROTO_IPV6, name, what)
}

impl UdpSocket {
    fn fd(&self) -> io::Result<&OwnedFd> {
        self.core.socket().fd()
    }

    /// Chooses the option of the socket's family.
    fn of_family<F>(&self, v4: SocketOption<F>, v6: SocketOption<F>) -> SocketOption<F> {
        match self.core.socket().family() {
            Family::V6 => v6,
            Family::V4 | Family::Unix | Family::Seqpacket => v4,
        }
    }

    option_methods_of! {
        /// Sets whether datagrams may be sent to broadcast addresses.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "SO_BROADCAST")]
        set_broadcast(on: bool), broadcast -> bool, BROADCAST;

        /// Sets whether the kernel puts datagrams of one sender and one size together, so that one
        /// receive returns several (GRO; Linux 5.0).
        ///
        /// Each then has [`RecvMeta::stride`](crate::net::RecvMeta::stride) bytes:
        /// [`Datagram::segments`](crate::net::Datagram::segments) returns them one by one. Receive
        /// by [`recv_msg`](Self::recv_msg), or into a buffer of 64 KiB.
        ///
        /// # Errors
        ///
        /// ENOPROTOOPT where the kernel cannot.
        #[doc(alias = "UDP_GRO")]
        set_gro(on: bool), gro -> bool, GRO;

        /// Sets whether sockets of this machine receive what this one sends to groups.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "IP_MULTICAST_LOOP")]
        set_multicast_loop_v4(on: bool), multicast_loop_v4 -> bool, MULTICAST_LOOP_V4;

        /// Sets how many hops multicast packets may take: one, which is the local network, by
        /// default.
        ///
        /// # Errors
        ///
        /// `InvalidInput` for a number above 255.
        #[doc(alias = "IP_MULTICAST_TTL")]
        set_multicast_ttl_v4(hops: u32), multicast_ttl_v4 -> u32, MULTICAST_TTL_V4;

        /// Sets the number of the interface that multicast is sent on; zero is the system's choice.
        ///
        /// # Errors
        ///
        /// ENODEV if there is no such interface.
        #[doc(alias = "IPV6_MULTICAST_IF")]
        set_multicast_if_v6(interface: u32), multicast_if_v6 -> u32, MULTICAST_IF_V6;

        /// Sets whether sockets of this machine receive what this one sends to IPv6 groups.
        ///
        /// # Errors
        ///
        /// The kernel's.
        #[doc(alias = "IPV6_MULTICAST_LOOP")]
        set_multicast_loop_v6(on: bool), multicast_loop_v6 -> bool, MULTICAST_LOOP_V6;

        /// Sets how many hops IPv6 multicast packets may take: one by default.
        ///
        /// # Errors
        ///
        /// `InvalidInput` for a number above 255.
        #[doc(alias = "IPV6_MULTICAST_HOPS")]
        set_multicast_hops_v6(hops: u32), multicast_hops_v6 -> u32, MULTICAST_HOPS_V6;
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
        self.of_family(TTL_V4, TTL_V6).set(self.fd()?, hops)
    }

    /// Returns how many hops a packet may take.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn ttl(&self) -> io::Result<u32> {
        self.of_family(TTL_V4, TTL_V6).get(self.fd()?)
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
        if tos > 255 {
            return Err(describe("set tos", io::ErrorKind::InvalidInput.into()));
        }
        self.of_family(TOS_V4, TOS_V6).set(self.fd()?, tos)
    }

    /// Returns the byte of the IP header that has DSCP and ECN.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn tos(&self) -> io::Result<u32> {
        self.of_family(TOS_V4, TOS_V6).get(self.fd()?)
    }

    /// Returns whether an IPv6 socket leaves IPv4 to others.
    ///
    /// # Errors
    ///
    /// The kernel's, also if it is an IPv4 socket.
    #[doc(alias = "IPV6_V6ONLY")]
    pub fn only_v6(&self) -> io::Result<bool> {
        V6_ONLY.get(self.fd()?)
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
        self.of_family(RECV_TOS_V4, RECV_TOS_V6).set(self.fd()?, on)?;
        // One that receives IPv4, too.
        if self.core.socket().family() == Family::V6 && !self.only_v6()? {
            RECV_TOS_V4.set(self.fd()?, on)?;
        }
        Ok(())
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
        self.of_family(PKTINFO_V4, PKTINFO_V6).set(self.fd()?, on)
    }

    /// Returns how many datagrams one call can send ([`SendOptions::segment_size`]): one where the
    /// kernel has no GSO.
    ///
    /// [`SendOptions::segment_size`]: crate::net::SendOptions::segment_size
    #[doc(alias = "max_gso_segments")]
    pub fn max_send_segments(&self) -> usize {
        let has_gso = self.fd().and_then(|fd| SEGMENT.get(fd)).is_ok();
        if has_gso { Self::MAX_SEGMENTS } else { 1 }
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
        membership_v4(self.fd()?, Membership::Join, group, interface, 0)
            .describe(format_args!("join {group}"))
    }

    /// Joins a multicast group on the interface with a number.
    ///
    /// # Errors
    ///
    /// As for [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_multicast_v4_on(&self, group: Ipv4Addr, interface: u32) -> io::Result<()> {
        let unspecified = Ipv4Addr::UNSPECIFIED;
        membership_v4(self.fd()?, Membership::Join, group, unspecified, interface)
            .describe(format_args!("join {group}"))
    }

    /// Leaves a multicast group on the interface that has an address.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if the socket has not joined.
    #[doc(alias = "IP_DROP_MEMBERSHIP")]
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        membership_v4(self.fd()?, Membership::Leave, group, interface, 0)
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
        source_membership_v4(self.fd()?, Membership::Join, source, group, interface)
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
        source_membership_v4(self.fd()?, Membership::Leave, source, group, interface)
            .describe(format_args!("leave {group} of {source}"))
    }

    /// Joins a multicast group on the interface with a number; with zero the system chooses.
    ///
    /// # Errors
    ///
    /// As for [`join_multicast_v4`](Self::join_multicast_v4).
    #[doc(alias = "IPV6_ADD_MEMBERSHIP")]
    pub fn join_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        membership_v6(self.fd()?, Membership::Join, group, interface)
            .describe(format_args!("join {group}"))
    }

    /// Leaves a multicast group on the interface with a number.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if the socket has not joined.
    #[doc(alias = "IPV6_DROP_MEMBERSHIP")]
    pub fn leave_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        membership_v6(self.fd()?, Membership::Leave, group, interface)
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
        set_interface_v4(self.fd()?, interface).describe("set the multicast interface")
    }

    /// Returns the address of the interface that multicast is sent on.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn multicast_if_v4(&self) -> io::Result<Ipv4Addr> {
        interface_v4(self.fd()?).describe("get the multicast interface")
    }
}
