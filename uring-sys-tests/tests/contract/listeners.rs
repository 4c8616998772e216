//! Listening sockets: what connections inherit, who a peer was, and what waits in the backlog.
//!
//! A server asks nothing of a connection that its listener can say once, and ends without losing
//! one.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};

use uring_sys_tests::child::Verdict;
use uring_sys_tests::completion::Errno;
use uring_sys_tests::op::Op;
use uring_sys_tests::raw::{checked, owned};
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    accepted_connections_inherit_options: [MultishotAccept],
    a_peer_that_is_gone_has_a_name @ in_own_process,
    a_listener_tells_the_length_of_its_backlog,
    a_cancelled_accept_takes_what_is_there,
    a_listener_bound_to_no_interface_refuses_and_keeps_its_backlog,
    a_shared_port_gives_a_listener_bound_to_no_interface_nothing,
    a_shut_down_unix_listener_refuses_and_keeps_its_backlog,
    a_cancelled_accept_takes_the_wake_of_another: [DeferTaskrun],
    a_listener_may_share_its_port_later,
    the_cpu_chooses_among_listeners_of_a_port @ in_own_process,
    a_program_chooses_by_an_order_that_changes,
];

/// An interface that there is not.
const NO_INTERFACE: i32 = i32::MAX;

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
/// segments. A listener that ends takes that many, and no newcomers, or a busy one would never end.
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

/// A TCP listener that is bound to an interface which there is not refuses connections at once, and
/// keeps its backlog. So a listener that ends takes all that it has let in; a close would reset
/// those that arrive between the last accept and it.
fn a_listener_bound_to_no_interface_refuses_and_keeps_its_backlog() {
    let mut ring = Ring::plain(8);
    let listener = socket::listener();
    let peers: Vec<_> = (0..2).map(|_| connect_to(&listener)).collect();
    socket::set_option(&listener, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, NO_INTERFACE);
    let refusal = TcpStream::connect(socket::address_of(&listener)).expect_err("no listener");
    assert_eq!(Errno::of(&refusal), Errno(libc::ECONNREFUSED));
    for peer in peers {
        let connection = owned(ring.run(Op::accept(&listener)).outcome().expect("a connection"));
        socket::write_all(&peer, b"sent");
        assert_eq!(socket::drain(&TcpStream::from(connection), 4), b"sent");
    }
}

/// Of two listeners on one port, the kernel may still choose the one that is bound to no interface.
/// Then it drops the request to connect, which the client repeats; it establishes no connection
/// that the end of the listener would reset.
fn a_shared_port_gives_a_listener_bound_to_no_interface_nothing() {
    let listen = |port| {
        let socket = socket::tcp_socket();
        socket::set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1);
        let address = socket::socket_address(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let (place, length) = (std::ptr::from_ref(&address), size_of_val(&address));
        // SAFETY: the calls get a whole `sockaddr_in` and its length.
        let done = unsafe {
            libc::bind(socket.as_raw_fd(), place.cast(), length as libc::socklen_t)
                | libc::listen(socket.as_raw_fd(), 100)
        };
        checked(done.into()).expect("listen on the port");
        TcpListener::from(socket)
    };
    let ends = listen(0);
    let address = socket::address_of(&ends);
    let stays = listen(address.port());
    socket::set_option(&ends, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, NO_INTERFACE);
    let clients: Vec<_> = (0..40).map(|_| socket::tcp_socket()).collect();
    for client in &clients {
        let client = TcpStream::from(client.try_clone().expect("duplicate a descriptor"));
        client.set_nonblocking(true).expect("a socket that does not block");
        let address = socket::socket_address(address);
        let (place, length) = (std::ptr::from_ref(&address), size_of_val(&address));
        // SAFETY: the call gets a whole `sockaddr_in` and its length. Its outcome comes later.
        unsafe { libc::connect(client.as_raw_fd(), place.cast(), length as libc::socklen_t) };
    }
    for listener in [&stays, &ends] {
        listener.set_nonblocking(true).expect("a listener that does not block");
    }
    let accepted = stays.incoming().take_while(Result::is_ok).count();
    assert!(accepted > 0 && accepted < clients.len(), "{accepted} accepted, the others are chosen");
    let none = ends.accept().expect_err("a connection that would be reset");
    assert_eq!(Errno::of(&none), Errno(libc::EAGAIN));
}

