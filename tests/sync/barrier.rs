//! Barriers: all or none go on, again and again, until they are broken.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;
use std::task::Poll;

use annulus::sync::{Barrier, BrokenBarrier};

use crate::common::conditions::Log;
use crate::common::manual_executor::{Polled, Task, Tasks, now, waiting, waker_that};
use crate::common::panics::panic_of;
use crate::common::random::seeded;
use crate::common::rounds::rounds;

#[test]
fn a_barrier_opens_for_all_when_the_last_comes_and_gives_each_its_index() {
    let barrier = Barrier::new(3);
    let mut first = waiting(barrier.wait());
    let mut second = waiting(barrier.wait());
    assert_eq!((barrier.parties(), barrier.waiting()), (3, 2));
    assert!(!first.is_woken());
    assert_eq!(now(barrier.wait()), Ok(2));
    assert_eq!((first.now(), second.now()), (Ok(0), Ok(1)));
    assert_eq!(format!("{barrier:?}"), "Barrier { parties: 3, waiting: 0, broken: false }");
    assert!(panic_of(|| Barrier::new(0)).contains("at least one task"));
}

#[test]
fn a_barrier_for_one_is_always_open() {
    let barrier = Barrier::new(1);
    assert_eq!((now(barrier.wait()), now(barrier.wait())), (Ok(0), Ok(0)));
}

#[test]
fn tasks_pass_a_barrier_again_and_again() {
    let (barrier, log) = (Barrier::new(5), Log::default());
    let tasks = Tasks::default();
    let started = [(); 5].map(|()| {
        tasks.spawn(async {
            for round in 0..3 {
                log.push((round, barrier.wait().await.unwrap()));
            }
        })
    });
    tasks.settle();
    assert!(started.iter().all(Task::is_done) && barrier.waiting() == 0);
    let log = log.take();
    for (round, indices) in log.chunks(5).enumerate() {
        assert!(indices.iter().all(|(its, _)| *its == round));
        let mut indices: Vec<_> = indices.iter().map(|(_, index)| *index).collect();
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2, 3, 4]);
    }
}

// In asyncio, newcomers would wait until the last has left.
#[test]
fn a_barrier_can_be_filled_anew_before_its_released_waiters_have_run() {
    let barrier = Barrier::new(2);
    let mut first = waiting(barrier.wait());
    now(barrier.wait()).unwrap();
    let mut third = waiting(barrier.wait());
    assert_eq!(now(barrier.wait()), Ok(1));
    assert_eq!((first.now(), third.now()), (Ok(0), Ok(0)));
}

#[test]
fn a_dropped_waiter_does_not_count_and_indices_stay_different() {
    let barrier = Barrier::new(3);
    let first = waiting(barrier.wait());
    let mut second = waiting(barrier.wait());
    drop(first);
    assert_eq!(barrier.waiting(), 1);
    let mut third = waiting(barrier.wait());
    assert_eq!(now(barrier.wait()), Ok(2));
    assert_eq!((second.now(), third.now()), (Ok(0), Ok(1)));
}

#[test]
fn a_waiter_dropped_after_the_barrier_opened_changes_nothing_for_the_others() {
    let barrier = Barrier::new(3);
    let [first, mut second] = [(); 2].map(|()| waiting(barrier.wait()));
    now(barrier.wait()).unwrap();
    drop(first);
    assert_eq!((second.now(), barrier.waiting()), (Ok(1), 0));
}

#[test]
fn a_reset_breaks_the_barrier_for_its_current_waiters_only() {
    let barrier = Barrier::new(3);
    let mut waits = [(); 2].map(|()| waiting(barrier.wait()));
    barrier.reset();
    assert_eq!(waits.each_mut().map(Polled::now), [Err(BrokenBarrier); 2]);
    assert!(!barrier.is_broken());
    let mut waits = [(); 2].map(|()| waiting(barrier.wait()));
    now(barrier.wait()).unwrap();
    assert_eq!(waits.each_mut().map(Polled::now), [Ok(0), Ok(1)]);
    barrier.reset();
    assert!(!barrier.is_broken() && barrier.waiting() == 0);
}

#[test]
fn waiters_that_were_broken_off_can_wait_again() {
    let barrier = Barrier::new(5);
    let (broken, passed) = (Cell::new(0), Cell::new(0));
    let tasks = Tasks::default();
    for _ in 0..4 {
        tasks.spawn(async {
            assert_eq!(barrier.wait().await, Err(BrokenBarrier));
            broken.set(broken.get() + 1);
            barrier.wait().await.unwrap();
            passed.set(passed.get() + 1);
        });
    }
    tasks.settle();
    barrier.reset();
    tasks.settle();
    assert_eq!((broken.get(), passed.get(), barrier.waiting()), (4, 0, 4));
    now(barrier.wait()).unwrap();
    tasks.settle();
    assert_eq!(passed.get(), 4);
}

