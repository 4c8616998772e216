//! The lock: first come, first served, also when a waiter that was given it is gone.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;
use std::task::Waker;

use annulus::sync::{Lock, LockGuard, OwnedLockGuard};

use crate::common::conditions::Log;
use crate::common::drops::OnDrop;
use crate::common::manual_executor::{Polled, Tasks, now, waiting, waker_that, waker_whose_drop};
use crate::common::panics::panic_of;
use crate::common::random::seeded;
use crate::common::rounds::rounds;
use crate::common::watchdog::run;

#[test]
fn a_guard_gives_access_and_its_end_unlocks() {
    let lock = Lock::new(1);
    assert!(!lock.is_locked());
    let mut guard = now(lock.lock());
    *guard += 1;
    assert!(lock.is_locked() && lock.try_lock().is_none());
    assert_eq!((*guard, format!("{guard:?}")), (2, "2".to_owned()));
    drop(guard);
    assert!(!lock.is_locked());
    assert_eq!(lock.into_inner(), 2);
}

#[test]
fn waiters_are_served_in_order() {
    let (lock, log) = (Lock::new(()), Log::default());
    let tasks = Tasks::default();
    let start = |number| {
        let (lock, log) = (&lock, &log);
        tasks.spawn(async move {
            let guard = lock.lock().await;
            log.push(number);
            guard
        })
    };
    let held = now(lock.lock());
    let (first, second) = (start(1), start(2));
    tasks.turn();
    assert_eq!(log.take(), []);
    drop(held);
    tasks.turn();
    tasks.turn();
    assert_eq!(log.take(), [1]);
    let third = start(3);
    drop(first.output());
    tasks.turn();
    assert_eq!(log.take(), [2]);
    drop(second.output());
    tasks.turn();
    assert_eq!(log.take(), [3]);
    drop(third.output());
    assert!(!lock.is_locked());
}

#[test]
fn no_task_passes_a_waiter_that_was_given_the_lock_and_has_not_run() {
    let lock = Lock::new(());
    let held = now(lock.lock());
    let mut first = waiting(lock.lock());
    drop(held);
    assert!(first.is_woken() && lock.is_locked());
    assert!(lock.try_lock().is_none());
    let mut late = waiting(lock.lock());
    drop(first.now());
    drop(late.now());
}

#[test]
fn a_waiter_that_is_dropped_leaves_the_queue() {
    let lock = Lock::new(());
    let held = now(lock.lock());
    let first = waiting(lock.lock());
    let mut second = waiting(lock.lock());
    drop(first);
    assert!(format!("{lock:?}").contains("waiting: 1"));
    drop(held);
    drop(second.now());
    assert!(!lock.is_locked());
}

#[test]
fn a_waiter_that_is_dropped_with_the_lock_passes_it_on() {
    let lock = Lock::new(());
    let held = now(lock.lock());
    let first = waiting(lock.lock());
    let mut second = waiting(lock.lock());
    let third = waiting(lock.lock());
    drop(held);
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(second.is_woken() && !third.is_woken());
    let guard = second.now();
    assert!(!third.is_woken(), "one at a time");
    drop(guard);
    drop(third);
    assert!(!lock.is_locked());
}

#[test]
fn a_release_right_before_and_right_after_a_cancel_wakes_exactly_one() {
    for release_first in [true, false] {
        let (lock, locked) = (Lock::new(()), Log::default());
        let tasks = Tasks::default();
        let held = now(lock.lock());
        let start = |number| {
            let (lock, locked) = (&lock, &locked);
            tasks.spawn(async move {
                mem::forget(lock.lock().await);
                locked.push(number);
            })
        };
        let started = [start(1), start(2), start(3)];
        tasks.settle();
        if release_first {
            drop(held);
            started[0].cancel();
        } else {
            started[0].cancel();
            drop(held);
        }
        tasks.settle();
        assert_eq!(locked.take(), [2]);
    }
}

#[test]
fn a_forgotten_waiter_keeps_the_lock_and_the_value_stays() {
    let mut lock = Lock::new(5);
    let held = now(lock.lock());
    mem::forget(waiting(lock.lock()));
    drop(held);
    assert!(lock.try_lock().is_none());
    assert_eq!(*lock.get_mut(), 5);
}

