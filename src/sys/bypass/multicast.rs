//! The options of multicast whose values are not integers.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use super::socket::{raw_option, set_raw_option};

/// Whether a membership begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    Join,
    Leave,
}

fn in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from(address).to_be() }
}

/// Joins or leaves a group on the interface with an address or a number; zeroes leave the choice to
/// the system.
pub(crate) fn membership_v4(
    socket: &OwnedFd,
    what: Membership,
    group: Ipv4Addr,
    interface: Ipv4Addr,
    index: u32,
) -> io::Result<()> {
    let value = libc::ip_mreqn {
        imr_multiaddr: in_addr(group),
        imr_address: in_addr(interface),
        imr_ifindex: index as i32,
    };
    let name = match what {
        Membership::Join => libc::IP_ADD_MEMBERSHIP,
        Membership::Leave => libc::IP_DROP_MEMBERSHIP,
    };
    set_raw_option(socket, libc::IPPROTO_IP, name, &value)
}

/// Joins or leaves what one source sends to a group.
pub(crate) fn source_membership_v4(
    socket: &OwnedFd,
    what: Membership,
    source: Ipv4Addr,
    group: Ipv4Addr,
    interface: Ipv4Addr,
) -> io::Result<()> {
    let value = libc::ip_mreq_source {
        imr_multiaddr: in_addr(group),
        imr_interface: in_addr(interface),
        imr_sourceaddr: in_addr(source),
    };
    let name = match what {
        Membership::Join => libc::IP_ADD_SOURCE_MEMBERSHIP,
        Membership::Leave => libc::IP_DROP_SOURCE_MEMBERSHIP,
    };
    set_raw_option(socket, libc::IPPROTO_IP, name, &value)
}

/// Joins or leaves a group on the interface with a number; zero leaves the choice to the system.
pub(crate) fn membership_v6(
    socket: &OwnedFd,
    what: Membership,
    group: Ipv6Addr,
    index: u32,
) -> io::Result<()> {
    let value = libc::ipv6_mreq {
        ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() },
        ipv6mr_interface: index,
    };
    let name = match what {
        Membership::Join => libc::IPV6_ADD_MEMBERSHIP,
        Membership::Leave => libc::IPV6_DROP_MEMBERSHIP,
    };
    set_raw_option(socket, libc::IPPROTO_IPV6, name, &value)
}

/// Sets the address of the interface that multicast is sent on.
pub(crate) fn set_interface_v4(socket: &OwnedFd, interface: Ipv4Addr) -> io::Result<()> {
    set_raw_option(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &in_addr(interface))
}

/// The address of the interface that multicast is sent on.
pub(crate) fn interface_v4(socket: &OwnedFd) -> io::Result<Ipv4Addr> {
    let none = in_addr(Ipv4Addr::UNSPECIFIED);
    let address = raw_option(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, none)?;
    Ok(Ipv4Addr::from(u32::from_be(address.s_addr)))
}
