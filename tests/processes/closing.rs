//! A runtime that is closed while its own code is on the stack: by `exit` in a task, by destructors
//! that use the runtime which is ending them. No future is dropped while it is being polled.
//!
//! What may take the process down runs in a child process.

use std::cell::{Cell, RefCell};
use std::fs::read_dir;
use std::future::pending;
use std::mem;
use std::process::{Output, exit};
use std::rc::Rc;
use std::thread;

use annulus::{Runtime, run, spawn, yield_now};

use crate::common::bounded::bounded;
use crate::common::child::{command, role};
use crate::common::drops::{Drops, OnDrop};
use crate::common::incidents::Incidents;
use crate::common::panics::panic_of;
use crate::this_test;

const NESTED: &str = "this thread is running a runtime already";

/// Runs a test of this binary in a child process.
fn child(name: &str, role: &str) -> Output {
    command(name, role).output().expect("this binary runs")
}

/// Asserts that a child ended with the code zero and printed neither panic nor incident.
fn assert_quiet_success(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.is_empty(), "{}\n{text}", output.status);
}

thread_local! {
    static RUNTIME: Runtime = Runtime::new().expect("io_uring works here");
}

/// Says on standard error that it is dropped, which a child that exits must not do.
struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        eprintln!("a destructor has run");
    }
}

// The C library's `exit` runs the destructors of the thread's thread-locals, with `block_on` and
// the poll of the task on the stack.
#[test]
fn exit_inside_a_task_of_a_runtime_in_a_thread_local_ends_the_process_with_its_code() {
    match role().as_deref() {
        None => {
            for role in ["main", "spawned", "destructor", "nested", "thread"] {
                assert_quiet_success(&child(this_test!(), role));
            }
        }
        Some("main") => RUNTIME.with(|runtime| {
            let (owned, loud) = (Box::new(1), Loud);
            runtime.block_on(async move {
                drop(owned);
                let _loud = loud;
                exit(0)
            });
        }),
        Some("spawned") => RUNTIME.with(|runtime| {
            runtime.spawn(async {
                let _loud = Loud;
                spawn(async {
                    let _loud = Loud;
                    pending::<()>().await;
                });
                yield_now().await;
                exit(0)
            });
            runtime.block_on(pending::<()>());
        }),
        // A future that is being dropped is no more to be touched than one that is polled.
        Some("destructor") => RUNTIME.with(|runtime| {
            let task = runtime.spawn(async {
                let (_loud, _exits) = (Loud, OnDrop(|| exit(0)));
                pending::<()>().await;
            });
            runtime
                .block_on(async {
                    yield_now().await;
                    task.cancel();
                    task.await
                })
                .unwrap();
        }),
        // The innermost runtime that is being closed is not the one in the thread-local.
        Some("nested") => RUNTIME.with(|runtime| {
            runtime.block_on(async {
                let _loud = Loud;
                let inner = Runtime::new().unwrap();
                let (loud, exits) = (Loud, OnDrop(|| exit(0)));
                inner.spawn(async move {
                    // Captured in this order, and dropped in it: the process ends first.
                    let _both = (&exits, &loud);
                    pending::<()>().await;
                });
                drop(inner);
            });
        }),
        Some(_) => {
            let thread = thread::spawn(|| {
                RUNTIME.with(|runtime| {
                    runtime.block_on(async {
                        let _loud = Loud;
                        exit(0)
                    })
                })
            });
            let never = thread.join();
            never.unwrap();
        }
    }
}

#[test]
fn exit_inside_another_runtime_tears_down_an_idle_one_in_a_thread_local() {
    if role().is_some() {
        RUNTIME.with(|runtime| {
            runtime.spawn(async {
                let _last_words = OnDrop(|| eprintln!("torn down"));
                pending::<()>().await;
            });
            runtime.block_on(yield_now());
        });
        run(async { exit(0) }).unwrap();
    }
    let output = child(this_test!(), "exit");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text == "torn down\n", "{}\n{text}", output.status);
}

#[test]
fn a_destructor_that_blocks_on_its_own_closing_runtime_panics() {
    bounded(|| {
        let incidents = Incidents::default();
        let runtime = Rc::new(incidents.runtime());
        let weak = Rc::downgrade(&runtime);
        let drops = Drops::default();
        let guard = drops.guard();
        runtime.spawn(async move {
            // While a runtime is dropped its owner is gone; another one stands for it.
            let other = Runtime::new().unwrap();
            let _blocks = OnDrop(move || {
                assert!(weak.upgrade().is_none());
                let _guard = &guard;
                other.block_on(yield_now());
            });
            pending::<()>().await;
        });
        runtime.block_on(yield_now());
        drop(runtime);
        assert_eq!(drops.count(), 1);
        let messages = incidents.take_messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(messages[0].contains(NESTED), "{messages:?}");
    });
}

