//! Waiting for some of many tasks, without cancelling any.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::future_set::FutureSet;
use crate::task::{JoinError, JoinHandle, coop};
use crate::time::{Sleep, sleep};

/// When [`wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReturnWhen {
    /// When any task has ended, by an output, a panic or a cancel.
    #[doc(alias = "asyncio.FIRST_COMPLETED")]
    FirstCompleted,
    /// When a task has failed, or all have ended. A panic is a failure, and so is an output that
    /// [`Wait::failing_if`] selects. A cancel is not, as in asyncio.
    #[doc(alias = "asyncio.FIRST_EXCEPTION")]
    FirstException,
    /// When all have ended.
    #[doc(alias = "asyncio.ALL_COMPLETED")]
    AllCompleted,
}

/// Waits for some or all of several tasks, and returns the handles of all.
///
/// Returns two lists, each in the order given: the handles of the tasks that have ended, and those
/// of the others. Waits for at most `timeout`, if one is given. It cancels nothing, even when that
/// has elapsed.
///
/// Takes a collection of [`JoinHandle`]s or of `&mut JoinHandle`s, and returns the same. Without
/// any task it is ready at once, where asyncio raises an error.
///
/// Each call costs time linear in the number of tasks. To take many tasks one after another,
/// [`as_completed`](fn@super::as_completed) and [`TaskSet`](super::TaskSet) are cheaper.
///
/// # Panics
///
/// When polled, if one of the handles is that of the calling task itself.
///
/// # Cancel safety
///
/// Dropped before it is ready, it cancels the tasks whose handles it *owns*; those whose handles
/// are borrowed continue. In asyncio tasks continue in either case; borrow the handles for that.
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
///     // The pending tasks continue unless they are cancelled.
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
pub fn wait<H: Waitable>(
    handles: impl IntoIterator<Item = H>,
    return_when: ReturnWhen,
    timeout: impl Into<Option<Duration>>,
) -> Wait<H> {
    let watched = handles.into_iter().map(|handle| Watched(Some(handle)));
    let waiting = if return_when == ReturnWhen::AllCompleted {
        Waiting::InOrder { watched: watched.collect(), ended: 0 }
    } else {
        let (watched, ended) = FutureSet::with_outputs(watched);
        Waiting::ForAny { watched, ended }
    };
    let limit = timeout.into().map(sleep);
    Wait { waiting: Some(waiting), return_when, limit, is_failure: |_| false }
}

/// A [`JoinHandle`] or a `&mut JoinHandle`, as [`wait`] takes them.
///
/// The trait is sealed.
pub trait Waitable: sealed::Waitable {}

impl<T> Waitable for JoinHandle<T> {}
impl<T> Waitable for &mut JoinHandle<T> {}

mod sealed {
    use crate::task::JoinHandle;

    pub trait Waitable {
        type Output;

        fn handle(&self) -> &JoinHandle<Self::Output>;

        /// The wait was dropped: cancels the task if its handle was given by value.
        fn abandon(&self);
    }

    impl<T> Waitable for JoinHandle<T> {
        type Output = T;

        fn handle(&self) -> &JoinHandle<T> {
            self
        }

        fn abandon(&self) {
            self.cancel();
        }
    }

    impl<T> Waitable for &mut JoinHandle<T> {
        type Output = T;

        fn handle(&self) -> &JoinHandle<T> {
            self
        }

        fn abandon(&self) {}
    }
}

/// The future of [`wait`].
///
/// Returns the handles of the tasks that have ended, and those of the others.
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<H: Waitable> {
    waiting: Option<Waiting<H>>,
    return_when: ReturnWhen,
    limit: Option<Sleep>,
    is_failure: fn(&H::Output) -> bool,
}

enum Waiting<H: Waitable> {
    /// For all: one after the other, so none needs its own waker.
    InOrder { watched: Vec<Watched<H>>, ended: usize },
    /// For any: only a task that has woken this is looked at.
    ForAny { watched: FutureSet<Watched<H>>, ended: Vec<Option<H>> },
}

