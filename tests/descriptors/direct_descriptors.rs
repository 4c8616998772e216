//! Direct descriptors: sockets in the ring's file table work as any others, their file slots are
//! freed, and a full table means ordinary descriptors.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as PeerListener, TcpStream as Peer};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use annulus::buf::BufResult;
use annulus::net::{Polled, TcpListener, TcpStream};
use annulus::time::timeout;
use annulus::{RingKind, Runtime, metrics, spawn, yield_now};

use crate::common::bounded::bounded;
use crate::common::descriptors::{alone, assert_back_to, open};
use crate::common::net::{accepted, full_listener};
use crate::common::patience::patient;
use crate::common::poll::{once, times, until, yield_times};
use crate::common::polled::{sent, write_all};
use crate::common::skip::{build_or_skip, ring};

/// Runs with `count` file slots, unless the kernel has no direct descriptors that can be made
/// ordinary ones.
pub(crate) fn with_file_slots(count: u32, test: impl AsyncFnOnce()) {
    let _alone = alone();
    alone_with_file_slots(count, test);
}

/// The same, for a test that is alone already.
pub(crate) fn alone_with_file_slots(count: u32, test: impl AsyncFnOnce()) {
    let before = open();
    let builder = Runtime::builder().direct_descriptors(count).max_polls_per_turn(1);
    let Some(runtime) = build_or_skip(builder) else { return };
    bounded(|| runtime.block_on(test()));
    let began = Instant::now();
    drop(runtime);
    assert!(began.elapsed() < patient(Duration::from_secs(3)), "its end waits for no completion");
    assert_back_to(before);
}

/// How many descriptors of the process `count` file slots take: none on the kernel's ring. In those
/// of the portable ring are such descriptors, whose numbers the program does not know.
pub(crate) fn in_slots(count: usize) -> usize {
    if ring() == RingKind::Portable { count } else { 0 }
}

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn accepted_and_connected_sockets_take_no_descriptor_until_a_call_needs_one() {
    with_file_slots(8, async || {
        let before = open();
        let (mut accepted, mut peer) = accepted().await;
        assert_eq!(open(), before + 1 + in_slots(1), "the peer's");
        let peers = PeerListener::bind("127.0.0.1:0").unwrap();
        let mut connected = TcpStream::connect(peers.local_addr().unwrap()).await.unwrap();
        let (mut far, from) = peers.accept().unwrap();
        let before = before + in_slots(2);
        assert_eq!(open(), before + 3, "the peers', and their listener's");
        for (stream, peer) in [(&mut accepted, &mut peer), (&mut connected, &mut far)] {
            for _ in 0..10 {
                peer.write_all(b"small").unwrap();
                let lease = stream.recv().await.unwrap();
                stream.write_all(lease).await.0.unwrap();
                let mut back = [0; 5];
                peer.read_exact(&mut back).unwrap();
                assert_eq!(&back, b"small");
            }
        }
        assert_eq!(open(), before + 3);
        assert_eq!(connected.local_addr().unwrap(), from);
        assert_eq!(open(), before + 4, "an address is asked for by a call");
        connected.set_nodelay(true).unwrap();
        assert!(connected.nodelay().unwrap() && connected.as_raw_fd() > 0);
        assert_eq!(open(), before + 4, "by the same descriptor");
        assert_eq!(metrics().direct_descriptor_misses, 0);
    });
}

#[test]
fn small_polled_writes_to_a_direct_descriptor_install_none() {
    with_file_slots(8, async || {
        let before = open();
        let (accepted, mut peer) = accepted().await;
        let mut polled = Polled::new(accepted);
        for _ in 0..3 {
            write_all(&mut polled, b"small").await.unwrap();
            sent(&mut polled).await.unwrap();
            let mut back = [0; 5];
            peer.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"small");
        }
        assert_eq!(open(), before + 1 + in_slots(1), "the peer's");
    });
}

