//! Received bytes on lease: whole and in order, however few buffers there are, wherever the leases
//! go, and whatever becomes of the runtime.

use std::io::Write;
use std::net::{Shutdown, TcpStream as Peer};
use std::pin::pin;
use std::rc::Rc;
use std::thread;

use annulus::buf::{BufResult, Lease};
use annulus::net::TcpStream;
use annulus::sync::Barrier;
use annulus::{Builder, Runtime, metrics, spawn};
use bytes::Bytes;

use crate::common::bounded::bounded;
use crate::common::net::connected;
use crate::common::pattern::{pattern, receive_all};
use crate::common::poll::{once, times, until};
use crate::common::seccomp::{Calls, REGISTER_BUFFER_RING, refusing};
use crate::common::skip::needs_kernel_ring;
use crate::common::watchdog::run;

fn builder(count: u16, bytes: usize) -> Builder {
    Runtime::builder().large_buffers(count, bytes).small_buffers(count, bytes)
}

/// Runs on a runtime with `count` buffers of `bytes`, of either kind.
fn run_with<T: Send + 'static>(
    count: u16,
    bytes: usize,
    body: impl AsyncFnOnce() -> T + Send + 'static,
) -> T {
    bounded(move || builder(count, bytes).build().unwrap().block_on(body()))
}

#[test]
fn what_is_there_is_received_and_no_bytes_at_the_end() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"hello").unwrap();
        assert_eq!(&*stream.recv().await.unwrap(), b"hello");
        peer.shutdown(Shutdown::Write).unwrap();
        assert!(stream.recv().await.unwrap().is_empty());
        assert!(stream.recv().await.unwrap().is_empty(), "and the end stays the end");
    });
}

#[test]
fn a_receive_waits_for_the_end_of_a_dropped_one() {
    run(async {
        let (mut stream, mut peer) = connected();
        assert!(times(1, stream.recv()).await.is_none());
        let queued = metrics().queued;
        let mut next = pin!(stream.recv());
        assert!(once(next.as_mut()).await.is_pending());
        assert_eq!(metrics().queued, queued, "it waits for the other's end");
        peer.write_all(b"hello").unwrap();
        assert_eq!(&*next.await.unwrap(), b"hello");
    });
}

#[test]
fn a_lease_is_written_as_it_is() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"there and back").unwrap();
        let lease = stream.recv().await.unwrap();
        let BufResult(result, lease) = stream.write_all(lease).await;
        result.unwrap();
        let mut back = [0; 14];
        std::io::Read::read_exact(&mut peer, &mut back).unwrap();
        assert_eq!((&back[..], &*lease), (&b"there and back"[..], &b"there and back"[..]));
    });
}

#[test]
fn received_bytes_stay_as_they_are_while_others_arrive() {
    run_with(4, 1024, async || {
        let (mut stream, mut peer) = connected();
        let mut kept = Vec::new();
        for seed in 0..100 {
            peer.write_all(&pattern(seed, 512)).unwrap();
            let received = receive_all(&mut stream, 512).await;
            assert_eq!(received, pattern(seed, 512));
            peer.write_all(&pattern(seed, 64)).unwrap();
            kept.push(stream.recv().await.unwrap());
        }
        for (seed, lease) in kept.iter().enumerate() {
            assert_eq!(lease[..], pattern(seed as u8, 64), "lease {seed}");
        }
    });
}

#[test]
fn buffers_that_come_back_are_used_again() {
    run_with(4, 4096, async || {
        let (mut stream, mut peer) = connected();
        for seed in 0..200_u8 {
            peer.write_all(&[seed; 100]).unwrap();
            assert_eq!(*stream.recv().await.unwrap(), [seed; 100]);
        }
        assert_eq!(metrics().buffer_misses, 0);
    });
}