impl<H: Waitable> Wait<H> {
    /// Selects the outputs that count as failures for [`ReturnWhen::FirstException`].
    ///
    /// Panics count in any case.
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
    ///     let (failed, pending): (Vec<_>, _) = wait.failing_if(Result::<(), _>::is_err).await;
    ///     assert_eq!((failed.len(), pending.len()), (1, 1));
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn failing_if(mut self, is_failure: fn(&H::Output) -> bool) -> Self {
        self.is_failure = is_failure;
        self
    }

    /// Whether a task that has ended ends the wait.
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

    /// Waits for tasks to end, whatever the limit.
    fn poll_tasks(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.take().expect("`Wait` was polled after completion");
        let polled = match &mut waiting {
            Waiting::InOrder { watched, ended } => poll_in_order(watched, ended, context),
            Waiting::ForAny { watched, ended } => self.poll_any(watched, ended, context),
        };
        self.waiting = Some(waiting);
        polled
    }

    fn poll_any(
        &self,
        watched: &mut FutureSet<Watched<H>>,
        ended: &mut [Option<H>],
        context: &mut Context<'_>,
    ) -> Poll<()> {
        watched.begin(context);
        while let Some((index, handle)) = ready!(watched.advance(context)) {
            let suffices = self.suffices(&handle);
            ended[index] = Some(handle);
            if suffices {
                return Poll::Ready(());
            }
        }
        coop::poll_spend(context)
    }
}

fn poll_in_order<H: Waitable>(
    watched: &[Watched<H>],
    ended: &mut usize,
    context: &mut Context<'_>,
) -> Poll<()> {
    while let Some(next) = watched.get(*ended) {
        ready!(next.poll_finished(context));
        *ended += 1;
    }
    coop::poll_spend(context)
}

impl<H: Waitable> Waiting<H> {
    /// All handles, in the order given.
    fn into_handles(self) -> impl Iterator<Item = H> {
        let handles: Vec<_> = match self {
            Self::InOrder { watched, .. } => {
                watched.into_iter().map(Watched::into_handle).collect()
            }
            Self::ForAny { watched, mut ended } => {
                for (index, watched) in watched.into_unfinished() {
                    ended[index] = watched.into_handle();
                }
                ended
            }
        };
        handles.into_iter().flatten()
    }
}

impl<H: Waitable> Unpin for Wait<H> {}

impl<H: Waitable> Future for Wait<H> {
    type Output = (Vec<H>, Vec<H>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.poll_tasks(context).is_pending() {
            let Some(limit) = &mut self.limit else { return Poll::Pending };
            ready!(Pin::new(limit).poll(context));
        }
        let waiting = self.waiting.take().expect("`poll_tasks` has put it back");
        Poll::Ready(waiting.into_handles().partition(|handle| handle.handle().is_finished()))
    }
}

impl<H: Waitable> fmt::Debug for Wait<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("return_when", &self.return_when).finish_non_exhaustive()
    }
}

/// A handle whose task is waited for. Dropped while it holds the handle, it abandons the task.
struct Watched<H: Waitable>(Option<H>);

impl<H: Waitable> Watched<H> {
    fn poll_finished(&self, context: &Context<'_>) -> Poll<()> {
        let handle = self.0.as_ref().expect("the handle is taken only when the task has ended");
        handle.handle().poll_finished(context)
    }

    fn into_handle(mut self) -> Option<H> {
        mem::take(&mut self.0)
    }
}

impl<H: Waitable> Unpin for Watched<H> {}

impl<H: Waitable> Future for Watched<H> {
    type Output = H;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<H> {
        ready!(self.poll_finished(context));
        Poll::Ready(self.0.take().expect("the handle is taken only when the task has ended"))
    }
}

impl<H: Waitable> Drop for Watched<H> {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abandon();
        }
    }
}
