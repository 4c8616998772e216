//! Socket options are set and read back, on IPv4 and on IPv6, and listening options do what they
//! say.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as Peer};
use std::time::{Duration, Instant};

use annulus::blocking::to_thread;
use annulus::buf::BufResult;
use annulus::net::{
    ConnectOptions, Keepalive, ListenOptions, ServerOptions, StreamReader, StreamWriter,
    TcpListener, TcpStream, open_connection, open_connection_with, start_server_with,
};
use annulus::raw_os_error;
use annulus::time::{sleep, timeout};
use socket2::SockRef;

use crate::common::net::{connected, reset};
use crate::common::pair::pair;
use crate::common::patience::patient;
use crate::common::skip::{build_or_skip, lacks_ipv6};
use crate::common::watchdog::run;

/// The loopback addresses of each family; without IPv6, and a report, where the machine has none.
#[track_caller]
fn loopback() -> Vec<&'static str> {
    let mut addresses = vec!["127.0.0.1:0"];
    if !lacks_ipv6() {
        addresses.push("[::1]:0");
    }
    addresses
}

/// A connection over each family.
async fn both_families() -> Vec<(TcpStream, TcpStream)> {
    let mut connections = Vec::new();
    for address in loopback() {
        let listener = TcpListener::bind(address).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        connections.push((near, listener.accept().await.unwrap().0));
    }
    connections
}

#[test]
fn nodelay_is_set_and_read_back() {
    run(async {
        for (stream, _peer) in both_families().await {
            for on in [true, false] {
                stream.set_nodelay(on).unwrap();
                assert_eq!(stream.nodelay().unwrap(), on);
                assert_eq!(SockRef::from(&stream).tcp_nodelay().unwrap(), on);
            }
        }
    });
}

#[test]
fn keepalive_is_set_and_read_back() {
    run(async {
        let keepalive = Keepalive::new()
            .idle(Duration::from_secs(30))
            .interval(Duration::from_secs(5))
            .probes(3);
        for (stream, _peer) in both_families().await {
            assert_eq!(stream.keepalive().unwrap(), None);
            stream.set_keepalive(Some(keepalive)).unwrap();
            assert_eq!(stream.keepalive().unwrap(), Some(keepalive));
            let socket = SockRef::from(&stream);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), keepalive.idle);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), keepalive.interval);
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), keepalive.probes);
            stream.set_keepalive(None).unwrap();
            assert_eq!(stream.keepalive().unwrap(), None);
            // The kernel keeps the times in seconds, and at most some hours of them.
            let idle = Duration::from_secs(1 << 20);
            let error = stream.set_keepalive(Some(keepalive.idle(idle))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with("set keepalive's idle time: "), "{error}");
            assert_eq!(stream.keepalive().unwrap(), None, "it is not set by halves");
        }
    });
}

#[test]
fn linger_is_set_and_read_back() {
    run(async {
        for (stream, _peer) in both_families().await {
            assert_eq!(stream.linger().unwrap(), None);
            for linger in [Some(Duration::from_secs(7)), Some(Duration::ZERO), None] {
                stream.set_linger(linger).unwrap();
                assert_eq!(stream.linger().unwrap(), linger);
                assert_eq!(SockRef::from(&stream).linger().unwrap(), linger);
            }
        }
    });
}

#[test]
fn the_longest_time_to_linger_is_the_kernels_longest() {
    run(async {
        let (stream, _peer) = connected();
        stream.set_linger(Some(Duration::MAX)).unwrap();
        let lingers = stream.linger().unwrap().expect("a reset would have no time");
        assert!(lingers > Duration::from_secs(3600), "{lingers:?}");
        // So that the close below does not wait.
        stream.set_linger(None).unwrap();
    });
}

/// Cut down to whole seconds it would be zero, which means to reset the connection.
#[test]
fn a_part_of_a_second_to_linger_is_rounded_up() {
    run(async {
        let (stream, _peer) = connected();
        stream.set_linger(Some(Duration::from_millis(500))).unwrap();
        assert_eq!(stream.linger().unwrap(), Some(Duration::from_secs(1)));
    });
}

