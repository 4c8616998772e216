//! A kernel thread that submits (SQPOLL): when it takes what is queued, and when it must
//! be woken.
//!
//! The driver counts as submitted what it has queued by the time it enters, though the thread may
//! take it a moment later, and leaves the call out when there is nothing to wake or to wait for.

use std::thread;
use std::time::{Duration, Instant};

use io_uring::EnterFlags;
use uring_sys_tests::op::Op;
use uring_sys_tests::ring::{Ring, patience};

use crate::case::cases;

cases![
    thread_takes_without_a_call,
    sleeping_thread_waits_to_be_woken,
    full_queue_can_be_waited_for
];

/// A ring whose thread sleeps when there has been nothing for `idle` milliseconds.
fn ring(entries: u32, idle: u32) -> Ring {
    Ring::with(entries, |builder| {
        builder.setup_sqpoll(idle);
    })
}

fn wait_until(ring: &mut Ring, mut holds: impl FnMut(&mut Ring) -> bool) {
    let deadline = Instant::now() + patience();
    while !holds(ring) {
        assert!(Instant::now() < deadline, "it does not come");
        thread::sleep(Duration::from_millis(1));
    }
}

fn sleeps(ring: &mut Ring) -> bool {
    ring.uring().submission().need_wakeup()
}

/// While the thread is awake, what is queued is taken and completes without any call. (When the
/// ring has just been made, it may sleep until it is woken for the first time.)
fn thread_takes_without_a_call() {
    let mut ring = ring(8, 10_000);
    ring.enter(0, 0, EnterFlags::SQ_WAKEUP, None).expect("wake the thread");
    for tag in 0..50 {
        ring.push(&Op::nop().tag(tag));
        let mut taken = Vec::new();
        wait_until(&mut ring, |ring| {
            taken.extend(ring.peek());
            !taken.is_empty()
        });
        assert_eq!((taken[0].tag, taken[0].outcome()), (tag, Ok(0)));
    }
}

/// A thread that has gone to sleep says so, and takes what was queued when it is woken. The driver
/// looks after it has queued; were the flag not set by then, an operation would never begin.
fn sleeping_thread_waits_to_be_woken() {
    let mut ring = ring(8, 1);
    for tag in 0..5 {
        wait_until(&mut ring, sleeps);
        ring.push(&Op::nop().tag(tag));
        thread::sleep(Duration::from_millis(5));
        assert!(ring.peek().is_empty() && sleeps(&mut ring), "it sleeps on");
        ring.enter(0, 0, EnterFlags::SQ_WAKEUP, None).expect("wake the thread");
        assert_eq!(ring.next_any().tag, tag);
    }
}

/// With the queue full, an enter can wait until there is room again.
fn full_queue_can_be_waited_for() {
    let mut ring = ring(2, 1);
    for tag in 0..100 {
        if !ring.try_push(&Op::nop().tag(tag)) {
            // It may return early, without room: task work of another ring of this thread, such as
            // the exit of the ring of the test before, ends the wait.
            wait_until(&mut ring, |ring| {
                let flags = EnterFlags::SQ_WAKEUP | EnterFlags::SQ_WAIT;
                ring.enter(0, 0, flags, None).expect("wait for room");
                ring.try_push(&Op::nop().tag(tag))
            });
        }
        if tag % 2 == 1 {
            ring.peek();
        }
    }
}
