//! Access to a value for many readers or one writer.
//!
//! A reader takes one permit, a writer all of them; so turns are those of permits.

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};

use super::permits::Permits;

/// What a writer takes, so that nobody else has any.
const ALL: usize = usize::MAX >> 1;

/// A value that many tasks may read at a time, or one may write.
///
/// asyncio has no such lock. Readers and writers stand in one queue, as [the
/// module](crate::sync#fairness) says: a reader that comes while a writer waits, waits behind it. So a
/// task that reads and asks to read once more can wait for ever.
///
/// # Example
///
/// ```
/// use annulus::sync::RwLock;
///
/// annulus::run(async {
///     let lock = RwLock::new(vec![1]);
///     lock.write().await.push(2);
///     let (one, other) = (lock.read().await, lock.read().await);
///     assert_eq!((one.len(), other.len()), (2, 2));
///     assert!(lock.try_write().is_none());
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
pub struct RwLock<T> {
    permits: Permits,
    /// Whoever has the permits finds it as free as it needs.
    value: RefCell<T>,
}

impl<T> RwLock<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> Self {
        Self { permits: Permits::new(ALL), value: RefCell::new(value) }
    }

    /// Waits to read.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has not locked.
    pub async fn read(&self) -> ReadGuard<'_, T> {
        self.take(1).await;
        self.reading()
    }

    /// Waits to write.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has not locked.
    pub async fn write(&self) -> WriteGuard<'_, T> {
        self.take(ALL).await;
        self.writing()
    }

    /// Reads if nobody writes, or waits to.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.permits.try_take(1).then(|| self.reading())
    }

    /// Writes if nobody holds the lock.
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.permits.try_take(ALL).then(|| self.writing())
    }

    /// The value, without locking: nobody else has the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    async fn take(&self, count: usize) {
        self.permits.acquire(count).await.expect("a lock's permits do not end");
    }

    fn reading(&self) -> ReadGuard<'_, T> {
        ReadGuard { value: self.value.borrow(), _held: Held { permits: &self.permits, count: 1 } }
    }

    fn writing(&self) -> WriteGuard<'_, T> {
        let held = Held { permits: &self.permits, count: ALL };
        WriteGuard { value: self.value.borrow_mut(), lock: self, held }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = ALL - self.permits.available();
        f.debug_struct("RwLock")
            .field("written", &(taken == ALL))
            .field("readers", &(taken % ALL))
            .field("waiting", &self.permits.waiting())
            .finish_non_exhaustive()
    }
}

/// Permits that are given back when it is dropped.
struct Held<'a> {
    permits: &'a Permits,
    count: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.permits.add(self.count);
    }
}

/// Shared access to a [`RwLock`]'s value. Dropped, it unlocks.
// The value is let go before the permits, which is the order of the fields.
#[must_use = "a guard that is not kept unlocks at once"]
pub struct ReadGuard<'a, T> {
    value: Ref<'a, T>,
    _held: Held<'a>,
}

/// Exclusive access to a [`RwLock`]'s value. Dropped, it unlocks.
// As in `ReadGuard`.
#[must_use = "a guard that is not kept unlocks at once"]
pub struct WriteGuard<'a, T> {
    value: RefMut<'a, T>,
    lock: &'a RwLock<T>,
    held: Held<'a>,
}

impl<'a, T> WriteGuard<'a, T> {
    /// Goes on as a reader, with no writer in between. Readers that wait next go on, too.
    pub fn downgrade(guard: Self) -> ReadGuard<'a, T> {
        let Self { value, lock, mut held } = guard;
        drop(value);
        let value = lock.value.borrow();
        held.count = 1;
        lock.permits.add(ALL - 1);
        ReadGuard { value, _held: held }
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
