//! The whole of `annulus::net`, against the standard library's sockets.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener, TcpStream as Peer};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use annulus::buf::{BufResult, IoBuf};
use annulus::net::IntoStd;
use annulus::net::{TcpListener, TcpStream, lookup};
use annulus::time::sleep;
use annulus::{Runtime, metrics, raw_os_error, spawn};
use blake3::Hasher;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::common::bounded::bounded;
use crate::common::net::{connected, full_listener, pair, reset};
use crate::common::pair::{ask, echo};
use crate::common::patience::limit;
use crate::common::poll::{once, times, until, yield_times};
use crate::common::random::seeded;
use crate::common::skip::lacks_ipv6;
use crate::common::watchdog::run;

/// An address on which no socket listens.
fn refusing() -> SocketAddr {
    StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

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
        let stream = TcpStream::connect(vec![refusing(), refusing(), address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let (_, from) = listener.accept().unwrap();
        assert_eq!(stream.local_addr().unwrap(), from);
    });
}

#[test]
fn a_refused_connect_says_to_which_address() {
    run(async {
        let address = refusing();
        let error = TcpStream::connect(&[refusing(), address][..]).await.unwrap_err();
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

// Reading

#[test]
fn a_read_takes_what_is_there_and_zero_at_the_end() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"hello").unwrap();
        let BufResult(result, buffer) = stream.read(Vec::with_capacity(3)).await;
        assert_eq!((result.unwrap(), &buffer[..]), (3, &b"hel"[..]));
        // It fills from the start, whatever the length was.
        let BufResult(result, buffer) = stream.read(buffer).await;
        assert_eq!((result.unwrap(), &buffer[..]), (2, &b"lo"[..]));
        drop(peer);
        for _ in 0..2 {
            let BufResult(result, buffer) = stream.read(vec![1; 3]).await;
            assert_eq!((result.unwrap(), buffer.len()), (0, 0));
            assert_eq!(stream.peek(vec![1; 3]).await.0.unwrap(), 0);
        }
    });
}

#[test]
fn empty_buffers_read_and_write_nothing() {
    run(async {
        let (mut stream, mut peer) = connected();
        // Nothing is there, and nothing has ended; none of these waits.
        assert_eq!(stream.read(Vec::new()).await.0.unwrap(), 0);
        assert_eq!(stream.peek(BytesMut::new()).await.0.unwrap(), 0);
        stream.read_exact(Box::new([])).await.0.unwrap();
        assert_eq!(stream.write("").await.0.unwrap(), 0);
        stream.write_all(Bytes::new()).await.0.unwrap();
        assert_eq!(stream.write_vectored(vec!["", ""]).await.0.unwrap(), 0);
        assert_eq!(stream.write_vectored(Vec::<String>::new()).await.0.unwrap(), 0);
        // Nor does a read of nothing take something.
        peer.write_all(b"x").unwrap();
        assert_eq!(stream.read(Vec::new()).await.0.unwrap(), 0);
        assert_eq!(stream.read(vec![0]).await.1, b"x");
    });
}

#[test]
fn read_exact_waits_for_all_and_gives_what_came_before_an_early_end() {
    run(async {
        let (mut stream, mut peer) = connected();
        let sender = thread::spawn(move || {
            for byte in b"exactly, and more" {
                peer.write_all(&[*byte]).unwrap();
            }
        });
        let BufResult(result, buffer) = stream.read_exact(Box::new([0; 7])).await;
        result.unwrap();
        assert_eq!(&*buffer, b"exactly");
        let BufResult(result, buffer) = stream.read_exact(Vec::with_capacity(64)).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(error.to_string().starts_with("recv: "), "{error}");
        assert_eq!(buffer, b", and more");
        sender.join().unwrap();
    });
}

#[test]
fn peek_leaves_what_it_shows() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"look").unwrap();
        for _ in 0..2 {
            let BufResult(result, buffer) = stream.peek(Vec::with_capacity(3)).await;
            assert_eq!((result.unwrap(), &buffer[..]), (3, &b"loo"[..]));
        }
        let BufResult(result, buffer) = stream.read_exact(Box::new([0; 4])).await;
        result.unwrap();
        assert_eq!(&*buffer, b"look");
    });
}

