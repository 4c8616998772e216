//! Outputs in the order in which they come.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;

use super::future_set::FutureSet;
use super::joinable::Joinable;
use crate::task::budget;
use crate::time::{Elapsed, Sleep, sleep};

/// Runs all of them together and gives each output as soon as it is there, with the number of the
/// child that it came from, counted from zero in the order given.
///
/// Takes any collection of futures or of [`JoinHandle`](crate::JoinHandle)s, by value or by `&mut`.
/// The [`Stream`] that it gives may be left and taken up again later.
///
/// # Panics
///
/// The stream panics if a future does, and can be polled further for the others. The panic of a
/// *task* is its output.
///
/// # Cancel safety
///
/// Awaiting the next output and dropping that await loses nothing. Dropping the stream cancels what
/// it owns: futures and the tasks of handles by value.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::join::as_completed;
/// use annulus::time::sleep;
/// use futures_util::StreamExt;
///
/// annulus::run(async {
///     let mut completed = as_completed([20, 1, 10].map(async |millis| {
///         sleep(Duration::from_millis(millis)).await;
///         millis
///     }));
///     let mut order = Vec::new();
///     while let Some((index, millis)) = completed.next().await {
///         order.push((index, millis));
///     }
///     assert_eq!(order, [(1, 1), (2, 10), (0, 20)]);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.as_completed")]
#[doc(alias = "FuturesUnordered")]
#[doc(alias = "buffer_unordered")]
pub fn as_completed<C: Joinable<Kind>, Kind>(
    children: impl IntoIterator<Item = C>,
) -> AsCompleted<C::Future> {
    let futures = children.into_iter().map(C::into_child);
    let mut children = FutureSet::with_capacity(futures.size_hint().0);
    // In an empty set, indices are given in order, and none is given again as nothing is added.
    for future in futures {
        children.push(future);
    }
    AsCompleted { children }
}

/// The stream of [`as_completed`].
#[must_use = "streams do nothing unless polled"]
pub struct AsCompleted<F> {
    children: FutureSet<F>,
}

impl<F> AsCompleted<F> {
    /// How many have not been given yet.
    pub fn remaining(&self) -> usize {
        self.children.len()
    }

    /// Limits the time for all of them together, counted from this call.
    ///
    /// When the time is up the stream gives [`Elapsed`] instead of an output, and ends; nothing is
    /// cancelled until it is dropped, and [`resume`](AsCompletedWithin::resume) gives the rest.
    ///
    /// The first output comes after each child has been polled once, which for very many may take
    /// longer than the limit. `futures_util`'s `buffer_unordered` begins only so many at a time.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use annulus::join::as_completed;
    /// use annulus::time::{Elapsed, sleep};
    /// use futures_util::StreamExt;
    ///
    /// annulus::run(async {
    ///     let sleeps = [1, 40].map(|millis| sleep(Duration::from_millis(millis)));
    ///     let mut completed = as_completed(sleeps).timeout(Duration::from_millis(20));
    ///     assert_eq!(completed.next().await, Some(Ok((0, ()))));
    ///     assert_eq!(completed.next().await, Some(Err(Elapsed)));
    ///     assert_eq!(completed.next().await, None);
    ///     assert_eq!(completed.resume().next().await, Some((1, ())));
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn timeout(self, limit: Duration) -> AsCompletedWithin<F> {
        AsCompletedWithin { completed: self, limit: Some(sleep(limit)) }
    }
}

impl<F: Future + Unpin> Stream for AsCompleted<F> {
    type Item = (usize, F::Output);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.remaining() == 0 {
            return budget::poll_spend(context).map(|()| None);
        }
        self.children.begin(context);
        self.children.advance(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.remaining()))
    }
}

impl<F> Unpin for AsCompleted<F> {}

impl<F> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("remaining", &self.remaining()).finish()
    }
}

/// The stream of [`AsCompleted::timeout`].
#[must_use = "streams do nothing unless polled"]
pub struct AsCompletedWithin<F> {
    completed: AsCompleted<F>,
    /// Absent once the time is up.
    limit: Option<Sleep>,
}

impl<F> AsCompletedWithin<F> {
    /// How many have not been given yet.
    pub fn remaining(&self) -> usize {
        self.completed.remaining()
    }

    /// The rest, without a limit; [`timeout`](AsCompleted::timeout) sets another.
    pub fn resume(self) -> AsCompleted<F> {
        self.completed
    }
}

impl<F: Future + Unpin> Stream for AsCompletedWithin<F> {
    type Item = Result<(usize, F::Output), Elapsed>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { completed, limit } = &mut *self;
        let Some(sleep) = limit else { return budget::poll_spend(context).map(|()| None) };
        if let Poll::Ready(next) = Pin::new(completed).poll_next(context) {
            return Poll::Ready(next.map(Ok));
        }
        Pin::new(sleep).poll(context).map(|()| {
            *limit = None;
            Some(Err(Elapsed))
        })
    }
}

impl<F> fmt::Debug for AsCompletedWithin<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompletedWithin")
            .field("remaining", &self.remaining())
            .field("limit", &self.limit)
            .finish()
    }
}
