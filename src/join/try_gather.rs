//! Waiting for all, as long as none fails.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::future_set::FutureSet;
use super::gather::{Array, Borrowed, Iterated, Vector, into_array};
use super::joinable::Joinable;
use crate::task::budget;

/// Runs all of them together and gives the values of their `Ok`s, in the order of the arguments, or
/// the first error as soon as there is one; then the others are dropped, which cancels them.
///
/// Takes what [`gather`](fn@super::gather) takes, where each output is a `Result` with the same error. The
/// outcome of a task is `Result<T, JoinError>`, so of handles the first task that panics or is
/// cancelled ends it; where `T` is a `Result` itself, await the handles in futures that flatten it:
/// `async { handle.await? }`.
///
/// Unlike this one, asyncio's `gather` lets the others run on after the first exception.
///
/// # Errors
///
/// The first error.
///
/// # Panics
///
/// If a future panics; the others are dropped.
///
/// # Cancel safety
///
/// As for [`gather`](fn@super::gather).
///
/// # Example
///
/// ```
/// use annulus::join::try_gather;
///
/// async fn parse(text: &str) -> Result<u8, std::num::ParseIntError> {
///     text.parse()
/// }
///
/// annulus::run(async {
///     assert_eq!(try_gather((parse("1"), parse("2"))).await, Ok((1, 2)));
///     assert_eq!(try_gather(["1", "2"].map(parse)).await, Ok([1, 2]));
///     assert!(try_gather(["1", "two", "3"].map(parse)).await.is_err());
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.gather")]
#[doc(alias = "try_join_all")]
#[doc(alias = "try_join")]
pub fn try_gather<G: TryGather<Kind>, Kind>(
    all: G,
) -> impl Future<Output = Result<G::Values, G::Error>> {
    all.try_gather()
}

/// What [`try_gather`] takes: tuples, arrays, vectors and iterators.
///
/// `Kind` is found by the compiler and keeps the cases apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that can be gathered",
    label = "not a tuple, an array, a `Vec` or an iterator of futures or handles that give `Result`s",
    note = "call `.into_iter()` on other collections"
)]
pub trait TryGather<Kind> {
    /// The values, in order.
    type Values;
    /// The error that all of them share.
    type Error;

    #[doc(hidden)]
    fn try_gather(self) -> impl Future<Output = Result<Self::Values, Self::Error>>;
}

impl<C: Joinable<Kind, Output = Result<T, E>>, Kind, T, E> TryGather<Vector<Kind>> for Vec<C> {
    type Values = Vec<T>;
    type Error = E;

    fn try_gather(self) -> impl Future<Output = Result<Vec<T>, E>> {
        TryGatherAll::new(self.into_iter().map(C::into_child))
    }
}

impl<I, C, Kind, T, E> TryGather<Iterated<Kind>> for I
where
    I: Iterator<Item = C>,
    C: Joinable<Kind, Output = Result<T, E>>,
{
    type Values = Vec<T>;
    type Error = E;

    fn try_gather(self) -> impl Future<Output = Result<Vec<T>, E>> {
        TryGatherAll::new(self.map(C::into_child))
    }
}

impl<C, Kind, T, E, const N: usize> TryGather<Array<Kind>> for [C; N]
where
    C: Joinable<Kind, Output = Result<T, E>>,
{
    type Values = [T; N];
    type Error = E;

    fn try_gather(self) -> impl Future<Output = Result<[T; N], E>> {
        let all = TryGatherAll::new(self.into_iter().map(C::into_child));
        async move { Ok(into_array(all.await?)) }
    }
}

impl<'a, C, Kind, T, E> TryGather<Borrowed<Vector<Kind>>> for &'a mut Vec<C>
where
    &'a mut C: Joinable<Kind, Output = Result<T, E>>,
{
    type Values = Vec<T>;
    type Error = E;

    fn try_gather(self) -> impl Future<Output = Result<Vec<T>, E>> {
        TryGatherAll::new(self.iter_mut().map(<&mut C>::into_child))
    }
}

impl<'a, C, Kind, T, E> TryGather<Borrowed<Vector<Kind>>> for &'a mut [C]
where
    &'a mut C: Joinable<Kind, Output = Result<T, E>>,
{
    type Values = Vec<T>;
    type Error = E;

    fn try_gather(self) -> impl Future<Output = Result<Vec<T>, E>> {
        TryGatherAll::new(self.iter_mut().map(<&mut C>::into_child))
    }
}

impl<'a, C, Kind, T, E, const N: usize> TryGather<Borrowed<Array<Kind>>> for &'a mut [C; N]
where
    &'a mut C: Joinable<Kind, Output = Result<T, E>>,
{
    type Values = [T; N];
    type Error = E;

    fn try_gather(self) -> impl Future<Output = Result<[T; N], E>> {
        self.each_mut().try_gather()
    }
}

/// Polls futures, those that have been woken, until all have ended or one has failed.
struct TryGatherAll<F, T> {
    children: FutureSet<F>,
    values: Vec<Option<T>>,
}

impl<F, T> TryGatherAll<F, T> {
    fn new(futures: impl Iterator<Item = F>) -> Self {
        let mut children = FutureSet::with_capacity(futures.size_hint().0);
        // In an empty set, indices are given in order.
        let values = futures.map(|future| {
            children.push(future);
            None
        });
        let values = values.collect();
        Self { children, values }
    }
}

impl<F, T> Unpin for TryGatherAll<F, T> {}

impl<F, T, E> Future for TryGatherAll<F, T>
where
    F: Future<Output = Result<T, E>> + Unpin,
{
    type Output = Result<Vec<T>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.values.is_empty() {
            return budget::poll_spend(context).map(|()| Ok(Vec::new()));
        }
        self.children.begin(context);
        while let Some((index, outcome)) = ready!(self.children.advance(context)) {
            match outcome {
                Ok(value) => self.values[index] = Some(value),
                Err(error) => {
                    self.children.clear();
                    return Poll::Ready(Err(error));
                }
            }
        }
        let values = mem::take(&mut self.values).into_iter();
        Poll::Ready(Ok(values.map(|value| value.expect("no future has panicked")).collect()))
    }
}

impl<F, T> fmt::Debug for TryGatherAll<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryGatherAll").field("children", &self.children).finish_non_exhaustive()
    }
}