#[test]
fn an_abort_breaks_the_barrier_until_it_is_reset() {
    let barrier = Barrier::new(2);
    let mut first = waiting(barrier.wait());
    barrier.abort();
    assert_eq!((first.now(), now(barrier.wait())), (Err(BrokenBarrier), Err(BrokenBarrier)));
    assert!(barrier.is_broken());
    barrier.reset();
    drop(waiting(barrier.wait()));
    assert!(!barrier.is_broken());
}

// In asyncio, they would be told that the barrier is broken.
#[test]
fn a_reset_or_an_abort_does_not_reach_released_waiters() {
    for abort in [true, false] {
        let barrier = Barrier::new(2);
        let mut first = waiting(barrier.wait());
        now(barrier.wait()).unwrap();
        if abort {
            barrier.abort();
        } else {
            barrier.reset();
        }
        assert_eq!(first.now(), Ok(0));
    }
}

#[test]
fn a_task_that_fails_can_break_the_barrier_for_the_others_and_a_second_barrier_mends_it() {
    const PARTIES: usize = 5;
    let (barrier, mend) = (Barrier::new(PARTIES), Barrier::new(PARTIES));
    let (broken, passed) = (Cell::new(0), Cell::new(0));
    let tasks = Tasks::default();
    for _ in 0..PARTIES {
        tasks.spawn(async {
            if barrier.wait().await.unwrap() == PARTIES / 2 {
                barrier.abort();
            } else {
                assert_eq!(barrier.wait().await, Err(BrokenBarrier));
                broken.set(broken.get() + 1);
            }
            if mend.wait().await.unwrap() == PARTIES / 2 {
                barrier.reset();
            }
            mend.wait().await.unwrap();
            barrier.wait().await.unwrap();
            passed.set(passed.get() + 1);
        });
    }
    tasks.settle();
    assert_eq!((broken.get(), passed.get()), (PARTIES - 1, PARTIES));
    assert!(!barrier.is_broken());
}

#[test]
fn a_forgotten_wait_counts_as_a_waiter() {
    let barrier = Barrier::new(2);
    mem::forget(waiting(barrier.wait()));
    assert_eq!((barrier.waiting(), now(barrier.wait())), (1, Ok(1)));
    assert_eq!(barrier.waiting(), 0);
}

#[test]
fn a_waker_that_breaks_the_barrier_as_it_opens_comes_too_late() {
    let barrier = Rc::new(Barrier::new(3));
    let its = Rc::clone(&barrier);
    let waker = waker_that(move || {
        its.abort();
        panic!("woken");
    });
    let mut first = Polled::new(barrier.wait());
    assert!(first.poll_with(&waker).is_pending());
    let mut second = waiting(barrier.wait());
    assert_eq!(now(barrier.wait()), Ok(2));
    assert_eq!((first.now(), second.now()), (Ok(0), Ok(1)));
    assert!(barrier.is_broken());
}

#[test]
fn random_waits_resets_and_cancels_agree_with_a_plain_model() {
    const PARTIES: usize = 4;
    let mut random = seeded();
    let barrier = Barrier::new(PARTIES);
    let mut waits: Vec<(usize, Polled<'_, Result<usize, BrokenBarrier>>)> = Vec::new();
    let mut queue: Vec<usize> = Vec::new();
    let mut outcomes: Vec<(usize, Result<usize, BrokenBarrier>)> = Vec::new();
    let mut broken = false;
    for number in 0..rounds(20_000) {
        match random.u8(..16) {
            0..8 => {
                let mut wait = Polled::new(barrier.wait());
                let expected = match () {
                    () if broken => Poll::Ready(Err(BrokenBarrier)),
                    () if queue.len() < PARTIES - 1 => Poll::Pending,
                    () => Poll::Ready(Ok(PARTIES - 1)),
                };
                let outcome = wait.poll();
                assert_eq!(outcome, expected);
                match outcome {
                    Poll::Pending => {
                        queue.push(number);
                        waits.push((number, wait));
                    }
                    Poll::Ready(Ok(_)) => {
                        let opened = queue.drain(..).enumerate();
                        outcomes.extend(opened.map(|(index, number)| (number, Ok(index))));
                    }
                    Poll::Ready(Err(BrokenBarrier)) => {}
                }
            }
            8 => {
                broken = random.bool();
                if broken {
                    barrier.abort();
                } else {
                    barrier.reset();
                }
                outcomes.extend(queue.drain(..).map(|number| (number, Err(BrokenBarrier))));
            }
            9..12 if !waits.is_empty() => {
                let (number, wait) = waits.swap_remove(random.usize(..waits.len()));
                drop(wait);
                queue.retain(|waiting| *waiting != number);
                outcomes.retain(|(ended, _)| *ended != number);
            }
            12.. if !waits.is_empty() => {
                let (number, mut wait) = waits.swap_remove(random.usize(..waits.len()));
                match outcomes.iter().position(|(ended, _)| *ended == number) {
                    Some(index) => assert_eq!(wait.now(), outcomes.swap_remove(index).1),
                    None => waits.push((number, wait.waits())),
                }
            }
            _ => {}
        }
        assert_eq!((barrier.waiting(), barrier.is_broken()), (queue.len(), broken));
    }
}
