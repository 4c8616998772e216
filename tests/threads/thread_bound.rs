//! `ThreadBound`: what stays on the thread of its runtime, in the hands of others.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::io::Read;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use annulus::sync::remote::oneshot;
use annulus::task::ThreadBound;
use annulus::time::{Sleep, sleep};
use annulus::{Incident, Runtime, is_running, spawn};

use crate::common::bounded::bounded;
use crate::common::drops::{Drops, OnDrop};
use crate::common::incidents::Incidents;
use crate::common::net::connected;
use crate::common::panics::panic_of;
use crate::common::watchdog::{block_on, run};

fn is_send<T: Send>(value: T) -> T {
    value
}

/// What handlers of libraries for several threads look like.
type Handler = Pin<Box<dyn Future<Output = i32> + Send>>;

#[test]
fn a_handler_that_must_be_send_sleeps_joins_and_receives() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<ThreadBound<Rc<()>>>();
    is_send_and_sync::<ThreadBound<Sleep>>();
    run(async {
        let (stream, mut peer) = connected();
        let mut stream = ThreadBound::new(stream);
        std::io::Write::write_all(&mut peer, &[30]).unwrap();
        let handler: Handler = Box::pin(async move {
            ThreadBound::new(sleep(Duration::from_millis(1))).await;
            let joined = ThreadBound::new(spawn(async { 12 }).into_future());
            let joined = joined.await.unwrap();
            // An operation borrows its stream, so the whole use of it is bound.
            let received = ThreadBound::new(async move { stream.recv().await.unwrap()[0] });
            joined + i32::from(received.await)
        });
        assert_eq!(spawn(is_send(handler)).await.unwrap(), 42);
    });
}

/// The loop sleeps, with no timer and nothing in flight but the peer's read: only the value that
/// comes home can end that.
#[test]
fn a_connection_dropped_on_another_thread_is_closed_while_its_loop_sleeps() {
    let incidents = Incidents::default();
    let runtime = incidents.runtime();
    let (mut peer, closed) = block_on(&runtime, async {
        let (stream, peer) = connected();
        let bound = ThreadBound::new(stream);
        let (closed, is_closed) = oneshot::channel();
        thread::spawn(move || {
            let mut peer = peer;
            drop(bound);
            let outcome = peer.read(&mut [0; 1]).unwrap();
            closed.send((peer, outcome)).unwrap();
        });
        is_closed.await.unwrap()
    });
    assert_eq!(closed, 0, "the peer reads EOF");
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    assert!(incidents.take().is_empty());
}

#[test]
fn a_value_in_the_thread_local_of_another_thread_comes_home() {
    thread_local! {
        static KEPT: RefCell<Vec<ThreadBound<Dropped>>> = const { RefCell::new(Vec::new()) };
    }
    /// Says on which thread it is dropped.
    struct Dropped(mpsc::Sender<ThreadId>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            assert!(is_running(), "it is dropped in its event loop");
            self.0.send(thread::current().id()).unwrap();
        }
    }
    let (dropped, drops) = mpsc::channel();
    run(async {
        let bound = ThreadBound::new(Dropped(dropped));
        let (ended, has_ended) = oneshot::channel();
        thread::spawn(move || {
            thread::spawn(move || KEPT.with_borrow_mut(|kept| kept.push(bound))).join().unwrap();
            ended.send(()).unwrap();
        });
        has_ended.await.unwrap();
    });
    assert_eq!(drops.recv().unwrap(), thread::current().id());
}

