//! Connections that break: what a reset leaves to be read, and that no read or write hides it.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use annulus::buf::BufResult;
use annulus::net::{IntoStd, TcpStream};
use annulus::time::sleep;
use annulus::{Runtime, metrics};

use crate::common::bounded::bounded;
use crate::common::net::{connected, reset};
use crate::common::patience::limit;
use crate::common::poll::{once, times, until, yield_times};
use crate::common::watchdog::run;

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
