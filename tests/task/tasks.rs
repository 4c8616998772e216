//! How tasks are started, in which order they run, what they know of themselves, and how a runtime
//! begins and ends.

use std::cell::RefCell;
use std::collections::HashSet;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use annulus::task::{JoinHandle, TaskId, current_task};
use annulus::time::sleep;
use annulus::{Runtime, metrics, spawn, spawn_named, yield_now};

use crate::common::child;
use crate::common::conditions::{Log, poll_once};
use crate::common::drops::{Drops, OnDrop};
use crate::common::panics::panic_of;
use crate::common::watchdog::{block_on, run};
use crate::this_test;

fn own_id() -> TaskId {
    current_task().expect("inside a task").id()
}

// Order

#[test]
fn tasks_start_in_the_order_in_which_they_were_spawned() {
    let log = Log::default();
    run(async {
        for number in 0..1000 {
            let log = log.clone();
            spawn(async move { log.push(number) });
        }
        yield_now().await;
    });
    assert!(log.take().into_iter().eq(0..1000));
}

#[test]
fn a_parent_goes_on_before_its_child_starts() {
    let log = Log::default();
    run(async {
        let its = log.clone();
        let child = spawn(async move { its.push("child") });
        log.push("parent goes on");
        child.await.unwrap();
        log.push("parent joins");
    });
    assert_eq!(log.take(), ["parent goes on", "child", "parent joins"]);
}

#[test]
fn a_child_starts_after_the_tasks_that_were_ready_and_before_its_parent_again() {
    let log = Log::default();
    run(async {
        let (first, second) = (log.clone(), log.clone());
        let parent = spawn(async move {
            first.push("parent");
            let its = first.clone();
            spawn(async move { its.push("child") });
            yield_now().await;
            first.push("parent again");
        });
        spawn(async move { second.push("sibling") });
        parent.await.unwrap();
    });
    assert_eq!(log.take(), ["parent", "sibling", "child", "parent again"]);
}

