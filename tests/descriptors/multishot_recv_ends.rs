//! Multishot receives whose stream or runtime is gone: no descriptor and no connection is left
//! open.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream as Peer;
use std::time::Duration;

use annulus::net::TcpStream;
use annulus::{Runtime, metrics, yield_now};

use crate::common::bounded::bounded;
use crate::common::descriptors;
use crate::common::multishot_recv::multishot_receiving;
use crate::common::net::connected;
use crate::common::patience::patient;
use crate::common::poll::{until, until_ring_has_looked};

/// A runtime that enters the kernel whenever a task yields.
fn with_few_buffers() -> Runtime {
    let builder = Runtime::builder().max_polls_per_turn(1);
    builder.small_buffers(4, 64).large_buffers(1, 64).build().unwrap()
}

/// Drops a stream that has something unread, before or after the kernel has told of it, and has its
/// peer find the end.
async fn drop_unread(round: u64, stream: TcpStream, mut peer: Peer) {
    peer.write_all(b"never read").unwrap();
    if round % 2 == 0 {
        yield_now().await;
    }
    drop(stream);
    peer.set_read_timeout(Some(patient(Duration::from_secs(10)))).unwrap();
    until(|| metrics().queued == 0).await;
    let end = peer.read(&mut [0; 8]);
    let is_end = matches!(&end, Ok(0));
    let is_reset = end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
    assert!(is_end || is_reset, "round {round}");
}

#[test]
fn a_dropped_stream_closes_its_descriptor_and_gives_its_buffers_back() {
    let _alone = descriptors::alone();
    let before = descriptors::open();
    bounded(|| {
        let runtime = with_few_buffers();
        runtime.block_on(async {
            for round in 1..=50 {
                let (stream, peer) = multishot_receiving().await;
                drop_unread(round, stream, peer).await;
                assert_eq!(metrics().multishot_receives, round);
            }
            assert_eq!(metrics().buffer_misses, 0);
        });
    });
    descriptors::assert_back_to(before);
}

/// What had been received for a stream that is dropped comes back: else the next one finds no
/// buffer. The one large buffer is lent out, so it does not step in.
#[test]
fn the_buffers_of_unread_messages_are_used_again() {
    let _alone = descriptors::alone();
    bounded(|| {
        let runtime = with_few_buffers();
        runtime.block_on(async {
            let (mut large, mut peer) = connected();
            peer.write_all(&[1; 128]).unwrap();
            let _held = [large.recv().await.unwrap(), large.recv().await.unwrap()];
            assert_eq!(metrics().buffer_misses, 0);
            for round in 1..=50 {
                let (stream, peer) = multishot_receiving().await;
                drop_unread(round, stream, peer).await;
            }
            assert_eq!(metrics().buffer_misses, 0);
        });
    });
}

/// The kernel may still receive for a while: until then the number must not be another socket's,
/// but the peer is told at once.
#[test]
fn a_dropped_stream_tells_its_peer_at_once_and_keeps_its_descriptor_until_the_last_completion() {
    let _alone = descriptors::alone();
    bounded(|| {
        let runtime = Runtime::builder().build().unwrap();
        runtime.block_on(async {
            let (stream, mut peer) = multishot_receiving().await;
            let before = descriptors::open();
            drop(stream);
            // The loop has not turned.
            assert_eq!(descriptors::open(), before);
            peer.set_read_timeout(Some(patient(Duration::from_secs(5)))).unwrap();
            assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0, "the end");
            until(|| descriptors::open() < before).await;
        });
    });
}

#[test]
fn a_runtime_may_end_before_its_streams() {
    let _alone = descriptors::alone();
    let before = descriptors::open();
    bounded(|| {
        for _ in 0..20 {
            let runtime = Runtime::builder().small_buffers(4, 64).build().unwrap();
            let (mut stream, mut peer, forgotten) = runtime.block_on(async {
                let (stream, peer) = multishot_receiving().await;
                let (forgotten, _) = multishot_receiving().await;
                (stream, peer, forgotten)
            });
            peer.write_all(b"late").unwrap();
            runtime.block_on(until_ring_has_looked());
            drop(runtime);
            // What had come is there; then nothing can be received any more.
            let other = Runtime::new().unwrap();
            assert_eq!(&*other.block_on(stream.recv()).unwrap(), b"late");
            assert!(other.block_on(stream.recv()).is_err());
            drop(forgotten);
        }
    });
    descriptors::assert_back_to(before);
}
