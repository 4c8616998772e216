//! Waiting for many tasks, and their outcomes, of which none may be lost unseen.

use std::fmt;
use std::future::Future;
use std::iter::Map;
use std::mem;
use std::ops::Index;
use std::pin::Pin;
use std::slice;
use std::task::{Context, Poll, ready};
use std::vec;

use crate::task::{Join, JoinError, coop};

const ENDED: &str = "every task has ended, and its outcome has not been taken";

/// Waits for tasks, one after the other.
///
/// Tasks run without being polled from here, so looking at one at a time suffices, and none needs
/// its own waker. The outcomes stay with the tasks until all have ended: if this is dropped before,
/// the panics among them are reported as incidents.
pub struct GatherTasks<T> {
    joins: Vec<Join<T>>,
    /// How many of the first have ended.
    ended: usize,
}

impl<T> GatherTasks<T> {
    pub(super) fn new(joins: impl Iterator<Item = Join<T>>) -> Self {
        Self { joins: joins.collect(), ended: 0 }
    }
}

impl<T> Unpin for GatherTasks<T> {}

impl<T> Future for GatherTasks<T> {
    type Output = Outcomes<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcomes<T>> {
        if self.joins.is_empty() {
            ready!(coop::poll_spend(context));
        }
        while let Some(join) = self.joins.get(self.ended) {
            ready!(join.handle().poll_finished(context));
            ready!(coop::poll_spend(context));
            self.ended += 1;
        }
        Poll::Ready(Outcomes { joins: mem::take(&mut self.joins) })
    }
}

impl<T> fmt::Debug for GatherTasks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.joins.len() - self.ended;
        f.debug_struct("GatherTasks").field("waiting", &waiting).finish_non_exhaustive()
    }
}

/// The outcomes of tasks, in the order of their handles.
///
/// [`gather`](fn@super::gather) returns them for a `Vec` or an iterator of
/// [`JoinHandle`](crate::task::JoinHandle)s. `iter` and an index look at them, iterating by value
/// takes them. A panic that was neither looked at nor taken goes to
/// [`Builder::on_incident`](crate::Builder::on_incident) when this is dropped.
///
/// # Example
///
/// ```
/// use annulus::join::gather;
///
/// annulus::run(async {
///     let tasks: Vec<_> = (0..3).map(|n| annulus::spawn(async move { n })).collect();
///     let outcomes = gather(tasks).await;
///     assert_eq!((outcomes.len(), outcomes[1].as_ref().ok()), (3, Some(&1)));
///     let numbers: Vec<u8> = outcomes.into_iter().map(Result::unwrap).collect();
///     assert_eq!(numbers, [0, 1, 2]);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[must_use = "the failures and panics of the tasks are in here"]
pub struct Outcomes<T> {
    /// All have ended, and no outcome has been taken.
    joins: Vec<Join<T>>,
}

impl<T> Outcomes<T> {
    /// The number of tasks.
    pub fn len(&self) -> usize {
        self.joins.len()
    }

    /// Whether there were no tasks.
    pub fn is_empty(&self) -> bool {
        self.joins.is_empty()
    }

    /// Looks at the outcomes, in order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.joins.iter().map(|join| join.handle().outcome().expect(ENDED))
    }
}

/// Looks at the outcomes of an [`Outcomes`].
type Iter<'a, T> = Map<slice::Iter<'a, Join<T>>, fn(&'a Join<T>) -> &'a Result<T, JoinError>>;

/// Takes the outcomes of an [`Outcomes`].
type IntoIter<T> = Map<vec::IntoIter<Join<T>>, fn(Join<T>) -> Result<T, JoinError>>;

impl<T> IntoIterator for Outcomes<T> {
    type Item = Result<T, JoinError>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        self.joins.into_iter().map(|mut join| join.take_outcome().expect(ENDED))
    }
}

impl<'a, T> IntoIterator for &'a Outcomes<T> {
    type Item = &'a Result<T, JoinError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Index<usize> for Outcomes<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If the index is out of bounds.
    fn index(&self, index: usize) -> &Self::Output {
        self.joins[index].handle().outcome().expect(ENDED)
    }
}

impl<T: fmt::Debug> fmt::Debug for Outcomes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
