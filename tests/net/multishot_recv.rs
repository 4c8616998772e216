//! Multishot receives, on connections with small messages: bytes that arrive between two reads are
//! the next ones read, a peer cannot make the process hold more than a bound, and EOF and errors
//! are those of one-shot receives.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::time::{sleep, timeout};
use annulus::{Runtime, metrics, spawn, yield_now};
use blake3::Hasher;

use crate::common::bounded::bounded;
use crate::common::multishot_recv::multishot_receiving;
use crate::common::net::{connected, reset};
use crate::common::poll::{once, until, yield_times};
use crate::common::random::seeded;
use crate::common::watchdog::run;

#[test]
fn small_messages_take_one_entry_for_all() {
    run(async {
        let (mut stream, mut peer) = multishot_receiving().await;
        let before = metrics().submitted;
        for n in 0..100_u8 {
            peer.write_all(&[n; 10]).unwrap();
            assert_eq!(*stream.recv().await.unwrap(), [n; 10]);
        }
        assert!(metrics().submitted <= before + 1, "but for the poll of the loop's own bell");
    });
}

#[test]
fn bytes_that_arrive_between_reads_are_the_next_ones_read() {
    run(async {
        let (mut stream, mut peer) = multishot_receiving().await;
        peer.write_all(b"meanwhile").unwrap();
        yield_now().await;
        peer.shutdown(Shutdown::Write).unwrap();
        yield_now().await;
        assert_eq!(&*stream.recv().await.unwrap(), b"meanwhile");
        assert!(stream.recv().await.unwrap().is_empty());
        assert!(stream.recv().await.unwrap().is_empty(), "and the end stays the end");
    });
}

