//! What combinators take: futures, and handles of tasks by value or by `&mut`.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use super::all::GatherFutures;
use super::outcomes::{GatherTasks, Outcomes};
use crate::task::{Join, JoinHandle};

/// A future, a [`JoinHandle`] or a `&mut JoinHandle`, as combinators take them.
///
/// [`gather`](fn@super::gather), [`try_gather`](fn@super::try_gather) and
/// [`as_completed`](fn@super::as_completed) take any number of one of these. When the combinator is
/// dropped, each is treated as if it had been awaited alone: a future is dropped, the task of a
/// handle by value is cancelled, and the task of a borrowed handle continues.
///
/// The compiler finds `Kind`, which keeps the cases apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a future nor a handle of a task",
    note = "call `.into_future()` on what only becomes a future"
)]
pub trait Joinable<Kind>: sealed::Sealed<Kind> {
    /// The output, or a task's outcome.
    type Output;
    /// The future that is polled.
    #[doc(hidden)]
    type Future: Future<Output = Self::Output> + Unpin;
    /// The outputs of many: a `Vec`, and [`Outcomes`] of tasks.
    type Outputs: IntoIterator<Item = Self::Output>;
    /// The future that waits for many.
    #[doc(hidden)]
    type All: Future<Output = Self::Outputs> + Unpin;

    #[doc(hidden)]
    fn into_joined(self) -> Self::Future;

    #[doc(hidden)]
    fn gather(all: impl Iterator<Item = Self>) -> Self::All
    where
        Self: Sized;
}

mod sealed {
    pub trait Sealed<Kind> {}
}

/// The kind of [`Joinable`] that is a future.
#[derive(Debug)]
pub struct Polled(());

/// The kind of [`Joinable`] that is a task's handle.
#[derive(Debug)]
pub struct Joined(());

impl<F: Future> sealed::Sealed<Polled> for F {}

impl<F: Future> Joinable<Polled> for F {
    type Output = F::Output;
    type Outputs = Vec<F::Output>;
    type Future = Pin<Box<F>>;
    type All = GatherFutures<Self::Future>;

    fn into_joined(self) -> Self::Future {
        Box::pin(self)
    }

    fn gather(all: impl Iterator<Item = Self>) -> Self::All {
        GatherFutures::new(all.map(Self::into_joined))
    }
}

impl<T> sealed::Sealed<Joined> for JoinHandle<T> {}

impl<T> Joinable<Joined> for JoinHandle<T> {
    type Output = <Join<T> as Future>::Output;
    type Outputs = Outcomes<T>;
    type Future = Join<T>;
    type All = GatherTasks<T>;

    fn into_joined(self) -> Self::Future {
        self.into_future()
    }

    fn gather(all: impl Iterator<Item = Self>) -> Self::All {
        GatherTasks::new(all.map(Self::into_joined))
    }
}
