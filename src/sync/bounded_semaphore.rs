//! A semaphore that never has more permits than it began with.

use super::semaphore::{Closed, Permit, Semaphore, TryAcquireError};

/// A [`Semaphore`] that never has more permits than it began with.
///
/// With permits that give themselves back there is nothing to go wrong; this is for those that are
/// [forgotten](Permit::forget) where they were taken and [released](BoundedSemaphore::release)
/// elsewhere, as one does in asyncio: one release too many panics, as one
/// [`task_done`](super::Queue::task_done) too many does.
///
/// # Example
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
///     Ok::<_, annulus::sync::Closed>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.BoundedSemaphore")]
#[derive(Debug, Default)]
pub struct BoundedSemaphore(Semaphore);

impl BoundedSemaphore {
    /// A semaphore with so many permits.
    ///
    /// # Panics
    ///
    /// If there are more than [`Semaphore::MAX_PERMITS`].
    #[track_caller]
    pub const fn new(permits: usize) -> Self {
        Self(Semaphore::new(permits))
    }

    /// Waits for a permit; see [`Semaphore::acquire`].
    ///
    /// # Errors
    ///
    /// [`Closed`] if the semaphore is closed, or is closed meanwhile.
    #[doc(alias = "asyncio.BoundedSemaphore.acquire")]
    pub async fn acquire(&self) -> Result<Permit<'_>, Closed> {
        self.0.acquire().await
    }

    /// Waits for several permits; see [`Semaphore::acquire_many`].
    ///
    /// # Errors
    ///
    /// As [`BoundedSemaphore::acquire`].
    pub async fn acquire_many(&self, count: usize) -> Result<Permit<'_>, Closed> {
        self.0.acquire_many(count).await
    }

    /// Takes a permit if there is one and nobody waits.
    ///
    /// # Errors
    ///
    /// Says which of the two it was, or that the semaphore is closed.
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.0.try_acquire()
    }

    /// Gives back a permit that was [forgotten](Permit::forget).
    ///
    /// # Panics
    ///
    /// If none is missing: it was released more often than it was acquired and forgotten.
    #[doc(alias = "asyncio.BoundedSemaphore.release")]
    #[track_caller]
    pub fn release(&self) {
        assert!(self.0.restore(1), "no permit of this semaphore is missing");
    }

    /// How many permits are there.
    pub fn available_permits(&self) -> usize {
        self.0.available_permits()
    }

    /// Whether [`BoundedSemaphore::try_acquire`] would fail.
    #[doc(alias = "asyncio.BoundedSemaphore.locked")]
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    /// Hands out no more permits; see [`Semaphore::close`].
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}
