//! Datagrams by system calls that never wait, and what a datagram socket tells.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::nonblocking::outcome;
use crate::sys::Completion;
use crate::sys::address::RawAddress;
use crate::sys::datagram::RecvHeader;

/// Receives one datagram by the header, which has been prepared. Fails with `EAGAIN` if none is
/// there.
///
/// # Safety
///
/// What the header points to is valid for writes.
pub(crate) unsafe fn receive_datagram(
    fd: RawFd,
    header: &mut RecvHeader,
    memory: (*mut u8, usize),
    flags: i32,
) -> Completion {
    let message = header.prepare(memory.0, memory.1);
    // SAFETY: passed on by the caller; the header's own memory is borrowed.
    outcome(|| unsafe { libc::recvmsg(fd, message, flags | libc::MSG_DONTWAIT) })
}

/// Sends one datagram by a message that has been prepared. Fails with `EAGAIN` if there is no room.
///
/// # Safety
///
/// What the message points to is valid for reads.
pub(crate) unsafe fn send_datagram(fd: RawFd, message: *const libc::msghdr) -> Completion {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: passed on by the caller.
    outcome(|| unsafe { libc::sendmsg(fd, message, flags) })
}

/// Sets the peer of a datagram socket, which sends nothing and so does not wait.
pub(crate) fn connect(socket: &OwnedFd, address: impl Into<RawAddress>) -> io::Result<()> {
    let raw = address.into();
    // SAFETY: the pointer and length describe one valid address.
    let result = unsafe { libc::connect(socket.as_raw_fd(), raw.as_ptr(), raw.length()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many datagrams the kernel has discarded at a socket, for want of room in its receive buffer
/// or because they were damaged.
pub(crate) fn dropped(socket: &OwnedFd) -> io::Result<u32> {
    /// `SK_MEMINFO_DROPS`, the last index of what `SO_MEMINFO` returns.
    const DROPS: usize = 8;
    let mut numbers = [0_u32; DROPS + 1];
    let mut length = size_of_val(&numbers) as libc::socklen_t;
    let target = numbers.as_mut_ptr().cast();
    let (level, name) = (libc::SOL_SOCKET, libc::SO_MEMINFO);
    // SAFETY: the kernel writes at most `length` bytes, which `numbers` has.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, target, &mut length) };
    if result == 0 { Ok(numbers[DROPS]) } else { Err(io::Error::last_os_error()) }
}

pub(crate) use libc::{
    IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_PKTINFO, IP_RECVTOS, IP_TOS, IPPROTO_UDP,
    IPV6_MULTICAST_HOPS, IPV6_MULTICAST_IF, IPV6_MULTICAST_LOOP, IPV6_RECVPKTINFO, IPV6_RECVTCLASS,
    IPV6_TCLASS, SO_BROADCAST, SOCK_DGRAM, UDP_GRO, UDP_SEGMENT,
};
