//! Tasks without a kernel and a runtime, for Miri: who may touch a future when, and when memory is
//! freed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use super::{
    Executor, Join, JoinHandle, Origin, RunningGuard, RuntimeId, is_in_task, spawn_child, wake,
};
use crate::error::Incident;
use crate::trace::SlowPolls;

/// The owner of an executor, with an event loop.
struct Owner {
    executor: Rc<Executor>,
    id: RuntimeId,
    incidents: Arc<Mutex<Vec<String>>>,
    _named_by: Rc<()>,
}

impl Owner {
    fn new() -> Self {
        let (incidents, named_by) = (Arc::new(Mutex::new(Vec::new())), Rc::new(()));
        let (its, id) = (Arc::clone(&incidents), RuntimeId::of(&named_by));
        let hook = move |incident: &Incident| its.lock().unwrap().push(incident.to_string());
        let executor =
            Rc::new(Executor::new(id, Arc::new(|| {}), Arc::new(hook), SlowPolls::default()));
        Self { executor, id, incidents, _named_by: named_by }
    }

    fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        if is_in_task() {
            return spawn_child(future, None, Location::caller());
        }
        self.executor.spawn(future, origin())
    }

    /// Polls ready tasks until none is ready.
    fn run(&self) {
        let _running = RunningGuard::try_begin(self.id).expect("no loop inside of a loop");
        self.run_ready();
    }

    fn run_ready(&self) {
        let _ = self.executor.receive();
        while let Some(task) = self.executor.pop() {
            task.run();
        }
    }

    fn close(&self) {
        let _running = RunningGuard::nested(self.id);
        self.executor.end_all();
        self.executor.close();
    }

    fn incidents(&self) -> Vec<String> {
        std::mem::take(&mut *self.incidents.lock().unwrap())
    }
}

