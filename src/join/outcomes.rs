//! Waiting for all of many tasks, and their outcomes, which are not to be lost unseen.

use std::fmt;
use std::future::Future;
use std::iter::Map;
use std::mem;
use std::ops::Index;
use std::pin::Pin;
use std::slice;
use std::task::{Context, Poll, ready};
use std::vec;

use crate::task::{Join, JoinError, budget};

const ENDED: &str = "these tasks have ended, and their outcomes are there";

/// Waits for tasks, which run by themselves, one after the other: so each is asked a few times only,
/// and needs no waker of its own. The outcomes stay with the tasks until all have ended: should this
/// be dropped before, panics among them are reported.
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
            ready!(budget::poll_spend(context));
        }
        while let Some(join) = self.joins.get(self.ended) {
            ready!(join.handle().poll_finished(context));
            ready!(budget::poll_spend(context));
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

/// The outcomes of tasks, in the order of their handles: what [`gather`](fn@super::gather) gives of a
/// `Vec` or an iterator of [`JoinHandle`](crate::JoinHandle)s.
///
/// They are looked at by `iter` or an index, and taken by iterating. A task that has panicked and whose
/// outcome was neither looked at nor taken goes to [`Builder::on_incident`](crate::Builder::on_incident)
/// when this is dropped.
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
#[must_use = "a task that has failed or panicked says so only here"]
pub struct Outcomes<T> {
    /// All have ended, and none has been asked for its outcome.
    joins: Vec<Join<T>>,
}

impl<T> Outcomes<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.joins.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.joins.is_empty()
    }

    /// The outcomes, to be looked at.
    pub fn iter(&self) -> Iter<'_, T> {
        self.joins.iter().map(|join| join.handle().outcome().expect(ENDED))
    }
}

/// The outcomes of an [`Outcomes`] that is borrowed.
type Iter<'a, T> = Map<slice::Iter<'a, Join<T>>, fn(&'a Join<T>) -> &'a Result<T, JoinError>>;

/// The outcomes of an [`Outcomes`].
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
    /// If there are not so many.
    fn index(&self, index: usize) -> &Self::Output {
        self.joins[index].handle().outcome().expect(ENDED)
    }
}

impl<T: fmt::Debug> fmt::Debug for Outcomes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
