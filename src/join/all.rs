//! Futures that are awaited together until all have ended: what [`gather`](fn@super::gather) and
//! [`try_gather`](fn@super::try_gather) return for anything but tuples and tasks.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::future_set::FutureSet;
use crate::task::coop;

/// Futures, and one value from each that has ended.
struct All<F, T> {
    futures: FutureSet<F>,
    values: Vec<Option<T>>,
}

impl<F: Future + Unpin, T> All<F, T> {
    fn new(futures: impl Iterator<Item = F>) -> Self {
        let (futures, values) = FutureSet::with_outputs(futures);
        Self { futures, values }
    }

    /// Polls the futures that have been woken, until all have ended, or `accept` makes an error of
    /// an output. An error drops the other futures.
    fn poll<E>(
        &mut self,
        context: &mut Context<'_>,
        accept: impl Fn(F::Output) -> Result<T, E>,
    ) -> Poll<Result<Vec<T>, E>> {
        if self.values.is_empty() {
            return coop::poll_spend(context).map(|()| Ok(Vec::new()));
        }
        self.futures.begin(context);
        while let Some((index, output)) = ready!(self.futures.advance(context)) {
            match accept(output) {
                Ok(value) => self.values[index] = Some(value),
                Err(error) => {
                    self.futures.clear();
                    return Poll::Ready(Err(error));
                }
            }
        }
        let values = mem::take(&mut self.values).into_iter();
        Poll::Ready(Ok(values
            .map(|value| value.expect("every gathered future has ended, and none has panicked"))
            .collect()))
    }
}

/// Waits for all futures. Its output is a `Vec` of their outputs, in order.
pub struct GatherFutures<F: Future> {
    all: All<F, F::Output>,
}

impl<F: Future + Unpin> GatherFutures<F> {
    pub(super) fn new(futures: impl Iterator<Item = F>) -> Self {
        Self { all: All::new(futures) }
    }
}

impl<F: Future> Unpin for GatherFutures<F> {}

impl<F: Future + Unpin> Future for GatherFutures<F> {
    type Output = Vec<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let accept = Ok::<_, Infallible>;
        self.all.poll(context, accept).map(|Ok(outputs)| outputs)
    }
}

impl<F: Future> fmt::Debug for GatherFutures<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let futures = &self.all.futures;
        f.debug_struct("GatherFutures").field("futures", futures).finish_non_exhaustive()
    }
}

/// Waits for all futures, or for the first error. Its output is a `Vec` of the values, in order.
pub(super) struct TryGatherFutures<F, T> {
    all: All<F, T>,
}

impl<F: Future + Unpin, T> TryGatherFutures<F, T> {
    pub(super) fn new(futures: impl Iterator<Item = F>) -> Self {
        Self { all: All::new(futures) }
    }
}

impl<F, T> Unpin for TryGatherFutures<F, T> {}

impl<F, T, E> Future for TryGatherFutures<F, T>
where
    F: Future<Output = Result<T, E>> + Unpin,
{
    type Output = Result<Vec<T>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.all.poll(context, |outcome| outcome)
    }
}

impl<F, T> fmt::Debug for TryGatherFutures<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let futures = &self.all.futures;
        f.debug_struct("TryGatherFutures").field("futures", futures).finish_non_exhaustive()
    }
}
