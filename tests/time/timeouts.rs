//! `wait_for` and `timeout_scope`: time limits, none, moved ones and nested ones.

use std::cell::Cell;
use std::future::pending;
use std::mem;
use std::time::{Duration, Instant};

use annulus::join::task_group;
use annulus::time::{Elapsed, TimeoutScope, sleep, timeout, timeout_scope, wait_for};
use annulus::{spawn, yield_now};

use crate::common::conditions::poll_once;
use crate::common::drops::{Drops, Guard};
use crate::common::watchdog::run;

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(5);

fn after(duration: Duration) -> Instant {
    Instant::now() + duration
}

async fn endless(guard: Guard) {
    let _guard = guard;
    pending::<()>().await;
}

// Waiting for something

#[test]
fn wait_for_without_a_limit_waits_for_the_end() {
    run(async {
        assert_eq!(wait_for(async { 5 }, None).await, Ok(5));
        let slow = async {
            sleep(SHORT).await;
            6
        };
        assert_eq!(wait_for(slow, None).await, Ok(6));
    });
}

#[test]
fn a_future_that_is_ready_at_once_needs_no_time() {
    run(async { assert_eq!(wait_for(async { 5 }, Duration::ZERO).await, Ok(5)) });
}

#[test]
fn at_its_deadline_a_future_is_dropped_at_once_and_a_task_by_value_cancelled() {
    let drops = Drops::default();
    run(async {
        let start = Instant::now();
        assert_eq!(wait_for(endless(drops.guard()), SHORT).await, Err(Elapsed));
        assert!(start.elapsed() >= SHORT);
        assert_eq!(drops.count(), 1);
        wait_for(spawn(endless(drops.guard())), SHORT).await.unwrap_err();
        drop(wait_for(spawn(endless(drops.guard())), None));
        yield_now().await;
        assert_eq!(drops.count(), 3);
        let mut borrowed = spawn(endless(drops.guard()));
        wait_for(&mut borrowed, Duration::ZERO).await.unwrap_err();
        yield_now().await;
        assert_eq!(drops.count(), 3);
    });
}

// Scopes

#[test]
fn a_body_in_time_gives_its_output_with_or_without_a_deadline() {
    run(async {
        let body = async |scope: &TimeoutScope| {
            sleep(SHORT).await;
            scope.deadline()
        };
        let deadline = after(LONG);
        assert_eq!(timeout_scope(deadline, body).await, Ok(Some(deadline)));
        assert_eq!(timeout_scope(None, body).await, Ok(None));
    });
}

#[test]
fn at_its_deadline_a_scopes_body_is_dropped() {
    let drops = Drops::default();
    run(async {
        let start = Instant::now();
        let outcome = timeout_scope(start + SHORT, async |_| {
            endless(drops.guard()).await;
        });
        assert_eq!(outcome.await, Err(Elapsed));
        assert!(start.elapsed() >= SHORT && drops.count() == 1);
    });
}

#[test]
fn a_deadline_that_has_passed_ends_a_body_that_waits_and_no_other() {
    run(async {
        let past = Instant::now().checked_sub(SHORT).unwrap();
        let waited = timeout_scope(past, async |_| sleep(LONG).await);
        assert_eq!(waited.await, Err(Elapsed));
        assert_eq!(timeout_scope(past, async |_| 5).await, Ok(5));
    });
}

#[test]
fn an_error_of_the_body_is_its_output() {
    run(async {
        let outcome = timeout_scope(after(LONG), async |_| Err::<(), _>("of the body"));
        assert_eq!(outcome.await, Ok(Err("of the body")));
    });
}

#[test]
fn the_deadline_can_be_moved_away_taken_away_and_set() {
    run(async {
        let later = timeout_scope(after(SHORT), async |scope| {
            scope.reschedule(after(LONG));
            sleep(2 * SHORT).await;
            scope.reschedule(None);
            assert_eq!(scope.deadline(), None);
            sleep(2 * SHORT).await;
            "in time"
        });
        assert_eq!(later.await, Ok("in time"));
        let set = timeout_scope(None, async |scope| {
            sleep(SHORT).await;
            scope.reschedule(after(SHORT));
            sleep(LONG).await;
        });
        assert_eq!(set.await, Err(Elapsed));
    });
}

