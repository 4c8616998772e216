//! The driver on a ring that does what it is told: each corner of a slot's life, on any machine.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::scripted_ring::ScriptedRing;
use super::{Driver, Key, LeaseSize, LeaseSizes, Orphan, Settings};
use crate::error::Incident;
use crate::sys::errno::{EBUSY, ECANCELED, EINTR, ENOENT, ETIME};
use crate::sys::probe::Capabilities;
use crate::sys::{Completion, Wait, opcode};

const NOP: u32 = opcode::Nop::CODE as u32;
const CANCEL: u32 = opcode::AsyncCancel::CODE as u32;

/// A driver, its ring, a waker that counts, and the incidents reported.
struct Bench {
    driver: Driver<ScriptedRing>,
    ring: ScriptedRing,
    wakes: Arc<Wakes>,
    incidents: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Bench {
    fn with_capacity(capacity: usize) -> Self {
        let ring = ScriptedRing::with_capacity(capacity);
        let incidents = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&incidents);
        let hook = Arc::new(move |_: &Incident| {
            counter.fetch_add(1, Relaxed);
        });
        let capabilities = Capabilities {
            multishot_accept: true,
            multishot_recv: true,
            send_zero_copy: true,
            install_descriptor: true,
            cancel_any: false,
        };
        let size = LeaseSize { count: 4, bytes: 64 };
        let leases = LeaseSizes { small: size, large: size };
        let settings = Settings { timers_a_turn: 128, leases, places: 0, is_clock_stopped: false };
        let driver = Driver::new(ring.clone(), capabilities, -1, settings, hook);
        Self { driver, ring, wakes: Arc::default(), incidents }
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.wakes))
    }

    fn woken(&self) -> usize {
        self.wakes.0.load(Relaxed)
    }

    fn submit(&self) -> Key {
        // SAFETY: a no-op points to no memory.
        unsafe { self.driver.submit(opcode::Nop::new().build(), &self.waker()) }.unwrap()
    }

    fn submit_multishot(&self, bound: u32) -> Key {
        // SAFETY: a no-op points to no memory.
        unsafe { self.driver.submit_multishot(opcode::Nop::new().build(), bound) }.unwrap()
    }

    fn poll(&self, key: Key) -> Poll<u32> {
        self.driver.poll(key, &self.waker()).map(|completion| completion.result().unwrap())
    }

    fn poll_next(&self, key: Key) -> Poll<Option<i32>> {
        let next = self.driver.poll_next(key, &self.waker());
        next.map(|completion| completion.map(number))
    }

    fn abandon(&self, key: Key) -> Late {
        let late = Late::default();
        self.driver.abandon(key, Box::new(late.clone()));
        late
    }

    fn opcodes_taken(&self) -> Vec<u32> {
        self.ring.script().taken.iter().map(|&(_, opcode)| opcode).collect()
    }
}

/// The result as the kernel gave it.
fn number(completion: Completion) -> i32 {
    match completion.result() {
        Ok(result) => result as i32,
        Err(error) => -error.raw_os_error().unwrap(),
    }
}

/// An orphan that writes down what it settles, and that it was dropped.
#[derive(Clone, Default)]
struct Late(Rc<RefCell<Vec<i32>>>);

impl Orphan for Late {
    fn settle(&mut self, completion: Completion) {
        self.0.borrow_mut().push(number(completion));
    }
}

impl Late {
    fn settled(&self) -> Vec<i32> {
        self.0.borrow().clone()
    }

