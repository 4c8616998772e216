//! Waiting for all futures, or for the first error.

use std::future::Future;

use super::all::TryGatherFutures;
use super::gather::{Array, Borrowed, Iterated, Vector, into_array};
use super::joinable::Joinable;

/// Runs several futures together and returns all their values, or the first error.
///
/// The values are those of the `Ok`s, in order. With the first error the other futures are dropped,
/// which cancels them.
///
/// Takes what [`gather`](fn@super::gather) takes, where each output is a `Result` with the same
/// error type. The outcome of a task is `Result<T, JoinError>`, so with handles the first task that
/// panics or is cancelled ends it; where `T` is a `Result` itself, await the handles in futures
/// that flatten it: `async { handle.await? }`.
///
/// asyncio's `gather` lets the others continue after the first exception; this one does not.
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
/// That of [`gather`](fn@super::gather).
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
/// The compiler finds `Kind`, which keeps the cases apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be gathered",
    label = "not a tuple, an array, a `Vec` or an iterator of futures or handles that give `Result`s",
    note = "call `.into_iter()` on other collections"
)]
pub trait TryGather<Kind> {
    /// The values, in order.
    type Values;
    /// The error type that all share.
    type Error;

    #[doc(hidden)]
    fn try_gather(self) -> impl Future<Output = Result<Self::Values, Self::Error>>;
}

impl<C: Joinable<Kind, Output = Result<T, E>>, Kind, T, E> TryGather<Vector<Kind>> for Vec<C> {
    type Values = Vec<T>;
    type Error = E;

    fn try_gather(self) -> impl Future<Output = Result<Vec<T>, E>> {
        TryGatherFutures::new(self.into_iter().map(C::into_joined))
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
        TryGatherFutures::new(self.map(C::into_joined))
    }
}

impl<C, Kind, T, E, const N: usize> TryGather<Array<Kind>> for [C; N]
where
    C: Joinable<Kind, Output = Result<T, E>>,
{
    type Values = [T; N];
    type Error = E;

    fn try_gather(self) -> impl Future<Output = Result<[T; N], E>> {
        let all = TryGatherFutures::new(self.into_iter().map(C::into_joined));
        async move { Ok(into_array(all.await?)) }
    }
}

/// Implements [`TryGather`] for borrowed vectors and slices.
macro_rules! borrowed {
    ($($all:ty),+) => {$(
        impl<'a, C, Kind, T, E> TryGather<Borrowed<Vector<Kind>>> for &'a mut $all
        where
            &'a mut C: Joinable<Kind, Output = Result<T, E>>,
        {
            type Values = Vec<T>;
            type Error = E;

            fn try_gather(self) -> impl Future<Output = Result<Vec<T>, E>> {
                TryGatherFutures::new(self.iter_mut().map(<&mut C>::into_joined))
            }
        }
    )+};
}

borrowed!(Vec<C>, [C]);

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