/// Places that are wanted ahead, for connections that may never come, are none that was missed.
#[test]
fn a_miss_is_counted_for_each_socket_that_found_no_file_slot_and_for_nothing_else() {
    with_file_slots(4, async || {
        let (listener, address) = listener().await;
        let peers: Vec<_> = (0..6).map(|_| Peer::connect(address).unwrap()).collect();
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(listener.accept().await.unwrap());
        }
        assert_eq!((metrics().direct_descriptors, metrics().direct_descriptor_misses), (4, 0));
        for misses in 1..=2 {
            streams.push(listener.accept().await.unwrap());
            assert_eq!(metrics().direct_descriptor_misses, misses);
        }
        // One more is awaited, and does not come.
        assert!(times(3, listener.accept()).await.is_none());
        assert_eq!(metrics().direct_descriptor_misses, 2);
        streams.push((TcpStream::connect(address).await.unwrap(), address));
        assert_eq!(metrics().direct_descriptor_misses, 3);
        drop(peers);
    });
}

#[test]
fn every_kind_of_transfer_works() {
    with_file_slots(8, async || {
        let (mut stream, mut peer) = accepted().await;
        peer.write_all(&[1; 100]).unwrap();
        let BufResult(result, peeked) = stream.peek(vec![0; 10]).await;
        assert_eq!(peeked[..result.unwrap()][0], 1);
        let BufResult(result, all) = stream.read_exact(vec![0; 100].into_boxed_slice()).await;
        result.unwrap();
        assert_eq!(*all, [1; 100]);
        stream.write_vectored(vec![vec![2; 10], vec![3; 10]]).await.0.unwrap();
        let mut back = [0; 20];
        peer.read_exact(&mut back).unwrap();
        assert_eq!(back[9..11], [2, 3]);
        let large = 1 << 20;
        let echo = thread::spawn(move || {
            let mut all = vec![0; large];
            peer.read_exact(&mut all).unwrap();
            peer.write_all(&all).unwrap();
            (peer, all)
        });
        stream.write_all_zero_copy(vec![7; large]).await.unwrap();
        let mut received = 0;
        while received < large {
            let lease = stream.recv().await.unwrap();
            assert!(lease.iter().all(|&byte| byte == 7));
            received += lease.len();
        }
        until(|| echo.is_finished()).await;
        let (mut peer, _) = echo.join().unwrap();
        stream.shutdown(Shutdown::Write).await.unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        let mut detached = stream.into_std().await.unwrap();
        peer.write_all(b"on").unwrap();
        detached.stream.read_exact(&mut [0; 2]).unwrap();
    });
}

/// The file table belongs to the ring that it leaves.
#[test]
fn a_connection_that_moves_to_another_runtime_frees_its_file_slot() {
    with_file_slots(1, async || {
        let before = open();
        for _ in 0..5 {
            let (stream, mut peer) = accepted().await;
            let parts = stream.into_parts().await.unwrap();
            let moved = thread::spawn(move || {
                annulus::run(async move {
                    let mut stream = TcpStream::from_parts(parts);
                    stream.write_all("moved").await.0.unwrap();
                })
            });
            // The file table refers to the socket until this loop's next turn.
            until(|| moved.is_finished()).await;
            moved.join().unwrap().unwrap();
            yield_times(3).await;
            let mut text = String::new();
            peer.read_to_string(&mut text).unwrap();
            assert_eq!(text, "moved");
        }
        until(|| open() == before).await;
        assert_eq!(metrics().direct_descriptor_misses, 0);
    });
}

#[test]
fn a_dropped_stream_is_closed_and_its_file_slot_used_again() {
    with_file_slots(3, async || {
        let before = open();
        for round in 0..60 {
            let (mut stream, mut peer) = accepted().await;
            // By multishot, by inline calls, or with an ordinary descriptor beside its file slot.
            for _ in 0..round % 5 {
                let message = vec![1; if round % 2 == 0 { 10 } else { 40_000 }];
                peer.write_all(&message).unwrap();
                let mut left = message.len();
                while left > 0 {
                    left -= stream.recv().await.unwrap().len();
                }
            }
            assert!(once(Box::pin(stream.recv()).as_mut()).await.is_pending());
            if round % 3 == 0 {
                stream.set_nodelay(true).unwrap();
            }
            drop(stream);
            peer.set_nonblocking(true).unwrap();
            until(|| matches!(peer.read(&mut [0]), Ok(0))).await;
        }
        until(|| open() == before).await;
        assert_eq!(metrics().direct_descriptor_misses, 0);
    });
}

