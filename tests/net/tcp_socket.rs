//! Options of TCP that are set once in a while, on sockets in each of their states: not connected,
//! listening, connected, in a file slot. The kernel is asked by another crate what was set.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use annulus::Runtime;
use annulus::net::{ConnectOptions, ListenOptions, TcpListener, TcpSocket, TcpStream};
use socket2::SockRef;

use crate::common::net::refusing;
use crate::common::skip::{build_or_skip, lacks_ipv6, skip};
use crate::common::watchdog::run;

const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0));

/// A way to control congestion that every process may set, and that is not the default.
fn congestion_control() -> String {
    let allowed = fs::read_to_string("/proc/sys/net/ipv4/tcp_allowed_congestion_control").unwrap();
    let default = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap();
    let mut others = allowed.split_whitespace().filter(|name| *name != default.trim());
    others.next().unwrap_or(default.trim()).to_owned()
}

/// Sets and reads each option of a TCP socket of IPv4; all types have the same methods.
macro_rules! check_options {
    ($socket:expr) => {{
        let socket = $socket;
        check_options!(socket, socket)
    }};
    ($socket:expr, $fd:expr) => {{
        let (socket, fd) = ($socket, $fd);
        let kernel = SockRef::from(fd);
        for timeout in [Some(Duration::from_millis(1500)), None] {
            socket.set_user_timeout(timeout).unwrap();
            assert_eq!(socket.user_timeout().unwrap(), timeout);
            assert_eq!(kernel.tcp_user_timeout().unwrap(), timeout);
        }
        socket.set_user_timeout(Some(Duration::from_nanos(1))).unwrap();
        let shortest = Some(Duration::from_millis(1));
        assert_eq!(socket.user_timeout().unwrap(), shortest, "it is not cut down to the default");

        let name = congestion_control();
        socket.set_congestion_control(&name).unwrap();
        assert_eq!(socket.congestion_control().unwrap(), name);
        assert!(kernel.tcp_congestion().unwrap().starts_with(name.as_bytes()));
        let error = socket.set_congestion_control("none-such").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().starts_with("set congestion control: "), "{error}");
        // Its first 15 bytes are another name, which the kernel would take.
        let error = socket.set_congestion_control("reno\0\0\0\0\0\0\0\0\0\0\0\0").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");

        socket.set_notsent_lowat(16 * 1024).unwrap();
        assert_eq!(socket.notsent_lowat().unwrap(), 16 * 1024);
        assert_eq!(kernel.tcp_notsent_lowat().unwrap(), 16 * 1024);

        for on in [true, false] {
            socket.set_cork(on).unwrap();
            assert_eq!(socket.cork().unwrap(), on);
            assert_eq!(kernel.tcp_cork().unwrap(), on);
            socket.set_quickack(on).unwrap();
            assert_eq!(socket.quickack().unwrap(), on);
            assert_eq!(kernel.tcp_quickack().unwrap(), on);
        }

        socket.set_tos_v4(0x10).unwrap();
        assert_eq!(socket.tos_v4().unwrap(), 0x10);
        assert_eq!(kernel.tos_v4().unwrap(), 0x10);

        socket.set_priority(6).unwrap();
        assert_eq!(socket.priority().unwrap(), 6);
        assert_eq!(kernel.priority().unwrap(), 6);

        socket.set_ttl(9).unwrap();
        assert_eq!(socket.ttl().unwrap(), 9);
        assert_eq!(kernel.ttl_v4().unwrap(), 9);

        socket.set_keepalive(Some(annulus::net::Keepalive::new().probes(4))).unwrap();
        assert_eq!(socket.keepalive().unwrap().unwrap().probes, 4);
        assert_eq!(kernel.tcp_keepalive_retries().unwrap(), 4);
        socket.set_keepalive(None).unwrap();
        assert!(!kernel.keepalive().unwrap());

        socket.set_send_buffer_size(32 * 1024).unwrap();
        assert_eq!(socket.send_buffer_size().unwrap(), kernel.send_buffer_size().unwrap());
        assert!(socket.take_error().unwrap().is_none());

        if lacks_privileges(fd) {
            let error = socket.set_mark(7).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            assert!(error.to_string().starts_with("set mark: "), "{error}");
        } else {
            socket.set_mark(u32::MAX).unwrap();
            assert_eq!(socket.mark().unwrap(), u32::MAX);
            assert_eq!(kernel.mark().unwrap(), u32::MAX);
        }
        let error = socket.bind_device(Some("none-such")).unwrap_err();
        assert!(matches!(error.raw_os_error(), None | Some(19)), "{error}");
        assert!(error.to_string().starts_with("set device: "), "{error}");
        assert_eq!(socket.device().unwrap(), None);
        socket.bind_device(Some("lo")).unwrap();
        assert_eq!(socket.device().unwrap().as_deref(), Some("lo"));
        assert_eq!(kernel.device().unwrap().as_deref(), Some(&b"lo"[..]));
    }};
}

