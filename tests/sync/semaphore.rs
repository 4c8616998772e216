//! Semaphores: permits in order, many at once without being passed, closing, and forgetting.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;
use std::task::{Poll, Waker};

use annulus::sync::{AcquireError, BoundedSemaphore, Permit, Semaphore, TryAcquireError};

use crate::common::conditions::Log;
use crate::common::manual_executor::{Polled, Tasks, now, waiting, waker_that};
use crate::common::panics::panic_of;
use crate::common::random::seeded;
use crate::common::rounds::rounds;
use crate::common::watchdog::run;

#[test]
fn a_semaphore_without_permits_is_locked() {
    let semaphore = Semaphore::new(0);
    assert!(semaphore.is_locked());
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    assert_eq!(Semaphore::default().available_permits(), 1);
}

#[test]
fn permits_are_taken_until_there_is_none_and_then_waited_for_in_order() {
    let (semaphore, log) = (Semaphore::new(3), Log::default());
    let tasks = Tasks::default();
    let held = now(semaphore.acquire_many(2)).unwrap();
    let start = |number| {
        let (semaphore, log) = (&semaphore, &log);
        tasks.spawn(async move {
            semaphore.acquire().await.unwrap().forget();
            log.push(number);
        })
    };
    let _started = [start(1), start(2), start(3)];
    tasks.settle();
    assert_eq!(log.take(), [1]);
    assert!(semaphore.is_locked() && format!("{semaphore:?}").contains("waiting: 2"));
    let last = start(4);
    drop(held);
    assert_eq!(semaphore.available_permits(), 0, "they are given already");
    tasks.settle();
    assert_eq!(log.take(), [2, 3]);
    assert!(!last.is_done());
    semaphore.add_permits(1);
    tasks.settle();
    assert_eq!(log.take(), [4]);
}