#[test]
fn slices_are_read_into_and_written_from_where_they_lie() {
    const LENGTH: usize = 8 << 20;
    run(async {
        let (mut stream, mut peer) = connected();
        let mut content = vec![0; LENGTH];
        seeded().fill(&mut content);
        let sent = content.clone();
        let sender = thread::spawn(move || {
            peer.write_all(&sent).unwrap();
            let mut echoed = vec![0; LENGTH];
            peer.read_exact(&mut echoed).unwrap();
            assert!(echoed == sent);
        });
        // Behind a length, with room left over at the end.
        let mut buffer = Vec::with_capacity(LENGTH + 100);
        buffer.extend_from_slice(b"head");
        let BufResult(result, slice) = stream.read_exact(buffer.slice(4..4 + LENGTH)).await;
        result.unwrap();
        let buffer = slice.into_inner();
        assert!(buffer[..4] == *b"head" && buffer[4..] == content);
        let BufResult(result, slice) = stream.write_all(buffer.slice(4..)).await;
        result.unwrap();
        assert_eq!(slice.into_inner().len(), 4 + LENGTH);
        sender.join().unwrap();
    });
}

// Writing

#[test]
fn sixteen_mebibytes_are_written_whole() {
    const LENGTH: usize = 16 << 20;
    run(async {
        let (mut stream, mut peer) = connected();
        let receiver = thread::spawn(move || {
            let mut hash = Hasher::new();
            std::io::copy(&mut peer, &mut hash).unwrap();
            hash.finalize()
        });
        let mut content = vec![0; LENGTH];
        seeded().fill(&mut content);
        let BufResult(result, content) = stream.write_all(content).await;
        result.unwrap();
        // A write may take less.
        let BufResult(result, content) = stream.write(Bytes::from(content)).await;
        let more = result.unwrap();
        assert!((1..=LENGTH).contains(&more));
        drop(stream);
        let mut hash = Hasher::new();
        hash.update(&content).update(&content[..more]);
        assert_eq!(receiver.join().unwrap(), hash.finalize());
    });
}

#[test]
fn a_vectored_write_sends_its_buffers_in_order() {
    run(async {
        let (mut stream, mut peer) = connected();
        for _ in 0..2 {
            let BufResult(result, buffers) =
                stream.write_vectored(vec!["one ", "", "two ", "three"]).await;
            assert_eq!(result.unwrap(), 13);
            assert_eq!(buffers.len(), 4, "they come back");
            let mut received = [0; 13];
            peer.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"one two three");
        }
    });
}

/// As the standard library's does.
#[test]
fn a_vectored_write_of_more_buffers_than_the_kernel_takes_writes_the_first() {
    run(async {
        let (mut stream, mut peer) = connected();
        let mut buffers = vec![""; 2000];
        buffers.extend(["ab"; 5000]);
        let BufResult(result, buffers) = stream.write_vectored(buffers).await;
        assert_eq!((result.unwrap(), buffers.len()), (2048, 7000));
        peer.read_exact(&mut vec![0; 2048]).unwrap();
    });
}

#[test]
fn all_of_several_buffers_are_written_however_many_and_however_slowly_the_peer_reads() {
    run(async {
        let (mut stream, mut peer) = connected();
        stream.set_send_buffer_size(4096).unwrap();
        let mut random = crate::common::random::seeded();
        let mut buffers = Vec::new();
        for number in 0..5000_usize {
            let length = random.choice([0, 1, 300, 2000]).unwrap();
            buffers.push(vec![number as u8; length]);
        }
        let expected = buffers.concat();
        let reader = thread::spawn(move || {
            let (mut all, mut piece) = (Vec::new(), vec![0; 10_000]);
            loop {
                match peer.read(&mut piece).unwrap() {
                    0 => return all,
                    count => all.extend_from_slice(&piece[..count]),
                }
                thread::yield_now();
            }
        });
        let BufResult(result, returned) = stream.write_all_vectored(buffers).await;
        result.unwrap();
        assert!(returned.concat() == expected, "they come back as they were");
        assert_eq!(stream.write_all_vectored(vec!["", ""]).await.1, ["", ""]);
        drop(stream);
        assert!(reader.join().unwrap() == expected);
    });
}

#[test]
fn each_direction_can_be_shut_down_alone() {
    run(async {
        let (mut stream, mut peer) = connected();
        stream.write_all("request").await.0.unwrap();
        stream.shutdown(Shutdown::Write).await.unwrap();
        let mut request = String::new();
        peer.read_to_string(&mut request).unwrap();
        assert_eq!(request, "request");
        assert_eq!(stream.write("more").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
        peer.write_all(b"reply").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read_exact(vec![0; 5]).await.1, b"reply");
        assert_eq!(stream.read(vec![0]).await.0.unwrap(), 0);

        let (mut stream, mut peer) = connected();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(vec![0]).await.0.unwrap(), 0);
        stream.write_all("still writing").await.0.unwrap();
        stream.shutdown(Shutdown::Both).await.unwrap();
        let mut received = String::new();
        peer.read_to_string(&mut received).unwrap();
        assert_eq!(received, "still writing");
    });
}

