//! `ContextVar`: values of a task that go on to the tasks it spawns, and to no other.

use std::cell::RefCell;
use std::future::pending;
use std::mem;
use std::rc::Rc;
use std::task::Poll;
use std::thread;

use annulus::blocking::to_thread;
use annulus::join::gather;
use annulus::task::ContextVar;
use annulus::time::call_soon;
use annulus::{Runtime, spawn, yield_now};

use crate::common::conditions::Log;
use crate::common::drops::{Drops, Guard, OnDrop};
use crate::common::incidents::Incidents;
use crate::common::panics::panic_of;
use crate::common::watchdog::{block_on, run};

static NUMBER: ContextVar<u32> = ContextVar::new();
static TEXT: ContextVar<String> = ContextVar::new();

#[test]
fn a_variable_has_no_value_until_it_is_set_and_each_its_own() {
    run(async {
        assert_eq!((NUMBER.get(), TEXT.get()), (None, None));
        NUMBER.set(1);
        TEXT.set("text".into());
        assert_eq!((NUMBER.get(), TEXT.get().as_deref()), (Some(1), Some("text")));
        NUMBER.set(2);
        assert_eq!(NUMBER.get(), Some(2));
        NUMBER.clear();
        NUMBER.clear();
        assert_eq!((NUMBER.get(), TEXT.with(|text| text.map(String::len))), (None, Some(4)));
    });
}

#[test]
fn a_task_has_the_values_that_its_parent_had_when_it_spawned_it() {
    run(async {
        NUMBER.set(1);
        let child = spawn(async {
            yield_now().await;
            let grandchild = spawn(async { NUMBER.get() });
            NUMBER.set(3);
            (grandchild.await.unwrap(), NUMBER.get())
        });
        NUMBER.set(2);
        yield_now().await;
        assert_eq!(child.await.unwrap(), (Some(1), Some(3)));
        assert_eq!(NUMBER.get(), Some(2));
    });
}

#[test]
fn siblings_do_not_see_each_others_changes_across_awaits() {
    run(async {
        let tasks = [1, 2, 3].map(|number| {
            spawn(async move {
                NUMBER.set(number);
                for _ in 0..5 {
                    yield_now().await;
                    assert_eq!(NUMBER.get(), Some(number));
                }
                NUMBER.get()
            })
        });
        let seen = gather(tasks).await.map(Result::unwrap);
        assert_eq!((seen, NUMBER.get()), ([Some(1), Some(2), Some(3)], None));
    });
}

#[test]
fn functions_called_soon_have_the_values_of_the_time_of_asking() {
    run(async {
        let log = Log::default();
        NUMBER.set(1);
        let its = log.clone();
        call_soon(move || its.push(NUMBER.get()));
        NUMBER.set(2);
        yield_now().await;
        assert_eq!(log.take(), [Some(1)]);
    });
}

#[test]
fn futures_of_one_task_share_its_values_and_threads_have_none() {
    run(async {
        NUMBER.set(1);
        gather((async { NUMBER.set(2) }, async {
            assert_eq!(NUMBER.get(), Some(2));
        }))
        .await;
        assert_eq!(NUMBER.get(), Some(2));
        assert_eq!(to_thread(|| NUMBER.get()).await.unwrap(), None);
    });
}

#[test]
fn a_bound_value_is_restored_by_the_guards_end_whatever_was_set_meanwhile() {
    run(async {
        for before in [None, Some(1)] {
            if let Some(before) = before {
                NUMBER.set(before);
            }
            let outer = NUMBER.bind(5);
            {
                let _inner = NUMBER.bind(6);
                yield_now().await;
                assert_eq!(NUMBER.get(), Some(6));
                NUMBER.set(7);
            }
            assert_eq!(NUMBER.get(), Some(5));
            drop(outer);
            assert_eq!(NUMBER.get(), before);
        }
    });
}

#[test]
fn a_guard_dropped_in_another_task_or_outside_of_one_does_nothing() {
    let kept = Rc::new(RefCell::new(None));
    run(async {
        NUMBER.set(1);
        let bound = NUMBER.bind(2);
        spawn(async move { drop(bound) }).await.unwrap();
        assert_eq!(NUMBER.get(), Some(2));
        mem::forget(NUMBER.bind(3));
        assert_eq!(NUMBER.get(), Some(3));
        *kept.borrow_mut() = Some(NUMBER.bind(4));
    });
    drop(kept.take());
}

#[test]
fn outside_of_a_task_there_is_no_value_and_none_can_be_set() {
    assert_eq!(NUMBER.get(), None);
    assert!(panic_of(|| NUMBER.set(1)).contains("outside of a task"));
    let runtime = Runtime::new().unwrap();
    block_on(&runtime, async { NUMBER.set(1) });
    block_on(&runtime, async { assert_eq!(NUMBER.get(), None, "another main task") });
}

