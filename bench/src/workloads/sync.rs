//! Locks, semaphores and queues: those that a runtime's users use, be they its own or not.

use std::future::Future;
use std::io;
use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Measured, Runtime, Workload, yield_once};

/// How many tasks contend.
const TASKS: usize = 64;

/// How many of them a semaphore lets in.
const PERMITS: usize = 4;

/// How many values a queue holds.
const CAPACITY: usize = 64;

/// What a runtime's users guard and pass things with.
///
/// Whether a task may cross threads shows only where its types are known: that is why each starts
/// its tasks itself, with [`starts_tasks_by`].
pub(crate) trait Primitives: Sized + 'static {
    /// A handle of a lock over a number. Clones are the same lock.
    type Lock: Clone + 'static;
    /// A handle of a semaphore, likewise.
    type Semaphore: Clone + 'static;
    /// The end of a queue where numbers go in.
    type Putter: 'static;
    /// The end of a queue where numbers come out.
    type Getter: 'static;

    /// A lock over zero.
    fn lock() -> Self::Lock;
    fn semaphore(permits: usize) -> Self::Semaphore;
    fn queue(capacity: usize) -> (Self::Putter, Self::Getter);

    fn locked(lock: &Self::Lock) -> impl Future<Output = impl DerefMut<Target = u64>>;
    fn acquired(semaphore: &Self::Semaphore) -> impl Future<Output = impl Sized>;
    fn put(putter: &mut Self::Putter, value: u64) -> impl Future<Output = ()>;
    fn get(getter: &mut Self::Getter) -> impl Future<Output = u64>;

    fn spawn_locker(lock: Self::Lock, rounds: u64) -> impl Future<Output = ()> + 'static;
    fn spawn_holder(
        semaphore: Self::Semaphore,
        holders: Holders,
        rounds: u64,
    ) -> impl Future<Output = ()> + 'static;
    fn spawn_putter(putter: Self::Putter, values: u64) -> impl Future<Output = ()> + 'static;
    fn spawn_getter(getter: Self::Getter, values: u64) -> impl Future<Output = ()> + 'static;
}

/// Writes those functions of [`Primitives`] that start tasks. They differ only in what starts them.
macro_rules! starts_tasks_by {
    ($spawn:path) => {
        fn spawn_locker(lock: Self::Lock, rounds: u64) -> impl Future<Output = ()> + 'static {
            $spawn($crate::workloads::sync::locker::<Self>(lock, rounds))
        }

        fn spawn_holder(
            semaphore: Self::Semaphore,
            holders: $crate::workloads::sync::Holders,
            rounds: u64,
        ) -> impl Future<Output = ()> + 'static {
            $spawn($crate::workloads::sync::holder::<Self>(semaphore, holders, rounds))
        }

        fn spawn_putter(putter: Self::Putter, values: u64) -> impl Future<Output = ()> + 'static {
            $spawn($crate::workloads::sync::putter::<Self>(putter, values))
        }

        fn spawn_getter(getter: Self::Getter, values: u64) -> impl Future<Output = ()> + 'static {
            $spawn($crate::workloads::sync::getter::<Self>(getter, values))
        }
    };
}
pub(crate) use starts_tasks_by;

/// Adds one in each round, and lets other tasks run while it holds the lock.
pub(crate) async fn locker<P: Primitives>(lock: P::Lock, rounds: u64) {
    for _ in 0..rounds {
        let mut value = P::locked(&lock).await;
        *value += 1;
        yield_once().await;
    }
}

/// Acquires a permit in each round, and lets other tasks run while it holds that.
pub(crate) async fn holder<P: Primitives>(semaphore: P::Semaphore, holders: Holders, rounds: u64) {
    for _ in 0..rounds {
        let _permit = P::acquired(&semaphore).await;
        holders.enter();
        yield_once().await;
        holders.leave();
    }
}

/// Puts the numbers from zero on.
pub(crate) async fn putter<P: Primitives>(mut putter: P::Putter, values: u64) {
    for value in 0..values {
        P::put(&mut putter, value).await;
    }
}

/// Gets the numbers from zero on.
pub(crate) async fn getter<P: Primitives>(mut getter: P::Getter, values: u64) {
    for expected in 0..values {
        assert_eq!(P::get(&mut getter).await, expected);
    }
}

/// How many hold a permit at the moment.
#[derive(Clone, Default)]
pub(crate) struct Holders(Arc<AtomicUsize>);

impl Holders {
    fn enter(&self) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(before < PERMITS, "{before} hold a permit already");
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does a workload of those above.
pub(super) fn run<R: Runtime, P: Primitives>(
    workload: Workload,
    operations: u64,
) -> io::Result<Measured> {
    match workload {
        Workload::Lock => R::run(uncontended_lock::<P>(operations)),
        Workload::ContendedLock => R::run(contended_lock::<P>(operations)),
        Workload::Semaphore => R::run(uncontended_semaphore::<P>(operations)),
        Workload::ContendedSemaphore => R::run(contended_semaphore::<P>(operations)),
        Workload::Queue => R::run(queue::<P>(operations)),
        other => super::run::<R>(other, operations),
    }
}

async fn uncontended_lock<P: Primitives>(operations: u64) -> Measured {
    let lock = P::lock();
    let measured = Measured::of_future(operations, async {
        for _ in 0..operations {
            *P::locked(&lock).await += 1;
        }
    })
    .await;
    assert_eq!(*P::locked(&lock).await, operations);
    measured
}

async fn contended_lock<P: Primitives>(operations: u64) -> Measured {
    let rounds = operations.div_ceil(TASKS as u64);
    let lock = P::lock();
    let measured = Measured::of_future(rounds * TASKS as u64, async {
        let lockers: Vec<_> = (0..TASKS).map(|_| P::spawn_locker(lock.clone(), rounds)).collect();
        for locker in lockers {
            locker.await;
        }
    })
    .await;
    assert_eq!(*P::locked(&lock).await, rounds * TASKS as u64);
    measured
}

async fn uncontended_semaphore<P: Primitives>(operations: u64) -> Measured {
    let semaphore = P::semaphore(PERMITS);
    Measured::of_future(operations, async {
        for _ in 0..operations {
            let _permit = P::acquired(&semaphore).await;
        }
    })
    .await
}

async fn contended_semaphore<P: Primitives>(operations: u64) -> Measured {
    let rounds = operations.div_ceil(TASKS as u64);
    let (semaphore, holders) = (P::semaphore(PERMITS), Holders::default());
    Measured::of_future(rounds * TASKS as u64, async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| P::spawn_holder(semaphore.clone(), holders.clone(), rounds))
            .collect();
        for task in tasks {
            task.await;
        }
    })
    .await
}

/// One task puts, another gets.
async fn queue<P: Primitives>(operations: u64) -> Measured {
    let (putter, getter) = P::queue(CAPACITY);
    Measured::of_future(operations, async {
        let getter = P::spawn_getter(getter, operations);
        let putter = P::spawn_putter(putter, operations);
        putter.await;
        getter.await;
    })
    .await
}
