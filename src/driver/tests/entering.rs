//! Entering the kernel: when, how long, in what order, and what becomes of its refusals.

use super::*;

#[test]
fn a_turn_with_nothing_to_do_does_not_enter() {
    let bench = Bench::with_capacity(8);
    bench.driver.turn(false);
    assert_eq!(bench.ring.script().enters, []);
    bench.ring.script().deferred = true;
    bench.driver.turn(false);
    assert_eq!(bench.ring.script().enters, [Wait::No]);
}

#[test]
fn a_turn_waits_to_the_nearest_deadline_and_less_than_a_tenth_of_a_millisecond_longer() {
    for length in [1, 17, 300].map(Duration::from_millis) {
        let bench = Bench::with_capacity(8);
        bench.driver.timers().start(Instant::now() + Duration::from_secs(60), &bench.waker());
        let deadline = Instant::now() + length;
        bench.driver.timers().start(deadline, &bench.waker());
        // The deadlines of a level of the wheel come into sight one after the other.
        let mut waits = 0;
        loop {
            let before = Instant::now();
            if before >= deadline {
                break;
            }
            bench.driver.turn(true);
            // It does not even enter when there is a timer to move.
            for wait in std::mem::take(&mut bench.ring.script().enters) {
                assert_ne!(wait, Wait::Forever);
                let Wait::AtMost(limit) = wait else { continue };
                assert!(before + limit <= deadline + Duration::from_micros(100), "{limit:?}");
                std::thread::sleep(limit);
                waits += 1;
            }
        }
        assert!(waits <= 7, "{waits} waits");
    }
}

#[test]
fn a_turn_does_not_wait_while_a_wake_is_pending() {
    let bench = Bench::with_capacity(1);
    let first = bench.submit();
    // The queue is full, so this enters and reaps before the turn.
    bench.ring.script().taken.clear();
    bench.submit();
    bench.ring.complete(0, 1, false);
    bench.submit();
    assert_eq!(bench.woken(), 0, "reaping runs no foreign code");
    bench.driver.turn(true);
    assert_eq!(bench.ring.script().enters.last(), Some(&Wait::No));
    assert_eq!(bench.woken(), 1);
    assert_eq!(bench.poll(first), Poll::Ready(1));
}

/// Arming the bell enters the kernel when the queue is full, and that enter may reap all
/// completions.
#[test]
fn a_turn_does_not_wait_after_arming_the_bell_has_reaped_a_completion() {
    let bench = Bench::with_capacity(1);
    bench.ring.script().completes_at_once = true;
    let key = bench.submit();
    bench.driver.turn(true);
    assert_eq!(bench.ring.script().enters, [Wait::No, Wait::No]);
    assert_eq!(bench.woken(), 1);
    assert_eq!(bench.poll(key), Poll::Ready(0));
}

#[test]
fn a_full_queue_submits_early_and_keeps_the_order() {
    let bench = Bench::with_capacity(2);
    let keys: Vec<_> = (0..5).map(|_| bench.submit()).collect();
    assert_eq!(bench.ring.script().enters.len(), 2);
    bench.driver.turn(false);
    let taken: Vec<_> = bench.ring.script().taken.iter().map(Sqe::user_data).collect();
    assert_eq!(taken, keys.iter().map(|key| key.user_data()).collect::<Vec<_>>());
}

#[test]
fn an_operation_and_its_link_timeout_are_submitted_together() {
    let bench = Bench::with_capacity(2);
    let linked = || {
        let (nop, timeout) = (opcode::Nop::new().build(), opcode::Nop::new().build());
        // SAFETY: no-ops point to no memory.
        unsafe { bench.driver.submit(nop, Some(timeout), &bench.waker()) }.unwrap()
    };
    bench.submit();
    linked();
    // There was room for one of the two only.
    assert_eq!(bench.ring.script().batches, [1]);
    bench.ring.script().refusals.extend([EBUSY; 2]);
    bench.submit();
    linked();
    while bench.ring.script().taken.len() < 6 {
        bench.driver.turn(false);
    }
    assert_eq!(bench.ring.script().batches, [1, 2, 1, 2]);
}

#[test]
fn a_kernel_that_takes_nothing_loses_no_entry_and_no_cancel() {
    let bench = Bench::with_capacity(2);
    bench.ring.script().refusals.extend([EBUSY; 3]);
    let keys: Vec<_> = (0..4).map(|_| bench.submit()).collect();
    let late: Vec<_> = keys.iter().map(|&key| bench.orphan(key)).collect();
    while bench.opcodes_taken().len() < 8 {
        bench.driver.turn(false);
    }
    assert_eq!(bench.opcodes_taken(), [[NOP; 4], [CANCEL; 4]].concat());
    for nth in 0..8 {
        bench.ring.complete(nth, if nth < 4 { -ECANCELED } else { 0 }, false);
    }
    bench.driver.turn(false);
    assert!(late.iter().all(|late| late.settled() == [-ECANCELED] && !late.is_kept()));
}

#[test]
fn interruptions_and_deadlines_are_no_errors() {
    let bench = Bench::with_capacity(8);
    bench.ring.script().refusals.extend([EINTR, ETIME]);
    let key = bench.submit();
    bench.driver.turn(true);
    bench.driver.turn(true);
    bench.driver.turn(true);
    bench.ring.complete(0, 3, false);
    bench.driver.turn(false);
    assert_eq!(bench.poll(key), Poll::Ready(3));
}

#[test]
#[should_panic(expected = "a bug in annulus")]
fn an_unexpected_error_of_an_enter_panics() {
    let bench = Bench::with_capacity(8);
    bench.ring.script().refusals.push_back(crate::sys::errno::EINVAL);
    bench.submit();
    bench.driver.turn(false);
}