#[test]
fn there_are_as_many_small_buffers_as_were_wanted_at_once() {
    run(async {
        let (mut stream, mut peer) = connected();
        let mut held = Vec::new();
        for seed in 0..200_u8 {
            peer.write_all(&[seed; 100]).unwrap();
            held.push(stream.recv().await.unwrap());
        }
        let wanted = metrics().provided_buffers_in_use;
        assert!((100..=200).contains(&wanted), "{wanted}");
        for (seed, lease) in held.drain(..).enumerate() {
            assert_eq!(*lease, [seed as u8; 100]);
        }
        for seed in 0..200_u8 {
            peer.write_all(&[seed; 100]).unwrap();
            assert_eq!(*stream.recv().await.unwrap(), [seed; 100]);
        }
        assert_eq!(metrics().provided_buffers_in_use, wanted);
        assert_eq!(metrics().buffer_misses, 0);
    });
}

#[test]
fn buffers_come_back_from_another_thread() {
    run_with(4, 4096, async || {
        let (mut stream, mut peer) = connected();
        let (leases, taken) = std::sync::mpsc::channel::<Lease>();
        let reader =
            thread::spawn(move || taken.into_iter().map(|lease| lease.len()).sum::<usize>());
        for seed in 0..200_u8 {
            peer.write_all(&[seed; 100]).unwrap();
            leases.send(stream.recv().await.unwrap()).unwrap();
        }
        drop(leases);
        assert_eq!(reader.join().unwrap(), 200 * 100);
    });
}

#[test]
fn leases_outlive_their_stream_and_their_runtime() {
    let (lease, bytes) = run_with(4, 4096, async || {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"lease").unwrap();
        let lease = stream.recv().await.unwrap();
        peer.write_all(b"bytes").unwrap();
        (lease, Bytes::from(stream.recv().await.unwrap()))
    });
    // Another runtime's buffers are elsewhere.
    run_with(4, 4096, async || {
        let (mut stream, mut peer) = connected();
        peer.write_all(b"other").unwrap();
        assert_eq!(&*stream.recv().await.unwrap(), b"other");
    });
    let (lease, bytes) = thread::spawn(move || (lease.clone(), bytes)).join().unwrap();
    assert_eq!((&*lease, &bytes[..]), (&b"lease"[..], &b"bytes"[..]));
}

#[test]
fn connections_that_wait_hold_no_buffer() {
    run_with(2, 4096, async || {
        let mut pairs: Vec<_> = (0..50).map(|_| connected()).collect();
        let waiting = pairs.iter_mut().map(|(stream, _)| Box::pin(stream.recv()));
        let mut waiting: Vec<_> = waiting.collect();
        for receive in &mut waiting {
            assert!(once(receive.as_mut()).await.is_pending());
        }
        drop(waiting);
        for (seed, (stream, peer)) in pairs.iter_mut().enumerate() {
            peer.write_all(&[seed as u8; 10]).unwrap();
            assert_eq!(*stream.recv().await.unwrap(), [seed as u8; 10]);
        }
        assert_eq!(metrics().buffer_misses, 0);
    });
}

/// A thousand streams, each of which keeps what it has received, on four buffers: every byte
/// arrives, in memory of its own where there is no buffer left.
#[test]
fn with_all_buffers_lent_out_every_byte_arrives_all_the_same() {
    const STREAMS: usize = 1000;
    run_with(4, 1024, async || {
        let mut peers = Vec::new();
        let all_received = Rc::new(Barrier::new(STREAMS));
        let tasks: Vec<_> = (0..STREAMS)
            .map(|seed| {
                let (mut stream, peer) = connected();
                peers.push(peer);
                let all_received = Rc::clone(&all_received);
                spawn(async move {
                    let (mut kept, mut length) = (Vec::<Lease>::new(), 0);
                    while length < 3000 {
                        let lease = stream.recv().await.unwrap();
                        assert!(!lease.is_empty(), "the stream ended early");
                        length += lease.len();
                        kept.push(lease);
                    }
                    all_received.wait().await.unwrap();
                    assert_eq!(kept.concat_bytes(), pattern(seed as u8, 3000));
                })
            })
            .collect();
        let senders = thread::spawn(move || {
            for (seed, peer) in peers.iter_mut().enumerate() {
                peer.write_all(&pattern(seed as u8, 3000)).unwrap();
            }
            peers
        });
        for task in tasks {
            task.await.unwrap();
        }
        senders.join().unwrap();
        assert!(metrics().buffer_misses > 0, "the buffers did run out");
    });
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for Vec<Lease> {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|lease| lease.iter().copied()).collect()
    }
}