// Ctrl-c ends the main task of `block_on`, which then closes the runtime itself.
#[test]
fn a_destructor_that_blocks_on_its_runtime_while_ctrl_c_closes_it_panics() {
    if role().is_some() {
        let runtime = Runtime::builder().cancel_on_ctrl_c(true).build().unwrap();
        let runtime: &'static Runtime = Box::leak(Box::new(runtime));
        let owned = Drops::default().guard();
        runtime.spawn(async move {
            let owned = owned;
            let _blocks = OnDrop(move || {
                let _owned = &owned;
                runtime.block_on(yield_now());
            });
            loop {
                yield_now().await;
            }
        });
        runtime.block_on(async {
            yield_now().await;
            signal_hook::low_level::raise(signal_hook::consts::SIGINT).unwrap();
            pending::<()>().await;
        });
    }
    use std::os::unix::process::ExitStatusExt;
    let output = child(this_test!(), "ctrl-c");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(signal_hook::consts::SIGINT), "{text}");
    assert!(text.contains(NESTED), "{text}");
}

#[test]
fn a_runtime_owned_by_its_own_task_is_neither_dropped_in_it_nor_harmed() {
    bounded(|| {
        let drops = Drops::default();
        let runtime = Rc::new(Runtime::new().unwrap());
        let (its, guard) = (Rc::clone(&runtime), drops.guard());
        let task = runtime.spawn(async move {
            let _guard = guard;
            drop(its);
            yield_now().await;
            5
        });
        assert_eq!(runtime.block_on(task).unwrap(), 5);
        let its = Rc::clone(&runtime);
        let output = runtime.spawn(async move { its });
        runtime.block_on(yield_now());
        drop(runtime);
        // The last owner is an outcome of one of its own tasks.
        drop(output);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn destructors_spawn_cancel_join_and_look_while_everything_ends() {
    bounded(|| {
        let incidents = Incidents::default();
        let runtime = incidents.runtime();
        let drops = Drops::default();
        let handles = Rc::new(RefCell::new(Vec::new()));
        for number in 0..20 {
            let (guard, all) = (drops.guard(), Rc::clone(&handles));
            let task = runtime.spawn(async move {
                let _guard = guard;
                let _busy = OnDrop(move || {
                    let new = spawn(pending::<()>());
                    assert!(new.is_finished());
                    let handles: Vec<annulus::task::JoinHandle<()>> = all.take();
                    for handle in &handles {
                        handle.cancel();
                    }
                    let mut handles = handles.into_iter();
                    // One is given up in place, one is detached, one is forgotten, the rest is
                    // kept.
                    drop(handles.next().map(IntoFuture::into_future));
                    drop(handles.next());
                    mem::forget(handles.next());
                    all.borrow_mut().extend(handles);
                    if number % 7 == 3 {
                        panic!("number {number}");
                    }
                });
                pending::<()>().await;
            });
            handles.borrow_mut().push(task);
        }
        runtime.block_on(yield_now());
        drop(runtime);
        assert_eq!(drops.count(), 20);
        handles.take();
        // Those of 3, 10 and 17; one of them may have been forgotten with its handle.
        assert!((2..=3).contains(&incidents.count()), "{:?}", incidents.take());
    });
}

#[test]
fn a_long_chain_of_destructors_that_spawn_at_the_end_needs_no_deep_stack() {
    struct Spawns(u32, Drops);

    impl Drop for Spawns {
        fn drop(&mut self) {
            drop(self.1.guard());
            if let Some(left) = self.0.checked_sub(1) {
                let next = Spawns(left, self.1.clone());
                spawn(async move {
                    let _next = next;
                    pending::<()>().await;
                });
            }
        }
    }

    bounded(|| {
        let drops = Drops::default();
        let (runtime, first) = (Runtime::new().unwrap(), Spawns(50_000, drops.clone()));
        runtime.spawn(async move {
            let _first = first;
            pending::<()>().await;
        });
        runtime.block_on(yield_now());
        drop(runtime);
        assert_eq!(drops.count(), 50_001);
    });
}

#[test]
fn a_closing_runtime_is_the_one_of_its_destructors_also_inside_of_another() {
    bounded(|| {
        run(async {
            let seen = Rc::new(Cell::new(0));
            let inner = Runtime::new().unwrap();
            let its = Rc::clone(&seen);
            inner.spawn(async move {
                let owned = spawn(pending::<()>()).into_future();
                let _looks = OnDrop(move || its.set(its.get() + 1));
                owned.await.unwrap_err();
            });
            let outer = spawn(async { 1 });
            drop(inner);
            assert_eq!(seen.get(), 0, "it was never polled");
            let message = panic_of(|| Runtime::new().unwrap().block_on(async {}));
            assert!(message.starts_with(NESTED), "the outer loop is marked again: {message}");
            assert_eq!(outer.await.unwrap(), 1);
        })
        .unwrap();
    });
}

#[test]
fn handles_that_are_forgotten_keep_no_descriptor_of_their_runtime() {
    if role().is_none() {
        let output = child(this_test!(), "alone");
        return assert_quiet_success(&output);
    }
    let count = || read_dir("/proc/self/fd").unwrap().count();
    run(async {}).unwrap();
    let before = count();
    for _ in 0..20 {
        run(async {
            mem::forget(spawn(async {}));
            mem::forget(spawn(pending::<()>()));
        })
        .unwrap();
    }
    assert_eq!(count(), before);
}