#[test]
fn variables_need_not_be_statics_and_are_told_apart_on_all_threads() {
    let variables: Vec<_> = (0..10).map(|_| ContextVar::<usize>::new()).collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                run(async {
                    for (number, variable) in variables.iter().enumerate() {
                        variable.set(number);
                    }
                    for (number, variable) in variables.iter().enumerate() {
                        assert_eq!(variable.get(), Some(number));
                    }
                });
            });
        }
    });
}

// When values are dropped

static GUARD: ContextVar<Guard> = ContextVar::new();

#[test]
fn a_value_lives_until_the_last_task_that_has_it_has_ended() {
    let drops = Drops::default();
    run(async {
        let first = spawn({
            let guard = drops.guard();
            async {
                GUARD.set(guard);
                spawn(async {
                    yield_now().await;
                    yield_now().await;
                })
            }
        });
        let second = first.await.unwrap();
        assert_eq!(drops.count(), 0);
        second.await.unwrap();
        assert_eq!(drops.count(), 1);
        let cancelled = spawn({
            let guard = drops.guard();
            async {
                GUARD.set(guard);
                pending::<()>().await;
            }
        });
        yield_now().await;
        cancelled.cancel();
        assert!(cancelled.await.is_err());
        assert_eq!(drops.count(), 2);
        GUARD.set(drops.guard());
        GUARD.set(drops.guard());
        assert_eq!(drops.count(), 3);
    });
    assert_eq!(drops.count(), 4);
}

#[test]
fn a_waker_that_lives_on_elsewhere_keeps_no_value() {
    let drops = Drops::default();
    run(async {
        let guard = drops.guard();
        let mut guard = Some(guard);
        let waker = spawn(std::future::poll_fn(move |context| {
            GUARD.set(guard.take().unwrap());
            Poll::Ready(context.waker().clone())
        }));
        let waker = waker.await.unwrap();
        assert_eq!(drops.count(), 1);
        thread::spawn(move || drop(waker)).join().unwrap();
    });
}

static LAST: ContextVar<OnDrop<Box<dyn FnMut()>>> = ContextVar::new();

#[test]
fn a_destructor_of_a_value_finds_its_task_ended_and_what_it_sets_is_dropped() {
    let drops = Drops::default();
    run(async {
        let mut guard = Some(drops.guard());
        let task = spawn(async move {
            LAST.set(OnDrop(Box::new(move || {
                assert_eq!(NUMBER.get(), None);
                NUMBER.set(5);
                GUARD.set(guard.take().unwrap());
                assert_eq!(NUMBER.get(), None);
            })));
        });
        task.await.unwrap();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_destructor_of_a_future_still_has_the_values_of_its_task() {
    let log = Log::default();
    run(async {
        let its = log.clone();
        let last = OnDrop(move || its.push(NUMBER.get()));
        let task = spawn(async move {
            let _last = last;
            NUMBER.set(5);
            pending::<()>().await;
        });
        yield_now().await;
        task.cancel();
        assert!(task.await.is_err());
    });
    assert_eq!(log.take(), [Some(5)]);
}

static BOMB: ContextVar<crate::common::drops::Bomb> = ContextVar::new();

#[test]
fn a_value_whose_destructor_panics_at_its_tasks_end_is_reported_and_does_no_harm() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    let bomb = drops.bomb("of a value");
    block_on(&incidents.runtime(), async {
        let task = spawn(async {
            BOMB.set(bomb);
            "an output"
        });
        assert_eq!(task.await.unwrap(), "an output");
    });
    assert_eq!(incidents.take_messages(), ["callback: of a value"]);
}

#[test]
fn looking_at_a_value_may_change_it() {
    run(async {
        TEXT.set("before".into());
        let length = TEXT.with(|text| {
            TEXT.set("after, and longer".into());
            text.map(String::len)
        });
        assert_eq!((length, TEXT.get().as_deref()), (Some(6), Some("after, and longer")));
    });
}

#[test]
fn each_call_of_block_on_begins_without_values_and_tasks_keep_theirs() {
    static NUMBER: ContextVar<u32> = ContextVar::new();
    let runtime = Runtime::new().unwrap();
    let task = block_on(&runtime, async {
        NUMBER.set(1);
        let task = spawn(async {
            yield_now().await;
            NUMBER.get()
        });
        yield_now().await;
        task
    });
    block_on(&runtime, async {
        assert_eq!(NUMBER.get(), None);
        assert_eq!(task.await.unwrap(), Some(1));
    });
}
