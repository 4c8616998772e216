//! `call_soon`, `call_later` and `call_at`: functions called by the loop, in order, unless
//! cancelled.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use annulus::task::current_task;
use annulus::time::{CallHandle, call_at, call_later, call_soon, now, pause, sleep};
use annulus::{Runtime, spawn, yield_now};

use crate::common::conditions::Log;
use crate::common::drops::Drops;
use crate::common::incidents::Incidents;
use crate::common::watchdog::{block_on, run};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn functions_are_called_in_order_after_what_is_ready() {
    let log = Log::default();
    run(async {
        let its = log.clone();
        spawn(async move { its.push(-1) });
        for number in 0..10 {
            let its = log.clone();
            call_soon(move || its.push(number));
        }
        assert!(log.take().is_empty(), "not at once");
        yield_now().await;
    });
    assert!(log.take().into_iter().eq(-1..10));
}

#[test]
fn functions_called_later_are_called_in_the_order_of_their_times_and_never_early() {
    let log = Log::default();
    run(async {
        // The clock is paused while they are asked for, one after the other.
        pause();
        let start = now();
        for times in [3, 1, 2] {
            let (its, delay) = (log.clone(), times * SHORT);
            call_later(delay, move || its.push((times, now() - start >= delay)));
        }
        let its = log.clone();
        call_at(start, move || its.push((0, true)));
        sleep(4 * SHORT).await;
    });
    assert_eq!(log.take(), [(0, true), (1, true), (2, true), (3, true)]);
}

#[test]
fn functions_of_one_time_are_called_in_the_order_of_asking() {
    let log = Log::default();
    run(async {
        let when = Instant::now() + SHORT;
        for number in 0..10 {
            let its = log.clone();
            assert_eq!(call_at(when, move || its.push(number)).when(), Some(when));
        }
        sleep(2 * SHORT).await;
    });
    assert!(log.take().into_iter().eq(0..10));
}

#[test]
fn a_cancelled_function_is_dropped_and_never_called_and_leaves_no_timer() {
    let drops = Drops::default();
    run(async {
        let before = annulus::metrics().timers;
        let calls = [(); 3].map(|()| drops.guard()).map(|guard| {
            move || {
                drop(guard);
                unreachable!("it was cancelled");
            }
        });
        let [soon, later, at] = calls;
        let handles =
            [call_soon(soon), call_later(LONG, later), call_at(Instant::now() + LONG, at)];
        assert!(handles.iter().all(|handle| !handle.is_cancelled()));
        handles[0].cancel();
        yield_now().await;
        for handle in &handles {
            handle.cancel();
            handle.cancel();
            assert!(handle.is_cancelled());
        }
        yield_now().await;
        assert_eq!((drops.count(), annulus::metrics().timers), (3, before));
    });
}

#[test]
fn cancelling_after_the_call_does_nothing() {
    run(async {
        let handle = call_soon(|| {});
        assert_eq!(handle.when(), None);
        yield_now().await;
        handle.cancel();
        assert!(!handle.is_cancelled());
    });
}

#[test]
fn a_function_that_cancels_itself_has_been_called() {
    run(async {
        let handle = Rc::new(OnceCell::<CallHandle>::new());
        let its = Rc::clone(&handle);
        let soon = call_soon(move || its.get().unwrap().cancel());
        handle.set(soon).unwrap();
        yield_now().await;
        assert!(!handle.get().unwrap().is_cancelled());
    });
}

#[test]
fn a_dropped_handle_changes_nothing() {
    let log = Log::default();
    run(async {
        let its = log.clone();
        drop(call_soon(move || its.push(1)));
        let its = log.clone();
        drop(call_later(Duration::ZERO, move || its.push(2)));
        sleep(SHORT).await;
    });
    assert_eq!(log.take(), [1, 2]);
}

#[test]
fn a_function_may_call_for_others_and_spawn() {
    let log = Log::default();
    run(async {
        let its = log.clone();
        call_soon(move || {
            its.push("first");
            let inner = its.clone();
            call_soon(move || inner.push("second"));
            spawn(async move { its.push("task") });
            assert!(current_task().is_some());
        });
        yield_now().await;
        yield_now().await;
    });
    assert_eq!(log.take(), ["first", "second", "task"]);
}

#[test]
fn a_panic_of_a_function_is_reported_at_once_also_while_the_handle_is_kept() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let _handle = call_soon(|| panic!("of a function"));
        yield_now().await;
        assert_eq!(incidents.take_messages(), ["task: of a function"]);
    });
}

#[test]
fn what_was_not_called_when_the_runtime_ended_is_dropped() {
    let (runtime, drops) = (Runtime::new().unwrap(), Drops::default());
    let guard = drops.guard();
    let handle = block_on(&runtime, async move { call_later(LONG, move || drop(guard)) });
    drop(runtime);
    assert_eq!(drops.count(), 1);
    handle.cancel();
}