/// Connections inherit the option, and with it that closing them must not keep the loop waiting.
#[test]
fn a_connection_lingers_as_its_listener_does() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener).set_linger(Some(Duration::from_secs(5))).unwrap();
        let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let listener = TcpListener::from_std(listener);
        let (mut stream, _) = listener.accept().await.unwrap();
        while timeout(Duration::from_millis(1), stream.write(vec![1; 64 << 10])).await.is_ok() {}
        let start = Instant::now();
        drop(stream);
        assert!(start.elapsed() < patient(Duration::from_secs(2)), "{:?}", start.elapsed());
    });
}

#[test]
fn ttl_is_set_and_read_back() {
    run(async {
        for (stream, _peer) in both_families().await {
            stream.set_ttl(5).unwrap();
            assert_eq!(stream.ttl().unwrap(), 5);
            let socket = SockRef::from(&stream);
            let hops = match stream.local_addr().unwrap() {
                SocketAddr::V4(_) => socket.ttl_v4(),
                SocketAddr::V6(_) => socket.unicast_hops_v6(),
            };
            assert_eq!(hops.unwrap(), 5);
            for ttl in [256, u32::MAX] {
                assert_eq!(stream.set_ttl(ttl).unwrap_err().kind(), ErrorKind::InvalidInput);
            }
        }
    });
}

#[test]
fn buffer_sizes_are_set_and_read_back() {
    run(async {
        for (stream, _peer) in both_families().await {
            stream.set_recv_buffer_size(40_000).unwrap();
            stream.set_send_buffer_size(50_000).unwrap();
            // The kernel doubles them, to have room for what it keeps beside the bytes.
            assert_eq!(stream.recv_buffer_size().unwrap(), 80_000);
            assert_eq!(stream.send_buffer_size().unwrap(), 100_000);
            assert_eq!(SockRef::from(&stream).recv_buffer_size().unwrap(), 80_000);
            assert_eq!(SockRef::from(&stream).send_buffer_size().unwrap(), 100_000);
        }
    });
}

#[test]
fn a_pending_error_can_be_taken_once() {
    run(async {
        let (stream, peer) = connected();
        assert!(stream.take_error().unwrap().is_none());
        reset(peer);
        let error = stream.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(stream.take_error().unwrap().is_none());
    });
}

#[test]
fn a_stream_that_lingers_not_at_all_resets_its_connection() {
    run(async {
        let (stream, mut peer) = connected();
        stream.set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
        let error = peer.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

/// The close waits until the peer has taken everything; it must not be this thread that does.
#[test]
fn a_lingering_close_does_not_keep_the_loop_waiting() {
    const LINGER: Duration = Duration::from_secs(5);
    run(async {
        for taken_over in [false, true] {
            let (mut stream, mut peer) = connected();
            if taken_over {
                // The option may come with a socket of the standard library's.
                let socket = stream.into_std().await.unwrap().stream;
                SockRef::from(&socket).set_linger(Some(LINGER)).unwrap();
                stream = TcpStream::from_std(socket);
            } else {
                stream.set_linger(Some(LINGER)).unwrap();
            }
            let mut sent = 0;
            while let Ok(BufResult(result, _)) =
                timeout(Duration::from_millis(1), stream.write(vec![1; 64 << 10])).await
            {
                sent += result.unwrap();
            }
            let start = Instant::now();
            drop(stream);
            sleep(Duration::from_millis(1)).await;
            assert!(start.elapsed() < LINGER);
            // On a thread: the cancelled write may still hold the socket, and only the loop ends
            // it.
            let received = to_thread(move || {
                let mut received = Vec::new();
                peer.read_to_end(&mut received).unwrap();
                received.len()
            });
            let received = received.await.unwrap();
            assert!(received >= sent, "the close waited for all that had been sent");
        }
    });
}

// Listening

#[test]
fn a_port_in_use_says_which() {
    run(async {
        for address in loopback() {
            let listener = TcpListener::bind(address).await.unwrap();
            let taken = listener.local_addr().unwrap();
            let error = TcpListener::bind(taken).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            assert_eq!(raw_os_error(&error), Some(libc::EADDRINUSE));
            assert!(error.to_string().starts_with(&format!("listen on {taken}: ")), "{error}");
            // The first of several that is free.
            let free = SocketAddr::new(taken.ip(), 0);
            let other = TcpListener::bind(vec![taken, free]).await.unwrap();
            assert_ne!(other.local_addr().unwrap(), taken);
        }
    });
}

#[test]
fn reuse_addr_takes_a_port_of_which_old_connections_linger() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut peer = Peer::connect(address).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        listener.close().await;
        // It has ended at this end first. Once closed, the kernel would remember it for a minute,
        // but for no longer than it has room for more.
        stream.shutdown(std::net::Shutdown::Write).await.unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        let strict = ListenOptions::new().reuse_addr(false);
        let error = TcpListener::bind_with(address, &strict).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        TcpListener::bind(address).await.unwrap();
    });
}

