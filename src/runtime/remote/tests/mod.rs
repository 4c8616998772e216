//! Remote calls without a kernel and a runtime, so that Miri can run them: who drops what, where,
//! and what becomes of panics ([`panics`]) and at the end of the runtime ([`ends`]). Here are what
//! the tests share, and outcomes.

mod ends;
mod panics;

use std::future::{Future, pending};
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use super::{CallQueue, Called, RemoteCalls, RemoteJoinHandle, RemoteQueue, Spawned, push};
use crate::error::Incident;
use crate::task::{Executor, JoinError, RunningGuard, RuntimeId};
use crate::trace::SlowPolls;

const MAX: usize = 16;
const AT_ONCE: usize = 4;

/// The owner of an executor and of a queue of calls.
struct Owner {
    executor: Executor,
    calls: RemoteCalls,
    id: RuntimeId,
    incidents: Arc<Mutex<Vec<String>>>,
    _named_by: Rc<()>,
}

impl Owner {
    fn new() -> Self {
        let (incidents, named_by) = (Arc::new(Mutex::new(Vec::new())), Rc::new(()));
        let (its, id) = (Arc::clone(&incidents), RuntimeId::of(&named_by));
        let hook = move |incident: &Incident| its.lock().unwrap().push(incident.to_string());
        let hook: Arc<dyn Fn(&Incident) + Send + Sync> = Arc::new(hook);
        let executor = Executor::new(id, Arc::new(|| {}), Arc::clone(&hook), SlowPolls::default());
        let queue = CallQueue::new(MAX, executor.notifier(), hook);
        let calls = RemoteCalls::new(queue, AT_ONCE);
        Self { executor, calls, id, incidents, _named_by: named_by }
    }

    fn queue(&self) -> Arc<CallQueue> {
        Arc::clone(self.calls.queue())
    }

    /// One turn of an event loop. Returns whether it must not sleep.
    fn turn(&self) -> bool {
        let _running = RunningGuard::try_begin(self.id).expect("no loop inside of a loop");
        if self.executor.receive() && self.calls.receive(&self.executor) {
            self.executor.notify();
        }
        while let Some(task) = self.executor.pop() {
            task.run();
        }
        !self.executor.park()
    }

    fn run_until_finished<T>(&self, handle: &RemoteJoinHandle<T>) {
        while !handle.is_finished() {
            self.turn();
            thread::yield_now();
        }
    }

    fn close(&self) {
        let _running = RunningGuard::nested(self.id);
        self.calls.close();
        self.executor.end_all();
        self.executor.close();
    }

    /// The incidents since the last call.
    fn incidents(&self) -> Vec<String> {
        mem::take(&mut self.incidents.lock().unwrap())
    }
}

fn call<T: Send + 'static>(
    queue: &Arc<CallQueue>,
    closure: impl FnOnce() -> T + Send + 'static,
) -> RemoteJoinHandle<T> {
    push(queue, Called(closure), None, Location::caller()).expect("the queue has room")
}

fn spawn<F: Future<Output: Send> + 'static>(
    queue: &Arc<CallQueue>,
    closure: impl FnOnce() -> F + Send + 'static,
) -> RemoteJoinHandle<F::Output> {
    push(queue, Spawned(closure), None, Location::caller()).expect("the queue has room")
}

/// Sends the thread on which it is dropped, and may panic then.
struct Dropped(mpsc::Sender<ThreadId>, Option<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send(thread::current().id()).unwrap();
        if let Some(text) = self.1 {
            panic!("{text}");
        }
    }
}

/// A waker that counts, or panics.
#[derive(Default)]
struct Woken {
    count: AtomicUsize,
    panics: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.load(Ordering::SeqCst), "of a waker");
    }
}

fn poll<T>(handle: &mut RemoteJoinHandle<T>, woken: &Arc<Woken>) -> Poll<Result<T, JoinError>> {
    let waker = Waker::from(Arc::clone(woken));
    Pin::new(handle).poll(&mut Context::from_waker(&waker))
}

fn joined<T>(handle: &mut RemoteJoinHandle<T>) -> Result<T, JoinError> {
    match poll(handle, &Arc::default()) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the task has not ended"),
    }
}

