//! Waiting for all futures, with their outputs in the order of the arguments.

use std::future::Future;

use super::joinable::Joinable;

/// Runs several futures together and returns all their outputs, in order.
///
/// Takes a tuple of up to twelve, an array, a `Vec` or any iterator, of futures or of
/// [`JoinHandle`](crate::task::JoinHandle)s (by value or by `&mut`), and a `&mut` array, slice or
/// `Vec`. Returns a tuple for a tuple, an array for an array, and otherwise a `Vec`, or
/// [`Outcomes`](super::Outcomes) for tasks that it owns: the compiler warns if those are not looked
/// at. Without any future it is ready at once.
///
/// The task that awaits the `gather` polls the futures, each only when it has been woken, so a wake
/// costs the same however many there are. (A tuple polls each member that has not ended, which is
/// cheaper for so few.) Unlike asyncio's `gather`, it makes no tasks of them: to have tasks, spawn
/// them and gather their handles. A failure is an output like any other, as with asyncio's
/// `return_exceptions=True`; [`try_gather`](fn@super::try_gather) ends with the first one.
///
/// # Panics
///
/// If a future panics; the others are dropped. The panic of a *task* is its output.
///
/// # Cancel safety
///
/// Dropped, it cancels what it owns: futures, and the tasks of handles by value. Tasks whose
/// handles are borrowed continue. If a task that it owned had panicked by then, the panic goes to
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
/// The compiler finds `Kind`, which keeps the cases apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be gathered",
    label = "not a tuple, an array, a `Vec` or an iterator of futures or handles",
    note = "call `.into_iter()` on other collections"
)]
pub trait Gather<Kind> {
    /// The outputs, in order.
    type Outputs;

    #[doc(hidden)]
    fn gather(self) -> impl Future<Output = Self::Outputs>;
}

/// The kind of [`Gather`] that is an array.
#[derive(Debug)]
pub struct Array<Kind>(Kind);

/// The kind of [`Gather`] that is a vector.
#[derive(Debug)]
pub struct Vector<Kind>(Kind);

/// The kind of [`Gather`] that is an iterator.
#[derive(Debug)]
pub struct Iterated<Kind>(Kind);

/// The kind of [`Gather`] that is borrowed.
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

/// Implements [`Gather`] for borrowed vectors and slices.
macro_rules! borrowed {
    ($($all:ty),+) => {$(
        impl<'a, C, Kind> Gather<Borrowed<Vector<Kind>>> for &'a mut $all
        where
            &'a mut C: Joinable<Kind>,
        {
            type Outputs = <&'a mut C as Joinable<Kind>>::Outputs;

            fn gather(self) -> impl Future<Output = Self::Outputs> {
                <&mut C>::gather(self.iter_mut())
            }
        }
    )+};
}

borrowed!(Vec<C>, [C]);

impl<'a, C, Kind, const N: usize> Gather<Borrowed<Array<Kind>>> for &'a mut [C; N]
where
    &'a mut C: Joinable<Kind>,
{
    type Outputs = [<&'a mut C as Joinable<Kind>>::Output; N];

    fn gather(self) -> impl Future<Output = Self::Outputs> {
        self.each_mut().gather()
    }
}

/// Makes an array of the outputs of an array of futures.
pub(super) fn into_array<T, const N: usize>(outputs: impl IntoIterator<Item = T>) -> [T; N] {
    let Ok(outputs) = outputs.into_iter().collect::<Vec<_>>().try_into() else {
        unreachable!("there are as many outputs as futures")
    };
    outputs
}
