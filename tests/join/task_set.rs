//! `TaskSet`: tasks that run by themselves, whose outcomes are taken as they come.

use std::future::pending;
use std::mem;
use std::time::Duration;

use annulus::join::TaskSet;
use annulus::sync::oneshot;
use annulus::task::JoinError;
use annulus::time::timeout;
use annulus::{Runtime, spawn, yield_now};
use futures_util::stream::FusedStream;
use futures_util::{FutureExt, StreamExt, select};

use crate::common::drops::{Drops, Guard};
use crate::common::incidents::Incidents;
use crate::common::panics::message;
use crate::common::watchdog::{block_on, run};

async fn after(turns: usize) -> usize {
    for _ in 0..turns {
        yield_now().await;
    }
    turns
}

async fn endless(guard: Guard) -> usize {
    let _guard = guard;
    pending().await
}

#[test]
fn outcomes_come_in_the_order_of_ending_and_say_which_task_it_was() {
    run(async {
        let mut tasks = TaskSet::new();
        let ids = [3, 1, 2].map(|turns| tasks.spawn(after(turns)));
        let mut order = Vec::new();
        while let Some((id, outcome)) = tasks.join_next_with_id().await {
            order.push((id, outcome.unwrap()));
        }
        assert_eq!(order, [(ids[1], 1), (ids[2], 2), (ids[0], 3)]);
        assert!(tasks.is_empty() && tasks.join_next().await.is_none());
    });
}

#[test]
fn tasks_of_a_set_run_without_being_awaited_and_outcomes_stay_until_taken() {
    let drops = Drops::default();
    run(async {
        let mut tasks = TaskSet::new();
        for _ in 0..3 {
            let guard = drops.guard();
            tasks.spawn(async move { drop(guard) });
        }
        after(1).await;
        assert_eq!((drops.count(), tasks.len()), (3, 3));
        tasks.join_next().await.unwrap().unwrap();
        assert_eq!(tasks.len(), 2);
    });
}

#[test]
fn tasks_may_be_added_while_others_are_awaited_and_after_the_end() {
    run(async {
        let mut tasks = TaskSet::new();
        tasks.spawn(after(4));
        let mut sum = 0;
        while let Some(outcome) = tasks.join_next().await {
            let turns = outcome.unwrap();
            sum += turns;
            if turns > 0 {
                tasks.spawn(after(turns - 1));
            }
        }
        assert_eq!(sum, 10);
        tasks.insert(spawn(after(7)));
        assert_eq!(tasks.next().await.unwrap().unwrap(), 7);
        assert!(tasks.next().await.is_none());
    });
}

#[test]
fn an_await_of_the_next_that_is_dropped_loses_nothing() {
    run(async {
        let (sender, receiver) = oneshot::channel();
        let mut tasks = TaskSet::new();
        tasks.spawn(receiver);
        for _ in 0..3 {
            let wait = timeout(Duration::from_micros(200), tasks.join_next());
            wait.await.map(drop).unwrap_err();
        }
        sender.send(5).unwrap();
        assert_eq!(tasks.join_next().await.unwrap().unwrap(), Ok(5));
    });
}

#[test]
fn cancelled_tasks_are_taken_as_cancelled_and_those_that_had_ended_with_their_output() {
    let drops = Drops::default();
    run(async {
        let mut tasks = TaskSet::new();
        tasks.spawn(after(0));
        tasks.spawn(endless(drops.guard()));
        tasks.spawn(endless(drops.guard()));
        after(1).await;
        tasks.cancel_all();
        let outcomes: Vec<_> = tasks.by_ref().collect().await;
        assert!(matches!(
            outcomes[..],
            [Ok(0), Err(JoinError::Cancelled), Err(JoinError::Cancelled)]
        ));
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_dropped_set_cancels_its_tasks() {
    let drops = Drops::default();
    run(async {
        let mut tasks = TaskSet::new();
        tasks.spawn(endless(drops.guard()));
        tasks.spawn(endless(drops.guard()));
        timeout(Duration::from_millis(1), tasks.join_next()).await.unwrap_err();
        tasks.spawn(endless(drops.guard()));
        drop(tasks);
        after(1).await;
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn a_forgotten_set_leaves_its_tasks_alone() {
    let drops = Drops::default();
    run(async {
        let mut tasks = TaskSet::new();
        tasks.spawn(endless(drops.guard()));
        mem::forget(tasks);
        after(2).await;
        assert_eq!(drops.count(), 0);
    });
    assert_eq!(drops.count(), 1, "the runtime's end ends them");
}

#[test]
fn a_panic_is_the_outcome_of_its_task_and_is_reported_if_it_is_not_taken() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let mut tasks = TaskSet::<()>::new();
        tasks.spawn(async { panic!("taken") });
        tasks.spawn(async { panic!("left") });
        let outcome = tasks.join_next().await.unwrap();
        assert!(matches!(outcome, Err(JoinError::Panicked(panic)) if message(&*panic) == "taken"));
        after(1).await;
        assert_eq!(incidents.count(), 0);
        drop(tasks);
        assert_eq!(incidents.take_messages(), ["task: left"]);
    });
}

#[test]
fn a_set_that_outlives_its_runtime_gives_its_tasks_as_cancelled() {
    let (first, drops) = (Runtime::new().unwrap(), Drops::default());
    let mut tasks = block_on(&first, async {
        let mut tasks = TaskSet::new();
        tasks.spawn(endless(drops.guard()));
        timeout(Duration::from_millis(1), tasks.join_next()).await.unwrap_err();
        tasks
    });
    drop(first);
    assert_eq!(drops.count(), 1);
    run(async { assert!(tasks.join_next().await.unwrap().unwrap_err().is_cancelled()) });
}

#[test]
fn names_show_in_the_tasks() {
    run(async {
        let mut tasks = TaskSet::new();
        tasks.spawn_named("a name", async {
            annulus::task::current_task().unwrap().name().map(String::from)
        });
        assert_eq!(tasks.join_next().await.unwrap().unwrap().as_deref(), Some("a name"));
    });
}

#[test]
fn a_set_is_terminated_while_it_is_empty_and_only_then() {
    run(async {
        let mut tasks = TaskSet::new();
        assert!(tasks.is_terminated(), "nothing was added");
        for number in 0..2 {
            tasks.spawn(async move { number });
            assert!(!tasks.is_terminated(), "a task runs");
            yield_now().await;
            assert!(!tasks.is_terminated(), "its outcome is there");
            assert_eq!(tasks.select_next_some().await.unwrap(), number);
            assert!(tasks.is_terminated(), "its outcome was taken");
        }
    });
}

#[test]
fn select_next_some_of_an_empty_set_leaves_it_to_the_other_branch() {
    run(async {
        let (sender, receiver) = oneshot::channel();
        spawn(async move {
            yield_now().await;
            sender.send("the other").unwrap();
        });
        let mut tasks = TaskSet::new();
        let first = select! {
            other = receiver.fuse() => other.unwrap(),
            of_the_set = tasks.select_next_some() => of_the_set.unwrap(),
        };
        assert_eq!(first, "the other");
        tasks.spawn(async { "the set" });
        let first = select! {
            never = pending::<&str>().fuse() => never,
            of_the_set = tasks.select_next_some() => of_the_set.unwrap(),
        };
        assert_eq!(first, "the set");
    });
}