#[test]
fn a_full_file_table_means_ordinary_descriptors_and_freed_slots_are_used_again() {
    with_file_slots(2, async || {
        let before = open();
        let (listener, address) = listener().await;
        let (mut peers, mut streams) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            peers.push(Peer::connect(address).unwrap());
            let (stream, from) = listener.accept().await.unwrap();
            assert_eq!(from, peers.last().unwrap().local_addr().unwrap());
            streams.push(stream);
        }
        assert_eq!(open(), before + 1 + 20 + 18 + in_slots(2));
        assert!(metrics().direct_descriptor_misses > 0);
        for (stream, peer) in streams.iter_mut().zip(&mut peers) {
            peer.write_all(b"all the same").unwrap();
            assert_eq!(&*stream.recv().await.unwrap(), b"all the same");
        }
        drop(streams);
        drop(peers);
        until(|| open() == before + 1).await;
        let taken = metrics().direct_descriptors;
        for _ in 0..10 {
            let peer = Peer::connect(address).unwrap();
            drop(listener.accept().await.unwrap());
            drop(peer);
            until(|| open() == before + 1).await;
        }
        assert!(metrics().direct_descriptors >= taken + 9);
    });
}

#[test]
fn a_dropped_connect_closes_its_socket_and_frees_its_file_slot() {
    with_file_slots(1, async || {
        let (full, _filled) = full_listener();
        let address = full.local_addr().unwrap();
        for polls in 1..6 {
            assert!(times(polls, TcpStream::connect(address)).await.is_none());
            until(|| metrics().in_kernel <= 1 && metrics().queued == 0).await;
            assert_eq!(metrics().direct_descriptor_misses, 0);
        }
        let refused =
            timeout(patient(Duration::from_secs(20)), TcpStream::connect("127.0.0.1:1")).await;
        assert_eq!(refused.unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_lingering_close_is_done_off_the_loop_or_without_lingering() {
    with_file_slots(4, async || {
        for _ in 0..4 {
            let (mut stream, peer) = accepted().await;
            stream.set_linger(Some(Duration::from_secs(30))).unwrap();
            // More than the kernel's buffers hold.
            let unsent = vec![0; 32 << 20];
            assert!(times(3, stream.write(unsent)).await.is_some());
            drop(stream);
            yield_now().await;
            drop(peer);
        }
        let (mut last, peer) = accepted().await;
        last.set_linger(Some(Duration::from_secs(30))).unwrap();
        assert!(times(3, last.write(vec![0; 32 << 20])).await.is_some());
        // Its close is the runtime's end's business; the peer reads nothing meanwhile.
        spawn(async move {
            std::future::pending::<()>().await;
            drop(last);
        });
        yield_now().await;
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(4));
            drop(peer);
        });
    });
}

#[test]
fn a_stream_that_outlives_its_runtime_is_closed() {
    let _alone = alone();
    bounded(|| {
        let before = open();
        let Some(runtime) = build_or_skip(Runtime::builder().direct_descriptors(4)) else {
            return;
        };
        let (mut stream, mut peer) = runtime.block_on(accepted());
        drop(runtime);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        assert!(stream.local_addr().is_err());
        assert!(Runtime::new().unwrap().block_on(stream.recv()).is_err());
        drop((stream, peer));
        assert_back_to(before);
    });
}

#[test]
fn printing_a_stream_makes_no_descriptor_and_no_system_call() {
    with_file_slots(4, async || {
        let (stream, _peer) = accepted().await;
        let before = (open(), metrics().enter_calls);
        let text = format!("{stream:?}");
        assert!(text.contains("fd: None"), "{text}");
        let (read, write) = stream.into_split();
        let _ = format!("{read:?} {write:?}");
        assert_eq!((open(), metrics().enter_calls), before);
    });
}
