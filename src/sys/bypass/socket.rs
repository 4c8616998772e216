//! Socket calls that never block and so need no ring: making, binding, options, names.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::sys::address::{Address, RawAddress, domain};
use crate::sys::duration::seconds;

pub(crate) use libc::{
    AF_INET, AF_INET6, AF_UNIX, IP_BIND_ADDRESS_NO_PORT, IP_TTL, IPPROTO_IP, IPPROTO_IPV6,
    IPPROTO_MPTCP, IPPROTO_TCP, IPV6_UNICAST_HOPS, IPV6_V6ONLY, MSG_DONTWAIT, MSG_NOSIGNAL,
    MSG_PEEK, MSG_TRUNC, SO_ACCEPTCONN, SO_DOMAIN, SO_ERROR, SO_INCOMING_CPU, SO_KEEPALIVE,
    SO_PROTOCOL, SO_RCVBUF, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SO_TYPE, SOCK_CLOEXEC,
    SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_NODELAY,
    TCP_USER_TIMEOUT,
};

/// `IORING_SEND_ZC_REPORT_USAGE`: a zero-copy send reports whether the kernel copied after all
/// (6.2).
pub(crate) const REPORT_USAGE: u16 = 1 << 3;

pub(super) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A new socket, close-on-exec, as socket(2) makes it.
pub(crate) fn open(domain: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    let fd = check(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: the kernel has just made `fd`, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A new TCP socket of the address's family.
pub(crate) fn tcp(address: &SocketAddr) -> io::Result<OwnedFd> {
    open(domain(address), SOCK_STREAM, IPPROTO_TCP)
}

pub(crate) fn bind(socket: &OwnedFd, address: impl Into<RawAddress>) -> io::Result<()> {
    let raw = address.into();
    // SAFETY: the pointer and length describe one valid address.
    check(unsafe { libc::bind(socket.as_raw_fd(), raw.as_ptr(), raw.length()) }).map(drop)
}

pub(crate) fn listen(socket: &OwnedFd, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // SAFETY: the call takes no pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) }).map(drop)
}

pub(crate) fn shutdown(socket: &OwnedFd, what: Shutdown) -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    check(unsafe { libc::shutdown(socket.as_raw_fd(), how(what)) }).map(drop)
}

/// Directions to end, as the kernel is told of them.
pub(crate) fn how(what: Shutdown) -> i32 {
    match what {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    }
}

/// Aborts a connection: the peer is sent a reset at once, and not the unsent bytes, even if others
/// have the socket open or wait on it. It is unconnected then.
pub(crate) fn disconnect(socket: &OwnedFd) -> io::Result<()> {
    let no_peer =
        libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let length = size_of_val(&no_peer) as libc::socklen_t;
    // SAFETY: the address is as long as is said.
    check(unsafe { libc::connect(socket.as_raw_fd(), &raw const no_peer, length) }).map(drop)
}

pub(crate) fn local_address(socket: &OwnedFd) -> io::Result<Address> {
    let mut raw = RawAddress::empty();
    let (name, length) = (raw.as_mut_ptr(), std::ptr::from_mut(raw.length_mut()));
    // SAFETY: `raw` has room for any address and says so in its length.
    check(unsafe { libc::getsockname(socket.as_raw_fd(), name, length) })?;
    raw.decode()
}

/// The peer's address, also if the peer has reset the connection.
pub(crate) fn peer_address(socket: &OwnedFd) -> io::Result<Address> {
    let mut raw = RawAddress::empty();
    let (name, length) = (raw.as_mut_ptr(), std::ptr::from_mut(raw.length_mut()));
    // SAFETY: `raw` has room for any address and says so in its length.
    match check(unsafe { libc::getpeername(socket.as_raw_fd(), name, length) }) {
        Ok(_) => raw.decode(),
        // This asks nothing of the connection's state. It tells no length, and refuses to tell less
        // than it is asked for: so the longer form of an address first.
        Err(error) => peer_name::<libc::sockaddr_in6>(socket)
            .or_else(|_| peer_name::<libc::sockaddr_in>(socket))
            .map_err(|_| error),
    }
}

/// The peer's address by `SO_PEERNAME`, whose form has the length of a `T`.
fn peer_name<T>(socket: &OwnedFd) -> io::Result<Address> {
    const { assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>()) };
    let mut raw = RawAddress::empty();
    let mut length = size_of::<T>() as libc::socklen_t;
    let (level, name, target) = (SOL_SOCKET, libc::SO_PEERNAME, raw.as_mut_ptr());
    // SAFETY: `raw` has room for any address, and so for a `T`, which is what the kernel is told.
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, target.cast(), &mut length)
    })?;
    raw.decode()
}

