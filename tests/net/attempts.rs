//! Reads and writes that are done at once or not at all.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::pin::pin;

use annulus::net::{OwnedReadHalf, TcpStream, UnixStream};
use annulus::{Runtime, yield_now};

use crate::common::bounded::bounded;
use crate::common::net::{connected, pair, reset};
use crate::common::poll::{once, until, yield_times};
use crate::common::watchdog::run;

/// Writes a ramp until the socket is full, and returns how many bytes that were.
async fn fill(stream: &mut TcpStream) -> usize {
    let ramp: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
    let mut written = 0;
    let mut refused = 0;
    while refused < 3 {
        match stream.try_write(&ramp[written % 256..]) {
            Ok(count) => (written, refused) = (written + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                // More than the budgets of this turn.
                refused += 1;
                yield_now().await;
            }
        }
    }
    written
}

#[test]
fn a_try_writes_until_the_socket_is_full_and_again_when_it_has_room() {
    run(async {
        let (mut stream, mut peer) = connected();
        assert_eq!(stream.try_write(b"").unwrap(), 0);
        let written = fill(&mut stream).await;
        assert!(written > 4096);
        let mut received = vec![0; written];
        peer.read_exact(&mut received).unwrap();
        assert!(received.iter().enumerate().all(|(index, &byte)| byte == index as u8));
        until(|| stream.try_write(b"x").is_ok()).await;
        peer.read_exact(&mut received[..1]).unwrap();
        assert_eq!(received[0], b'x');
    });
}

/// The race: a dropped write is in the kernel, and will still send some of its bytes.
#[test]
fn a_try_does_not_overtake_a_write_that_was_dropped_in_flight() {
    bounded(|| {
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        runtime.block_on(async {
            let (mut stream, mut peer) = connected();
            // The first of its turn would be an inline call.
            stream.try_write(b"0").unwrap();
            {
                let mut dropped = pin!(stream.write_all(vec![1; 100]));
                assert!(once(dropped.as_mut()).await.is_pending());
            }
            assert_eq!(stream.try_write(b"2").unwrap_err().kind(), ErrorKind::WouldBlock);
            until(|| stream.try_write(b"2").is_ok()).await;
            drop(stream);
            let mut received = Vec::new();
            peer.read_to_end(&mut received).unwrap();
            let (first, rest) = received.split_first().unwrap();
            let (last, between) = rest.split_last().unwrap();
            assert_eq!((first, last), (&b'0', &b'2'));
            assert!(between.iter().all(|&byte| byte == 1));
        });
    });
}

#[test]
fn a_try_reads_what_there_is_and_eof() {
    run(async {
        let (mut stream, mut peer) = connected();
        let mut memory = [0; 4];
        assert_eq!(stream.try_read(&mut []).unwrap(), 0);
        assert_eq!(stream.try_read(&mut memory).unwrap_err().kind(), ErrorKind::WouldBlock);
        peer.write_all(b"hello").unwrap();
        until(|| stream.try_read(&mut memory).is_ok()).await;
        assert_eq!(&memory, b"hell");
        assert_eq!(stream.try_read(&mut memory).unwrap(), 1);
        assert_eq!(&memory, b"oell");
        peer.shutdown(Shutdown::Write).unwrap();
        until(|| stream.try_read(&mut memory).is_ok_and(|count| count == 0)).await;
        assert_eq!(stream.try_read(&mut memory).unwrap(), 0);
    });
}

#[test]
fn a_try_reads_what_a_dropped_read_has_left_and_not_before_it() {
    bounded(|| {
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        runtime.block_on(async {
            let (mut stream, mut peer) = connected();
            {
                let mut dropped = pin!(stream.read(vec![0; 3]));
                assert!(once(dropped.as_mut()).await.is_pending());
                yield_times(2).await;
                peer.write_all(b"abcdef").unwrap();
            }
            let mut memory = [0; 6];
            assert_eq!(stream.try_read(&mut memory).unwrap_err().kind(), ErrorKind::WouldBlock);
            let mut received = Vec::new();
            while received.len() < 6 {
                match stream.try_read(&mut memory) {
                    Ok(count) => received.extend_from_slice(&memory[..count]),
                    Err(_) => yield_now().await,
                }
            }
            assert_eq!(received, b"abcdef");
        });
    });
}

/// Small messages in a row are received by one multishot SQE, ahead of the reader.
#[test]
fn a_try_reads_what_a_multishot_receive_has_received_in_order() {
    run(async {
        let (mut stream, mut peer) = connected();
        let (mut expected, mut received) = (Vec::new(), Vec::new());
        for round in 0..200_u8 {
            peer.write_all(&[round, 1, 2, 3]).unwrap();
            expected.extend([round, 1, 2, 3]);
            while received.len() < expected.len() {
                if round % 7 < 4 {
                    received.extend_from_slice(&stream.recv().await.unwrap());
                    continue;
                }
                let mut memory = [0; 3];
                match stream.try_read(&mut memory) {
                    Ok(count) => received.extend_from_slice(&memory[..count]),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        yield_now().await;
                    }
                }
            }
        }
        assert_eq!(received, expected);
        assert!(annulus::metrics().multishot_receives > 0, "the test has not met one");
        drop(peer);
        until(|| stream.try_read(&mut [0]).is_ok_and(|count| count == 0)).await;
    });
}

#[test]
fn a_try_on_a_connection_that_was_reset_fails_with_the_reason() {
    run(async {
        let (mut stream, peer) = connected();
        reset(peer);
        until(|| {
            let read = stream.try_read(&mut [0]);
            read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
        })
        .await;
        assert_eq!(stream.try_write(b"x").unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn tries_in_a_loop_end_so_that_other_tasks_run() {
    run(async {
        let (mut stream, mut peer) = connected();
        let mut writes = 0;
        while stream.try_write(b"x").is_ok() {
            writes += 1;
            assert!(writes < 1000, "the budget of a task is 128 operations");
        }
        peer.write_all(&[7; 2000]).unwrap();
        yield_times(3).await;
        let mut reads = 0;
        while stream.try_read(&mut [0]).is_ok() {
            reads += 1;
            assert!(reads < 1000, "the budget of a task is 128 operations");
        }
        yield_now().await;
        assert!(stream.try_read(&mut [0]).is_ok());
    });
}

#[test]
fn halves_unix_sockets_and_direct_descriptors_try_alike() {
    let runtime = Runtime::builder().direct_descriptors(8).build().unwrap();
    runtime.block_on(async {
        let (near, mut far) = pair();
        let (mut reader, mut writer): (OwnedReadHalf, _) = TcpStream::from_std(near).into_split();
        assert_eq!(writer.try_write(b"x").unwrap(), 1);
        far.write_all(b"y").unwrap();
        until(|| reader.try_read(&mut [0]).is_ok()).await;
        let (mut one, mut other) = UnixStream::pair().unwrap();
        assert_eq!(one.try_write(b"x").unwrap(), 1);
        assert_eq!(other.try_read(&mut [0; 2]).unwrap(), 1);
        let listener = annulus::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut direct, _) = listener.accept().await.unwrap();
        assert_eq!(direct.try_write(b"x").unwrap(), 1);
        far.read_exact(&mut [0]).unwrap();
    });
}
