//! `wait`: when it returns, what it gives back, and that it cancels nothing.

use std::cell::Cell;
use std::future::pending;
use std::mem;
use std::rc::Rc;
use std::time::{Duration, Instant};

use annulus::join::{ReturnWhen, wait};
use annulus::task::{JoinError, JoinHandle};
use annulus::time::{now, pause, timeout};
use annulus::{spawn, yield_now};

use ReturnWhen::{AllCompleted, FirstCompleted, FirstException};

use crate::common::conditions::poll_once;
use crate::common::drops::{Drops, Guard};
use crate::common::incidents::Incidents;
use crate::common::patience::patient;
use crate::common::watchdog::{block_on, run};

const LONG: Duration = Duration::from_secs(3600);

async fn after(turns: usize) -> usize {
    for _ in 0..turns {
        yield_now().await;
    }
    turns
}

fn endless(guard: Guard) -> JoinHandle<usize> {
    spawn(async move {
        let _guard = guard;
        pending().await
    })
}

/// The outputs of tasks that have ended.
async fn outputs<T>(done: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut outputs = Vec::new();
    for task in done {
        outputs.push(task.await.expect("it has an output"));
    }
    outputs
}

#[test]
fn wait_for_all_gives_every_handle_in_the_order_given_and_again_when_repeated() {
    run(async {
        let tasks = [3, 1, 2].map(|turns| spawn(after(turns)));
        let (done, pending) = wait(tasks, AllCompleted, None).await;
        assert!(pending.is_empty());
        let (done, pending) = wait(done, AllCompleted, None).await;
        assert!(pending.is_empty());
        assert_eq!(outputs(done).await, [3, 1, 2]);
    });
}

#[test]
fn wait_for_the_first_gives_that_one_and_leaves_the_others_running() {
    let drops = Drops::default();
    run(async {
        let tasks = [endless(drops.guard()), spawn(after(2)), endless(drops.guard())];
        let (done, pending) = wait(tasks, FirstCompleted, None).await;
        assert_eq!((outputs(done).await, pending.len()), (vec![2], 2));
        after(3).await;
        assert_eq!(drops.count(), 0);
    });
}

#[test]
fn wait_gives_every_task_that_is_done_by_then_not_only_the_one_that_woke_it() {
    run(async {
        let tasks = [spawn(after(5)), spawn(after(2)), spawn(after(2)), spawn(after(9))];
        let (done, pending) = wait(tasks, FirstCompleted, None).await;
        assert_eq!((outputs(done).await, pending.len()), (vec![2, 2], 2));
    });
}

#[test]
fn wait_returns_at_once_for_tasks_that_ended_before() {
    run(async {
        let tasks = [spawn(pending()), spawn(after(0))];
        yield_now().await;
        for when in [FirstCompleted, FirstException] {
            let failed = spawn(async { panic!("before") });
            let mut tasks = [spawn(pending::<()>()), failed];
            yield_now().await;
            assert!(poll_once(&mut wait(&mut tasks, when, None)).is_ready());
        }
        let (done, pending) = wait(tasks, FirstCompleted, LONG).await;
        assert_eq!((outputs(done).await, pending.len()), (vec![0], 1));
    });
}

#[test]
fn a_wait_for_no_tasks_is_ready_at_once() {
    run(async {
        for when in [FirstCompleted, FirstException, AllCompleted] {
            let none: [JoinHandle<()>; 0] = [];
            let (done, pending) = wait(none, when, None).await;
            assert!(done.is_empty() && pending.is_empty());
        }
    });
}

// The first failure

#[test]
fn wait_for_the_first_failure_goes_past_outputs_and_cancelled_tasks() {
    run(async {
        let cancelled = spawn(pending());
        cancelled.cancel();
        let failing = spawn(async {
            after(3).await;
            panic!("failed")
        });
        let tasks = [spawn(pending()), failing, spawn(after(1)), cancelled];
        let (done, pending) = wait(tasks, FirstException, None).await;
        assert_eq!((done.len(), pending.len()), (3, 1));
        assert!(done[0].outcome().unwrap().as_ref().is_err_and(JoinError::is_panic));
        assert!(matches!(done[1].outcome(), Some(Ok(1))));
        assert!(done[2].outcome().unwrap().as_ref().is_err_and(JoinError::is_cancelled));
    });
}

#[test]
fn wait_for_the_first_failure_waits_for_all_if_none_fails() {
    run(async {
        let tasks = [3, 1, 2].map(|turns| spawn(after(turns)));
        let (done, _) = wait(tasks, FirstException, None).await;
        assert_eq!(outputs(done).await, [3, 1, 2]);
    });
}

