//! What becomes of a task when its handle is awaited, dropped, cancelled, kept or forgotten.
//!
//! The rules are asyncio's: a handle that was never awaited detaches its task when it is dropped;
//! an await by value that is dropped in the middle cancels the task; one by `&mut` does neither.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::pending;
use std::io;
use std::mem;
use std::panic::panic_any;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use annulus::sync::{Lock, Semaphore};
use annulus::task::{Join, JoinError, JoinHandle, current_task};
use annulus::time::{sleep, timeout};
use annulus::{Runtime, spawn, spawn_named, yield_now};

use crate::common::conditions::{Log, poll_once, until};
use crate::common::drops::{Drops, Guard, OnDrop};
use crate::common::incidents::Incidents;
use crate::common::panics::panic_of;
use crate::common::watchdog::{block_on, run};

/// A task that never ends by itself and drops `guard` when it is cancelled.
fn endless(guard: Guard) -> JoinHandle<()> {
    spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    })
}

/// Where a task can find its own handle.
type Own<T> = Rc<RefCell<Option<JoinHandle<T>>>>;

// The three ways to end a handle

#[test]
fn a_handle_that_is_dropped_without_having_been_awaited_detaches_its_task() {
    let done = Rc::new(Cell::new(false));
    run(async {
        let its = Rc::clone(&done);
        drop(spawn(async move {
            yield_now().await;
            its.set(true);
        }));
        yield_now().await;
        yield_now().await;
    });
    assert!(done.get());
}

#[test]
fn an_await_by_value_that_is_dropped_in_the_middle_cancels_the_task() {
    let drops = Drops::default();
    run(async {
        let task = endless(drops.guard());
        timeout(Duration::from_millis(1), task).await.unwrap_err();
        assert_eq!(drops.count(), 1, "the task is over when its await has been dropped");
    });
}

#[test]
fn a_lock_held_by_a_task_is_free_when_the_await_of_the_task_has_been_dropped() {
    run(async {
        let lock = Rc::new(Lock::new(()));
        let its = Rc::clone(&lock);
        let task = spawn(async move {
            let _held = its.lock().await;
            pending::<()>().await;
        });
        timeout(Duration::from_millis(1), task).await.unwrap_err();
        assert!(lock.try_lock().is_some());
    });
}

#[test]
fn an_await_by_value_that_is_dropped_before_it_was_polled_ends_the_task_unpolled() {
    let drops = Drops::default();
    run(async {
        let task = endless(drops.guard());
        drop(task.into_future());
        assert_eq!(drops.count(), 1);
        drop(timeout(Duration::ZERO, endless(drops.guard())));
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_task_that_drops_the_await_of_itself_ends_at_its_next_await() {
    let log = Log::default();
    run(async {
        let place: Rc<RefCell<Option<Join<()>>>> = Rc::default();
        let (its, place_of_own, ended) =
            (log.clone(), Rc::clone(&place), Rc::new(Cell::new(false)));
        let ends = Rc::clone(&ended);
        let task = spawn(async move {
            let _ends = OnDrop(move || ends.set(true));
            drop(place_of_own.take());
            its.push("goes on");
            yield_now().await;
            its.push("never");
        });
        place.replace(Some(task.into_future()));
        until(|| ended.get()).await;
        assert_eq!(log.take(), ["goes on"]);
    });
}

#[test]
fn ending_others_in_place_gives_a_task_no_second_budget() {
    run(async {
        let semaphore = Semaphore::new(1);
        let turns = Rc::new(Cell::new(0));
        let counted = Rc::clone(&turns);
        let counter = spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                yield_now().await;
            }
        });
        yield_now().await;
        let before = turns.get();
        for _ in 0..1000 {
            drop(semaphore.acquire().await.unwrap());
            drop(spawn(pending::<()>()).into_future());
        }
        assert!(turns.get() >= before + 7, "after each 128 operations the others run");
        drop(counter.into_future());
    });
}

