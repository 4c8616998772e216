//! Waiting for some of many tasks, without cancelling any.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::future_set::FutureSet;
use crate::task::{JoinError, JoinHandle, budget};
use crate::time::{Sleep, sleep};

/// When [`wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnWhen {
    /// When a task has ended, in whatever way.
    #[doc(alias = "asyncio.FIRST_COMPLETED")]
    FirstCompleted,
    /// When a task has failed, or all have ended. A task fails by a panic, and by an output that
    /// [`Wait::failing_if`] says is one. Being cancelled is no failure, as in asyncio.
    #[doc(alias = "asyncio.FIRST_EXCEPTION")]
    FirstException,
    /// When all have ended.
    #[doc(alias = "asyncio.ALL_COMPLETED")]
    AllCompleted,
}

/// Waits for tasks, at most for `timeout` if one is given, and gives back their handles: those of the
/// tasks that have ended, all of them, and those of the others, each in the order given. It cancels
/// nothing, also when the time is up.
///
/// Takes a collection of [`JoinHandle`]s or of `&mut JoinHandle`s, and gives back the same. Of no
/// tasks at all it is ready at once, where asyncio raises an error.
///
/// Called in a loop for one task after the other it costs as much as there are tasks each time;
/// [`as_completed`](fn@super::as_completed) and [`TaskSet`](super::TaskSet) do not.
///
/// # Panics
///
/// When polled, if one of the handles is that of the calling task itself.
///
/// # Cancel safety
///
/// Dropped in the middle, tasks whose handles it *owns* are cancelled, and those whose handles it has
/// borrowed go on. In asyncio tasks go on in any case; borrow the handles for that.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::join::{ReturnWhen, wait};
/// use annulus::time::sleep;
///
/// annulus::run(async {
///     let tasks = [9000, 1].map(|millis| annulus::spawn(sleep(Duration::from_millis(millis))));
///     let (done, pending) = wait(tasks, ReturnWhen::FirstCompleted, None).await;
///     assert_eq!((done.len(), pending.len()), (1, 1));
///     // The tasks that are still pending go on, unless somebody cancels them.
///     for task in pending {
///         task.cancel();
///     }
///
///     let mut tasks = vec![annulus::spawn(sleep(Duration::from_secs(9)))];
///     let limit = Duration::from_millis(1);
///     let (done, pending) = wait(&mut tasks, ReturnWhen::AllCompleted, limit).await;
///     assert_eq!((done.len(), pending.len()), (0, 1));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.wait")]
#[doc(alias = "select")]
#[doc(alias = "select_all")]
pub fn wait<H: Handle>(
    handles: impl IntoIterator<Item = H>,
    return_when: ReturnWhen,
    timeout: impl Into<Option<Duration>>,
) -> Wait<H> {
    let watched = handles.into_iter().map(|handle| Watched(Some(handle)));
    let waiting = if return_when == ReturnWhen::AllCompleted {
        Waiting::InOrder { watched: watched.collect(), ended: 0 }
    } else {
        let mut children = FutureSet::with_capacity(watched.size_hint().0);
        let ended = watched.map(|watched| {
            children.push(watched);
            None
        });
        let ended = ended.collect();
        Waiting::ForAny { children, ended }
    };
    let limit = timeout.into().map(sleep);
    Wait { waiting: Some(waiting), return_when, limit, is_failure: |_| false }
}

/// What [`wait`] takes: a [`JoinHandle`] or a `&mut JoinHandle`.
pub trait Handle: sealed::Handle {}

impl<T> Handle for JoinHandle<T> {}
impl<T> Handle for &mut JoinHandle<T> {}

mod sealed {
    use crate::task::JoinHandle;

    pub trait Handle {
        type Output;

        fn handle(&self) -> &JoinHandle<Self::Output>;

        /// Nobody waits any more: cancels the task if its handle was given by value.
        fn let_go(&self);
    }

    impl<T> Handle for JoinHandle<T> {
        type Output = T;

        fn handle(&self) -> &JoinHandle<T> {
            self
        }

        fn let_go(&self) {
            self.cancel();
        }
    }

    impl<T> Handle for &mut JoinHandle<T> {
        type Output = T;

        fn handle(&self) -> &JoinHandle<T> {
            self
        }

        fn let_go(&self) {}
    }
}

/// The future of [`wait`]: gives the handles of the tasks that have ended, and the others.
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<H: Handle> {
    waiting: Option<Waiting<H>>,
    return_when: ReturnWhen,
    limit: Option<Sleep>,
    is_failure: fn(&H::Output) -> bool,
}

