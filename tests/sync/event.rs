//! Events: setting reaches all that wait, however soon it is cleared.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;

use annulus::sync::Event;
use annulus::time::timeout;

use crate::common::conditions::Log;
use crate::common::manual_executor::{Polled, Tasks, now, waiting, waker_that};
use crate::common::patience::limit;
use crate::common::random::seeded;
use crate::common::rounds::rounds;
use crate::common::watchdog::run;

#[test]
fn setting_wakes_all_waiters_in_order() {
    let (event, log) = (Event::new(), Log::default());
    let tasks = Tasks::default();
    let start = |number| {
        let (event, log) = (&event, &log);
        tasks.spawn(async move {
            event.wait().await;
            log.push(number);
        })
    };
    let _waiting = [start(1), start(2)];
    tasks.turn();
    assert_eq!(log.take(), []);
    let _late = start(3);
    event.set();
    tasks.settle();
    assert_eq!(log.take(), [3, 1, 2], "one that need not wait was in the queue of tasks first");
}

#[test]
fn a_wait_for_an_event_that_is_set_ends_at_once() {
    let event = Event::default();
    event.set();
    event.set();
    now(event.wait());
    assert!(event.is_set());
    event.clear();
    assert!(!event.is_set());
    drop(waiting(event.wait()));
}

#[test]
fn a_wait_that_is_dropped_leaves_nothing() {
    let event = Event::new();
    drop(waiting(event.wait()));
    assert_eq!(format!("{event:?}"), "Event { set: false, waiting: 0 }");
}

/// A task that has used up its budget yields before it continues, but has begun to wait before
/// that.
#[test]
fn clearing_right_after_setting_stops_no_waiter_that_had_to_yield() {
    run(async {
        for used in 100..=128 {
            for is_set_before in [false, true] {
                let (event, others) = (Rc::new(Event::new()), Event::new());
                others.set();
                if is_set_before {
                    event.set();
                }
                let its = Rc::clone(&event);
                let wait = annulus::spawn(async move {
                    for _ in 0..used {
                        others.wait().await;
                    }
                    its.wait().await;
                });
                annulus::yield_now().await;
                event.set();
                event.clear();
                timeout(limit() / 2, wait).await.expect("it has missed that").unwrap();
            }
        }
    });
}

#[test]
fn clearing_right_after_setting_stops_no_waiter() {
    let event = Event::new();
    let mut wait = waiting(event.wait());
    event.set();
    event.clear();
    let late = waiting(event.wait());
    wait.now();
    event.set();
    event.set();
    assert!(late.is_woken());
}

#[test]
fn a_forgotten_wait_is_no_trouble() {
    let event = Event::new();
    mem::forget(waiting(event.wait()));
    let mut other = waiting(event.wait());
    event.set();
    other.now();
}

#[test]
fn wakers_may_clear_wait_and_panic_while_all_are_woken() {
    let event = Rc::new(Event::new());
    let its = Rc::clone(&event);
    let waker = waker_that(move || {
        its.clear();
        mem::forget(waiting(Rc::clone(&its).wait_on()));
        panic!("woken");
    });
    let mut first = Polled::new(event.wait());
    assert!(first.poll_with(&waker).is_pending());
    let mut second = waiting(event.wait());
    event.set();
    first.now();
    second.now();
    assert_eq!(format!("{event:?}"), "Event { set: false, waiting: 1 }");
}

/// A wait that keeps its event.
trait WaitOn {
    async fn wait_on(self: Rc<Self>);
}

impl WaitOn for Event {
    async fn wait_on(self: Rc<Self>) {
        self.wait().await;
    }
}

#[test]
fn random_sets_clears_and_cancels_agree_with_a_plain_flag() {
    let mut random = seeded();
    let event = Event::new();
    let mut set = false;
    // Each with whether it was called.
    let mut waits: VecDeque<(bool, Polled<'_, ()>)> = VecDeque::new();
    for _ in 0..rounds(10_000) {
        match random.u8(..5) {
            0 => {
                event.set();
                set = true;
                waits.iter_mut().for_each(|(called, _)| *called = true);
            }
            1 => {
                event.clear();
                set = false;
            }
            2 => {
                let mut wait = Polled::new(event.wait());
                assert_eq!(wait.poll().is_ready(), set);
                if !set {
                    waits.push_back((false, wait));
                }
            }
            3 if !waits.is_empty() => drop(waits.remove(random.usize(..waits.len()))),
            4 if !waits.is_empty() => {
                let index = random.usize(..waits.len());
                let (called, wait) = &mut waits[index];
                assert_eq!((wait.is_woken(), wait.poll().is_ready()), (*called, *called));
                if *called {
                    waits.remove(index);
                }
            }
            _ => {}
        }
        assert_eq!(event.is_set(), set);
    }
}
