//! A point at which tasks wait for each other.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::Waker;
use std::{error, fmt};

use super::wait::{Acquired, Wait, wake_all};
use super::wait_queue::WaitQueue;

/// Lets a number of tasks wait until all of them have arrived.
///
/// It can be used again and again.
///
/// When the last task arrives, the barrier opens for all of them and can be filled anew. A
/// [`reset`](Barrier::reset) or [`abort`](Barrier::abort) after that, before some of the tasks have
/// been polled, does not change their outcome; asyncio's breaks the barrier for those tasks, and
/// delays newcomers until the last has left.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use annulus::spawn;
/// use annulus::sync::Barrier;
///
/// annulus::run(async {
///     let barrier = Rc::new(Barrier::new(3));
///     let tasks = [(); 3].map(|()| {
///         let barrier = Rc::clone(&barrier);
///         spawn(async move { barrier.wait().await.unwrap() })
///     });
///     let mut sum = 0;
///     for task in tasks {
///         sum += task.await.unwrap();
///     }
///     assert_eq!(sum, 0 + 1 + 2);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.Barrier")]
pub struct Barrier {
    parties: usize,
    broken: Cell<bool>,
    waiters: RefCell<WaitQueue<Outcome>>,
}

/// The outcome of a wait: a waiter's index, once it is known.
type Outcome = Result<usize, BrokenBarrier>;

impl Barrier {
    /// Creates a barrier for `parties` tasks.
    ///
    /// # Panics
    ///
    /// If `parties` is zero.
    #[track_caller]
    pub const fn new(parties: usize) -> Self {
        assert!(parties > 0, "`Barrier::new(0)`: a barrier is for at least one task");
        Self { parties, broken: Cell::new(false), waiters: RefCell::new(WaitQueue::new()) }
    }

    /// Waits until all tasks have arrived.
    ///
    /// Returns this task's index in the order of arrival, from 0.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] if the barrier is broken, or is broken or reset during the wait.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the barrier opens, this task no longer counts as arrived.
    #[doc(alias = "asyncio.Barrier.wait")]
    pub async fn wait(&self) -> Result<usize, BrokenBarrier> {
        let mut wait = Wait::new(&self.waiters);
        let arrive = |waiters: &mut WaitQueue<Outcome>| self.arrive(waiters);
        match poll_fn(|context| wait.poll(context, arrive, Err(BrokenBarrier))).await {
            Acquired::Immediately((outcome, wakers)) => {
                wake_all(&self.waiters, wakers);
                outcome
            }
            Acquired::AfterWait(outcome) => outcome,
        }
    }

    /// The outcome for a task that arrives, with the wakers to be woken. `None` if it has to wait.
    fn arrive(&self, waiters: &mut WaitQueue<Outcome>) -> Option<(Outcome, Vec<Waker>)> {
        if self.is_broken() {
            return Some((Err(BrokenBarrier), Vec::new()));
        }
        let last = self.parties - 1;
        if waiters.len() < last {
            return None;
        }
        let mut indices = 0..last;
        let wakers = waiters.notify(last, |outcome| *outcome = indices.next().ok_or(BrokenBarrier));
        Some((Ok(last), wakers))
    }

    /// Fails all present waits.
    ///
    /// The barrier can then be filled anew, even if it was broken.
    #[doc(alias = "asyncio.Barrier.reset")]
    pub fn reset(&self) {
        self.broken.set(false);
        self.fail_all();
    }

    /// Breaks the barrier.
    ///
    /// All present waits fail, and all future ones until the barrier is reset.
    #[doc(alias = "asyncio.Barrier.abort")]
    pub fn abort(&self) {
        self.broken.set(true);
        self.fail_all();
    }

    /// The number of tasks that the barrier is for.
    #[doc(alias = "asyncio.Barrier.parties")]
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// The number of tasks that wait.
    #[doc(alias = "asyncio.Barrier.n_waiting")]
    pub fn waiting(&self) -> usize {
        self.waiters.borrow().len()
    }

    /// Whether the barrier is broken.
    #[doc(alias = "asyncio.Barrier.broken")]
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Notifies all waiters, whose outcome stays an error.
    fn fail_all(&self) {
        let wakers = self.waiters.borrow_mut().notify(usize::MAX, |_| {});
        wake_all(&self.waiters, wakers);
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("waiting", &self.waiting())
            .field("broken", &self.is_broken())
            .finish()
    }
}

/// The barrier is broken, or was broken or reset during the wait.
#[doc(alias = "asyncio.BrokenBarrierError")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrier;

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken, or was broken or reset during the wait")
    }
}

impl error::Error for BrokenBarrier {}
