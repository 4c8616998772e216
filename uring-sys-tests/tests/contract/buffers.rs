//! Buffer rings: who has which buffer, and what happens when there is none.
//!
//! A lease is a buffer id that the kernel gave away. The driver rests on the kernel never giving
//! one id twice, on it seeing a returned buffer at once, and on an empty ring losing no byte.

use std::collections::BTreeSet;

use uring_sys_tests::buffer_ring::BufferRing;
use uring_sys_tests::completion::Errno;
use uring_sys_tests::op::Op;
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    enobufs_loses_no_bytes: [MultishotRecv],
    empty_ring_arm_enobufs: [MultishotRecv],
    buffer_id_exclusive_until_returned: [MultishotRecv],
    idle_recv_holds_no_buffer: [BufferRings],
    cancelled_recv_keeps_ring_intact: [BufferRings],
    unknown_group_enobufs: [BufferRings],
    bundle_order: [BufferRings, Bundles],
];

const GROUP: u16 = 3;
const NO_BUFFERS: Result<u32, Errno> = Err(Errno(libc::ENOBUFS));

/// When the buffers run out, a multishot ends with `ENOBUFS`; the rest of the bytes stay queued.
/// The driver re-arms when a buffer comes back, and the stream goes on where it stopped.
fn enobufs_loses_no_bytes() {
    let mut ring = Ring::plain(8);
    let mut buffers = BufferRing::full(&ring, GROUP, 4, 4);
    let (near, far) = socket::tcp_pair();
    let sent: Vec<u8> = (0..40).collect();
    socket::write_all(&far, &sent);
    let mut got = Vec::new();
    while got.len() < sent.len() {
        ring.start([Op::recv_multi(&near, GROUP).tag(1)]);
        let mut lent = Vec::new();
        let end = loop {
            let completion = ring.next_any();
            let Some(id) = completion.buffer_id() else { break completion };
            got.extend(buffers.bytes(id, completion.outcome().expect("bytes")));
            lent.push(id);
            if got.len() == sent.len() {
                break completion;
            }
        };
        if got.len() < sent.len() {
            assert_eq!((end.outcome(), end.more()), (NO_BUFFERS, false));
            assert_eq!(lent.len(), 4, "every buffer was used first");
        }
        for id in lent {
            buffers.provide(id);
        }
    }
    assert_eq!(got, sent);
}

/// A multishot that is armed on an empty ring of buffers ends with `ENOBUFS` when bytes are there.
/// The driver must not re-arm before a buffer is back: it would spin, one system call a turn.
fn empty_ring_arm_enobufs() {
    let mut ring = Ring::plain(8);
    let mut buffers = BufferRing::empty(&ring, GROUP, 4, 8);
    let (near, far) = socket::tcp_pair();
    socket::write_all(&far, b"kept");
    for arming in 0..3 {
        let refused = ring.run(Op::recv_multi(&near, GROUP).tag(1));
        assert_eq!((refused.outcome(), refused.more()), (NO_BUFFERS, false), "arming {arming}");
    }
    buffers.provide(2);
    let received = ring.run(Op::recv_multi(&near, GROUP).tag(1));
    assert_eq!((received.outcome(), received.buffer_id()), (Ok(4), Some(2)));
    assert_eq!(buffers.bytes(2, 4), b"kept");
}

/// The kernel gives each buffer away once until it is returned, and sees a returned one at once,
/// without a system call. A lease hands out the memory itself: given twice, it would be aliased.
fn buffer_id_exclusive_until_returned() {
    let mut ring = Ring::plain(8);
    let mut buffers = BufferRing::full(&ring, GROUP, 4, 8);
    let (near, far) = socket::tcp_pair();
    let receive = |ring: &mut Ring| {
        socket::write_all(&far, b"x");
        ring.next_for(1)
    };
    ring.start([Op::recv_multi(&near, GROUP).tag(1)]);
    let mut lent = BTreeSet::new();
    for _ in 0..4 {
        let id = receive(&mut ring).buffer_id().expect("a buffer");
        assert!(lent.insert(id), "buffer {id} was given twice; lent: {lent:?}");
    }
    assert_eq!(receive(&mut ring).outcome(), NO_BUFFERS, "all are lent: {lent:?}");
    buffers.provide(1);
    let received = ring.run(Op::recv_multi(&near, GROUP).tag(1));
    assert_eq!(received.buffer_id(), Some(1), "the only buffer that came back");
}