/// Whether this process may not set marks.
fn lacks_privileges(socket: &impl AsFd) -> bool {
    let lacks = SockRef::from(socket).set_mark(0).is_err();
    if lacks {
        skip("without CAP_NET_ADMIN no mark can be set: only the refusal is tested");
    }
    lacks
}

async fn pair_of(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

#[test]
fn a_socket_that_is_not_connected_has_the_options_of_tcp() {
    check_options!(&TcpSocket::new_v4().unwrap());
}

#[test]
fn a_listener_has_the_options_of_tcp() {
    run(async {
        check_options!(&TcpListener::bind(LOOPBACK).await.unwrap());
    });
}

#[test]
fn connections_have_the_options_of_tcp() {
    run(async {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let (near, far) = pair_of(&listener).await;
        check_options!(&near);
        let fd = far.as_fd().try_clone_to_owned().unwrap();
        let (reader, _writer) = far.into_split();
        check_options!(&reader, &fd);
        let (_, far) = pair_of(&listener).await;
        let fd = far.as_fd().try_clone_to_owned().unwrap();
        let (_reader, writer) = far.into_buffered();
        check_options!(&writer, &fd);
    });
}

#[test]
fn a_direct_descriptor_has_the_options_of_tcp() {
    let Some(runtime) = build_or_skip(Runtime::builder().direct_descriptors(8)) else { return };
    runtime.block_on(async {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let (near, far) = pair_of(&listener).await;
        check_options!(&near);
        check_options!(&far);
    });
}

#[test]
fn connections_of_ipv6_have_its_traffic_class_and_hop_limit() {
    if lacks_ipv6() {
        return;
    }
    run(async {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
        let (near, _far) = pair_of(&listener).await;
        near.set_tclass_v6(0x20).unwrap();
        assert_eq!(near.tclass_v6().unwrap(), 0x20);
        assert_eq!(SockRef::from(&near).tclass_v6().unwrap(), 0x20);
        near.set_ttl(7).unwrap();
        assert_eq!(SockRef::from(&near).unicast_hops_v6().unwrap(), 7);
        let v4 = TcpSocket::new_v4().unwrap();
        assert!(v4.set_tclass_v6(0x20).is_err(), "a socket of IPv4 has none");
    });
}

#[test]
fn the_largest_segment_is_set_before_the_connection() {
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_mss(1000).unwrap();
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let near = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let mss = near.mss().unwrap();
        assert!(mss <= 1000, "{mss}");
        assert_eq!(mss, SockRef::from(&near).tcp_mss().unwrap());
        assert_eq!(near.set_mss(1 << 20).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_connection_tells_its_round_trip_time_and_segments() {
    run(async {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let (mut near, mut far) = pair_of(&listener).await;
        near.write_all("hello").await.0.unwrap();
        assert_eq!(&*far.recv().await.unwrap(), b"hello");
        let info = near.info().unwrap();
        assert!(info.rtt > Duration::ZERO && info.rtt < Duration::from_secs(10), "{info:?}");
        assert_eq!(info.send_mss, near.mss().unwrap());
        assert!(info.congestion_window > 0 && info.retransmission_timeout > info.rtt, "{info:?}");
    });
}

#[test]
fn options_of_a_connect_and_of_a_listener_are_there_from_the_beginning() {
    let name = congestion_control();
    for builder in [Runtime::builder(), Runtime::builder().direct_descriptors(8)] {
        let Some(runtime) = build_or_skip(builder) else { continue };
        runtime.block_on(async {
            let listen = ListenOptions::new()
                .user_timeout(Duration::from_secs(5))
                .congestion_control(&name)
                .notsent_lowat(4096)
                .tos_v4(0x08)
                .mss(1200)
                .bind_device("lo");
            let listener = TcpListener::bind_with(LOOPBACK, &listen).await.unwrap();
            let connect = ConnectOptions::new()
                .user_timeout(Duration::from_secs(7))
                .congestion_control(&name)
                .notsent_lowat(8192)
                .tos_v4(0x10)
                .mss(1100)
                .bind_device("lo");
            let address = listener.local_addr().unwrap();
            let near = TcpStream::connect_with(address, &connect).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            for (stream, seconds, lowat, tos) in [(&near, 7, 8192, 0x10), (&far, 5, 4096, 0x08)] {
                let timeout = stream.user_timeout().unwrap();
                assert_eq!(timeout, Some(Duration::from_secs(seconds)));
                assert_eq!(stream.congestion_control().unwrap(), name);
                assert_eq!(stream.notsent_lowat().unwrap(), lowat);
                assert_eq!(stream.tos_v4().unwrap(), tos);
                assert!(stream.mss().unwrap() <= 1100);
            }
            assert_eq!(near.device().unwrap().as_deref(), Some("lo"));
        });
    }
}

#[test]
fn a_name_that_is_too_long_fails_the_connect_and_the_listener() {
    run(async {
        let listen = ListenOptions::new().bind_device("an-interface-with-a-long-name");
        let error = TcpListener::bind_with(LOOPBACK, &listen).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let connect = ConnectOptions::new().bind_device("an-interface-with-a-long-name");
        let address = listener.local_addr().unwrap();
        let error = TcpStream::connect_with(address, &connect).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("set device: "), "{error}");
    });
}

#[test]
fn a_socket_is_bound_before_it_connects_or_listens() {
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuse_addr(true).unwrap();
        assert!(socket.reuse_addr().unwrap());
        socket.set_reuse_port(true).unwrap();
        assert!(socket.reuse_port().unwrap() && SockRef::from(&socket).reuse_port().unwrap());
        socket.bind(LOOPBACK).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = socket.listen(16).unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);

        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(LOOPBACK).unwrap();
        let local = socket.local_addr().unwrap();
        let mut near = socket.connect(address).await.unwrap();
        let (mut far, peer) = listener.accept().await.unwrap();
        assert_eq!((near.local_addr().unwrap(), peer), (local, local));
        near.write_all("hello").await.0.unwrap();
        assert_eq!(&*far.recv().await.unwrap(), b"hello");

        let taken = TcpSocket::new_v4().unwrap();
        let error = taken.bind(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("bind to {address}: ")), "{error}");
    });
}

