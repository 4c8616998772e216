//! `to_thread` and `ThreadPool`: closures that block, on a bounded number of threads.

use std::future::{Future, pending};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::{Duration, Instant};

use annulus::blocking::{ThreadError, ThreadPool, to_thread};
use annulus::join::gather;
use annulus::time::{sleep, timeout};
use annulus::{Runtime, spawn};

use crate::common::bounded::bounded;
use crate::common::conditions::until;
use crate::common::drops::Drops;
use crate::common::incidents::Incidents;
use crate::common::panics::{message, panic_of};
use crate::common::patience::patient;
use crate::common::watchdog::{block_on, run};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(2);

/// A closure that blocks until the sender is used or dropped.
fn blocked() -> (Sender<()>, impl FnOnce() + Send + 'static) {
    let (sender, receiver): (_, Receiver<()>) = mpsc::channel();
    let closure = move || {
        let _ = receiver.recv();
    };
    (sender, closure)
}

#[test]
fn a_closure_runs_on_another_thread_while_the_loop_goes_on() {
    run(async {
        let (go, closure) = blocked();
        let handle = to_thread(move || {
            closure();
            thread::current().id()
        });
        sleep(SHORT).await;
        assert!(!handle.is_finished());
        drop(go);
        assert_ne!(handle.await.unwrap(), thread::current().id());
    });
}

#[test]
fn a_closure_begins_whether_or_not_it_is_awaited() {
    run(async {
        let (begun, hears) = mpsc::channel();
        let handle = to_thread(move || begun.send(5).unwrap());
        assert_eq!(hears.recv(), Ok(5), "the loop itself does not turn");
        handle.await.unwrap();
    });
}

#[test]
fn a_panic_of_a_closure_reaches_its_joiner_and_the_thread_goes_on() {
    run(async {
        let pool = ThreadPool::new(1, LONG);
        let panicked = pool.spawn(|| panic!("of a closure"));
        let next = pool.spawn(|| 5);
        let error = panicked.await.unwrap_err();
        assert!(
            matches!(error, ThreadError::Panicked(panic) if message(&*panic) == "of a closure")
        );
        assert_eq!(next.await.unwrap(), 5);
        assert_eq!(pool.threads(), 1);
    });
}

