//! Conditions: a wait lets the lock go and takes it again, and no notification is lost.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;

use annulus::sync::{Condition, Lock, LockGuard, OwnedLockGuard};

use crate::common::conditions::Log;
use crate::common::manual_executor::{Polled, Tasks, now, waiting, waker_that};
use crate::common::random::seeded;
use crate::common::rounds::rounds;
use crate::common::watchdog::run;

/// A lock with its condition.
#[derive(Default)]
struct Guarded<T> {
    lock: Lock<T>,
    changed: Condition,
}

impl<T> Guarded<T> {
    async fn wait(&self) -> LockGuard<'_, T> {
        self.changed.wait(self.lock.lock().await).await
    }
}

#[test]
fn a_wait_releases_the_lock_and_returns_with_it() {
    let (guarded, log) = (Guarded::<()>::default(), Log::default());
    let tasks = Tasks::default();
    let start = |number| {
        let (guarded, log) = (&guarded, &log);
        tasks.spawn(async move {
            let guard = guarded.wait().await;
            log.push(number);
            guard
        })
    };
    let started = [start(1), start(2), start(3)];
    tasks.settle();
    assert!(!guarded.lock.is_locked());
    let held = now(guarded.lock.lock());
    guarded.changed.notify_one();
    tasks.settle();
    assert_eq!(log.take(), []);
    drop(held);
    tasks.settle();
    assert_eq!(log.take(), [1]);
    assert!(guarded.lock.is_locked());
    guarded.changed.notify(2);
    tasks.settle();
    assert_eq!(log.take(), []);
    let [first, second, third] = started;
    drop(first.output());
    tasks.settle();
    assert_eq!(log.take(), [2]);
    drop(second.output());
    tasks.settle();
    assert_eq!(log.take(), [3]);
    drop(third.output());
}

#[test]
fn a_notification_reaches_as_many_waiters_as_it_names_and_no_later_one() {
    let (guarded, log) = (Guarded::<()>::default(), Log::default());
    let tasks = Tasks::default();
    guarded.changed.notify_all();
    let start = |number| {
        let (guarded, log) = (&guarded, &log);
        tasks.spawn(async move {
            drop(guarded.wait().await);
            log.push(number);
        })
    };
    let _started = [start(1), start(2), start(3), start(4)];
    tasks.settle();
    assert_eq!(log.take(), [], "no task waited for the first");
    guarded.changed.notify(0);
    guarded.changed.notify_one();
    tasks.settle();
    assert_eq!(log.take(), [1]);
    guarded.changed.notify(1);
    guarded.changed.notify(2048);
    tasks.settle();
    assert_eq!(log.take(), [2, 3, 4]);
}

#[test]
fn notifying_all_reaches_all() {
    let guarded = Guarded::<()>::default();
    let mut waits = [(); 3].map(|()| waiting(guarded.wait()));
    guarded.changed.notify_all();
    waits.iter_mut().for_each(|wait| drop(wait.now()));
    assert_eq!(format!("{:?}", guarded.changed), "Condition { waiting: 0 }");
}

#[test]
fn a_wait_for_something_looks_again_after_each_notification() {
    let guarded = Guarded::<bool>::default();
    let mut wait = waiting(async {
        guarded.changed.wait_for(guarded.lock.lock().await, |is_so| *is_so).await
    });
    guarded.changed.notify_one();
    assert!(wait.is_woken() && wait.poll().is_pending());
    *now(guarded.lock.lock()) = true;
    assert!(!wait.is_woken());
    guarded.changed.notify_one();
    assert!(*wait.now());
    drop(now(guarded.changed.wait_for(now(guarded.lock.lock()), |is_so| *is_so)));
}

#[test]
fn a_wait_that_is_dropped_does_not_hold_the_lock() {
    let guarded = Guarded::<()>::default();
    drop(waiting(guarded.wait()));
    assert!(!guarded.lock.is_locked());
    // Also when it waits for the lock.
    let wait = waiting(guarded.wait());
    let held = now(guarded.lock.lock());
    guarded.changed.notify_one();
    let wait = wait.waits();
    drop(wait);
    drop(held);
    assert!(!guarded.lock.is_locked());
}

#[test]
fn a_notification_that_a_dropped_wait_had_received_goes_to_the_next() {
    let guarded = Guarded::<()>::default();
    let [first, mut second] = [(); 2].map(|()| waiting(guarded.wait()));
    guarded.changed.notify_one();
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    drop(second.now());
}

#[test]
fn a_notification_of_a_wait_dropped_while_it_waits_for_the_lock_goes_to_the_next() {
    let guarded = Guarded::<()>::default();
    let [first, mut second] = [(); 2].map(|()| waiting(guarded.wait()));
    let held = now(guarded.lock.lock());
    guarded.changed.notify_one();
    let first = first.waits();
    assert!(!second.is_woken());
    drop(first);
    assert!(second.is_woken());
    drop(held);
    drop(second.now());
}

