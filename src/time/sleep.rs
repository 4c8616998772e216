//! Waiting for a point in time.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::driver::{Driver, TimerKey};
use crate::op::{KernelTimeout, Op};
use crate::runtime::context;
use crate::sys::saturating_deadline;
use crate::task::coop;

/// Waits for `duration`, counted from this call.
///
/// Even with a duration of zero it lets other tasks be polled first. If the deadline is beyond what
/// a clock can represent, as with [`Duration::MAX`], the sleep never ends, not even when the clock
/// is [paused](super::pause).
///
/// # Panics
///
/// When polled, if there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it leaves nothing behind. Awaited by reference, it can be awaited again.
///
/// # Example
///
/// ```
/// use std::time::{Duration, Instant};
///
/// annulus::run(async {
///     let start = Instant::now();
///     annulus::time::sleep(Duration::from_millis(2)).await;
///     assert!(start.elapsed() >= Duration::from_millis(2));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.sleep")]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(saturating_deadline(context::now(), duration))
}

/// Waits until `deadline`; otherwise like [`sleep`].
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, state: State::Idle }
}

/// Waits for `duration` by an SQE.
///
/// The time counts from the submission, at the end of this turn.
///
/// [`sleep`] is cheaper, and much cheaper for many sleeps, since the kernel keeps its timeouts in a
/// list. This one is as precise as the kernel's timers, and is not rounded up to a tick of the
/// wheel.
///
/// # Errors
///
/// If the runtime has ended.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it cancels the operation.
pub async fn kernel_sleep(duration: Duration) -> io::Result<()> {
    Op::new(&context::driver(), KernelTimeout::new(duration)).await
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    state: State,
}

enum State {
    /// No timer has been started.
    Idle,
    /// Its deadline has passed, and it does not wait for a turn of the loop: see [`Sleep::limit`].
    Elapsed,
    Running {
        driver: Rc<Driver>,
        key: TimerKey,
        /// Whether it has yielded once after its deadline, without budget.
        has_yielded: bool,
    },
}

impl Sleep {
    /// A sleep that limits another future. If its deadline has already passed, it does not wait for
    /// a turn of the loop.
    pub(super) fn limit(deadline: Instant) -> Self {
        let is_over = context::now() >= deadline;
        Self { deadline, state: if is_over { State::Elapsed } else { State::Idle } }
    }

    /// Like [`limit`](Self::limit), `duration` from now.
    pub(super) fn limit_within(duration: Duration) -> Self {
        let deadline = saturating_deadline(context::now(), duration);
        Self { deadline, state: if duration.is_zero() { State::Elapsed } else { State::Idle } }
    }

    /// When the sleep ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        context::now() >= self.deadline
    }

    /// Moves the deadline.
    ///
    /// A task that awaits the sleep is woken at the new deadline. A sleep that has ended can be
    /// awaited again. This is cheaper than a new sleep.
    ///
    /// # Example
    ///
    /// A limit for each silence, not for the whole:
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::time::Duration;
    /// use annulus::time::{now, sleep};
    /// use futures_util::future::{Either, select};
    ///
    /// annulus::run(async {
    ///     # annulus::time::pause();
    ///     let limit = Duration::from_millis(50);
    ///     let mut silence = sleep(limit);
    ///     for _ in 0..3 {
    ///         let message = pin!(sleep(limit / 2));
    ///         match select(message, &mut silence).await {
    ///             Either::Left(_) => silence.reset(now() + limit),
    ///             Either::Right(_) => panic!("silence"),
    ///         }
    ///     }
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        match &mut self.state {
            State::Running { driver, key, has_yielded } => {
                driver.timers().restart(*key, deadline);
                *has_yielded = false;
            }
            state => *state = State::Idle,
        }
    }

    fn stop(&mut self) {
        if let State::Running { driver, key, .. } = std::mem::replace(&mut self.state, State::Idle)
        {
            driver.timers().stop(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &self.state {
            // Without budget, the limited future may not have been tried: it is polled once more.
            State::Elapsed if coop::try_spend() => {
                self.state = State::Idle;
                return Poll::Ready(());
            }
            // The timer's runtime has ended, or another one runs on this thread now. It would not
            // fire, so a timer of the current runtime replaces it.
            State::Running { driver, .. } if !context::is_current(driver) => self.stop(),
            State::Idle | State::Elapsed | State::Running { .. } => {}
        }
        if let State::Running { driver, key, has_yielded } = &mut self.state {
            ready!(driver.timers().poll(*key, context.waker()));
            // Without budget, other futures of this task may not have been tried: they are polled
            // once more. Only once, or they could keep this sleep from ending.
            if !*has_yielded {
                *has_yielded = true;
                ready!(coop::poll_spend(context));
            }
            self.stop();
            return Poll::Ready(());
        }
        let driver = context::driver();
        let key = driver.timers().start(self.deadline, context.waker());
        self.state = State::Running { driver, key, has_yielded: false };
        Poll::Pending
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