/// A Unix listener whose receive side is shut down refuses connections, and keeps its backlog. On
/// TCP that would reset the backlog.
fn a_shut_down_unix_listener_refuses_and_keeps_its_backlog() {
    let mut ring = Ring::plain(8);
    let name = format!("uring-sys-tests-{}", std::process::id());
    let address = UnixAddress::from_abstract_name(name).expect("a name");
    let listener = UnixListener::bind_addr(&address).expect("listen on the name");
    let peer = UnixStream::connect_addr(&address).expect("connect to the name");
    // SAFETY: the call takes no pointer.
    let shut = unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RD) };
    checked(shut.into()).expect("shut it down");
    let refusal = UnixStream::connect_addr(&address).expect_err("no listener");
    assert_eq!(Errno::of(&refusal), Errno(libc::ECONNREFUSED));
    let connection = owned(ring.run(Op::accept(&listener)).outcome().expect("a connection"));
    socket::write_all(&peer, b"sent");
    let mut sent = [0; 4];
    UnixStream::from(connection).read_exact(&mut sent).expect("what the peer has sent");
    assert_eq!(&sent, b"sent");
}

/// Of the accepts that wait on a socket the kernel wakes one for each connection: the oldest, even
/// if it is being cancelled and takes no connection. The others are not woken, and the connection
/// stays in the backlog. So a process that stops to accept from a shared socket must look into the
/// backlog afterwards.
fn a_cancelled_accept_takes_the_wake_of_another() {
    let (mut leaving, mut staying) = (Ring::deferred(8), Ring::deferred(8));
    let listener = socket::listener();
    for ring in [&mut leaving, &mut staying] {
        ring.start([Op::accept(&listener).tag(1)]);
        assert_eq!(ring.reap(), []);
    }
    // The cancel has found its accept, which completes when the ring's thread looks.
    leaving.start([Op::cancel(1).tag(2)]);
    let _peer = connect_to(&listener);
    assert_eq!(leaving.next_for(1).outcome(), Err(Errno(libc::ECANCELED)));
    staying.assert_quiet("an accept is woken by a connection whose wake another has taken");
    // Only the next connection wakes it.
    let _next = connect_to(&listener);
    drop(owned(staying.next_for(1).outcome().expect("the first connection")));
}

fn connect_to(listener: &TcpListener) -> TcpStream {
    TcpStream::connect(socket::address_of(listener)).expect("connect to the listener")
}

/// A listener that was alone on its port lets others join once it sets `SO_REUSEPORT`, and not
/// before. So the first shard learns that its port is free, and the others share it.
fn a_listener_may_share_its_port_later() {
    let first = alone_on_a_port();
    let address = socket::address_of(&first);
    assert_eq!(join(address).map(drop), Err(Errno(libc::EADDRINUSE)));
    socket::set_option(&first, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1);
    let second = join(address).expect("it shares its port now");
    let counts = spread(address, [&first, &second], 200);
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    // One that does not share is still refused.
    assert!(TcpListener::bind(address).is_err());
}