fn origin() -> Origin {
    Origin { name: None, parent: None, spawned_at: Location::caller() }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Wakes its task once, so that the other ready tasks are polled first.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn ending_all_amid_a_poll_leaves_the_polled_future_alone() {
    let owner = Rc::new(Owner::new());
    let (drops, its) = (Rc::new(Cell::new(0)), Rc::clone(&owner));
    let (counted, other) = (Rc::clone(&drops), Rc::clone(&drops));
    let task = owner.spawn(async move {
        let owned = Box::new(1);
        let _counts = OnDrop(move || counted.set(counted.get() + 1));
        its.close();
        *owned
    });
    let sleeps = owner.spawn(async move {
        let _counts = OnDrop(move || other.set(other.get() + 10));
        pending::<()>().await;
    });
    // The second task is first polled when the first has ended everything.
    owner.run();
    assert!(sleeps.is_finished() && task.is_finished());
    assert_eq!(task.outcome().unwrap().as_ref().unwrap(), &1);
    assert_eq!(drops.get(), 1, "the second future was never polled, so it had nothing to drop");
}

#[test]
fn a_loop_inside_of_a_poll_does_not_poll_the_same_future() {
    let owner = Rc::new(Owner::new());
    let (its, turns) = (Rc::clone(&owner), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&turns);
    let task = owner.spawn(poll_fn(move |context| {
        counted.set(counted.get() + 1);
        context.waker().wake_by_ref();
        // No runtime does this; only the task's phase prevents it.
        its.run_ready();
        Poll::<()>::Pending
    }));
    owner.run();
    assert_eq!(turns.get(), 1);
    assert!(!task.is_finished());
    task.cancel();
    owner.run();
    assert!(task.is_finished());
    owner.close();
}

#[test]
fn a_destructor_that_ends_everything_is_not_run_twice() {
    let owner = Rc::new(Owner::new());
    let (its, drops) = (Rc::clone(&owner), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&drops);
    let task = owner.spawn(async move {
        let _ends = OnDrop(move || {
            counted.set(counted.get() + 1);
            its.run_ready();
            its.close();
        });
        pending::<()>().await;
    });
    owner.run();
    task.cancel();
    owner.run();
    assert!(task.is_finished() && drops.get() == 1);
}

#[test]
fn a_scope_is_refused_once_the_tasks_are_ended() {
    let owner = Owner::new();
    let ran = owner.executor.scoped(async { 5 }, origin(), |_| owner.run());
    assert_eq!(ran.unwrap().unwrap(), 5);
    let unpolled = owner.executor.scoped(async { 5 }, origin(), |_| {});
    assert!(unpolled.is_none_or(|outcome| outcome.unwrap_err().is_cancelled()));
    owner.close();
    let refused = catch_unwind(AssertUnwindSafe(|| {
        owner.executor.scoped(async {}, origin(), |_| unreachable!("it would be polled"))
    }));
    assert!(refused.is_err());
}

#[test]
fn a_join_that_is_dropped_ends_its_task_in_place() {
    let owner = Rc::new(Owner::new());
    let (its, drops) = (Rc::clone(&owner), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&drops);
    let task = owner.spawn(async move {
        let waits = its.spawn(async move {
            let inner = Rc::clone(&counted);
            let _counts = OnDrop(move || inner.set(inner.get() + 1));
            pending::<()>().await;
        });
        let mut join = waits.into_future();
        yield_now().await;
        assert!(poll_once(&mut join).is_pending());
        drop(join);
    });
    owner.run();
    assert!(task.is_finished() && drops.get() == 1);
    assert_eq!(task.outcome().unwrap().as_ref().unwrap(), &());
    owner.close();
}

#[test]
fn a_join_dropped_by_its_own_task_cancels_it() {
    let owner = Owner::new();
    let place: Rc<RefCell<Option<Join<()>>>> = Rc::default();
    let its = Rc::clone(&place);
    let task = owner.spawn(async move {
        yield_now().await;
        drop(its.take());
        pending::<()>().await;
    });
    *place.borrow_mut() = Some(task.into_future());
    owner.run();
    assert!(place.borrow().is_none());
    owner.close();
    assert!(owner.incidents().is_empty());
}

#[test]
fn a_join_dropped_outside_of_the_event_loop_cancels_the_next_poll() {
    let owner = Owner::new();
    let drops = Rc::new(Cell::new(0));
    let counted = Rc::clone(&drops);
    let task = owner.spawn(async move {
        let _counts = OnDrop(move || {
            assert!(is_in_task());
            counted.set(counted.get() + 1);
        });
        pending::<()>().await;
    });
    owner.run();
    drop(task.into_future());
    assert_eq!(drops.get(), 0);
    owner.run();
    assert_eq!(drops.get(), 1);
    owner.close();
}

/// Too long for a stack, and short enough for Miri.
const CHAIN: u32 = if cfg!(miri) { 200 } else { 100_000 };

#[test]
fn a_long_chain_of_owned_tasks_ends_without_a_deep_stack() {
    let owner = Rc::new(Owner::new());
    let ended = Rc::new(Cell::new(0));
    let mut last = owner.spawn(pending::<()>());
    for _ in 0..CHAIN {
        let (counted, join) = (Rc::clone(&ended), last.into_future());
        last = owner.spawn(async move {
            let _counts = OnDrop(move || counted.set(counted.get() + 1));
            join.await.unwrap();
        });
    }
    owner.run();
    last.cancel();
    owner.run();
    assert!(last.outcome().unwrap().as_ref().unwrap_err().is_cancelled());
    assert_eq!(ended.get(), CHAIN);
    owner.close();
}

#[test]
fn a_long_chain_of_outcomes_is_dropped_without_a_deep_stack() {
    let owner = Owner::new();
    let mut last: JoinHandle<Box<dyn Any>> = owner.spawn(async { Box::new(()) as Box<dyn Any> });
    for _ in 0..CHAIN {
        last = owner.spawn(async move { Box::new(last) as Box<dyn Any> });
    }
    owner.run();
    drop(last);
    owner.close();
    drop(owner);
}

#[test]
fn a_panic_of_a_destructor_that_a_dropped_join_runs_is_reported() {
    let owner = Rc::new(Owner::new());
    let its = Rc::clone(&owner);
    let task = owner.spawn(async move {
        let bomb = its.spawn(async {
            let _bomb = OnDrop(|| panic!("boom"));
            pending::<()>().await;
        });
        yield_now().await;
        drop(bomb.into_future());
        5
    });
    owner.run();
    assert_eq!(*task.outcome().unwrap().as_ref().unwrap(), 5);
    let incidents = owner.incidents();
    assert!(incidents.len() == 1 && incidents[0].contains("boom"), "{incidents:?}");
    owner.close();
}

#[test]
fn a_join_of_a_runtime_that_cannot_run_panics() {
    let (one, other) = (Owner::new(), Owner::new());
    let mut task = one.spawn(async { 5 });
    assert!(poll_once(&mut (&mut task).into_future()).is_pending(), "outside nothing is known");
    let _running = RunningGuard::try_begin(other.id).unwrap();
    let poll = || poll_once(&mut (&mut task).into_future());
    let panic = catch_unwind(AssertUnwindSafe(poll)).unwrap_err();
    let message = panic.downcast_ref::<String>().expect("a text");
    assert!(message.starts_with("this task belongs to another runtime"), "{message}");
    drop(_running);
    one.run();
    let _running = RunningGuard::try_begin(other.id).unwrap();
    assert!(matches!(poll_once(&mut task.into_future()), Poll::Ready(Ok(5))), "an end is an end");
}

/// A waker whose clone ends the task, and whose drop panics.
#[test]
fn a_waker_that_is_stored_too_late_is_dropped_where_its_panic_is_reported() {
    use std::task::{RawWaker, RawWakerVTable};
    thread_local! {
        static OWNER: RefCell<Option<Rc<Owner>>> = const { RefCell::new(None) };
    }
    fn clone(_: *const ()) -> RawWaker {
        OWNER.with_borrow(|owner| owner.as_ref().unwrap().run());
        RawWaker::new(std::ptr::null(), &TABLE)
    }
    static TABLE: RawWakerVTable =
        RawWakerVTable::new(clone, |_| {}, |_| {}, |_| panic!("a waker is dropped"));

    let owner = Rc::new(Owner::new());
    OWNER.set(Some(Rc::clone(&owner)));
    let mut task = owner.spawn(async { 5 });
    // SAFETY: the functions use no data, and the waker stays on this thread.
    let waker = unsafe { Waker::new(std::ptr::null(), &TABLE) };
    let waker = std::mem::ManuallyDrop::new(waker);
    let polled = Pin::new(&mut (&mut task).into_future()).poll(&mut Context::from_waker(&waker));
    assert!(matches!(polled, Poll::Ready(Ok(5))));
    drop(task);
    assert!(owner.incidents()[0].contains("a waker is dropped"));
    OWNER.take();
    owner.close();
}

#[test]
fn a_waker_that_frees_its_task_does_not_pass_on_a_panic_of_the_incident_hook() {
    let (named_by, place) = (Rc::new(()), Rc::new(Cell::new(None)));
    let (bomb, its) = (OnDrop(|| panic!("a hook is dropped")), Rc::clone(&place));
    let hook = move |_: &Incident| _ = &bomb;
    let executor = Executor::new(
        RuntimeId::of(&named_by),
        Arc::new(|| {}),
        Arc::new(hook),
        SlowPolls::default(),
    );
    let future = poll_fn(move |context| {
        its.set(Some(context.waker().clone()));
        Poll::<()>::Pending
    });
    drop(executor.spawn(future, origin()));
    executor.pop().unwrap().run();
    executor.end_all();
    executor.close();
    drop(executor);
    wake(place.take().unwrap());
}

#[test]
fn wakers_are_used_on_another_thread_while_everything_ends() {
    for _ in 0..if cfg!(miri) { 3 } else { 100 } {
        let owner = Owner::new();
        let (sender, receiver) = std::sync::mpsc::channel();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let sender = sender.clone();
                owner.spawn(poll_fn(move |context| {
                    sender.send(context.waker().clone()).unwrap();
                    Poll::<()>::Pending
                }))
            })
            .collect();
        drop(sender);
        owner.run();
        let wakers: Vec<Waker> = receiver.try_iter().collect();
        let other = thread::spawn(move || {
            for waker in wakers {
                let clone = waker.clone();
                waker.wake();
                clone.wake_by_ref();
            }
        });
        owner.run();
        owner.close();
        drop(tasks);
        drop(owner);
        other.join().unwrap();
    }
}