#[test]
fn waiters_that_are_dropped_before_a_release_are_not_counted() {
    let semaphore = Semaphore::new(0);
    let mut waiters = [(); 4].map(|()| Some(waiting(semaphore.acquire())));
    waiters[0] = None;
    waiters[1] = None;
    semaphore.add_permits(1);
    let woken = |waiters: &[Option<Polled<'_, _>>; 4]| {
        waiters.each_ref().map(|waiter| waiter.as_ref().is_some_and(Polled::is_woken))
    };
    assert_eq!(woken(&waiters), [false, false, true, false]);
    waiters[2] = None;
    assert_eq!(woken(&waiters), [false, false, false, true], "its permit goes on");
    waiters[3] = None;
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn tasks_that_take_a_permit_again_and_again_alternate() {
    let (semaphore, log) = (Semaphore::new(1), Log::default());
    let tasks = Tasks::default();
    for number in 0..3 {
        let (semaphore, log) = (&semaphore, &log);
        tasks.spawn(async move {
            for round in 0..2 {
                let _permit = semaphore.acquire().await.unwrap();
                log.push((round, number));
                let mut yielded = false;
                std::future::poll_fn(|context| {
                    context.waker().wake_by_ref();
                    if mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        });
    }
    tasks.settle();
    assert_eq!(log.take(), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
}

#[test]
fn a_task_that_releases_and_acquires_again_comes_behind_the_waiters() {
    let (semaphore, log) = (Semaphore::new(1), Log::default());
    let tasks = Tasks::default();
    tasks.spawn(async {
        let permit = semaphore.acquire().await.unwrap();
        log.push(1);
        permit.forget();
    });
    tasks.spawn(async {
        let permit = semaphore.acquire().await.unwrap();
        log.push(2);
        drop(permit);
        let _permit = semaphore.acquire().await.unwrap();
        log.push(4);
    });
    tasks.spawn(async {
        let _permit = semaphore.acquire().await.unwrap();
        log.push(3);
    });
    tasks.turn();
    semaphore.add_permits(1);
    tasks.settle();
    assert_eq!(log.take(), [1, 2, 3, 4]);
}

#[test]
fn a_waiter_for_many_permits_is_not_passed_by_waiters_for_fewer() {
    let semaphore = Semaphore::new(3);
    let mut many = waiting(semaphore.acquire_many(5));
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    let mut few = waiting(semaphore.acquire());
    semaphore.add_permits(1);
    assert!(!many.is_woken() && !few.is_woken());
    semaphore.add_permits(2);
    assert!(many.is_woken() && few.is_woken());
    drop((many.now(), few.now()));
    assert_eq!(semaphore.available_permits(), 6);
}

#[test]
fn waiters_behind_a_dropped_waiter_for_many_permits_are_served() {
    let semaphore = Semaphore::new(2);
    let many = waiting(semaphore.acquire_many(5));
    let few = [1, 1, 1].map(|count| waiting(semaphore.acquire_many(count)));
    drop(many);
    assert_eq!(few.each_ref().map(Polled::is_woken), [true, true, false]);
}

#[test]
fn closing_refuses_all_current_and_future_waiters() {
    let semaphore = Semaphore::new(1);
    let held = now(semaphore.acquire()).unwrap();
    let mut waiters = [1, 2].map(|count| waiting(semaphore.acquire_many(count)));
    drop(held);
    // The first was given its permit in time.
    semaphore.close();
    let [first, second] = waiters.each_mut().map(Polled::now);
    assert!(first.is_ok());
    assert_eq!(second.unwrap_err(), AcquireError);
    drop(first);
    assert!(semaphore.is_closed() && semaphore.is_locked());
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!(now(semaphore.acquire()).unwrap_err(), AcquireError);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
}

#[test]
#[cfg_attr(miri, ignore = "a budget is of a task, and so of a runtime")]
fn closing_refuses_a_waiter_that_has_only_yielded_though_there_are_permits() {
    run(async {
        let semaphore = Semaphore::new(1);
        let mut acquiring = (0..200).map(|_| Polled::new(semaphore.acquire()));
        let yielded = acquiring.find_map(|mut acquire| {
            let polled = acquire.poll_with(Waker::noop()).map(drop);
            polled.is_pending().then_some(acquire)
        });
        semaphore.close();
        assert_eq!(yielded.expect("a budget ends").now().map(drop), Err(AcquireError));
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
#[cfg_attr(miri, ignore = "a budget is of a task, and so of a runtime")]
fn a_loop_over_a_semaphore_that_is_closed_yields() {
    run(async {
        let (semaphore, refused, seen) = (Semaphore::new(1), Cell::new(0), Cell::new(0));
        semaphore.close();
        let tasks = Tasks::default();
        tasks.spawn(async {
            while refused.get() < 1000 {
                refused.set(refused.get() + usize::from(semaphore.acquire().await.is_err()));
            }
        });
        tasks.spawn(async { seen.set(refused.get()) });
        tasks.turn();
        assert!((1..=128).contains(&seen.get()), "{} refusals in one turn", seen.get());
        tasks.settle();
    });
}

#[test]
fn closing_refuses_a_waiter_behind_one_for_many_though_there_are_permits() {
    let semaphore = Semaphore::new(1);
    let mut waiters = [2, 1].map(|count| waiting(semaphore.acquire_many(count)));
    semaphore.close();
    assert_eq!(waiters.each_mut().map(|waiter| waiter.now().unwrap_err()), [AcquireError; 2]);
}

#[test]
fn permits_can_be_split_and_forgotten() {
    let semaphore = Semaphore::new(4);
    let mut permits = now(semaphore.acquire_many(4)).unwrap();
    let one = permits.split(1).unwrap();
    assert_eq!((permits.count(), one.count()), (3, 1));
    assert!(permits.split(4).is_none());
    drop(one);
    permits.forget();
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!((semaphore.forget_permits(5), semaphore.available_permits()), (1, 0));
    assert!(panic_of(|| Semaphore::new(Semaphore::MAX_PERMITS + 1)).contains("too many"));
    semaphore.add_permits(1);
    assert!(panic_of(|| semaphore.add_permits(Semaphore::MAX_PERMITS)).contains("too many"));
}

#[test]
fn owned_permits_keep_their_semaphore_alive() {
    let semaphore = Rc::new(Semaphore::new(2));
    let mut permits = now(Rc::clone(&semaphore).acquire_many_owned(2)).unwrap();
    assert!(Rc::clone(&semaphore).try_acquire_owned().is_err());
    let mut next = waiting(Rc::clone(&semaphore).acquire_owned());
    let split = permits.split(1).unwrap();
    permits.forget();
    drop(semaphore);
    drop(split);
    assert_eq!(next.now().unwrap().count(), 1);
}

#[test]
fn a_bounded_semaphore_is_not_released_more_often_than_it_was_acquired() {
    let semaphore = BoundedSemaphore::new(1);
    let too_often = || assert!(panic_of(|| semaphore.release()).contains("is missing"));
    too_often();
    let permit = now(semaphore.acquire()).unwrap();
    // It comes back by itself.
    too_often();
    permit.forget();
    let mut next = waiting(semaphore.acquire_many(1));
    semaphore.release();
    drop(next.now());
    too_often();
    assert!(semaphore.try_acquire().is_ok() && !semaphore.is_locked());
    semaphore.close();
    assert!(semaphore.is_closed() && semaphore.available_permits() == 1);
}

#[test]
fn a_forgotten_waiter_keeps_its_permit_and_blocks_no_other() {
    let semaphore = Semaphore::new(0);
    mem::forget(waiting(semaphore.acquire()));
    let mut second = waiting(semaphore.acquire());
    semaphore.add_permits(2);
    drop(second.now().unwrap());
    drop(semaphore.try_acquire().unwrap());
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn wakers_may_acquire_release_and_panic() {
    let semaphore = Rc::new(Semaphore::new(0));
    let its = Rc::clone(&semaphore);
    let waker = waker_that(move || {
        its.add_permits(1);
        panic!("woken");
    });
    let mut waiters = [(); 3].map(|()| Polled::new(semaphore.acquire()));
    for waiter in &mut waiters {
        assert!(waiter.poll_with(&waker).is_pending());
    }
    // Each wake releases a permit for the next, and panics.
    semaphore.add_permits(1);
    drop(waiters.map(|mut waiter| waiter.now().unwrap()));
    assert_eq!(semaphore.available_permits(), 4);
}

/// A plain semaphore: who has asked for how many, in order, and who was given them.
#[derive(Default)]
struct Model {
    available: usize,
    queue: Vec<(usize, usize)>,
    given: Vec<usize>,
}

impl Model {
    fn serve(&mut self) {
        while self.queue.first().is_some_and(|(_, count)| *count <= self.available) {
            let (number, count) = self.queue.remove(0);
            self.available -= count;
            self.given.push(number);
        }
    }
}

type Acquiring<'a> = Polled<'a, Result<Permit<'a>, AcquireError>>;

#[test]
fn random_acquires_releases_and_cancels_agree_with_a_plain_model() {
    let mut random = seeded();
    let semaphore = Semaphore::new(0);
    let mut model = Model::default();
    let mut held: Vec<Permit<'_>> = Vec::new();
    let mut acquiring: Vec<(usize, usize, Acquiring<'_>)> = Vec::new();
    for number in 0..rounds(30_000) {
        match random.u8(..6) {
            0 if acquiring.len() < 20 => {
                let count = random.usize(..4);
                let mut acquire = Polled::new(semaphore.acquire_many(count));
                model.queue.push((number, count));
                model.serve();
                match acquire.poll() {
                    Poll::Ready(permit) => {
                        held.push(permit.unwrap());
                        assert_eq!(model.given.pop(), Some(number));
                    }
                    Poll::Pending => acquiring.push((number, count, acquire)),
                }
            }
            1 => {
                let count = random.usize(..4);
                let expected = model.queue.is_empty() && count <= model.available;
                let taken = semaphore.try_acquire_many(count);
                assert_eq!(taken.is_ok(), expected);
                if let Ok(permit) = taken {
                    model.available -= count;
                    held.push(permit);
                }
            }
            2 if model.available < 10 => {
                semaphore.add_permits(1);
                model.available += 1;
            }
            3 if !held.is_empty() => {
                let permit = held.swap_remove(random.usize(..held.len()));
                if random.bool() {
                    model.available += permit.count();
                    drop(permit);
                } else {
                    permit.forget();
                }
            }
            4 if !acquiring.is_empty() => {
                let chosen = random.usize(..acquiring.len());
                let (number, count, acquire) = acquiring.swap_remove(chosen);
                if let Some(index) = model.given.iter().position(|given| *given == number) {
                    model.given.remove(index);
                    model.available += count;
                }
                model.queue.retain(|(waiting, _)| *waiting != number);
                drop(acquire);
            }
            5 if !acquiring.is_empty() => {
                let chosen = random.usize(..acquiring.len());
                let (number, _, acquire) = &mut acquiring[chosen];
                let given = model.given.iter().position(|given| given == number);
                assert_eq!(acquire.is_woken(), given.is_some());
                match (acquire.poll(), given) {
                    (Poll::Ready(permit), Some(index)) => {
                        held.push(permit.unwrap());
                        model.given.remove(index);
                        acquiring.swap_remove(chosen);
                    }
                    (Poll::Pending, None) => {}
                    _ => panic!("{number} is served when it should not be, or not when it should"),
                }
            }
            _ => {}
        }
        model.serve();
        assert_eq!(semaphore.available_permits(), model.available);
    }
}
