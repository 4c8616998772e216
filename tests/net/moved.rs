//! Connections that move from one runtime to another: nothing is lost, and nothing changes its
//! order.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as UnixPeer;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use annulus::buf::BufResult;
use annulus::io::ReadError;
use annulus::net::{StreamParts, TcpParts, TcpStream, UnixParts, UnixStream};
use annulus::{Runtime, metrics};

use crate::common::bounded::bounded;
use crate::common::net::{accepted, connected, reset};
use crate::common::patience::patient;
use crate::common::poll::{once, times, until};
use crate::common::random::seeded;
use crate::common::watchdog::run;

/// Moves a stream out of this runtime and back, and thus through another thread.
async fn moved(stream: TcpStream) -> TcpStream {
    let parts = stream.into_parts().await.unwrap();
    TcpStream::from_parts(thread::spawn(move || parts).join().unwrap())
}

#[test]
fn the_parts_of_a_connection_are_send() {
    fn is_send<T: Send>() {}
    is_send::<TcpParts>();
    is_send::<UnixParts>();
}

/// The peer sends without a pause while the connection changes its thread time and again, each time
/// with a read in flight: by multishot, with an owned buffer, or a peek. Whatever is lost,
/// duplicated or overtaken breaks the sequence.
macro_rules! hop {
    ($stream:ty, $near:expr, $peer:expr) => {{
        const TOTAL: usize = 4 << 20;
        let mut peer = $peer;
        let sending = thread::spawn(move || {
            let all: Vec<u8> = (0..TOTAL).map(|n| (n % 251) as u8).collect();
            for part in all.chunks(1000) {
                peer.write_all(part).unwrap();
            }
            let mut replies = Vec::new();
            peer.shutdown(Shutdown::Write).unwrap();
            peer.read_to_end(&mut replies).unwrap();
            replies
        });
        let mut random = seeded();
        let mut parts: StreamParts<$stream> = $near;
        let (mut received, mut hops) = (0, 0);
        let mut is_over = false;
        while !is_over {
            let choices: Vec<u32> = (0..3).map(|_| random.u32(..)).collect();
            let (hopped, count, end) = thread::spawn(move || {
                run(async move {
                    let mut stream = <$stream>::from_parts(parts);
                    let mut position = received;
                    let mut is_over = false;
                    let mut take = |bytes: &[u8]| {
                        for &byte in bytes {
                            assert_eq!(byte, (position % 251) as u8, "at {position}");
                            position += 1;
                        }
                        is_over |= bytes.is_empty();
                    };
                    for choice in choices {
                        match choice % 4 {
                            0 | 1 => take(&stream.recv().await.unwrap()),
                            2 => take(&stream.read(vec![0; 777]).await.into_result().unwrap().1),
                            _ => {
                                if let Some(read) = times(2, stream.read(vec![0; 3000])).await {
                                    take(&read.into_result().unwrap().1);
                                }
                            }
                        }
                    }
                    stream.write_all(vec![hops as u8; 3]).await.0.unwrap();
                    // A read in flight.
                    if hops % 2 == 0 {
                        if let Some(received) = times(1, stream.recv()).await {
                            take(&received.unwrap());
                        }
                    } else {
                        drop(times(1, stream.peek(vec![0; 10])).await);
                    }
                    (stream.into_parts().await.unwrap(), position, is_over)
                })
            })
            .join()
            .unwrap();
            (parts, received, is_over) = (hopped, count, end);
            hops += 1;
        }
        assert_eq!(received, TOTAL);
        drop(parts);
        let expected: Vec<u8> = (0..hops).flat_map(|hop| [hop as u8; 3]).collect();
        assert_eq!(sending.join().unwrap(), expected);
        assert!(hops > 10, "{hops} hops");
    }};
}

#[test]
fn a_tcp_connection_that_changes_its_thread_keeps_every_byte_in_order() {
    bounded(|| {
        let (near, peer) = crate::common::net::pair();
        let parts = run(async { TcpStream::from_std(near).into_parts().await.unwrap() });
        hop!(TcpStream, parts, peer);
    });
}

#[test]
fn a_unix_connection_that_changes_its_thread_keeps_every_byte_in_order() {
    bounded(|| {
        let (near, peer) = UnixPeer::pair().unwrap();
        let parts = run(async { UnixStream::from_std(near).into_parts().await.unwrap() });
        hop!(UnixStream, parts, peer);
    });
}

#[test]
fn a_moved_connection_shows_its_unread_bytes_and_its_peer() {
    run(async {
        let (mut stream, mut peer) = accepted().await;
        peer.write_all(b"GET /").unwrap();
        // It has received into a buffer that is dropped.
        assert!(times(1, stream.read(vec![0; 16])).await.is_none());
        let parts = stream.into_parts().await.unwrap();
        assert_eq!(parts.unread(), b"GET /");
        assert_eq!(parts.peer_addr().unwrap(), peer.local_addr().unwrap());
        reset(peer);
        let moved = thread::spawn(move || {
            run(async {
                // The kernel would not tell it any more.
                TcpStream::from_parts(parts).peer_addr().unwrap();
            });
        });
        moved.join().unwrap();
    });
}

/// The kernel reports a reset once: to the next read after it the connection would look ended.
#[test]
fn a_reset_that_a_dropped_read_met_moves_with_the_connection() {
    bounded(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let (mut stream, peer) = connected();
            let mut read = Box::pin(stream.read(vec![0; 8]));
            assert!(once(read.as_mut()).await.is_pending());
            until(|| metrics().in_kernel > 0).await;
            reset(peer);
            until(|| metrics().in_kernel == 0).await;
            drop(read);
            let mut stream = moved(stream).await;
            let error = stream.read(vec![0]).await.0.expect_err("the stream has no proper end");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        });
    });
}

