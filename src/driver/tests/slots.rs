//! The life of a slot, from its submission to its last completion.

use super::*;

#[test]
fn a_completion_wakes_and_is_taken_once() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit();
    assert!(bench.poll(key).is_pending());
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP]);
    bench.ring.complete(0, 7, false);
    bench.driver.turn(false);
    assert_eq!(bench.woken(), 1);
    assert_eq!(bench.poll(key), Poll::Ready(7));
    assert_eq!(bench.driver.metrics().in_kernel, 0);
}

#[test]
fn an_orphan_is_kept_until_its_operation_completes() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit();
    bench.driver.turn(false);
    let late = bench.orphan(key);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, CANCEL]);
    // The cancel's own completion is advice: the memory stays.
    bench.ring.complete(1, 0, false);
    bench.driver.turn(false);
    assert!(late.is_kept() && late.settled().is_empty());
    // And the operation may have succeeded all the same.
    bench.ring.complete(0, 42, false);
    bench.driver.turn(false);
    assert_eq!(late.settled(), [42]);
    assert!(!late.is_kept());
    assert_eq!(bench.woken(), 0);
}

/// The operation is between two tries when the kernel looks for it, and then waits again.
#[test]
fn a_cancel_that_missed_is_repeated_while_its_target_is_in_flight() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit();
    bench.driver.turn(false);
    let late = bench.orphan(key);
    bench.driver.turn(false);
    bench.ring.complete(1, -ENOENT, false);
    bench.driver.turn(false);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, CANCEL, CANCEL]);
    bench.ring.complete(0, -ECANCELED, false);
    bench.ring.complete(2, -ENOENT, false);
    bench.driver.turn(false);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken().len(), 3, "its target has ended");
    assert_eq!(late.settled(), [-ECANCELED]);
}

/// However many operations are between two tries, repeating their cancels leaves time for the
/// tries.
#[test]
fn cancels_that_missed_are_repeated_a_few_at_a_time_and_in_the_end_all() {
    let bench = Bench::with_capacity(256);
    let keys: Vec<_> = (0..100).map(|_| bench.submit()).collect();
    bench.driver.turn(false);
    let late: Vec<_> = keys.into_iter().map(|key| bench.orphan(key)).collect();
    bench.driver.turn(false);
    (100..200).for_each(|nth| bench.ring.complete(nth, -ENOENT, false));
    bench.driver.turn(false);
    let cancels = || bench.opcodes_taken().iter().filter(|&&opcode| opcode == CANCEL).count();
    for repeated in [32, 64, 96, 100] {
        bench.driver.turn(true);
        assert_eq!(cancels(), 100 + repeated);
        let waited = *bench.ring.script().enters.last().unwrap() != Wait::No;
        assert_eq!(waited, repeated == 100, "it does not wait while one is to be repeated");
    }
    (0..100).for_each(|nth| bench.ring.complete(nth, -ECANCELED, false));
    bench.driver.turn(false);
    assert!(late.iter().all(|late| late.settled() == [-ECANCELED]));
}

#[test]
fn a_completion_that_was_not_taken_is_settled_when_the_future_is_dropped() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit();
    bench.driver.turn(false);
    bench.ring.complete(0, 9, false);
    bench.driver.turn(false);
    assert_eq!(bench.orphan(key).settled(), [9]);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP], "there is nothing to cancel");
}

#[test]
fn a_multishot_operation_gives_each_completion_and_then_ends() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit_multishot(100);
    assert_eq!(bench.poll_next(key), Poll::Pending);
    bench.driver.turn(false);
    bench.ring.complete(0, 1, true);
    bench.ring.complete(0, 2, true);
    bench.driver.turn(false);
    assert_eq!(bench.woken(), 1);
    assert_eq!(bench.poll_next(key), Poll::Ready(Some(1)));
    assert_eq!(bench.poll_next(key), Poll::Ready(Some(2)));
    assert_eq!(bench.poll_next(key), Poll::Pending);
    bench.ring.complete(0, -EBUSY, false);
    bench.driver.turn(false);
    assert_eq!(bench.poll_next(key), Poll::Ready(Some(-EBUSY)));
    assert_eq!(bench.poll_next(key), Poll::Ready(None));
}

#[test]
fn a_multishot_operation_that_no_task_reads_is_stopped_at_its_bound() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit_multishot(3);
    bench.driver.turn(false);
    for n in 0..5 {
        bench.ring.complete(0, n, true);
    }
    bench.driver.turn(false);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, CANCEL], "stopped once");
    bench.ring.complete(0, -ECANCELED, false);
    bench.driver.turn(false);
    let all: Vec<_> = std::iter::from_fn(|| match bench.poll_next(key) {
        Poll::Ready(next) => next,
        Poll::Pending => panic!("it has ended"),
    })
    .collect();
    assert_eq!(all, [0, 1, 2, 3, 4, -ECANCELED]);
}

#[test]
fn an_orphaned_multishot_operation_settles_what_was_there_and_what_still_comes() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit_multishot(100);
    bench.driver.turn(false);
    bench.ring.complete(0, 1, true);
    bench.driver.turn(false);
    let late = bench.orphan(key);
    bench.ring.complete(0, 2, true);
    bench.driver.turn(false);
    assert!(late.is_kept());
    bench.ring.complete(0, -ECANCELED, false);
    bench.driver.turn(false);
    assert_eq!(late.settled(), [1, 2, -ECANCELED]);
    assert!(!late.is_kept());
}