fn text<T>(result: Result<T, JoinError>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn an_outcome_is_dropped_by_the_side_that_comes_last() {
    let owner = Owner::new();
    let own = thread::current().id();
    // The handle is dropped before the task ends.
    let (sender, drops) = mpsc::channel();
    let output = Dropped(sender, None);
    let queue = owner.queue();
    thread::spawn(move || drop(call(&queue, move || output))).join().unwrap();
    assert!(drops.try_recv().is_err());
    owner.turn();
    assert_eq!(drops.try_recv(), Ok(own));
    // The task ends first, and another thread drops the handle.
    let (sender, drops) = mpsc::channel();
    let output = Dropped(sender, None);
    let handle = call(&owner.queue(), move || output);
    owner.turn();
    let other = thread::spawn(move || (drop(handle), thread::current().id()).1).join().unwrap();
    assert_eq!(drops.try_recv(), Ok(other));
    // Both at once: it is dropped once, wherever.
    for _ in 0..if cfg!(miri) { 3 } else { 100 } {
        let (sender, drops) = mpsc::channel();
        let output = Dropped(sender, None);
        let handle = call(&owner.queue(), move || output);
        let other = thread::spawn(move || drop(handle));
        owner.turn();
        other.join().unwrap();
        assert_eq!(drops.iter().count(), 1);
    }
    owner.close();
}

#[test]
fn no_more_calls_become_tasks_than_may_be_polled() {
    let owner = Owner::new();
    let count = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..MAX)
        .map(|_| {
            let its = Arc::clone(&count);
            call(&owner.queue(), move || its.fetch_add(1, Ordering::Relaxed))
        })
        .collect();
    let full = push(&owner.queue(), Called(|| 0), None, Location::caller()).unwrap_err();
    assert!(full.is_full());
    for turn in 1..=MAX / AT_ONCE {
        let must_not_sleep = owner.turn();
        assert_eq!(count.load(Ordering::Relaxed), turn * AT_ONCE);
        assert_eq!(must_not_sleep, turn < MAX / AT_ONCE);
    }
    assert_eq!(owner.calls.received(), MAX as u64);

    // Those that were received and not polled count, as the ready queue must not grow either.
    let again: Vec<_> = (0..2 * AT_ONCE).map(|_| call(&owner.queue(), || 0)).collect();
    assert!(owner.executor.receive() && owner.calls.receive(&owner.executor));
    assert!(owner.calls.receive(&owner.executor));
    assert_eq!(owner.executor.count_ready(), AT_ONCE);
    drop((handles, again));
    owner.close();
}

#[test]
fn the_waker_of_the_last_poll_is_woken_wherever_the_handle_has_moved() {
    let owner = Owner::new();
    let mut handle = call(&owner.queue(), || 5);
    let wakers = [(); 3].map(|()| Arc::<Woken>::default());
    assert!(poll(&mut handle, &wakers[0]).is_pending());
    let last = Arc::clone(&wakers[1]);
    let mut handle = thread::spawn(move || {
        assert!(poll(&mut handle, &last).is_pending());
        handle
    })
    .join()
    .unwrap();
    owner.turn();
    let counts = wakers.each_ref().map(|waker| waker.count.load(Ordering::SeqCst));
    assert_eq!(counts, [0, 1, 0]);
    assert_eq!(joined(&mut handle).unwrap(), 5);
    let again = catch_unwind(AssertUnwindSafe(|| joined(&mut handle).unwrap()));
    assert!(again.unwrap_err().downcast_ref::<&str>().unwrap().contains("after completion"));
    owner.close();
}

#[test]
fn a_forgotten_handle_keeps_its_outcome_and_no_more() {
    let owner = Owner::new();
    let (sender, drops) = mpsc::channel();
    let (in_closure, in_future) = (Dropped(sender.clone(), None), Dropped(sender, None));
    mem::forget(call(&owner.queue(), move || drop(in_closure)));
    let mut polled = spawn(&owner.queue(), move || async move {
        let _dropped = in_future;
        pending::<()>().await;
    });
    assert!(poll(&mut polled, &Arc::default()).is_pending());
    mem::forget(polled);
    owner.turn();
    assert_eq!(drops.try_iter().count(), 1);
    owner.close();
    assert_eq!(drops.iter().count(), 1);
}

#[test]
fn a_task_that_cancels_itself_ends_at_its_next_await() {
    let owner = Owner::new();
    let slot = Arc::new(Mutex::new(None::<RemoteJoinHandle<()>>));
    let its = Arc::clone(&slot);
    let handle = spawn(&owner.queue(), move || async move {
        assert!(its.lock().unwrap().as_ref().unwrap().cancel());
        pending::<()>().await;
    });
    *slot.lock().unwrap() = Some(handle);
    owner.turn();
    let mut handle = slot.lock().unwrap().take().unwrap();
    assert!(joined(&mut handle).unwrap_err().is_cancelled());
    assert!(!handle.cancel());
    owner.close();
}