#[test]
fn the_deadline_can_be_moved_closer_and_into_the_past() {
    run(async {
        let moves: [fn() -> Instant; 2] = [|| after(SHORT), Instant::now];
        for moved in moves {
            let outcome = timeout_scope(after(LONG), async |scope| {
                yield_now().await;
                scope.reschedule(moved());
                sleep(LONG).await;
            });
            assert_eq!(outcome.await, Err(Elapsed));
        }
    });
}

#[test]
fn the_first_of_nested_scopes_to_elapse_ends_only_its_body() {
    let drops = Drops::default();
    run(async {
        let inner_first = timeout_scope(after(LONG), async |_| {
            let inner = timeout_scope(after(SHORT), async |_| endless(drops.guard()).await);
            assert_eq!(inner.await, Err(Elapsed));
            "goes on"
        });
        assert_eq!(inner_first.await, Ok("goes on"));
        let outer_first = timeout_scope(after(SHORT), async |_| {
            timeout_scope(after(LONG), async |_| endless(drops.guard()).await).await
        });
        assert_eq!(outer_first.await, Err(Elapsed));
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn nested_scopes_with_the_same_deadline_end_both() {
    let drops = Drops::default();
    run(async {
        let deadline = after(SHORT);
        let outcome = timeout_scope(deadline, async |_| {
            let inner = timeout_scope(deadline, async |_| endless(drops.guard()).await).await;
            sleep(LONG).await;
            inner
        });
        assert_eq!((outcome.await, drops.count()), (Err(Elapsed), 1));
    });
}

#[test]
fn a_scope_that_is_cancelled_by_others_is_not_up() {
    run(async {
        let outcome = timeout(SHORT, timeout_scope(after(LONG), async |_| pending::<()>().await));
        assert_eq!(outcome.await, Err(Elapsed), "of the timeout around it");
        let task = spawn(timeout_scope(after(LONG), async |_| pending::<()>().await));
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_group_in_a_scope_is_dropped_with_its_children() {
    let drops = Drops::default();
    run(async {
        let outcome = timeout_scope(after(SHORT), async |_| {
            task_group(async |group| {
                let guard = drops.guard();
                group.spawn(async move {
                    endless(guard).await;
                    Ok::<_, ()>(())
                });
                Ok(())
            })
            .await
        });
        assert_eq!((outcome.await, drops.count()), (Err(Elapsed), 1));
    });
}

#[test]
fn a_scope_leaves_no_timer_behind_dropped_or_at_its_end() {
    run(async {
        let timers = || annulus::metrics().timers;
        let before = timers();
        let mut scope = Box::pin(timeout_scope(after(LONG), async |scope| {
            for _ in 0..3 {
                scope.reschedule(after(LONG));
                yield_now().await;
            }
            pending::<()>().await;
        }));
        for _ in 0..5 {
            assert!(poll_once(&mut scope).is_pending());
            assert_eq!(timers(), before + 1);
        }
        drop(scope);
        assert_eq!(timers(), before);
    });
}

#[test]
fn a_scope_that_is_forgotten_does_no_harm() {
    run(async {
        let seen = Cell::new(0);
        let mut scope = Box::pin(timeout_scope(after(SHORT), async |_| {
            seen.set(1);
            pending::<()>().await;
        }));
        assert!(poll_once(&mut scope).is_pending());
        mem::forget(scope);
        sleep(2 * SHORT).await;
        assert_eq!(seen.get(), 1);
    });
}

#[test]
fn a_timeout_scope_does_nothing_before_its_first_poll() {
    let begun = Cell::new(false);
    drop(timeout_scope(None, async |_| begun.set(true)));
    assert!(!begun.get());
}