/// A zero-copy send: the result comes first, and long after it the notification that the memory is
/// free.
#[test]
fn an_operation_kept_until_its_notification_is_not_cancelled() {
    let bench = Bench::with_capacity(8);
    // SAFETY: a no-op points to no memory.
    let submit =
        || unsafe { bench.driver.submit_with_notification(opcode::Nop::new().build()) }.unwrap();
    let key = submit();
    bench.driver.turn(false);
    bench.ring.complete(0, 7, true);
    bench.driver.turn(false);
    assert_eq!(bench.poll_next(key), Poll::Ready(Some(7)));
    let late = Late::default();
    bench.driver.orphan_after_result(key, Box::new(late.clone()));
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP]);
    assert!(late.is_kept());
    bench.ring.complete(0, 0, false);
    bench.driver.turn(false);
    assert_eq!(late.settled(), [0]);
    assert!(!late.is_kept());
}

/// A zero-copy send whose future is dropped before its result.
fn orphaned_before_its_result(bench: &Bench) -> (Key, Late, Late) {
    // SAFETY: a no-op points to no memory.
    let key = unsafe { bench.driver.submit_with_notification(opcode::Nop::new().build()) }.unwrap();
    bench.driver.turn(false);
    let (late, kept) = (Late::default(), Late::default());
    bench.driver.orphan_until_notified(key, Box::new(late.clone()), Box::new(kept.clone()));
    (key, late, kept)
}

/// The result frees what it needs, such as the connection, however long the notification takes.
#[test]
fn the_orphan_of_a_result_is_freed_with_it_and_the_keeper_with_the_notification() {
    let bench = Bench::with_capacity(8);
    let (_, late, kept) = orphaned_before_its_result(&bench);
    assert!(late.is_kept() && kept.is_kept());
    bench.ring.complete(0, 7, true);
    bench.driver.turn(false);
    assert_eq!(late.settled(), [7]);
    assert!(!late.is_kept() && kept.is_kept());
    bench.ring.complete(0, 0, false);
    bench.driver.turn(false);
    assert_eq!((late.settled(), kept.settled()), (vec![7], vec![0]));
    assert!(!kept.is_kept());
    assert_eq!(bench.opcodes_taken(), [NOP], "nothing is cancelled");
}

#[test]
fn a_result_without_a_notification_frees_orphan_and_keeper() {
    let bench = Bench::with_capacity(8);
    let (_, late, kept) = orphaned_before_its_result(&bench);
    bench.ring.complete(0, -EBUSY, false);
    bench.driver.turn(false);
    assert_eq!((late.settled(), kept.settled()), (vec![-EBUSY], vec![]));
    assert!(!late.is_kept() && !kept.is_kept());
}

/// A cancel that misses is repeated, but not one of an operation that only awaits its notification.
#[test]
fn a_cancel_of_an_operation_past_its_result_is_not_repeated() {
    let bench = Bench::with_capacity(8);
    let (key, _, kept) = orphaned_before_its_result(&bench);
    bench.driver.cancel(key);
    bench.ring.complete(0, 7, true);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, CANCEL]);
    bench.ring.complete(1, -ENOENT, false);
    bench.driver.turn(false);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, CANCEL]);
    assert!(kept.is_kept());
}

#[test]
fn an_operation_that_needs_no_orphan_is_cancelled_and_its_slot_freed_by_the_last_completion() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit_multishot(8);
    assert_eq!(bench.poll_next(key), Poll::Pending);
    bench.driver.turn(false);
    bench.driver.orphan_empty(key);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, CANCEL]);
    bench.ring.complete(0, 1, true);
    bench.ring.complete(0, -ECANCELED, false);
    bench.ring.complete(1, 0, false);
    bench.driver.turn(false);
    assert_eq!(bench.woken(), 0, "no task waits");
    assert_eq!(bench.driver.metrics().in_kernel, 0);
    assert_eq!(bench.submit().index, key.index, "its slot is free");
}

#[test]
fn an_ended_operation_that_needs_no_orphan_is_not_cancelled() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit_multishot(8);
    bench.driver.turn(false);
    bench.ring.complete(0, 1, false);
    bench.driver.turn(false);
    bench.driver.orphan_empty(key);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP]);
}

#[test]
fn a_slots_next_tenant_has_another_name() {
    let bench = Bench::with_capacity(8);
    let first = bench.submit();
    bench.driver.turn(false);
    bench.ring.complete(0, 0, false);
    bench.driver.turn(false);
    assert_eq!(bench.poll(first), Poll::Ready(0));
    let second = bench.submit();
    assert_eq!(first.index, second.index);
    assert_ne!(first.user_data(), second.user_data());
}

/// A waker that panics, or calls back into the driver, when it is woken.
struct Unruly<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Unruly<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

#[test]
fn a_waker_that_panics_does_not_keep_others_from_being_woken() {
    let bench = Bench::with_capacity(8);
    let unruly = Waker::from(Arc::new(Unruly(|| panic!("a waker panics"))));
    // SAFETY: a no-op points to no memory.
    unsafe { bench.driver.submit(opcode::Nop::new().build(), None, &unruly) }.unwrap();
    bench.submit();
    bench.driver.turn(false);
    bench.ring.complete(0, 0, false);
    bench.ring.complete(1, 0, false);
    bench.driver.turn(false);
    assert_eq!(bench.woken(), 1);
    assert_eq!(bench.incidents.load(Relaxed), 1);
}

#[test]
fn an_orphan_may_call_back_into_the_driver() {
    struct Resubmits(Rc<Bench>);
    impl Orphan for Resubmits {
        fn settle(&mut self, _: Completion) {
            self.0.submit();
        }
    }
    let bench = Rc::new(Bench::with_capacity(8));
    let key = bench.submit();
    bench.driver.turn(false);
    bench.driver.orphan(key, Box::new(Resubmits(Rc::clone(&bench))));
    bench.ring.complete(0, 0, false);
    bench.driver.turn(false);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, CANCEL, NOP]);
}
