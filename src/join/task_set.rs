//! Tasks that belong together, whose outcomes are taken in the order in which they end.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::stream::FusedStream;

use super::future_set::FutureSet;
use crate::runtime::{spawn, spawn_named};
use crate::task::{Join, JoinError, JoinHandle, TaskId, coop};

/// A set of tasks with the same output. Dropping it cancels them.
///
/// The tasks run whether or not the set is awaited, and may be added at any time. An outcome stays
/// in the set until it is taken, by [`join_next`](Self::join_next) or as a [`Stream`]. For children
/// that borrow, or whose first failure ends the others, use [`task_group`](fn@super::task_group).
///
/// A panic that has not been taken when the set is dropped goes to
/// [`Builder::on_incident`](crate::Builder::on_incident).
///
/// # Example
///
/// ```
/// use annulus::join::TaskSet;
///
/// annulus::run(async {
///     let mut tasks = TaskSet::new();
///     for n in 1..=3 {
///         tasks.spawn(async move { n * n });
///     }
///     let mut sum = 0;
///     while let Some(outcome) = tasks.join_next().await {
///         sum += outcome.unwrap();
///     }
///     assert_eq!(sum, 14);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.as_completed")]
#[doc(alias = "JoinSet")]
pub struct TaskSet<T> {
    members: FutureSet<Member<T>>,
}

impl<T> TaskSet<T> {
    /// Creates a set without tasks.
    pub fn new() -> Self {
        Self { members: FutureSet::with_capacity(0) }
    }

    /// How many outcomes are still to be taken, of running and of ended tasks.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no outcome is left to be taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts a task, as [`spawn`](crate::spawn()) does.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn spawn(&mut self, future: impl Future<Output = T> + 'static) -> TaskId {
        self.insert(spawn(future))
    }

    /// Starts a task with a name; otherwise like [`spawn`](Self::spawn).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_named(
        &mut self,
        name: impl Into<Arc<str>>,
        future: impl Future<Output = T> + 'static,
    ) -> TaskId {
        self.insert(spawn_named(name, future))
    }

    /// Adds a task that is already running.
    pub fn insert(&mut self, task: JoinHandle<T>) -> TaskId {
        let id = task.id();
        self.members.push(Member(task.into_future()));
        id
    }

    /// Waits for a task to end, and takes its outcome.
    ///
    /// Returns `None` if the set is empty.
    ///
    /// In a `select!` with other branches, use [`select_next_some`] on the set, which waits while
    /// the set is empty; see [the module](crate::join#a-server-that-owns-its-connections).
    ///
    /// [`select_next_some`]: futures_util::StreamExt::select_next_some
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses no outcome.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        Some(self.join_next_with_id().await?.1)
    }

    /// Like [`join_next`](Self::join_next), and also returns which task it was.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses no outcome.
    pub async fn join_next_with_id(&mut self) -> Option<(TaskId, Result<T, JoinError>)> {
        poll_fn(|context| self.poll_join(context)).await
    }

    fn poll_join(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<(TaskId, Result<T, JoinError>)>> {
        if self.is_empty() {
            return coop::poll_spend(context).map(|()| None);
        }
        self.members.begin(context);
        self.members.advance(context).map(|next| Some(next?.1))
    }

    /// Cancels every task.
    ///
    /// The outcome of a task that had not ended is [`Cancelled`](JoinError::Cancelled).
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::join::TaskSet;
    ///
    /// annulus::run(async {
    ///     let mut tasks = TaskSet::new();
    ///     tasks.spawn(std::future::pending::<()>());
    ///     tasks.cancel_all();
    ///     assert!(tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
    ///     assert!(tasks.join_next().await.is_none());
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "abort_all")]
    pub fn cancel_all(&self) {
        for member in self.members.iter() {
            member.0.handle().cancel();
        }
    }
}

impl<T> Default for TaskSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Yields outcomes as [`join_next`](TaskSet::join_next) does. After its end it yields more if tasks
/// are added.
impl<T> Stream for TaskSet<T> {
    type Item = Result<T, JoinError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_join(context).map(|next| Some(next?.1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

/// Terminated while it is empty, so that `select_next_some` waits for tasks to be added instead of
/// being ready at once.
impl<T> FusedStream for TaskSet<T> {
    fn is_terminated(&self) -> bool {
        self.is_empty()
    }
}

impl<T> fmt::Debug for TaskSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSet").field("len", &self.len()).finish()
    }
}

/// Waits for a task of the set and returns its id, too. Dropped, it cancels the task.
struct Member<T>(Join<T>);

impl<T> Future for Member<T> {
    type Output = (TaskId, Result<T, JoinError>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.0.handle().id();
        Pin::new(&mut self.0).poll(context).map(|outcome| (id, outcome))
    }
}