    fn is_kept(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

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
fn a_turn_with_nothing_to_do_does_not_enter() {
    let bench = Bench::with_capacity(8);
    bench.driver.turn(false);
    assert_eq!(bench.ring.script().enters, []);
    bench.ring.script().deferred = true;
    bench.driver.turn(false);
    assert_eq!(bench.ring.script().enters, [Wait::No]);
}

#[test]
fn a_turn_waits_no_longer_than_to_the_nearest_deadline() {
    let bench = Bench::with_capacity(8);
    bench.driver.start_timer(Instant::now() + Duration::from_secs(60), &bench.waker());
    bench.driver.turn(true);
    let Wait::AtMost(limit) = bench.ring.script().enters[0] else { panic!("no limit") };
    assert!(limit <= Duration::from_millis(60_001), "{limit:?}");
}

#[test]
fn a_turn_does_not_wait_over_a_wake_that_is_at_hand() {
    let bench = Bench::with_capacity(1);
    let first = bench.submit();
    // The queue is full, so this enters and reaps before the turn.
    bench.ring.script().taken.clear();
    bench.submit();
    bench.ring.complete(0, 1, false);
    bench.submit();
    assert_eq!(bench.woken(), 0, "reaping runs nobody's code");
    bench.driver.turn(true);
    assert_eq!(bench.ring.script().enters.last(), Some(&Wait::No));
    assert_eq!(bench.woken(), 1);
    assert_eq!(bench.poll(first), Poll::Ready(1));
}

/// Arming the bell enters the kernel when the queue is full, and that enter may bring all there is.
#[test]
fn a_turn_does_not_wait_over_what_arming_the_bell_has_brought() {
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
    let taken: Vec<_> = bench.ring.script().taken.iter().map(|&(user_data, _)| user_data).collect();
    assert_eq!(taken, keys.iter().map(|key| key.user_data()).collect::<Vec<_>>());
}

#[test]
fn an_operation_and_its_link_timeout_are_submitted_together() {
    let bench = Bench::with_capacity(2);
    let linked = || {
        let (nop, timeout) = (opcode::Nop::new().build(), opcode::Nop::new().build());
        // SAFETY: no-ops point to no memory.
        unsafe { bench.driver.submit_with_timeout(nop, timeout, &bench.waker()) }.unwrap()
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
    let late: Vec<_> = keys.iter().map(|&key| bench.abandon(key)).collect();
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
fn an_error_that_nobody_expects_is_not_passed_over() {
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
    assert_eq!(bench.driver.metrics().overflows, 1);
}

#[test]
fn what_an_abandoned_operation_leaves_is_kept_until_its_completion() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit();
    bench.driver.turn(false);
    let late = bench.abandon(key);
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

/// The operation stands between two tries when the cancel looks for it, and then waits again.
#[test]
fn a_cancel_that_missed_is_repeated_while_its_target_is_in_flight() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit();
    bench.driver.turn(false);
    let late = bench.abandon(key);
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

#[test]
fn a_completion_nobody_took_is_settled_when_the_future_goes() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit();
    bench.driver.turn(false);
    bench.ring.complete(0, 9, false);
    bench.driver.turn(false);
    assert_eq!(bench.abandon(key).settled(), [9]);
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
fn a_multishot_operation_that_nobody_reads_is_stopped_at_its_bound() {
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
fn an_abandoned_multishot_operation_settles_what_was_there_and_what_still_comes() {
    let bench = Bench::with_capacity(8);
    let key = bench.submit_multishot(100);
    bench.driver.turn(false);
    bench.ring.complete(0, 1, true);
    bench.driver.turn(false);
    let late = bench.abandon(key);
    bench.ring.complete(0, 2, true);
    bench.driver.turn(false);
    assert!(late.is_kept());
    bench.ring.complete(0, -ECANCELED, false);
    bench.driver.turn(false);
    assert_eq!(late.settled(), [1, 2, -ECANCELED]);
    assert!(!late.is_kept());
}

/// A send without a copy: the result comes first, and long after it the notice that the memory is free.
#[test]
fn what_is_kept_to_its_notice_is_not_cancelled() {
    let bench = Bench::with_capacity(8);
    // SAFETY: a no-op points to no memory.
    let submit = || unsafe { bench.driver.submit_with_notice(opcode::Nop::new().build()) }.unwrap();
    let key = submit();
    bench.driver.turn(false);
    bench.ring.complete(0, 7, true);
    bench.driver.turn(false);
    assert_eq!(bench.poll_next(key), Poll::Ready(Some(7)));
    let late = Late::default();
    bench.driver.keep(key, Box::new(late.clone()));
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP]);
    assert!(late.is_kept());
    bench.ring.complete(0, 0, false);
    bench.driver.turn(false);
    assert_eq!(late.settled(), [0]);
    assert!(!late.is_kept());
}

/// A cancel that misses is repeated, but not one of an operation that has come to its notice.
#[test]
fn a_cancel_of_what_is_kept_to_its_notice_is_not_repeated() {
    let bench = Bench::with_capacity(8);
    // SAFETY: a no-op points to no memory.
    let key = unsafe { bench.driver.submit_with_notice(opcode::Nop::new().build()) }.unwrap();
    bench.driver.turn(false);
    bench.ring.complete(0, 7, true);
    let late = bench.abandon(key);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, CANCEL]);
    bench.ring.complete(1, -ENOENT, false);
    bench.driver.turn(false);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, CANCEL]);
    assert!(late.is_kept());
    bench.ring.complete(0, 0, false);
    bench.driver.turn(false);
    assert_eq!(late.settled(), [7, 0]);
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

#[test]
fn closing_waits_for_the_kernel_to_let_go() {
    let bench = Bench::with_capacity(8);
    bench.ring.script().answers_cancels = true;
    let late = bench.abandon(bench.submit());
    bench.driver.turn(false);
    bench.ring.complete(0, 5, false);
    bench.driver.close(Duration::from_secs(5));
    assert_eq!(late.settled(), [5]);
    assert!(!late.is_kept());
    assert_eq!(bench.incidents.load(Relaxed), 0);
}

#[test]
fn closing_leaks_what_the_kernel_does_not_let_go_of_and_says_so() {
    let bench = Bench::with_capacity(8);
    let late = bench.abandon(bench.submit());
    bench.driver.close(Duration::from_millis(1));
    assert_eq!(bench.incidents.load(Relaxed), 1);
    assert!(late.is_kept(), "the kernel may still write to it");
    assert!(late.settled().is_empty());
}

#[test]
fn a_closed_driver_takes_nothing_and_settles_at_once() {
    let bench = Bench::with_capacity(8);
    bench.driver.close(Duration::ZERO);
    // SAFETY: a no-op points to no memory.
    let key = unsafe { bench.driver.submit(opcode::Nop::new().build(), &bench.waker()) };
    assert_eq!(key, None);
    let late = Late::default();
    // SAFETY: as above.
    unsafe { bench.driver.submit_detached(opcode::Nop::new().build(), Box::new(late.clone())) };
    assert_eq!(late.settled(), [-ECANCELED]);
    bench.driver.turn(true);
}

/// A waker that panics, or calls back into the driver, when it is woken.
struct Unruly<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Unruly<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_from_being_woken() {
    let bench = Bench::with_capacity(8);
    let unruly = Waker::from(Arc::new(Unruly(|| panic!("a waker panics"))));
    // SAFETY: a no-op points to no memory.
    unsafe { bench.driver.submit(opcode::Nop::new().build(), &unruly) }.unwrap();
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
    bench.driver.abandon(key, Box::new(Resubmits(Rc::clone(&bench))));
    bench.ring.complete(0, 0, false);
    bench.driver.turn(false);
    bench.driver.turn(false);
    assert_eq!(bench.opcodes_taken(), [NOP, CANCEL, NOP]);
}
