//! `Handle`: tasks and closures that other threads send to a runtime, and their outcomes.

use std::cell::Cell;
use std::future::pending;
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use annulus::sync::remote::oneshot;
use annulus::task::{JoinError, current_task};
use annulus::time::sleep;
use annulus::{Handle, Incident, Runtime, SpawnError, spawn, yield_now};

use crate::common::bounded::bounded;
use crate::common::drops::{Drops, OnDrop};
use crate::common::incidents::Incidents;
use crate::common::panics::panic_of;
use crate::common::watchdog::{block_on, run};

fn is_send_and_sync<T: Send + Sync>() {}
fn is_send<T: Send>(_: &T) {}

/// Runs `body` on another thread beside the runtime's loop, until it returns.
fn beside<T: Send + 'static>(
    runtime: &Runtime,
    body: impl FnOnce(Handle) -> T + Send + 'static,
) -> T {
    let (ended, has_ended) = oneshot::channel();
    let handle = runtime.handle();
    let thread = thread::spawn(move || drop(ended.send(body(handle))));
    let value = block_on(runtime, has_ended);
    thread.join().unwrap();
    value.expect("the thread has not panicked")
}

#[test]
fn a_task_from_another_thread_runs_on_the_thread_of_the_runtime_and_need_not_be_send() {
    is_send_and_sync::<Handle>();
    let runtime = Runtime::new().unwrap();
    let own = thread::current().id();
    let output = beside(&runtime, move |handle| {
        let task = handle.spawn(move || {
            assert_eq!(thread::current().id(), own);
            let local = Rc::new(Cell::new(0));
            async move {
                for _ in 0..3 {
                    yield_now().await;
                    local.set(local.get() + 1);
                }
                sleep(Duration::from_millis(1)).await;
                local.get()
            }
        });
        let task = task.unwrap();
        is_send(&task);
        task.join_blocking().unwrap()
    });
    assert_eq!(output, 3);
    assert_eq!(runtime.metrics().remote_calls, 1);
}

#[test]
fn a_closure_from_another_thread_is_called_in_a_task_of_its_own() {
    let runtime = Runtime::new().unwrap();
    let output = beside(&runtime, |handle| {
        let call = handle.call(|| {
            let spawned = spawn(async { 5 });
            (current_task().expect("it is in a task").parent(), drop(spawned)).0
        });
        call.unwrap().join_blocking().unwrap()
    });
    assert_eq!(output, None);
}

#[test]
fn calls_begin_in_the_order_in_which_they_were_made() {
    let runtime = Runtime::new().unwrap();
    let (sender, receiver) = mpsc::channel();
    beside(&runtime, move |handle| {
        let calls = (0..1000).map(|number| {
            let sender = sender.clone();
            match number % 2 {
                0 => handle.call(move || sender.send(number).unwrap()).unwrap(),
                _ => handle.spawn(move || async move { sender.send(number).unwrap() }).unwrap(),
            }
        });
        for call in calls.collect::<Vec<_>>() {
            call.join_blocking().unwrap();
        }
    });
    assert!(receiver.iter().eq(0..1000));
}

#[test]
fn a_call_ends_the_sleep_of_a_runtime_and_many_race_with_its_going_to_sleep() {
    const CALLS: usize = 2000;
    let runtime = Runtime::new().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let its = Arc::clone(&count);
    beside(&runtime, move |handle| {
        for _ in 0..CALLS {
            let its = Arc::clone(&its);
            // The loop goes to sleep after each.
            let call = handle.call(move || its.fetch_add(1, Ordering::Relaxed)).unwrap();
            call.join_blocking().unwrap();
        }
    });
    assert_eq!(count.load(Ordering::Relaxed), CALLS);
}

#[test]
fn an_await_in_another_runtime_returns_the_output() {
    let runtime = Runtime::new().unwrap();
    let output = beside(&runtime, |handle| {
        run(async move {
            let task = handle.spawn(|| async {
                sleep(Duration::from_millis(1)).await;
                String::from("from afar")
            });
            task.unwrap().await.unwrap()
        })
    });
    assert_eq!(output, "from afar");
}

