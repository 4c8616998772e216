//! Streams and halves by polls: nothing is lost by a dropped read, a dropped stream or a mixture
//! with other ways to read, order is kept, and writes are bounded.

use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream as Peer};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use annulus::net::{Polled, TcpStream, UnixStream};
use annulus::{Incident, Runtime, metrics};
use blake3::Hasher;

use crate::common::bounded::bounded;
use crate::common::incidents::Incidents;
use crate::common::net::{connected, pair, reset};
use crate::common::pattern::pattern;
use crate::common::poll::{once, times, until, yield_times};
use crate::common::polled::{fill, read, read_to_end, sent, shutdown, write, write_all};
use crate::common::random::seeded;
use crate::common::watchdog::{block_on, run};

fn polled() -> (Polled<TcpStream>, Peer) {
    let (near, far) = connected();
    (Polled::new(near), far)
}

#[test]
fn what_is_written_in_one_turn_is_sent_at_once_and_in_order() {
    run(async {
        let (mut near, mut far) = polled();
        let before = metrics();
        for piece in ["one, ", "two, "] {
            assert_eq!(write(&mut near, piece.as_bytes()).await.unwrap(), piece.len());
        }
        let parts = [IoSlice::new(b"three, "), IoSlice::new(b""), IoSlice::new(b"four")];
        let count = poll_fn(|context| near.poll_write_vectored(context, &parts)).await.unwrap();
        assert_eq!((count, near.unsent()), (11, 21));
        sent(&mut near).await.unwrap();
        assert_eq!(near.unsent(), 0);
        let after = metrics();
        let calls = after.inline_calls - before.inline_calls;
        assert_eq!(calls + after.submitted - before.submitted, 1, "one send");
        drop(near);
        let mut received = String::new();
        far.read_to_string(&mut received).unwrap();
        assert_eq!(received, "one, two, three, four");
    });
}

#[test]
fn a_stream_that_is_dropped_with_unsent_bytes_still_sends_all_of_them() {
    const TOTAL: usize = 5 << 20;
    bounded(|| {
        let (near, mut far) = pair();
        let reader = thread::spawn(move || {
            let mut hasher = Hasher::new();
            let (mut total, mut buffer) = (0, vec![0; 16 * 1024]);
            loop {
                match far.read(&mut buffer).unwrap() {
                    0 => return (total, hasher.finalize()),
                    count => {
                        total += count;
                        hasher.update(&buffer[..count]);
                        // A slow reader.
                        thread::sleep(Duration::from_micros(200));
                    }
                }
            }
        });
        let all = pattern(3, TOTAL);
        run(async {
            let mut near = Polled::new(TcpStream::from_std(near));
            // In pieces that are staged, between pieces that are not.
            for piece in all.chunks(50_000) {
                let (small, large) = piece.split_at(piece.len().min(700));
                write_all(&mut near, small).await.unwrap();
                write_all(&mut near, large).await.unwrap();
            }
        });
        let (total, hash) = reader.join().unwrap();
        assert_eq!((total, hash), (TOTAL, blake3::hash(&all)));
    });
}

/// One dropped stream after another, while the runtime goes on.
#[test]
fn a_dropped_half_sends_what_is_unsent_and_then_eof_while_the_other_half_reads() {
    run(async {
        let (near, mut far) = connected();
        let (read_half, write_half) = near.into_split();
        let (mut reads, mut writes) = (Polled::new(read_half), Polled::new(write_half));
        let all = pattern(1, 60_000);
        for piece in all.chunks(1000) {
            write_all(&mut writes, piece).await.unwrap();
        }
        drop(writes);
        let mut peer = Some(thread::spawn(move || {
            let mut received = Vec::new();
            far.read_to_end(&mut received).unwrap();
            far.write_all(b"after EOF").unwrap();
            received
        }));
        assert_eq!(read_to_end(&mut reads).await, b"after EOF");
        assert_eq!(peer.take().unwrap().join().unwrap(), all);
    });
}

#[test]
fn a_stream_is_read_whole_by_all_forms_in_turn_and_by_reads_that_are_dropped() {
    const TOTAL: usize = 8 << 20;
    bounded(|| {
        let (near, far) = pair();
        let peer = thread::spawn(move || {
            let mut far = far;
            let mut random = seeded();
            let all = pattern(7, TOTAL);
            let mut rest = &all[..];
            while !rest.is_empty() {
                let longest = if random.bool() { 200 } else { 300_000 };
                let (piece, after) = rest.split_at(random.usize(1..=longest).min(rest.len()));
                far.write_all(piece).unwrap();
                rest = after;
                if random.u8(..) < 20 {
                    thread::sleep(Duration::from_micros(100));
                }
            }
            far.shutdown(Shutdown::Write).unwrap();
            blake3::hash(&all)
        });
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        let hash = block_on(&runtime, async {
            let mut random = seeded();
            let mut near = Polled::new(TcpStream::from_std(near));
            let (mut hasher, mut total) = (Hasher::new(), 0);
            while total < TOTAL {
                let polls = random.usize(1..4);
                let length = if random.bool() { random.usize(1..300) } else { 50_000 };
                let bytes = match random.u8(..8) {
                    0 => {
                        // Out of the wrapper, and in again.
                        let mut stream = near.into_inner().await.unwrap();
                        let bytes = times(polls, stream.recv()).await.map(|lease| {
                            let lease = lease.unwrap();
                            lease.to_vec()
                        });
                        near = Polled::new(stream);
                        bytes
                    }
                    1..3 => {
                        let filled = times(polls, fill(&mut near)).await;
                        filled.map(|bytes| {
                            let bytes = bytes.unwrap();
                            let count = random.usize(0..=bytes.len());
                            near.consume(count);
                            bytes[..count].to_vec()
                        })
                    }
                    _ => times(polls, read(&mut near, length)).await.map(Result::unwrap),
                };
                let bytes = bytes.unwrap_or_default();
                hasher.update(&bytes);
                total += bytes.len();
            }
            assert!(read(&mut near, 10).await.unwrap().is_empty(), "EOF");
            hasher.finalize()
        });
        assert_eq!(hash, peer.join().unwrap());
    });
}

