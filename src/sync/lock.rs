//! Exclusive access to a value.
//!
//! The value is in a box, which a guard takes out of the lock and puts back when it is dropped. So
//! a guard can give access to the value without a borrow of the lock, and an owned guard without
//! unsafe code.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::permits::Permits;

/// The permits of a lock are never closed.
const PERMIT: &str = "a lock never closes its permits";
/// Why a lock without guards can be without its value.
const FORGOTTEN: &str = "a guard of this lock was forgotten, and with it the value";
/// A permit comes with the value.
const VALUE: &str = "a guard holds the value";

/// A value that one task at a time can access.
///
/// Where asyncio enters a lock with `async with`, a task holds a guard here: dropping it unlocks.
/// Use a lock for a value that no other task may access across an `.await`. Between two awaits no
/// other task runs, and a [`Cell`] or [`RefCell`](std::cell::RefCell) is enough.
///
/// The lock is fair, as described in [the module](crate::sync#fairness), and not reentrant: a task
/// that locks it twice waits for ever.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use annulus::sync::Lock;
/// use annulus::{spawn, yield_now};
///
/// annulus::run(async {
///     let account = Rc::new(Lock::new(100));
///     let tasks = [30, 50].map(|amount| {
///         let account = Rc::clone(&account);
///         spawn(async move {
///             let mut balance = account.lock().await;
///             let before = *balance;
///             yield_now().await; // Other tasks run, but none changes the balance.
///             *balance = before - amount;
///         })
///     });
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(*account.lock().await, 20);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.Lock")]
#[doc(alias = "Mutex")]
pub struct Lock<T> {
    permits: Permits,
    /// `None` while a guard holds it.
    value: Cell<Option<Box<T>>>,
}

impl<T> Lock<T> {
    /// Creates an unlocked lock.
    pub fn new(value: T) -> Self {
        Self { permits: Permits::new(1), value: Cell::new(Some(Box::new(value))) }
    }

    /// Waits until the lock is free, and locks it until the guard is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has not locked: the lock goes to the next waiter.
    #[doc(alias = "asyncio.Lock.acquire")]
    pub async fn lock(&self) -> LockGuard<'_, T> {
        self.permits.acquire(1).await.expect(PERMIT);
        LockGuard(Held::new(self))
    }

    /// Waits until the lock is free, and locks it; the guard keeps the lock alive.
    ///
    /// # Cancel safety
    ///
    /// That of [`Lock::lock`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::rc::Rc;
    /// use annulus::sync::Lock;
    ///
    /// annulus::run(async {
    ///     let lock = Rc::new(Lock::new(String::new()));
    ///     let mut guard = Rc::clone(&lock).lock_owned().await;
    ///     annulus::spawn(async move { guard.push_str("from another task") });
    ///     assert_eq!(*lock.lock().await, "from another task");
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub async fn lock_owned(self: Rc<Self>) -> OwnedLockGuard<T> {
        self.permits.acquire(1).await.expect(PERMIT);
        OwnedLockGuard(Held::new(self))
    }

    /// Locks if the lock is free and no task waits for it.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.permits.try_take(1).then(|| LockGuard(Held::new(self)))
    }

    /// Locks as [`Lock::try_lock`] does; the guard keeps the lock alive.
    pub fn try_lock_owned(self: Rc<Self>) -> Option<OwnedLockGuard<T>> {
        self.permits.try_take(1).then(|| OwnedLockGuard(Held::new(self)))
    }

    /// Whether [`Lock::try_lock`] would fail.
    ///
    /// When a guard is dropped, the lock goes to the next waiter at once, before that one is
    /// polled.
    #[doc(alias = "asyncio.Lock.locked")]
    pub fn is_locked(&self) -> bool {
        self.permits.must_wait(1)
    }

    /// Accesses the value without locking.
    ///
    /// The exclusive borrow shows that no guard exists.
    ///
    /// # Panics
    ///
    /// If a guard was forgotten, and with it the value.
    #[track_caller]
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut().as_mut().expect(FORGOTTEN)
    }

    /// Returns the value.
    ///
    /// # Panics
    ///
    /// If a guard was forgotten, and with it the value.
    #[track_caller]
    pub fn into_inner(self) -> T {
        *self.value.into_inner().expect(FORGOTTEN)
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Lock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("locked", &self.is_locked())
            .field("waiting", &self.permits.waiting())
            .finish_non_exhaustive()
    }
}

/// A lock's value and permit. Dropped, both are returned.
struct Held<T, L: Deref<Target = Lock<T>>> {
    lock: L,
    /// `None` only while it is being dropped.
    value: Option<Box<T>>,
}

impl<T, L: Deref<Target = Lock<T>>> Held<T, L> {
    /// The caller has taken the lock's permit.
    fn new(lock: L) -> Self {
        let value = lock.value.take();
        Self { lock, value }
    }

    fn value(&self) -> &T {
        self.value.as_ref().expect(VALUE)
    }

    fn value_mut(&mut self) -> &mut T {
        self.value.as_mut().expect(VALUE)
    }
}

impl<T, L: Deref<Target = Lock<T>>> Drop for Held<T, L> {
    fn drop(&mut self) {
        self.lock.value.set(self.value.take());
        self.lock.permits.add(1);
    }
}

/// Access to a [`Lock`]'s value. Dropped, it unlocks.
#[must_use = "a guard that is not kept unlocks at once"]
#[doc(alias = "MutexGuard")]
pub struct LockGuard<'a, T>(Held<T, &'a Lock<T>>);

impl<'a, T> LockGuard<'a, T> {
    /// The lock that this guard has locked.
    pub fn lock_of(guard: &Self) -> &'a Lock<T> {
        guard.0.lock
    }
}

/// Access to a [`Lock`]'s value that keeps the lock alive. Dropped, it unlocks.
#[must_use = "a guard that is not kept unlocks at once"]
#[doc(alias = "OwnedMutexGuard")]
pub struct OwnedLockGuard<T>(Held<T, Rc<Lock<T>>>);

impl<T> OwnedLockGuard<T> {
    /// The lock that this guard has locked.
    pub fn lock_of(guard: &Self) -> &Rc<Lock<T>> {
        &guard.0.lock
    }
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.value()
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.value_mut()
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Deref for OwnedLockGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.value()
    }
}

impl<T> DerefMut for OwnedLockGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.value_mut()
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedLockGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