#[test]
fn a_burst_is_received_by_inline_calls_into_free_buffers() {
    run_with(8, 1024, async || {
        let (mut stream, mut peer) = connected();
        peer.write_all(&pattern(0, 64 * 1024)).unwrap();
        let before = metrics();
        assert_eq!(receive_all(&mut stream, 64 * 1024).await, pattern(0, 64 * 1024));
        let after = metrics();
        assert!(
            after.inline_calls > before.inline_calls + 30,
            "{} direct",
            after.inline_calls - before.inline_calls
        );
    });
}

/// After a large message the next one is waited for by readiness, and received inline.
#[test]
fn large_messages_are_received_inline_also_after_a_drop_and_at_eof() {
    run(async {
        let (mut stream, mut peer) = connected();
        let mut message = async |stream: &mut TcpStream, seed| {
            peer.write_all(&pattern(seed, 16 * 1024)).unwrap();
            assert_eq!(receive_all(stream, 16 * 1024).await, pattern(seed, 16 * 1024));
        };
        message(&mut stream, 0).await;
        let before = metrics();
        for seed in 1..50 {
            // Dropped while it waits for readiness, it takes nothing.
            let mut dropped = Box::pin(stream.recv());
            assert!(once(dropped.as_mut()).await.is_pending());
            until(|| metrics().queued == 0).await;
            drop(dropped);
            message(&mut stream, seed).await;
        }
        assert!(metrics().inline_calls >= before.inline_calls + 49);
        drop(peer);
        assert!(stream.recv().await.unwrap().is_empty());
    });
}

#[test]
fn bytes_of_a_dropped_receive_are_returned_by_the_next_one() {
    run_with(4, 1024, async || {
        let (mut stream, mut peer) = connected();
        let mut dropped = Box::pin(stream.recv());
        assert!(once(dropped.as_mut()).await.is_pending());
        until(|| metrics().queued == 0).await;
        let completed = metrics().completed;
        peer.write_all(b"late").unwrap();
        until(|| metrics().completed > completed).await;
        drop(dropped);
        assert_eq!(&*stream.recv().await.unwrap(), b"late");
        // And for those who read into a buffer of their own.
        let mut dropped = Box::pin(stream.recv());
        assert!(once(dropped.as_mut()).await.is_pending());
        until(|| metrics().queued == 0).await;
        let completed = metrics().completed;
        peer.write_all(b"again").unwrap();
        until(|| metrics().completed > completed).await;
        drop(dropped);
        let BufResult(count, buffer) = stream.read(vec![0; 16]).await;
        assert_eq!(&buffer[..count.unwrap()], b"again");
    });
}

#[test]
fn receives_without_buffer_rings_use_memory_of_their_own() {
    if needs_kernel_ring("it lets io_uring_register fail") {
        return;
    }
    let register =
        Calls { number: libc::SYS_io_uring_register, second_argument: Some(REGISTER_BUFFER_RING) };
    refusing(register, libc::EINVAL, || {
        annulus::run(async {
            let (mut stream, mut peer): (_, Peer) = connected();
            for seed in 0..10 {
                peer.write_all(&pattern(seed, 100_000)).unwrap();
                assert_eq!(receive_all(&mut stream, 100_000).await, pattern(seed, 100_000));
            }
        })
        .unwrap();
    });
}