#[test]
fn a_reset_is_reported_behind_the_bytes_before_it() {
    run(async {
        let (mut stream, peer) = multishot_receiving().await;
        reset(peer);
        for _ in 0..2 {
            // It never becomes a clean end.
            let error = stream.recv().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn a_reset_that_arrives_between_reads_is_reported_by_the_next_read() {
    run(async {
        let (mut stream, peer) = multishot_receiving().await;
        let before = metrics().in_kernel;
        reset(peer);
        until(|| metrics().in_kernel < before).await;
        let BufResult(result, _) = stream.read(vec![0; 8]).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

/// Reads into the caller's buffers end the multishot receive, and return the bytes that it received
/// first.
#[test]
fn reads_into_a_buffer_keep_the_order_and_end_multishot_receiving() {
    run(async {
        let (mut stream, mut peer) = multishot_receiving().await;
        let started = metrics().multishot_receives;
        peer.write_all(b"abc").unwrap();
        yield_now().await;
        peer.write_all(b"defghi").unwrap();
        // Dropped while the receive is being ended, it loses nothing either.
        let dropped = once(Box::pin(stream.read(vec![0; 1])).as_mut()).await;
        let left = if dropped.is_ready() { &b"bcdefghi"[..] } else { b"abcdefghi" };
        let BufResult(result, peeked) = stream.peek(vec![0; 3]).await;
        assert_eq!(&peeked[..result.unwrap()][..2], &left[..2]);
        let BufResult(result, all) =
            stream.read_exact(vec![0; left.len()].into_boxed_slice()).await;
        result.unwrap();
        assert_eq!(&*all, left);
        for _ in 0..5 {
            peer.write_all(b"small").unwrap();
            assert_eq!(&*stream.recv().await.unwrap(), b"small");
        }
        assert_eq!(metrics().multishot_receives, started);
    });
}

#[test]
fn a_stream_that_leaves_its_runtime_takes_what_has_come_with_it() {
    run(async {
        let (stream, mut peer) = multishot_receiving().await;
        peer.write_all(b"has come").unwrap();
        yield_now().await;
        let mut detached = stream.into_std().await.unwrap();
        peer.write_all(b" and comes").unwrap();
        drop(peer);
        let mut all = detached.unread;
        detached.stream.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"has come and comes");
    });
}

#[test]
fn a_large_message_ends_multishot_receiving() {
    run(async {
        let (mut stream, mut peer) = multishot_receiving().await;
        let large = vec![7; 64 * 1024];
        for _ in 0..3 {
            peer.write_all(&large).unwrap();
            let mut received = 0;
            while received < large.len() {
                received += stream.recv().await.unwrap().len();
            }
        }
        assert!(metrics().inline_calls > 0, "large messages are received inline");
        let started = metrics().multishot_receives;
        for _ in 0..5 {
            peer.write_all(b"small").unwrap();
            assert_eq!(&*stream.recv().await.unwrap(), b"small");
        }
        assert_eq!(metrics().multishot_receives, started + 1, "and it begins again");
    });
}

/// A peer that never stops sending to a stream that is not read: TCP makes it wait, and the buffers
/// that it holds are few enough for others to receive as before.
#[test]
fn an_unread_stream_holds_no_more_than_a_bound() {
    bounded(|| {
        let runtime =
            Runtime::builder().small_buffers(256, 64).large_buffers(1, 64).build().unwrap();
        runtime.block_on(async {
            let (stream, mut flood) = multishot_receiving().await;
            let (mut other, mut peer) = multishot_receiving().await;
            flood.set_nonblocking(true).unwrap();
            let mut refusals = 0;
            // The kernel's own buffers fill up, and stay full.
            while refusals < 50 {
                match flood.write(&[1; 63]) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        refusals += 1;
                        yield_now().await;
                        peer.write_all(b"quiet").unwrap();
                        assert_eq!(&*other.recv().await.unwrap(), b"quiet");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(metrics().buffer_misses, 0);
            drop(stream);
        });
    });
}

/// The process holds no more than what it has received before the first read: the rest is in the
/// socket.
#[test]
fn a_peer_makes_the_process_hold_only_a_few_unread_messages() {
    const MESSAGE: usize = 5;
    bounded(|| {
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        runtime.block_on(async {
            let (stream, mut peer) = multishot_receiving().await;
            for n in 0..40 {
                peer.write_all(&[n; MESSAGE]).unwrap();
                // The loop enters the kernel, which receives.
                yield_times(16).await;
            }
            let mut detached = stream.into_std().await.unwrap();
            let held = detached.unread.len();
            assert!((MESSAGE..=8 * MESSAGE).contains(&held), "{held} bytes were received");
            drop(peer);
            let mut all = detached.unread;
            detached.stream.read_to_end(&mut all).unwrap();
            assert_eq!(all.len(), 40 * MESSAGE);
        });
    });
}

/// Many streams that each have a few messages are as good as one that always has one.
#[test]
fn messages_that_have_come_take_from_the_budget_of_the_task_that_reads_them() {
    const STREAMS: usize = 60;
    const MESSAGES: usize = 3;
    bounded(|| {
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        runtime.block_on(async {
            // Many small buffers are in use only once they were wanted at the same time.
            let (mut stream, mut peer) = connected();
            let mut held = Vec::new();
            while metrics().provided_buffers_in_use < 2 * STREAMS * MESSAGES {
                peer.write_all(b"held").unwrap();
                held.push(stream.recv().await.unwrap());
            }
            drop(held);
            let mut pairs = Vec::new();
            for _ in 0..STREAMS {
                let (stream, mut peer) = multishot_receiving().await;
                for _ in 0..MESSAGES {
                    peer.write_all(b"small").unwrap();
                    yield_times(16).await;
                }
                pairs.push((stream, peer));
            }
            yield_now().await;
            let mut read = 0;
            let mut reading = Box::pin(async {
                for _ in 0..MESSAGES {
                    for (stream, _) in &mut pairs {
                        assert_eq!(&*stream.recv().await.unwrap(), b"small");
                        read += 1;
                    }
                }
            });
            assert!(once(reading.as_mut()).await.is_pending(), "it has more to do than its budget");
            reading.await;
            assert_eq!(read, STREAMS * MESSAGES);
        });
    });
}

/// A stream that always has something never keeps its task from yielding.
#[test]
fn a_task_that_never_waits_for_bytes_yields() {
    run(async {
        let (mut stream, mut peer) = multishot_receiving().await;
        let sender = thread::spawn(move || while peer.write_all(&[1; 100]).is_ok() {});
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
        // The connection closes after the last receive's completion.
        until(|| sender.is_finished()).await;
    });
}

/// Receives that are dropped again and again, small messages and large ones alternating, so that it
/// begins and ends all the time.
#[test]
fn a_stream_received_by_futures_that_are_dropped_again_and_again_arrives_whole() {
    const MESSAGES: usize = 60_000;
    bounded(|| {
        let mut random = seeded();
        annulus::run(async {
            let (mut stream, mut peer) = connected();
            let mut random_sizes = random.fork();
            let sender = thread::spawn(move || {
                let (mut hash, mut message) = (Hasher::new(), vec![0; 32 << 10]);
                for _ in 0..MESSAGES {
                    let most = if random_sizes.u8(0..40) == 0 { message.len() } else { 200 };
                    let count = random_sizes.usize(1..=most);
                    random_sizes.fill(&mut message[..count]);
                    peer.write_all(&message[..count]).unwrap();
                    hash.update(&message[..count]);
                    if random_sizes.u8(0..8) == 0 {
                        thread::sleep(Duration::from_micros(random_sizes.u64(1..100)));
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
            let metrics = metrics();
            println!(
                "{dropped} dropped, {} begun, {} direct",
                metrics.multishot_receives, metrics.inline_calls
            );
            assert!(
                dropped > 300 && metrics.multishot_receives > 100 && metrics.inline_calls > 100
            );
        })
        .unwrap();
    });
}