#[test]
fn a_dropped_handle_detaches_its_closure_also_before_it_has_begun() {
    let drops = Drops::default();
    run(async {
        let pool = ThreadPool::new(1, LONG);
        let (go, closure) = blocked();
        let (running, queued) = (drops.guard(), drops.guard());
        let first = pool.spawn(move || {
            closure();
            running
        });
        let second = pool.spawn(move || queued);
        timeout(SHORT, first).await.unwrap_err();
        drop(second);
        assert_eq!(drops.count(), 0);
        drop(go);
        until(|| drops.count() == 2).await;
        let ended = pool.spawn({
            let guard = drops.guard();
            move || guard
        });
        until(|| ended.is_finished()).await;
        drop(ended);
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn panics_of_a_detached_closure_or_its_output_are_reported() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    block_on(&incidents.runtime(), async {
        drop(to_thread(|| panic!("unjoined")));
        until(|| incidents.count() == 1).await;
        assert_eq!(incidents.take_messages(), ["task: unjoined"]);
        let bomb = drops.bomb("of an output");
        let (go, closure) = blocked();
        drop(to_thread(move || {
            closure();
            bomb
        }));
        drop(go);
        until(|| incidents.count() == 1).await;
        assert_eq!(incidents.take_messages(), ["callback: of an output"]);
        let ended = to_thread(|| panic!("unjoined too"));
        until(|| ended.is_finished()).await;
        drop::<annulus::blocking::ThreadHandle<()>>(ended);
        assert_eq!(incidents.take_messages(), ["task: unjoined too"]);
    });
}

#[test]
fn there_are_as_many_threads_as_are_needed_and_no_more_than_allowed() {
    run(async {
        let pool = ThreadPool::new(3, LONG);
        assert_eq!(pool.threads(), 0);
        pool.spawn(|| {}).await.unwrap();
        // The thread may not be back yet: then there is a second.
        pool.spawn(|| {}).await.unwrap();
        assert!(pool.threads() <= 2);
        let all = Arc::new(Barrier::new(3));
        let meet = (0..3).map(|_| {
            let all = Arc::clone(&all);
            pool.spawn(move || all.wait().is_leader())
        });
        // They meet only if all three run at once.
        let leaders = gather(meet).await.into_iter().filter(|leads| matches!(leads, Ok(true)));
        assert_eq!(leaders.count(), 1);
        let running = Arc::new(AtomicUsize::new(0));
        let crowd = (0..50).map(|_| {
            let running = Arc::clone(&running);
            pool.spawn(move || {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                thread::sleep(Duration::from_micros(100));
                running.fetch_sub(1, Ordering::SeqCst);
                now
            })
        });
        let most = gather(crowd).await.into_iter().map(Result::unwrap).max();
        assert!(most <= Some(3) && pool.threads() == 3, "{most:?}");
    });
}

#[test]
fn closures_that_wait_for_a_thread_run_in_order() {
    run(async {
        let pool = ThreadPool::new(1, LONG);
        let (go, closure) = blocked();
        let first = pool.spawn(closure);
        let (says, hears) = mpsc::channel();
        let rest: Vec<_> = (0..20)
            .map(|number| {
                let says = says.clone();
                pool.spawn(move || says.send(number).unwrap())
            })
            .collect();
        drop(go);
        first.await.unwrap();
        gather(rest).await;
        assert!(hears.try_iter().eq(0..20));
    });
}

#[test]
fn idle_threads_end_and_new_ones_begin() {
    run(async {
        let pool = ThreadPool::new(2, SHORT);
        for _ in 0..3 {
            let [first, second] = gather([pool.spawn(|| {}), pool.spawn(|| {})]).await;
            assert!(first.is_ok() && second.is_ok());
            until(|| pool.threads() == 0).await;
        }
    });
}

#[test]
fn a_dropped_pool_runs_what_it_was_given() {
    let drops = Drops::default();
    run(async {
        let pool = ThreadPool::new(1, LONG);
        let (go, closure) = blocked();
        let first = pool.spawn(closure);
        let guard = drops.guard();
        let second = pool.spawn(move || drop(guard));
        drop(pool);
        drop(go);
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_handle_may_move_to_another_task_and_is_woken_there() {
    run(async {
        let (go, closure) = blocked();
        let mut handle = to_thread(closure);
        timeout(SHORT, &mut handle).await.unwrap_err();
        let joins = spawn(async move { handle.await.is_ok() });
        drop(go);
        assert!(joins.await.unwrap());
    });
}

#[test]
fn a_runtimes_end_waits_for_no_closure_and_a_later_end_of_one_does_no_harm() {
    let drops = Drops::default();
    let (go, closure) = blocked();
    let start = Instant::now();
    let runtime = Runtime::new().unwrap();
    let guard = drops.guard();
    runtime.spawn(async move {
        let _ = to_thread(move || {
            closure();
            drop(guard);
        })
        .await;
        pending::<()>().await;
    });
    block_on(&runtime, sleep(SHORT));
    drop(runtime);
    assert!(start.elapsed() < patient(Duration::from_secs(30)));
    drop(go);
    bounded(|| {
        while drops.count() == 0 {
            thread::sleep(SHORT);
        }
    });
}

#[test]
fn a_handle_that_is_forgotten_or_outlives_its_runtime_does_no_harm() {
    let mut kept = None;
    run(async {
        mem::forget(to_thread(|| 4));
        kept = Some(to_thread(|| 5));
    });
    assert_eq!(run(kept.unwrap()).unwrap(), 5);
}

#[test]
fn a_waker_that_panics_on_the_closures_thread_is_reported() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("of a waker");
        }
    }
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let (go, closure) = blocked();
        let mut handle = Box::pin(to_thread(closure));
        let waker = Arc::new(Bad).into();
        assert!(handle.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(go);
        until(|| incidents.count() == 1).await;
        assert_eq!(incidents.take_messages(), ["callback: of a waker"]);
        let end = handle.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(matches!(end, Poll::Ready(Ok(()))));
    });
}

#[test]
fn to_thread_without_a_runtime_and_a_pool_without_threads_panic() {
    assert!(panic_of(|| to_thread(|| {})).contains("no runtime"));
    assert!(panic_of(|| ThreadPool::new(0, LONG)).contains("without threads"));
}

#[test]
fn a_thousand_closures_all_end() {
    run(async {
        let all = gather((0..1000_u32).map(|n| to_thread(move || n))).await;
        assert!(all.into_iter().map(Result::unwrap).eq(0..1000));
    });
}