#[test]
fn a_future_polled_on_another_thread_panics_and_is_dropped_at_home() {
    let (drops, runtime) = (Drops::default(), Runtime::new().unwrap());
    let guard = drops.guard();
    let bound = async {
        let waits = async move {
            let _guard = guard;
            pending::<()>().await;
        };
        Some(Box::pin(ThreadBound::new(waits)))
    };
    let mut future = block_on(&runtime, bound).unwrap();
    let message = thread::spawn(move || {
        panic_of(|| future.as_mut().poll(&mut Context::from_waker(Waker::noop())))
    });
    let message = message.join().unwrap();
    assert!(message.contains("was polled on thread"), "{message}");
    assert!(message.contains("Handle::spawn"), "{message}");
    assert_eq!(drops.count(), 0, "no thread runs its event loop");
    block_on(&runtime, async {});
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_value_outlives_its_runtime_on_its_own_thread_and_leaks_elsewhere() {
    let (drops, incidents) = (Drops::default(), Incidents::default());
    let runtime = incidents.runtime();
    let (own, other) = block_on(&runtime, async {
        (ThreadBound::new(drops.guard()), ThreadBound::new(drops.guard()))
    });
    drop(runtime);
    // Another runtime of the thread is none of theirs.
    run(async {
        assert!(own.is_local());
        thread::spawn(move || drop(other)).join().unwrap();
    });
    assert_eq!(drops.count(), 0);
    let reported = incidents.take();
    assert!(
        matches!(&reported[..], [Incident::ThreadBoundLeaked { type_name }] if type_name.ends_with("Guard")),
        "{reported:?}"
    );
    drop(own);
    assert_eq!(drops.count(), 1);
}

#[test]
fn outside_a_runtime_nothing_can_be_bound() {
    let message = panic_of(|| ThreadBound::new(1));
    assert!(message.starts_with("there is no runtime on this thread"), "{message}");
    assert_eq!(ThreadBound::try_new(1).unwrap_err(), 1);
}

/// Four threads drop values while the runtime ends: each is dropped by its own thread or reported
/// as leaked. A value that was lost, dropped twice or dropped elsewhere shows in the counts, and to
/// ThreadSanitizer.
#[test]
fn values_dropped_elsewhere_while_their_runtime_ends_are_dropped_at_home_or_reported() {
    const THREADS: usize = 4;
    const VALUES: usize = 20;
    for round in 0..60 {
        let (incidents, count) = (Incidents::default(), Rc::new(std::cell::Cell::new(0)));
        let runtime = incidents.runtime();
        let start = Arc::new(Barrier::new(THREADS + 1));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let values: Vec<_> = block_on(&runtime, async {
                    let bound = |_| {
                        let count = Rc::clone(&count);
                        ThreadBound::new(OnDrop(move || count.set(count.get() + 1)))
                    };
                    (0..VALUES).map(bound).collect()
                });
                let start = Arc::clone(&start);
                thread::spawn(move || {
                    start.wait();
                    for value in values {
                        drop(value);
                        // So that the end of the runtime is in the middle in most rounds.
                        (0..round).for_each(|_| std::hint::spin_loop());
                    }
                })
            })
            .collect();
        start.wait();
        bounded(|| block_on(&runtime, async { annulus::yield_now().await }));
        drop(runtime);
        let dropped = count.get();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(count.get(), dropped, "no value is dropped after the end");
        let reports = incidents.take().len();
        assert_eq!(dropped + reports, THREADS * VALUES, "in round {round}");
    }
}

#[test]
fn is_running_tells_where_a_task_can_be_spawned() {
    /// Says at its drop what `is_running` returns.
    struct Asks(mpsc::Sender<bool>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.send(is_running()).unwrap();
        }
    }
    thread_local! {
        static ASKS: RefCell<Option<Asks>> = const { RefCell::new(None) };
        static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    }
    assert!(!is_running());
    let runtime = Runtime::new().unwrap();
    assert!(!is_running(), "it runs nothing");
    let (sender, answers) = mpsc::channel();
    let (in_task, in_local) = (sender.clone(), sender.clone());
    runtime.spawn(async move {
        let _asks = Asks(in_task);
        pending::<()>().await;
    });
    block_on(&runtime, async {
        assert!(is_running());
        spawn(async { assert!(is_running()) }).await.unwrap();
        thread::spawn(|| assert!(!is_running())).join().unwrap();
    });
    assert!(!is_running());
    drop(runtime);
    assert!(answers.recv().unwrap(), "the end of a runtime is inside of it");
    thread::spawn(move || {
        ASKS.set(Some(Asks(in_local)));
        let (runtime, its) = (Runtime::new().unwrap(), sender);
        runtime.spawn(async move {
            let _asks = Asks(its);
            pending::<()>().await;
        });
        runtime.block_on(async { annulus::yield_now().await });
        RUNTIME.set(Some(runtime));
    })
    .join()
    .unwrap();
    // The order in which thread-locals are destroyed is not defined: only that no call panics.
    assert_eq!(answers.iter().count(), 2);
}
