//! Connections that bring much at a time: one poll tells of all that comes, and the bytes are received past
//! the ring. An edge is told of once, so nothing that it stands for may be forgotten: neither bytes that
//! did not fit, nor an end that came with them.

mod common;

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use annulus::time::{sleep, timeout};
use annulus::{metrics, spawn, yield_now};
use blake3::Hasher;
use common::bounded::bounded;
use common::net::{connected, reset};
use common::poll::until;
use common::random::seeded;
use common::standing::{LARGE, receive, watched};
use common::watchdog::run;

#[test]
fn large_messages_take_one_entry_for_all() {
    run(async {
        let (mut stream, mut peer) = watched().await;
        let before = metrics();
        for n in 0..100 {
            peer.write_all(&[n; LARGE]).unwrap();
            receive(&mut stream, LARGE, n).await;
        }
        assert!(
            metrics().submitted <= before.submitted + 1,
            "but for the poll of the loop's own bell"
        );
        assert!(metrics().direct >= before.direct + 100);
        assert_eq!(metrics().multishot_polls, before.multishot_polls);
    });
}

#[test]
fn a_short_connection_is_not_watched() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(&[7; LARGE]).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        receive(&mut stream, LARGE, 7).await;
        assert!(stream.recv().await.unwrap().is_empty());
        assert_eq!(metrics().multishot_polls, 0);
    });
}

/// The end may be told of with bytes, or while they are received, or behind them.
#[test]
fn an_end_that_comes_with_bytes_is_not_forgotten() {
    run(async {
        let mut random = seeded();
        for _ in 0..100 {
            let (mut stream, mut peer) = watched().await;
            let pause = Duration::from_micros(random.u64(0..60));
            let sender = thread::spawn(move || {
                peer.write_all(&[1; LARGE]).unwrap();
                thread::sleep(pause);
                peer.shutdown(Shutdown::Write).unwrap();
                peer
            });
            if random.u8(0..2) == 0 {
                until(|| sender.is_finished()).await;
            }
            receive(&mut stream, LARGE, 1).await;
            for _ in 0..2 {
                assert!(stream.recv().await.unwrap().is_empty(), "and the end stays the end");
            }
            until(|| sender.is_finished()).await;
        }
    });
}

#[test]
fn a_reset_is_reported() {
    run(async {
        let (mut stream, peer) = watched().await;
        let waiting = spawn(async move { (stream.recv().await, stream) });
        yield_now().await;
        reset(peer);
        let (outcome, mut stream) = waiting.await.unwrap();
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(stream.recv().await.unwrap().is_empty());
    });
}

/// What was told of and not received by a large receive is what other reads get.
#[test]
fn other_reads_come_in_order_and_it_does_not_begin_again() {
    run(async {
        let (mut stream, mut peer) = watched().await;
        let started = metrics().multishot_polls;
        peer.write_all(&[1; LARGE]).unwrap();
        yield_now().await;
        let (result, part) = stream.read(vec![0; 100]).await;
        assert_eq!(part[..result.unwrap()], [1; 100]);
        receive(&mut stream, LARGE - 100, 1).await;
        for n in 2..10 {
            peer.write_all(&[n; LARGE]).unwrap();
            receive(&mut stream, LARGE, n).await;
        }
        assert_eq!(metrics().multishot_polls, started);
    });
}

#[test]
fn small_messages_end_it() {
    run(async {
        let (mut stream, mut peer) = watched().await;
        let started = metrics();
        for _ in 0..6 {
            peer.write_all(b"small").unwrap();
            assert_eq!(&*stream.recv().await.unwrap(), b"small");
        }
        assert_eq!(metrics().multishot_receives, started.multishot_receives + 1);
        peer.write_all(b"and on").unwrap();
        assert_eq!(&*stream.recv().await.unwrap(), b"and on");
        assert_eq!(metrics().multishot_polls, started.multishot_polls);
    });
}

/// The kernel would tell for ever.
#[test]
fn a_stream_that_nobody_reads_is_not_told_of_without_end() {
    run(async {
        let (mut stream, mut peer) = watched().await;
        let before = metrics().completed;
        for _ in 0..50 {
            peer.write_all(&[3; 100]).unwrap();
            yield_now().await;
            sleep(Duration::from_micros(100)).await;
        }
        // Its own end, the cancel's, and the bell's are among them.
        assert!(metrics().completed <= before + 3, "it was stopped");
        receive(&mut stream, 50 * 100, 3).await;
        peer.write_all(&[4; LARGE]).unwrap();
        receive(&mut stream, LARGE, 4).await;
    });
}

/// A stream that always has something never keeps its task from yielding.
#[test]
fn a_task_that_never_waits_for_bytes_yields() {
    run(async {
        let (mut stream, mut peer) = watched().await;
        let sender = thread::spawn(move || while peer.write_all(&[1; LARGE]).is_ok() {});
        let reader = spawn(async move {
            loop {
                stream.recv().await.unwrap();
            }
        });
        for _ in 0..100 {
            yield_now().await;
            sleep(Duration::from_micros(100)).await;
        }
        reader.cancel();
        assert!(reader.await.is_err());
        // The connection closes when the kernel has let go of the poll.
        until(|| sender.is_finished()).await;
    });
}

/// Receives that are dropped again and again, of messages that mostly are large.
#[test]
fn a_stream_received_by_futures_that_are_dropped_again_and_again_arrives_whole() {
    const MESSAGES: usize = 6_000;
    bounded(|| {
        let mut random = seeded();
        annulus::run(async {
            let (mut stream, mut peer) = connected();
            let mut random_sizes = random.fork();
            let sender = thread::spawn(move || {
                let (mut hash, mut message) = (Hasher::new(), vec![0; 100 << 10]);
                for _ in 0..MESSAGES {
                    let least = if random_sizes.u8(0..4) == 0 { 1 } else { 8 << 10 };
                    let count = random_sizes.usize(least..=message.len());
                    random_sizes.fill(&mut message[..count]);
                    peer.write_all(&message[..count]).unwrap();
                    hash.update(&message[..count]);
                    if random_sizes.u8(0..2) == 0 {
                        thread::sleep(Duration::from_micros(random_sizes.u64(1..200)));
                    }
                }
                hash.finalize()
            });
            let (mut hash, mut dropped) = (Hasher::new(), 0);
            loop {
                let limit = Duration::from_micros(random.u64(0..200));
                match timeout(limit, stream.recv()).await {
                    Ok(lease) => match lease.unwrap() {
                        end if end.is_empty() => break,
                        lease => drop(hash.update(&lease)),
                    },
                    Err(_) => dropped += 1,
                }
            }
            assert_eq!(hash.finalize(), sender.join().unwrap());
            let begun = metrics().multishot_polls;
            println!("{dropped} dropped, {begun} begun");
            assert!(dropped > 100 && begun > 10);
        })
        .unwrap();
    });
}
