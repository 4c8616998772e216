//! Submission: which SQEs the kernel takes, in what order, and what it gives back.
//!
//! The driver queues while tasks run and submits once a turn. It counts on knowing exactly which
//! SQEs the kernel has and which it has not.

use std::os::unix::net::UnixStream;

use io_uring::EnterFlags;
use uring_sys_tests::completion::{Completion, Errno};
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::Op;
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    user_data_unchanged,
    partial_submit_takes_oldest,
    short_submit_keeps_entries,
    submit_all_continues: [SubmitAll],
    submitted_places_free_at_once,
    inline_results_are_there_after_submit: [DeferTaskrun],
];

fn tags(completions: &[Completion]) -> Vec<u64> {
    completions.iter().map(|completion| completion.tag).collect()
}

/// An SQE that no kernel knows, which fails while it is submitted.
fn bad() -> Op {
    // SAFETY: the opcode is unknown, so the kernel reads no address from the SQE.
    unsafe { Op::nop().with_field(0, u32::from(u8::MAX)) }
}

/// All 64 bits of the user data come back, whatever they are.
/// The driver packs a slot and a generation into them: one lost bit answers the wrong operation.
fn user_data_unchanged() {
    let mut ring = Ring::plain(8);
    let bits = (0..u64::BITS).map(|bit| 1_u64 << bit);
    for tag in bits.chain([0, u64::MAX, 0x0123_4567_89ab_cdef]) {
        ring.start([Op::nop().tag(tag)]);
        assert_eq!(ring.next_any().tag, tag);
    }
}

/// An enter for fewer SQEs than are queued takes the oldest; the rest stay in the queue.
/// The driver submits in a loop on that promise; a skipped SQE would be a task that never wakes.
fn partial_submit_takes_oldest() {
    let mut ring = Ring::plain(8);
    for tag in 0..5 {
        ring.push(&Op::nop().tag(tag));
    }
    let taken = ring.enter(2, 0, EnterFlags::empty(), None);
    assert_eq!(taken.expect("submit two"), 2);
    assert_eq!(ring.queued(), 3);
    assert_eq!(tags(&ring.next_all(2)), [0, 1]);
    ring.submit();
    assert_eq!(tags(&ring.next_all(3)), [2, 3, 4]);
}

/// Without `SUBMIT_ALL` a bad SQE ends the batch: it completes, the ones behind it stay queued.
/// Were they dropped, or their state freed as if submitted, the next enter would use freed memory.
fn short_submit_keeps_entries() {
    let mut ring = Ring::plain(8);
    for op in [Op::nop().tag(1), bad().tag(2), Op::nop().tag(3), Op::nop().tag(4)] {
        ring.push(&op);
    }
    let taken = ring.enter(4, 0, EnterFlags::empty(), None);
    assert_eq!(taken.expect("submit a part"), 2, "the bad entry is the last one taken");
    assert_eq!(ring.queued(), 2);
    assert_eq!(ring.next_for(1).outcome(), Ok(0));
    assert_eq!(ring.next_for(2).outcome(), Err(Errno(libc::EINVAL)));
    ring.submit();
    assert_eq!(tags(&ring.next_all(2)), [3, 4]);
}

/// With `SUBMIT_ALL` a bad SQE fails alone and the batch goes on.
/// The driver submits once a turn: one task's bad SQE must not hold back the others' work.
fn submit_all_continues() {
    let mut ring = Ring::with(8, |builder| {
        builder.setup_submit_all();
    });
    ring.start([Op::nop().tag(1), bad().tag(2), Op::nop().tag(3), Op::nop().tag(4)]);
    let outcomes = [1, 2, 3, 4].map(|tag| ring.next_for(tag).outcome());
    assert_eq!(outcomes, [Ok(0), Err(Errno(libc::EINVAL)), Ok(0), Ok(0)]);
}

/// Once submitted, an SQE's place is free again although its operation is still pending.
/// So a small queue carries any number of operations; else connections would be capped by it.
fn submitted_places_free_at_once() {
    let mut ring = Ring::plain(4);
    let (near, far) = socket::tcp_pair();
    for batch in 0..4 {
        ring.start((0..4).map(|at| Op::recv(&near, Buffer::zeroed(1)).tag(4 * batch + at)));
        assert_eq!(ring.queued(), 0);
        assert!(ring.try_push(&Op::nop().tag(99)), "room for the next entry");
        ring.submit();
        assert_eq!(ring.next_for(99).outcome(), Ok(0));
    }
    socket::write_all(&far, &[0; 16]);
    let mut answered = tags(&ring.next_all(16));
    answered.sort_unstable();
    assert_eq!(answered, (0..16).collect::<Vec<_>>());
}

/// What can be done at once is done inside the submitting call: its completion is there right
/// after. The driver looks before it sleeps; else each ready operation would cost a second system
/// call.
fn inline_results_are_there_after_submit() {
    let mut ring = Ring::deferred(8);
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    socket::write_all(&far, b"ready");
    let buffer = Buffer::zeroed(8);
    ring.start([Op::nop().tag(1), Op::recv(&near, buffer).tag(2), Op::send(&near, buffer).tag(3)]);
    let done = ring.peek();
    assert_eq!(tags(&done), [1, 2, 3], "no further enter was needed");
    assert_eq!(done[1].outcome(), Ok(5));
}
