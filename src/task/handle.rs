//! Waiting for a task's outcome.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::FusedFuture;

use super::coop;
use super::id::TaskId;
use super::join_error::JoinError;
use super::task_ref::TaskRef;
use crate::error::discard;

/// The handle of a task, which joins or cancels it.
///
/// A handle is not a future but becomes one, which decides what happens to the task, as in asyncio:
///
/// - a handle that is dropped without having been awaited *detaches* the task, which continues;
/// - an await by value (`handle.await`) that is dropped before the end (by a timeout, say)
///   *cancels* the task;
/// - an await by `&mut` (`(&mut handle).await`) that is dropped leaves the task alone, and the
///   handle can be awaited again.
///
/// # Errors
///
/// Awaiting returns a [`JoinError`] if the task panicked or was cancelled.
///
/// # Panics
///
/// A task that awaits its own handle panics, as it would wait for ever. So does an await, inside of
/// one runtime, of a task of another runtime of the same thread that has not ended: that task
/// cannot run meanwhile.
///
/// # Cancel safety
///
/// Dropping an await by value ends the task before the drop returns: its future has been dropped
/// then, and the locks that it held are free. So when `timeout(limit, handle)` returns, the work is
/// over, and when the join of a cancelled task returns, whatever the task owned has been dropped,
/// and the tasks that it owned have ended. In three cases the task ends later:
///
/// - a task that drops the await of itself, or of a task by which it is being ended, ends at its
///   next await;
/// - outside of its runtime's event loop, the task ends instead of its next poll, as after
///   [`cancel`](Self::cancel);
/// - when destructors end tasks whose destructors end tasks, the innermost levels of a long chain
///   (more than 16) end before the outermost drop returns.
///
/// A panic in a destructor is reported like that of a detached task.
///
/// # Outcomes that no join receives
///
/// A panic of a detached task goes to [`Builder::on_incident`](crate::Builder::on_incident). An
/// output is dropped silently, even an `Err`: only the program knows whether that is a failure. A
/// detached task should handle its errors itself; or keep it in a
/// [`TaskSet`](crate::join::TaskSet).
///
/// # Example
///
/// ```
/// annulus::run(async {
///     let handle = annulus::spawn(async { 6 * 7 });
///     assert_eq!(handle.await.unwrap(), 42);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
///
/// # As a future
///
/// `&mut JoinHandle` is a future: it goes into `select!`, `poll!` and other places for futures, and
/// the methods of `FutureExt` borrow the handle. `.await`, [`timeout`](crate::time::timeout) and
/// [`gather`](fn@crate::join::gather) take a handle by value and make a future of it. Where a
/// future by value is needed, as by `FuturesUnordered` or `join_all`, write `handle.into_future()`.
///
/// So the types decide what happens to the task. If the handle itself were the future, it would
/// depend on whether it was ever polled: the task in a `select!` whose other branch is ready at
/// once would continue, and one look at a handle would turn the drop that detaches into one that
/// cancels.
///
/// ```
/// use std::time::Duration;
/// use futures_util::{FutureExt, StreamExt, select};
/// use futures_util::stream::FuturesUnordered;
/// use annulus::time::sleep;
///
/// annulus::run(async {
///     # annulus::time::pause();
///     let tasks = (1..=3).map(|n| annulus::spawn(async move { n }).into_future());
///     let tasks: FuturesUnordered<_> = tasks.collect();
///     assert_eq!(tasks.fold(0, |sum, n| async move { sum + n.unwrap() }).await, 6);
///
///     let mut task = annulus::spawn(sleep(Duration::from_millis(2)));
///     assert!(task.now_or_never().is_none());
///     let mut ticks = 0;
///     loop {
///         select! {
///             outcome = &mut task => break outcome.unwrap(),
///             () = sleep(Duration::from_millis(1)).fuse() => ticks += 1,
///         }
///     }
///     assert!(ticks >= 1);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.Task")]
#[doc(alias = "AbortHandle")]
pub struct JoinHandle<T> {
    task: TaskRef,
    taken: bool,
    /// Whether [`outcome`](Self::outcome) has shown the outcome.
    seen: Cell<bool>,
    _output: PhantomData<T>,
}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// `T` is the output of the task's future, and this is the task's only handle.
    pub(super) unsafe fn new(task: TaskRef) -> Self {
        Self { task, taken: false, seen: Cell::new(false), _output: PhantomData }
    }

    /// Cancels the task. Returns `false` if it has ended already.
    ///
    /// Instead of its next poll the task's future is dropped, and joining it returns
    /// [`JoinError::Cancelled`]. This does not wait; when the join returns, the task is over, with
    /// all that it owned.
    ///
    /// Dropping the future cancels what it was waiting for, and loses nothing: see the crate's
    /// documentation.
    ///
    /// # Example
    ///
    /// ```
    /// annulus::run(async {
    ///     let handle = annulus::spawn(std::future::pending::<()>());
    ///     assert!(handle.cancel());
    ///     assert!(handle.await.unwrap_err().is_cancelled());
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "abort")]
    #[doc(alias = "asyncio.Task.cancel")]
    pub fn cancel(&self) -> bool {
        self.task.cancel()
    }

    /// Whether the task has ended: completed, panicked or cancelled.
    #[doc(alias = "asyncio.Task.done")]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Returns the outcome, if the task has ended and no await has taken it.
    ///
    /// A panic that was seen in this way is not reported when the handle is dropped.
    ///
    /// # Example
    ///
    /// ```
    /// annulus::run(async {
    ///     let handle = annulus::spawn(async { "an output" });
    ///     assert!(handle.outcome().is_none());
    ///     annulus::yield_now().await;
    ///     assert!(matches!(handle.outcome(), Some(Ok("an output"))));
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.Task.result")]
    #[doc(alias = "asyncio.Task.exception")]
    pub fn outcome(&self) -> Option<&Result<T, JoinError>> {
        let outcome = self.peek();
        self.seen.set(outcome.is_some());
        outcome
    }

    /// [`outcome`](Self::outcome) for the library, which does not count as seeing it.
    pub(crate) fn peek(&self) -> Option<&Result<T, JoinError>> {
        if !self.is_finished() {
            return None;
        }
        // SAFETY: `T` is the future's output (`new`). This is the only handle, it takes the outcome
        // only by `&mut`, and discards it only when it is dropped.
        unsafe { self.task.outcome() }
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// The task's name, if it has one.
    #[doc(alias = "asyncio.Task.get_name")]
    pub fn name(&self) -> Option<&str> {
        self.task.header().name.as_deref().map(|name| &**name)
    }

    /// Takes the outcome, if the task has ended and it was not taken before.
    #[inline]
    pub(crate) fn take_outcome(&mut self) -> Option<Result<T, JoinError>> {
        if self.taken || !self.task.is_finished() {
            return None;
        }
        self.taken = true;
        // SAFETY: `T` is the future's output (`new`), and the outcome is taken this once.
        Some(unsafe { self.task.take() })
    }

    /// Detaches the task, which can still be cancelled by what this returns.
    pub(crate) fn detach(self) -> TaskRef {
        self.task.clone()
    }

    /// Waits for the end without taking the outcome.
    #[inline]
    #[track_caller]
    pub(crate) fn poll_finished(&self, context: &Context<'_>) -> Poll<()> {
        if self.task.is_finished() { Poll::Ready(()) } else { self.task.poll_end(context) }
    }

    #[inline]
    #[track_caller]
    fn poll_outcome(&mut self, context: &Context<'_>) -> Poll<Result<T, JoinError>> {
        assert!(!self.taken, "polled after completion: the outcome of this task has been taken");
        ready!(self.poll_finished(context));
        ready!(coop::poll_spend(context));
        Poll::Ready(self.take_outcome().expect("the task has ended and its outcome was not taken"))
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if self.seen.get() && matches!(self.peek(), Some(Err(_))) {
            if let Some(Err(JoinError::Panicked(payload))) = self.take_outcome() {
                discard(payload);
            }
        }
        if !self.taken {
            self.task.detach();
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// The future of a [`JoinHandle`] awaited by value. Dropped before the end, it ends the task in
/// place.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Join<T>(JoinHandle<T>);

impl<T> Join<T> {
    pub(crate) fn handle(&self) -> &JoinHandle<T> {
        &self.0
    }

    /// Takes the outcome, if the task has ended and it was not taken before.
    pub(crate) fn take_outcome(&mut self) -> Option<Result<T, JoinError>> {
        self.0.take_outcome()
    }
}

impl<T> Unpin for Join<T> {}

impl<T> Future for Join<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_outcome(context)
    }
}

impl<T> FusedFuture for Join<T> {
    fn is_terminated(&self) -> bool {
        self.0.taken
    }
}

impl<T> Drop for Join<T> {
    fn drop(&mut self) {
        if !self.0.taken {
            self.0.task.dispose();
        }
    }
}

impl<T> IntoFuture for JoinHandle<T> {
    type Output = Result<T, JoinError>;
    type IntoFuture = Join<T>;

    fn into_future(self) -> Join<T> {
        Join(self)
    }
}

/// Waits for the task. Dropped, it leaves the task alone, and the handle can be awaited again.
impl<T> Future for &mut JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_outcome(context)
    }
}

impl<T> FusedFuture for &mut JoinHandle<T> {
    /// Whether the outcome has been taken.
    fn is_terminated(&self) -> bool {
        self.taken
    }
}
