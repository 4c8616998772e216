//! Outputs in the order in which the futures end.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::FusedStream;

use super::future_set::FutureSet;
use super::joinable::Joinable;
use crate::task::coop;
use crate::time::{Elapsed, Sleep, sleep};

/// Runs several futures together and streams each output when its future ends.
///
/// Each output comes with the index of its future, counted from zero in the order given. Takes any
/// collection of futures or of [`JoinHandle`](crate::task::JoinHandle)s, by value or by `&mut`. The
/// futures are polled only while the [`Stream`] is.
///
/// # Panics
///
/// The stream panics if a future does; it can then be polled further for the other futures. The
/// panic of a *task* is its output.
///
/// # Cancel safety
///
/// Dropping the await of the next output loses nothing. Dropping the stream cancels what it owns:
/// futures, and the tasks of handles by value.
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
///     # annulus::time::pause();
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
pub fn as_completed<J: Joinable<Kind>, Kind>(
    all: impl IntoIterator<Item = J>,
) -> AsCompleted<J::Future> {
    AsCompleted { futures: all.into_iter().map(J::into_joined).collect() }
}

/// The stream of [`as_completed`].
#[must_use = "streams do nothing unless polled"]
pub struct AsCompleted<F> {
    /// No future is added later, so no index is used twice.
    futures: FutureSet<F>,
}

impl<F> AsCompleted<F> {
    /// How many outputs are still to come.
    pub fn remaining(&self) -> usize {
        self.futures.len()
    }

    /// Limits the time for all outputs together, counted from this call.
    ///
    /// When `limit` has elapsed, the stream yields [`Elapsed`] once and ends. Nothing is cancelled
    /// until it is dropped: [`resume`](AsCompletedWithin::resume) continues with the rest.
    ///
    /// The first output comes only after each future has been polled once, which for very many may
    /// take longer than the limit. `buffer_unordered` of `futures_util` starts a few at a time.
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
    ///     # annulus::time::pause();
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
            return coop::poll_spend(context).map(|()| None);
        }
        self.futures.begin(context);
        self.futures.advance(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.remaining()))
    }
}

/// Terminated once every output has been yielded.
impl<F: Future + Unpin> FusedStream for AsCompleted<F> {
    fn is_terminated(&self) -> bool {
        self.remaining() == 0
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
    /// `None` once it has elapsed.
    limit: Option<Sleep>,
}

impl<F> AsCompletedWithin<F> {
    /// How many outputs are still to come.
    pub fn remaining(&self) -> usize {
        self.completed.remaining()
    }

    /// Continues without a limit; [`timeout`](AsCompleted::timeout) sets another one.
    pub fn resume(self) -> AsCompleted<F> {
        self.completed
    }
}

impl<F: Future + Unpin> Stream for AsCompletedWithin<F> {
    type Item = Result<(usize, F::Output), Elapsed>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { completed, limit } = &mut *self;
        let Some(sleep) = limit else { return coop::poll_spend(context).map(|()| None) };
        if let Poll::Ready(next) = Pin::new(completed).poll_next(context) {
            return Poll::Ready(next.map(Ok));
        }
        Pin::new(sleep).poll(context).map(|()| {
            *limit = None;
            Some(Err(Elapsed))
        })
    }
}

/// Terminated once every output has been yielded, or [`Elapsed`].
impl<F: Future + Unpin> FusedStream for AsCompletedWithin<F> {
    fn is_terminated(&self) -> bool {
        self.limit.is_none() || self.remaining() == 0
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