#[test]
fn a_socket_that_lingers_makes_a_stream_that_does() {
    run(async {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
        let near = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        drop(near);
        let error = far.recv().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn sockets_of_other_crates_are_taken_over() {
    run(async {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let made =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let socket = TcpSocket::from_std_stream(made.into());
        let socket = TcpSocket::from(OwnedFd::from(socket));
        let near = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(near.local_addr().unwrap(), listener.accept().await.unwrap().1);
    });
}

#[test]
fn a_refused_connect_of_a_socket_names_its_address() {
    run(async {
        let (_held, address) = refusing();
        let error = TcpSocket::new_v4().unwrap().connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with(&format!("connect to {address}: ")), "{error}");
    });
}

#[test]
fn a_listener_may_have_an_address_that_the_machine_does_not_have() {
    run(async {
        let elsewhere: SocketAddr = "192.0.2.1:0".parse().unwrap();
        let error = TcpListener::bind(elsewhere).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        let options = ListenOptions::new().freebind(true);
        TcpListener::bind_with(elsewhere, &options).await.unwrap();

        let socket = TcpSocket::new_v4().unwrap();
        socket.set_freebind(true).unwrap();
        assert!(socket.freebind().unwrap() && SockRef::from(&socket).freebind_v4().unwrap());
        socket.bind(elsewhere).unwrap();
        if !lacks_privileges(&socket) {
            socket.set_transparent(true).unwrap();
            assert!(socket.transparent().unwrap());
            assert!(SockRef::from(&socket).ip_transparent_v4().unwrap());
        }
    });
}

/// Without `TCP_DEFER_ACCEPT` a connection is accepted as soon as it is made.
#[test]
fn a_deferred_accept_waits_for_the_first_bytes() {
    run(async {
        let options = ListenOptions::new().defer_accept(30);
        let listener = TcpListener::bind_with(LOOPBACK, &options).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut speaks = TcpStream::connect(address).await.unwrap();
        speaks.write_all("first").await.0.unwrap();
        let (mut first, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, speaks.local_addr().unwrap(), "the other connected earlier");
        assert_eq!(&*first.recv().await.unwrap(), b"first");
        silent.write_all("second").await.0.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, silent.local_addr().unwrap());
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_defer_accept(10).unwrap();
        assert!(socket.defer_accept().unwrap() >= 10);
    });
}

/// Whether the second connection's bytes travel in its first packet depends on the system's
/// settings; they arrive in any case.
#[test]
fn a_connection_by_fast_open_carries_its_bytes() {
    run(async {
        let listener =
            TcpListener::bind_with(LOOPBACK, &ListenOptions::new().fast_open(16)).await.unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..2 {
            let options = ConnectOptions::new().fast_open(true);
            let mut near = TcpStream::connect_with(address, &options).await.unwrap();
            near.write_all("hello").await.0.unwrap();
            let (mut far, _) = listener.accept().await.unwrap();
            assert_eq!(&*far.recv().await.unwrap(), b"hello");
            far.write_all("bye").await.0.unwrap();
            assert_eq!(&*near.recv().await.unwrap(), b"bye");
        }
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_fast_open_connect(true).unwrap();
        assert!(socket.fast_open_connect().unwrap());
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_fast_open(5).unwrap();
        assert_eq!(socket.fast_open().unwrap(), 5);
    });
}

#[test]
fn a_listener_for_a_cpu_reads_it_back() {
    run(async {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        listener.set_incoming_cpu(0).unwrap();
        assert_eq!(listener.incoming_cpu().unwrap(), 0);
        assert_eq!(SockRef::from(&listener).cpu_affinity().unwrap(), 0);
    });
}

#[test]
fn a_socket_of_ipv6_may_refuse_ipv4() {
    if lacks_ipv6() {
        return;
    }
    let socket = TcpSocket::new_v6().unwrap();
    for only in [true, false] {
        socket.set_v6_only(only).unwrap();
        assert_eq!(socket.v6_only().unwrap(), only);
        assert_eq!(SockRef::from(&socket).only_v6().unwrap(), only);
    }
}