/// Here a write has met it, and later reads and writes know the reason.
#[test]
fn the_reason_why_a_connection_has_broken_moves_with_it() {
    run(async {
        let (mut stream, peer) = connected();
        reset(peer);
        let error = stream.write_all("x").await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let mut stream = moved(stream).await;
        let error = stream.recv().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        let error = stream.write_all("x").await.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    });
}

/// A read that is polled once and dropped, time and again, sees it all the same.
#[test]
fn eof_that_a_dropped_read_met_moves_with_the_connection() {
    bounded(|| {
        Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(async {
            let (mut stream, peer) = connected();
            let mut read = Box::pin(stream.read(vec![0; 8]));
            assert!(once(read.as_mut()).await.is_pending());
            until(|| metrics().in_kernel > 0).await;
            peer.shutdown(Shutdown::Write).unwrap();
            until(|| metrics().in_kernel == 0).await;
            drop(read);
            let mut stream = moved(stream).await;
            let end = times(1, stream.recv()).await.expect("the kernel need not be asked");
            assert!(end.unwrap().is_empty());
        });
    });
}

#[test]
fn a_reader_and_a_writer_become_a_stream_again_with_all_that_was_read_ahead() {
    run(async {
        let (stream, mut peer) = connected();
        let (mut reader, mut writer) = stream.into_buffered();
        peer.write_all(b"first\nsecond\nthi").unwrap();
        assert_eq!(&*reader.read_line().await.unwrap(), b"first\n");
        writer.write("queued ").await.unwrap();
        let stream = TcpStream::from_buffered(reader, writer).await.unwrap();
        let stream = moved(stream).await;
        let (mut reader, mut writer) = stream.into_buffered();
        assert_eq!(&*reader.read_line().await.unwrap(), b"second\n");
        peer.write_all(b"rd\n").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(&*reader.read_line().await.unwrap(), b"third\n");
        assert_eq!(&*reader.read_line().await.unwrap(), b"");
        writer.write("and sent").await.unwrap();
        // EOF that the reader has met is not waited for again.
        let mut stream = moved(TcpStream::from_buffered(reader, writer).await.unwrap()).await;
        assert!(times(1, stream.recv()).await.expect("it is known").unwrap().is_empty());
        drop(stream);
        let mut sent = String::new();
        peer.read_to_string(&mut sent).unwrap();
        assert_eq!(sent, "queued and sent");
    });
}

#[test]
fn the_final_error_of_a_reader_stays_with_the_stream() {
    run(async {
        let (stream, mut peer) = connected();
        let (mut reader, writer) = stream.into_buffered();
        peer.write_all(b"torn").unwrap();
        assert_eq!(reader.fill().await.unwrap(), b"torn");
        reset(peer);
        let error = reader.read_line().await.unwrap_err();
        assert!(matches!(error, ReadError::Io(_)), "{error}");
        let stream = TcpStream::from_buffered(reader, writer).await.unwrap();
        let mut stream = moved(stream).await;
        assert_eq!(&*stream.recv().await.unwrap(), b"torn");
        let error = stream.recv().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    });
}

/// A peer could otherwise smuggle in a line after 64 KiB of padding.
#[test]
fn the_rest_of_an_overlong_line_is_not_handed_over() {
    run(async {
        let (stream, mut peer) = connected();
        let (mut reader, writer) = stream.into_buffered();
        reader.set_limit(10);
        peer.write_all(b"more than ten bytes").unwrap();
        let error = reader.read_line().await.unwrap_err();
        assert!(matches!(error, ReadError::LimitOverrun { .. }), "{error}");
        let mut uniting = Box::pin(TcpStream::from_buffered(reader, writer));
        assert!(times(10, uniting.as_mut()).await.is_none());
        peer.write_all(b" and their end\nnext\n").unwrap();
        let mut stream = uniting.await.unwrap();
        let BufResult(result, next) = stream.read_exact(vec![0; 5].into_boxed_slice()).await;
        result.unwrap();
        assert_eq!(&*next, b"next\n");
    });
}

#[test]
fn a_reader_and_a_writer_of_two_connections_are_no_stream() {
    run(async {
        let (first, _peer) = connected();
        let (second, _other) = connected();
        let (reader, _writer) = first.into_buffered();
        let (_reader, writer) = second.into_buffered();
        let error = TcpStream::from_buffered(reader, writer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    });
}

/// A shard that gets parts which it cannot use must not wait for their peer.
#[test]
fn dropping_the_parts_of_a_lingering_connection_does_not_wait() {
    bounded(|| {
        let (parts, peer) = run(async {
            let (stream, mut peer) = connected();
            stream.set_linger(Some(Duration::from_secs(40))).unwrap();
            let mut stream = stream;
            // More than the peer's socket takes; the peer does not read.
            while times(3, stream.write(vec![1; 1 << 20])).await.is_some() {}
            peer.write_all(b"x").unwrap();
            assert_eq!(stream.recv().await.unwrap().len(), 1);
            (stream.into_parts().await.unwrap(), peer)
        });
        let (started, dropping) = (Instant::now(), mpsc::channel());
        let ended = dropping.0;
        thread::spawn(move || {
            drop(parts);
            ended.send(()).unwrap();
        });
        dropping.1.recv_timeout(patient(Duration::from_secs(20))).expect("the drop waits");
        assert!(started.elapsed() < patient(Duration::from_secs(20)));
        drop(peer);
    });
}
