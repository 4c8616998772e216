//! Waiting for all, with their outcomes in the order of the arguments.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::future_set::FutureSet;
use super::joinable::Joinable;
use crate::task::budget;

/// Runs all of them together and gives their outputs, in the order of the arguments.
///
/// Takes a tuple of up to twelve, an array, a `Vec`, or any iterator, of futures or of
/// [`JoinHandle`](crate::JoinHandle)s (by value or by `&mut`), and arrays, slices and `Vec`s also by
/// `&mut`. A tuple gives a tuple, an array an array, the others a `Vec`; of tasks that it owns they
/// give [`Outcomes`](super::Outcomes), which the compiler warns of if they are not looked at. Of nothing
/// it is ready at once.
///
/// Futures are polled by whoever awaits the `gather`, and only when they have been woken, so a wake
/// costs the same however many there are; a tuple polls each member that has not ended, which for so
/// few is cheaper. Unlike asyncio, no tasks are made of them: for that, spawn them and gather their
/// handles. A failure is an output like any other, as with asyncio's `return_exceptions=True`; see
/// [`try_gather`](fn@super::try_gather) to end with the first.
///
/// # Panics
///
/// If a future panics; the others are dropped. The panic of a *task* is its output.
///
/// # Cancel safety
///
/// Dropped, it cancels what it owns: futures and the tasks of handles by value. Tasks whose handles
/// it has only borrowed go on. A task that it owned and that had panicked by then goes to
/// [`Builder::on_incident`](crate::Builder::on_incident).
///
/// # Example
///
/// ```
/// use annulus::join::gather;
///
/// async fn factorial(n: u64) -> u64 {
///     (1..=n).product()
/// }
///
/// annulus::run(async {
///     assert_eq!(gather((factorial(2), factorial(3), async { "four" })).await, (2, 6, "four"));
///     assert_eq!(gather([factorial(2), factorial(3)]).await, [2, 6]);
///     assert_eq!(gather((0..5).map(factorial)).await, vec![1, 1, 2, 6, 24]);
///
///     let tasks = [2, 3].map(|n| annulus::spawn(factorial(n)));
///     let [two, three] = gather(tasks).await;
///     assert_eq!((two.unwrap(), three.unwrap()), (2, 6));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.gather")]
#[doc(alias = "join_all")]
pub fn gather<G: Gather<Kind>, Kind>(all: G) -> impl Future<Output = G::Outputs> {
    all.gather()
}

/// What [`gather`] takes: tuples, arrays, vectors and iterators.
///
/// `Kind` is found by the compiler and keeps the cases apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that can be gathered",
    label = "not a tuple, an array, a `Vec` or an iterator of futures or handles",
    note = "call `.into_iter()` on other collections"
)]
pub trait Gather<Kind> {
    /// The outputs, in order.
    type Outputs;

    #[doc(hidden)]
    fn gather(self) -> impl Future<Output = Self::Outputs>;
}

/// [`Gather`]: it is an array.
#[derive(Debug)]
pub struct Array<Kind>(Kind);

/// [`Gather`]: it is a vector.
#[derive(Debug)]
pub struct Vector<Kind>(Kind);

/// [`Gather`]: it is an iterator.
#[derive(Debug)]
pub struct Iterated<Kind>(Kind);

/// [`Gather`]: it is borrowed.
#[derive(Debug)]
pub struct Borrowed<Kind>(Kind);

impl<C: Joinable<Kind>, Kind> Gather<Vector<Kind>> for Vec<C> {
    type Outputs = C::Outputs;

    fn gather(self) -> impl Future<Output = Self::Outputs> {
        C::gather(self.into_iter())
    }
}

impl<I: Iterator<Item: Joinable<Kind>>, Kind> Gather<Iterated<Kind>> for I {
    type Outputs = <I::Item as Joinable<Kind>>::Outputs;

    fn gather(self) -> impl Future<Output = Self::Outputs> {
        <I::Item as Joinable<Kind>>::gather(self)
    }
}

impl<C: Joinable<Kind>, Kind, const N: usize> Gather<Array<Kind>> for [C; N] {
    type Outputs = [C::Output; N];

    fn gather(self) -> impl Future<Output = Self::Outputs> {
        let all = C::gather(self.into_iter());
        async move { into_array(all.await) }
    }
}

impl<'a, C, Kind> Gather<Borrowed<Vector<Kind>>> for &'a mut Vec<C>
where
    &'a mut C: Joinable<Kind>,
{
    type Outputs = <&'a mut C as Joinable<Kind>>::Outputs;

    fn gather(self) -> impl Future<Output = Self::Outputs> {
        <&mut C>::gather(self.iter_mut())
    }
}

impl<'a, C, Kind> Gather<Borrowed<Vector<Kind>>> for &'a mut [C]
where
    &'a mut C: Joinable<Kind>,
{
    type Outputs = <&'a mut C as Joinable<Kind>>::Outputs;

    fn gather(self) -> impl Future<Output = Self::Outputs> {
        <&mut C>::gather(self.iter_mut())
    }
}

impl<'a, C, Kind, const N: usize> Gather<Borrowed<Array<Kind>>> for &'a mut [C; N]
where
    &'a mut C: Joinable<Kind>,
{
    type Outputs = [<&'a mut C as Joinable<Kind>>::Output; N];

    fn gather(self) -> impl Future<Output = Self::Outputs> {
        self.each_mut().gather()
    }
}

/// As many outputs as an array of children has.
pub(super) fn into_array<T, const N: usize>(outputs: impl IntoIterator<Item = T>) -> [T; N] {
    let Ok(outputs) = outputs.into_iter().collect::<Vec<_>>().try_into() else {
        unreachable!("there are as many outputs as children")
    };
    outputs
}

/// Polls futures, those that have been woken, until all have ended.
pub struct GatherFutures<F: Future> {
    children: FutureSet<F>,
    outputs: Vec<Option<F::Output>>,
}

impl<F: Future + Unpin> GatherFutures<F> {
    pub(super) fn new(futures: impl Iterator<Item = F>) -> Self {
        let mut children = FutureSet::with_capacity(futures.size_hint().0);
        // In an empty set, indices are given in order.
        let outputs = futures.map(|future| {
            children.push(future);
            None
        });
        let outputs = outputs.collect();
        Self { children, outputs }
    }
}

impl<F: Future> Unpin for GatherFutures<F> {}

impl<F: Future + Unpin> Future for GatherFutures<F> {
    type Output = Vec<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.outputs.is_empty() {
            return budget::poll_spend(context).map(|()| Vec::new());
        }
        self.children.begin(context);
        while let Some((index, output)) = ready!(self.children.advance(context)) {
            self.outputs[index] = Some(output);
        }
        let outputs = mem::take(&mut self.outputs).into_iter();
        Poll::Ready(outputs.map(|output| output.expect("no future has panicked")).collect())
    }
}

impl<F: Future> fmt::Debug for GatherFutures<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatherFutures").field("children", &self.children).finish_non_exhaustive()
    }
}