#[test]
fn writes_wait_while_the_peer_reads_nothing_and_the_bound_holds() {
    let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
    block_on(&runtime, async {
        let (near, mut far) = connected();
        let mut near = Polled::with_write_limit(near, 3000);
        let piece = pattern(0, 1000);
        let mut written = 0;
        while let Some(count) = times(50, write(&mut near, &piece)).await {
            written += count.unwrap();
            assert!(near.unsent() <= 3000);
        }
        assert_eq!(near.unsent(), 3000, "the limit is used up");
        assert!(times(50, sent(&mut near)).await.is_none());
        let held = near.unsent();
        far.set_nonblocking(true).unwrap();
        let mut received = 0;
        let mut buffer = vec![0; 1 << 20];
        // The write that waited goes on.
        let mut write = pin!(write(&mut near, &piece));
        let more = loop {
            received += far.read(&mut buffer).unwrap_or(0);
            if let std::task::Poll::Ready(more) = once(write.as_mut()).await {
                break more.unwrap();
            }
            annulus::yield_now().await;
        };
        assert!(held > 0);
        until(|| {
            received += far.read(&mut buffer).unwrap_or(0);
            received == written + more
        })
        .await;
    });
}

#[test]
fn a_write_to_a_peer_that_has_reset_fails_each_time_with_the_reason() {
    run(async {
        for large in [false, true] {
            let (mut near, far) = polled();
            write_all(&mut near, b"received, but not read").await.unwrap();
            sent(&mut near).await.unwrap();
            reset(far);
            let bytes = pattern(0, if large { 100_000 } else { 10 });
            let error = loop {
                match write(&mut near, &bytes).await {
                    Ok(_) => yield_times(3).await,
                    Err(error) => break error,
                }
            };
            let kind = error.kind();
            assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "{error}");
            assert_eq!(error.to_string(), write(&mut near, b"x").await.unwrap_err().to_string());
            assert_eq!(sent(&mut near).await.unwrap_err().kind(), kind);
            assert_eq!(shutdown(&mut near).await.unwrap_err().kind(), kind);
            let flushed = poll_fn(|context| near.poll_flush(context)).await;
            assert_eq!(flushed.unwrap_err().kind(), kind);
            assert_eq!(read(&mut near, 10).await.unwrap_err().kind(), kind);
            assert_eq!(near.into_inner().await.unwrap_err().kind(), kind);
        }
    });
}

#[test]
fn a_shutdown_comes_behind_what_was_written_and_nothing_can_be_written_after_it() {
    run(async {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut near, mut far) = (Polled::new(near), Polled::new(far));
        write_all(&mut near, b"last words").await.unwrap();
        shutdown(&mut near).await.unwrap();
        let error = write(&mut near, b"x").await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        shutdown(&mut near).await.unwrap();
        assert_eq!(read_to_end(&mut far).await, b"last words");
        write_all(&mut far, b"and back").await.unwrap();
        drop(far);
        assert_eq!(read_to_end(&mut near).await, b"and back");
    });
}

#[test]
fn a_stream_taken_out_again_has_what_was_not_consumed_and_its_plain_writes_come_last() {
    run(async {
        let (mut near, mut far) = polled();
        far.write_all(b"head body").unwrap();
        assert_eq!(fill(&mut near).await.unwrap(), b"head body");
        near.consume(5);
        write_all(&mut near, b"first, ").await.unwrap();
        let mut stream = near.into_inner().await.unwrap();
        stream.write_all("second").await.0.unwrap();
        assert_eq!(&*stream.recv().await.unwrap(), b"body");
        drop(stream);
        let mut received = String::new();
        far.read_to_string(&mut received).unwrap();
        assert_eq!(received, "first, second");
    });
}

#[test]
fn what_a_peer_never_reads_is_reported_as_lost_at_the_end_of_the_runtime() {
    let incidents = Incidents::default();
    let its = incidents.clone();
    let runtime = Runtime::builder()
        .flush_timeout(Duration::from_millis(20))
        .max_polls_per_turn(1)
        .on_incident(move |incident: &Incident| its.report(incident))
        .build()
        .unwrap();
    let far = block_on(&runtime, async {
        let (mut near, far) = polled();
        let piece = pattern(0, 1000);
        while times(50, write(&mut near, &piece)).await.is_some() {}
        far
    });
    drop(runtime);
    // The batch that is being sent, and what was written meanwhile.
    let reported = incidents.take();
    assert!(matches!(reported[..], [Incident::UnsentDataLost { count: 2 }]), "{reported:?}");
    drop(far);
}
