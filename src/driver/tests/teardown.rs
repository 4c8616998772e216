//! Teardown.

use super::*;

#[test]
fn closing_waits_until_the_kernel_has_completed_everything() {
    let bench = Bench::with_capacity(8);
    bench.ring.script().answers_cancels = true;
    let late = bench.orphan(bench.submit());
    bench.driver.turn(false);
    bench.ring.complete(0, 5, false);
    bench.driver.close(Duration::from_secs(5));
    assert_eq!(late.settled(), [5]);
    assert!(!late.is_kept());
    assert_eq!(bench.incidents.load(Relaxed), 0);
}

#[test]
fn closing_leaks_what_the_kernel_does_not_complete_and_reports_it() {
    let bench = Bench::with_capacity(8);
    let late = bench.orphan(bench.submit());
    bench.driver.close(Duration::from_millis(1));
    assert_eq!(bench.incidents.load(Relaxed), 1);
    assert!(late.is_kept(), "the kernel may still write to it");
    assert!(late.settled().is_empty());
}

/// A future may outlive its runtime, and the kernel may still write to what it holds.
#[test]
fn an_operation_orphaned_after_the_ring_was_closed_over_it_is_leaked() {
    let bench = Bench::with_capacity(8);
    let (first, second) = (bench.submit(), bench.submit());
    bench.driver.close(Duration::from_millis(1));
    let late = bench.orphan(first);
    assert!(late.is_kept() && late.settled().is_empty());
    drop(bench);
    assert!(late.is_kept());
    let _ = second;
}

#[test]
fn a_closed_driver_takes_nothing_and_settles_at_once() {
    let bench = Bench::with_capacity(8);
    bench.driver.close(Duration::ZERO);
    // SAFETY: a no-op points to no memory.
    let key = unsafe { bench.driver.submit(opcode::Nop::new().build(), None, &bench.waker()) };
    assert_eq!(key, None);
    let late = Late::default();
    // SAFETY: as above.
    unsafe { bench.driver.submit_detached(opcode::Nop::new().build(), Box::new(late.clone())) };
    assert_eq!(late.settled(), [-ECANCELED]);
    bench.driver.turn(true);
}

#[test]
fn closing_without_patience_looks_once_and_reports_no_leak_of_what_has_ended() {
    let bench = Bench::with_capacity(8);
    bench.ring.script().answers_cancels = true;
    bench.driver.turn(true);
    let late = bench.orphan(bench.submit());
    bench.driver.turn(false);
    bench.ring.complete(1, 5, false);
    bench.driver.close(Duration::ZERO);
    // The bell's poll has not ended: it uses no memory, and no future waits for it.
    assert_eq!(bench.incidents.load(Relaxed), 0);
    assert_eq!(late.settled(), [5]);
}

#[test]
fn closing_never_waits_for_a_batch() {
    let bench = Bench::with_capacity(8);
    bench.submit();
    bench.driver.turn(false);
    bench.ring.script().enters.clear();
    bench.driver.close(Duration::from_millis(1));
    let enters = bench.ring.script().enters.clone();
    assert!(enters.iter().all(|wait| matches!(wait, Wait::No | Wait::ForOne(_))), "{enters:?}");
}