#[test]
fn a_wait_that_was_not_notified_passes_nothing_on() {
    let guarded = Guarded::<()>::default();
    let [first, second] = [(); 2].map(|()| waiting(guarded.wait()));
    drop(first);
    assert!(!second.is_woken());
}

#[test]
fn consumers_that_are_cancelled_as_they_are_notified_lose_no_item() {
    for relocking in [false, true] {
        let guarded = Guarded::<i32>::default();
        let tasks = Tasks::default();
        let consume = || async {
            loop {
                let lock = guarded.lock.lock().await;
                let mut state = guarded.changed.wait_for(lock, |state| *state != 0).await;
                if *state < 0 {
                    return;
                }
                *state -= 1;
            }
        };
        let consumers = [tasks.spawn(consume()), tasks.spawn(consume())];
        tasks.settle();
        let mut state = now(guarded.lock.lock());
        *state += 1;
        guarded.changed.notify(1);
        if relocking {
            tasks.settle();
        }
        consumers[0].cancel();
        drop(state);
        tasks.settle();
        let mut state = now(guarded.lock.lock());
        assert_eq!(mem::replace(&mut *state, -1), 0);
        guarded.changed.notify_all();
        drop(state);
        tasks.settle();
        assert!(consumers[1].is_done());
    }
}

#[test]
fn a_waker_that_notifies_as_the_lock_is_released_is_heard() {
    let guarded = Rc::new(Guarded::<()>::default());
    let held = now(guarded.lock.lock());
    let its = Rc::clone(&guarded);
    let mut locking = Polled::new(guarded.lock.lock());
    assert!(locking.poll_with(&waker_that(move || its.changed.notify_one())).is_pending());
    let mut wait = Polled::new(guarded.changed.wait(held));
    assert!(wait.poll().is_pending());
    drop(locking.now());
    drop(wait.now());
}

#[test]
#[cfg_attr(miri, ignore = "a budget is of a task, and so of a runtime")]
fn a_loop_that_waits_for_what_is_so_yields() {
    run(async {
        let (guarded, waited, seen) = (Guarded::<()>::default(), Cell::new(0), Cell::new(0));
        let tasks = Tasks::default();
        tasks.spawn(async {
            let mut guard = guarded.lock.lock().await;
            while waited.get() < 1000 {
                guard = guarded.changed.wait_for(guard, |_| true).await;
                waited.set(waited.get() + 1);
            }
        });
        tasks.spawn(async { seen.set(waited.get()) });
        tasks.turn();
        assert!((1..=128).contains(&seen.get()), "{} waits in one turn", seen.get());
        tasks.settle();
        assert_eq!(waited.get(), 1000);
    });
}

#[test]
fn random_waits_notifications_and_cancels_agree_with_a_plain_queue() {
    let mut random = seeded();
    let guarded = Guarded::<()>::default();
    let mut waits = Vec::new();
    // The numbers of those that were not notified, and of those that were.
    let (mut queue, mut notified) = (Vec::new(), Vec::new());
    for number in 0..rounds(20_000) {
        match random.u8(..4) {
            0 if waits.len() < 20 => {
                waits.push((number, waiting(guarded.wait())));
                queue.push(number);
            }
            1 => {
                let count = random.usize(..3);
                guarded.changed.notify(count);
                notified.extend(queue.drain(..count.min(queue.len())));
            }
            2 if !waits.is_empty() => {
                let (number, wait) = waits.swap_remove(random.usize(..waits.len()));
                drop(wait);
                queue.retain(|waiting| *waiting != number);
                if let Some(index) = notified.iter().position(|notified| *notified == number) {
                    notified.remove(index);
                    notified.extend((!queue.is_empty()).then(|| queue.remove(0)));
                }
            }
            3 if !waits.is_empty() => {
                let (number, mut wait) = waits.swap_remove(random.usize(..waits.len()));
                let index = notified.iter().position(|notified| *notified == number);
                assert_eq!(wait.is_woken(), index.is_some());
                match index {
                    Some(index) => {
                        drop(wait.now());
                        notified.remove(index);
                    }
                    None => waits.push((number, wait.waits())),
                }
            }
            _ => {}
        }
        assert!(!guarded.lock.is_locked());
    }
}

#[test]
fn an_owned_guard_waits_as_a_borrowed_one_does() {
    let (lock, changed) = (Rc::new(Lock::new(0)), Rc::new(Condition::new()));
    let tasks = Tasks::default();
    let (its, of_it) = (Rc::clone(&lock), Rc::clone(&changed));
    let waiting = tasks.spawn(async move {
        let guard: OwnedLockGuard<i32> = its.lock_owned().await;
        let guard = of_it.wait(guard).await;
        of_it.wait_for(guard, |value| *value == 2).await
    });
    tasks.settle();
    for value in [1, 2] {
        assert!(!waiting.is_done() && !lock.is_locked());
        *now(lock.lock()) = value;
        changed.notify_one();
        tasks.settle();
    }
    let mut guard = waiting.output();
    assert!(lock.is_locked());
    *guard = 3;
    drop(guard);
    assert_eq!(*now(lock.lock()), 3);
}