#[test]
fn a_forgotten_guard_keeps_the_lock_and_the_value() {
    let lock = Lock::new(5);
    mem::forget(now(lock.lock()));
    assert!(lock.is_locked());
    assert_eq!(
        panic_of(|| lock.into_inner()),
        "a guard of this lock was forgotten, and with it the value"
    );
}

#[test]
fn an_owned_guard_keeps_its_lock_alive() {
    let lock = Rc::new(Lock::new(vec![1]));
    let mut guard = now(Rc::clone(&lock).lock_owned());
    let mut next = waiting(Rc::clone(&lock).lock_owned());
    assert!(Rc::ptr_eq(OwnedLockGuard::lock_of(&guard), &lock));
    assert!(Rc::clone(&lock).try_lock_owned().is_none());
    drop(lock);
    guard.push(2);
    drop(guard);
    let guard = next.now();
    assert_eq!(*guard, [1, 2]);
    let lock = Rc::downgrade(OwnedLockGuard::lock_of(&guard));
    drop((guard, next));
    assert!(lock.upgrade().is_none());
}

#[test]
fn a_guard_knows_its_lock() {
    let lock = Lock::from("text");
    assert!(std::ptr::eq(LockGuard::lock_of(&now(lock.lock())), &raw const lock));
}

#[test]
fn a_task_that_panics_unlocks() {
    let lock = Lock::<u32>::default();
    let locked = async {
        let _guard = lock.lock().await;
        panic!("with the lock");
    };
    assert_eq!(panic_of(|| now(locked)), "with the lock");
    assert_eq!(now(lock.lock()).to_string(), "0");
}

#[test]
fn a_waker_may_lock_and_unlock_while_it_is_woken() {
    let lock = Rc::new(Lock::new(0));
    let held = now(lock.lock());
    let mut first = Polled::new(lock.lock());
    let mut second = waiting(lock.lock());
    let its = Rc::clone(&lock);
    let waker = waker_that(move || {
        assert!(its.is_locked() && its.try_lock().is_none());
        drop(waiting(its.lock()));
    });
    assert!(first.poll_with(&waker).is_pending());
    drop(held);
    *second.now() += 1;
    drop(first.now());
    assert!(!lock.is_locked());
}

#[test]
fn a_waker_may_take_the_waiter_that_it_wakes_away() {
    let lock = Rc::new(Lock::new(0));
    let held = now(Rc::clone(&lock).lock_owned());
    let first = Rc::new(RefCell::new(Some(Polled::new(Rc::clone(&lock).lock_owned()))));
    let its = Rc::clone(&first);
    let waker = waker_that(move || drop(its.take()));
    assert!(first.borrow_mut().as_mut().unwrap().poll_with(&waker).is_pending());
    let mut second = waiting(lock.lock());
    drop(held);
    assert!(first.borrow().is_none());
    drop(second.now());
}

#[test]
fn a_waker_may_lock_while_it_is_dropped() {
    let lock = Rc::new(Lock::new(0));
    let held = now(lock.lock());
    let its = Rc::clone(&lock);
    let waker = waker_whose_drop(move || drop(waiting(its.lock())));
    let mut first = Polled::new(lock.lock());
    assert!(first.poll_with(&waker).is_pending());
    drop(waker);
    // With a new waker the former goes; and once more with the waiter.
    assert!(first.poll().is_pending());
    let its = Rc::clone(&lock);
    let waker = waker_whose_drop(move || drop(waiting(its.lock())));
    assert!(first.poll_with(&waker).is_pending());
    drop(waker);
    drop(first);
    drop(held);
    assert!(!lock.is_locked());
}

// The panic hook reports it; the task that unlocks is not concerned.
#[test]
fn a_waker_that_panics_does_not_lose_the_lock() {
    let lock = Lock::new(0);
    let held = now(lock.lock());
    let mut first = Polled::new(lock.lock());
    assert!(first.poll_with(&waker_that(|| panic!("woken"))).is_pending());
    drop(held);
    let mut second = waiting(lock.lock());
    drop(first.now());
    drop(second.now());
}

