//! TCP connections: connecting, splitting, the standard library's sockets, accepting.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as Peer};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use annulus::buf::BufResult;
use annulus::net::{IntoStd, TcpListener, TcpStream, lookup};
use annulus::{metrics, raw_os_error, spawn};
use futures_util::StreamExt;

use crate::common::net::{connected, full_listener, pair, refusing, reset};
use crate::common::pair::{ask, echo};
use crate::common::poll::{times, until};
use crate::common::skip::lacks_ipv6;
use crate::common::watchdog::run;

fn listening() -> (StdListener, SocketAddr) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

// Connecting

#[test]
fn connect_tries_the_addresses_in_order() {
    run(async {
        let (listener, address) = listening();
        let [(_first, first), (_second, second)] = [refusing(), refusing()];
        let stream = TcpStream::connect(vec![first, second, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let (_, from) = listener.accept().unwrap();
        assert_eq!(stream.local_addr().unwrap(), from);
    });
}

#[test]
fn a_refused_connect_says_to_which_address() {
    run(async {
        let [(_first, first), (_last, address)] = [refusing(), refusing()];
        let error = TcpStream::connect(&[first, address][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(raw_os_error(&error), Some(libc::ECONNREFUSED));
        assert!(error.to_string().contains(&format!("connect to {address}: ")), "{error}");
    });
}

#[test]
fn every_form_of_an_address_can_be_connected_to() {
    run(async {
        let (_listener, address) = listening();
        let (ip, port) = (address.ip(), address.port());
        let named = format!("localhost:{port}");
        let streams = [
            TcpStream::connect(address).await,
            TcpStream::connect((ip, port)).await,
            TcpStream::connect(address.to_string()).await,
            TcpStream::connect(named.as_str()).await,
            TcpStream::connect(&named).await,
            TcpStream::connect(&vec![address]).await,
        ];
        for stream in streams {
            assert_eq!(stream.unwrap().peer_addr().unwrap(), address);
        }
    });
}

#[test]
fn a_look_up_that_fails_says_of_what() {
    run(async {
        let error = lookup("a name without a port").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("look up a name without a port: "), "{error}");
        let error = TcpStream::connect(Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn ipv6_works_as_ipv4_does() {
    if lacks_ipv6() {
        return;
    }
    run(async {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let (served, from) = listener.accept().await.unwrap();
        assert!(address.is_ipv6() && from.is_ipv6());
        assert_eq!(stream.local_addr().unwrap(), from);
        spawn(echo(served));
        ask(&mut stream, b"over IPv6").await;
    });
}

#[test]
fn an_unanswered_connect_times_out() {
    const LIMIT: Duration = Duration::from_millis(50);
    run(async {
        let (full, _filled) = full_listener();
        let address = full.local_addr().unwrap();
        let start = Instant::now();
        let error = TcpStream::connect_timeout(address, LIMIT).await.unwrap_err();
        assert!(start.elapsed() >= LIMIT);
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().starts_with(&format!("connect to {address}: ")), "{error}");
        // Each address has the whole limit, so the next one is tried.
        let (_listener, other) = listening();
        let stream = TcpStream::connect_timeout(vec![address, other], LIMIT).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), other);
    });
}

// Splitting, and the standard library

#[test]
fn halves_work_in_two_tasks_and_make_a_whole_again() {
    run(async {
        let (stream, peer) = connected();
        let (mut read, mut write) = stream.into_split();
        assert_eq!(read.peer_addr().unwrap(), write.peer_addr().unwrap());
        assert_eq!(read.local_addr().unwrap(), write.local_addr().unwrap());
        let echoing = thread::spawn(move || std::io::copy(&mut &peer, &mut &peer).unwrap());
        // More than the connection can hold: neither half may wait for the other.
        let writing = spawn(async move {
            write.write_all(vec![7; 16 << 20]).await.0.unwrap();
            write
        });
        let BufResult(result, received) = read.read_exact(vec![0; 16 << 20]).await;
        result.unwrap();
        assert!(received.iter().all(|&byte| byte == 7));
        let mut stream = read.reunite(writing.await.unwrap()).unwrap();
        ask(&mut stream, b"whole").await;
        drop(stream);
        echoing.join().unwrap();
    });
}

#[test]
fn halves_of_different_streams_stay_apart() {
    run(async {
        let (mut first, mut second) = (connected(), connected());
        let ((read, write), (other_read, other_write)) =
            (first.0.into_split(), second.0.into_split());
        let error = read.reunite(other_write).unwrap_err();
        let mut stream = error.read.reunite(write).unwrap();
        let mut other = other_read.reunite(error.write).unwrap();
        stream.write_all("1").await.0.unwrap();
        other.write_all("2").await.0.unwrap();
        let mut received = [0];
        first.1.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"1");
        second.1.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"2");
    });
}

#[test]
fn a_dropped_writing_half_ends_the_peers_reading_and_a_forgotten_one_does_not() {
    run(async {
        let (stream, mut peer) = connected();
        let (mut read, mut write) = stream.into_split();
        write.write_all("last").await.0.unwrap();
        drop(write);
        let mut received = String::new();
        peer.read_to_string(&mut received).unwrap();
        assert_eq!(received, "last");
        peer.write_all(b"x").unwrap();
        assert_eq!(read.read(vec![0]).await.0.unwrap(), 1);

        let (stream, mut peer) = connected();
        let (read, write) = stream.into_split();
        write.forget();
        peer.set_nonblocking(true).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(read);
        peer.set_nonblocking(false).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_stream_given_to_the_standard_library_takes_its_unread_bytes_along() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"received to no end").unwrap();
        // Dropped before the kernel has seen it; it receives all the same.
        assert!(times(1, stream.read(Vec::with_capacity(8))).await.is_none());
        let IntoStd { mut stream, unread, error, .. } = stream.into_std().await.unwrap();
        assert!(error.is_none());
        assert_eq!(unread, b"received");
        let mut rest = [0; 10];
        stream.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b" to no end");
        // And back.
        let mut stream = TcpStream::from_std(stream);
        peer.write_all(b"again").unwrap();
        assert_eq!(stream.read(Vec::with_capacity(9)).await.1, b"again");
    });
}

