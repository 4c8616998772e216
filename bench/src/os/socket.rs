//! Sockets, where the standard library costs a system call more or has no word for it.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{mem, ptr};

use super::check;

/// How many connections may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 16 * 1024;

/// Listens on a free port of the loopback. Accepted connections inherit the `TCP_NODELAY` that is
/// set here, so that no server has to spend a system call on it.
pub(crate) fn listen() -> io::Result<TcpListener> {
    queue(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)
}

/// Listens several times on one free port of the loopback: the kernel spreads connections among the
/// listeners, by their addresses.
pub(crate) fn listen_together(listeners: usize) -> io::Result<Vec<TcpListener>> {
    let mut all = Vec::with_capacity(listeners);
    let mut port = 0;
    for _ in 0..listeners {
        let listener = bind_together(port)?;
        port = listener.local_addr()?.port();
        all.push(queue(listener)?);
    }
    Ok(all)
}

fn bind_together(port: u16) -> io::Result<TcpListener> {
    // SAFETY: the call takes no pointer.
    let fd =
        check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor is new and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    let address = raw_address(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is valid for reads of its length.
    check(unsafe { libc::bind(fd, (&raw const address).cast(), length) })?;
    Ok(socket.into())
}

/// Has a bound socket listen, with a queue that is long enough.
fn queue(listener: TcpListener) -> io::Result<TcpListener> {
    set_option(&listener, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    // SAFETY: the call takes no pointer. A second `listen` changes the length of the queue.
    check(unsafe { libc::listen(listener.as_raw_fd(), BACKLOG) })?;
    Ok(listener)
}

/// Accepts a connection as a non-blocking socket, in one system call.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let (address, length) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: null pointers say that the peer's address is not wanted.
    let fd = check(unsafe { libc::accept4(listener.as_raw_fd(), address, length, flags) })?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { TcpStream::from_raw_fd(fd) })
}

/// Starts to connect a non-blocking socket from a given address of the loopback to another. Each
/// source address has ports of its own, so that many connections in `TIME_WAIT` do not use them up.
pub(crate) fn start_connect(from: Ipv4Addr, to: SocketAddrV4) -> io::Result<TcpStream> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes no pointer.
    let fd = check(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    // SAFETY: the descriptor is new and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set_option(&socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
    let source = raw_address(SocketAddrV4::new(from, 0));
    let length = size_of_val(&source) as libc::socklen_t;
    // SAFETY: the address is valid for reads of its length.
    check(unsafe { libc::bind(fd, (&raw const source).cast(), length) })?;
    let target = raw_address(to);
    // SAFETY: as above.
    match check(unsafe { libc::connect(fd, (&raw const target).cast(), length) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// An address as the kernel reads it.
pub(crate) fn raw_address(address: SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: the structure is plain numbers, for which all zeroes are a value.
    let mut raw: libc::sockaddr_in = unsafe { mem::zeroed() };
    raw.sin_family = libc::AF_INET as libc::sa_family_t;
    raw.sin_port = address.port().to_be();
    raw.sin_addr.s_addr = u32::from(*address.ip()).to_be();
    raw
}

pub(super) fn set_option(
    socket: &impl AsRawFd,
    level: i32,
    option: i32,
    value: i32,
) -> io::Result<()> {
    let length = size_of_val(&value) as libc::socklen_t;
    let pointer = (&raw const value).cast();
    // SAFETY: the value is valid for reads of its length.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, pointer, length) })?;
    Ok(())
}
