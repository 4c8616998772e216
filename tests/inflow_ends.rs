//! Receives that go on by themselves, when their stream or their runtime is gone: nothing is left open.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream as Peer;
use std::time::Duration;

use annulus::net::TcpStream;
use annulus::time::sleep;
use annulus::{Runtime, metrics, yield_now};
use common::bounded::bounded;
use common::descriptors;
use common::inflow::flowing;
use common::patience::patient;
use common::poll::until;

/// Drops a stream that has something unread, before or after the kernel has told of it, and has its peer
/// find the end.
async fn drop_unread(round: u64, stream: TcpStream, mut peer: Peer) {
    peer.write_all(b"nobody takes this").unwrap();
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
        let runtime = Runtime::builder().small_leases(4, 64).leases(1, 64).build().unwrap();
        runtime.block_on(async {
            for round in 1..=50 {
                let (stream, peer) = flowing().await;
                drop_unread(round, stream, peer).await;
                assert_eq!(metrics().multishot_receives, round);
            }
            assert_eq!(metrics().lease_misses, 0);
        });
    });
    descriptors::assert_back_to(before);
}

#[test]
fn a_runtime_may_end_before_its_streams() {
    let _alone = descriptors::alone();
    let before = descriptors::open();
    bounded(|| {
        for _ in 0..20 {
            let runtime = Runtime::builder().small_leases(4, 64).build().unwrap();
            let (mut stream, mut peer, forgotten) = runtime.block_on(async {
                let (stream, peer) = flowing().await;
                let (forgotten, _) = flowing().await;
                (stream, peer, forgotten)
            });
            peer.write_all(b"late").unwrap();
            runtime.block_on(sleep(Duration::from_millis(10)));
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
