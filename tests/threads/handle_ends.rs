//! The end of a runtime that other threads call: by a stop of its main task, and by its drop.

use std::cell::Cell;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use annulus::sync::remote::{self, oneshot};
use annulus::time::sleep;
use annulus::{Handle, Runtime, Shards, spawn, yield_now};

use crate::common::bounded::bounded;
use crate::common::drops::{Drops, OnDrop};
use crate::common::manual_executor::waiting;
use crate::common::panics::panic_of;
use crate::common::patience::limit;
use crate::common::watchdog::block_on;

#[test]
fn what_is_queued_when_the_runtime_ends_is_dropped_and_its_joiner_learns_of_the_end() {
    let runtime = Runtime::new().unwrap();
    let (handle, drops) = (runtime.handle(), Drops::default());
    let (guard, other) = (drops.guard(), drops.guard());
    let queued = handle.call(move || drop(guard)).unwrap();
    let mut joining = waiting(handle.spawn(move || async move { drop(other) }).unwrap());
    assert!(!queued.is_finished() && !handle.is_ended());
    drop(runtime);
    assert_eq!(drops.count(), 2);
    assert!(queued.join_blocking().unwrap_err().is_ended());
    assert!(joining.is_woken() && joining.now().unwrap_err().is_ended());

    // Afterwards the closure is returned.
    assert!(handle.is_ended());
    handle.stop();
    let guard = drops.guard();
    let refused = handle.call(move || drop(guard)).unwrap_err();
    assert!(refused.is_ended() && drops.count() == 2);
    refused.into_inner()();
    assert_eq!(drops.count(), 3);
}

#[test]
fn a_stop_cancels_the_main_task_and_try_block_on_says_so() {
    let (runtime, drops) = (Runtime::new().unwrap(), Drops::default());
    let (handle, guard) = (runtime.handle(), drops.guard());
    let stopping = thread::spawn(move || handle.stop());
    let stopped = bounded(|| {
        runtime.try_block_on(async {
            let _guard = guard;
            pending::<()>().await;
        })
    });
    assert!(stopped.unwrap_err().is_stopped());
    stopping.join().unwrap();
    assert_eq!(drops.count(), 1);
    assert_eq!(block_on(&runtime, async { 5 }), 5, "the next one is not stopped");
}

#[test]
fn a_stop_outside_of_block_on_is_one_of_the_next_and_twice_is_once() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    handle.stop();
    handle.stop();
    let is_polled = Cell::new(false);
    let stopped = bounded(|| runtime.try_block_on(async { is_polled.set(true) }));
    assert!(stopped.unwrap_err().is_stopped() && !is_polled.get());
    assert_eq!(bounded(|| runtime.try_block_on(async { 5 })), Ok(5));
    // One of a main task that completes by itself counts, too.
    assert_eq!(bounded(|| runtime.try_block_on(async { handle.stop() })), Ok(()));
    assert_eq!(bounded(|| runtime.try_block_on(async { 5 })), Ok(5));
    handle.stop();
    assert!(panic_of(|| block_on(&runtime, async {})).contains("use `try_block_on`"));
    assert_eq!(block_on(&runtime, async { 5 }), 5);
}