#[test]
fn reuse_port_spreads_connections_over_listeners() {
    const CLIENTS: usize = 200;
    run(async {
        for address in loopback() {
            let options = ListenOptions::new().reuse_port(true);
            let first = TcpListener::bind_with(address, &options).await.unwrap();
            let address = first.local_addr().unwrap();
            let second = TcpListener::bind_with(address, &options).await.unwrap();
            let error = TcpListener::bind(address).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "all have to ask for it");
            let peers: Vec<_> = (0..CLIENTS).map(|_| Peer::connect(address).unwrap()).collect();
            let mut accepted = [0, 0];
            for (listener, count) in [&first, &second].into_iter().zip(&mut accepted) {
                // All have arrived, at one or the other.
                while timeout(Duration::from_millis(20), listener.accept()).await.is_ok() {
                    *count += 1;
                }
            }
            assert_eq!(accepted[0] + accepted[1], peers.len());
            assert!(accepted.iter().all(|&count| count > CLIENTS / 8), "{accepted:?}");
        }
    });
}

#[test]
fn v6_only_decides_whether_ipv4_is_taken() {
    if lacks_ipv6() {
        return;
    }
    run(async {
        let v4 = |listener: &TcpListener| {
            let port = listener.local_addr().unwrap().port();
            // Another test may listen at this port of 127.0.0.1.
            Peer::connect((Ipv4Addr::new(127, 0, 0, 9), port))
        };
        let anywhere = (Ipv6Addr::UNSPECIFIED, 0);
        let only = ListenOptions::new().v6_only(true);
        let listener = TcpListener::bind_with(anywhere, &only).await.unwrap();
        assert_eq!(v4(&listener).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let both = ListenOptions::new().v6_only(false);
        let listener = TcpListener::bind_with(anywhere, &both).await.unwrap();
        let peer = v4(&listener).unwrap();
        let (_, from) = listener.accept().await.unwrap();
        assert_eq!(from.ip().to_canonical(), peer.local_addr().unwrap().ip());
        assert_eq!(from.port(), peer.local_addr().unwrap().port());
        // It says nothing about IPv4 addresses.
        TcpListener::bind_with("127.0.0.1:0", &only).await.unwrap();
    });
}

#[test]
fn the_backlog_is_as_long_as_it_was_asked_for() {
    const LIMIT: Duration = Duration::from_millis(20);
    run(async {
        for backlog in [0_u32, 5] {
            let options = ListenOptions::new().backlog(backlog);
            let listener = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
            let address = listener.local_addr().unwrap();
            // The kernel keeps one more than it was told.
            let fitting: Vec<_> = (0..=backlog).map(|_| Peer::connect(address).unwrap()).collect();
            let error = Peer::connect_timeout(&address, LIMIT).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            drop(fitting);
        }
    });
}

#[test]
fn a_listener_accepts_at_least_one_connection_ahead() {
    run(async {
        let options = ListenOptions::new().max_pending(0);
        let listener = TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..10 {
            let peer = Peer::connect(address).unwrap();
            assert_eq!(listener.accept().await.unwrap().1, peer.local_addr().unwrap());
        }
    });
}

const PROBING: Keepalive =
    Keepalive::new().idle(Duration::from_secs(30)).interval(Duration::from_secs(5)).probes(3);

#[test]
fn halves_readers_and_writers_have_the_options_of_their_connection() {
    run(async {
        let (stream, _peer) = pair().await;
        let (read, write) = stream.into_split();
        read.set_nodelay(true).unwrap();
        assert!(write.nodelay().unwrap() && SockRef::from(&read).tcp_nodelay().unwrap());
        write.set_ttl(17).unwrap();
        assert_eq!((read.ttl().unwrap(), SockRef::from(&write).ttl_v4().unwrap()), (17, 17));
        let stream = read.reunite(write).unwrap();
        let (reader, writer) = stream.into_buffered();
        writer.set_keepalive(Some(PROBING)).unwrap();
        assert_eq!(reader.keepalive().unwrap(), Some(PROBING));
        reader.set_linger(Some(Duration::ZERO)).unwrap();
        assert_eq!(writer.linger().unwrap(), Some(Duration::ZERO));
        assert!(writer.send_buffer_size().unwrap() > 0 && reader.take_error().unwrap().is_none());
    });
}

#[test]
fn a_closed_writer_has_no_options_any_more() {
    run(async {
        let (stream, _peer) = pair().await;
        let (reader, mut writer) = stream.into_buffered();
        writer.close();
        writer.wait_closed().await.unwrap();
        drop(reader);
        assert_eq!(writer.nodelay().unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

/// Serves one connection and gives the options that it has at either end.
async fn at_both_ends(
    server: &ServerOptions,
    client: &ConnectOptions,
) -> [(bool, Option<Keepalive>); 2] {
    let (sender, receiver) = annulus::sync::oneshot::channel();
    let sender = std::cell::Cell::new(Some(sender));
    let handler = async move |_: StreamReader, writer: StreamWriter| {
        let options = (writer.nodelay().unwrap(), writer.keepalive().unwrap());
        sender.take().unwrap().send(options).unwrap();
    };
    let server = start_server_with(handler, "127.0.0.1:0", server).await.unwrap();
    let (reader, _writer) = open_connection_with(server.local_addrs()[0], client).await.unwrap();
    [receiver.await.unwrap(), (reader.nodelay().unwrap(), reader.keepalive().unwrap())]
}

#[test]
fn buffered_connections_send_at_once_unless_told_otherwise() {
    run(async {
        let (server, client) = (ServerOptions::new(), ConnectOptions::new());
        assert_eq!(at_both_ends(&server, &client).await, [(true, None); 2]);
        let listen = ListenOptions::new().nodelay(false).keepalive(PROBING);
        let client = client.nodelay(false).keepalive(PROBING);
        let server = server.listen(listen);
        assert_eq!(at_both_ends(&server, &client).await, [(false, Some(PROBING)); 2]);
    });
}

#[test]
fn plain_streams_have_the_systems_default_unless_told_otherwise() {
    run(async {
        for nodelay in [None, Some(true)] {
            let listen = ListenOptions::new();
            let listen = nodelay.map_or(listen.clone(), |on| listen.nodelay(on));
            let listener = TcpListener::bind_with("127.0.0.1:0", &listen).await.unwrap();
            let connect = ConnectOptions::new();
            let connect = nodelay.map_or(connect.clone(), |on| connect.nodelay(on));
            let address = listener.local_addr().unwrap();
            let near = TcpStream::connect_with(address, &connect).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            let expected = nodelay.unwrap_or(false);
            assert_eq!((near.nodelay().unwrap(), far.nodelay().unwrap()), (expected, expected));
        }
    });
}

#[test]
fn direct_descriptors_have_their_options_from_the_beginning() {
    let builder = annulus::Runtime::builder().direct_descriptors(8);
    let Some(runtime) = build_or_skip(builder) else { return };
    crate::common::watchdog::block_on(&runtime, async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let options = ConnectOptions::new().keepalive(PROBING);
        let address = listener.local_addr().unwrap();
        let (reader, writer) = open_connection_with(address, &options).await.unwrap();
        assert_eq!(annulus::metrics().direct_descriptors, 1);
        assert!(reader.nodelay().unwrap());
        assert_eq!(writer.keepalive().unwrap(), Some(PROBING));
        let (reader, _writer) = open_connection(address).await.unwrap();
        assert_eq!((reader.nodelay().unwrap(), reader.keepalive().unwrap()), (true, None));
    });
}