#[test]
fn a_waker_that_panics_while_a_panic_unlocks_does_not_abort() {
    let lock = Lock::new(0);
    let held = now(lock.lock());
    let mut first = Polled::new(lock.lock());
    assert!(first.poll_with(&waker_that(|| panic!("woken"))).is_pending());
    let panics = || {
        let _held = held;
        panic!("with the lock");
    };
    assert_eq!(panic_of(panics), "with the lock");
    drop(first.now());
}

#[test]
fn a_waiter_is_woken_by_the_waker_of_its_latest_poll() {
    let lock = Lock::new(0);
    let held = now(lock.lock());
    let mut first = Polled::new(lock.lock());
    assert!(first.poll_with(Waker::noop()).is_pending());
    assert!(first.poll().is_pending());
    drop(held);
    assert!(first.is_woken());
}

#[test]
fn a_value_whose_destructor_locks_the_lock_is_no_trouble() {
    type Value = Option<OnDrop<Box<dyn FnMut()>>>;
    let lock = Rc::new(Lock::<Value>::default());
    let its = Rc::clone(&lock);
    *now(lock.lock()) = Some(OnDrop(Box::new(move || assert!(its.try_lock().is_none()))));
    *now(lock.lock()) = None;
    assert!(!lock.is_locked());
}

#[test]
#[cfg_attr(miri, ignore = "a budget is of a task, and so of a runtime")]
fn a_loop_over_a_free_lock_yields() {
    run(async {
        let (lock, log) = (Lock::new(0), Log::default());
        let tasks = Tasks::default();
        tasks.spawn(async {
            for _ in 0..1000 {
                *lock.lock().await += 1;
            }
        });
        tasks.spawn(async { log.push(*lock.lock().await) });
        tasks.settle();
        let seen = log.take()[0];
        assert!(seen > 0 && seen < 1000, "the other task saw {seen}");
    });
}

/// What one of the random test's locks is doing.
enum Doing<'a> {
    Waiting(Polled<'a, LockGuard<'a, u32>>, usize),
    Holding(LockGuard<'a, u32>),
}

#[test]
fn random_locks_and_cancels_agree_with_a_plain_queue() {
    let mut random = seeded();
    let lock = Lock::new(0);
    let mut doing = Vec::new();
    // Those that wait; and who was given the lock, which is `usize::MAX` once it holds it.
    let (mut queue, mut owner) = (Vec::new(), None);
    for number in 0..rounds(20_000) {
        assert_eq!(lock.is_locked(), owner.is_some());
        if random.bool() && doing.len() < 30 {
            let mut locking = Polled::new(lock.lock());
            match locking.poll() {
                std::task::Poll::Ready(guard) => {
                    assert_eq!(owner.replace(usize::MAX), None);
                    doing.push(Doing::Holding(guard));
                }
                std::task::Poll::Pending => {
                    assert!(owner.is_some());
                    queue.push(number);
                    doing.push(Doing::Waiting(locking, number));
                }
            }
            continue;
        }
        if doing.is_empty() {
            continue;
        }
        let release = |queue: &mut Vec<usize>| (!queue.is_empty()).then(|| queue.remove(0));
        match doing.swap_remove(random.usize(..doing.len())) {
            Doing::Holding(guard) => {
                drop(guard);
                owner = release(&mut queue);
            }
            Doing::Waiting(mut waiting, number) if random.bool() => {
                let is_ready = owner == Some(number);
                assert_eq!(waiting.is_woken(), is_ready);
                if is_ready {
                    doing.push(Doing::Holding(waiting.now()));
                    owner = Some(usize::MAX);
                } else {
                    doing.push(Doing::Waiting(waiting.waits(), number));
                }
            }
            Doing::Waiting(waiting, number) => {
                drop(waiting);
                queue.retain(|waiting| *waiting != number);
                if owner == Some(number) {
                    owner = release(&mut queue);
                }
            }
        }
    }
    drop(doing);
    assert!(!lock.is_locked());
}