#[test]
fn a_join_that_could_never_end_panics_instead() {
    let (runtime, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let handle = runtime.handle();
    bounded(|| {
        let on_its_thread = panic_of(|| handle.call(|| ()).unwrap().join_blocking());
        assert!(on_its_thread.contains("thread of the task's runtime"), "{on_its_thread}");
        let joins = || handle.call(|| ()).unwrap().join_blocking().unwrap();
        let in_a_task = panic_of(|| other.block_on(async { joins() }));
        assert!(in_a_task.contains("called in a task"), "{in_a_task}");
        let in_another = panic_of(|| other.block_on(handle.call(|| ()).unwrap()).unwrap());
        assert!(in_another.contains("belongs to another runtime"), "{in_another}");
        // One that has ended is joined wherever.
        let ended = handle.call(|| 5).unwrap();
        runtime.block_on(async {});
        assert_eq!(ended.join_blocking().unwrap(), 5);
    });
}

/// What a closure of another shard calls would block the event loop: two shards could wait for each
/// other.
#[test]
fn a_blocking_wait_in_a_closure_that_another_shard_sent_panics() {
    let run = || {
        Shards::builder().count(2).pin(false).run(async |shard| {
            if shard.index() == 1 {
                return;
            }
            let handle = shard.handle(0).clone();
            let joins = move || panic_of(|| handle.call(|| 5).unwrap().join_blocking());
            let refused = shard.run_on(1, joins).await.unwrap();
            assert!(refused.contains("called inside of a runtime"), "{refused}");
        })
    };
    bounded(run).unwrap();
}

#[test]
fn a_blocking_wait_in_a_destructor_at_the_end_of_the_runtime_panics() {
    let runtime = Runtime::new().unwrap();
    let (sender, mut receiver) = remote::channel(1);
    sender.try_send(5).unwrap();
    let (says, said) = mpsc::channel();
    let waits = OnDrop(move || says.send(panic_of(|| receiver.recv_blocking())).unwrap());
    let task = runtime.spawn(async move {
        let _waits = waits;
        pending::<()>().await;
    });
    runtime.block_on(yield_now());
    bounded(|| drop((runtime, task)));
    let refused = said.recv().unwrap();
    assert!(refused.contains("it would block the event loop; use `recv`"), "{refused}");
}

#[test]
fn a_destructor_at_the_end_of_the_runtime_gets_its_closure_back() {
    let drops = Drops::default();
    let runtime = Runtime::new().unwrap();
    let (handle, its) = (runtime.handle(), drops.clone());
    drop(runtime.spawn(async move {
        let _at_the_end = OnDrop(move || {
            let guard = its.guard();
            let refused = Handle::current().call(move || drop(guard)).unwrap_err();
            assert!(refused.is_ended() && handle.is_ended());
            assert_eq!(its.count(), 0);
            refused.into_inner()();
        });
        pending::<()>().await;
    }));
    block_on(&runtime, yield_now());
    drop(runtime);
    assert_eq!(drops.count(), 1);
}

/// The end of a runtime first lets shielded work finish. Meanwhile its other tasks continue, and so
/// do the calls of other threads.
#[test]
fn calls_are_served_while_the_end_waits_for_shielded_work() {
    let runtime = Runtime::builder().shield_timeout(limit()).build().unwrap();
    let handle = runtime.handle();
    let calling = bounded(|| {
        let (sender, receiver) = oneshot::channel();
        block_on(&runtime, async {
            drop(spawn(annulus::join::shield(receiver)));
            yield_now().await;
        });
        let calling =
            thread::spawn(move || handle.call(move || sender.send(())).unwrap().join_blocking());
        drop(runtime);
        calling
    });
    calling.join().unwrap().unwrap().unwrap();
}

#[test]
fn calls_of_other_threads_meet_the_end_of_their_runtime_at_any_moment() {
    for round in 0..20 {
        let runtime = Runtime::new().unwrap();
        let counts = [(); 2].map(|()| {
            let handle = runtime.handle();
            thread::spawn(move || {
                let (begun, mut made) = (Arc::new(AtomicUsize::new(0)), 0);
                loop {
                    let its = Arc::clone(&begun);
                    match handle.call(move || its.fetch_add(1, Ordering::Relaxed)) {
                        Err(error) if error.is_ended() => break,
                        Err(_) => thread::yield_now(),
                        Ok(call) if made % 8 == 0 => match call.join_blocking() {
                            Ok(_) => made += 1,
                            Err(error) => assert!(error.is_ended()),
                        },
                        Ok(_) => made += 1,
                    }
                }
                (begun, made)
            })
        });
        block_on(&runtime, sleep(Duration::from_micros(100 * round)));
        drop(runtime);
        for (begun, made) in counts.map(|thread| thread.join().unwrap()) {
            assert_eq!(Arc::strong_count(&begun), 1, "each closure was called or dropped");
            assert!(begun.load(Ordering::Relaxed) <= made);
        }
    }
}
