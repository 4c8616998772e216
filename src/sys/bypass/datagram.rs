//! Datagrams by system calls that never wait, and what a datagram socket tells.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::nonblocking::outcome;
use super::socket::{check, set_option};
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

/// Two Unix sockets of a type that are connected to each other, close-on-exec.
pub(crate) fn pair(kind: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = kind | libc::SOCK_CLOEXEC;
    // SAFETY: the call writes two integers.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    // SAFETY: the kernel has just made them, so nothing else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// How many bytes the next message of a socket has; zero if none is there. (What `FIONREAD` tells
/// of a socket with connections are the bytes of all messages together.)
pub(crate) fn next_length(fd: RawFd) -> usize {
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: the call writes no byte.
    let length = unsafe { libc::recv(fd, std::ptr::null_mut(), 0, flags) };
    usize::try_from(length).unwrap_or(0)
}

/// Has the kernel add a control message to each message that is received from a Unix socket, also
/// to one that was sent before: the time. The end of a connection has none. (`uring-sys-tests`,
/// the_end_of_a_seqpacket_connection_has_no_timestamp_and_an_empty_message_has_one)
pub(crate) fn mark_messages(socket: &OwnedFd, on: bool) {
    // Without marks, `has_ended` tells the end.
    let _ = set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMP, on.into());
}

/// Whether no more messages are to come on a connection, but those that are there.
pub(crate) fn has_ended(socket: &OwnedFd) -> bool {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: the call reads and writes one `pollfd`, and does not wait.
    let ready = unsafe { libc::poll(&mut poll, 1, 0) };
    ready == 1
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