/// Of the listeners on a port the kernel chooses one with the `SO_INCOMING_CPU` that the handshake
/// is processed on, whatever the order of the sockets, and any if there is none. So connections are
/// spread by CPU without a program.
fn the_cpu_chooses_among_listeners_of_a_port() -> Verdict {
    let cpu = pin_to_this_cpu();
    let first = alone_on_a_port();
    let address = socket::address_of(&first);
    socket::set_option(&first, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1);
    let others = [cpu + 1, cpu + 2].map(|other| {
        let joined = join(address).expect("the port is shared");
        socket::set_option(&joined, libc::SOL_SOCKET, libc::SO_INCOMING_CPU, other);
        joined
    });
    socket::set_option(&first, libc::SOL_SOCKET, libc::SO_INCOMING_CPU, cpu);
    let counts = spread(address, [&first, &others[0], &others[1]], 50);
    if counts.iter().all(|&count| count > 0) {
        return Verdict::Skipped("needs listeners chosen by CPU (6.2)".into());
    }
    assert_eq!(counts, [50, 0, 0]);
    // The last socket takes the place of one that is closed.
    let [second, third] = others;
    drop(second);
    assert_eq!(spread(address, [&first, &third], 50), [50, 0]);
    drop(first);
    assert_eq!(spread(address, [&third], 5), [5]);
    Verdict::Held
}

/// A BPF program returns the index of a socket, and the last socket takes the index of one that is
/// closed. That is why connections are not spread by a program: the shard of a CPU would change
/// whenever another shard stops listening.
fn a_program_chooses_by_an_order_that_changes() {
    let first = alone_on_a_port();
    let address = socket::address_of(&first);
    socket::set_option(&first, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1);
    let [second, third] = [(); 2].map(|()| join(address).expect("the port is shared"));
    always_choose(&first, 1);
    assert_eq!(spread(address, [&first, &second, &third], 20), [0, 20, 0]);
    drop(second);
    assert_eq!(spread(address, [&first, &third], 20), [0, 20]);
}

/// A listener whose port no other can share, so far.
fn alone_on_a_port() -> TcpListener {
    let socket = socket::tcp_socket();
    socket::bind_loopback(&socket);
    listen(socket).expect("listen alone")
}

/// Binds one more socket to the port of a listener.
fn join(address: SocketAddrV4) -> Result<TcpListener, Errno> {
    let socket = socket::tcp_socket();
    socket::set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1);
    let raw = socket::socket_address(address);
    let length = size_of_val(&raw) as libc::socklen_t;
    // SAFETY: the address is as long as is said.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), length) };
    checked(bound.into()).map_err(|error| Errno::of(&error))?;
    listen(socket)
}

fn listen(socket: OwnedFd) -> Result<TcpListener, Errno> {
    // SAFETY: the call takes no pointer.
    let listens = unsafe { libc::listen(socket.as_raw_fd(), 1024) };
    checked(listens.into()).map_err(|error| Errno::of(&error))?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true).expect("accept without waiting");
    Ok(listener)
}

/// Makes `connections`, and returns how many each of the listeners has got.
fn spread<const N: usize>(
    address: SocketAddrV4,
    listeners: [&TcpListener; N],
    connections: usize,
) -> [usize; N] {
    let connect = |_| TcpStream::connect(address).expect("connect to the port");
    let _peers: Vec<_> = (0..connections).map(connect).collect();
    listeners.map(|listener| std::iter::from_fn(|| listener.accept().ok()).count())
}

/// From now on this thread runs on the CPU on which it is. Returns that.
fn pin_to_this_cpu() -> i32 {
    // SAFETY: the call takes no pointer.
    let cpu = unsafe { libc::sched_getcpu() };
    // SAFETY: all zeroes is an empty set, and the call reads a whole one.
    let pinned = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu.try_into().expect("a CPU"), &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    checked(pinned.into()).expect("stay on a CPU");
    cpu
}

/// Attaches a program that returns one index to the sockets of a port.
fn always_choose(listener: &TcpListener, index: u32) {
    let mut program = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: index }];
    let program = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
    let length = size_of_val(&program) as libc::socklen_t;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF);
    let place = (&raw const program).cast();
    // SAFETY: the call reads the program, which lives as long.
    let attached = unsafe { libc::setsockopt(listener.as_raw_fd(), level, name, place, length) };
    checked(attached.into()).expect("attach a program");
}