#[test]
fn a_shutdown_ends_a_read_that_waits_in_the_other_half() {
    run(async {
        let (stream, _peer) = connected();
        let descriptor = socket2::SockRef::from(&stream).try_clone().unwrap();
        let (mut read, _write) = stream.into_split();
        let reading = spawn(async move { read.read(vec![0]).await.0.unwrap() });
        until(|| metrics().in_kernel > 0).await;
        descriptor.shutdown(Shutdown::Read).unwrap();
        assert_eq!(reading.await.unwrap(), 0);
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

// Broken connections

#[test]
fn every_read_after_a_reset_reports_it() {
    run(async {
        let (mut stream, peer) = connected();
        reset(peer);
        let error = stream.read(vec![0]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(error.to_string().starts_with("recv: "), "{error}");
        let again = stream.read(vec![0]).await.0.unwrap_err();
        assert_eq!(again.to_string(), error.to_string(), "it is no end");
        assert_eq!(stream.recv().await.unwrap_err().to_string(), error.to_string());
        let exact = stream.read_exact(vec![0]).await.0.unwrap_err();
        assert_eq!(exact.to_string(), error.to_string());

        let (mut stream, peer) = connected();
        reset(peer);
        let error = stream.peek(vec![0]).await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

/// The kernel tells a write of the reset, if that comes first, and then has the connection end.
#[test]
fn a_reset_that_a_write_met_is_no_eof_to_reads() {
    run(async {
        for way in 0..5 {
            let (mut stream, peer) = connected();
            reset(peer);
            let error = match way {
                0 => stream.write("x").await.0.unwrap_err(),
                1 => stream.write_all("x").await.0.unwrap_err(),
                2 => stream.write_all_vectored(vec!["x"]).await.0.unwrap_err(),
                3 => stream.write_all_zero_copy(vec![0; 1 << 20]).await.unwrap_err(),
                _ => stream.send_file(&File::open("Cargo.toml").unwrap(), ..).await.unwrap_err(),
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            assert_finds_the_reset(stream).await;
        }
    });
}

#[test]
fn a_reset_that_a_dropped_write_met_is_told_to_the_next_read() {
    run(async {
        for zero_copy in [false, true] {
            let (mut stream, peer) = connected();
            // With an SQE before it, the write is one, too.
            let (mut other, _far) = connected();
            assert!(times(1, other.read(vec![0])).await.is_none());
            reset(peer);
            if zero_copy {
                assert!(times(1, stream.write_all_zero_copy(vec![0; 1 << 20])).await.is_none());
            } else {
                assert!(times(1, stream.write_all("x")).await.is_none());
            }
            assert_finds_the_reset(stream).await;
        }
    });
}

async fn assert_finds_the_reset(mut stream: TcpStream) {
    yield_times(3).await;
    for round in 0..2 {
        let error = match round {
            0 => stream.peek(vec![0]).await.0.unwrap_err(),
            _ => stream.read(vec![0]).await.0.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    let error = stream.recv().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    let error = stream.write_all("x").await.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    let error = stream.into_std().await.unwrap().error.expect("the error goes with it");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

/// What came before the reset comes first, and an end that came before it stays one.
#[test]
fn a_reset_hides_neither_bytes_nor_an_end_that_came_before_it() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"last").unwrap();
        reset(peer);
        assert!(stream.write_all("x").await.0.is_err());
        assert_eq!(&*stream.recv().await.unwrap(), b"last");
        assert!(stream.recv().await.is_err());

        let (mut stream, mut peer) = connected();
        peer.write_all(b"last").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        reset(peer);
        assert!(stream.write_all("x").await.0.is_err());
        assert_eq!(&*stream.recv().await.unwrap(), b"last");
        assert!(stream.recv().await.unwrap().is_empty(), "all had been sent");
        assert!(stream.recv().await.unwrap().is_empty());
    });
}

/// Its own end of writing says nothing of the other direction.
#[test]
fn a_write_after_the_end_of_writing_is_a_broken_pipe_and_reads_go_on() {
    run(async {
        let (mut stream, mut peer) = connected();
        stream.shutdown(Shutdown::Write).await.unwrap();
        let error = stream.write_all("x").await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
        peer.write_all(b"answer").unwrap();
        assert_eq!(&*stream.recv().await.unwrap(), b"answer");
        drop(peer);
        assert!(stream.recv().await.unwrap().is_empty());
    });
}

/// The kernel reports an error once: to a read that was dropped, if that is what it meets. Polled
/// once and dropped, time and again, a read is never the one that the kernel tells of the end: what
/// a dropped one has met must be kept.
#[test]
fn the_end_that_a_dropped_read_met_is_told_to_the_next() {
    run(async {
        for way in ["recv", "read", "read_exact", "recv and read by turns"] {
            let (mut stream, mut peer) = connected();
            peer.write_all(b"xyz").unwrap();
            drop(peer);
            let (mut received, mut has_ended, mut looks) = (0, false, 0);
            let deadline = Instant::now() + limit();
            while !has_ended {
                assert!(Instant::now() < deadline, "{way} never met the end");
                looks += 1;
                let is_odd = looks % 2 == 1;
                let looked = match way {
                    "read_exact" => {
                        let exact = Box::pin(stream.read_exact(Vec::with_capacity(5)));
                        times(1, exact).await.map(|BufResult(result, buffer)| {
                            assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
                            assert_eq!(buffer, b"xyz");
                            received = 3;
                            0
                        })
                    }
                    "recv and read by turns" if is_odd => {
                        times(1, stream.recv()).await.map(|lease| lease.unwrap().len())
                    }
                    "recv" => times(1, stream.recv()).await.map(|lease| lease.unwrap().len()),
                    _ => {
                        let read = times(1, stream.read(Vec::with_capacity(2))).await;
                        read.map(|BufResult(result, _)| result.unwrap())
                    }
                };
                if let Some(count) = looked {
                    received += count;
                    has_ended = count == 0;
                }
                sleep(Duration::from_micros(50)).await;
            }
            assert_eq!(received, 3, "{way}");
            // Once, and behind it the kernel is asked again.
            assert!(stream.recv().await.unwrap().is_empty());
        }
    });
}

#[test]
fn a_reset_that_a_dropped_read_met_is_told_to_the_next() {
    drop_a_read_that_meets_a_reset(b"");
}

/// A reset that passes for the end of the stream would pass off what came as the whole.
#[test]
fn a_reset_that_a_dropped_read_met_behind_some_bytes_is_told_to_the_next() {
    drop_a_read_that_meets_a_reset(b"abc");
}

fn drop_a_read_that_meets_a_reset(bytes: &[u8]) {
    bounded(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let (mut stream, mut peer) = connected();
            let mut read = Box::pin(stream.read_exact(vec![0; 8]));
            assert!(once(read.as_mut()).await.is_pending());
            until(|| metrics().in_kernel > 0).await;
            peer.write_all(bytes).unwrap();
            reset(peer);
            until(|| metrics().in_kernel == 0).await;
            drop(read);
            if !bytes.is_empty() {
                assert_eq!(stream.read(vec![0; 8]).await.1, bytes);
            }
            let error = stream.read(vec![0]).await.0.expect_err("the stream has no proper end");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        });
    });
}

/// It has received twice: once for the read, and once after the read was dropped.
#[test]
fn a_read_exact_that_is_dropped_in_the_middle_loses_nothing() {
    run(async {
        let (mut stream, mut peer) = connected();
        let mut read = Box::pin(stream.read_exact(vec![0; 16]));
        for part in [b"abc", b"def"] {
            assert!(once(read.as_mut()).await.is_pending());
            until(|| metrics().queued == 0).await;
            let completed = metrics().completed;
            peer.write_all(part).unwrap();
            until(|| metrics().completed > completed).await;
        }
        drop(read);
        peer.write_all(b"ghijkl").unwrap();
        let BufResult(result, received) = stream.read_exact(vec![0; 9]).await;
        result.unwrap();
        assert_eq!(received, b"abcdefghi");
    });
}

/// The kernel does not report it again, so the standard library could not tell it from an end.
#[test]
fn a_reset_that_a_dropped_read_met_goes_with_the_stream_to_the_standard_library() {
    bounded(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let (mut stream, peer) = connected();
            let mut read = Box::pin(stream.read(vec![0; 8]));
            assert!(once(read.as_mut()).await.is_pending());
            until(|| metrics().in_kernel > 0).await;
            reset(peer);
            until(|| metrics().in_kernel == 0).await;
            drop(read);
            let IntoStd { unread, error, .. } = stream.into_std().await.unwrap();
            assert_eq!(unread, [0; 0]);
            assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::ConnectionReset));
        });
    });
}

#[test]
fn a_reset_that_a_dropped_peek_met_is_told_to_the_next_read() {
    bounded(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let (mut stream, peer) = connected();
            let mut peek = Box::pin(stream.peek(vec![0; 8]));
            assert!(once(peek.as_mut()).await.is_pending());
            until(|| metrics().in_kernel > 0).await;
            reset(peer);
            until(|| metrics().in_kernel == 0).await;
            drop(peek);
            let error = stream.read(vec![0]).await.0.expect_err("the stream has no proper end");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        });
    });
}

#[test]
fn a_reset_in_the_middle_of_read_exact_is_no_early_end() {
    bounded(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let (mut stream, mut peer) = connected();
            let mut read = Box::pin(stream.read_exact(vec![0; 8]));
            assert!(once(read.as_mut()).await.is_pending());
            until(|| metrics().in_kernel > 0).await;
            peer.write_all(b"abc").unwrap();
            reset(peer);
            let BufResult(result, buffer) = read.await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(&buffer[..3], b"abc");
        });
    });
}
