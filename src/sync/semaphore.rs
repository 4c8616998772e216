//! A number of permits.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::{error, fmt};

use super::permits::Permits;
use crate::task::budget;

/// A number of permits, for as many tasks at a time as it has.
///
/// Where asyncio enters a semaphore with `async with`, a permit is held here: its end gives it back.
/// It is fair, as [the module](crate::sync#fairness) says: one that waits for many permits is not
/// passed by those behind that need fewer.
///
/// # Example
///
/// ```
/// use std::rc::Rc;
/// use annulus::sync::Semaphore;
/// use annulus::{spawn, yield_now};
///
/// annulus::run(async {
///     let two_at_a_time = Rc::new(Semaphore::new(2));
///     let tasks: Vec<_> = (0..6)
///         .map(|number| {
///             let semaphore = Rc::clone(&two_at_a_time);
///             spawn(async move {
///                 let _permit = semaphore.acquire().await?;
///                 yield_now().await; // Ask a server that bears two questions at a time.
///                 Ok::<_, annulus::sync::Closed>(number)
///             })
///         })
///         .collect();
///     for task in tasks {
///         task.await.unwrap().unwrap();
///     }
///     assert_eq!(two_at_a_time.available_permits(), 2);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.Semaphore")]
pub struct Semaphore {
    permits: Permits,
    /// How many permits [`Permit::forget`] has taken away.
    forgotten: Cell<usize>,
}

impl Semaphore {
    /// The most permits that a semaphore can have.
    pub const MAX_PERMITS: usize = usize::MAX >> 1;

    /// A semaphore with so many permits, which may be none.
    ///
    /// # Panics
    ///
    /// If there are more than [`Semaphore::MAX_PERMITS`].
    #[track_caller]
    pub const fn new(permits: usize) -> Self {
        assert!(permits <= Self::MAX_PERMITS, "too many permits");
        Self { permits: Permits::new(permits), forgotten: Cell::new(0) }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the semaphore is closed, or is closed meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has taken no permit.
    #[doc(alias = "asyncio.Semaphore.acquire")]
    pub async fn acquire(&self) -> Result<Permit<'_>, Closed> {
        self.acquire_many(1).await
    }

    /// Waits for several permits, and takes them together. While it waits, nobody behind it is served.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has taken no permit.
    pub async fn acquire_many(&self, count: usize) -> Result<Permit<'_>, Closed> {
        self.take(count).await?;
        Ok(Permit(Held { semaphore: self, count }))
    }

    /// As [`Semaphore::acquire`]; the permit keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire`].
    ///
    /// # Example
    ///
    /// ```
    /// use std::rc::Rc;
    /// use annulus::sync::Semaphore;
    ///
    /// annulus::run(async {
    ///     let semaphore = Rc::new(Semaphore::new(1));
    ///     let permit = Rc::clone(&semaphore).acquire_owned().await?;
    ///     annulus::spawn(async move { drop(permit) });
    ///     semaphore.acquire().await.map(drop)
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn acquire_owned(self: Rc<Self>) -> Result<OwnedPermit, Closed> {
        self.acquire_many_owned(1).await
    }

    /// As [`Semaphore::acquire_many`]; the permits keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire`].
    pub async fn acquire_many_owned(self: Rc<Self>, count: usize) -> Result<OwnedPermit, Closed> {
        self.take(count).await?;
        Ok(OwnedPermit(Held { semaphore: self, count }))
    }

    /// Takes a permit if there is one and nobody waits.
    ///
    /// # Errors
    ///
    /// Says which of the two it was, or that the semaphore is closed.
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes several permits if there are so many and nobody waits.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::try_acquire`].
    pub fn try_acquire_many(&self, count: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.try_take(count)?;
        Ok(Permit(Held { semaphore: self, count }))
    }

    /// As [`Semaphore::try_acquire`]; the permit keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::try_acquire`].
    pub fn try_acquire_owned(self: Rc<Self>) -> Result<OwnedPermit, TryAcquireError> {
        self.try_take(1)?;
        Ok(OwnedPermit(Held { semaphore: self, count: 1 }))
    }

    /// Adds permits. Those that wait get theirs first.
    ///
    /// # Panics
    ///
    /// If there were then more than [`Semaphore::MAX_PERMITS`].
    #[doc(alias = "asyncio.Semaphore.release")]
    #[track_caller]
    pub fn add_permits(&self, count: usize) {
        let most = Self::MAX_PERMITS - self.available_permits().min(Self::MAX_PERMITS);
        assert!(count <= most, "too many permits");
        self.permits.add(count);
    }

    /// Takes up to so many permits away for good, of those that are there, and says how many.
    pub fn forget_permits(&self, count: usize) -> usize {
        let removed = self.permits.remove(count);
        self.forgotten.set(self.forgotten.get() + removed);
        removed
    }

    /// How many permits are there. If somebody waits who needs more, nobody else gets them.
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Whether [`Semaphore::try_acquire`] would fail.
    #[doc(alias = "asyncio.Semaphore.locked")]
    pub fn is_locked(&self) -> bool {
        self.is_closed() || self.permits.must_wait(1)
    }

    /// Hands out no more permits. Those that wait get an error; those that were given a permit keep
    /// it.
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    /// Gives back permits that [`Permit::forget`] or [`Semaphore::forget_permits`] took away, if that
    /// many are missing.
    pub(super) fn restore(&self, count: usize) -> bool {
        let Some(rest) = self.forgotten.get().checked_sub(count) else { return false };
        self.forgotten.set(rest);
        self.permits.add(count);
        true
    }

    async fn take(&self, count: usize) -> Result<(), Closed> {
        let mut acquire = self.permits.acquire(count);
        poll_fn(|context| {
            // One that waits, or was given its permits before, has its answer already.
            if self.is_closed() && !acquire.is_enqueued() {
                return budget::poll_spend(context).map(|()| Err(Closed));
            }
            Pin::new(&mut acquire).poll(context).map_err(|_| Closed)
        })
        .await
    }

    fn try_take(&self, count: usize) -> Result<(), TryAcquireError> {
        if self.is_closed() {
            Err(TryAcquireError::Closed)
        } else if self.permits.try_take(count) {
            Ok(())
        } else {
            Err(TryAcquireError::NoPermits)
        }
    }
}

