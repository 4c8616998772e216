//! A semaphore that never has more permits than it began with.

use super::semaphore::{AcquireError, Permit, Semaphore, TryAcquireError};

/// A [`Semaphore`] that never has more permits than it began with.
///
/// Permits that are returned when they are dropped cannot be returned too often. This type is for
/// permits that are [forgotten](Permit::forget) in one place and
/// [released](BoundedSemaphore::release) in another, as is usual in asyncio: one release too many
/// panics.
///
/// # Examples
///
/// ```
/// use annulus::sync::BoundedSemaphore;
///
/// annulus::run(async {
///     let semaphore = BoundedSemaphore::new(1);
///     semaphore.acquire().await?.forget();
///     assert!(semaphore.try_acquire().is_err());
///     semaphore.release();
///     assert!(semaphore.try_acquire().is_ok());
///     Ok::<_, annulus::sync::AcquireError>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.BoundedSemaphore")]
#[derive(Debug, Default)]
pub struct BoundedSemaphore(Semaphore);

impl BoundedSemaphore {
    /// Creates a semaphore with a number of permits.
    ///
    /// # Panics
    ///
    /// If `permits` is more than [`Semaphore::MAX_PERMITS`].
    #[track_caller]
    pub const fn new(permits: usize) -> Self {
        Self(Semaphore::new(permits))
    }

    /// Waits for a permit, as [`Semaphore::acquire`] does.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is closed, or is closed during the wait.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has taken no permit.
    #[doc(alias = "asyncio.BoundedSemaphore.acquire")]
    pub async fn acquire(&self) -> Result<Permit<'_>, AcquireError> {
        self.0.acquire().await
    }

    /// Waits for `count` permits, as [`Semaphore::acquire_many`] does.
    ///
    /// # Errors
    ///
    /// Those of [`BoundedSemaphore::acquire`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has taken no permit.
    pub async fn acquire_many(&self, count: usize) -> Result<Permit<'_>, AcquireError> {
        self.0.acquire_many(count).await
    }

    /// Takes a permit if one is available and no task waits.
    ///
    /// # Errors
    ///
    /// Those of [`Semaphore::try_acquire`].
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.0.try_acquire()
    }

    /// Returns a permit that was [forgotten](Permit::forget).
    ///
    /// # Panics
    ///
    /// If no permit is missing: it was called more often than permits were forgotten.
    #[doc(alias = "asyncio.BoundedSemaphore.release")]
    #[track_caller]
    pub fn release(&self) {
        assert!(
            self.0.restore(1),
            "`BoundedSemaphore::release` called more often than permits were forgotten: no permit \
             is missing"
        );
    }

    /// The number of available permits.
    pub fn available_permits(&self) -> usize {
        self.0.available_permits()
    }

    /// Whether [`BoundedSemaphore::try_acquire`] would fail.
    #[doc(alias = "asyncio.BoundedSemaphore.locked")]
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    /// Closes the semaphore, as [`Semaphore::close`] does.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether the semaphore is closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}
