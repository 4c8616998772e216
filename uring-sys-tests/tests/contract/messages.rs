//! Waking a ring from outside: messages between rings, and an event counter where there are none.
//!
//! Shards talk through these. A message that is lost is a shard that sleeps on finished work.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use uring_sys_tests::completion::Errno;
use uring_sys_tests::op::Op;
use uring_sys_tests::raw;
use uring_sys_tests::ring::{Ring, patience};
use uring_sys_tests::socket;

use crate::case::cases;

cases![
    msg_ring_delivers: [MsgRing],
    msg_ring_wakes_deferred_ring: [MsgRing, DeferTaskrun],
    msg_ring_overflow_delivers: [MsgRing],
    msg_ring_bad_target: [MsgRing],
    send_msg_ring_needs_no_ring: [SendMsgRing, DeferTaskrun],
    event_counter_wakes_waiting_ring: [DeferTaskrun],
];

/// A ring message arrives as a completion with exactly the user data and result that were sent,
/// and the sender gets its own. The driver packs a task's address of 64 bits into it.
fn msg_ring_delivers() {
    let (mut here, mut there) = (Ring::plain(8), Ring::plain(8));
    for (tag, result) in [(u64::MAX, i32::MAX), (0, 0), (1 << 63, 1)] {
        let sent = here.run(Op::message(&there, tag, result).tag(7));
        assert_eq!(sent.outcome(), Ok(0));
        let arrived = there.next_any();
        assert_eq!((arrived.tag, arrived.result, arrived.flags), (tag, result, 0));
    }
    there.assert_quiet("one completion for each message");
}

/// A ring message ends the wait of a thread that sleeps on a ring with deferred work, each time.
/// It is how a shard is woken; a wake-up that only waits in a queue would be a lost one.
fn msg_ring_wakes_deferred_ring() {
    let mut here = Ring::plain(8);
    let woken = wake_a_sleeper(
        |_| {},
        |sleeper, round| {
            let sent = here.run(Op::message(&sleeper, round, 0).tag(7));
            assert_eq!(sent.outcome(), Ok(0));
        },
    );
    assert_eq!(woken, (0..ROUNDS).collect::<Vec<_>>());
}

/// Messages into a full completion queue are kept aside and arrive, in order.
/// A shard may be busy for long; the messages that pile up meanwhile carry other shards' results.
fn msg_ring_overflow_delivers() {
    const MESSAGES: u64 = 40;
    let (mut here, mut there) = (Ring::plain(8), Ring::plain(4));
    assert!(u64::from(there.uring().params().cq_entries()) < MESSAGES);
    for tag in 0..MESSAGES {
        let sent = here.run(Op::message(&there, tag, 0).tag(99)).outcome();
        assert_eq!(sent, Ok(0), "message {tag}");
    }
    let tags: Vec<_> = there.next_all(MESSAGES as usize).iter().map(|c| c.tag).collect();
    assert_eq!(tags, (0..MESSAGES).collect::<Vec<_>>());
}

/// A message to what is no ring, or a ring not enabled yet, fails at the sender with `EBADFD`, and
/// to no descriptor with `EBADF`. The driver learns so that a shard is gone, and falls back.
fn msg_ring_bad_target() {
    let mut here = Ring::plain(8);
    let no_ring = socket::event_counter();
    let disabled = Ring::with(8, |builder| {
        builder.setup_r_disabled();
    });
    let no_descriptor: RawFd = -1;
    let answers = [
        here.run(Op::message(&no_ring, 1, 1)).outcome(),
        here.run(Op::message(&disabled, 1, 1)).outcome(),
        here.run(Op::message(&no_descriptor, 1, 1)).outcome(),
    ];
    let expected = [libc::EBADFD, libc::EBADFD, libc::EBADF].map(|errno| Err(Errno(errno)));
    assert_eq!(answers, expected);
}

/// A thread without a ring can send a ring message by a system call alone.
/// A blocking helper thread wakes its shard so, without a descriptor for an event counter.
fn send_msg_ring_needs_no_ring() {
    let woken = wake_a_sleeper(
        |_| {},
        |sleeper, round| {
            let message = Op::message(&sleeper, round, 0);
            let entry = std::ptr::from_ref(message.entry()).cast();
            // SAFETY: the call reads one SQE, which lives for the call.
            let sent = unsafe { raw::register(-1, raw::REGISTER_SEND_MSG_RING, entry, 1) };
            assert_eq!(sent.map_err(|e| Errno::of(&e)), Ok(0));
        },
    );
    assert_eq!(woken, (0..ROUNDS).collect::<Vec<_>>());
}

/// A multishot poll on an event counter ends the wait at each write, though it is never read.
/// It wakes a shard where ring messages are missing, at no cost to the shard.
fn event_counter_wakes_waiting_ring() {
    const POLL: u64 = 5;
    let counter = socket::event_counter();
    let polled = counter.as_raw_fd();
    let woken = wake_a_sleeper(
        move |ring| ring.start([Op::poll_multi(&polled, libc::POLLIN).tag(POLL)]),
        |_, _| socket::signal(&counter),
    );
    assert_eq!(woken, [POLL; ROUNDS as usize]);
}

const ROUNDS: u64 = 20;

/// Has a thread sleep on a deferred ring of its own, and wakes it once a round, each time only when
/// it sleeps. Gives the user data of what woke it.
fn wake_a_sleeper(
    prepare: impl FnOnce(&mut Ring) + Send + 'static,
    mut wake: impl FnMut(RawFd, u64),
) -> Vec<u64> {
    let (report, reports) = mpsc::channel();
    let sleeper = thread::spawn(move || {
        let mut ring = Ring::deferred(8);
        prepare(&mut ring);
        // SAFETY: the call takes no pointer.
        let thread = unsafe { libc::gettid() };
        let mut woken = Vec::new();
        for _ in 0..ROUNDS {
            report.send((thread, ring.as_raw_fd())).expect("the waker listens");
            woken.push(ring.next_any().tag);
        }
        woken
    });
    for round in 0..ROUNDS {
        let (thread, ring) = reports.recv().expect("the sleeper goes to sleep");
        await_asleep(thread);
        wake(ring, round);
    }
    sleeper.join().expect("the sleeping thread")
}

/// Waits until a thread of this process sleeps in a system call.
fn await_asleep(sleeper: libc::pid_t) {
    let deadline = Instant::now() + patience();
    let asleep = || {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{sleeper}/stat"));
        // The state follows the name, which is in parentheses.
        stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S')))
    };
    while !asleep() {
        assert!(Instant::now() < deadline, "the thread does not go to sleep");
        thread::yield_now();
    }
}