impl Default for Semaphore {
    /// One permit, as in asyncio.
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available_permits())
            .field("waiting", &self.permits.waiting())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Some of a semaphore's permits, until it is dropped.
struct Held<S: Deref<Target = Semaphore>> {
    semaphore: S,
    count: usize,
}

impl<S: Deref<Target = Semaphore>> Held<S> {
    fn forget(mut self) {
        let count = std::mem::take(&mut self.count);
        let forgotten = &self.semaphore.forgotten;
        forgotten.set(forgotten.get() + count);
    }
}

impl<S: Deref<Target = Semaphore> + Clone> Held<S> {
    fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self { semaphore: self.semaphore.clone(), count })
    }
}

impl<S: Deref<Target = Semaphore>> Drop for Held<S> {
    fn drop(&mut self) {
        self.semaphore.permits.add(self.count);
    }
}

/// Permits of a [`Semaphore`]. Dropped, they are given back.
#[must_use = "a permit that is not kept is given back at once"]
pub struct Permit<'a>(Held<&'a Semaphore>);

/// Permits of a [`Semaphore`] that keep it alive. Dropped, they are given back.
#[must_use = "a permit that is not kept is given back at once"]
pub struct OwnedPermit(Held<Rc<Semaphore>>);

impl Permit<'_> {
    /// How many permits these are.
    pub fn count(&self) -> usize {
        self.0.count
    }

    /// Never gives them back: the semaphore has so many fewer.
    pub fn forget(self) {
        self.0.forget();
    }

    /// Splits some off. `None` if these are not so many.
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.0.split(count).map(Self)
    }
}

impl OwnedPermit {
    /// How many permits these are.
    pub fn count(&self) -> usize {
        self.0.count
    }

    /// Never gives them back: the semaphore has so many fewer.
    pub fn forget(self) {
        self.0.forget();
    }

    /// Splits some off. `None` if these are not so many.
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.0.split(count).map(Self)
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.count()).finish()
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("count", &self.count()).finish()
    }
}

/// The semaphore is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl error::Error for Closed {}

/// Why a permit was not to be had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// There are too few, or somebody waits.
    NoPermits,
    /// The semaphore is closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPermits => f.write_str("no permit is free"),
            Self::Closed => Closed.fmt(f),
        }
    }
}

impl error::Error for TryAcquireError {}
