//! One call: in the queue, and as the task that becomes of it.

use std::future::{Future, Ready, poll_fn, ready};
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use super::error::SpawnError;
use super::join_handle::{HasOutcome, RemoteJoinHandle};
use super::outcome::Outcome;
use super::queue::{CallQueue, Queued, UnpolledGuard};
use crate::error::{catch_panic, discard};
use crate::task::{Executor, JoinError, Origin, TaskId, current_id};

/// A closure that makes a future on the runtime's thread.
pub(in crate::runtime) trait Work: Send + 'static {
    type Output: Send + 'static;
    type Future: Future<Output = Self::Output> + 'static;

    fn start(self) -> Self::Future;
}

/// A closure whose future is to be awaited.
pub(in crate::runtime) struct Spawned<F>(pub(in crate::runtime) F);

/// [`Spawned`], of a future that is boxed because it is large.
pub(in crate::runtime) struct Large<F>(pub(in crate::runtime) F);

/// A closure whose value is the output.
pub(in crate::runtime) struct Called<F>(pub(in crate::runtime) F);

impl<F, T> Work for Spawned<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Future + 'static,
    T::Output: Send + 'static,
{
    type Output = T::Output;
    type Future = T;

    fn start(self) -> T {
        (self.0)()
    }
}

impl<F, T> Work for Large<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Future + 'static,
    T::Output: Send + 'static,
{
    type Output = T::Output;
    type Future = Pin<Box<T>>;

    fn start(self) -> Pin<Box<T>> {
        Box::pin((self.0)())
    }
}

impl<F, T> Work for Called<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;
    type Future = Ready<T>;

    fn start(self) -> Ready<T> {
        ready((self.0)())
    }
}

/// One allocation, shared by the queue, then the task, with the handle.
pub(super) struct Call<W: Work> {
    /// `None` once the task has begun or was dropped, or the queue has refused the call.
    work: Mutex<Option<W>>,
    outcome: Outcome<W::Output>,
    /// The task that made the call, if one did.
    parent: Option<TaskId>,
}

/// Queues a call.
pub(in crate::runtime) fn push<W: Work>(
    queue: &Arc<CallQueue>,
    work: W,
    name: Option<Arc<str>>,
    spawned_at: &'static Location<'static>,
) -> Result<RemoteJoinHandle<W::Output>, SpawnError<W>> {
    let outcome = Outcome::new(Arc::clone(queue), name, spawned_at);
    let call = Call { work: Mutex::new(Some(work)), outcome, parent: current_id() };
    let call = Arc::new(call);
    match queue.push(Arc::clone(&call) as Arc<dyn Queued>) {
        Ok(()) => Ok(RemoteJoinHandle::new(call)),
        Err(refusal) => {
            Err(refusal.map(|()| call.take_work().expect("a call that was refused has not begun")))
        }
    }
}

impl<W: Work> Call<W> {
    fn take_work(&self) -> Option<W> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Drops the closure, if the task has not begun, and ends with this error.
    fn end(&self, error: JoinError) {
        self.outcome.end(after(Err(error), || drop(self.take_work())));
    }
}

impl<W: Work> HasOutcome<W::Output> for Call<W> {
    fn outcome(&self) -> &Outcome<W::Output> {
        &self.outcome
    }
}

impl<W: Work> Queued for Call<W> {
    fn start(self: Arc<Self>, executor: &Executor, unpolled: UnpolledGuard) {
        if self.outcome.is_cancelled() {
            self.end(JoinError::Cancelled);
            return;
        }
        let Outcome { name, spawned_at, .. } = &self.outcome;
        let origin = Origin { name: name.clone(), parent: self.parent, spawned_at };
        drop(executor.spawn(run(Running(Some(self)), unpolled), origin));
    }

    fn refuse(&self) {
        self.end(JoinError::Ended);
    }
}

/// A call whose task has not ended. If it is dropped, the runtime has ended before.
struct Running<W: Work>(Option<Arc<Call<W>>>);

impl<W: Work> Running<W> {
    fn call(&self) -> &Call<W> {
        self.0.as_ref().expect("only `end` takes it")
    }

    fn end(mut self, result: Result<W::Output, JoinError>) {
        if let Some(call) = self.0.take() {
            call.outcome.end(result);
        }
    }
}

impl<W: Work> Drop for Running<W> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.end(JoinError::Ended);
        }
    }
}

/// The task. Arguments are dropped after everything else: when the handle learns of the end, the
/// future is gone.
async fn run<W: Work>(running: Running<W>, unpolled: UnpolledGuard) {
    let (mut future, mut has_begun) = (pin!(None), false);
    let result = {
        let outcome = &running.call().outcome;
        let (mut unpolled, mut is_watched) = (Some(unpolled), false);
        let polling = poll_fn(|context| {
            drop(unpolled.take());
            if outcome.is_cancelled() {
                return Poll::Ready(Err(JoinError::Cancelled));
            }
            let polled = catch_unwind(AssertUnwindSafe(|| {
                if !mem::replace(&mut has_begun, true) {
                    let work = running.call().take_work().expect("it begins once");
                    future.set(Some(work.start()));
                }
                let future = future.as_mut().as_pin_mut().expect("the first poll has made it");
                future.poll(context)
            }));
            match polled {
                Err(payload) => Poll::Ready(Err(JoinError::Panicked(payload))),
                Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
                Ok(Poll::Pending) if is_watched => Poll::Pending,
                Ok(Poll::Pending) => {
                    is_watched = true;
                    match outcome.watch(context.waker()) {
                        true => Poll::Ready(Err(JoinError::Cancelled)),
                        false => Poll::Pending,
                    }
                }
            }
        });
        polling.await
    };
    let result = after(result, || {
        future.set(None);
        if !has_begun {
            drop(running.call().take_work());
        }
    });
    running.end(result);
}

/// The result after foreign code has run. Its panic becomes the result, unless that is an earlier
/// panic.
fn after<T>(result: Result<T, JoinError>, foreign: impl FnOnce()) -> Result<T, JoinError> {
    let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) else { return result };
    if let Err(JoinError::Panicked(_)) = &result {
        discard(payload);
        return result;
    }
    // A second panic is not reported; the one before it is.
    let _ = catch_panic(|| drop(result));
    Err(JoinError::Panicked(payload))
}
