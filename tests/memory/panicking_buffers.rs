//! Buffers that panic, in their destructors or when they are told of received bytes: a dropped
//! operation with one leaves its stream usable, in both directions, and loses no byte.

use std::io::{Read, Write};

use annulus::buf::{BufResult, IoBuf, IoBufMut};
use annulus::metrics;
use annulus::net::TcpStream;
use annulus::time::timeout;

use crate::common::incidents::Incidents;
use crate::common::net::connected;
use crate::common::patience::limit;
use crate::common::poll::{times, until};
use crate::common::watchdog::block_on;

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Dropped,
    Told,
}

struct Panicking {
    bytes: Vec<u8>,
    when: When,
}

impl Panicking {
    fn with_capacity(bytes: usize, when: When) -> Self {
        Self { bytes: Vec::with_capacity(bytes), when }
    }

    fn filled(bytes: usize) -> Self {
        Self { bytes: vec![7; bytes], when: When::Dropped }
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        assert!(self.when != When::Dropped, "dropped");
    }
}

// SAFETY: it is the vector's memory, which does not move with the vector.
unsafe impl IoBuf for Panicking {
    fn stable_ptr(&self) -> *const u8 {
        self.bytes.stable_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.bytes.bytes_init()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for Panicking {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.stable_mut_ptr()
    }

    fn bytes_total(&self) -> usize {
        self.bytes.bytes_total()
    }

    unsafe fn set_init(&mut self, count: usize) {
        assert!(self.when != When::Told, "told of {count} bytes");
        // SAFETY: passed on by the caller.
        unsafe { self.bytes.set_init(count) };
    }
}

/// Has an SQE queued, so that the next send is one, too, and no inline call.
async fn queue_an_entry() {
    let (mut other, _far) = connected();
    assert!(times(1, other.read(vec![0])).await.is_none());
}

async fn drop_in_flight(stream: &mut TcpStream, way: usize, when: When) {
    let empty = || Panicking::with_capacity(16, when);
    queue_an_entry().await;
    let full = || Panicking::filled(64 << 10);
    let is_over = match way {
        0 => times(1, stream.read(empty())).await.map(drop),
        1 => times(1, stream.read_exact(empty())).await.map(drop),
        2 => times(1, stream.peek(empty())).await.map(drop),
        3 => times(1, stream.write(full())).await.map(drop),
        4 => times(1, stream.write_all(full())).await.map(drop),
        5 => times(1, stream.write_vectored(vec![full()])).await.map(drop),
        6 => times(1, stream.write_all_vectored(vec![full()])).await.map(drop),
        _ => times(1, stream.write_all_zero_copy(full())).await.map(drop),
    };
    assert!(is_over.is_none(), "it is in flight");
}

#[test]
fn a_dropped_operation_whose_buffer_panics_blocks_nothing_and_loses_no_byte() {
    for way in 0..8 {
        for when in [When::Dropped, When::Told] {
            let incidents = Incidents::default();
            block_on(&incidents.runtime(), async {
                let (mut stream, mut peer) = connected();
                // A read finds bytes, which the buffer is not told of.
                peer.write_all(b"first").unwrap();
                drop_in_flight(&mut stream, way, when).await;
                let first = timeout(limit(), stream.read_exact(vec![0; 5])).await;
                let BufResult(result, first) = first.expect("the next read does not wait for ever");
                result.unwrap();
                assert_eq!(first, b"first");
                let written = timeout(limit(), stream.write_all("next")).await;
                written.expect("the next write does not wait for ever").0.unwrap();
                drop(stream);
                let mut all = Vec::new();
                peer.read_to_end(&mut all).unwrap();
                assert!(all.ends_with(b"next"));
                until(|| metrics().in_kernel <= 1).await;
            });
            let is_told = when == When::Told && way < 3;
            assert_eq!(incidents.count(), usize::from(!is_told), "way {way}");
        }
    }
}