#[test]
fn a_runtime_that_ends_with_receives_in_flight_frees_its_buffers() {
    bounded(|| {
        for _ in 0..20 {
            let runtime = builder(4, 4096).build().unwrap();
            let mut peers = Vec::new();
            let lease = runtime.block_on(async {
                let (mut stream, mut peer) = connected();
                peer.write_all(b"held").unwrap();
                let lease = stream.recv().await.unwrap();
                for _ in 0..10 {
                    let (mut stream, peer) = connected();
                    peers.push(peer);
                    drop(spawn(async move { stream.recv().await }));
                }
                annulus::yield_now().await;
                lease
            });
            for peer in &mut peers {
                peer.write_all(b"never read").unwrap();
            }
            drop(runtime);
            assert_eq!(&*lease, b"held");
        }
    });
}

/// Has `count` connections send `length` bytes each, and keeps the first lease of each.
async fn keep_from_each(count: usize, length: usize) -> (Vec<Lease>, Vec<(TcpStream, Peer)>) {
    let (mut kept, mut pairs) = (Vec::new(), Vec::new());
    for seed in 0..count {
        let (mut stream, mut peer) = connected();
        peer.write_all(&pattern(seed as u8, length)).unwrap();
        kept.push(stream.recv().await.unwrap());
        pairs.push((stream, peer));
    }
    (kept, pairs)
}

#[test]
fn memory_of_a_receives_own_is_as_large_as_what_there_is_to_receive() {
    run_with(1, 64 * 1024, async || {
        let (first, _pairs) = keep_from_each(2, 10).await;
        assert_eq!(metrics().fallback_buffer_bytes, 0, "there is one buffer of either kind");
        let (kept, _others) = keep_from_each(100, 10).await;
        assert!((1..=100).contains(&metrics().buffer_misses));
        let own = metrics().fallback_buffer_bytes;
        assert!((1000..100 * 100).contains(&own), "{own} bytes for 100 messages of 10");
        for (seed, lease) in kept.iter().enumerate() {
            assert_eq!(lease[..], pattern(seed as u8, 10));
        }
        drop(thread::spawn(move || drop(kept)).join());
        assert_eq!(metrics().fallback_buffer_bytes, 0);
        drop(first);
    });
}

/// A peer that sends much makes the runtime hold a page for each lease beyond the bound, and no
/// receive waits.
#[test]
fn beyond_the_bound_of_memory_of_their_own_receives_take_a_page_each() {
    const BOUND: usize = 256 * 1024;
    bounded(|| {
        let runtime = builder(1, 64 * 1024).max_fallback_bytes(BOUND).build().unwrap();
        runtime.block_on(async {
            let (mut kept, mut pairs) = keep_from_each(60, 60_000).await;
            let beyond = metrics().fallback_buffer_bytes.saturating_sub(BOUND);
            assert!(beyond <= 64 * 1024 + 60 * 4096, "{beyond} bytes beyond the bound");
            assert!(kept.iter().skip(20).all(|lease| lease.len() <= 4096));
            // One that keeps all it gets goes on getting.
            let (stream, _) = &mut pairs[59];
            let mut length = kept[59].len();
            while length < 60_000 {
                let lease = stream.recv().await.unwrap();
                assert_eq!(lease[..], pattern(59, 60_000)[length..][..lease.len()]);
                length += lease.len();
                kept.push(lease);
            }
            kept.clear();
            assert_eq!(metrics().fallback_buffer_bytes, 0);
        });
    });
}

#[test]
fn leases_that_no_machine_has_are_refused_no_receive() {
    bounded(|| {
        let largest =
            Runtime::builder().large_buffers(1 << 15, 1 << 30).small_buffers(1 << 15, 1 << 30);
        largest.on_incident(|_| {}).build().unwrap().block_on(async {
            let (mut stream, mut peer) = connected();
            peer.write_all(b"hello").unwrap();
            assert_eq!(&*stream.recv().await.unwrap(), b"hello");
        });
    });
}
