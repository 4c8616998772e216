//! Sockets, pipes and event counters for the far end of an operation.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::raw::{checked, owned};
use crate::ring::{multiplier, patience};

/// A connected pair over the loopback device: what connected and what was accepted.
pub fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = listener();
    let near = TcpStream::connect(address_of(&listener)).expect("connect to the listener");
    let (far, _) = listener.accept().expect("accept the connection");
    near.set_nodelay(true).expect("set TCP_NODELAY");
    far.set_nodelay(true).expect("set TCP_NODELAY");
    (near, far)
}

/// A listener on the loopback device, on a port of the kernel's choice.
pub fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a listener")
}

/// Where a listener listens.
pub fn address_of(listener: &TcpListener) -> SocketAddrV4 {
    match listener.local_addr().expect("the listener's address") {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(address) => panic!("bound to IPv4, but got {address}"),
    }
}

/// An unconnected TCP socket.
pub fn tcp_socket() -> OwnedFd {
    // SAFETY: the call takes no pointer.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    owned(checked(fd.into()).expect("make a socket"))
}

/// Binds a socket to a port of the kernel's choice on the loopback device.
pub fn bind_loopback(socket: &impl AsRawFd) -> SocketAddrV4 {
    let mut address = socket_address(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
    let mut length = size_of_val(&address) as libc::socklen_t;
    let place = ptr::from_mut(&mut address).cast();
    // SAFETY: both calls get a whole `sockaddr_in` and its length.
    let done = unsafe {
        libc::bind(socket.as_raw_fd(), place, length)
            | libc::getsockname(socket.as_raw_fd(), place, &mut length)
    };
    checked(done.into()).expect("bind the socket");
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, u16::from_be(address.sin_port))
}

/// An address in the form in which the kernel reads it.
pub fn socket_address(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET.try_into().expect("a family fits"),
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    }
}

/// Sets an integer option of a socket.
pub fn set_option(socket: &impl AsRawFd, level: i32, name: i32, value: i32) {
    // SAFETY: the option is an `int`, and `value` is one.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    checked(done.into()).expect("set a socket option");
}

/// Reads an integer option of a socket.
pub fn option(socket: &impl AsRawFd, level: i32, name: i32) -> i32 {
    let mut value = 0;
    let mut length = size_of_val(&value) as libc::socklen_t;
    let (fd, place) = (socket.as_raw_fd(), ptr::from_mut(&mut value));
    // SAFETY: the option is an `int`, and `value` has room for one.
    let done = unsafe { libc::getsockopt(fd, level, name, place.cast(), &mut length) };
    checked(done.into()).expect("read a socket option");
    value
}

/// Makes closing `socket` reset the connection.
pub fn reset_on_close(socket: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the option is a `struct linger`, and `linger` is one.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            ptr::from_ref(&linger).cast(),
            size_of_val(&linger) as libc::socklen_t,
        )
    };
    checked(done.into()).expect("set SO_LINGER");
}

/// Takes what a socket has received: `awaited` bytes, and what is behind them already.
///
/// Even over the loopback device, what was sent may arrive a moment after the send returned.
///
/// # Panics
///
/// When the awaited bytes do not come.
pub fn drain(socket: &TcpStream, awaited: usize) -> Vec<u8> {
    let mut bytes = vec![0; awaited];
    let mut reader = socket;
    socket.set_read_timeout(Some(patience())).expect("bound the wait");
    reader.read_exact(&mut bytes).unwrap_or_else(|e| panic!("wait for {awaited} bytes: {e}"));
    socket.set_nonblocking(true).expect("make the socket non-blocking");
    match reader.read_to_end(&mut bytes) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
        ended => drop(ended.expect("take what is there")),
    }
    socket.set_nonblocking(false).expect("make the socket blocking");
    bytes
}

/// Shuts a socket down in both directions, by the system call.
pub fn shut_down(socket: &impl AsRawFd) {
    // SAFETY: the call takes no pointer.
    let done = unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
    checked(done.into()).expect("shut the socket down");
}

/// A pipe: the end to read and the end to write.
pub fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: the call writes two descriptors into `ends`.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    checked(made.into()).expect("make a pipe");
    let [read, write] = ends.map(|fd| owned(u32::try_from(fd).expect("a descriptor")));
    (read, write)
}

/// An event counter at zero.
pub fn event_counter() -> OwnedFd {
    // SAFETY: the call takes no pointer.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    owned(checked(fd.into()).expect("make an eventfd"))
}

/// Writes all of `bytes` to a descriptor by the system call.
pub fn write_all(fd: &impl AsRawFd, bytes: &[u8]) {
    // SAFETY: reads `bytes`, which lives for the call.
    let written = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    assert_eq!(usize::try_from(written), Ok(bytes.len()), "write all the bytes");
}

/// Sends zeroes until there is no room for more, and none comes, and says how many.
///
/// # Panics
///
/// When the connection is broken.
pub fn fill(mut socket: &TcpStream) -> usize {
    socket.set_nonblocking(true).expect("make the socket non-blocking");
    let mut sent = 0;
    loop {
        match io::Write::write(&mut socket, &[0; 1 << 16]) {
            Ok(count) => sent += count,
            // What is on its way to the peer's own buffer still makes room.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock && has_room_soon(socket) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) => panic!("fill the socket: {e}"),
        }
    }
    socket.set_nonblocking(false).expect("make the socket blocking");
    sent
}

fn has_room_soon(socket: &TcpStream) -> bool {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let millis = 20 * i32::try_from(multiplier()).expect("a small number");
    // SAFETY: the call reads and writes one `pollfd`.
    let ready = unsafe { libc::poll(&mut poll, 1, millis) };
    checked(ready.into()).expect("poll the socket") > 0
}

/// Adds one to an event counter.
pub fn signal(counter: &impl AsRawFd) {
    write_all(counter, &1_u64.to_ne_bytes());
}
