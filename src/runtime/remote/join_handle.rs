//! Waiting for a remote task's outcome, from any thread.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::FusedFuture;

use super::outcome::Outcome;
use crate::task::blocking::block_on;
use crate::task::{JoinError, coop};

/// What contains an outcome, and the closure that is to produce it.
pub(super) trait HasOutcome<T>: Send + Sync {
    fn outcome(&self) -> &Outcome<T>;
}

/// The handle of a task on another thread's runtime, which joins or cancels it.
///
/// A future of the task's outcome, under any executor and on any thread. Made by
/// [`Handle::spawn`](crate::Handle::spawn) and [`Handle::call`](crate::Handle::call).
///
/// Dropping it, or an await of it, *detaches* the task, which continues:
/// [`cancel`](Self::cancel) ends it.
///
/// # Errors
///
/// Awaiting returns a [`JoinError`] if the task panicked or was cancelled, or if the runtime ended
/// before the task did ([`JoinError::Ended`]).
///
/// # Panics
///
/// If it is polled after completion. So does an await, inside of one runtime, of a task of another
/// runtime of the same thread that has not ended: that task cannot run meanwhile.
///
/// # Where the output is dropped
///
/// The future of a task, and a closure that was queued, are dropped on the thread of the runtime.
/// An output is dropped there too if the handle is dropped before the task has ended. Otherwise the
/// handle contains the output, and drops it where the handle is dropped. A panic that no handle has
/// returned goes to the runtime's [`Builder::on_incident`](crate::Builder::on_incident), on the
/// same thread.
///
/// # Example
///
/// ```
/// use std::thread;
///
/// annulus::run(async {
///     let handle = annulus::Handle::current();
///     let answer = thread::spawn(move || {
///         let task = handle.spawn(|| async { 6 * 7 }).unwrap();
///         task.join_blocking().unwrap()
///     });
///     assert_eq!(annulus::blocking::to_thread(|| answer.join().unwrap()).await.unwrap(), 42);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "concurrent.futures.Future")]
#[doc(alias = "JoinHandle")]
#[must_use = "dropped, the handle detaches the task and drops its outcome"]
pub struct RemoteJoinHandle<T> {
    task: Arc<dyn HasOutcome<T>>,
    is_terminated: bool,
}

impl<T> RemoteJoinHandle<T> {
    pub(super) fn new(task: Arc<dyn HasOutcome<T>>) -> Self {
        Self { task, is_terminated: false }
    }

    /// Cancels the task. Returns `false` if it has ended already.
    ///
    /// Its future is dropped on its own thread, instead of its next poll, and joining it returns
    /// [`JoinError::Cancelled`]. A closure that has not begun is dropped there without being run.
    /// This does not wait. A closure that is running, or a task that completes in the poll that is
    /// under way, is not interrupted: joining it returns its output.
    #[doc(alias = "abort")]
    #[doc(alias = "concurrent.futures.Future.cancel")]
    pub fn cancel(&self) -> bool {
        self.task.outcome().cancel()
    }

    /// Whether the task has ended: completed, panicked, cancelled, or with its runtime.
    #[doc(alias = "concurrent.futures.Future.done")]
    pub fn is_finished(&self) -> bool {
        self.task.outcome().is_finished()
    }

    /// Waits for the outcome, and blocks the thread until then.
    ///
    /// For threads without an event loop.
    ///
    /// # Errors
    ///
    /// As for an await.
    ///
    /// # Panics
    ///
    /// Inside of a runtime, even if the remote task has ended: it would block the event loop. That
    /// is in a task, in a closure that another shard [sent](crate::shards::Shard::run_on), and in a
    /// destructor while the runtime ends. On the thread of the task's own runtime, if the task has
    /// not ended: it cannot run meanwhile.
    #[doc(alias = "blocking_join")]
    #[doc(alias = "concurrent.futures.Future.result")]
    #[track_caller]
    pub fn join_blocking(self) -> Result<T, JoinError> {
        assert!(
            !self.task.outcome().queue.is_own() || self.is_finished() || crate::task::is_in_task(),
            "`RemoteJoinHandle::join_blocking` called on the thread of the task's runtime: the \
             task cannot run meanwhile; await the handle inside of the runtime"
        );
        block_on(self, "RemoteJoinHandle::join_blocking", "await")
    }
}

impl<T> Unpin for RemoteJoinHandle<T> {}

impl<T> Future for RemoteJoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.is_terminated, "`RemoteJoinHandle` was polled after completion");
        ready!(coop::poll_spend(context));
        let outcome = self.task.outcome();
        let polled = outcome.poll(context);
        match &polled {
            Poll::Ready(_) => self.is_terminated = true,
            Poll::Pending => outcome.queue.check_wait(),
        }
        polled
    }
}

impl<T> FusedFuture for RemoteJoinHandle<T> {
    fn is_terminated(&self) -> bool {
        self.is_terminated
    }
}

impl<T> Drop for RemoteJoinHandle<T> {
    fn drop(&mut self) {
        if !self.is_terminated {
            self.task.outcome().detach();
        }
    }
}

impl<T> fmt::Debug for RemoteJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJoinHandle")
            .field("name", &self.task.outcome().name)
            .field("finished", &self.is_finished())
            .finish()
    }
}