#[test]
fn an_overflown_queue_is_entered_for_and_counted() {
    let bench = Bench::with_capacity(8);
    bench.ring.script().overflown = true;
    bench.driver.turn(false);
    assert_eq!(bench.ring.script().enters, [Wait::No]);
    assert_eq!(bench.driver.metrics().cq_overflows, 1);
}

/// A kernel thread takes what it sees at once: a link that ends in nothing is no link.
#[test]
fn linked_entries_become_visible_to_a_submission_thread_at_once() {
    let bench = Bench::with_capacity(8);
    bench.ring.script().has_thread = true;
    let (nop, timeout) = (opcode::Nop::new().build(), opcode::Nop::new().build());
    // SAFETY: no-ops point to no memory.
    unsafe { bench.driver.submit(nop, Some(timeout), &bench.waker()) }.unwrap();
    assert_eq!(bench.ring.script().batches, [2]);
}

#[test]
fn entries_behind_a_full_ring_wait_in_the_kernel_for_a_busy_submission_thread() {
    let bench = Bench::with_capacity(2);
    {
        let mut script = bench.ring.script();
        (script.has_thread, script.is_thread_busy) = (true, true);
        // The kernel finds no memory to wait for room by, at first.
        script.refusals.push_back(ENOMEM);
    }
    let _keys: Vec<_> = (0..3).map(|_| bench.submit()).collect();
    assert_eq!(bench.opcodes_taken(), [], "the third waits behind the ring");
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, NOP], "a turn has waited for room");
    bench.ring.script().is_thread_busy = false;
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, NOP, NOP]);
}

/// With a submission thread what was pushed is taken even if the enter fails.
#[test]
fn entries_never_complete_before_they_are_counted_as_submitted() {
    let bench = Bench::with_capacity(8);
    {
        let mut script = bench.ring.script();
        (script.has_thread, script.completes_at_once) = (true, true);
        script.refusals.push_back(ENOMEM);
    }
    let key = bench.submit();
    bench.driver.turn(true);
    assert_eq!(bench.poll(key), Poll::Ready(0));
    let metrics = bench.driver.metrics();
    // The bell's poll is the other.
    assert_eq!((metrics.submitted, metrics.completed, metrics.in_kernel), (2, 1, 1));
}

#[test]
fn an_entry_never_overtakes_what_waits_for_room() {
    let bench = Bench::with_capacity(2);
    bench.ring.script().refusals.extend([EBUSY; 2]);
    let linked = || {
        let (nop, timeout) = (opcode::Nop::new().build(), opcode::Nop::new().build());
        // SAFETY: no-ops point to no memory.
        unsafe { bench.driver.submit(nop, Some(timeout), &bench.waker()) }.unwrap()
    };
    let first = bench.submit();
    // There is room for one of the two: they wait behind the ring, and what comes now waits behind
    // them.
    let second = linked();
    let third = bench.submit();
    while bench.ring.script().taken.len() < 4 {
        bench.driver.turn(false);
    }
    let taken: Vec<_> = bench.ring.script().taken.iter().map(Sqe::user_data).collect();
    let unattended = Key::UNATTENDED.user_data();
    assert_eq!(taken, [first.user_data(), second.user_data(), unattended, third.user_data()]);
}

#[test]
fn refused_enters_are_counted_and_lose_nothing() {
    let bench = Bench::with_capacity(8);
    bench.ring.script().refusals.extend([ENOMEM, EAGAIN, EBUSY]);
    let key = bench.submit();
    (0..4).for_each(|_| bench.driver.turn(false));
    assert_eq!(bench.driver.metrics().refused_enter_calls, 3);
    bench.ring.complete(0, 5, false);
    bench.driver.turn(false);
    assert_eq!(bench.poll(key), Poll::Ready(5));
    assert_eq!(bench.incidents.load(Relaxed), 0, "they did not go on for long");
}

#[test]
#[should_panic(expected = "such as a seccomp filter, must allow it")]
fn a_sandbox_entered_late_is_named_as_such() {
    let bench = Bench::with_capacity(8);
    bench.ring.script().refusals.push_back(EPERM);
    bench.submit();
    bench.driver.turn(false);
}

/// The bell's poll is a multishot: the kernel may end it at any completion.
#[test]
fn the_bells_poll_is_armed_again_after_it_has_ended() {
    let bench = Bench::with_capacity(8);
    let polls = || bench.opcodes_taken().iter().filter(|&&opcode| opcode == POLL).count();
    bench.driver.turn(true);
    bench.ring.complete(0, 1, true);
    bench.driver.turn(true);
    assert_eq!(polls(), 1, "it goes on");
    bench.ring.complete(0, 1, false);
    bench.driver.turn(true);
    bench.driver.turn(true);
    assert_eq!(polls(), 2, "armed once more");
}

#[test]
#[cfg_attr(miri, ignore = "takes a minute there, and has nothing unsafe")]
fn inline_calls_have_a_budget_that_each_turn_refills() {
    let bench = Bench::with_capacity(8);
    assert!(bench.driver.is_first_of_turn() && bench.driver.may_run_inline());
    // Calls cost something, too, even if they move nothing.
    let calls = (0..1 << 20).take_while(|_| {
        bench.driver.note_inline_call(0);
        bench.driver.may_run_inline()
    });
    assert!(calls.count() < 1 << 14);
    assert!(bench.driver.is_turn_spent() && !bench.driver.is_first_of_turn());
    bench.driver.turn(false);
    assert!(!bench.driver.is_turn_spent());
    bench.driver.note_inline_call(4 << 20);
    assert!(bench.driver.is_turn_spent() && !bench.driver.may_run_inline());
}