#[test]
fn a_panic_of_the_closure_or_the_future_reaches_the_joiner() {
    let runtime = Runtime::new().unwrap();
    beside(&runtime, |handle| {
        let closure = handle.call(|| panic!("of the closure")).unwrap();
        let making = handle.spawn(|| -> std::future::Ready<()> { panic!("while made") }).unwrap();
        let future = handle.spawn(|| async {
            yield_now().await;
            panic!("of the future")
        });
        for (task, text) in [
            (closure, "of the closure"),
            (making, "while made"),
            (future.unwrap(), "of the future"),
        ] {
            let error: JoinError = task.join_blocking().unwrap_err();
            assert_eq!(error.to_string(), format!("task panicked: {text}"));
        }
    });
}

#[test]
fn a_full_queue_returns_the_closure() {
    let runtime = Runtime::builder().max_remote_calls(2).build().unwrap();
    let handle = runtime.handle();
    let tasks = [(); 2].map(|()| handle.spawn(|| async { 1 }).unwrap());
    let refused = handle.call(|| 2).unwrap_err();
    assert!(matches!(refused, SpawnError::Full(_)) && refused.to_string().contains("max_remote"));
    assert_eq!(refused.into_inner()(), 2);
    assert_eq!(
        std::io::Error::from(handle.call(|| 2).unwrap_err()).kind(),
        std::io::ErrorKind::WouldBlock
    );
    block_on(&runtime, async {
        for task in tasks {
            assert_eq!(task.await.unwrap(), 1);
        }
        assert_eq!(handle.call(|| 3).unwrap().await.unwrap(), 3, "there is room again");
    });
}

