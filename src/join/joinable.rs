//! What combinators take: futures, and handles of tasks by value or by `&mut`.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use super::gather::GatherFutures;
use super::outcomes::{GatherTasks, Outcomes};
use crate::task::{Join, JoinHandle};

/// Something that [`gather`](fn@super::gather), [`try_gather`](fn@super::try_gather) and
/// [`as_completed`](fn@super::as_completed) can wait for: a future, a [`JoinHandle`], or a `&mut
/// JoinHandle`.
///
/// What becomes of it when the combinator is dropped is the same as if it had been awaited alone: a
/// future is dropped, the task of a handle by value is cancelled, that of a borrowed handle goes on.
///
/// `Kind` is found by the compiler and keeps the cases apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a future nor a handle of a task",
    note = "call `.into_future()` on what only becomes a future"
)]
pub trait Joinable<Kind>: sealed::Sealed<Kind> {
    /// What it ends with.
    type Output;
    /// What is polled.
    #[doc(hidden)]
    type Future: Future<Output = Self::Output> + Unpin;
    /// What many of them end with: a `Vec`, and [`Outcomes`] of tasks.
    type Outputs: IntoIterator<Item = Self::Output>;
    /// What waits for many of them.
    #[doc(hidden)]
    type All: Future<Output = Self::Outputs> + Unpin;

    #[doc(hidden)]
    fn into_child(self) -> Self::Future;

    #[doc(hidden)]
    fn gather(children: impl Iterator<Item = Self>) -> Self::All
    where
        Self: Sized;
}

mod sealed {
    pub trait Sealed<Kind> {}
}

/// [`Joinable`]: it is a future.
#[derive(Debug)]
pub struct Polled(());

/// [`Joinable`]: it is a task's handle.
#[derive(Debug)]
pub struct Joined(());

impl<F: Future> sealed::Sealed<Polled> for F {}

impl<F: Future> Joinable<Polled> for F {
    type Output = F::Output;
    type Outputs = Vec<F::Output>;
    type Future = Pin<Box<F>>;
    type All = GatherFutures<Self::Future>;

    fn into_child(self) -> Self::Future {
        Box::pin(self)
    }

    fn gather(children: impl Iterator<Item = Self>) -> Self::All {
        GatherFutures::new(children.map(Self::into_child))
    }
}

impl<T> sealed::Sealed<Joined> for JoinHandle<T> {}

impl<T> Joinable<Joined> for JoinHandle<T> {
    type Output = <Join<T> as Future>::Output;
    type Outputs = Outcomes<T>;
    type Future = Join<T>;
    type All = GatherTasks<T>;

    fn into_child(self) -> Self::Future {
        self.into_future()
    }

    fn gather(children: impl Iterator<Item = Self>) -> Self::All {
        GatherTasks::new(children.map(Self::into_child))
    }
}