/// The standard library's sockets may be set to be non-blocking.
#[test]
fn non_blocking_sockets_wait_as_others_do() {
    run(async {
        let (near, mut far) = pair();
        near.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(near);
        let reading = spawn(async move {
            let BufResult(result, _) = stream.read_exact(vec![0; 2]).await;
            result.map(|()| stream)
        });
        until(|| metrics().in_kernel > 0).await;
        far.write_all(b"a").unwrap();
        annulus::time::sleep(Duration::from_millis(1)).await;
        far.write_all(b"b").unwrap();
        let mut stream = reading.await.unwrap().unwrap();
        let echoing = thread::spawn(move || far.read_exact(&mut vec![0; 8 << 20]));
        stream.write_all(vec![0; 8 << 20]).await.0.unwrap();
        echoing.join().unwrap().unwrap();

        let (listener, address) = listening();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener);
        let accepting = spawn(async move { listener.accept().await.map(|(_, from)| from) });
        until(|| metrics().in_kernel > 0).await;
        let peer = Peer::connect(address).unwrap();
        assert_eq!(accepting.await.unwrap().unwrap(), peer.local_addr().unwrap());
    });
}

#[test]
fn a_stream_given_to_the_standard_library_is_blocking() {
    run(async {
        let (near, _far) = pair();
        near.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(near).into_std().await.unwrap().stream;
        // SAFETY: the call takes no pointers.
        let flags = unsafe { libc::fcntl(stream.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0);
    });
}

/// A ring that accepts by ordinary system calls has it non-blocking meanwhile.
#[test]
fn a_listener_given_to_the_standard_library_is_blocking() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
        listener.accept().await.unwrap();
        assert!(times(2, listener.accept()).await.is_none());
        let (listener, _) = listener.into_std().await.unwrap();
        // SAFETY: the call takes no pointers.
        let flags = unsafe { libc::fcntl(listener.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0);
    });
}

/// What `into_std` waits for is every dropped operation, so that the descriptor is the only one.
#[test]
fn a_stream_given_to_the_standard_library_keeps_its_descriptor() {
    run(async {
        for operation in 0..3 {
            let (mut stream, _peer) = connected();
            let before = stream.as_raw_fd();
            let dropped = match operation {
                0 => times(1, stream.read(vec![0])).await.is_none(),
                1 => times(1, stream.read_exact(vec![0])).await.is_none(),
                _ => times(1, stream.peek(vec![0])).await.is_none(),
            };
            assert!(dropped);
            let stream = stream.into_std().await.unwrap().stream;
            assert_eq!(stream.as_raw_fd(), before, "operation {operation}");
        }
    });
}

// Accepting

#[test]
fn connections_come_as_a_stream() {
    run(async {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peers: Vec<_> = (0..300).map(|_| Peer::connect(address).unwrap()).collect();
        let incoming: Vec<_> = listener.incoming().take(peers.len()).collect().await;
        for (peer, connection) in peers.iter().zip(incoming) {
            let (stream, from) = connection.unwrap();
            assert_eq!(from, peer.local_addr().unwrap());
            assert_eq!(stream.peer_addr().unwrap(), from);
        }
    });
}

#[test]
fn a_connection_that_was_reset_in_the_backlog_does_not_disturb_the_listener() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gone = Peer::connect(address).unwrap();
        let gone_from = gone.local_addr().unwrap();
        reset(gone);
        let peer = Peer::connect(address).unwrap();
        let (mut stream, from) = listener.accept().await.unwrap();
        assert_eq!(from, gone_from, "the kernel knows whose it was");
        assert_eq!(stream.peer_addr().unwrap(), from);
        let error = stream.read(vec![0]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(listener.accept().await.unwrap().1, peer.local_addr().unwrap());
    });
}
