//! A place where tasks wait for each other.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::Waker;
use std::{error, fmt};

use super::wait::{Acquired, Wait};
use super::wait_queue::WaitQueue;
use super::wake::wake_all;

/// Lets a number of tasks wait until all of them are there. It can be used again and again.
///
/// Once the last has come, the barrier has opened for all of them and can be filled anew. A
/// [`reset`](Barrier::reset) or [`abort`](Barrier::abort) that comes then, before some of them have
/// run, does not change that; asyncio's breaks it for those, and holds up newcomers until the last
/// has left.
///
/// # Example
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

/// What a wait ends with: the index, once it is known.
type Outcome = Result<usize, Broken>;

impl Barrier {
    /// A barrier for so many tasks.
    ///
    /// # Panics
    ///
    /// If it is for none.
    #[track_caller]
    pub const fn new(parties: usize) -> Self {
        assert!(parties > 0, "a barrier is for one task at least");
        Self { parties, broken: Cell::new(false), waiters: RefCell::new(WaitQueue::new()) }
    }

    /// Waits until as many wait as the barrier is for, and gives each its index, from zero for the
    /// one that has waited longest.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the barrier is broken, or is broken or reset meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the barrier opens, one fewer waits.
    #[doc(alias = "asyncio.Barrier.wait")]
    pub async fn wait(&self) -> Result<usize, Broken> {
        let mut turn = Wait::new(&self.waiters);
        let come = |waiters: &mut WaitQueue<Outcome>| self.come(waiters);
        match poll_fn(|context| turn.poll(context, come, Err(Broken))).await {
            Acquired::Immediately((outcome, notified)) => {
                wake_all(&self.waiters, notified);
                outcome
            }
            Acquired::AfterWait(outcome) => outcome,
        }
    }

    /// The outcome for one that comes, and whom to wake, unless it has to wait.
    fn come(&self, waiters: &mut WaitQueue<Outcome>) -> Option<(Outcome, Vec<Waker>)> {
        if self.is_broken() {
            return Some((Err(Broken), Vec::new()));
        }
        let last = self.parties - 1;
        if waiters.len() < last {
            return None;
        }
        let mut indices = 0..last;
        let notified = waiters.notify(last, |outcome| *outcome = indices.next().ok_or(Broken));
        Some((Ok(last), notified))
    }

    /// Breaks it for those that wait. It can be filled anew, also if it was broken.
    #[doc(alias = "asyncio.Barrier.reset")]
    pub fn reset(&self) {
        self.broken.set(false);
        self.refuse_all();
    }

    /// Breaks it for those that wait, and for those that come, until it is reset.
    #[doc(alias = "asyncio.Barrier.abort")]
    pub fn abort(&self) {
        self.broken.set(true);
        self.refuse_all();
    }

    /// For how many tasks it is.
    #[doc(alias = "asyncio.Barrier.parties")]
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many wait.
    #[doc(alias = "asyncio.Barrier.n_waiting")]
    pub fn waiting(&self) -> usize {
        self.waiters.borrow().len()
    }

    /// Whether it is broken.
    #[doc(alias = "asyncio.Barrier.broken")]
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Calls all that wait, who find no index.
    fn refuse_all(&self) {
        let notified = self.waiters.borrow_mut().notify(usize::MAX, |_| {});
        wake_all(&self.waiters, notified);
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
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken")
    }
}

impl error::Error for Broken {}