enum Waiting<H: Handle> {
    /// For all: one after the other, so none needs a waker of its own.
    InOrder { watched: Vec<Watched<H>>, ended: usize },
    /// For some: the one that wakes is the one to look at.
    ForAny { children: FutureSet<Watched<H>>, ended: Vec<Option<H>> },
}

impl<H: Handle> Wait<H> {
    /// Says which outputs count as failures for [`ReturnWhen::FirstException`], beside panics.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::join::{ReturnWhen, wait};
    ///
    /// annulus::run(async {
    ///     let tasks = [false, true].map(|fails| {
    ///         annulus::spawn(async move {
    ///             if fails { Err("failed") } else { std::future::pending().await }
    ///         })
    ///     });
    ///     let wait = wait(tasks, ReturnWhen::FirstException, None);
    ///     let (failed, pending): (Vec<_>, Vec<_>) = wait.failing_if(Result::<(), _>::is_err).await;
    ///     assert_eq!((failed.len(), pending.len()), (1, 1));
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn failing_if(mut self, is_failure: fn(&H::Output) -> bool) -> Self {
        self.is_failure = is_failure;
        self
    }

    /// Whether what has ended is what was waited for.
    fn suffices(&self, ended: &H) -> bool {
        match self.return_when {
            ReturnWhen::FirstCompleted => true,
            ReturnWhen::FirstException => match ended.handle().peek() {
                Some(Ok(output)) => (self.is_failure)(output),
                Some(Err(error)) => matches!(error, JoinError::Panicked(_)),
                None => false,
            },
            ReturnWhen::AllCompleted => false,
        }
    }

    /// Waits for tasks to end, regardless of the time.
    fn poll_tasks(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.take().expect("this was awaited to its end already");
        let polled = match &mut waiting {
            Waiting::InOrder { watched, ended } => poll_in_order(watched, ended, context),
            Waiting::ForAny { children, ended } => self.poll_any(children, ended, context),
        };
        self.waiting = Some(waiting);
        polled
    }

    fn poll_any(
        &self,
        children: &mut FutureSet<Watched<H>>,
        ended: &mut [Option<H>],
        context: &mut Context<'_>,
    ) -> Poll<()> {
        children.begin(context);
        while let Some((index, handle)) = ready!(children.advance(context)) {
            let suffices = self.suffices(&handle);
            ended[index] = Some(handle);
            if suffices {
                return Poll::Ready(());
            }
        }
        budget::poll_spend(context)
    }
}

fn poll_in_order<H: Handle>(
    watched: &[Watched<H>],
    ended: &mut usize,
    context: &mut Context<'_>,
) -> Poll<()> {
    while let Some(next) = watched.get(*ended) {
        ready!(next.poll_finished(context));
        *ended += 1;
    }
    budget::poll_spend(context)
}

impl<H: Handle> Waiting<H> {
    /// All handles, in the order given.
    fn into_handles(self) -> impl Iterator<Item = H> {
        let handles: Vec<_> = match self {
            Self::InOrder { watched, .. } => {
                watched.into_iter().map(Watched::into_handle).collect()
            }
            Self::ForAny { children, mut ended } => {
                for (index, watched) in children.into_unfinished() {
                    ended[index] = watched.into_handle();
                }
                ended
            }
        };
        handles.into_iter().flatten()
    }
}

impl<H: Handle> Unpin for Wait<H> {}

impl<H: Handle> Future for Wait<H> {
    type Output = (Vec<H>, Vec<H>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.poll_tasks(context).is_pending() {
            let Some(limit) = &mut self.limit else { return Poll::Pending };
            ready!(Pin::new(limit).poll(context));
        }
        let waiting = self.waiting.take().expect("it was there for `poll_tasks`");
        Poll::Ready(waiting.into_handles().partition(|handle| handle.handle().is_finished()))
    }
}

impl<H: Handle> fmt::Debug for Wait<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("return_when", &self.return_when).finish_non_exhaustive()
    }
}

/// A handle whose task is waited for. Dropped with it, it lets go of the task.
struct Watched<H: Handle>(Option<H>);

impl<H: Handle> Watched<H> {
    fn poll_finished(&self, context: &Context<'_>) -> Poll<()> {
        let handle = self.0.as_ref().expect("the handle is there until the task has ended");
        handle.handle().poll_finished(context)
    }

    fn into_handle(mut self) -> Option<H> {
        mem::take(&mut self.0)
    }
}

impl<H: Handle> Unpin for Watched<H> {}

impl<H: Handle> Future for Watched<H> {
    type Output = H;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<H> {
        ready!(self.poll_finished(context));
        Poll::Ready(self.0.take().expect("the handle is there until the task has ended"))
    }
}

impl<H: Handle> Drop for Watched<H> {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.let_go();
        }
    }
}
