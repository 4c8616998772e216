//! Access to a value for many readers or one writer.
//!
//! A reader takes one permit, a writer all of them; so the order is that of permits.

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};

use super::permits::Permits;

/// The number of permits. A writer takes all of them, so no other task has any.
const ALL: usize = usize::MAX >> 1;

/// A value that many tasks may read at a time, or one task may write.
///
/// asyncio has no such lock. Readers and writers wait in one queue, as described in [the
/// module](crate::sync#fairness): a reader that arrives while a writer waits is queued behind it.
/// So a task that holds a read guard and waits for another one can wait for ever.
///
/// # Examples
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
    /// Never borrowed in conflict: a guard takes its permits first.
    value: RefCell<T>,
}

impl<T> RwLock<T> {
    /// Creates an unlocked lock.
    pub const fn new(value: T) -> Self {
        Self { permits: Permits::new(ALL), value: RefCell::new(value) }
    }

    /// Waits until the value may be read, and locks it for reading.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has not locked.
    pub async fn read(&self) -> ReadGuard<'_, T> {
        self.take(1).await;
        self.reading()
    }

    /// Waits until the value may be written, and locks it for writing.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has not locked.
    pub async fn write(&self) -> WriteGuard<'_, T> {
        self.take(ALL).await;
        self.writing()
    }

    /// Locks for reading if no task writes and no task waits.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        self.permits.try_take(1).then(|| self.reading())
    }

    /// Locks for writing if no task reads or writes and no task waits.
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        self.permits.try_take(ALL).then(|| self.writing())
    }

    /// Accesses the value without locking.
    ///
    /// The exclusive borrow shows that no guard exists.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    async fn take(&self, count: usize) {
        self.permits.acquire(count).await.expect("a lock never closes its permits");
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

/// Permits that are returned when it is dropped.
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
// The order of the fields matters: the borrow of the value ends before the permits are returned.
#[must_use = "a guard that is not kept unlocks at once"]
#[doc(alias = "RwLockReadGuard")]
pub struct ReadGuard<'a, T> {
    value: Ref<'a, T>,
    _held: Held<'a>,
}

/// Exclusive access to a [`RwLock`]'s value. Dropped, it unlocks.
// The order of the fields matters, as in `ReadGuard`.
#[must_use = "a guard that is not kept unlocks at once"]
#[doc(alias = "RwLockWriteGuard")]
pub struct WriteGuard<'a, T> {
    value: RefMut<'a, T>,
    lock: &'a RwLock<T>,
    held: Held<'a>,
}

impl<'a, T> WriteGuard<'a, T> {
    /// Turns the lock for writing into one for reading.
    ///
    /// No task can write in between. Readers at the front of the queue can then read, too.
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