#[test]
fn an_error_is_a_failure_if_the_caller_says_so() {
    run(async {
        let tasks = || {
            [(1, true), (2, false), (3, true)].map(|(turns, good)| {
                spawn(async move { if good { Ok(after(turns).await) } else { Err(after(turns).await) } })
            })
        };
        let (done, pending) = wait(tasks(), FirstException, None).failing_if(Result::is_err).await;
        assert_eq!((outputs(done).await, pending.len()), (vec![Ok(1), Err(2)], 1));
        let (done, _) = wait(tasks(), FirstException, None).await;
        assert_eq!(done.len(), 3, "to the runtime an error is an output");
    });
}

// The time limit

#[test]
fn wait_gives_at_its_deadline_what_has_ended_and_cancels_nothing() {
    let drops = Drops::default();
    run(async {
        pause();
        for (round, when) in [FirstException, AllCompleted].into_iter().enumerate() {
            let tasks = [endless(drops.guard()), spawn(after(2))];
            // It comes after what is ready.
            let start = now();
            let (done, pending) = wait(tasks, when, LONG).await;
            assert!(now() - start >= LONG);
            assert_eq!((outputs(done).await, pending.len()), (vec![2], 1));
            yield_now().await;
            assert_eq!(drops.count(), round);
            pending[0].cancel();
            yield_now().await;
            assert_eq!(drops.count(), round + 1);
        }
        let tasks = [endless(drops.guard())];
        let (done, pending) = wait(tasks, FirstCompleted, Duration::ZERO).await;
        assert_eq!((done.len(), pending.len()), (0, 1));
    });
}

// Being dropped

#[test]
fn a_wait_dropped_in_the_middle_cancels_the_tasks_it_owns_and_leaves_borrowed_ones_alone() {
    let drops = Drops::default();
    run(async {
        for (round, when) in [FirstCompleted, FirstException, AllCompleted].into_iter().enumerate()
        {
            let mut tasks = [endless(drops.guard()), endless(drops.guard())];
            let short = Duration::from_millis(1);
            timeout(short, wait(&mut tasks, when, None)).await.unwrap_err();
            yield_now().await;
            assert_eq!(drops.count(), 2 * round);
            timeout(short, wait(tasks, when, None)).await.unwrap_err();
            yield_now().await;
            assert_eq!(drops.count(), 2 * round + 2);
        }
        drop(wait([endless(drops.guard())], AllCompleted, None));
        drop(wait([endless(drops.guard())], FirstCompleted, None));
        yield_now().await;
        assert_eq!(drops.count(), 8);
    });
}

#[test]
fn a_forgotten_wait_does_no_harm() {
    run(async {
        let mut tasks = [spawn(after(1)), spawn(after(2))];
        let mut waiting = wait(&mut tasks, FirstCompleted, LONG);
        assert!(poll_once(&mut waiting).is_pending());
        mem::forget(waiting);
        drop(tasks);
        after(3).await;
    });
}

#[test]
fn a_panic_of_a_task_that_was_waited_for_and_not_taken_is_reported() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let task: JoinHandle<()> = spawn(async { panic!("not taken") });
        let (done, _) = wait([task], AllCompleted, None).await;
        assert_eq!(incidents.count(), 0);
        drop(done);
    });
    assert_eq!(incidents.take_messages(), ["task: not taken"]);
}

#[test]
fn a_task_that_waits_for_itself_panics_and_does_not_hang() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let own = Rc::new(Cell::new(None::<JoinHandle<()>>));
        let its = Rc::clone(&own);
        own.set(Some(spawn(async move {
            let own = its.take().unwrap();
            wait([own], FirstCompleted, None).await;
        })));
        after(3).await;
    });
    let heard = incidents.take_messages();
    assert!(heard[0].contains("its own end"), "{heard:?}");
}

// Cost

#[test]
fn wait_takes_a_hundred_thousand_tasks_that_end_one_by_one() {
    const MANY: usize = 100_000;
    run(async {
        for when in [FirstException, AllCompleted] {
            let start = Instant::now();
            let tasks: Vec<_> = (0..MANY).map(|n| spawn(after(n % 7))).collect();
            let (done, pending) = wait(tasks, when, None).await;
            assert_eq!((done.len(), pending.len()), (MANY, 0));
            // Were each wake to ask all of them, this would take hours.
            assert!(start.elapsed() < patient(Duration::from_secs(30)));
        }
    });
}

#[test]
fn outcomes_can_be_looked_at_until_they_are_taken() {
    run(async {
        let mut task = spawn(async { "an output".to_owned() });
        assert!(task.outcome().is_none());
        yield_now().await;
        assert!(task.outcome().unwrap().as_ref().is_ok_and(|text| text == "an output"));
        assert_eq!((&mut task).await.unwrap(), "an output");
        assert!(task.outcome().is_none());
        // The task has ended, so it is done, although there is nothing left to take.
        let (done, _) = wait([task], AllCompleted, None).await;
        assert_eq!(done.len(), 1);
    });
}