#[test]
fn an_await_by_reference_that_is_dropped_does_nothing_and_can_be_repeated() {
    let drops = Drops::default();
    run(async {
        let (guard, go) = (drops.guard(), Rc::new(Cell::new(false)));
        let told = Rc::clone(&go);
        let mut task = spawn(async move {
            let _guard = guard;
            until(|| told.get()).await;
            "done"
        });
        for _ in 0..3 {
            let wait = timeout(Duration::from_micros(100), &mut task);
            assert!(wait.await.is_err() && !task.is_finished() && drops.count() == 0);
        }
        go.set(true);
        assert_eq!(task.await.unwrap(), "done");
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_handle_that_was_awaited_by_reference_and_is_then_dropped_detaches_its_task() {
    let drops = Drops::default();
    run(async {
        let guard = drops.guard();
        let mut task = spawn(async move {
            let _guard = guard;
            yield_now().await;
            yield_now().await;
        });
        assert!(poll_once(&mut (&mut task).into_future()).is_pending());
        drop(task);
        yield_now().await;
        assert_eq!(drops.count(), 0, "it runs on");
        yield_now().await;
        yield_now().await;
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_cancel_goes_down_a_chain_of_awaits_by_value() {
    let drops = Drops::default();
    run(async {
        let inner = endless(drops.guard());
        let middle = spawn(async move { inner.await.unwrap() });
        let outer = spawn(async move { middle.await.unwrap() });
        yield_now().await;
        outer.cancel();
        assert_eq!(drops.count(), 0);
        yield_now().await;
        assert_eq!(drops.count(), 1, "the whole chain ends in the turn of the outermost");
        assert!(outer.await.unwrap_err().is_cancelled());
    });
}

// Cancelling

#[test]
fn a_task_cancelled_before_its_first_poll_is_never_polled() {
    let (drops, polled) = (Drops::default(), Rc::new(Cell::new(false)));
    run(async {
        let (guard, its) = (drops.guard(), Rc::clone(&polled));
        let task = spawn(async move {
            its.set(true);
            drop(guard);
        });
        assert!(task.cancel() && !task.is_finished());
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!((polled.get(), drops.count()), (false, 1));
}

#[test]
fn a_task_cancelled_while_it_waits_ends_at_its_next_poll_inside_its_own_context() {
    let log = Log::default();
    run(async {
        let its = log.clone();
        let noting = OnDrop(move || its.push(current_task().unwrap().name().map(String::from)));
        let task = spawn_named("cancelled", async move {
            let _noting = noting;
            sleep(Duration::from_secs(3600)).await;
        });
        yield_now().await;
        assert!(task.cancel());
        assert!(!task.is_finished() && log.take().is_empty());
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), [Some("cancelled".to_owned())]);
    });
}

#[test]
fn a_task_cancelled_while_it_is_ready_is_not_polled_again() {
    let log = Log::default();
    run(async {
        let its = log.clone();
        let task = spawn(async move {
            for round in 0.. {
                its.push(round);
                yield_now().await;
            }
        });
        yield_now().await;
        assert_eq!(log.take(), [0]);
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), []);
    });
}

#[test]
fn cancelling_twice_cancels_once() {
    let drops = Drops::default();
    run(async {
        let mut task = endless(drops.guard());
        assert!(task.cancel() && task.cancel(), "it has not ended yet");
        assert!((&mut task).await.unwrap_err().is_cancelled());
        assert!(!task.cancel(), "it has ended");
    });
    assert_eq!(drops.count(), 1);
}

#[test]
fn cancelling_a_finished_task_leaves_its_output_alone() {
    run(async {
        let task = spawn(async { 5 });
        yield_now().await;
        assert!(task.is_finished() && !task.cancel());
        assert_eq!(task.await.unwrap(), 5);
    });
}

#[test]
fn a_task_that_cancels_itself_ends_at_its_next_await() {
    let log = Log::default();
    run(async {
        let own = Own::default();
        let (its, events) = (Rc::clone(&own), log.clone());
        *own.borrow_mut() = Some(spawn(async move {
            assert!(its.borrow().as_ref().unwrap().cancel());
            events.push("goes on to its next await");
            yield_now().await;
            events.push("and not beyond");
        }));
        yield_now().await;
        let task = own.take().unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(log.take(), ["goes on to its next await"]);
}

#[test]
fn a_task_that_cancels_itself_and_awaits_nothing_more_has_its_output() {
    run(async {
        let own = Own::default();
        let its = Rc::clone(&own);
        *own.borrow_mut() = Some(spawn(async move {
            assert!(its.borrow().as_ref().unwrap().cancel());
            5
        }));
        yield_now().await;
        let task = own.take().unwrap();
        assert_eq!(task.await.unwrap(), 5);
    });
}

#[test]
fn a_cancelled_task_whose_wait_is_over_at_the_same_time_is_cancelled() {
    run(async {
        let inner = spawn(yield_now());
        let outer = spawn(async move { inner.await });
        yield_now().await;
        yield_now().await;
        // The inner task has ended and has woken the outer one, which is in the ready queue.
        assert!(!outer.is_finished() && outer.cancel());
        assert!(outer.await.unwrap_err().is_cancelled());
    });
}

// Outcomes

#[test]
fn a_task_is_finished_however_it_ends() {
    run(async {
        let tasks = [spawn(async {}), spawn(async { panic!("expected") }), spawn(pending())];
        assert!(!tasks.iter().any(JoinHandle::is_finished));
        tasks[2].cancel();
        yield_now().await;
        assert!(tasks.iter().all(JoinHandle::is_finished));
        let [ended, panicked, cancelled] = tasks;
        assert!(ended.await.is_ok());
        assert!(panicked.await.unwrap_err().is_panic());
        assert!(cancelled.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_finished_task_is_joined_without_waiting() {
    run(async {
        let task = spawn(async { 5 });
        yield_now().await;
        assert!(matches!(poll_once(&mut task.into_future()), Poll::Ready(Ok(5))));
    });
}

#[test]
fn an_outcome_is_taken_once() {
    run(async {
        let mut task = spawn(async { 5 });
        assert_eq!((&mut task).await.unwrap(), 5);
        let again = panic_of(|| poll_once(&mut (&mut task).into_future()));
        assert_eq!(again, "polled after completion: the outcome of this task has been taken");
    });
}

#[test]
fn the_task_that_awaited_last_is_woken() {
    run(async {
        let mut task = spawn(sleep(Duration::from_millis(2)));
        // Asked for with a waker that does nothing; the next to ask leaves a better one.
        assert!(poll_once(&mut (&mut task).into_future()).is_pending());
        spawn(async move { task.await.unwrap() }).await.unwrap();
    });
}

#[test]
fn join_errors_say_what_happened() {
    run(async {
        let cancelled = spawn(pending::<()>());
        cancelled.cancel();
        let cancelled = cancelled.await.unwrap_err();
        assert_eq!(cancelled.to_string(), "task was cancelled");
        assert_eq!(format!("{cancelled:?}"), "Cancelled");

        let panicked = spawn(async { panic!("number {}", 5) }).await.unwrap_err() as JoinError;
        assert_eq!(panicked.to_string(), "task panicked: number 5");
        assert_eq!(format!("{panicked:?}"), r#"Panicked("number 5")"#);
        let error: &dyn Error = &panicked;
        assert!(error.source().is_none());
        let error = io::Error::from(panicked);
        assert_eq!(
            (error.kind(), error.to_string()),
            (io::ErrorKind::Other, "task panicked: number 5".into())
        );

        let odd = spawn(async { panic_any(5) }).await.unwrap_err() as JoinError;
        assert_eq!(odd.to_string(), "task panicked: a payload without a message");
        assert!(matches!(odd, JoinError::Panicked(payload) if payload.downcast_ref() == Some(&5)));
    });
}

#[test]
fn a_handle_can_be_printed() {
    run(async {
        let task = spawn_named("printed", async {});
        let id = task.id();
        let expected =
            format!("JoinHandle {{ id: {id:?}, name: Some(\"printed\"), finished: false }}");
        assert_eq!(format!("{task:?}"), expected);
    });
}

#[test]
fn a_handle_that_outlives_its_runtime_says_that_the_task_was_cancelled() {
    let drops = Drops::default();
    let (ended, mut left) = run(async {
        let ended = spawn(async { 5 });
        let left = endless(drops.guard());
        yield_now().await;
        (ended, left)
    });
    assert_eq!(drops.count(), 1);
    assert!(left.is_finished() && !left.cancel());
    let end = poll_once(&mut (&mut left).into_future());
    assert!(matches!(end, Poll::Ready(Err(JoinError::Cancelled))));
    assert!(matches!(poll_once(&mut ended.into_future()), Poll::Ready(Ok(5))));
}

// Odd places for a handle

#[test]
fn a_task_that_awaits_itself_panics_and_does_not_hang() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let own = Own::default();
        let its = Rc::clone(&own);
        *own.borrow_mut() = Some(spawn(async move {
            let own: JoinHandle<()> = its.take().unwrap();
            let _ = own.await;
        }));
        yield_now().await;
        yield_now().await;
    });
    let heard = incidents.take();
    assert!(heard[0].to_string().contains("its own end"), "{heard:?}");
}

#[test]
fn a_task_may_own_its_own_handle() {
    let drops = Drops::default();
    run(async {
        for cancelled in [false, true] {
            let own = Own::default();
            let (its, guard) = (Rc::clone(&own), drops.guard());
            let task = spawn(async move {
                // Here, the handle is the task's alone, to be dropped with it.
                let _handle = its.take();
                let _guard = guard;
                yield_now().await;
            });
            if cancelled {
                task.cancel();
            }
            *own.borrow_mut() = Some(task);
            drop(own);
            yield_now().await;
            yield_now().await;
        }
    });
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_handle_dropped_by_its_own_tasks_destructor_drops_the_output_once() {
    let drops = Drops::default();
    run(async {
        let own = Own::default();
        let its = Rc::clone(&own);
        let last = OnDrop(move || drop(its.take()));
        let output = drops.guard();
        *own.borrow_mut() = Some(spawn(async move {
            let _last = last;
            yield_now().await;
            output
        }));
        yield_now().await;
        assert_eq!(drops.count(), 0);
        yield_now().await;
        assert_eq!(drops.count(), 1);
    });
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_handle_may_be_dropped_by_the_destructor_of_its_own_cancelled_task() {
    let drops = Drops::default();
    run(async {
        let own = Own::default();
        let (its, guard) = (Rc::clone(&own), drops.guard());
        let last = OnDrop(move || drop(its.take()));
        let task = spawn(async move {
            let _both = (last, guard);
            pending::<()>().await;
        });
        yield_now().await;
        task.cancel();
        *own.borrow_mut() = Some(task);
        yield_now().await;
        assert!(own.borrow().is_none());
    });
    assert_eq!(drops.count(), 1);
}

#[test]
fn forgotten_handles_leave_their_tasks_alone() {
    let (ended, left) = (Drops::default(), Drops::default());
    run(async {
        let guard = ended.guard();
        mem::forget(spawn(async move { drop(guard) }));
        mem::forget(endless(left.guard()));
        let mut join = spawn(yield_now()).into_future();
        assert!(poll_once(&mut join).is_pending());
        mem::forget(join);
        yield_now().await;
        assert_eq!((ended.count(), left.count()), (1, 0));
    });
    assert_eq!((ended.count(), left.count()), (1, 1));
}

#[test]
fn a_panic_whose_join_is_dropped_afterwards_is_reported() {
    let incidents = Incidents::default();
    let runtime = incidents.runtime();
    block_on(&runtime, async {
        let mut join = spawn(async { panic!("not taken") }).into_future();
        assert!(poll_once::<annulus::task::Join<()>>(&mut join).is_pending());
        yield_now().await;
        assert_eq!(incidents.count(), 0, "it may still be taken");
        drop(join);
        assert_eq!(incidents.take_messages(), ["task: not taken"]);
    });
}

#[test]
fn a_task_of_another_runtime_of_this_thread_is_joined_once_it_has_ended_and_else_panics() {
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let mut task = first.spawn(async { 5 });
    assert!(poll_once(&mut (&mut task).into_future()).is_pending(), "its loop may begin soon");
    let wait = || block_on(&second, async { (&mut task).into_future().await.map(drop) });
    let message = panic_of(wait);
    assert!(
        message.starts_with("this task belongs to another runtime of this thread"),
        "{message}"
    );
    block_on(&first, yield_now());
    assert_eq!(block_on(&second, task.into_future()).unwrap(), 5);
}
