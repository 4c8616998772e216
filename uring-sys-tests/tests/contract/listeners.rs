//! Listening sockets: what connections inherit, who a peer was, and what waits in the backlog.
//!
//! A server asks nothing of a connection that its listener can say once, and ends without losing
//! one.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use uring_sys_tests::completion::Errno;
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::{checked, owned};
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    accepted_connections_inherit_options,
    a_peer_that_is_gone_has_a_name,
    a_listener_tells_the_length_of_its_backlog,
    a_cancelled_accept_takes_what_is_there,
];

/// A connection has the options of its listener that `TCP_NODELAY` and keep-alive are, however it
/// is accepted. So they cost a server nothing for each connection.
fn accepted_connections_inherit_options() {
    let mut ring = Ring::plain(8);
    let listener = socket::listener();
    let options = [
        (libc::IPPROTO_TCP, libc::TCP_NODELAY, 1),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 31),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 7),
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3),
    ];
    for (level, name, value) in options {
        socket::set_option(&listener, level, name, value);
    }
    let has_all = |connection: &OwnedFd| {
        for (level, name, value) in options {
            assert_eq!(socket::option(connection, level, name), value, "option {name}");
        }
    };
    let _peers: Vec<_> = (0..3).map(|_| connect_to(&listener)).collect();
    has_all(&owned(ring.run(Op::accept(&listener)).outcome().expect("a connection")));
    ring.start([Op::accept_multi(&listener).tag(1)]);
    for _ in 0..2 {
        has_all(&owned(ring.next_for(1).outcome().expect("a connection")));
    }
}

/// `SO_PEERNAME` tells who a peer was that has reset the connection, also in the backlog;
/// `getpeername` does not. So the address of an accepted connection is always known.
fn a_peer_that_is_gone_has_a_name() {
    let mut ring = Ring::plain(8);
    let listener = socket::listener();
    let peer = connect_to(&listener);
    let SocketAddr::V4(name) = peer.local_addr().expect("its address") else {
        panic!("it is bound to IPv4")
    };
    socket::reset_on_close(&peer);
    drop(peer);
    let connection = owned(ring.run(Op::accept(&listener)).outcome().expect("a connection"));
    let mut address = socket::socket_address(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
    let mut length = size_of_val(&address) as libc::socklen_t;
    let (fd, place) = (connection.as_raw_fd(), std::ptr::from_mut(&mut address));
    // SAFETY: the call writes at most `length` bytes into the address.
    let asked = unsafe { libc::getpeername(fd, place.cast(), &mut length) };
    let refused = checked(asked.into()).expect_err("it is not connected any more");
    assert_eq!(Errno::of(&refused), Errno(libc::ENOTCONN));
    // SAFETY: as above.
    let told = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERNAME, place.cast(), &mut length)
    };
    checked(told.into()).expect("its name");
    assert_eq!(address.sin_port, name.port().to_be());
    assert_eq!(address.sin_addr.s_addr.to_ne_bytes(), name.ip().octets());
}

/// Of a listener, `TCP_INFO` says how many connections wait in its backlog, as unacknowledged
/// segments. A listener that ends takes so many, and no newcomers, or a busy one would never end.
fn a_listener_tells_the_length_of_its_backlog() {
    let listener = socket::listener();
    let mut peers = Vec::new();
    for count in 0..5 {
        // SAFETY: plain data, for which all zeroes is valid.
        let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
        let mut length = size_of_val(&info) as libc::socklen_t;
        let (fd, place) = (listener.as_raw_fd(), std::ptr::from_mut(&mut info));
        // SAFETY: the call writes at most `length` bytes into the structure.
        let told = unsafe {
            libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, place.cast(), &mut length)
        };
        checked(told.into()).expect("the listener's state");
        assert_eq!(info.tcpi_unacked, count);
        peers.push(connect_to(&listener));
    }
}

/// An accept that is cancelled in the same enter takes a connection if one is there, and ends if
/// not. So a listener that ends takes what is in the backlog, without waiting.
fn a_cancelled_accept_takes_what_is_there() {
    let mut ring = Ring::plain(16);
    let listener = socket::listener();
    let _peers: Vec<_> = (0..2).map(|_| connect_to(&listener)).collect();
    let accepts = (1..=3).map(|tag| Op::accept(&listener).tag(tag));
    let cancels = (1..=3).map(|tag| Op::cancel(tag).tag(10 + tag));
    ring.start(accepts.chain(cancels));
    for tag in 1..=2 {
        drop(owned(ring.next_for(tag).outcome().expect("a connection")));
    }
    assert_eq!(ring.next_for(3).outcome(), Err(Errno(libc::ECANCELED)));
}

fn connect_to(listener: &TcpListener) -> TcpStream {
    TcpStream::connect(socket::address_of(listener)).expect("connect to the listener")
}