#[test]
fn a_cancelled_task_is_dropped_on_its_own_thread() {
    let runtime = Runtime::new().unwrap();
    let (own, drops) = (thread::current().id(), Drops::default());
    let guard = drops.guard();
    beside(&runtime, move |handle| {
        let (started, has_started) = mpsc::channel();
        let task = handle.spawn(move || async move {
            let _guard = OnDrop(move || {
                assert_eq!(thread::current().id(), own);
                let _counted = &guard;
            });
            started.send(()).unwrap();
            pending::<()>().await;
        });
        let task = task.unwrap();
        has_started.recv().unwrap();
        assert!(task.cancel());
        assert!(task.join_blocking().unwrap_err().is_cancelled());
    });
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_closure_that_is_cancelled_before_it_begins_is_dropped_on_the_runtimes_thread_and_never_run() {
    let runtime = Runtime::new().unwrap();
    let (own, drops) = (thread::current().id(), Drops::default());
    let guard = drops.guard();
    let handle = runtime.handle();
    let task = thread::spawn(move || {
        let guard = OnDrop(move || {
            assert_eq!(thread::current().id(), own);
            let _counted = &guard;
        });
        let task = handle.call(move || {
            let _guard = guard;
            unreachable!("it was cancelled before")
        });
        let task = task.unwrap();
        assert!(task.cancel());
        task
    });
    let task = task.join().unwrap();
    assert_eq!(drops.count(), 0);
    let error = block_on(&runtime, task).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_runtime_may_be_called_and_stopped_from_inside() {
    assert!(Handle::try_current().is_none());
    assert!(panic_of(Handle::current).contains("no runtime on this thread"));
    let runtime = Runtime::new().unwrap();
    let stopped = bounded(|| {
        runtime.try_block_on(async {
            let handle = Handle::current();
            let own = current_task().unwrap().id();
            let parent = handle.spawn(async || current_task().unwrap().parent()).unwrap();
            assert_eq!(parent.await.unwrap(), Some(own));
            let cancelled = handle.spawn(pending::<()>).unwrap();
            assert!(cancelled.cancel());
            assert!(cancelled.await.unwrap_err().is_cancelled());
            Handle::try_current().unwrap().stop();
            pending::<()>().await;
        })
    });
    let stopped = stopped.unwrap_err();
    assert!(stopped.is_stopped() && !stopped.is_ctrl_c());
    assert_eq!(std::io::Error::from(stopped).kind(), std::io::ErrorKind::Interrupted);
}

#[test]
fn a_future_too_large_for_the_stack_of_a_thread_is_called_from_afar() {
    let runtime = Runtime::new().unwrap();
    let output = beside(&runtime, |handle| {
        let task = handle.spawn(|| async {
            let large = [1u8; 64 * 1024];
            yield_now().await;
            large.iter().map(|&byte| usize::from(byte)).sum::<usize>()
        });
        task.unwrap().join_blocking().unwrap()
    });
    assert_eq!(output, 64 * 1024);
}

#[test]
fn a_detached_task_continues_and_its_panic_becomes_an_incident() {
    let incidents = Incidents::default();
    let runtime = incidents.runtime();
    let here = beside(&runtime, |handle| {
        drop(handle.spawn_named("afar", || async { panic!("unseen") }).unwrap());
        let here = Location::caller().line() - 1;
        // The calls are in order, so this one ends after the panic.
        handle.call(|| ()).unwrap().join_blocking().unwrap();
        here
    });
    let [Incident::TaskPanicked { task, spawned_at, message }] = &incidents.take()[..] else {
        panic!("one incident, of the panic")
    };
    assert_eq!((task.as_deref(), &**message), (Some("afar"), "unseen"));
    assert_eq!((spawned_at.file(), spawned_at.line()), (file!(), here));
}

/// A hundred thousand calls are queued at once. The loop takes them in by and by: a timer and
/// another task are not delayed until all are done, and all are done in the end.
#[test]
fn a_flood_of_calls_starves_neither_timers_nor_tasks() {
    const CALLS: usize = 100_000;
    let runtime = Runtime::builder().max_remote_calls(CALLS).build().unwrap();
    let (handle, done) = (runtime.handle(), Rc::new(Cell::new(0)));
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..CALLS {
        let count = Arc::clone(&count);
        drop(handle.call(move || count.fetch_add(1, Ordering::Relaxed)).unwrap());
    }
    let its = Rc::clone(&done);
    let counted = Arc::clone(&count);
    drop(runtime.spawn(async move {
        loop {
            let before = counted.load(Ordering::Relaxed);
            yield_now().await;
            let begun = counted.load(Ordering::Relaxed) - before;
            assert!(begun <= 300, "{begun} calls in one turn");
            its.set(its.get() + 1);
        }
    }));
    block_on(&runtime, async {
        sleep(Duration::from_micros(1)).await;
        let begun = count.load(Ordering::Relaxed);
        assert!(begun < CALLS / 2, "a timer came after {begun} calls");
        handle.call(|| ()).unwrap().await.unwrap();
    });
    assert_eq!(count.load(Ordering::Relaxed), CALLS);
    assert!(done.get() > CALLS / 300, "the other task was polled {} times", done.get());
}

#[test]
fn many_threads_call_one_runtime_through_a_small_queue_and_no_call_is_lost() {
    const THREADS: usize = 4;
    const CALLS: usize = 500;
    let runtime = Runtime::builder().max_remote_calls(64).build().unwrap();
    let sum = Arc::new(AtomicUsize::new(0));
    let its = Arc::clone(&sum);
    beside(&runtime, move |handle| {
        let barrier = Barrier::new(THREADS);
        let call_often = || {
            barrier.wait();
            for number in 0..CALLS {
                let its = Arc::clone(&its);
                let mut call = move || its.fetch_add(number, Ordering::Relaxed);
                // Full now and then, which returns the closure for another try.
                while let Err(error) = handle.call(call) {
                    assert!(error.is_full());
                    call = error.into_inner();
                    thread::yield_now();
                }
            }
        };
        thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(call_often))));
        let mut last = || ();
        loop {
            match handle.call(last) {
                Ok(call) => return call.join_blocking().unwrap(),
                Err(error) => last = error.into_inner(),
            }
        }
    });
    assert_eq!(sum.load(Ordering::Relaxed), THREADS * CALLS * (CALLS - 1) / 2);
}
