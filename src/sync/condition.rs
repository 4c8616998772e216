//! Waiting for a change of the value that a lock guards.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::ops::DerefMut;

use super::lock::{LockGuard, OwnedLockGuard};
use super::wait::{Wait, notify};
use super::wait_queue::WaitQueue;
use crate::task::coop;

/// Lets tasks release a lock and wait until another task notifies them of a change.
///
/// A condition belongs to one lock, as asyncio's does, but does not own it. A wait takes the guard
/// and returns a new one. asyncio's `notify` demands that the lock is held; here that is not
/// checked, but a task that changes the value holds the lock anyway.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use annulus::spawn;
/// use annulus::sync::{Condition, Lock};
///
/// annulus::run(async {
///     let shared = Rc::new((Lock::new(0), Condition::new()));
///     let its = Rc::clone(&shared);
///     let consumer = spawn(async move {
///         let (stock, changed) = &*its;
///         let mut stock = changed.wait_for(stock.lock().await, |stock| *stock >= 3).await;
///         *stock -= 3;
///     });
///     let (stock, changed) = &*shared;
///     for _ in 0..4 {
///         *stock.lock().await += 1;
///         changed.notify_one();
///     }
///     consumer.await.unwrap();
///     assert_eq!(*stock.lock().await, 1);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.Condition")]
#[doc(alias = "Condvar")]
pub struct Condition {
    waiters: RefCell<WaitQueue<()>>,
}

impl Condition {
    /// Creates a condition.
    pub const fn new() -> Self {
        Self { waiters: RefCell::new(WaitQueue::new()) }
    }

    /// Unlocks, waits to be notified, and locks again.
    ///
    /// Takes a [`LockGuard`] or an [`OwnedLockGuard`], and returns the same type.
    ///
    /// The value may have changed again when it returns, since other tasks can lock first: check
    /// it, or use [`Condition::wait_for`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the lock is not held: the guard is gone, where asyncio locks
    /// once more to raise the cancellation with the lock held. A notification that this wait had
    /// received goes to the next waiter.
    #[doc(alias = "asyncio.Condition.wait")]
    pub async fn wait<G: ConditionGuard>(&self, guard: G) -> G {
        let lock = guard.lock();
        let mut guard = Some(guard);
        let mut notified = Notified(Wait::new(&self.waiters));
        poll_fn(|context| {
            if guard.is_some() {
                notified.0.enqueue(context, ());
                // Enqueued before another task can lock, and notify.
                guard = None;
            }
            notified.0.poll_notified(context)
        })
        .await;
        // Until the lock is held, the notification can still go to another waiter.
        let guard = G::relock(lock).await;
        notified.consume();
        guard
    }

    /// Waits until `predicate` is true for the value.
    ///
    /// Takes a [`LockGuard`] or an [`OwnedLockGuard`], and returns the same type.
    ///
    /// # Cancel safety
    ///
    /// That of [`Condition::wait`].
    #[doc(alias = "asyncio.Condition.wait_for")]
    pub async fn wait_for<G: ConditionGuard>(
        &self,
        mut guard: G,
        mut predicate: impl FnMut(&mut G::Target) -> bool,
    ) -> G {
        poll_fn(|context| coop::poll_spend(context)).await;
        while !predicate(&mut guard) {
            guard = self.wait(guard).await;
        }
        guard
    }

    /// Notifies the task that has waited longest.
    #[doc(alias = "asyncio.Condition.notify")]
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Notifies the `count` tasks that have waited longest; all, if there are fewer.
    #[doc(alias = "asyncio.Condition.notify")]
    pub fn notify(&self, count: usize) {
        notify(&self.waiters, count);
    }

    /// Notifies all tasks that wait.
    #[doc(alias = "asyncio.Condition.notify_all")]
    #[doc(alias = "notify_waiters")]
    pub fn notify_all(&self) {
        self.notify(usize::MAX);
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiters.borrow().len();
        f.debug_struct("Condition").field("waiting", &waiting).finish()
    }
}

/// A guard that a [`Condition`] can release and acquire again.
///
/// Implemented by [`LockGuard`] and [`OwnedLockGuard`] only.
pub trait ConditionGuard: DerefMut<Target: Sized> + sealed::Relock {}

impl<T> ConditionGuard for LockGuard<'_, T> {}
impl<T> ConditionGuard for OwnedLockGuard<T> {}

mod sealed {
    use std::rc::Rc;

    use crate::sync::lock::{Lock, LockGuard, OwnedLockGuard};

    pub trait Relock {
        type Lock;

        fn lock(&self) -> Self::Lock;

        fn relock(lock: Self::Lock) -> impl Future<Output = Self>;
    }

    impl<'a, T> Relock for LockGuard<'a, T> {
        type Lock = &'a Lock<T>;

        fn lock(&self) -> &'a Lock<T> {
            Self::lock_of(self)
        }

        fn relock(lock: &'a Lock<T>) -> impl Future<Output = Self> {
            lock.lock()
        }
    }

    impl<T> Relock for OwnedLockGuard<T> {
        type Lock = Rc<Lock<T>>;

        fn lock(&self) -> Rc<Lock<T>> {
            Rc::clone(Self::lock_of(self))
        }

        fn relock(lock: Rc<Lock<T>>) -> impl Future<Output = Self> {
            lock.lock_owned()
        }
    }
}

/// A wait for a notification. Dropped with one that was not consumed, it notifies the next waiter.
struct Notified<'a>(Wait<'a, RefCell<WaitQueue<()>>>);

impl Notified<'_> {
    fn consume(mut self) {
        drop(self.0.remove());
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(removed) = self.0.remove() else { return };
        if removed.notified {
            notify(self.0.cell(), 1);
        }
    }
}