/// Has a listener refuse connections from now on. Those in its backlog stay there, and on TCP those
/// whose handshake has begun still get there. (`uring-sys-tests`,
/// a_listener_bound_to_no_interface_refuses_and_keeps_its_backlog and
/// a_shut_down_unix_listener_refuses_and_keeps_its_backlog)
pub(crate) fn refuse_connects(listener: &OwnedFd) -> io::Result<()> {
    /// No interface has it.
    const NO_INTERFACE: i32 = i32::MAX;
    if option(listener, SOL_SOCKET, libc::SO_DOMAIN)? == AF_UNIX {
        return shutdown(listener, Shutdown::Read);
    }
    set_option(listener, SOL_SOCKET, libc::SO_BINDTOIFINDEX, NO_INTERFACE)
}

/// How many connections wait in the backlog of a listener.
pub(crate) fn backlog(listener: &OwnedFd) -> io::Result<u32> {
    // Of a listener these are its queue of connections. (tcp_get_info in the kernel.)
    Ok(raw_tcp_info(listener)?.tcpi_unacked)
}

/// What the kernel knows of a TCP socket, as it tells it.
pub(super) fn raw_tcp_info(socket: &OwnedFd) -> io::Result<libc::tcp_info> {
    // SAFETY: `tcp_info` is plain data, for which all zeroes is valid.
    let none: libc::tcp_info = unsafe { std::mem::zeroed() };
    raw_option(socket, IPPROTO_TCP, libc::TCP_INFO, none)
}

/// How many bytes the kernel holds that the peer has not acknowledged, those included that it has
/// not sent. For a Unix socket it is the memory of what the peer has not read. Zero if the kernel
/// does not tell.
pub(crate) fn unacknowledged(socket: &OwnedFd) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the call (`SIOCOUTQ`) writes one integer.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
    if result == 0 { u64::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// Who has connected a Unix socket, or listened on it, or made its pair: the user, the group and
/// the process, which is zero if it is not visible from here.
pub(crate) fn peer_credentials(socket: &OwnedFd) -> io::Result<(u32, u32, i32)> {
    let none = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let libc::ucred { pid, uid, gid } = raw_option(socket, SOL_SOCKET, libc::SO_PEERCRED, none)?;
    Ok((uid, gid, pid))
}

/// Whether a connection waits in the backlog of a listener.
pub(crate) fn has_backlog(listener: &OwnedFd) -> bool {
    let mut poll = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the call reads and writes one `pollfd`, and does not wait.
    let ready = unsafe { libc::poll(&mut poll, 1, 0) };
    ready == 1 && poll.revents & libc::POLLIN != 0
}

/// Sets an option whose value is an integer.
pub(crate) fn set_option(socket: &OwnedFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_raw_option(socket, level, name, &value)
}

/// Reads an option whose value is an integer.
pub(crate) fn option(socket: &OwnedFd, level: i32, name: i32) -> io::Result<i32> {
    raw_option(socket, level, name, 0)
}

/// Sets how long a close waits for unsent bytes; `None` is the default, to send them afterwards.
pub(crate) fn set_linger(socket: &OwnedFd, linger: Option<Duration>) -> io::Result<()> {
    // Rounded up: a part of a second must not become zero, which resets the connection.
    let l_linger = linger.map_or(0, seconds);
    let value = libc::linger { l_onoff: linger.is_some().into(), l_linger };
    set_raw_option(socket, SOL_SOCKET, libc::SO_LINGER, &value)
}

pub(crate) fn linger(socket: &OwnedFd) -> io::Result<Option<Duration>> {
    let none = libc::linger { l_onoff: 0, l_linger: 0 };
    let value = raw_option(socket, SOL_SOCKET, libc::SO_LINGER, none)?;
    Ok((value.l_onoff != 0).then(|| Duration::from_secs(value.l_linger.unsigned_abs().into())))
}

/// Whether closing the socket waits for unsent bytes.
pub(crate) fn lingers(socket: &OwnedFd) -> bool {
    linger(socket).is_ok_and(|linger| linger.is_some_and(|linger| !linger.is_zero()))
}

pub(super) fn set_raw_option<T: Copy>(
    socket: &OwnedFd,
    level: i32,
    name: i32,
    value: &T,
) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: the kernel reads `length` bytes, which `value` has.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, length) }).map(drop)
}

/// `value` must be of the type the option is documented to have; all callers' are plain integers.
pub(super) fn raw_option<T: Copy>(
    socket: &OwnedFd,
    level: i32,
    name: i32,
    mut value: T,
) -> io::Result<T> {
    let mut length = size_of::<T>() as libc::socklen_t;
    let target = std::ptr::from_mut(&mut value).cast();
    // SAFETY: the kernel writes at most `length` bytes, and any bytes make valid integers.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, target, &mut length) })?;
    Ok(value)
}