/// A receive that waits for bytes holds no buffer: one buffer serves many idle receives.
/// An idle connection pins no memory only because of it.
fn idle_recv_holds_no_buffer() {
    let mut ring = Ring::plain(8);
    let mut buffers = BufferRing::empty(&ring, GROUP, 2, 8);
    buffers.provide(0);
    let pairs: Vec<_> = (0..4).map(|_| socket::tcp_pair()).collect();
    ring.start(pairs.iter().zip(0..).map(|((near, _), at)| Op::recv_picked(near, GROUP).tag(at)));
    for ((_, far), at) in pairs.iter().zip(0..) {
        socket::write_all(far, b"woken");
        let received = ring.next_for(at);
        assert_eq!((received.outcome(), received.buffer_id()), (Ok(5), Some(0)));
        buffers.provide(0);
    }
}

/// A receive that is cancelled before bytes came takes no buffer out of the ring.
/// Each timed-out read would otherwise leak one, until the ring is empty for good.
fn cancelled_recv_keeps_ring_intact() {
    let mut ring = Ring::plain(8);
    let mut buffers = BufferRing::empty(&ring, GROUP, 2, 8);
    buffers.provide(0);
    let (near, far) = socket::tcp_pair();
    let recv = || Op::recv_picked(&near, GROUP).tag(1);
    for _ in 0..5 {
        ring.start([recv()]);
        ring.start([Op::cancel(1).tag(2)]);
        let ended = ring.next_for(1);
        assert_eq!((ended.outcome(), ended.buffer_id()), (Err(Errno(libc::ECANCELED)), None));
    }
    socket::write_all(&far, b"still");
    let received = ring.run(recv());
    assert_eq!((received.outcome(), received.buffer_id()), (Ok(5), Some(0)));
}

/// A receive that names an unregistered group is `ENOBUFS`, as if the group were empty.
/// The driver tells the two apart by itself; waiting for a buffer to come back would be for ever.
fn unknown_group_enobufs() {
    let mut ring = Ring::plain(8);
    let (near, far) = socket::tcp_pair();
    socket::write_all(&far, b"x");
    assert_eq!(ring.run(Op::recv_picked(&near, GROUP)).outcome(), NO_BUFFERS);
}

/// A bundle names its first buffer; its bytes go on in the buffers behind that one in ring order.
/// The driver makes one lease of each of them; another order would scramble the stream.
fn bundle_order() {
    const SIZE: usize = 4;
    let mut ring = Ring::plain(8);
    let mut buffers = BufferRing::empty(&ring, GROUP, 8, SIZE);
    let order = [6, 1, 7, 0, 3, 5];
    for id in order {
        buffers.provide(id);
    }
    let (near, far) = socket::tcp_pair();
    let sent: Vec<u8> = (1..=22).collect();
    socket::write_all(&far, &sent);
    let (mut got, mut used) = (Vec::new(), 0);
    while got.len() < sent.len() {
        let bundle = ring.run(Op::recv_bundle(&near, GROUP));
        assert_eq!(bundle.buffer_id(), Some(order[used]), "the first of the bundle: {bundle:?}");
        let mut left = bundle.outcome().expect("bytes") as usize;
        while left > 0 {
            let part = left.min(SIZE);
            got.extend(buffers.bytes(order[used], part as u32));
            left -= part;
            used += 1;
        }
    }
    assert_eq!(got, sent);
}
