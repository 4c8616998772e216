//! The ring's own timeouts, for deadlines that must hold inside the kernel.
//!
//! The driver keeps its timers in user space; these serve where the kernel must act alone.

use std::time::{Duration, Instant};

use io_uring::opcode;
use io_uring::types::{SubmitArgs, TimeoutFlags, Timespec};
use uring_sys_tests::completion::Errno;
use uring_sys_tests::op::Op;
use uring_sys_tests::ring::{Ring, patience};

use crate::case::cases;

cases![
    timeout_etime,
    longer_timeouts_hold_none_up,
    timeout_removed_ecanceled,
    timeout_update_moves_it,
    absolute_timeout_in_the_past_fires,
    min_wait_ends_with_what_is_there: [MinWait],
];

const FIRED: Result<u32, Errno> = Err(Errno(libc::ETIME));
const NOT_FOUND: Result<u32, Errno> = Err(Errno(libc::ENOENT));

/// Long after the test has failed.
fn far() -> Duration {
    2 * patience()
}

/// A timeout that runs out completes with `ETIME`, never before its time.
/// The driver takes `ETIME` for success there; a timer that fires early breaks its first promise.
fn timeout_etime() {
    const AFTER: Duration = Duration::from_millis(3);
    let mut ring = Ring::plain(8);
    let start = Instant::now();
    assert_eq!(ring.run(Op::timeout(AFTER)).outcome(), FIRED);
    assert!(start.elapsed() >= AFTER, "fired after {:?}", start.elapsed());
}

/// A timeout fires at its own time, whatever longer ones were armed before and after it.
/// The driver arms each on its own; a queue would hold a short deadline up behind a long one.
fn longer_timeouts_hold_none_up() {
    let mut ring = Ring::plain(8);
    let far = |tag| Op::timeout(far()).tag(tag);
    ring.start([far(8), Op::timeout(Duration::from_millis(1)).tag(1), far(9)]);
    let fired = ring.next_any();
    assert_eq!((fired.tag, fired.outcome()), (1, FIRED));
    ring.assert_quiet("the longer ones are still pending");
}

/// A timeout that is removed completes with `ECANCELED`; removing what is not there is `ENOENT`.
/// The driver frees the slot on the timeout's own completion, so there must be one.
fn timeout_removed_ecanceled() {
    let mut ring = Ring::plain(8);
    assert_eq!(ring.run(Op::timeout_remove(1).tag(2)).outcome(), NOT_FOUND);
    ring.start([Op::timeout(far()).tag(1)]);
    assert_eq!(ring.run(Op::timeout_remove(1).tag(2)).outcome(), Ok(0));
    assert_eq!(ring.next_for(1).outcome(), Err(Errno(libc::ECANCELED)));
}

/// A timeout can be moved while it runs, and fires once, at its new time.
/// A deadline that is pushed forward with each request then costs one SQE, not two.
fn timeout_update_moves_it() {
    let mut ring = Ring::plain(8);
    let sooner = || Op::timeout_update(1, Duration::from_millis(1)).tag(2);
    assert_eq!(ring.run(sooner()).outcome(), NOT_FOUND);
    ring.start([Op::timeout(far()).tag(1)]);
    assert_eq!(ring.run(sooner()).outcome(), Ok(0));
    assert_eq!(ring.next_for(1).outcome(), FIRED);
    ring.assert_quiet("it fires once");
}

/// An absolute timeout whose time is past fires at once.
/// A deadline may pass while its SQE waits in the queue; it must not then wait for ever.
fn absolute_timeout_in_the_past_fires() {
    let mut ring = Ring::plain(8);
    let past = Timespec::new().nsec(1);
    let timeout = opcode::Timeout::new(&past).flags(TimeoutFlags::ABS).build();
    // SAFETY: the timespec is read at submission, within its life.
    let timeout = unsafe { Op::from_entry(timeout) };
    assert_eq!(ring.run(timeout).outcome(), FIRED);
}

/// A wait for several completions with a minimum wait ends with one when that is over, and not
/// before. The driver makes batches so; were the minimum ignored, a lone request would wait for
/// company for ever.
fn min_wait_ends_with_what_is_there() {
    const MINIMUM: Duration = Duration::from_millis(3);
    let mut ring = Ring::plain(8);
    // It may end early all the same: task work of another ring of this thread, such as the exit of
    // the ring of the test before, ends the wait. So one wait in several must take its minimum.
    let waited = (0..20).any(|tag| {
        ring.push(&Op::timeout(Duration::ZERO).tag(tag));
        let patient = SubmitArgs::new().min_wait_usec(MINIMUM.as_micros() as u32);
        let start = Instant::now();
        ring.uring().submitter().submit_with_args(2, &patient).expect("one is enough in the end");
        let took = start.elapsed();
        assert_eq!(ring.next_for(tag).outcome(), FIRED);
        took >= MINIMUM
    });
    assert!(waited, "no wait took its minimum");
}