#[test]
fn yielding_polls_every_ready_task_once() {
    let log = Log::default();
    run(async {
        let tasks = ["a", "b", "c"].map(|name| {
            let log = log.clone();
            spawn(async move {
                for round in 0..3 {
                    log.push(format!("{name}{round}"));
                    yield_now().await;
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(log.take().join(" "), "a0 b0 c0 a1 b1 c1 a2 b2 c2");
}

// A task that wakes itself in the very poll that ends it is in the ready queue although it has
// ended, and is taken from there once more. Its entry in the runtime's list may have a new tenant
// by then, which must not be thrown out in its stead: the runtime would neither hold nor end it.
#[test]
fn a_task_that_is_woken_by_its_last_poll_costs_no_other_its_place() {
    let drops = Drops::default();
    run(async {
        spawn(poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Ready(())
        }));
        let guard = drops.guard();
        spawn(async {
            spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
        });
        for _ in 0..3 {
            yield_now().await;
        }
        assert_eq!(drops.count(), 0);
    });
    assert_eq!(drops.count(), 1, "the tenant of the entry was lost");
}

// What a task knows

#[test]
fn a_task_knows_its_number_its_name_and_its_parent() {
    run(async {
        let main = current_task().unwrap();
        assert_eq!((main.name(), main.parent()), (Some("main"), None));
        let child = spawn_named("child", async {
            let grandchild = spawn(async { current_task().unwrap() });
            (current_task().unwrap(), grandchild.await.unwrap())
        });
        let (id, name) = (child.id(), child.name().map(String::from));
        let (child, grandchild) = child.await.unwrap();
        assert_eq!((child.id(), child.name()), (id, name.as_deref()));
        assert_eq!((child.name(), child.parent()), (Some("child"), Some(main.id())));
        assert_eq!((grandchild.name(), grandchild.parent()), (None, Some(child.id())));
        assert_eq!(own_id(), main.id(), "the current task is the one that runs");
    });
}

#[test]
fn a_task_spawned_from_outside_has_no_parent() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn(async { current_task().unwrap().parent() });
    assert_eq!(block_on(&runtime, task.into_future()).unwrap(), None);
}

#[test]
fn no_two_tasks_of_a_runtime_have_the_same_number() {
    let numbers = run(async {
        let mut numbers = HashSet::from([own_id()]);
        for _ in 0..1000 {
            numbers.insert(spawn(async { own_id() }).await.unwrap());
        }
        numbers
    });
    assert_eq!(numbers.len(), 1001);
}

#[test]
fn no_two_tasks_of_a_process_have_the_same_number() {
    let here = [run(async { own_id() }), run(async { own_id() })];
    let elsewhere = thread::spawn(|| run(async { own_id() })).join().unwrap();
    assert_ne!(here[0], here[1], "two runtimes of one thread, one after the other");
    assert!(!here.contains(&elsewhere), "two runtimes of two threads");
}

#[test]
fn there_is_no_current_task_outside() {
    assert!(current_task().is_none());
    run(async {});
    assert!(current_task().is_none());
}

#[test]
fn a_destructor_runs_inside_its_own_task() {
    let log = Log::default();
    let noting = || {
        let log = log.clone();
        OnDrop(move || log.push(current_task().map(|task| task.id())))
    };
    let expected = run(async {
        let (ended, cancelled, left) = (noting(), noting(), noting());
        let ended = spawn(async move { drop(ended) });
        let cancelled = spawn(async move {
            let _cancelled = cancelled;
            pending::<()>().await;
        });
        let left = spawn(async move {
            let _left = left;
            pending::<()>().await;
        });
        let expected = [ended.id(), cancelled.id(), left.id()].map(Some);
        ended.await.unwrap();
        cancelled.cancel();
        cancelled.await.unwrap_err();
        expected
    });
    assert_eq!(log.take(), expected);
}

// One loop a thread

const NESTED: &str = "this thread is running a runtime already";

#[test]
fn running_a_loop_inside_a_loop_panics_and_the_outer_one_goes_on() {
    run(async {
        let nested = || panic_of(|| annulus::run(async {}));
        assert!(nested().starts_with(NESTED), "in the main future");
        let in_a_task = spawn(async move { nested() }).await.unwrap();
        assert!(in_a_task.starts_with(NESTED), "in a task");
        sleep(Duration::from_millis(1)).await;
    });
}

#[test]
fn blocking_on_the_same_or_another_runtime_inside_a_loop_panics() {
    let (same, other) = (Rc::new(Runtime::new().unwrap()), Runtime::new().unwrap());
    let its = Rc::clone(&same);
    block_on(&same, async move {
        assert!(panic_of(|| its.block_on(async {})).starts_with(NESTED));
        assert!(panic_of(|| other.block_on(async {})).starts_with(NESTED));
        assert_eq!(spawn(async { 5 }).await.unwrap(), 5);
    });
    assert_eq!(block_on(&same, async { 6 }), 6, "the loop has ended, so another may begin");
}

#[test]
fn spawning_outside_of_a_runtime_panics_and_says_what_to_do() {
    for message in [
        panic_of(|| spawn(async {})),
        panic_of(|| spawn_named("task", async {})),
        panic_of(metrics),
    ] {
        let expected = "there is no runtime on this thread: call this inside annulus::run";
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn tasks_go_on_in_the_next_call_of_block_on() {
    let runtime = Runtime::new().unwrap();
    let log = Log::default();
    let its = log.clone();
    let task = runtime.spawn(async move {
        for round in 0..3 {
            its.push(round);
            sleep(Duration::from_millis(1)).await;
        }
        "done"
    });
    assert!(log.take().is_empty(), "nothing runs outside of block_on");
    block_on(&runtime, yield_now());
    assert_eq!(log.take(), [0]);
    block_on(&runtime, async {});
    assert_eq!(log.take(), [], "a future that is ready lets no other task run");
    assert_eq!(block_on(&runtime, task.into_future()).unwrap(), "done");
    assert_eq!(log.take(), [1, 2]);
}

#[test]
fn block_on_takes_a_future_that_borrows() {
    let runtime = Runtime::new().unwrap();
    let mut words = vec![String::from("borrowed")];
    let length = block_on(&runtime, async {
        yield_now().await;
        words.push(String::from("mutably"));
        words[0].len()
    });
    assert_eq!((length, words.len()), (8, 2));
}

// The first runtime's task blocks its whole thread until a task of the second has run to its end.
#[test]
fn the_runtimes_of_two_threads_run_independently() {
    let (sender, receiver) = mpsc::channel();
    let first = thread::spawn(move || {
        run(async move { spawn(async move { receiver.recv().unwrap() }).await.unwrap() })
    });
    let second = thread::spawn(move || {
        run(async move {
            sleep(Duration::from_millis(1)).await;
            spawn(async move { sender.send(own_id()).unwrap() }).await.unwrap();
            own_id()
        })
    });
    assert_ne!(first.join().unwrap(), second.join().unwrap());
}

// The end

#[test]
fn what_is_left_at_the_end_is_cancelled() {
    let drops = Drops::default();
    let left: Vec<JoinHandle<()>> = run(async {
        let tasks = (0..100).map(|number| {
            let guard = drops.guard();
            spawn(async move {
                let _guard = guard;
                match number % 3 {
                    0 => pending().await,
                    1 => sleep(Duration::from_secs(3600)).await,
                    _ => {}
                }
                loop {
                    yield_now().await;
                }
            })
        });
        let tasks = tasks.collect();
        yield_now().await;
        // These are never polled.
        let guards = (0..100).map(|_| drops.guard());
        guards.for_each(|guard| drop(spawn(async move { drop(guard) })));
        assert_eq!(drops.count(), 0);
        tasks
    });
    assert_eq!(drops.count(), 200);
    assert!(left.iter().all(JoinHandle::is_finished));
    let mut left = left;
    let mut ends = left.iter_mut().map(|task| poll_once(&mut task.into_future()));
    assert!(ends.all(|end| matches!(end, Poll::Ready(Err(error)) if error.is_cancelled())));
}

#[test]
fn a_task_spawned_by_a_destructor_at_the_end_is_over_at_once() {
    let drops = Drops::default();
    let spawned = Rc::new(RefCell::new(None));
    run(async {
        let (guard, spawned) = (drops.guard(), Rc::clone(&spawned));
        let mut guard = Some(guard);
        let at_the_end = OnDrop(move || {
            let (guard, own_id) = (guard.take(), own_id());
            let task = spawn(async move { drop(guard) });
            assert!(task.is_finished());
            assert_eq!(current_task().map(|task| task.id()), Some(own_id));
            assert!(metrics().queued < u64::MAX, "the runtime is still this thread's");
            *spawned.borrow_mut() = Some(task);
        });
        spawn(async move {
            let _at_the_end = at_the_end;
            pending::<()>().await;
        });
        yield_now().await;
    });
    assert_eq!(drops.count(), 1);
    let mut task = spawned.take().expect("the destructor has run");
    let end = poll_once(&mut (&mut task).into_future());
    assert!(matches!(end, Poll::Ready(Err(error)) if error.is_cancelled()));
}

#[test]
fn a_runtime_that_never_ran_drops_its_tasks_unpolled() {
    let drops = Drops::default();
    let (runtime, guard) = (Runtime::new().unwrap(), drops.guard());
    let task = runtime.spawn(async move { drop(guard) });
    drop(runtime);
    assert_eq!(drops.count(), 1);
    let end = poll_once(&mut task.into_future());
    assert!(matches!(end, Poll::Ready(Err(error)) if error.is_cancelled()));
}

#[test]
fn a_runtime_may_be_dropped_inside_the_loop_of_another() {
    let drops = Drops::default();
    run(async {
        let (inner, guard, outer_id) = (Runtime::new().unwrap(), drops.guard(), own_id());
        let left = inner.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        drop(inner);
        assert!(left.is_finished() && drops.count() == 1);
        assert_eq!(own_id(), outer_id);
        let parent = spawn(async { current_task().unwrap().parent() });
        assert_eq!(parent.await.unwrap(), Some(outer_id), "of the outer runtime again");
    });
}

// Thread-locals are dropped last to first, so a runtime that was made before it first ran outlives
// the thread-locals that the loop itself uses.
#[test]
fn a_runtime_in_a_thread_local_is_torn_down_when_its_thread_ends() {
    thread_local! {
        static RUNTIME: Runtime = Runtime::new().unwrap();
    }
    if child::role().is_none() {
        // A panic in the destructor of a thread-local aborts the process.
        let output = child::command(this_test!(), "end a thread").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let drops = Drops::default();
    let guard = drops.guard();
    let ended = thread::spawn(|| {
        RUNTIME.with(|runtime| {
            runtime.spawn(async move {
                let _guard = guard;
                sleep(Duration::from_secs(3600)).await;
            });
            block_on(runtime, yield_now());
        });
    });
    ended.join().unwrap();
    assert_eq!(drops.count(), 1);
}
