//! A counted semaphore.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::{error, fmt};

use super::permits::Permits;
use crate::task::coop;

const TOO_MANY: &str = "too many permits: a semaphore has at most `Semaphore::MAX_PERMITS`";

/// A number of permits, which limits how many tasks do something at a time.
///
/// Where asyncio enters a semaphore with `async with`, a task holds a [`Permit`] here: dropping it
/// returns it. The semaphore is fair, as described in [the module](crate::sync#fairness): a task
/// that waits for many permits is not overtaken by tasks behind it that need fewer.
///
/// # Examples
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
///                 yield_now().await; // Call a service that allows two requests at a time.
///                 Ok::<_, annulus::sync::AcquireError>(number)
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
    /// The maximum number of permits.
    pub const MAX_PERMITS: usize = usize::MAX >> 1;

    /// Creates a semaphore with a number of permits, which may be zero.
    ///
    /// # Panics
    ///
    /// If `permits` is more than [`Semaphore::MAX_PERMITS`].
    #[track_caller]
    pub const fn new(permits: usize) -> Self {
        assert!(permits <= Self::MAX_PERMITS, "{}", TOO_MANY);
        Self { permits: Permits::new(permits), forgotten: Cell::new(0) }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is closed, or is closed during the wait.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has taken no permit.
    #[doc(alias = "asyncio.Semaphore.acquire")]
    pub async fn acquire(&self) -> Result<Permit<'_>, AcquireError> {
        self.acquire_many(1).await
    }

    /// Waits for `count` permits and takes them together.
    ///
    /// Tasks behind it wait until it has them.
    ///
    /// # Errors
    ///
    /// Those of [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has taken no permit.
    pub async fn acquire_many(&self, count: usize) -> Result<Permit<'_>, AcquireError> {
        self.take(count).await?;
        Ok(Permit(Held { semaphore: self, count }))
    }

    /// Waits for a permit that keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// Those of [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has taken no permit.
    ///
    /// # Examples
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
    pub async fn acquire_owned(self: Rc<Self>) -> Result<OwnedPermit, AcquireError> {
        self.acquire_many_owned(1).await
    }

    /// Waits for `count` permits that keep the semaphore alive.
    ///
    /// Otherwise it is [`Semaphore::acquire_many`].
    ///
    /// # Errors
    ///
    /// Those of [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has taken no permit.
    pub async fn acquire_many_owned(
        self: Rc<Self>,
        count: usize,
    ) -> Result<OwnedPermit, AcquireError> {
        self.take(count).await?;
        Ok(OwnedPermit(Held { semaphore: self, count }))
    }

    /// Takes a permit if one is available and no task waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::NoPermits`] if it would have to wait, [`TryAcquireError::Closed`] if the
    /// semaphore is closed.
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `count` permits if they are available and no task waits.
    ///
    /// # Errors
    ///
    /// Those of [`Semaphore::try_acquire`].
    pub fn try_acquire_many(&self, count: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.try_take(count)?;
        Ok(Permit(Held { semaphore: self, count }))
    }

    /// Takes a permit if one is available; the permit keeps the semaphore alive.
    ///
    /// Otherwise it is [`Semaphore::try_acquire`].
    ///
    /// # Errors
    ///
    /// Those of [`Semaphore::try_acquire`].
    pub fn try_acquire_owned(self: Rc<Self>) -> Result<OwnedPermit, TryAcquireError> {
        self.try_take(1)?;
        Ok(OwnedPermit(Held { semaphore: self, count: 1 }))
    }

    /// Adds permits. Tasks that wait are served first.
    ///
    /// # Panics
    ///
    /// If more than [`Semaphore::MAX_PERMITS`] would then be available.
    #[doc(alias = "asyncio.Semaphore.release")]
    #[track_caller]
    pub fn add_permits(&self, count: usize) {
        let max = Self::MAX_PERMITS - self.available_permits().min(Self::MAX_PERMITS);
        assert!(count <= max, "{TOO_MANY}");
        self.permits.add(count);
    }

    /// Removes up to `count` available permits for good.
    ///
    /// Returns how many it removed.
    pub fn forget_permits(&self, count: usize) -> usize {
        let removed = self.permits.remove(count);
        self.forgotten.set(self.forgotten.get() + removed);
        removed
    }

    /// The number of available permits.
    ///
    /// While a task waits for more, no other task can take them.
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Whether [`Semaphore::try_acquire`] would fail.
    #[doc(alias = "asyncio.Semaphore.locked")]
    pub fn is_locked(&self) -> bool {
        self.is_closed() || self.permits.must_wait(1)
    }

    /// Closes the semaphore: all present and future waits fail.
    ///
    /// Permits that were granted stay valid.
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether the semaphore is closed.
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    /// Returns permits that [`Permit::forget`] or [`Semaphore::forget_permits`] removed. False if
    /// fewer than `count` are missing.
    pub(super) fn restore(&self, count: usize) -> bool {
        let Some(rest) = self.forgotten.get().checked_sub(count) else { return false };
        self.forgotten.set(rest);
        self.permits.add(count);
        true
    }

    async fn take(&self, count: usize) -> Result<(), AcquireError> {
        let mut acquire = self.permits.acquire(count);
        poll_fn(|context| {
            // A request that is enqueued learns the outcome from its notification.
            if self.is_closed() && !acquire.is_enqueued() {
                return coop::poll_spend(context).map(|()| Err(AcquireError));
            }
            Pin::new(&mut acquire).poll(context).map_err(|_| AcquireError)
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

/// Permits that were taken from a semaphore. Dropped, they are returned.
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

/// Permits of a [`Semaphore`]. Dropped, they are returned.
#[must_use = "a permit that is not kept is returned at once"]
#[doc(alias = "SemaphorePermit")]
pub struct Permit<'a>(Held<&'a Semaphore>);

/// Permits that keep their [`Semaphore`] alive. Dropped, they are returned.
#[must_use = "a permit that is not kept is returned at once"]
#[doc(alias = "OwnedSemaphorePermit")]
pub struct OwnedPermit(Held<Rc<Semaphore>>);

/// The methods of both types of permits.
macro_rules! permit_methods {
    ($($permit:ident $(<$lifetime:lifetime>)?),+) => {$(
        impl $permit $(<$lifetime>)? {
            /// The number of permits.
            pub fn count(&self) -> usize {
                self.0.count
            }

            /// Drops the permits without returning them.
            ///
            /// The semaphore then has that many fewer.
            pub fn forget(self) {
                self.0.forget();
            }

            /// Splits off `count` permits. `None` if these are fewer.
            pub fn split(&mut self, count: usize) -> Option<Self> {
                self.0.split(count).map(Self)
            }
        }

        impl fmt::Debug for $permit $(<$lifetime>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($permit)).field("count", &self.count()).finish()
            }
        }
    )+};
}

permit_methods!(Permit<'_>, OwnedPermit);

/// The semaphore is closed, so no permit was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireError;

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl error::Error for AcquireError {}

/// The reason why [`Semaphore::try_acquire`] took no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// Too few permits are available, or a task waits for some.
    NoPermits,
    /// The semaphore is closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPermits => {
                f.write_str("too few permits are available, or a task waits for some")
            }
            Self::Closed => AcquireError.fmt(f),
        }
    }
}

impl error::Error for TryAcquireError {}
